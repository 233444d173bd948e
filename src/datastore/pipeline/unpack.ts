/**
 * unpack.ts: from chunks back to images and streams. Every chunk is checked: its checksum, its length, and its digest.
 */
import type { IndexEntry } from '../chunk-index.js'
import type { CryptKey } from '../crypt.js'
import { sha256 } from '../digest.js'
import { mapOrdered } from './ordered.js'
import type { WorkerPool } from './pool.js'
import { Slab, type SlabPart, SlabPool } from './slabs.js'

export interface UnpackOptions {
  readonly pool: WorkerPool
  /** The file of a chunk. */
  readonly chunkPath: (digest: Uint8Array) => string
  readonly key?: CryptKey | undefined
  readonly signal?: AbortSignal | undefined
}

/** What most streams have at most in a chunk; larger ones get memory of their own. */
const SLAB_BYTES = 16 * 2 ** 20

/**
 * Writes chunks to their places in an open file. With `keepHoles` (the default) it must be new or consist of zeros: those are not
 * written, so that holes stay holes. Without, as in a device that has something in it, everything is written.
 *
 * @returns the lengths of the chunks, in order, for progress.
 */
export async function* unpackToFile(
  entries: Iterable<IndexEntry>, fd: number, options: UnpackOptions & { readonly keepHoles?: boolean | undefined },
): AsyncGenerator<number, void, undefined> {
  const { pool, chunkPath, signal } = options
  const key = options.key?.exportKey()
  const { keepHoles = true } = options
  const isHole = keepHoles ? holeTest(options.key) : () => false
  yield* mapOrdered(entries, () => 2 * pool.threadCount + 2, async ({ start, end, digest }) => {
    signal?.throwIfAborted()
    const length = end - start
    if (!isHole(digest, length)) await pool.run({ kind: 'unpack', path: chunkPath(digest), digest, length, key, target: { fd, offset: start, length }, keepHoles })
    return length
  })
}

/**
 * The plain bytes of a stream, a chunk in each slab; all of it can be in use at once that the threads keep up with.
 *
 * Whoever gets a slab releases it. Those that are not released are what bounds the memory.
 */
export async function* unpackSlabs(entries: Iterable<IndexEntry>, options: UnpackOptions): AsyncGenerator<SlabPart, void, undefined> {
  const { pool, chunkPath, signal } = options
  const key = options.key?.exportKey()
  const limit = (): number => pool.threadCount + 1
  const slabs = new SlabPool(() => 2 * limit(), SLAB_BYTES, pool.memory)
  yield* mapOrdered(entries, limit, async ({ start, end, digest }) => {
    signal?.throwIfAborted()
    const length = end - start
    const slab = length <= SLAB_BYTES ? await slabs.acquire() : new Slab(length, () => undefined).retain()
    await pool.run({ kind: 'unpack', path: chunkPath(digest), digest, length, key, target: slab.part(0, length), keepHoles: false })
    return { slab, length }
  })
}

/** The plain bytes of a stream, chunk by chunk. A chunk's memory is used again when the next one is asked for. */
export async function* unpackStream(entries: Iterable<IndexEntry>, options: UnpackOptions): AsyncGenerator<Buffer, void, undefined> {
  for await (const { slab, length } of unpackSlabs(entries, options)) {
    yield slab.bytes(0, length)
    slab.release()
  }
}

/** Images have chunks of few sizes, all multiples of this; a stream has chunks of any size, and hashing zeros for each is of no use. */
const HOLE_STEP_BYTES = 2 ** 16

/** Whether a chunk is known to be all zeros. */
function holeTest(key: CryptKey | undefined): (digest: Uint8Array, length: number) => boolean {
  const digests = new Map<number, readonly Buffer[]>()
  return (digest, length) => {
    if (length % HOLE_STEP_BYTES !== 0) return false
    let known = digests.get(length)
    if (known === undefined) {
      const zeros = Buffer.alloc(length)
      known = key === undefined ? [sha256(zeros)] : [sha256(zeros), key.chunkDigest(zeros)]
      digests.set(length, known)
    }
    return known.some(other => other.equals(digest))
  }
}
