/**
 * dynamic-index.ts: the list of a stream's chunks, each with its end. Pure.
 *
 * The checksum is SHA-256 of the entries as they stand in the file. A stream without a byte has no entries.
 */
import { type ChunkIndex, checkChunk, encodeIndexHeader, type IndexEntry, type IndexIdentity, IndexReader } from './chunk-index.js'
import { DIGEST_BYTES, type Digest, sha256 } from './digest.js'
import { DYNAMIC_ENTRY_BYTES, INDEX_HEADER_BYTES, MAGIC, MAX_BLOB_BYTES } from './format.js'

export type DynamicIndex = ChunkIndex

export interface DynamicIndexParts extends IndexIdentity {
  /** In order; each chunk begins where the one before it ends. */
  readonly entries: Iterable<{ readonly end: number; readonly digest: Uint8Array }>
}

const END_BYTES = 8

class DecodedDynamicIndex implements DynamicIndex {
  readonly uuid: Buffer
  readonly ctime: number
  readonly size: number
  readonly count: number
  readonly headerCsum: Digest
  readonly #entries: Buffer
  #csum: Digest | undefined

  constructor(reader: IndexReader) {
    this.uuid = reader.uuid
    this.ctime = reader.ctime()
    this.headerCsum = reader.headerCsum
    this.#entries = reader.raw.subarray(INDEX_HEADER_BYTES)
    const { length } = this.#entries
    const rest = length % DYNAMIC_ENTRY_BYTES
    if (rest !== 0) reader.refuse('FORMAT_LENGTH', reader.raw.length - rest, `entries of ${DYNAMIC_ENTRY_BYTES} bytes`, `${rest} bytes`)
    this.count = length / DYNAMIC_ENTRY_BYTES
    let previous = 0
    for (let chunk = 0; chunk < this.count; chunk++) {
      const at = INDEX_HEADER_BYTES + chunk * DYNAMIC_ENTRY_BYTES
      const end = reader.bytesAt(at, 'an end')
      if (end <= previous) reader.refuse('FORMAT_VALUE', at, `an end above ${previous}`, `${end}`)
      if (end - previous > MAX_BLOB_BYTES) reader.refuse('FORMAT_VALUE', at, `a chunk of at most ${MAX_BLOB_BYTES} bytes`, `${end - previous}`)
      previous = end
    }
    this.size = previous
  }

  get csum(): Digest {
    return (this.#csum ??= sha256(this.#entries))
  }

  #endOf(chunk: number): number {
    const at = chunk * DYNAMIC_ENTRY_BYTES
    // Both halves at once would be a bigint, which is many times slower.
    return this.#entries.readUInt32LE(at) + this.#entries.readUInt32LE(at + 4) * 2 ** 32
  }

  digestAt(chunk: number): Digest {
    checkChunk(chunk, this.count)
    const at = chunk * DYNAMIC_ENTRY_BYTES + END_BYTES
    return this.#entries.subarray(at, at + DIGEST_BYTES)
  }

  entryAt(chunk: number): IndexEntry {
    const digest = this.digestAt(chunk)
    return { start: chunk === 0 ? 0 : this.#endOf(chunk - 1), end: this.#endOf(chunk), digest }
  }

  find(offset: number): number | undefined {
    if (!(offset >= 0 && offset < this.size)) return undefined
    let low = 0
    let high = this.count - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#endOf(middle) > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  * entries(): Generator<IndexEntry, void> {
    for (let chunk = 0; chunk < this.count; chunk++) yield this.entryAt(chunk)
  }
}

/**
 * @param raw  The whole file.
 * @throws {FormatError} `FORMAT_TRUNCATED`, `FORMAT_MAGIC`, `FORMAT_VALUE` or `FORMAT_LENGTH`.
 */
export function decodeDynamicIndex(raw: Uint8Array, where: string): DynamicIndex {
  return new DecodedDynamicIndex(new IndexReader(raw, where, MAGIC.DYNAMIC_INDEX, 'dynamic'))
}

function encodeEntry(end: number, digest: Uint8Array, previous: number): Buffer {
  if (!Number.isSafeInteger(end) || end <= previous || end - previous > MAX_BLOB_BYTES) {
    throw new RangeError(`the end of a chunk must be 1 to ${MAX_BLOB_BYTES} above that of the one before, ${previous}, not ${end}`)
  }
  if (digest.length !== DIGEST_BYTES) throw new RangeError(`a digest must have ${DIGEST_BYTES} bytes, not ${digest.length}`)
  const entry = Buffer.allocUnsafe(DYNAMIC_ENTRY_BYTES)
  entry.writeBigUInt64LE(BigInt(end))
  entry.set(digest, END_BYTES)
  return entry
}

/**
 * The whole file.
 *
 * @throws {RangeError} An end that is not above the one before it, or a digest of another length.
 */
export function encodeDynamicIndex(parts: DynamicIndexParts): Buffer {
  const encoded: Buffer[] = []
  let previous = 0
  for (const { end, digest } of parts.entries) {
    encoded.push(encodeEntry(end, digest, previous))
    previous = end
  }
  const entries = Buffer.concat(encoded)
  return Buffer.concat([encodeIndexHeader(MAGIC.DYNAMIC_INDEX, parts, sha256(entries)), entries])
}
