/**
 * pack.ts: from bytes to chunks in the store. What fixed.ts and dynamic.ts share.
 */
import { MAX_HEADER_BYTES } from '../blob.js'
import type { CryptKey } from '../crypt.js'
import type { Digest } from '../digest.js'
import { DigestSet } from './digest-set.js'
import type { FileRange, PackContext, Part } from './jobs.js'
import type { WorkerPool } from './pool.js'
import { type Slab, SlabPool } from './slabs.js'

/** A set that has no room, and so never says that it has a chunk. */
const NONE = new DigestSet(0)

/** Where chunks go: a backup session. */
export interface ChunkSink {
  /** The digests, in hexadecimal, that may stand in an index without being inserted. */
  readonly knownChunks: { readonly size: number; has(digest: string): boolean; keys(): Iterable<string> }
  /** Makes sure that a known chunk is in the store still; undefined: it is not, and must be inserted. */
  reuseChunk(digest: Digest): Promise<number | undefined>
  /** The digests, in hexadecimal, of which reuseChunk() said so. */
  readonly missingChunks: { has(digest: string): boolean }
  /** Called once for each new digest, several at a time, in any order. `encoded` is memory that is used again when the promise is settled. */
  insertChunk(digest: Digest, plainBytes: number, encoded: Buffer): Promise<unknown>
}

export interface PackOptions {
  readonly pool: WorkerPool
  readonly sink: ChunkSink
  readonly key?: CryptKey | undefined
  readonly signal?: AbortSignal | undefined
}

/** A chunk that is in the store now. */
export interface PackedChunk {
  readonly digest: Digest
  /** Where the chunk ends, bytes from the beginning of the image or stream. */
  readonly end: number
  readonly length: number
  /** Bytes of the chunk's file; undefined if the session had it already. */
  readonly encodedBytes: number | undefined
  /** False: it was told without its bytes that it is a chunk of the previous snapshot. */
  readonly isRead: boolean
}

/** One image or stream on its way into a session. */
export class Packer {
  readonly pool: WorkerPool
  readonly signal: AbortSignal | undefined
  readonly #sink: ChunkSink
  readonly #context: PackContext
  readonly #outputs: SlabPool
  /** By digest: chunks that some thread has claimed, and which are not yet in the store. */
  readonly #expected = new Map<string, { readonly promise: Promise<void>; readonly resolve: () => void }>()
  /** In the store for sure. */
  readonly #present = new Set<string>()

  constructor({ pool, sink, key, signal }: PackOptions, limits: { readonly expectedChunks: number; readonly maxChunkBytes: number }) {
    this.pool = pool
    this.signal = signal
    this.#sink = sink
    this.#outputs = new SlabPool(() => this.windowChunks, limits.maxChunkBytes + MAX_HEADER_BYTES, pool.memory)
    const known = new DigestSet(sink.knownChunks.size + limits.expectedChunks)
    for (const digest of sink.knownChunks.keys()) known.claim(Buffer.from(digest, 'hex'))
    this.#context = { known: known.buffer, key: key?.exportKey() }
  }

  /** Chunks under way at once: enough that no thread waits while the store writes. */
  get windowChunks(): number {
    return 2 * this.pool.threadCount + 2
  }

  /** Hashes the data, and if the session does not have it, compresses, encrypts and inserts it. */
  async add(data: FileRange | readonly Part[], end: number, length: number): Promise<PackedChunk> {
    const output = await this.#outputs.acquire()
    try {
      this.signal?.throwIfAborted()
      const first = await this.#pack(data, this.#context, output)
      const isThere = first.encodedBytes === undefined && await this.#isThere(first.digest)
      // A chunk of the previous snapshot that has gone from the store is made again.
      const { digest, encodedBytes } = first.encodedBytes !== undefined || isThere ? first : await this.#pack(data, { ...this.#context, known: NONE.buffer }, output)
      if (encodedBytes !== undefined) {
        await this.#sink.insertChunk(digest, length, output.bytes(0, encodedBytes))
        const name = digest.toString('hex')
        this.#present.add(name)
        this.#expected.get(name)?.resolve()
      }
      return { digest, end, length, encodedBytes, isRead: true }
    } finally {
      output.release()
    }
  }

  async #pack(data: FileRange | readonly Part[], context: PackContext, output: Slab): Promise<{ readonly digest: Digest; readonly encodedBytes: number | undefined }> {
    const { digest, encodedBytes } = await this.pool.run({ kind: 'pack', context, data, output: output.buffer })
    return { digest: Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength), encodedBytes }
  }

  /** False if a chunk that is in the set of known ones is not in the store. */
  async #isThere(digest: Digest): Promise<boolean> {
    const name = digest.toString('hex')
    if (this.#present.has(name)) return true
    if (this.#sink.missingChunks.has(name)) return false
    if (!this.#sink.knownChunks.has(name)) {
      await this.#untilInserted(name)
      return true
    }
    if (await this.#sink.reuseChunk(digest) === undefined) return this.#present.has(name)
    this.#present.add(name)
    return true
  }

  /** Somebody else claimed the chunk and may still be at it. If that fails, so does the whole backup, and nobody asks for this promise. */
  async #untilInserted(name: string): Promise<void> {
    let expected = this.#expected.get(name)
    if (expected === undefined) {
      let resolve = (): void => undefined
      const promise = new Promise<void>(done => (resolve = done))
      expected = { promise, resolve }
      this.#expected.set(name, expected)
    }
    await expected.promise
  }
}
