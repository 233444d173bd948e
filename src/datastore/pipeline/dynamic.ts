/**
 * dynamic.ts: a stream in chunks by content.
 *
 *   slabs    the stream lies in shared memory, 8 MiB a slab; who fills them: streamSlabs (bytes that arrive here), pieceSlabs (files,
 *            which the threads read themselves)
 *   fill     threads look for boundaries in several slabs at once
 *   cut      here, in order: which of them are boundaries, some comparisons per MiB
 *   pack     threads hash and encode chunks, which may span slabs
 *
 * A stream of which some chunks are known (reuse.ts) is several streams, one behind the other: each ends where a known chunk begins.
 *
 * A slab is free again when the last chunk that lies in it is packed. Who fills waits for a free slab, who cuts waits for room among the
 * chunks under way, and so the source waits for the store.
 */
import { Cutter, findAcross, lastOf, type Candidate, CHUNK_MAX_BYTES } from '../chunker.js'
import type { FilePiece, FileProblem, Piece } from './jobs.js'
import { mapOrdered } from './ordered.js'
import { type PackedChunk, Packer, type PackOptions } from './pack.js'
import { isKnownChunk, type KnownChunk, type Step } from './reuse.js'
import { type Slab, SlabPool } from './slabs.js'

export const SLAB_BYTES = 8 * 2 ** 20
/** Slabs that the chunk under way, uncut so far, may fill, and one more to find its end in. */
const UNCUT_SLABS = Math.ceil(CHUNK_MAX_BYTES / SLAB_BYTES) + 2
const LIMITS = { expectedChunks: 2 ** 16, maxChunkBytes: CHUNK_MAX_BYTES }

interface Filled {
  readonly slab: Slab
  readonly length: number
  readonly candidates: readonly Candidate[]
}

/** Packs the bytes of a stream; see `packFixed` for what is returned when. */
export async function* packStream(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, options: PackOptions): AsyncGenerator<PackedChunk, void, undefined> {
  const packer = new Packer(options, LIMITS)
  const slabs = slabsFor(packer)
  const filled = mapOrdered(streamSlabs(source, slabs), () => packer.pool.threadCount + 1, async ({ slab, length }) => {
    const { candidates } = await packer.pool.run({ kind: 'fill', target: slab.part(0, length), pieces: [], between: NOTHING })
    return { slab, length, candidates }
  })
  yield* packFilled(filled, packer)
}

/**
 * Packs a stream that is made of files, of bytes between them, and of chunks that need not be read.
 *
 * @param options.onProblem  Called for the first problem of each file.
 */
export async function* packSteps(
  source: AsyncIterable<readonly Step[]> | Iterable<readonly Step[]>, options: PackOptions & { readonly onProblem?: (problem: FileProblem) => void },
): AsyncGenerator<PackedChunk, void, undefined> {
  const packer = new Packer(options, LIMITS)
  const slabs = slabsFor(packer)
  const reported = new Set<string>() // a file may lie in several slabs
  const filled = mapOrdered(pieceSlabs(source), () => packer.pool.threadCount + 1, async (item): Promise<Filled | KnownChunk> => {
    if (!(item instanceof Pieces)) return item
    const { pieces, between, length } = item
    const slab = await slabs.acquire()
    const { candidates, problems } = await packer.pool.run({ kind: 'fill', target: slab.part(0, length), pieces, between })
    for (const problem of problems) {
      if (!reported.has(problem.path)) options.onProblem?.(problem)
      reported.add(problem.path)
    }
    return { slab, length, candidates }
  })
  yield* packFilled(filled, packer)
}

const slabsFor = (packer: Packer): SlabPool => new SlabPool(() => UNCUT_SLABS + 2 * packer.pool.threadCount, SLAB_BYTES, packer.pool.memory)

async function* packFilled(filled: AsyncIterable<Filled | KnownChunk>, packer: Packer): AsyncGenerator<PackedChunk, void, undefined> {
  yield* mapOrdered(cutSlabs(filled), () => packer.windowChunks, async cut => {
    if (!('slabs' in cut)) return { ...cut, encodedBytes: undefined, isRead: false }
    const { slabs, start, end } = cut
    try {
      return await packer.add(slabs.map(({ slab, at, length }) => slab.part(Math.max(start - at, 0), Math.min(end - at, length))), end, end - start)
    } finally {
      for (const { slab } of slabs) slab.release()
    }
  })
}

interface PlacedSlab {
  readonly slab: Slab
  /** Where in the stream it begins. */
  readonly at: number
  readonly length: number
}

