/**
 * chunk-index.ts: what fixed and dynamic indexes have in common: the header, and the question which chunk holds a byte. Pure.
 */
import { randomUUID } from 'node:crypto'
import { DIGEST_BYTES, type Digest } from './digest.js'
import { FormatError, type FormatErrorCode } from './errors.js'
import { INDEX, INDEX_HEADER_BYTES, MAGIC_BYTES, UUID_BYTES } from './format.js'

/** One chunk of an archive: the bytes from `start` up to, not including, `end`. */
export interface IndexEntry {
  readonly start: number
  readonly end: number
  readonly digest: Digest
}

/** A decoded index. It reads the bytes it was made of, which must not change; digests are views of them. */
export interface ChunkIndex {
  readonly uuid: Buffer
  /** Seconds since 1970. */
  readonly ctime: number
  /** Bytes of the archive. */
  readonly size: number
  readonly count: number
  /** Computed from the entries: what the manifest has. Costs a SHA-256 over all entries, once. */
  readonly csum: Digest
  /** What the header says; equal to `csum` in a sound file. */
  readonly headerCsum: Digest
  digestAt(chunk: number): Digest
  entryAt(chunk: number): IndexEntry
  /** The number of the chunk that holds the byte; undefined behind the end. */
  find(offset: number): number | undefined
  entries(): Generator<IndexEntry, void>
}

export interface IndexIdentity {
  /** 16 bytes. Default: random. */
  readonly uuid?: Uint8Array | undefined
  /** Whole seconds since 1970. */
  readonly ctime: number
}

/** Reads the fields of one index; every refusal names the file. */
export class IndexReader {
  readonly raw: Buffer
  readonly where: string

  constructor(raw: Uint8Array, where: string, magic: Buffer, kind: string) {
    this.raw = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength)
    this.where = where
    if (raw.length < INDEX_HEADER_BYTES) this.refuse('FORMAT_TRUNCATED', raw.length, `a header of ${INDEX_HEADER_BYTES} bytes`, `${raw.length}`)
    const found = this.raw.subarray(0, MAGIC_BYTES)
    if (!found.equals(magic)) this.refuse('FORMAT_MAGIC', 0, `the magic of a ${kind} index`, found.toString('hex'))
  }

  refuse(code: FormatErrorCode, offset: number, expected: string, found?: string): never {
    throw new FormatError(code, { path: this.where, offset, expected, found })
  }

  get uuid(): Buffer {
    return this.raw.subarray(INDEX.UUID, INDEX.UUID + UUID_BYTES)
  }

  get headerCsum(): Digest {
    return this.raw.subarray(INDEX.CSUM, INDEX.CSUM + DIGEST_BYTES)
  }

  ctime(): number {
    const value = this.raw.readBigInt64LE(INDEX.CTIME)
    if (!Number.isSafeInteger(Number(value))) this.refuse('FORMAT_VALUE', INDEX.CTIME, 'a time within 2^53 seconds of 1970', `${value}`)
    return Number(value)
  }

  /** A number of bytes: 64 bits, of which JavaScript counts 53. */
  bytesAt(offset: number, what: string): number {
    const value = this.raw.readBigUInt64LE(offset)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.refuse('FORMAT_VALUE', offset, `${what} below 2^53`, `${value}`)
    return Number(value)
  }
}

/** The header, zero where nothing of it is given. */
export function encodeIndexHeader(magic: Buffer, { uuid, ctime }: IndexIdentity, csum: Digest): Buffer {
  if (uuid !== undefined && uuid.length !== UUID_BYTES) throw new RangeError(`the uuid must have ${UUID_BYTES} bytes, not ${uuid.length}`)
  if (!Number.isSafeInteger(ctime)) throw new RangeError(`ctime must be whole seconds, not ${ctime}`)
  const header = Buffer.alloc(INDEX_HEADER_BYTES)
  header.set(magic)
  header.set(uuid ?? Buffer.from(randomUUID().replaceAll('-', ''), 'hex'), INDEX.UUID)
  header.writeBigInt64LE(BigInt(ctime), INDEX.CTIME)
  header.set(csum, INDEX.CSUM)
  return header
}

/** Refuses a number that is none of a chunk. */
export function checkChunk(chunk: number, count: number): void {
  if (!Number.isInteger(chunk) || chunk < 0 || chunk >= count) throw new RangeError(`the chunk must be from 0 to ${count - 1}, not ${chunk}`)
}
