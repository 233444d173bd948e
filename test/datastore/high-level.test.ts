/** Whole backups and restores of real data, through the public face. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, truncateSync, unlinkSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { beforeAll, describe, expect, it } from 'vitest'
import { backUp, type BackupOptions, CryptKey, type Progress, restore, type SnapshotName, type Source } from '../../src/datastore/index.js'
import { snapshotPath } from '../../src/datastore/names.js'
import { codeOf, later, makeStore, newGroup, OWNER, temporaryDirectory, type TestStore } from './store-support.js'

const MIB = 2 ** 20
let store: TestStore
const folder = temporaryDirectory()
const at = (name: string): string => join(folder, name)
beforeAll(async () => {
  store = await makeStore()
})

const run = async (snapshot: SnapshotName, sources: readonly Source[], options: Partial<BackupOptions> = {}) => await backUp(store.datastore, snapshot, sources, { owner: OWNER, time: snapshot.time, ...options })
const bin = (content: Uint8Array): Source => ({ kind: 'stream', name: 'data.bin', stream: Readable.from([content], { objectMode: false }) })

/** A file system with some files in it, if this machine can make one, else what looks like one: data, zeros and holes. */
function makeImage(path: string): void {
  writeFileSync(path, '')
  truncateSync(path, 96 * MIB)
  const mkfs = ['/usr/sbin/mkfs.ext4', '/sbin/mkfs.ext4'].find(existsSync)
  if (mkfs !== undefined) {
    execFileSync(mkfs, ['-q', '-F', '-d', 'src', path])
    return
  }
  const fd = openSync(path, 'r+')
  for (const block of [0, 5, 6, 90]) writeSync(fd, randomBytes(MIB / 2), 0, MIB / 2, block * MIB)
  writeSync(fd, Buffer.alloc(MIB), 0, MIB, 40 * MIB)
  closeSync(fd)
}

describe('an image', () => {
  const snapshot = newGroup()
  const image = at('disk.img')
  const sources: readonly Source[] = [{ kind: 'image', name: 'disk.img', path: image }]
  beforeAll(() => {
    makeImage(image)
  })

  it('comes back, sparse where it was; a changed block is all that is stored next time', async () => {
    const first = await run(snapshot, sources)
    expect(first).toMatchObject({ bytesRead: 96 * MIB, chunks: 24, warnings: [] })
    const fd = openSync(image, 'r+')
    writeSync(fd, 'changed', 0, 'latin1')
    closeSync(fd)
    const second = await run(later(snapshot), sources)
    expect(second.reusedChunks).toBe(23)
    const report = await restore(store.datastore, second.snapshot, 'disk.img.fidx', { kind: 'file', path: at('restored.img') })
    expect(report).toMatchObject({ bytes: 96 * MIB, warnings: [] })
    expect(readFileSync(at('restored.img')).equals(readFileSync(image))).toBe(true)
    expect(statSync(at('restored.img')).blocks).toBeLessThanOrEqual(statSync(image).blocks)
    expect(statSync(image).blocks).toBeLessThan(96 * MIB / 512)
  })

  it('goes to a stream as well', async () => {
    const stream = new PassThrough()
    const [bytes] = await Promise.all([buffer(stream), restore(store.datastore, later(snapshot), 'disk.img.fidx', { kind: 'stream', stream }).then(() => stream.end())])
    expect(bytes.equals(readFileSync(image))).toBe(true)
  })
})

describe('keys', () => {
  const key = CryptKey.generate()
  const content = randomBytes(3 * MIB)
  const target = { kind: 'file', path: at('decrypted') } as const

  it('an encrypted backup needs its key', async () => {
    const snapshot = newGroup()
    writeFileSync(at('secret.conf'), 'secret')
    const { files } = await run(snapshot, [bin(content), { kind: 'blob', name: 'secret.conf', path: at('secret.conf') }], { key })
    expect(files.map(({ cryptMode }) => cryptMode)).toEqual(['encrypt', 'encrypt'])
    expect((await store.datastore.loadManifest(snapshot)).signature).not.toBeNull()
    for (const archive of ['data.bin.didx', 'secret.conf.blob']) {
      expect(await codeOf(() => restore(store.datastore, snapshot, archive, target))).toBe('KEY_MISSING')
      expect(await codeOf(() => restore(store.datastore, snapshot, archive, target, { key: CryptKey.generate() }))).toBe('KEY_WRONG')
      expect(existsSync(target.path)).toBe(false)
    }
    await restore(store.datastore, snapshot, 'secret.conf.blob', target, { key })
    expect(readFileSync(target.path, 'utf8')).toBe('secret')
    await restore(store.datastore, snapshot, 'data.bin.didx', target, { key })
    expect(readFileSync(target.path).equals(content)).toBe(true)
  })

  it('a signed backup can be read by everybody, and shares chunks with one that is not', async () => {
    const snapshot = newGroup()
    await run(snapshot, [bin(content)])
    const { files, reusedChunks, chunks } = await run(later(snapshot), [bin(content)], { key, sign: true })
    expect([files[0]?.cryptMode, reusedChunks]).toEqual(['sign-only', chunks])
    await restore(store.datastore, later(snapshot), 'data.bin.didx', target)
    expect(readFileSync(target.path).equals(content)).toBe(true)
    expect(await codeOf(() => restore(store.datastore, later(snapshot), 'data.bin.didx', target, { key: CryptKey.generate() }))).toBe('KEY_WRONG')
  })
})

