/** Where a job is done: a thread begins for what takes long, and for a list if there is a processor for it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { WorkerPool } from '../../../src/datastore/pipeline/pool.js'
import { Files } from '../../../src/datastore/tree/file-table.js'
import type { ListJob } from '../../../src/datastore/tree/list.js'
import { temporaryDirectory } from '../store-support.js'

const machine = vi.hoisted(() => ({ processors: 1 }))
vi.mock('node:os', async original => ({ ...await original<object>(), availableParallelism: () => 2 }))
vi.mock('../../../src/datastore/pipeline/processors.js', () => ({
  Processors: class {
    get count(): number {
      return machine.processors
    }
  },
}))

let begun = 0
const count = (): void => {
  begun++
}
beforeEach(() => {
  begun = 0
  process.on('worker', count)
})
afterEach(() => {
  process.off('worker', count)
})

const folder = temporaryDirectory()
mkdirSync(join(folder, 'below'))
writeFileSync(join(folder, 'below', 'file'), 'contents')

const listing: ListJob = { kind: 'list', root: folder, directories: [''], maxEntries: 1000, exclude: [], deviceId: undefined }

async function names(pool: WorkerPool): Promise<readonly string[]> {
  const files = new Files((await pool.run(listing)).files)
  return Array.from({ length: files.count }, (_, file) => files.nameOf(file))
}

/** Nothing is filled. */
async function fill(pool: WorkerPool): Promise<void> {
  const buffer = new SharedArrayBuffer(4096)
  await pool.run({ kind: 'fill', target: { buffer, from: 0, to: 4096 }, pieces: [], between: new Uint8Array(4096) })
}

test('with one processor there is no thread before there is more to do than to list', async () => {
  machine.processors = 1
  await using pool = new WorkerPool()
  pool.begin()
  expect(await names(pool)).toEqual(['.', 'below', 'below/file'])
  expect(begun).toBe(0)
  await fill(pool)
  expect(begun).toBe(1)
  expect(await names(pool)).toEqual(['.', 'below', 'below/file'])
})

test('with two a thread begins at once', async () => {
  machine.processors = 2
  await using pool = new WorkerPool()
  pool.begin()
  await new Promise(setImmediate) // Node tells of it a little later
  expect(begun).toBe(1)
  expect(await names(pool)).toEqual(['.', 'below', 'below/file'])
  expect(begun).toBe(1)
})

test('a thread that was asked for is used', async () => {
  await using pool = new WorkerPool({ threads: 1 })
  await names(pool)
  expect(begun).toBe(1)
})

test('a closed pool lists nothing, whether it is closed before or meanwhile', async () => {
  machine.processors = 1
  const pool = new WorkerPool()
  const meanwhile = pool.run(listing)
  const refused = expect(meanwhile).rejects.toThrow('the pool is closed')
  await pool.close()
  await refused
  await expect(pool.run(listing)).rejects.toThrow('the pool is closed')
})
