/**
 * fixed.ts: an image or device in chunks of one size. Threads read their chunks themselves; what is a hole is not read.
 */
import type { Digest } from '../digest.js'
import { nextData } from '../file-calls.js'
import { FIXED_CHUNK_BYTES } from '../format.js'
import { mapOrdered } from './ordered.js'
import { type PackedChunk, Packer, type PackOptions } from './pack.js'

interface Slot {
  readonly offset: number
  readonly length: number
  readonly isHole: boolean
}

export interface PackFixedOptions extends PackOptions {
  /** Default: 4 MiB. */
  readonly chunkBytes?: number | undefined
  /** The digests of the chunks of the previous archive, which has the same bytes: what is in the store still is not read. */
  readonly digestAt?: ((chunk: number) => Digest) | undefined
}

/**
 * Packs the first `bytes` of an open file.
 *
 * @returns The chunks in order. They are in the store when they are returned; up to `2 * threads + 2` are under way.
 */
export async function* packFixed(fd: number, bytes: number, options: PackFixedOptions): AsyncGenerator<PackedChunk, void, undefined> {
  const { sink, digestAt, chunkBytes = FIXED_CHUNK_BYTES } = options
  const packer = new Packer(options, { expectedChunks: Math.ceil(bytes / chunkBytes), maxChunkBytes: chunkBytes })
  let hole: Promise<PackedChunk> | undefined
  yield* mapOrdered(slots(fd, bytes, chunkBytes), () => packer.windowChunks, async ({ offset, length, isHole }) => {
    const end = offset + length
    const known = digestAt?.(offset / chunkBytes)
    if (known !== undefined && await sink.reuseChunk(known) === length) return { digest: known, end, length, encodedBytes: undefined, isRead: false }
    if (!isHole) return await packer.add({ fd, offset, length }, end, length)
    if (length < chunkBytes) return await packer.add({ fd: undefined, offset, length }, end, length)
    // All whole holes are one chunk, which is made once.
    const isFirst = hole === undefined
    hole ??= packer.add({ fd: undefined, offset, length }, end, length)
    const { digest, encodedBytes } = await hole
    return { digest, end, length, encodedBytes: isFirst ? encodedBytes : undefined, isRead: true }
  })
}

function* slots(fd: number, bytes: number, chunkBytes: number): Generator<Slot> {
  let data: number | undefined = 0 // nothing but holes between the offset and here
  for (let offset = 0; offset < bytes; offset += chunkBytes) {
    if (data !== undefined && data <= offset) data = nextData(fd, offset)
    const length = Math.min(chunkBytes, bytes - offset)
    yield { offset, length, isHole: data === undefined || data >= offset + length }
  }
}
