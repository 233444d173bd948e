/** Images and streams into chunks and back, with real threads, for what must hold whatever the threads' order. */
import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blobKind } from '../../../src/datastore/blob.js'
import { Chunker } from '../../../src/datastore/chunker.js'
import { CryptKey } from '../../../src/datastore/crypt.js'
import { sha256 } from '../../../src/datastore/digest.js'
import { packSteps, packStream, SLAB_BYTES } from '../../../src/datastore/pipeline/dynamic.js'
import { packFixed } from '../../../src/datastore/pipeline/fixed.js'
import type { FileProblem } from '../../../src/datastore/pipeline/jobs.js'
import type { PackedChunk } from '../../../src/datastore/pipeline/pack.js'
import { WorkerPool } from '../../../src/datastore/pipeline/pool.js'
import { unpackStream, unpackToFile } from '../../../src/datastore/pipeline/unpack.js'
import { collect, entriesOf, FolderSink } from './support.js'

const MIB = 2 ** 20
const ZERO_CHUNK = 'bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8'

const pool = new WorkerPool({ threads: 3 })
const key = CryptKey.generate()
const folder = mkdtempSync(join(tmpdir(), 'locktable-pack-'))
let sink: FolderSink
beforeEach(() => {
  sink = new FolderSink()
})
afterEach(() => sink.remove())
afterAll(async () => {
  await pool.close()
  rmSync(folder, { recursive: true })
})

/** Half text, half noise: compressible, and never the same twice. */
function realistic(bytes: number): Buffer {
  const text = Buffer.from('It was the best of times, it was the worst of times, it was the age of wisdom. ')
  return Buffer.concat(Array.from({ length: Math.ceil(bytes / 8192) }, () => Buffer.concat([randomBytes(4096), Buffer.alloc(4096, text)]))).subarray(0, bytes)
}

/** A file with data at some places and holes between. */
function sparseImage(bytes: number, data: readonly (readonly [offset: number, content: Buffer])[]): number {
  const fd = openSync(join(folder, 'image'), 'w+')
  ftruncateSync(fd, bytes)
  for (const [offset, content] of data) writeSync(fd, content, 0, content.length, offset)
  return fd
}

async function restored(chunks: PackedChunk[], options: object = {}): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const bytes of unpackStream(entriesOf(chunks), { pool, chunkPath: sink.chunkPath, ...options })) parts.push(Buffer.from(bytes))
  return Buffer.concat(parts)
}

describe.each([['plain', undefined], ['encrypted', key]] as const)('an image, %s', (_what, imageKey) => {
  it('has its chunks in order, each hole once, and comes back with its holes', async () => {
    const fd = sparseImage(30 * MIB + 12345, [[0, realistic(5 * MIB)], [17 * MIB, randomBytes(10)], [30 * MIB, realistic(345)]])
    const chunks = await collect(packFixed(fd, fstatSync(fd).size, { pool, sink, key: imageKey }))
    expect(chunks.map(({ end }) => end)).toEqual([4, 8, 12, 16, 20, 24, 28].map((end) => end * MIB).concat(30 * MIB + 12345))
    const image = readFileSync(join(folder, 'image'))
    for (const { digest, end, length } of chunks) {
      const plain = image.subarray(end - length, end)
      expect(digest.equals(imageKey === undefined ? sha256(plain) : sha256(plain, imageKey.idKey))).toBe(true)
    }
    if (imageKey === undefined) expect(chunks[2]!.digest.toString('hex')).toBe(ZERO_CHUNK)
    expect(chunks.filter(({ encodedBytes }) => encodedBytes !== undefined).length).toBe(sink.inserted.size)
    expect([...sink.inserted.values()].every((times) => times === 1)).toBe(true)
    for (const { digest } of chunks) expect(blobKind(readFileSync(sink.chunkPath(digest)))).toMatch(imageKey === undefined ? /^(raw|zstd)$/ : /^encrypted/)

    const copy = openSync(join(folder, 'copy'), 'w+')
    ftruncateSync(copy, image.length)
    const lengths = await collect(unpackToFile(entriesOf(chunks), copy, { pool, chunkPath: sink.chunkPath, key: imageKey }))
    expect(lengths.reduce((a, b) => a + b)).toBe(image.length)
    expect(readFileSync(join(folder, 'copy')).equals(image)).toBe(true)
    expect(fstatSync(copy).blocks).toBeLessThanOrEqual(fstatSync(fd).blocks)
    closeSync(copy)
    closeSync(fd)
  })

  it('of nothing but a hole reads nothing and stores one chunk', async () => {
    const fd = sparseImage(400 * MIB, [])
    const chunks = await collect(packFixed(fd, 400 * MIB, { pool, sink, key: imageKey }))
    expect(new Set(chunks.map(({ digest }) => digest.toString('hex'))).size).toBe(1)
    expect(chunks.length).toBe(100)
    expect(sink.inserted.size).toBe(1)
    closeSync(fd)
  })
})

