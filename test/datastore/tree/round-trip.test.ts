/** Directories into a store and back, by this package and by GNU tar. */
import { execFileSync } from 'node:child_process'
import { createCipheriv } from 'node:crypto'
import { createServer } from 'node:net'
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { backUp, CryptKey, restore, type Source } from '../../../src/datastore/index.js'
import { packSteps } from '../../../src/datastore/pipeline/dynamic.js'
import { WorkerPool } from '../../../src/datastore/pipeline/pool.js'
import { unpackSlabs } from '../../../src/datastore/pipeline/unpack.js'
import { treeEntries } from '../../../src/datastore/tree/read.js'
import { restoreTree } from '../../../src/datastore/tree/restore.js'
import { collect, entriesOf, FolderSink } from '../pipeline/support.js'
import { later, makeStore, newGroup, OWNER, temporaryDirectory, type TestStore } from '../store-support.js'
import { look, makeTree } from './support.js'

let store: TestStore
let folder: string
const source = (): string => join(folder, 'source')
const target = join(temporaryDirectory(), 'target')
beforeAll(async () => {
  store = await makeStore()
  folder = temporaryDirectory()
  mkdirSync(source())
  makeTree(source())
})
afterEach(() => {
  rmSync(target, { recursive: true, force: true })
})

const directory = (path: string, more: { readonly exclude?: readonly string[]; readonly oneFileSystem?: boolean } = {}): Source => ({ kind: 'directory', name: 'tree.tar', path, ...more })

describe('a directory with everything that it can have', () => {
  const snapshot = newGroup()
  beforeAll(async () => {
    const report = await backUp(store.datastore, snapshot, [directory(source())], { owner: OWNER, time: snapshot.time })
    expect(report.warnings).toEqual([])
  })

  it('comes back bit by bit, with names, modes, owners, times, links and holes', async () => {
    const report = await restore(store.datastore, snapshot, 'tree.tar.didx', { kind: 'directory', path: target })
    expect(report.warnings).toEqual([])
    const before = look(source(), { withBlocks: true })
    expect(look(target, { withBlocks: true })).toEqual(before)
    expect(report.files).toBe(Object.keys(before).length)
  })

  it('is restored by GNU tar as well', async () => {
    const archive = join(folder, 'tree.tar')
    await restore(store.datastore, snapshot, 'tree.tar.didx', { kind: 'file', path: archive })
    mkdirSync(target)
    execFileSync('tar', ['-xpf', archive, '-C', target])
    expect(look(target, { withBlocks: true })).toEqual(look(source(), { withBlocks: true }))
  })

  it('gives the same stream again, of which nothing is stored', async () => {
    const again = await backUp(store.datastore, snapshot, [directory(source())], { owner: OWNER, time: later(snapshot).time })
    expect(again).toMatchObject({ bytesStored: 0, reusedChunks: again.chunks })
    expect(again.files[0]?.csum.equals((await store.datastore.loadManifest(snapshot)).files[0]!.csum)).toBe(true)
  })

  it('comes back from an encrypted store', async () => {
    const key = CryptKey.generate()
    const encrypted = newGroup()
    await backUp(store.datastore, encrypted, [directory(source())], { owner: OWNER, time: encrypted.time, key })
    await restore(store.datastore, encrypted, 'tree.tar.didx', { kind: 'directory', path: target }, { key })
    expect(look(target)).toEqual(look(source()))
  })
})

it('what is excluded is left out, and all that is in it', async () => {
  const [from, snapshot] = [join(folder, 'excluding'), newGroup()]
  for (const path of ['cache/deep', 'src/cache', 'src/lib', 'build', '.hidden']) mkdirSync(join(from, path), { recursive: true })
  for (const path of ['cache/deep/a', 'src/a.o', 'src/lib/b.o', 'src/lib/b.c', 'src/cache/c', 'build/x', '.hidden/y', 'lib']) writeFileSync(join(from, path), path)
  await backUp(store.datastore, snapshot, [directory(from, { exclude: ['*.o', '/cache', 'src/*/', '.h*', 'lib/'] })], { owner: OWNER, time: snapshot.time })
  await restore(store.datastore, snapshot, 'tree.tar.didx', { kind: 'directory', path: target })
  expect(Object.keys(look(target)).sort()).toEqual(['.', 'build', 'build/x', 'lib', 'src'])
})

