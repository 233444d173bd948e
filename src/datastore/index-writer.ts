/**
 * index-writer.ts: the indexes that a backup writes. A chunk goes in when the session knows it; the file appears when the index is closed.
 */
import { checkInteger } from '../check.js'
import { type Digest, DIGEST_BYTES, digestToHex } from './digest.js'
import { decodeDynamicIndex, encodeDynamicIndex } from './dynamic-index.js'
import { DatastoreError } from './errors.js'
import { decodeFixedIndex, encodeFixedIndex, type FixedIndex, fixedChunkCount } from './fixed-index.js'
import { FIXED_CHUNK_BYTES, MAX_BLOB_BYTES } from './format.js'

/** What the manifest has of an archive. */
export interface WrittenArchive {
  readonly filename: string
  readonly size: number
  readonly csum: Digest
}

/** What the other side believes it has sent; what is given must be so. */
export interface ExpectedIndex {
  /** Chunks that were appended. */
  readonly count?: number | undefined
  readonly size?: number | undefined
  readonly csum?: Uint8Array | undefined
}

/** What a writer needs of its session. @internal */
export interface IndexHome {
  /** Makes sure that the chunk is in the store and has this length. */
  ensureChunk(digest: Uint8Array, bytes: number): Promise<void>
  /** Writes the file; from then on the archive is part of the snapshot. */
  storeIndex(filename: string, encoded: Buffer, archive: WrittenArchive): Promise<void>
  /** The writer ends without a file. */
  dropIndex(filename: string): void
}

const wrong = (filename: string, what: string): never => {
  throw new DatastoreError('INDEX_WRONG', `${filename}: ${what}`, { path: filename })
}

/** Calls overlap only one after the other: an append waits for the one before it. */
abstract class IndexWriter {
  readonly filename: string
  protected readonly home: IndexHome
  #queue: Promise<unknown> = Promise.resolve()
  #ended = false

  constructor(home: IndexHome, filename: string) {
    this.home = home
    this.filename = filename
  }

  protected inTurn<T>(action: () => Promise<T>): Promise<T> {
    const next = this.#queue.then(() => {
      if (this.#ended) throw new DatastoreError('SESSION_ENDED', `${this.filename} is closed`, { path: this.filename })
      return action()
    })
    this.#queue = next.catch(() => undefined)
    return next
  }

  protected async finish(encoded: Buffer, actual: { readonly count: number; readonly size: number; readonly csum: Digest }, expected: ExpectedIndex): Promise<WrittenArchive> {
    const { count, size, csum } = actual
    if (expected.count !== undefined && expected.count !== count) wrong(this.filename, `${expected.count} chunks were announced and ${count} appended`)
    if (expected.size !== undefined && expected.size !== size) wrong(this.filename, `${expected.size} bytes were announced and ${size} appended`)
    if (expected.csum !== undefined && !csum.equals(expected.csum)) wrong(this.filename, `the checksum is ${digestToHex(csum)}, not ${digestToHex(expected.csum)}`)
    const archive = { filename: this.filename, size, csum }
    await this.home.storeIndex(this.filename, encoded, archive)
    this.#ended = true
    return archive
  }

  /** Ends without writing a file. Idempotent. */
  discard(): void {
    if (this.#ended) return
    this.#ended = true
    this.home.dropIndex(this.filename)
  }
}

/** The chunks of an image, all of one size but the last, in any order. */
export class FixedIndexWriter extends IndexWriter {
  readonly chunkBytes: number
  /** Of what is reused: its chunks stand for those that are not appended. */
  readonly #base: FixedIndex | undefined
  #digests: Buffer
  readonly #appended = new Set<number>()
  /** Appends, those to the same place included: what a client counts. */
  #count = 0
  #size: number | undefined
  #next = 0