describe('a chunk that the session knows', () => {
  it('is neither encoded nor inserted', async () => {
    const fd = sparseImage(12 * MIB, [[0, realistic(12 * MIB)]])
    const first = await collect(packFixed(fd, 12 * MIB, { pool, sink }))
    sink.knownChunks = new Map(first.slice(0, 2).map(({ digest, length }) => [digest.toString('hex'), length]))
    sink.inserted.clear()
    const second = await collect(packFixed(fd, 12 * MIB, { pool, sink }))
    expect(second.map(({ encodedBytes }) => encodedBytes === undefined)).toEqual([true, true, false])
    expect([...sink.inserted.keys()]).toEqual([first[2]!.digest.toString('hex')])
    closeSync(fd)
  })

  it('but which has gone from the store is made again', async () => {
    const block = realistic(4 * MIB)
    const fd = sparseImage(12 * MIB, [[0, block], [4 * MIB, block], [8 * MIB, realistic(4 * MIB)]])
    const first = await collect(packFixed(fd, 12 * MIB, { pool, sink }))
    sink.knownChunks = new Map(first.map(({ digest, length }) => [digest.toString('hex'), length]))
    rmSync(sink.chunkPath(first[0]!.digest))
    sink.inserted.clear()
    const second = await collect(packFixed(fd, 12 * MIB, { pool, sink }))
    expect([...sink.inserted.keys()]).toEqual([first[0]!.digest.toString('hex')])
    expect((await restored(second)).equals(readFileSync(join(folder, 'image')))).toBe(true)
    closeSync(fd)
  })

  it('twice in one image is inserted once, and returned only when it is in the store', async () => {
    const block = realistic(4 * MIB)
    const fd = sparseImage(40 * MIB, Array.from({ length: 10 }, (_, i) => [i * 4 * MIB, block] as const))
    let open = (): void => undefined
    const opened = new Promise<void>((resolve) => (open = resolve))
    sink.beforeInsert = () => opened
    const chunks = packFixed(fd, 40 * MIB, { pool, sink })
    let isFirstHere = false
    const first = chunks.next().then((next) => {
      isFirstHere = true
      return next
    })
    for (let i = 0; i < 100; i++) await turn()
    expect(isFirstHere).toBe(false)
    open()
    await first
    expect((await collect(chunks)).length).toBe(9)
    expect([...sink.inserted.values()]).toEqual([1])
    closeSync(fd)
  })
})

