/** Memory is bounded whatever the size of an image: the figure that the documentation gives. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { makeStore, temporaryDirectory } from './store-support.js'

const MIB = 2 ** 20
const IMAGE_BYTES = 20 * 2 ** 30
const PIECES = 60

interface Report {
  readonly bytesRead: number
  readonly chunks: number
  /** Resident at most, until the end of each. */
  readonly backupBytes: number
  readonly restoreBytes: number
}

it('an image of 20 GiB, most of it holes, takes less than 400 MiB to back up and to restore', async () => {
  const { base, table } = await makeStore()
  const folder = temporaryDirectory()
  const [image, target] = [join(folder, 'image'), join(folder, 'target')]
  const pieces = Array.from({ length: PIECES }, (_, i) => ({ at: i * Math.floor(IMAGE_BYTES / PIECES), bytes: randomBytes(MIB) }))
  const fd = openSync(image, 'w')
  ftruncateSync(fd, IMAGE_BYTES)
  for (const { at, bytes } of pieces) writeSync(fd, bytes, 0, MIB, at)
  closeSync(fd)

  const program = fileURLToPath(new URL('fixtures/back-up-image.mjs', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [program, base, table, image, target])
  const report = JSON.parse(stdout) as Report
  expect(report).toMatchObject({ bytesRead: IMAGE_BYTES, chunks: IMAGE_BYTES / (4 * MIB) })
  expect(report.backupBytes / MIB).toBeLessThan(400)
  expect(report.restoreBytes / MIB).toBeLessThan(400)

  const restored = openSync(target, 'r')
  const found = Buffer.alloc(MIB)
  for (const { at, bytes } of pieces) {
    readSync(restored, found, 0, MIB, at)
    expect(found.equals(bytes)).toBe(true)
  }
  closeSync(restored)
  expect(statSync(target)).toMatchObject({ size: IMAGE_BYTES, blocks: statSync(image).blocks })
}, 120_000)
