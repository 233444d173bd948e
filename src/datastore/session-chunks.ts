/**
 * session-chunks.ts: the chunks that a backup may refer to, and what it has uploaded.
 */
import { checkBlob, decodeBlob, isEncryptedKind } from './blob.js'
import type { ChunkStore, InsertResult } from './chunk-store.js'
import { digestToHex, sha256 } from './digest.js'
import { DatastoreError } from './errors.js'

/** What was uploaded, as the manifest has it. */
export interface UploadStatistics {
  /** Chunks. */
  readonly count: number
  /** Plain bytes. */
  readonly size: number
  /** Bytes of the chunks' files. */
  readonly compressed_size: number
  /** Chunks that the store had already. */
  readonly duplicates: number
}

export class SessionChunks {
  readonly #store: ChunkStore
  /** Plain bytes by digest. */
  readonly #known: Map<string, number>
  /** Those that are in the store for sure and will stay: uploaded or touched in this session. */
  readonly #present = new Set<string>()
  #statistics: UploadStatistics = { count: 0, size: 0, compressed_size: 0, duplicates: 0 }

  constructor(store: ChunkStore, known: Map<string, number>) {
    this.#store = store
    this.#known = known
  }

  get known(): ReadonlyMap<string, number> {
    return this.#known
  }

  get statistics(): UploadStatistics {
    return this.#statistics
  }

  async insert(digest: Uint8Array, plainBytes: number, encoded: Uint8Array): Promise<InsertResult> {
    const result = await this.#store.insert(digest, encoded)
    const hex = digestToHex(digest)
    this.#known.set(hex, plainBytes)
    this.#present.add(hex)
    const { count, size, compressed_size: compressed, duplicates } = this.#statistics
    this.#statistics = { count: count + 1, size: size + plainBytes, compressed_size: compressed + result.storedBytes, duplicates: duplicates + (result.duplicate ? 1 : 0) }
    return result
  }

  /** Undefined: it is unknown, or no longer in the store. */
  async reuse(digest: Uint8Array): Promise<number | undefined> {
    const hex = digestToHex(digest)
    const bytes = this.#known.get(hex)
    if (bytes === undefined || this.#present.has(hex)) return bytes
    if (await this.#store.touch(digest)) {
      this.#present.add(hex)
      return bytes
    }
    if (!this.#present.has(hex)) this.#known.delete(hex) // unless it was uploaded meanwhile
    return this.#known.get(hex)
  }

  async ensure(digest: Uint8Array, bytes: number): Promise<void> {
    const hex = digestToHex(digest)
    const known = this.#known.get(hex)
    if (known === undefined) throw new DatastoreError('CHUNK_UNKNOWN', `the chunk ${hex} was not uploaded in this session`)
    if (known !== bytes) throw new DatastoreError('INDEX_WRONG', `the chunk ${hex} has ${known} bytes, not ${bytes}`)
    if (await this.reuse(digest) === undefined) throw new DatastoreError('CHUNK_MISSING', `the chunk ${hex} of the previous snapshot is missing; upload it`)
  }
}

/** All that can be checked without a key. Synchronous; about 10 ms for 4 MiB. */
export function verifyChunk(digest: Uint8Array, plainBytes: number, encoded: Uint8Array): void {
  const hex = digestToHex(digest)
  const where = `the chunk ${hex}`
  if (isEncryptedKind(checkBlob(encoded, where))) return
  const plain = decodeBlob(encoded, { where })
  if (plain.length !== plainBytes) throw new DatastoreError('CHUNK_DAMAGED', `${where} has ${plain.length} bytes, not ${plainBytes}`)
  const actual = digestToHex(sha256(plain))
  if (actual !== hex) throw new DatastoreError('CHUNK_DAMAGED', `${where} has the digest ${actual}`)
}
