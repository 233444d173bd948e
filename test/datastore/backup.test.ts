/** A backup from start to end: what it writes, what it refuses, what it reuses, what is left when it is aborted. */
import { existsSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  BusyError, CryptKey, type Datastore, decodeDynamicIndex, decodeFixedIndex, decodeManifest, digestToHex, encodeBlob, sha256, type SnapshotName,
} from '../../src/datastore/index.js'
import {
  asFiles, backUp, chunk, CHUNK_BYTES, codeOf, expectImage, later, makeStore, manifestOf, modeOf, newGroup, openAgain, OWNER, type TestStore, tree, writeImage,
} from './store-support.js'

let store: TestStore
let datastore: Datastore
beforeAll(async () => {
  store = await makeStore()
  datastore = store.datastore
})

const start = (snapshot: SnapshotName, owner = OWNER) => datastore.startBackup(snapshot, { owner })
const directoryOf = ({ type, id }: SnapshotName): string => join(store.base, type, id)
const nameOf = (snapshot: SnapshotName): string => new Date(snapshot.time * 1000).toISOString().replace('.000', '')

describe('a backup', () => {
  test('is on disk as its format says, byte by byte', async () => {
    const snapshot = newGroup()
    const before = Math.floor(Date.now() / 1000)
    const session = await start(snapshot)
    const image = await writeImage(session, 'disk.img.fidx', [1, 2, 1])
    const stream = session.createDynamicIndex('root.pxar.didx')
    for (const number of [2, 3]) {
      const { digest, plain, encoded } = chunk(number)
      await session.insertChunk(digest, plain.length, encoded)
      await stream.append(digest, plain.length)
    }
    const raw = encodeBlob(Buffer.from('cores: 4\n'))
    const archives = [image, await stream.close(), await session.addBlob('qemu-server.conf.blob', raw)]
    expect(readdirSync(join(directoryOf(snapshot), nameOf(snapshot))).sort()).toEqual(['disk.img.fidx', 'qemu-server.conf.blob', 'root.pxar.didx'])
    await session.finish(manifestOf(snapshot, archives, { notes: 'made by the test' }))

    expect(tree(directoryOf(snapshot))).toEqual([
      `${nameOf(snapshot)}/`, ...['disk.img.fidx', 'index.json.blob', 'qemu-server.conf.blob', 'root.pxar.didx'].map(name => `${nameOf(snapshot)}/${name}`), 'owner',
    ])
    const file = (name: string): Buffer => readFileSync(join(directoryOf(snapshot), nameOf(snapshot), name))
    expect(readFileSync(join(directoryOf(snapshot), 'owner'), 'utf8')).toBe('alice@pbs\n')
    expect(file('qemu-server.conf.blob').equals(raw)).toBe(true)
    const fixed = file('disk.img.fidx')
    expect(fixed.subarray(0, 8).toString('hex')).toBe('2f7f41ed91fd0fcd')
    expect(fixed.length).toBe(4096 + 3 * 32)
    expect(fixed.readBigUInt64LE(64)).toBe(BigInt(3 * CHUNK_BYTES))
    expect(fixed.readBigUInt64LE(72)).toBe(BigInt(CHUNK_BYTES))
    expect(Number(fixed.readBigInt64LE(24))).toBeGreaterThanOrEqual(before)
    expect(fixed.subarray(80, 4096).every(byte => byte === 0)).toBe(true)
    expect(fixed.subarray(4096).equals(Buffer.concat([1, 2, 1].map(number => chunk(number).digest)))).toBe(true)
    expect(fixed.subarray(32, 64).equals(sha256(fixed.subarray(4096)))).toBe(true)
    const dynamic = file('root.pxar.didx')
    expect(dynamic.subarray(0, 8).toString('hex')).toBe('1c914ea519bab3cd')
    expect([dynamic.readBigUInt64LE(4096), dynamic.readBigUInt64LE(4136)]).toEqual([BigInt(CHUNK_BYTES), BigInt(2 * CHUNK_BYTES)])
    expect(dynamic.subarray(4104, 4136).equals(chunk(2).digest)).toBe(true)
    for (const name of ['owner', `${nameOf(snapshot)}/index.json.blob`, `${nameOf(snapshot)}/disk.img.fidx`]) expect(modeOf(join(directoryOf(snapshot), name))).toBe('644')
    const manifest = decodeManifest(file('index.json.blob'), 'it')
    expect(manifest.unprotected).toEqual({ notes: 'made by the test', chunk_upload_stats: { count: 4, size: 4 * CHUNK_BYTES, compressed_size: 4 * chunk(1).encoded.length, duplicates: 1 } })
    expect(manifest.files.map(({ filename, size, csum }) => [filename, size, digestToHex(csum)])).toEqual([
      ['disk.img.fidx', 3 * CHUNK_BYTES, digestToHex(decodeFixedIndex(fixed, 'it').csum)],
      ['root.pxar.didx', 2 * CHUNK_BYTES, digestToHex(decodeDynamicIndex(dynamic, 'it').csum)],
      ['qemu-server.conf.blob', raw.length, digestToHex(sha256(raw))],
    ])
    expect(datastore.running()).toEqual([])
  })

  test('holds its group and the previous snapshot until it ends, and says who it is', async () => {
    const first = newGroup()
    await backUp(datastore, first, [1])
    const session = await start(later(first))
    const other = await openAgain(store)
    const busy = await other.startBackup(later(first, 2), { owner: OWNER }).catch((error: unknown) => error)
    expect(busy).toBeInstanceOf(BusyError)
    expect(busy).toMatchObject({ code: 'LOCK_BUSY', waitedMs: expect.any(Number), holders: [{ pid: process.pid, operation: 'backup', mode: 'exclusive' }] })
    expect((busy as BusyError).message).toMatch(new RegExp(`group vm/${first.id} is in use: backup of process ${process.pid} since 20`))
    expect(Math.abs((busy as BusyError).holders[0]!.since!.getTime() - Date.now())).toBeLessThan(60_000)
    for (const action of [
      () => other.setProtected(first, true), // would be removed under us
      () => other.setOwner(first, 'bob@pbs'), () => other.setGroupNotes(first, 'x'),
      () => other.openReader(later(first)),
    ]) expect(await codeOf(action)).toBe('LOCK_BUSY')
    await expectImage(other, first, [1])
    expect(other.running()).toMatchObject([{ pid: process.pid, operation: 'backup', target: `vm/${first.id}/${nameOf(later(first))}` }])
    expect(other.locks.oldestWriter()?.getTime()).toBe(other.running()[0]!.since.getTime())
    await session.abort()
    expect(other.running()).toEqual([])
    expect(other.locks.oldestWriter()).toBeUndefined()
    await other.setProtected(first, true)
  })

  test('reuses the chunks of the previous snapshot without upload, if they are still there', async () => {
    const first = newGroup()
    await backUp(datastore, first, [10, 11, 12])
    const session = await start(later(first))
    expect(session.previous?.snapshot).toEqual(first)
    expect([...session.knownChunks].sort()).toEqual([10, 11, 12].map(number => [digestToHex(chunk(number).digest), CHUNK_BYTES] as const).sort())
    const path = datastore.chunks.pathOf(chunk(10).digest)
    utimesSync(path, 1000, 1000)
    expect(await session.reuseChunk(chunk(10).digest)).toBe(CHUNK_BYTES)
    expect(statSync(path).atimeMs).toBeGreaterThan(Date.now() - 60_000) // garbage collection leaves it
    rmSync(datastore.chunks.pathOf(chunk(11).digest))
    const writer = await session.createFixedIndex('disk.img.fidx', 2 * CHUNK_BYTES, { chunkBytes: CHUNK_BYTES })
    await writer.append(chunk(10).digest, CHUNK_BYTES)
    expect(await codeOf(() => writer.append(chunk(11).digest, CHUNK_BYTES))).toBe('CHUNK_MISSING')
    expect(await session.reuseChunk(chunk(11).digest)).toBeUndefined()
    await session.insertChunk(chunk(11).digest, CHUNK_BYTES, chunk(11).encoded)
    await writer.append(chunk(11).digest, CHUNK_BYTES)
    await session.finish(manifestOf(later(first), [await writer.close()]))
    expect(session.statistics).toMatchObject({ count: 1, duplicates: 0 })
    await expectImage(datastore, later(first), [10, 11])
  })

  test('an index of the previous snapshot as the base: only what has changed is sent', async () => {
    const first = newGroup()
    await backUp(datastore, first, [20, 21, 22])
    const { csum } = (await datastore.loadManifest(first)).files[0]!
    const session = await start(later(first))
    const options = { chunkBytes: CHUNK_BYTES, reuse: csum }
    expect(await codeOf(() => session.createFixedIndex('disk.img.fidx', 4 * CHUNK_BYTES, options))).toBe('INDEX_WRONG')
    expect(await codeOf(() => session.createFixedIndex('disk.img.fidx', 3 * CHUNK_BYTES, { ...options, reuse: sha256(csum) }))).toBe('INDEX_WRONG')
    expect(await codeOf(() => session.createFixedIndex('other.img.fidx', 3 * CHUNK_BYTES, options))).toBe('ARCHIVE_MISSING')
    const writer = await session.createFixedIndex('disk.img.fidx', 3 * CHUNK_BYTES, options)
    await session.insertChunk(chunk(23).digest, CHUNK_BYTES, chunk(23).encoded)
    await writer.append(chunk(23).digest, CHUNK_BYTES, CHUNK_BYTES)
    const expected = sha256(chunk(20).digest, chunk(23).digest, chunk(22).digest)
    expect(await codeOf(() => writer.close({ count: 3, csum: expected }))).toBe('INDEX_WRONG')
    await session.finish(manifestOf(later(first), [await writer.close({ count: 1, csum: expected })]))
    await expectImage(datastore, later(first), [20, 23, 22])
  })

  test('a snapshot that did not verify is no base', async () => {
    const first = newGroup()
    await backUp(datastore, first, [30])
    await datastore.setVerifyState(first, { state: 'failed', upid: 'UPID:test' })
    const session = await start(later(first))
    expect(session.previous).toBeUndefined()
    expect(session.knownChunks.size).toBe(0)
    await session.abort()
  })

  test('a damaged index of the previous snapshot is no base, a damaged manifest neither', async () => {
    const first = newGroup()
    await backUp(datastore, first, [31])
    writeFileSync(join(directoryOf(first), nameOf(first), 'disk.img.fidx'), 'x')
    const second = await start(later(first))
    expect(second.knownChunks.size).toBe(0)
    await second.abort()
    writeFileSync(join(directoryOf(first), nameOf(first), 'index.json.blob'), 'x')
    const other = await openAgain(store)
    const third = await other.startBackup(later(first), { owner: OWNER })
    expect(third.previous).toBeUndefined()
    await third.abort()
  })
})