describe('a stream', () => {
  const stream = realistic(70 * MIB)
  function* pieces(bytes: Buffer, length: number): Generator<Buffer> {
    for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
  }
  const expected = ((): number[] => {
    const chunker = new Chunker()
    return [...chunker.push(stream), ...chunker.finish()]
  })()

  it.each([65536, 1_000_003, 70 * MIB])('in pieces of %i bytes is cut where one thread alone would cut it, and comes back', async (length) => {
    const chunks = await collect(packStream(pieces(stream, length), { pool, sink, key }))
    expect(chunks.map(({ end }) => end)).toEqual(expected)
    expect((await restored(chunks, { key })).equals(stream)).toBe(true)
  })

  it.each([['nothing', 0], ['one byte', 1], ['a slab', SLAB_BYTES], ['a slab and one byte', SLAB_BYTES + 1]])('of %s', async (_what, length) => {
    const bytes = stream.subarray(0, length)
    const chunks = await collect(packStream([bytes], { pool, sink }))
    expect(chunks.at(-1)?.end ?? 0).toBe(length)
    expect((await restored(chunks)).equals(bytes)).toBe(true)
  })

  it('of zeros, where a chunk spans several slabs', async () => {
    const chunks = await collect(packStream(pieces(Buffer.alloc(100 * MIB), MIB), { pool, sink }))
    expect(chunks.map(({ length }) => length / MIB)).toEqual([16, 16, 16, 16, 16, 16, 4])
    expect(sink.inserted.size).toBe(2)
  })

  it('made of files is read by the threads; what is missing by then is reported and zero', async () => {
    const path = join(folder, 'part')
    writeFileSync(path, stream.subarray(0, 20 * MIB))
    const problems: FileProblem[] = []
    const missing = join(folder, 'missing')
    const chunks = await collect(packSteps(
      [[Buffer.from('header'), { path, offset: 5, length: 10 * MIB }, { path, offset: 15 * MIB, length: 6 * MIB, entry: 7 }], [{ path: missing, offset: 0, length: 10, entry: 8 }, Buffer.from('end')]],
      { pool, sink, onProblem: (problem) => problems.push(problem) },
    ))
    const content = Buffer.concat([Buffer.from('header'), stream.subarray(5, 5 + 10 * MIB), stream.subarray(15 * MIB, 20 * MIB), Buffer.alloc(MIB + 10), Buffer.from('end')])
    expect((await restored(chunks)).equals(content)).toBe(true)
    expect(problems.map((problem) => [problem.path, problem.entry])).toEqual([[path, 7], [missing, 8]])
  })

  it('that fails passes on its error; so does a store that is full, while the source is silent', async () => {
    async function* failing(): AsyncGenerator<Buffer> {
      yield stream.subarray(0, 3 * MIB)
      throw new Error('the source broke')
    }
    await expect(collect(packStream(failing(), { pool, sink }))).rejects.toThrow('the source broke')
    async function* silent(): AsyncGenerator<Buffer> {
      yield stream
      await new Promise(() => undefined)
    }
    sink.beforeInsert = async () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }))
    await expect(collect(packStream(silent(), { pool, sink }))).rejects.toMatchObject({ code: 'ENOSPC' })
  })

  it('waits for the store: no more is read than the slabs hold', async () => {
    let read = 0
    function* endless(): Generator<Buffer> {
      for (let i = 0; i < 1000; i++) {
        read += MIB
        yield randomBytes(MIB)
      }
    }
    let release = (): void => undefined
    const stuck = new Promise<void>((resolve) => (release = resolve))
    let inserts = 0
    const entered = new Promise<void>((resolve) => {
      sink.beforeInsert = async () => {
        if (++inserts === 2 * pool.threadCount + 2) resolve()
        await stuck
        throw new Error('enough')
      }
    })
    const packed = collect(packStream(endless(), { pool, sink }))
    packed.catch(() => undefined)
    await entered
    // The threads have nothing left to do: what they are asked now is answered after all that came before.
    for (let i = 0; i < 20; i++) await pool.run({ kind: 'fill', target: { buffer: new SharedArrayBuffer(1), from: 0, to: 1 }, pieces: [], between: new Uint8Array(0) })
    expect(read).toBeLessThan(200 * MIB)
    release()
    await expect(packed).rejects.toThrow('enough')
  })

  it('ends at an abort', async () => {
    const stop = new AbortController()
    sink.beforeInsert = async () => stop.abort(new Error('no more'))
    await expect(collect(packStream(pieces(stream, MIB), { pool, sink, signal: stop.signal }))).rejects.toThrow('no more')
  })
})

describe('restoring', () => {
  async function packed(): Promise<PackedChunk[]> {
    return await collect(packStream([realistic(20 * MIB)], { pool, sink, key }))
  }
  /** [what is wrong, how, code] */
  const damages: [string, (path: string) => void, string][] = [
    ['is missing', (path) => rmSync(path), 'CHUNK_MISSING'],
    ['is cut off', (path) => writeFileSync(path, readFileSync(path).subarray(0, 9)), 'FORMAT_TRUNCATED'],
    ['has a flipped bit', (path) => flip(path), 'FORMAT_CHECKSUM'],
  ]
  it.each(damages)('refuses a chunk that %s', async (_what, damage, code) => {
    const chunks = await packed()
    damage(sink.chunkPath(chunks[1]!.digest))
    await expect(restored(chunks, { key })).rejects.toMatchObject({ name: code.startsWith('FORMAT') ? 'FormatError' : 'DatastoreError', code, path: sink.chunkPath(chunks[1]!.digest) })
  })

  it('refuses a chunk of another name, the wrong key and no key', async () => {
    const chunks = await packed()
    writeFileSync(sink.chunkPath(chunks[0]!.digest), readFileSync(sink.chunkPath(chunks[1]!.digest)))
    await expect(restored(chunks, { key })).rejects.toMatchObject({ name: 'FormatError' })
    const others = await packed()
    await expect(restored(others, { key: CryptKey.generate() })).rejects.toMatchObject({ code: 'KEY_WRONG' })
    await expect(restored(others)).rejects.toMatchObject({ code: 'KEY_MISSING' })
  })
})

it('a closed pool does nothing more, and says so', async () => {
  const closing = new WorkerPool({ threads: 1 })
  const chunks = collect(packStream([randomBytes(20 * MIB)], { pool: closing, sink }))
  await closing.close()
  await closing.close()
  await expect(chunks).rejects.toThrow('the pool is closed')
})

it.each([0, 33, 1.5])('a pool of %d threads is refused', (threads) => {
  expect(() => new WorkerPool({ threads })).toThrow(RangeError)
})

function flip(path: string): void {
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1]! ^= 1
  writeFileSync(path, bytes)
}
