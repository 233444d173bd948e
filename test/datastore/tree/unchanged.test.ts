/** A second backup does not read what has not changed, and is the same as one that reads everything, whatever was changed in between. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync, closeSync, existsSync, ftruncateSync, linkSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, utimesSync, writeFileSync, writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type BackupOptions, type BackupReport, backUp, createManifest, CryptKey, restore, type SnapshotName, type Source } from '../../../src/datastore/index.js'
import { snapshotPath } from '../../../src/datastore/names.js'
import { WorkerPool } from '../../../src/datastore/pipeline/pool.js'
import { SETTLE_MS } from '../../../src/datastore/catalogue.js'
import { later, makeStore, newGroup, OWNER, temporaryDirectory, type TestStore, until } from '../store-support.js'
import { noise, tarOf, writeSparseFile } from './support.js'

/** Some hundred backups, on a machine that may be busy with others. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const MIB = 2 ** 20
const FILE_BYTES = 640 * 1024
const MANY = 32
const TIME = new Date(1_600_000_000_000)

let store: TestStore
const pool = new WorkerPool({ threads: 1 })
afterAll(() => pool.close())
const folder = temporaryDirectory()
beforeAll(async () => {
  store = await makeStore()
})

/** 20 MiB, a handful of chunks, and some oddities, with links before and behind what they point to. */
function makeTree(root: string): void {
  mkdirSync(join(root, 'empty'), { recursive: true })
  for (let i = 0; i < MANY; i++) {
    const path = join(root, `file ${String(i).padStart(2, '0')}`)
    writeFileSync(path, noise(i, FILE_BYTES))
    utimesSync(path, TIME, TIME)
  }
  writeSparseFile(join(root, 'sparse'))
  linkSync(join(root, 'file 05'), join(root, 'a first name of 05'))
  linkSync(join(root, 'file 06'), join(root, 'z another name of 06'))
  symlinkSync('file 01', join(root, 'link'))
}

/** Every path below has not changed for so long that it can be trusted. */
async function settle(...paths: readonly string[]): Promise<void> {
  const latest = (path: string): number => Math.max(lstatSync(path).ctimeMs, ...(lstatSync(path).isDirectory() ? readdirSync(path).map(name => latest(join(path, name))) : []))
  const last = Math.max(...paths.map(latest))
  await until(() => Date.now() > last + SETTLE_MS + 1)
}

const directory = (path: string, more: { readonly exclude?: readonly string[] } = {}): Source & { readonly kind: 'directory' } => ({ kind: 'directory', name: 'tree.tar', path, ...more })
const image = (path: string): Source => ({ kind: 'image', name: 'disk.img', path })
const run = async (snapshot: SnapshotName, source: Source, options: Partial<BackupOptions> = {}): Promise<BackupReport> => await backUp(store.datastore, snapshot, [source], { owner: OWNER, time: snapshot.time, ...options })

async function streamOf(snapshot: SnapshotName, key?: CryptKey, archive = 'tree.tar.didx'): Promise<Buffer> {
  const stream = new PassThrough()
  const [bytes] = await Promise.all([buffer(stream), restore(store.datastore, snapshot, archive, { kind: 'stream', stream }, key === undefined ? {} : { key }).then(() => stream.end())])
  return bytes
}

const everythingRead = async ({ path, exclude }: Source & { readonly kind: 'directory' }): Promise<Buffer> => await tarOf(path, { pool, exclude })

const first = (root: string): string => join(root, 'file 02')