describe('who may start', () => {
  test('later than every finished one', async () => {
    const snapshot = newGroup()
    await backUp(datastore, snapshot, [1])
    for (const seconds of [0, -1]) expect(await codeOf(() => start(later(snapshot, seconds)))).toBe('SNAPSHOT_TOO_OLD')
    expect(readdirSync(directoryOf(snapshot)).length).toBe(2)
    await (await start(later(snapshot, 1))).abort()
  })

  test('the owner, and the user of a token that is', async () => {
    const group = newGroup()
    const first = await start(group, 'alice@pbs!laptop')
    await first.finish(manifestOf(group, [await first.addBlob('a.blob', encodeBlob(Buffer.from('a')))]))
    for (const owner of ['bob@pbs', 'alice@pbs!other']) expect(await codeOf(() => start(later(group), owner))).toBe('OWNER_WRONG')
    await (await start(later(group), 'alice@pbs')).abort()
    rmSync(join(directoryOf(group), 'owner'))
    expect(await codeOf(() => start(later(group)))).toBe('OWNER_WRONG')
    await datastore.setOwner(group, OWNER)
    await (await start(later(group))).abort()
  })

  test('with wrong arguments nobody', async () => {
    const snapshot = newGroup()
    expect(await codeOf(() => start(snapshot, 'nobody'))).toMatch(/RangeError.*owner/)
    expect(await codeOf(() => start({ ...snapshot, time: 1.5 }))).toMatch(/RangeError.*time/)
    expect(await codeOf(() => start({ ...snapshot, id: '../x' }))).toMatch(/RangeError.*id/)
    expect(await codeOf(() => datastore.startBackup(snapshot, { owner: OWNER, wait: 1 } as any))).toMatch(/TypeError.*wait/)
    expect(await codeOf(() => start({ ...snapshot, namespace: ['nowhere'] }))).toBe('NAMESPACE_MISSING')
    expect(existsSync(directoryOf(snapshot))).toBe(false)
    expect(datastore.running().filter(({ target }) => target.includes(snapshot.id))).toEqual([])
  })
})

