/** Chunks: what is stored, what is kept, what is replaced; many at once; the file system says no. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { CryptKey, Datastore, digestToHex, encodeBlob, sha256 } from '../../src/datastore/index.js'
import { decideChunk } from '../../src/datastore/chunk-rules.js'
import { LockTable } from '../../src/index.js'
import { chunk, codeOf, makeStore, modeOf, openAgain, refusal, temporaryDirectory, type TestStore, until, watchedFiles } from './store-support.js'

let store: TestStore
beforeAll(async () => {
  store = await makeStore()
})

const pathOf = (digest: Buffer): string => store.datastore.chunks.pathOf(digest)
const bytes = (number: number, length: number) => chunk(number, length)

describe('a new store', () => {
  test('has the directories and modes of its format', () => {
    const names = readdirSync(join(store.base, '.chunks'))
    expect(names.length).toBe(65_536)
    expect(names.sort().at(0)).toBe('0000')
    expect(names.at(-1)).toBe('ffff')
    for (const name of ['.chunks', '.chunks/0000', '.chunks/ffff']) expect(modeOf(join(store.base, name))).toBe('750')
    expect(modeOf(store.base)).toBe('755')
    expect(modeOf(join(store.base, '.lock'))).toBe('644')
    expect(statSync(join(store.base, '.lock')).size).toBe(0)
    expect(readdirSync(store.base).sort()).toEqual(['.chunks', '.lock'])
  })

  test('needs an empty directory', async () => {
    const { base, table } = store
    expect(await codeOf(() => Datastore.create(base, { table }))).toBe('DATASTORE_EXISTS')
    const directory = temporaryDirectory()
    writeFileSync(join(directory, 'file'), '')
    expect(await codeOf(() => Datastore.create(directory, { table }))).toBe('DATASTORE_EXISTS')
    expect(await codeOf(() => Datastore.open(directory, { table }))).toBe('DATASTORE_MISSING')
    expect(await codeOf(() => Datastore.open(join(directory, 'nothing'), { table }))).toBe('DATASTORE_MISSING')
    expect(await codeOf(() => Datastore.create('relative', { table }))).toMatch(/RangeError/)
    expect(await codeOf(() => Datastore.create('/', { table }))).toMatch(/RangeError/)
    expect(await codeOf(() => Datastore.open(base, { tabel: table } as any))).toMatch(/TypeError.*tabel/)
    expect(await codeOf(() => Datastore.open(base, { table, syncLevel: 'most' as any }))).toMatch(/RangeError.*syncLevel/)
  })

  test('a table without the spaces of a store is refused', async () => {
    const table = await LockTable.open(join(temporaryDirectory(), 'locks'))
    expect(await codeOf(() => Datastore.open(store.base, { table }))).toMatch(/RangeError.*operation/)
    await table.close()
  })

  test('one that failed half-way leaves nothing that is in the way of the next', async () => {
    const directory = join(temporaryDirectory(), 'store')
    const files = watchedFiles((call, path) => {
      if (call === 'makeDirectories' && path.includes('.chunks.tmp_')) throw refusal('ENOSPC', call, path)
    })
    expect(await codeOf(() => Datastore.create(directory, { table: store.table, files }))).toBe('DATASTORE_NO_SPACE')
    expect(readdirSync(directory)).toEqual(['.lock'])
    mkdirSync(join(directory, '.chunks.tmp_abcdef/0000'), { recursive: true }) // what a death leaves
    const made = await Datastore.create(directory, { table: store.table })
    expect(readdirSync(directory).sort()).toEqual(['.chunks', '.lock'])
    await made.close()
  })
})

describe('insert', () => {
  test('stores the bytes under the digest, mode 644, whatever the umask', async () => {
    const { digest, encoded } = bytes(1, 5000)
    const before = process.umask(0o077)
    try {
      expect(await store.datastore.chunks.insert(digest, encoded)).toEqual({ duplicate: false, storedBytes: encoded.length })
    } finally {
      process.umask(before)
    }
    const hex = digest.toString('hex')
    expect(pathOf(digest)).toBe(join(store.base, '.chunks', hex.slice(0, 4), hex))
    expect(readFileSync(pathOf(digest)).equals(encoded)).toBe(true)
    expect(modeOf(pathOf(digest))).toBe('644')
    expect(readdirSync(dirname(pathOf(digest)))).toEqual([hex])
    expect((await store.datastore.chunks.read(digest)).equals(encoded)).toBe(true)
  })

  test('a second time touches: the time of access is now, that of modification stays', async () => {
    const { digest, encoded } = bytes(2, 5000)
    await store.datastore.chunks.insert(digest, encoded)
    utimesSync(pathOf(digest), 1000, 2000)
    expect(await store.datastore.chunks.insert(digest, encoded)).toEqual({ duplicate: true, storedBytes: encoded.length })
    expect(statSync(pathOf(digest)).atimeMs).toBeGreaterThan(Date.now() - 60_000)
    expect(statSync(pathOf(digest)).mtimeMs).toBe(2_000_000)
    utimesSync(pathOf(digest), 1000, 2000)
    expect(await store.datastore.chunks.touch(digest)).toBe(true)
    expect(statSync(pathOf(digest)).atimeMs).toBeGreaterThan(Date.now() - 60_000)
    expect(await store.datastore.chunks.touch(sha256(Buffer.from('nobody has this')))).toBe(false)
  })

  const key = CryptKey.generate()
  const plain = Buffer.alloc(5000, 'text')
  const random = randomBytes(5000)
  const raw = encodeBlob(plain, { compress: false })
  const zstd = encodeBlob(plain)
  const encrypted = encodeBlob(random, { key })
  const longer = encodeBlob(randomBytes(6000), { key })
  const encryptedZstd = encodeBlob(plain, { key })
  const empty = Buffer.alloc(0)
  test.each([
    { name: 'an empty file is replaced', stored: empty, incoming: zstd, outcome: 'replaced' },
    { name: 'a larger one is replaced by a smaller one', stored: raw, incoming: zstd, outcome: 'replaced' },
    { name: 'a smaller one is kept', stored: zstd, incoming: raw, outcome: 'kept' },
    { name: 'one of the same size is kept', stored: raw, incoming: Buffer.from(raw), outcome: 'kept' },
    { name: 'an encrypted one beside an unencrypted one', stored: raw, incoming: encryptedZstd, outcome: 'CHUNK_CONFLICT' },
    { name: 'an encrypted one beside something else', stored: Buffer.from('no chunk at all'), incoming: encrypted, outcome: 'CHUNK_CONFLICT' },
    { name: 'two encrypted, uncompressed ones of different length', stored: encrypted, incoming: longer, outcome: 'CHUNK_CONFLICT' },
    { name: 'a compressed encrypted one keeps an uncompressed one', stored: encrypted, incoming: encryptedZstd, outcome: 'kept' },
    { name: 'an uncompressed encrypted one keeps a compressed one', stored: encryptedZstd, incoming: encrypted, outcome: 'kept' },
    { name: 'an unencrypted one keeps a smaller encrypted one', stored: encryptedZstd, incoming: raw, outcome: 'kept' },
  ])('$name', async ({ name, stored, incoming, outcome }) => {
    const digest = sha256(Buffer.from(name))
    const path = pathOf(digest)
    writeFileSync(path, stored)
    utimesSync(path, 1000, 2000)
    const result = await store.datastore.chunks.insert(digest, incoming).catch((error: unknown) => (error as { code: string }).code)
    if (outcome === 'CHUNK_CONFLICT') expect(result).toBe(outcome)
    else expect(result).toEqual({ duplicate: stored !== empty, storedBytes: outcome === 'kept' ? stored.length : incoming.length })
    expect(readFileSync(path).equals(outcome === 'replaced' ? incoming : stored)).toBe(true)
    if (outcome !== 'CHUNK_CONFLICT') expect(statSync(path).atimeMs).toBeGreaterThan(Date.now() - 60_000)
    expect(readdirSync(dirname(path)).filter(entry => entry.includes('tmp'))).toEqual([])
  })

  test('every pair of files is decided', () => {
    const kinds = ['raw', 'zstd', 'encrypted', 'encrypted-zstd', undefined] as const
    const decided = kinds.flatMap(kind => [10, 0, 5, 20].flatMap(size => kinds.flatMap(incoming => incoming === undefined ? [] : [decideChunk({ bytes: size, kind }, { bytes: 10, kind: incoming })])))
    expect(decided.filter(action => action === 'conflict').length).toBe(2 * (3 * 2 + 1)) // two other sizes; encrypted upon unencrypted, and two uncompressed
  })

  test('what is no chunk, a directory in its place, a missing directory', async () => {
    const { digest, encoded } = bytes(3, 100)
    expect(await codeOf(() => store.datastore.chunks.insert(digest, Buffer.from('not a chunk at all')))).toBe('FORMAT_MAGIC')
    expect(await codeOf(() => store.datastore.chunks.insert(digest.subarray(1), encoded))).toMatch(/RangeError/)
    mkdirSync(pathOf(digest))
    expect(await codeOf(() => store.datastore.chunks.insert(digest, encoded))).toBe('DATASTORE_IO')
    rmSync(dirname(pathOf(digest)), { recursive: true })
    expect(await codeOf(() => store.datastore.chunks.insert(digest, encoded))).toBe('DATASTORE_IO')
    expect(existsSync(dirname(pathOf(digest)))).toBe(false)
    expect(await codeOf(() => store.datastore.chunks.read(digest))).toBe('CHUNK_MISSING')
  })

  test('of many who insert one chunk at once, one has stored it', async () => {
    const openings = await Promise.all(Array.from({ length: 4 }, () => openAgain(store)))
    for (let round = 10; round < 30; round++) {
      const { digest, encoded } = bytes(round, 20_000)
      const results = await Promise.all([...openings, ...openings].map(({ chunks }) => chunks.insert(digest, encoded)))
      expect(results.filter(({ duplicate }) => !duplicate).length).toBe(1)
      expect(readdirSync(dirname(pathOf(digest))).filter(name => name.startsWith(digest.toString('hex')))).toEqual([digest.toString('hex')])
    }
  })
})

describe('the file system refuses', () => {
  test.each([['create', 51], ['link', 52], ['unlink', 53]] as const)('at %s: an error, and no temporary file that could be removed', async (failing, number) => {
    let refused = 0
    const files = watchedFiles((call, path) => {
      if (call === failing && refused++ === 0) throw refusal('ENOSPC', call, path)
    })
    const { chunks } = await openAgain(store, { files })
    const { digest, encoded } = bytes(number, 3000)
    expect(await codeOf(() => chunks.insert(digest, encoded))).toBe('DATASTORE_NO_SPACE')
    expect(readdirSync(dirname(pathOf(digest))).filter(name => name.includes('tmp'))).toEqual([])
    expect(await chunks.insert(digest, encoded)).toMatchObject({ duplicate: failing === 'unlink' })
  })

  test('where there are no hard links, a chunk is renamed to its place', async () => {
    const files = new Proxy(watchedFiles(() => undefined), { get: (door, call) => (call === 'link' ? () => Promise.resolve('impossible') : Reflect.get(door, call)) })
    const { chunks } = await openAgain(store, { files })
    const { digest, encoded } = bytes(60, 3000)
    expect(await chunks.insert(digest, encoded)).toMatchObject({ duplicate: false })
    expect(readFileSync(pathOf(digest)).equals(encoded)).toBe(true)
  })

  test('sync level file: the chunk and its directory are on the disk; none: nothing is waited for', async () => {
    for (const [syncLevel, number, expected] of [['file', 71, ['create with sync', 'syncDirectory']], ['filesystem', 72, ['create']], ['none', 73, ['create']]] as const) {
      const calls: string[] = []
      const files = watchedFiles((call, _path, args) => {
        if (call === 'create') calls.push((args[2] as { sync: boolean }).sync ? 'create with sync' : 'create')
        if (call.startsWith('sync')) calls.push(call)
      })
      const { chunks } = await openAgain(store, { files, syncLevel })
      const { digest, encoded } = bytes(number, 3000)
      await chunks.insert(digest, encoded)
      expect(calls).toEqual(expected)
    }
  })
})

describe('iterate and sweep', () => {
  test('what is a chunk, a bad one, a temporary file, a marker; nothing else', async () => {
    const { digest, encoded } = bytes(80, 3000)
    await store.datastore.chunks.insert(digest, encoded)
    for (const suffix of ['.0.bad', '.10.bad', '.tmp_abc123', '.using', '.other']) writeFileSync(pathOf(digest) + suffix, 'x')
    mkdirSync(`${pathOf(digest)}.1.bad`)
    const found: string[] = []
    for await (const file of store.datastore.chunks.iterate()) if (file.digest.equals(digest)) found.push(`${file.kind} ${file.path.slice(pathOf(digest).length)}`)
    expect(found.sort()).toEqual(['bad .0.bad', 'chunk ', 'marker .using', 'temporary .tmp_abc123'])
  })

  test('a sweep removes what is old, and waits for who touches', async () => {
    const { digest, encoded } = bytes(81, 3000)
    await store.datastore.chunks.insert(digest, encoded)
    const file = { digest, kind: 'chunk' as const, path: pathOf(digest) }
    expect(await store.datastore.chunks.sweep(file, () => false)).toMatchObject({ removed: false, info: { bytes: encoded.length } })
    const other = await openAgain(store)
    const touching = await other.locks.lockChunk(digest, 'shared')
    const sweeping = store.datastore.chunks.sweep(file, () => true)
    const { locks } = store.datastore
    await until(() => locks.table.inspectName(locks.nameOf(digestToHex(digest.subarray(0, 2))), 'chunk').waiters.length === 1)
    expect(existsSync(pathOf(digest))).toBe(true)
    touching.release()
    expect(await sweeping).toMatchObject({ removed: true })
    expect(existsSync(pathOf(digest))).toBe(false)
    expect(await store.datastore.chunks.sweep(file, () => true)).toBeUndefined()
    expect(await other.chunks.touch(digest)).toBe(false)
  })
})

test('a directory that may not be read is an error, not an empty one', async () => {
  const blocked = watchedFiles((call, path) => {
    if (call === 'list' && path.endsWith('/0003')) throw refusal('EACCES', call, path)
  })
  const { chunks } = await openAgain(store, { files: blocked })
  const walk = async (): Promise<void> => {
    for await (const file of chunks.iterate()) expect(file.digest.length).toBe(32)
  }
  expect(await codeOf(walk)).toBe('DATASTORE_IO')
})