/** Which bytes are not read after it: all but at most so many, where nothing or little is different. */
const CHANGES: readonly (readonly [name: string, change: (root: string) => void, read: 'nothing' | 'some'])[] = [
  ['nothing', () => undefined, 'nothing'],
  ['contents, with the same size and time', root => {
    writeFileSync(first(root), noise(99, FILE_BYTES))
    utimesSync(first(root), TIME, TIME)
  }, 'some'],
  ['contents, in place', root => {
    const fd = openSync(first(root), 'r+')
    writeSync(fd, 'x', 1000)
    closeSync(fd)
    utimesSync(first(root), TIME, TIME)
  }, 'some'],
  ['another file in its place, with the same size and time', root => {
    writeFileSync(join(root, 'new'), noise(98, FILE_BYTES))
    utimesSync(join(root, 'new'), TIME, TIME)
    renameSync(join(root, 'new'), first(root))
  }, 'some'],
  ['a name', root => { renameSync(first(root), join(root, 'file 02b')) }, 'some'],
  ['a name, to the end', root => { renameSync(first(root), join(root, 'zz')) }, 'some'],
  ['a file less', root => { unlinkSync(first(root)) }, 'some'],
  ['a file more at the beginning', root => { writeFileSync(join(root, '00 new'), noise(97, 2 * MIB)) }, 'some'],
  ['a file more at the end', root => { writeFileSync(join(root, 'zz new'), noise(96, 2 * MIB)) }, 'some'],
  ['a mode', root => { chmodSync(first(root), 0o400) }, 'some'],
  ['a time', root => { utimesSync(first(root), TIME, new Date(1_500_000_000_000)) }, 'some'],
  ['the first of two links less', root => { unlinkSync(join(root, 'a first name of 05')) }, 'some'],
  ['the second of two links less', root => { unlinkSync(join(root, 'z another name of 06')) }, 'some'],
  ['a link more, before the file', root => { linkSync(first(root), join(root, '00 link')) }, 'some'],
  ['where a symbolic link points', root => {
    unlinkSync(join(root, 'link'))
    symlinkSync('file 02', join(root, 'link'))
  }, 'some'],
  ['a hole that is filled', root => {
    const fd = openSync(join(root, 'sparse'), 'r+')
    writeSync(fd, Buffer.alloc(4096, 'data'), 0, 4096, 512 * 1024)
    closeSync(fd)
  }, 'some'],
  ['a hole more', root => {
    const fd = openSync(join(root, 'sparse'), 'r+')
    ftruncateSync(fd, 2 * MIB)
    ftruncateSync(fd, 3 * MIB + 17)
    closeSync(fd)
  }, 'some'],
  ['a directory that was a file', root => {
    unlinkSync(first(root))
    mkdirSync(first(root))
    writeFileSync(join(first(root), 'in it'), 'x')
  }, 'some'],
  ['everything', root => { for (let i = 0; i < MANY; i++) appendTo(join(root, `file ${String(i).padStart(2, '0')}`)) }, 'some'],
]

function appendTo(path: string): void {
  writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from('more')]))
}

describe('what changed between two backups', () => {
  const cases = CHANGES.map(([name, change, read], i) => ({ name, change, read, root: join(folder, `case ${i}`), snapshot: newGroup() }))
  beforeAll(async () => {
    makeTree(join(folder, 'tree'))
    for (const { root } of cases) execFileSync('cp', ['-a', join(folder, 'tree'), root])
    await settle(...cases.map(({ root }) => root))
    for (const { root, snapshot } of cases) expect(await run(snapshot, directory(root))).toMatchObject({ skippedBytes: 0, remarks: [], warnings: [] })
  })

  it.each(cases)('$name', async ({ change, read, root, snapshot, name }) => {
    change(root)
    const second = await run(later(snapshot), directory(root))
    const expected = await everythingRead(directory(root))
    expect((await streamOf(later(snapshot))).equals(expected)).toBe(true)
    expect(second).toMatchObject({ bytesRead: expected.length, remarks: [], warnings: [] })
    if (read === 'nothing') expect(second).toMatchObject({ skippedBytes: expected.length, bytesStored: 0, reusedChunks: second.chunks })
    else if (name !== 'everything') expect(second.skippedBytes).toBeGreaterThan(0)
    expect(second.skippedBytes).toBeLessThanOrEqual(expected.length - (read === 'nothing' ? 0 : 1))
  })
})