interface Cut {
  /** Those that the chunk lies in, each retained once for it. */
  readonly slabs: readonly PlacedSlab[]
  readonly start: number
  readonly end: number
}

async function* cutSlabs(filled: AsyncIterable<Filled | KnownChunk>): AsyncGenerator<Cut | (KnownChunk & { readonly end: number }), void, undefined> {
  let cuts = new SlabCutter(0)
  for await (const item of filled) {
    if (!('slab' in item)) {
      yield* cuts.finish()
      const end = cuts.end + item.length
      cuts = new SlabCutter(end)
      yield { ...item, end }
    } else yield* cuts.add(item)
  }
  yield* cuts.finish()
}

/** Cuts a stream that begins at `origin`, an offset in the whole one. */
class SlabCutter {
  readonly #origin: number
  readonly #cutter = new Cutter()
  #placed: PlacedSlab[] = []
  #last: Uint8Array = new Uint8Array(0)
  #known = 0

  constructor(origin: number) {
    this.#origin = origin
  }

  /** In the whole stream: behind all that was added. */
  get end(): number {
    return this.#origin + this.#known
  }

  * add({ slab, length, candidates }: Filled): Generator<Cut> {
    const bytes = slab.bytes(0, length)
    this.#cutter.add(findAcross(this.#last, bytes), this.#known - this.#last.length)
    this.#cutter.add(candidates, this.#known)
    this.#last = lastOf(this.#last, bytes)
    this.#placed.push({ slab, at: this.end, length })
    this.#known += length
    yield* this.#cuts(false)
  }

  * finish(): Generator<Cut> {
    yield* this.#cuts(true)
  }

  * #cuts(isLast: boolean): Generator<Cut> {
    for (let from = this.#cutter.start, to; (to = this.#cutter.next(this.#known, isLast)) !== undefined; from = to) {
      const [start, end] = [this.#origin + from, this.#origin + to]
      const slabs = this.#placed.filter(({ at, length }) => at < end && at + length > start)
      for (const { slab } of slabs) slab.retain()
      yield { slabs, start, end }
    }
    const done = this.#origin + this.#cutter.start
    for (const { slab, at, length } of this.#placed) if (at + length <= done) slab.release()
    this.#placed = this.#placed.filter(({ at, length }) => at + length > done)
  }
}

/** Copies a stream into slabs. */
async function* streamSlabs(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, slabs: SlabPool): AsyncGenerator<{ slab: Slab; length: number }, void, undefined> {
  let slab: Slab | undefined
  let length = 0
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length; ) {
      slab ??= await slabs.acquire()
      const part = bytes.subarray(at, at + SLAB_BYTES - length)
      slab.bytes(length, length + part.length).set(part)
      at += part.length
      length += part.length
      if (length < SLAB_BYTES) continue
      yield { slab, length }
      slab = undefined
      length = 0
    }
  }
  if (slab !== undefined) yield { slab, length }
}

/** Divides pieces into what fills a slab; a known chunk ends the slab before it. */
async function* pieceSlabs(source: AsyncIterable<readonly Step[]> | Iterable<readonly Step[]>): AsyncGenerator<Pieces | KnownChunk, void, undefined> {
  let pieces = new Pieces()
  for await (const steps of source) for (const step of steps) {
    if (isKnownChunk(step)) {
      if (pieces.length > 0) yield pieces
      pieces = new Pieces()
      yield step
      continue
    }
    for (let at = 0; at < step.length; ) {
      at += pieces.add(step, at)
      if (pieces.length < SLAB_BYTES) continue
      yield pieces
      pieces = new Pieces()
    }
  }
  if (pieces.length > 0) yield pieces
}

/** What is to fill a slab. */
class Pieces {
  readonly pieces: (FilePiece | number)[] = []
  length = 0
  readonly #between: Uint8Array[] = []

  /** Adds a piece from `at` on, as much as there is room for. */
  add(piece: Piece, at: number): number {
    const count = Math.min(piece.length - at, SLAB_BYTES - this.length)
    this.length += count
    if (!(piece instanceof Uint8Array)) {
      this.pieces.push({ ...piece, offset: piece.offset + at, length: count })
      return count
    }
    this.#between.push(piece.subarray(at, at + count))
    const last = this.pieces.at(-1)
    if (typeof last === 'number') this.pieces[this.pieces.length - 1] = last + count
    else this.pieces.push(count)
    return count
  }

  /** In memory of its own: all of the memory that a view belongs to would go to the other thread. */
  get between(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#between))
  }
}

const NOTHING = new Uint8Array(0)