describe('what a session refuses', () => {
  const key = CryptKey.generate()
  test.each<[name: string, code: string | RegExp, act: (session: Awaited<ReturnType<typeof start>>) => Promise<unknown>]>([
    ['a chunk of other bytes', 'CHUNK_DAMAGED', session => session.insertChunk(chunk(1).digest, CHUNK_BYTES, chunk(2).encoded)],
    ['a chunk of another length', 'CHUNK_DAMAGED', session => session.insertChunk(chunk(1).digest, 7, chunk(1).encoded)],
    ['an encrypted chunk with a wrong checksum', 'FORMAT_CHECKSUM', session => {
      const encoded = encodeBlob(chunk(1).plain, { key })
      encoded[8]! ^= 1
      return session.insertChunk(key.chunkDigest(chunk(1).plain), CHUNK_BYTES, encoded)
    }],
    ['a blob with a wrong checksum', 'FORMAT_CHECKSUM', session => {
      const encoded = encodeBlob(Buffer.from('some bytes'))
      encoded[8]! ^= 1
      return session.addBlob('a.blob', encoded)
    }],
    ['the manifest as a blob', /RangeError/, session => session.addBlob('index.json.blob', encodeBlob(Buffer.from('{}')))],
    ['a name with a slash', /RangeError/, session => session.addBlob('../a.blob', encodeBlob(Buffer.from('a')))],
    ['a name of another kind', /RangeError/, async session => session.createDynamicIndex('a.fidx')],
    ['two archives of one name', 'ARCHIVE_EXISTS', async session => {
      session.createDynamicIndex('a.didx')
      session.createDynamicIndex('a.didx')
    }],
    ['an unknown chunk in an index', 'CHUNK_UNKNOWN', session => session.createDynamicIndex('a.didx').append(sha256(Buffer.from('unknown')), 10)],
    ['a chunk that is longer than it is', 'INDEX_WRONG', async session => {
      await session.insertChunk(chunk(1).digest, CHUNK_BYTES, chunk(1).encoded)
      await session.createDynamicIndex('a.didx').append(chunk(1).digest, 10)
    }],
    ['a chunk of a stream at another place', 'INDEX_WRONG', session => session.createDynamicIndex('a.didx').append(chunk(1).digest, CHUNK_BYTES, 5)],
    ['a chunk size that is no power of two', /RangeError/, session => session.createFixedIndex('a.fidx', 100, { chunkBytes: 5000 })],
    ['an image without bytes', /RangeError/, session => session.createFixedIndex('a.fidx', 0)],
    ['a misspelt option', /TypeError.*chunkSize/, session => session.createFixedIndex('a.fidx', 10, { chunkSize: 1 } as any)],
    ['to finish without an archive', 'SESSION_INCOMPLETE', session => session.finish(manifestOf(session.snapshot, []))],
    ['to finish with an open index', 'SESSION_INCOMPLETE', async session => {
      await session.addBlob('a.blob', encodeBlob(Buffer.from('a')))
      session.createDynamicIndex('a.didx')
      await session.finish(manifestOf(session.snapshot, []))
    }],
    ['a manifest that lacks an archive', 'MANIFEST_WRONG', async session => {
      await session.addBlob('a.blob', encodeBlob(Buffer.from('a')))
      await session.finish(manifestOf(session.snapshot, []))
    }],
    ['a manifest with an archive that is not there', 'MANIFEST_WRONG', async session => {
      const blob = await session.addBlob('a.blob', encodeBlob(Buffer.from('a')))
      await session.finish(manifestOf(session.snapshot, [blob, { ...blob, filename: 'b.blob' }]))
    }],
    ['a manifest with another checksum', 'MANIFEST_WRONG', async session => {
      const blob = await session.addBlob('a.blob', encodeBlob(Buffer.from('a')))
      await session.finish(manifestOf(session.snapshot, [{ ...blob, csum: sha256(blob.csum) }]))
    }],
    ['the manifest of another snapshot', 'MANIFEST_WRONG', async session => {
      const blob = await session.addBlob('a.blob', encodeBlob(Buffer.from('a')))
      await session.finish(manifestOf(later(session.snapshot), [blob]))
    }],
  ])('%s', async (_name, code, act) => {
    const snapshot = newGroup()
    const session = await start(snapshot)
    expect(await codeOf(() => act(session))).toMatch(code)
    expect(session.isOpen).toBe(true)
    await session.abort()
    expect(existsSync(directoryOf(snapshot))).toBe(false)
  })

  const places: [name: string, code: string, size: number | undefined, appends: [start: number, bytes: number][]][] = [
    ['not on a multiple', 'INDEX_WRONG', undefined, [[100, CHUNK_BYTES]]],
    ['behind the end', 'INDEX_WRONG', 2 * CHUNK_BYTES, [[2 * CHUNK_BYTES, CHUNK_BYTES]]],
    ['short in the middle', 'INDEX_WRONG', 2 * CHUNK_BYTES, [[0, 100]]],
    ['whole where the end is short', 'INDEX_WRONG', CHUNK_BYTES + 100, [[CHUNK_BYTES, CHUNK_BYTES]]],
    ['a second short one', 'INDEX_WRONG', undefined, [[0, 100], [CHUNK_BYTES, 100]]],
    ['a short one before another', 'INDEX_WRONG', undefined, [[CHUNK_BYTES, CHUNK_BYTES], [0, 100]]],
    ['one is missing', 'INDEX_WRONG', 3 * CHUNK_BYTES, [[0, CHUNK_BYTES], [2 * CHUNK_BYTES, CHUNK_BYTES]]],
    ['none at all', 'INDEX_WRONG', undefined, []],
    ['all, backwards', 'no error', 2 * CHUNK_BYTES + 100, [[2 * CHUNK_BYTES, 100], [CHUNK_BYTES, CHUNK_BYTES], [0, CHUNK_BYTES]]],
    ['one twice', 'no error', undefined, [[0, CHUNK_BYTES], [0, CHUNK_BYTES], [CHUNK_BYTES, 100]]],
  ]
  test.each(places)('chunks of an image: %s', async (_name, code, size, appends) => {
    const session = await start(newGroup())
    for (const bytes of [100, CHUNK_BYTES]) await session.insertChunk(chunk(bytes, bytes).digest, bytes, chunk(bytes, bytes).encoded)
    const writer = await session.createFixedIndex('a.fidx', size, { chunkBytes: CHUNK_BYTES })
    expect(await codeOf(async () => {
      for (const [at, bytes] of appends) await writer.append(chunk(bytes, bytes).digest, bytes, at)
      const { size: written } = await writer.close({ count: appends.length })
      expect(written).toBe(Math.max(...appends.map(([at, bytes]) => at + bytes)))
    })).toBe(code)
    await session.abort()
  })

  test('anything after its end; abort and finish twice', async () => {
    const snapshot = newGroup()
    const session = await start(snapshot)
    const writer = session.createDynamicIndex('b.didx')
    writer.discard()
    const blob = await session.addBlob('a.blob', encodeBlob(Buffer.from('a')))
    await session.finish(manifestOf(snapshot, [blob]))
    await session.abort() // nothing any more
    for (const act of [
      () => session.finish(manifestOf(snapshot, [blob])), () => session.addBlob('c.blob', encodeBlob(Buffer.from('a'))), () => session.createDynamicIndex('d.didx'),
      () => session.insertChunk(chunk(1).digest, CHUNK_BYTES, chunk(1).encoded), () => writer.append(chunk(1).digest, 1), () => writer.close(),
    ]) expect(await codeOf(act)).toBe('SESSION_ENDED')
    expect((await datastore.loadManifest(snapshot)).files).toEqual(asFiles([blob]))
  })
})

test('the owner of broken locks notices before it writes its manifest', async () => {
  const snapshot = newGroup()
  const victim = await openAgain(store)
  const session = await victim.startBackup(snapshot, { owner: OWNER })
  const blob = await session.addBlob('a.blob', encodeBlob(Buffer.from('a')))
  expect(datastore.locks.table.evict(victim.locks.table.participantNumber)).toBe(true)
  expect(await codeOf(() => session.finish(manifestOf(snapshot, [blob])))).toBe('SESSION_LOST')
  await session.abort()
  expect(existsSync(join(directoryOf(snapshot), nameOf(snapshot), 'a.blob'))).toBe(true) // not its own any more
  await backUp(datastore, snapshot, [1]) // whoever comes next removes it
  await expectImage(datastore, snapshot, [1])
})