it('what another group has stored is not stored again', async () => {
  const content = randomBytes(2 * MIB)
  const [first, second] = [await run(newGroup(), [bin(content)]), await run(newGroup(), [bin(content)])]
  expect([first.chunks, first.reusedChunks, first.bytesStored > 2 * MIB]).toEqual([first.chunks, 0, true])
  expect(second).toMatchObject({ chunks: first.chunks, reusedChunks: first.chunks, bytesStored: 0 })
})

it('notes are those of the snapshot; without a time it is now, or the second after the latest', async () => {
  const group = newGroup()
  const before = Math.floor(Date.now() / 1000)
  const times = []
  for (const text of ['one', 'two']) times.push((await backUp(store.datastore, group, [bin(Buffer.from(text))], { owner: OWNER, notes: text })).snapshot.time)
  expect(times[0]).toBeGreaterThanOrEqual(before)
  expect(times[1]).toBeGreaterThan(times[0]!)
  expect(await store.datastore.notes({ ...group, time: times[1]! })).toBe('two')
})

describe('a backup that fails leaves no snapshot and no group', () => {
  const missing = at('missing')
  it.each<[name: string, code: string, source: () => Source]>([
    ['a file that is missing', 'SOURCE_IO', () => ({ kind: 'image', name: 'a.img', path: missing })],
    ['a directory that is missing', 'SOURCE_IO', () => ({ kind: 'directory', name: 'a.tar', path: missing })],
    ['a blob that is missing', 'SOURCE_IO', () => ({ kind: 'blob', name: 'a.conf', path: missing })],
    ['a directory that is a file', 'SOURCE_WRONG', () => ({ kind: 'directory', name: 'a.tar', path: process.execPath })],
    ['an image that is a directory', 'SOURCE_WRONG', () => ({ kind: 'image', name: 'a.img', path: folder })],
    ['an image that is empty', 'SOURCE_WRONG', () => {
      writeFileSync(at('empty'), '')
      return { kind: 'image', name: 'a.img', path: at('empty') }
    }],
    ['a stream that fails', 'Error: the stream failed', () => ({ kind: 'stream', name: 'a.bin', stream: new Readable({ read() { this.destroy(new Error('the stream failed')) } }) })],
    ['a stream of objects', 'TypeError: a stream that is backed up must be one of bytes', () => ({ kind: 'stream', name: 'a.bin', stream: Readable.from([{}]) })],
  ])('%s', async (_name, code, source) => {
    const snapshot = newGroup()
    expect(await codeOf(() => run(snapshot, [bin(randomBytes(100)), source()]))).toBe(code)
    expect(await store.datastore.groups()).not.toContainEqual(expect.objectContaining({ id: snapshot.id }))
    expect(existsSync(join(store.base, snapshotPath(snapshot)))).toBe(false)
    expect((await run(snapshot, [bin(randomBytes(100))])).chunks).toBe(1) // no lock was left
  })
})