it('a file that changes while the tree is read is a warning, and in the archive', async () => {
  const [from, pool] = [join(folder, 'moving'), new WorkerPool({ threads: 1 })]
  mkdirSync(from)
  for (const name of ['grows', 'rewritten', 'shrinks', 'still', 'vanishes']) writeFileSync(join(from, name), 'x'.repeat(1000))
  const entries = await collect(treeEntries(from, { pool, settledNs: 0n }))
  appendFileSync(join(from, 'grows'), 'more')
  writeFileSync(join(from, 'rewritten'), 'y'.repeat(1000))
  writeFileSync(join(from, 'shrinks'), 'less')
  rmSync(join(from, 'vanishes'))
  const sink = new FolderSink()
  const problems: string[] = []
  const chunks = await collect(packSteps(entries.map(batch => batch.flatMap(entry => [...entry.pieces()])), { pool, sink, onProblem: ({ path, message }) => problems.push(`${path.slice(from.length + 1)}: ${message.slice(0, 30)}`) }))
  await restoreTree(unpackSlabs(entriesOf(chunks), { pool, chunkPath: sink.chunkPath }), target, { pool })
  sink.remove()
  await pool.close()
  expect(problems).toEqual(['grows: it changed while it was read', 'rewritten: it changed while it was read', 'shrinks: it was made shorter while it', 'vanishes: ENOENT: no such file or direct'].map(text => expect.stringContaining(text.slice(0, 30))))
  expect(['grows', 'rewritten', 'shrinks', 'still', 'vanishes'].map(name => readFileSync(join(target, name), 'latin1'))).toEqual([
    'x'.repeat(1000), 'y'.repeat(1000), `less${'\0'.repeat(996)}`, 'x'.repeat(1000), '\0'.repeat(1000),
  ])
})

it('sockets are left out with a warning', async () => {
  const [from, snapshot] = [join(folder, 'with-socket'), newGroup()]
  mkdirSync(from)
  const server = createServer()
  await new Promise<void>(resolve => server.listen(join(from, 'socket'), resolve))
  const { warnings } = await backUp(store.datastore, snapshot, [directory(from)], { owner: OWNER, time: snapshot.time })
  server.close()
  expect(warnings).toEqual([expect.stringContaining('socket: it is a socket')])
})

describe('real trees come back', () => {
  it.each(['node_modules/eslint', 'node_modules/typescript', 'node_modules/.bin', '/usr/share/zoneinfo', '/usr/share/perl', '/usr/share/common-licenses'].filter(existsSync))('%s', async path => {
    const snapshot = newGroup()
    await backUp(store.datastore, snapshot, [directory(path)], { owner: OWNER, time: snapshot.time })
    await restore(store.datastore, snapshot, 'tree.tar.didx', { kind: 'directory', path: target })
    expect(look(target)).toEqual(look(path))
  })
})

it('a change in the middle of a tree stores the chunks around it', async () => {
  const [from, snapshot] = [join(folder, 'changing'), newGroup()]
  mkdirSync(from)
  // The same random bytes each time: where they are cut is no matter of luck.
  const bytes = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(40 * 2 ** 20))
  for (let i = 0; i < 40; i++) writeFileSync(join(from, `file ${i}`), bytes.subarray(i * 2 ** 20, (i + 1) * 2 ** 20))
  const first = await backUp(store.datastore, snapshot, [directory(from)], { owner: OWNER, time: snapshot.time })
  writeFileSync(join(from, 'file 2'), 'changed')
  const second = await backUp(store.datastore, snapshot, [directory(from)], { owner: OWNER, time: later(snapshot).time })
  expect(first.chunks).toBeGreaterThanOrEqual(8)
  expect(second.chunks - second.reusedChunks).toBeLessThanOrEqual(3)
  expect(second.reusedChunks).toBeGreaterThanOrEqual(4)
})

it('a tree is listed in one order, however many threads list it', async () => {
  const listed = async (threads: number): Promise<readonly string[]> => {
    await using pool = new WorkerPool({ threads })
    const entries = (await collect(treeEntries('node_modules', { pool, settledNs: 0n }))).flat()
    return entries.map(({ fingerprint }) => Buffer.from(fingerprint).toString('hex'))
  }
  const [one, four] = [await listed(1), await listed(4)]
  expect(one.length).toBeGreaterThan(5000)
  expect(four).toEqual(one)
})