describe('a previous snapshot that cannot be used as it is', () => {
  const root = join(folder, 'kept')
  let size = 0
  const key = CryptKey.generate()
  beforeAll(async () => {
    makeTree(root)
    await settle(root)
    size = (await everythingRead(directory(root))).length
  })
  const fileOf = (snapshot: SnapshotName, name: string): string => join(store.base, snapshotPath(snapshot), name)
  const catalogueFile = (snapshot: SnapshotName): string => fileOf(snapshot, 'tree.tar.catalog.blob')

  /** The manifest lists what is in the snapshot, and so it says. */
  async function forgetCatalogue(snapshot: SnapshotName): Promise<void> {
    const [manifest, guard] = await store.datastore.loadManifestLocked(snapshot)
    const { backupType, backupId, backupTime, files } = manifest
    await store.datastore.storeManifest(snapshot, createManifest({ backupType, backupId, backupTime, files: files.filter(({ filename }) => !filename.includes('catalog')) }), guard)
    guard.release()
    unlinkSync(catalogueFile(snapshot))
  }

  it.each<[name: string, before: Partial<BackupOptions>, spoil: (snapshot: SnapshotName) => unknown, now: Partial<BackupOptions>, remark: RegExp | undefined]>([
    ['no catalogue, of an earlier version', {}, forgetCatalogue, {}, /has no catalogue/],
    ['the catalogue is gone', {}, snapshot => { unlinkSync(catalogueFile(snapshot)) }, {}, /has no catalogue/],
    ['the catalogue is damaged', {}, snapshot => { truncateSync(catalogueFile(snapshot), 100) }, {}, /not what the manifest says/],
    ['it was encrypted', { key }, () => undefined, {}, /is encrypted, which this one is not/],
    ['it was not encrypted', {}, () => undefined, { key }, /neither encrypted nor signed/],
    ['it was encrypted with another key', { key: CryptKey.generate() }, () => undefined, { key }, /made with the key/],
    ['it was signed with another key', { key: CryptKey.generate(), sign: true }, () => undefined, { key, sign: true }, /made with the key/],
    ['its signature was taken away', { key, sign: true }, async snapshot => {
      const [manifest, guard] = await store.datastore.loadManifestLocked(snapshot)
      await store.datastore.storeManifest(snapshot, { ...manifest, signature: null }, guard)
      guard.release()
    }, { key, sign: true }, /has no signature/],
    ['it was changed after it was signed', { key, sign: true }, async snapshot => {
      const [manifest, guard] = await store.datastore.loadManifestLocked(snapshot)
      const { backupType, backupId, backupTime, files, unprotected } = manifest
      const forged = createManifest({ backupType, backupId, backupTime, files: files.map(file => ({ ...file, cryptMode: 'sign-only' as const })).reverse(), unprotected })
      await store.datastore.storeManifest(snapshot, { ...forged, signature: manifest.signature }, guard)
      guard.release()
    }, { key, sign: true }, /changed after it was signed/],
    ['it was found to be damaged', {}, async snapshot => { await store.datastore.setVerifyState(snapshot, { state: 'failed', upid: 'UPID:a' }) }, {}, undefined],
    ['it is gone', {}, snapshot => { rmSync(fileOf(snapshot, ''), { recursive: true }) }, {}, undefined],
    ['everything is to be read', {}, () => undefined, { changeDetection: 'data' }, undefined],
  ])('%s: everything is read', async (_name, before, spoil, now, remark) => {
    const snapshot = newGroup()
    await run(snapshot, directory(root), before)
    await spoil(snapshot)
    const { remarks, ...second } = await run(later(snapshot), directory(root), now)
    expect(second).toMatchObject({ skippedBytes: 0, bytesRead: size })
    expect(remarks).toEqual(remark === undefined ? [] : [expect.stringMatching(remark)])
    // The next one is none the worse.
    expect(await run(later(snapshot, 2), directory(root), { ...now, changeDetection: 'metadata' })).toMatchObject({ skippedBytes: size, remarks: [] })
  })

  it.each<[string, Partial<BackupOptions>]>([['encrypted', { key }], ['signed', { key, sign: true }]])('the same key, %s: nothing is read', async (_name, options) => {
    const snapshot = newGroup()
    await run(snapshot, directory(root), options)
    expect(await run(later(snapshot), directory(root), options)).toMatchObject({ skippedBytes: size, remarks: [] })
    expect((await streamOf(later(snapshot), key)).equals(await everythingRead(directory(root)))).toBe(true)
  })

  it('a chunk is missing: it is read and made again', async () => {
    const snapshot = newGroup()
    const secret = CryptKey.generate() // chunks of its own
    await run(snapshot, directory(root), { key: secret })
    using reader = await store.datastore.openReader(snapshot)
    const index = await reader.readIndex('tree.tar.didx')
    const { digest, start, end } = index.entryAt(1)
    unlinkSync(store.datastore.chunks.pathOf(digest))
    const second = await run(later(snapshot), directory(root), { key: secret })
    expect(second.skippedBytes).toBeLessThanOrEqual(size - (end - start))
    expect(second.skippedBytes).toBeGreaterThan(0)
    expect((await streamOf(later(snapshot), secret)).equals(await everythingRead(directory(root)))).toBe(true)
  })

  it('something else is left out: what is there still is not read', async () => {
    const snapshot = newGroup()
    await run(snapshot, directory(root))
    const source = directory(root, { exclude: ['file 14'] })
    const second = await run(later(snapshot), source)
    expect(second.skippedBytes).toBeGreaterThan(0)
    expect((await streamOf(later(snapshot))).equals(await everythingRead(source))).toBe(true)
    const third = await run(later(snapshot, 2), directory(root))
    expect(third.skippedBytes).toBeGreaterThan(0)
    expect((await streamOf(later(snapshot, 2))).equals(await everythingRead(directory(root)))).toBe(true)
  })
})

