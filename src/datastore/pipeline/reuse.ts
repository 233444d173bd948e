/**
 * reuse.ts: which chunks of the previous archive a stream consists of, told from what the stream is made of, before anything is read.
 *
 * RUN       Entries that are equal to entries of the previous archive which follow each other (catalogue.ts says what is equal). While a run lasts, the
 *           stream is the previous one, shifted. Chunks that lie in it as a whole are reused; what is left at its head and its tail is read,
 *           with all that is not in a run.
 * CUT       The stream that is read ends where a reused chunk begins: a boundary that was found by content once, and that reading would mostly
 *           find again. So that chunks do not crumble from backup to backup, a chunk is read as well if fewer bytes than the smallest
 *           chunk has were read before it, or if it is that small itself and something was read before it.
 * PENDING   Entries of a run are kept until the chunk that they lie in ends, or the run does: at most those of 16 MiB, and one file.
 * MISSING   A chunk that is no longer in the store is read, and so made again.
 */
import { CHUNK_MIN_BYTES } from '../chunker.js'
import type { Catalogue } from '../catalogue.js'
import type { ChunkIndex, IndexEntry } from '../chunk-index.js'
import type { Digest } from '../digest.js'
import type { FilePiece, Piece } from './jobs.js'

/** What a stream is made of: a file of a tree, for instance, with its header. */
export interface StreamEntry {
  readonly bytes: number
  readonly fingerprint: Uint8Array
  /** Together `bytes`. Asked for only if some of them are to be read. */
  pieces(): Iterable<Piece>
}

/** A chunk of the previous archive, which is in the store. */
export interface KnownChunk {
  readonly digest: Digest
  readonly length: number
}

/** What comes next in the stream. */
export type Step = Piece | KnownChunk

export const isKnownChunk = (step: Step): step is KnownChunk => 'digest' in step

/** What the stream was last time. The catalogue is that of the index. */
export interface PreviousStream {
  readonly catalogue: Catalogue
  readonly index: ChunkIndex
}

/** As ChunkSink.reuseChunk(). */
type Reuse = (digest: Digest) => Promise<number | undefined>

const STEPS_AT_ONCE = 256

/**
 * The stream of some entries, as far as it must be read, and chunks for the rest.
 *
 * @param options.minBytes  Of a chunk. Default: that of the chunker.
 * Cost: per entry a comparison; a file's worth of comparisons more where a run begins.
 */
export async function* planReuse(
  batches: AsyncIterable<readonly StreamEntry[]>, previous: PreviousStream | undefined, reuse: Reuse, { minBytes = CHUNK_MIN_BYTES }: { readonly minBytes?: number } = {},
): AsyncGenerator<readonly Step[], void, undefined> {
  const run = previous && new Run(previous, minBytes)
  for await (const batch of batches) {
    const steps: Step[] = []
    for (const entry of batch) {
      if (run === undefined) {
        steps.push(...entry.pieces())
        continue
      }
      run.add(entry, steps)
      for (let chunk; (chunk = run.dueChunk(steps)) !== undefined; ) {
        run.passChunk(chunk, await reuse(chunk.digest) === chunk.end - chunk.start, steps)
        if (steps.length >= STEPS_AT_ONCE) yield steps.splice(0)
      }
    }
    yield steps
  }
  const rest: Step[] = []
  run?.end(rest)
  yield rest
}

/** The run under way: equal entries, of which the last `#pendingBytes` bytes are neither read nor reused yet. */
class Run {
  readonly #catalogue: Catalogue
  readonly #index: ChunkIndex
  readonly #minBytes: number
  /** The previous entry that would continue the run; undefined: there is no run. */
  #next: number | undefined
  readonly #pending: StreamEntry[] = []
  /** Of #pending: those before it are done, and of this one so many bytes. */
  #first = 0
  #done = 0
  #pendingBytes = 0
  /** Bytes that are read since the last chunk that is not. */
  #readBytes = 0
  #chunk: IndexEntry | undefined

