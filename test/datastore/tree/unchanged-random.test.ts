/** Trees that change at random from backup to backup: what is put together of old chunks and new ones is what reading everything gives. */
import { chmodSync, existsSync, linkSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, it } from 'vitest'
import { CatalogueBuilder, decodeCatalogue } from '../../../src/datastore/catalogue.js'
import { decodeDynamicIndex, encodeDynamicIndex } from '../../../src/datastore/dynamic-index.js'
import { packSteps } from '../../../src/datastore/pipeline/dynamic.js'
import { WorkerPool } from '../../../src/datastore/pipeline/pool.js'
import { planReuse, type PreviousStream } from '../../../src/datastore/pipeline/reuse.js'
import { unpackStream } from '../../../src/datastore/pipeline/unpack.js'
import { treeEntries, type TreeStreamEntry } from '../../../src/datastore/tree/read.js'
import { collect, entriesOf, FolderSink } from '../pipeline/support.js'
import { temporaryDirectory, until } from '../store-support.js'
import { noise, tarOf } from './support.js'

const KIB = 1024
const pool = new WorkerPool({ threads: 2 })
afterAll(() => pool.close())
const folder = temporaryDirectory()

/** The files, links and directories below, in a fixed order. */
const pathsIn = (root: string): string[] => readdirSync(root, { withFileTypes: true, recursive: true }).map(entry => join(entry.parentPath, entry.name)).sort()

/** Times of change are as coarse as the kernel's clock; two changes within a tick of it cannot be told apart, and are not the question here. */
async function nextTick(probe: string): Promise<void> {
  writeFileSync(probe, '')
  const before = lstatSync(probe, { bigint: true }).ctimeNs
  await until(() => {
    utimesSync(probe, 0, 0)
    return lstatSync(probe, { bigint: true }).ctimeNs > before
  })
}

interface Edit { readonly kind: string; readonly at: number; readonly seed: number; readonly kib: number }

const EDITS: Readonly<Record<string, (path: string, edit: Edit) => void>> = {
  write: (path, { seed, kib }) => { writeFileSync(path, noise(seed, kib * KIB)) },
  'write the same length': (path, { seed }) => {
    const { size, mtime } = lstatSync(path)
    writeFileSync(path, noise(seed, size))
    utimesSync(path, mtime, mtime)
  },
  add: (path, { seed, kib }) => { writeFileSync(`${path}.${seed}`, noise(seed, kib * KIB)) },
  remove: path => { rmSync(path) },
  rename: (path, { seed }) => { renameSync(path, join(path, `../${seed}`)) },
  truncate: (path, { kib }) => { truncateSync(path, kib * KIB) },
  mode: (path, { seed }) => { chmodSync(path, 0o600 | (seed & 0o77)) },
  link: (path, { seed }) => { linkSync(path, join(path, `../${seed}.link`)) },
  symlink: (path, { seed }) => { symlinkSync(String(seed), `${path}.${seed}.symlink`) },
  directory: (path, { seed, kib }) => {
    mkdirSync(`${path}.${seed}.d`)
    writeFileSync(`${path}.${seed}.d/file`, noise(seed, kib * KIB))
  },
}

function change(root: string, edit: Edit): void {
  const files = pathsIn(root).filter(path => lstatSync(path).isFile())
  const path = files[edit.at % Math.max(files.length, 1)]
  const made = path === undefined ? undefined : [`${path}.${edit.seed}`, join(path, `../${edit.seed}`), join(path, `../${edit.seed}.link`), `${path}.${edit.seed}.symlink`, `${path}.${edit.seed}.d`]
  if (path !== undefined && !made!.some(existsSync)) EDITS[edit.kind]!(path, edit)
}

interface Backup { readonly stream: Buffer; readonly previous: PreviousStream; readonly skipped: number }

/** As backUp() does it, but everything counts as long unchanged. */
async function backUpTree(root: string, sink: FolderSink, previous: PreviousStream | undefined): Promise<Backup> {
  const builder = new CatalogueBuilder()
  const noted = async function* (): AsyncGenerator<readonly TreeStreamEntry[]> {
    for await (const batch of treeEntries(root, { pool, settledNs: 2n ** 62n })) {
      for (const { bytes, fingerprint } of batch) builder.add(bytes, fingerprint)
      yield batch
    }
  }
  const chunks = await collect(packSteps(planReuse(noted(), previous, digest => sink.reuseChunk(digest)), { pool, sink }))
  const index = decodeDynamicIndex(encodeDynamicIndex({ ctime: 0, entries: chunks }), 'index')
  for (const { digest, length } of chunks) sink.knownChunks.set(digest.toString('hex'), length)
  const parts: Buffer[] = []
  for await (const bytes of unpackStream(entriesOf(chunks), { pool, chunkPath: sink.chunkPath })) parts.push(Buffer.from(bytes))
  const catalogue = decodeCatalogue(builder.encode(index)!, 'catalogue')
  return { stream: Buffer.concat(parts), previous: { catalogue, index }, skipped: chunks.reduce((sum, { isRead, length }) => sum + (isRead ? 0 : length), 0) }
}

it('any edits, three times over', async () => {
  let run = 0
  let skipped = 0
  const kib = fc.integer({ min: 0, max: 900 })
  const edit = fc.record({ kind: fc.constantFrom(...Object.keys(EDITS)), at: fc.nat(1000), seed: fc.nat(2 ** 30), kib })
  await fc.assert(fc.asyncProperty(fc.array(kib, { minLength: 10, maxLength: 20 }), fc.array(fc.array(edit, { maxLength: 4 }), { minLength: 3, maxLength: 3 }), async (sizes, generations) => {
    const [root, sink] = [join(folder, `run ${run++}`), new FolderSink()]
    mkdirSync(join(root, 'deep'), { recursive: true })
    for (const [i, size] of sizes.entries()) writeFileSync(join(root, i % 3 === 0 ? 'deep' : '', `file ${i}`), noise(i, size * KIB))
    let last: Backup | undefined
    for (const edits of [[], ...generations]) {
      await nextTick(join(folder, 'probe'))
      for (const each of edits) change(root, each)
      last = await backUpTree(root, sink, last?.previous)
      skipped += last.skipped
      expect(last.stream.equals(await tarOf(root, { pool }))).toBe(true)
    }
    sink.remove()
    rmSync(root, { recursive: true })
  }), { numRuns: 12 })
  expect(skipped).toBeGreaterThan(10 * 2 ** 20)
}, 120_000)