describe('an image', () => {
  const path = join(folder, 'disk.img')
  const bytes = 17 * MIB + 4096
  const stream = async (snapshot: SnapshotName): Promise<Buffer> => await streamOf(snapshot, undefined, 'disk.img.fidx')
  beforeAll(async () => {
    writeFileSync(path, noise(50, 6 * MIB))
    truncateSync(path, bytes)
    await settle(path)
  })

  it('that has not changed is not read; then one block of it is another', async () => {
    const snapshot = newGroup()
    expect(await run(snapshot, image(path))).toMatchObject({ skippedBytes: 0, chunks: 5 })
    expect(await run(later(snapshot), image(path))).toMatchObject({ skippedBytes: bytes, bytesRead: bytes, bytesStored: 0, chunks: 5, reusedChunks: 5 })
    expect((await stream(later(snapshot))).equals(readFileSync(path))).toBe(true)
    expect(await run(later(snapshot, 2), image(path), { changeDetection: 'data' })).toMatchObject({ skippedBytes: 0, reusedChunks: 5 })
    using reader = await store.datastore.openReader(snapshot)
    const chunk = store.datastore.chunks.pathOf((await reader.readIndex('disk.img.fidx')).digestAt(1))
    unlinkSync(chunk)
    expect(await run(later(snapshot, 3), image(path))).toMatchObject({ skippedBytes: bytes - 4 * MIB })
    expect(existsSync(chunk)).toBe(true)
    const fd = openSync(path, 'r+')
    writeSync(fd, 'changed', 0, 'latin1')
    closeSync(fd)
    utimesSync(path, TIME, TIME)
    expect(await run(later(snapshot, 4), image(path))).toMatchObject({ skippedBytes: 0, reusedChunks: 4 })
    expect((await stream(later(snapshot, 4))).equals(readFileSync(path))).toBe(true)
  })

  it('that was changed just before, or while it was read, is read the next time', async () => {
    const changing = join(folder, 'changing.img')
    const snapshot = newGroup()
    writeFileSync(changing, noise(51, 20 * MIB))
    await settle(changing)
    const touch = (): void => { utimesSync(changing, TIME, TIME) }
    await run(snapshot, image(changing), { onProgress: ({ phase }) => { if (phase === 'data') touch() } })
    expect(await run(later(snapshot), image(changing))).toMatchObject({ skippedBytes: 0, remarks: [] })
  })
})

it('names that a catalogue takes are refused for others', async () => {
  await expect(backUp(store.datastore, newGroup(), [directory(folder), { kind: 'blob', name: 'tree.tar.catalog', path: '/etc/hosts' }], { owner: OWNER })).rejects.toThrow(/tree\.tar\.catalog\.blob twice/)
})