  constructor({ catalogue, index }: PreviousStream, minBytes: number) {
    this.#catalogue = catalogue
    this.#index = index
    this.#minBytes = minBytes
  }

  /** What turns out to be read goes to the steps. */
  add(entry: StreamEntry, steps: Step[]): void {
    const equal = this.#equalOf(entry)
    if (equal !== this.#next) this.end(steps)
    if (equal === undefined) {
      steps.push(...entry.pieces())
      this.#readBytes += entry.bytes
      return
    }
    this.#next = equal + 1
    this.#pending.push(entry)
    this.#pendingBytes += entry.bytes
  }

  #equalOf({ fingerprint, bytes }: StreamEntry): number | undefined {
    const catalogue = this.#catalogue
    const next = this.#next
    const equal = next !== undefined && catalogue.isEqual(next, fingerprint) ? next : catalogue.find(fingerprint)
    return equal !== undefined && catalogue.endOf(equal) - catalogue.startOf(equal) === bytes ? equal : undefined
  }

  /** The next chunk, if all of it is pending. What comes before it goes to the steps. */
  dueChunk(steps: Step[]): IndexEntry | undefined {
    while (this.#pendingBytes > 0) {
      const end = this.#catalogue.startOf(this.#next!)
      const from = end - this.#pendingBytes
      const chunk = this.#chunkAt(from)
      const isSmall = this.#readBytes < this.#minBytes || chunk.end - chunk.start < this.#minBytes
      if (chunk.start === from && !(this.#readBytes > 0 && isSmall)) return chunk.end <= end ? chunk : undefined
      this.#read(Math.min(chunk.end, end) - from, steps)
    }
    return undefined
  }

  passChunk(chunk: IndexEntry, isReused: boolean, steps: Step[]): void {
    const length = chunk.end - chunk.start
    if (!isReused) {
      this.#read(length, steps)
      return
    }
    this.#take(length)
    this.#readBytes = 0
    steps.push({ digest: chunk.digest, length })
  }

  /** The run ends; what is pending is read. */
  end(steps: Step[]): void {
    if (this.#pendingBytes > 0) this.#read(this.#pendingBytes, steps)
    this.#next = undefined
  }

  #chunkAt(offset: number): IndexEntry {
    if (this.#chunk === undefined || offset < this.#chunk.start || offset >= this.#chunk.end) this.#chunk = this.#index.entryAt(this.#index.find(offset)!)
    return this.#chunk
  }

  #read(bytes: number, steps: Step[]): void {
    this.#readBytes += bytes
    this.#take(bytes, steps)
  }

  /** The first pending bytes are not pending any more. */
  #take(bytes: number, steps?: Step[]): void {
    this.#pendingBytes -= bytes
    for (let left = bytes; left > 0; ) {
      const entry = this.#pending[this.#first]!
      const count = Math.min(left, entry.bytes - this.#done)
      if (steps !== undefined) steps.push(...rangeOf(entry, this.#done, this.#done + count))
      left -= count
      this.#done += count
      if (this.#done < entry.bytes) continue
      this.#first++
      this.#done = 0
    }
    if (this.#first < this.#pending.length && this.#first < STEPS_AT_ONCE) return
    this.#pending.splice(0, this.#first) // not one by one: that would move all the others each time
    this.#first = 0
  }
}

/** The bytes `from` … `to - 1` of an entry. */
function* rangeOf(entry: StreamEntry, from: number, to: number): Generator<Piece> {
  let at = 0
  for (const piece of entry.pieces()) {
    const [first, last] = [Math.max(from - at, 0), Math.min(to - at, piece.length)]
    if (first < last) yield last - first === piece.length ? piece : part(piece, first, last)
    at += piece.length
  }
}

const part = (piece: Piece, from: number, to: number): Piece => (piece instanceof Uint8Array ? piece.subarray(from, to) : partOfFile(piece, from, to))
const partOfFile = (piece: FilePiece, from: number, to: number): FilePiece => ({ ...piece, offset: piece.offset + from, length: to - from })
