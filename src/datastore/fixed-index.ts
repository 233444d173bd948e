/**
 * fixed-index.ts: the list of an image's chunks, all of one size but the last. Pure.
 *
 * The checksum is SHA-256 of all digests. An image has at least one byte: an index without digests is no valid file.
 */
import { type ChunkIndex, checkChunk, encodeIndexHeader, type IndexEntry, type IndexIdentity, IndexReader } from './chunk-index.js'
import { DIGEST_BYTES, type Digest, sha256 } from './digest.js'
import { INDEX, INDEX_HEADER_BYTES, MAGIC, MAX_BLOB_BYTES } from './format.js'

export interface FixedIndex extends ChunkIndex {
  readonly chunkBytes: number
}

export interface FixedIndexParts extends IndexIdentity {
  /** Bytes of the image, at least 1. */
  readonly size: number
  /** A power of two, at most 128 MiB. */
  readonly chunkBytes: number
  /** 32 bytes for each chunk, in order. */
  readonly digests: Uint8Array
}

const isPowerOfTwo = (value: number) => value >= 1 && value <= MAX_BLOB_BYTES && (value & (value - 1)) === 0

/** Chunks of an image of `size` bytes. */
export const fixedChunkCount = (size: number, chunkBytes: number): number => Math.ceil(size / chunkBytes)

class DecodedFixedIndex implements FixedIndex {
  readonly uuid: Buffer
  readonly ctime: number
  readonly size: number
  readonly count: number
  readonly chunkBytes: number
  readonly headerCsum: Digest
  readonly #digests: Buffer
  #csum: Digest | undefined

  constructor(reader: IndexReader) {
    this.uuid = reader.uuid
    this.ctime = reader.ctime()
    this.headerCsum = reader.headerCsum
    this.size = reader.bytesAt(INDEX.SIZE, 'a size')
    if (this.size === 0) reader.refuse('FORMAT_VALUE', INDEX.SIZE, 'an image of at least 1 byte', '0')
    this.chunkBytes = reader.bytesAt(INDEX.CHUNK_BYTES, 'a chunk size')
    if (!isPowerOfTwo(this.chunkBytes)) reader.refuse('FORMAT_VALUE', INDEX.CHUNK_BYTES, `a chunk size that is a power of two and at most ${MAX_BLOB_BYTES}`, `${this.chunkBytes}`)
    this.count = fixedChunkCount(this.size, this.chunkBytes)
    this.#digests = reader.raw.subarray(INDEX_HEADER_BYTES)
    const expected = INDEX_HEADER_BYTES + this.count * DIGEST_BYTES
    if (reader.raw.length !== expected) reader.refuse('FORMAT_LENGTH', Math.min(expected, reader.raw.length), `${this.count} digests, so ${expected} bytes`, `${reader.raw.length} bytes`)
  }

  get csum(): Digest {
    return (this.#csum ??= sha256(this.#digests))
  }

  digestAt(chunk: number): Digest {
    checkChunk(chunk, this.count)
    return this.#digests.subarray(chunk * DIGEST_BYTES, (chunk + 1) * DIGEST_BYTES)
  }

  entryAt(chunk: number): IndexEntry {
    const digest = this.digestAt(chunk)
    return { start: chunk * this.chunkBytes, end: Math.min((chunk + 1) * this.chunkBytes, this.size), digest }
  }

  find(offset: number): number | undefined {
    return offset >= 0 && offset < this.size ? Math.floor(offset / this.chunkBytes) : undefined
  }

  * entries(): Generator<IndexEntry, void> {
    for (let chunk = 0; chunk < this.count; chunk++) yield this.entryAt(chunk)
  }
}

/**
 * @param raw  The whole file.
 * @throws {FormatError} `FORMAT_TRUNCATED`, `FORMAT_MAGIC`, `FORMAT_VALUE` or `FORMAT_LENGTH`.
 */
export function decodeFixedIndex(raw: Uint8Array, where: string): FixedIndex {
  return new DecodedFixedIndex(new IndexReader(raw, where, MAGIC.FIXED_INDEX, 'fixed'))
}

/**
 * The whole file.
 *
 * @throws {RangeError} Size, chunk size and digests contradict each other.
 */
export function encodeFixedIndex(parts: FixedIndexParts): Buffer {
  const { size, chunkBytes, digests } = parts
  if (!Number.isSafeInteger(size) || size < 1) throw new RangeError(`size must be at least 1 byte, not ${size}`)
  if (!isPowerOfTwo(chunkBytes)) throw new RangeError(`chunkBytes must be a power of two and at most ${MAX_BLOB_BYTES}, not ${chunkBytes}`)
  const count = fixedChunkCount(size, chunkBytes)
  if (digests.length !== count * DIGEST_BYTES) throw new RangeError(`digests must be those of ${count} chunks, ${count * DIGEST_BYTES} bytes, not ${digests.length}`)
  const header = encodeIndexHeader(MAGIC.FIXED_INDEX, parts, sha256(digests))
  header.writeBigUInt64LE(BigInt(size), INDEX.SIZE)
  header.writeBigUInt64LE(BigInt(chunkBytes), INDEX.CHUNK_BYTES)
  return Buffer.concat([header, digests])
}