it('an abort ends a backup whose source says nothing, and leaves nothing', async () => {
  const snapshot = newGroup()
  const ending = new AbortController()
  const stream = new Readable({ read() { setImmediate(() => { ending.abort(new Error('enough')) }) } })
  await expect(run(snapshot, [{ kind: 'stream', name: 'a.bin', stream }], { signal: ending.signal })).rejects.toThrow()
  expect(stream.destroyed).toBe(true)
  expect(await store.datastore.groups()).not.toContainEqual(expect.objectContaining({ id: snapshot.id }))
  await expect(run(snapshot, [bin(Buffer.from('x'))], { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before')
})

it('progress comes rarely, only grows, and ends with the phase "finish"', async () => {
  const seen: Progress[] = []
  const snapshot = newGroup()
  const began = performance.now()
  await run(snapshot, [{ kind: 'image', name: 'disk.img', path: at('disk.img') }], { onProgress: progress => seen.push(progress) })
  const tenths = (performance.now() - began) / 100
  const bytes = seen.map(({ bytesRead }) => bytesRead)
  expect(bytes).toEqual([...bytes].sort((a, b) => a - b))
  expect(seen.at(-1)).toMatchObject({ phase: 'finish', bytesRead: 96 * MIB, totalBytes: 96 * MIB, chunks: 24 })
  expect(seen.length).toBeLessThanOrEqual(tenths + 3) // 24 chunks, and changes of the phase
})

it('a file is replaced when all of the new one is there, and stays if it does not come', async () => {
  const [snapshot, target] = [newGroup(), { kind: 'file', path: at('precious/file') } as const]
  mkdirSync(at('precious'))
  writeFileSync(target.path, 'old')
  const content = randomBytes(12 * MIB)
  await run(snapshot, [bin(content)])
  const signal = AbortSignal.timeout(0)
  await new Promise<void>(resolve => { signal.addEventListener('abort', () => { resolve() }) })
  await expect(restore(store.datastore, snapshot, 'data.bin.didx', target, { signal })).rejects.toThrow()
  using reader = await store.datastore.openReader(snapshot)
  const path = store.datastore.chunks.pathOf((await reader.readIndex('data.bin.didx')).digestAt(1))
  const chunk = readFileSync(path)
  unlinkSync(path)
  expect(await codeOf(() => restore(store.datastore, snapshot, 'data.bin.didx', target))).toBe('CHUNK_MISSING')
  expect([readdirSync(at('precious')), readFileSync(target.path, 'utf8')]).toEqual([['file'], 'old'])
  writeFileSync(path, chunk)
  await restore(store.datastore, snapshot, 'data.bin.didx', target)
  expect([readdirSync(at('precious')), readFileSync(target.path).equals(content)]).toEqual([['file'], true])
  expect(await codeOf(() => restore(store.datastore, snapshot, 'data.bin.didx', { kind: 'file', path: at('no/such/directory') }))).toBe('TARGET_IO')
})

it('a stream to restore to that is slow is waited for; one that ends early is an error', async () => {
  const snapshot = newGroup()
  const content = randomBytes(20 * MIB)
  await run(snapshot, [bin(content)])
  const parts: Buffer[] = []
  const slow = new Writable({ highWaterMark: 1, write: (bytes: Buffer, _encoding, done) => setImmediate(() => { parts.push(bytes); done() }) })
  await restore(store.datastore, snapshot, 'data.bin.didx', { kind: 'stream', stream: slow })
  expect(Buffer.concat(parts).equals(content)).toBe(true)
  expect(slow.writableEnded).toBe(false)
  const broken: Writable = new Writable({ write: () => { broken.destroy() } })
  await expect(restore(store.datastore, snapshot, 'data.bin.didx', { kind: 'stream', stream: broken })).rejects.toThrow()
})

describe('refused before anything is done', () => {
  const stream = (): Readable => Readable.from(['x'])
  it.each<[name: string, sources: () => readonly Source[], options: object, error: RegExp]>([
    ['no source', () => [], {}, /sources must have at least one/],
    ['two of one name', () => [{ kind: 'stream', name: 'a.bin', stream: stream() }, { kind: 'stream', name: 'a.bin', stream: stream() }], {}, /a\.bin\.didx twice/],
    ['a name with a slash', () => [{ kind: 'stream', name: 'a/b', stream: stream() }], {}, /a\/b/],
    ['a directory that is no .tar', () => [{ kind: 'directory', name: 'etc', path: folder }], {}, /must end with \.tar/],
    ['an option that does not exist', () => [bin(Buffer.alloc(1))], { encrypt: true }, /no option "encrypt"/],
    ['a key that is none', () => [bin(Buffer.alloc(1))], { key: Buffer.alloc(32) }, /options\.key must be a CryptKey/],
    ['sign without a key', () => [bin(Buffer.alloc(1))], { sign: true }, /options\.sign needs options\.key/],
    ['a time that is none', () => [bin(Buffer.alloc(1))], { time: 1.5 }, /options\.time/],
  ])('%s', async (_name, sources, options, error) => {
    const snapshot = newGroup()
    await expect(backUp(store.datastore, snapshot, sources(), { owner: OWNER, ...options })).rejects.toThrow(error)
    expect(await store.datastore.groups()).not.toContainEqual(expect.objectContaining({ id: snapshot.id }))
  })

  it('an archive that the snapshot does not have, and one that is no directory', async () => {
    const snapshot = newGroup()
    await run(snapshot, [bin(Buffer.alloc(10))])
    expect(await codeOf(() => restore(store.datastore, snapshot, 'other.bin.didx', { kind: 'file', path: at('x') }))).toBe('ARCHIVE_MISSING')
    await expect(restore(store.datastore, snapshot, 'data.bin.didx', { kind: 'directory', path: at('x') })).rejects.toThrow(RangeError)
    expect(existsSync(at('x'))).toBe(false)
  })
})