  /** @internal */
  constructor(home: IndexHome, filename: string, size: number | undefined, chunkBytes: number, base: FixedIndex | undefined) {
    super(home, filename)
    this.chunkBytes = chunkBytes
    this.#size = size
    this.#base = base
    this.#digests = Buffer.alloc((size === undefined ? 128 : fixedChunkCount(size, chunkBytes)) * DIGEST_BYTES)
    if (base !== undefined) for (let chunk = 0; chunk < base.count; chunk++) base.digestAt(chunk).copy(this.#digests, chunk * DIGEST_BYTES)
  }

  /**
   * Puts a chunk that the session knows (see BackupSession) at `start`; without it, behind the one that was appended before.
   *
   * @param bytes  Its length: that of all chunks, or less at the end of the image.
   * @throws {DatastoreError} `INDEX_WRONG`, `CHUNK_UNKNOWN`, `CHUNK_MISSING`
   */
  append(digest: Uint8Array, bytes: number, start?: number): Promise<void> {
    return this.inTurn(async () => {
      const at = start ?? this.#next
      this.#check(at, bytes)
      await this.home.ensureChunk(digest, bytes)
      const chunk = at / this.chunkBytes
      this.#reserve(chunk + 1)
      this.#digests.set(digest, chunk * DIGEST_BYTES)
      this.#appended.add(chunk)
      this.#count++
      this.#next = at + bytes
      if (bytes < this.chunkBytes) this.#size = at + bytes
    })
  }

  #check(at: number, bytes: number): void {
    const { chunkBytes, filename } = this
    if (!Number.isSafeInteger(at) || at < 0 || at % chunkBytes !== 0) wrong(filename, `a chunk cannot start at byte ${at}: that is no multiple of ${chunkBytes}`)
    if (!Number.isInteger(bytes) || bytes < 1 || bytes > chunkBytes) wrong(filename, `a chunk must have 1 to ${chunkBytes} bytes, not ${bytes}`)
    const size = this.#size
    if (size === undefined) {
      if (bytes < chunkBytes && [...this.#appended].some(chunk => chunk * chunkBytes > at)) wrong(filename, `only the last chunk may be short, not that at byte ${at}`)
      return
    }
    if (at >= size) wrong(filename, `byte ${at} is behind the end of the image, ${size}`)
    if (bytes !== Math.min(chunkBytes, size - at)) wrong(filename, `the chunk at byte ${at} must have ${Math.min(chunkBytes, size - at)} bytes, not ${bytes}`)
  }

  #reserve(chunks: number): void {
    if (chunks * DIGEST_BYTES <= this.#digests.length) return
    const larger = Buffer.alloc(Math.max(chunks * DIGEST_BYTES, 2 * this.#digests.length))
    this.#digests.copy(larger)
    this.#digests = larger
  }

  /**
   * Writes the index.
   *
   * @throws {DatastoreError} `INDEX_WRONG`: a chunk is missing, or it is not what is expected.
   */
  close(expected: ExpectedIndex = {}): Promise<WrittenArchive> {
    return this.inTurn(async () => {
      const { chunkBytes, filename } = this
      const size = this.#size ?? this.#appended.size * chunkBytes
      if (size === 0) wrong(filename, 'an image has at least one byte')
      const count = fixedChunkCount(size, chunkBytes)
      if (this.#base === undefined && this.#appended.size !== count) wrong(filename, `${count - this.#appended.size} of ${count} chunks were not appended`)
      const encoded = encodeFixedIndex({ ctime: now(), size, chunkBytes, digests: this.#digests.subarray(0, count * DIGEST_BYTES) })
      // With a base the other side counts what it sent, and knows no more of the size than the base.
      const checked = this.#base === undefined ? expected : { count: expected.count, csum: expected.csum }
      return await this.finish(encoded, { count: this.#count, size, csum: decodeFixedIndex(encoded, filename).csum }, checked)
    })
  }
}

/** The chunks of a stream, one after the other. */
export class DynamicIndexWriter extends IndexWriter {
  readonly #entries: { readonly end: number; readonly digest: Buffer }[] = []
  #end = 0

  /**
   * Appends a chunk that the session knows.
   *
   * @param start  Where the other side believes that it starts: behind the one before.
   * @throws {DatastoreError} `INDEX_WRONG`, `CHUNK_UNKNOWN`, `CHUNK_MISSING`
   */
  append(digest: Uint8Array, bytes: number, start?: number): Promise<void> {
    return this.inTurn(async () => {
      if (start !== undefined && start !== this.#end) wrong(this.filename, `the next chunk starts at byte ${this.#end}, not at ${start}`)
      if (!Number.isInteger(bytes) || bytes < 1 || bytes > MAX_BLOB_BYTES) wrong(this.filename, `a chunk must have 1 to ${MAX_BLOB_BYTES} bytes, not ${bytes}`)
      await this.home.ensureChunk(digest, bytes)
      this.#end += bytes
      this.#entries.push({ end: this.#end, digest: Buffer.from(digest) })
    })
  }

  /** As FixedIndexWriter.close(). */
  close(expected: ExpectedIndex = {}): Promise<WrittenArchive> {
    return this.inTurn(async () => {
      const encoded = encodeDynamicIndex({ ctime: now(), entries: this.#entries })
      return await this.finish(encoded, { count: this.#entries.length, size: this.#end, csum: decodeDynamicIndex(encoded, this.filename).csum }, expected)
    })
  }
}

export const checkFixedSize = (size: number | undefined): number | undefined => (size === undefined ? undefined : checkInteger(size, 'size', 1, Number.MAX_SAFE_INTEGER))

/** A power of two. */
export function checkChunkBytes(chunkBytes: number): number {
  checkInteger(chunkBytes, 'chunkBytes', 4096, FIXED_CHUNK_BYTES)
  if ((chunkBytes & (chunkBytes - 1)) !== 0) throw new RangeError(`chunkBytes must be a power of two, not ${chunkBytes}`)
  return chunkBytes
}

const now = (): number => Math.floor(Date.now() / 1000)
