/**
 * chunker.ts: where a stream is cut into chunks, decided by its content.
 *
 * A boundary depends on the 32 bytes before it and on the distance from the boundary before: bytes inserted or removed move the
 * boundaries around them and no others, so chunks further on are found in the store again.
 *
 * HASH      h(i) = sum of byte(i-k) * 2^k over k = 0 … 31, modulo 2^32; mixed by m(i) = h(i) * K + C, signed. K is 2^32 divided by the golden
 *           ratio, C the first word of the square root of 2 (as SHA-256 uses it). With this C a run of one byte value, whichever, has
 *           no candidate (test), so that runs give equal chunks of the greatest size and not a swarm of the least.
 * CANDIDATE a position where the lowest byte of h(i) is TAG and m(i) < LOOSE; strict if also m(i) < STRICT. That byte depends on 8 bytes
 *           only, and most positions cost no more than it. In programs and texts TAG is 0.7 to 1.3 times as frequent as in random data;
 *           0 is up to twenty times as frequent, in runs of zeros.
 * CUT       from the start of a chunk: the first strict candidate from MIN on, from NORMAL on the first loose one, at MAX in any case.
 *           Two thresholds (normalised chunking) keep sizes close to the average, and few chunks are cut by MAX, blindly.
 *           Mean for random data: 1 + 16 (1 - e^-0.1406) + e^-0.1406 = 3.97 MiB.
 *
 * Candidates do not depend on where a chunk began. So several threads can look for them in different parts of one stream, and only
 * the choice among them (class Cutter) goes in order.
 *
 * TRIED     4.7 GB/s a core: WebAssembly with 128-bit vectors, below. 1.9: the same without TAG, all of h(i) at every position. 0.8: that loop
 *           in TypeScript, with a table (gear) or without, one position, two or four at a time. PBS's buzhash cannot be vectorised without its
 *           table; whoever shares a store with a PBS client shares chunks of images (fixed), not of streams.
 */
import { SCAN_MODULE } from './chunker-scan.js'

const MIB = 2 ** 20
export const CHUNK_MIN_BYTES = MIB
export const CHUNK_AVERAGE_BYTES = 4 * MIB
export const CHUNK_MAX_BYTES = 16 * MIB

/** Bytes before a position that decide whether it is a candidate. */
export const WINDOW_BYTES = 32

const TAG = 0xb5
const LOWEST = -(2 ** 31)
/** Of those with TAG one position in 2^12, and one in 2^16; of all one in 2^20, and one in 2^24. */
const LOOSE = LOWEST + 2 ** 20
const STRICT = LOWEST + 2 ** 16

export interface Candidate {
  /** Bytes before the boundary. */
  readonly cut: number
  readonly isStrict: boolean
}

export interface ChunkerOptions {
  readonly minBytes?: number | undefined
  /** From this length on a loose candidate will do. */
  readonly normalBytes?: number | undefined
  readonly maxBytes?: number | undefined
}

// Results have room even if every position of a block is a candidate, as one in two can be in periodic data.
const BLOCK_BYTES = 64 * 1024
const RESULTS_AT = 64
const BLOCK_AT = RESULTS_AT + BLOCK_BYTES * 8 + 64

interface Scan {
  readonly memory: Uint8Array
  readonly words: Int32Array
  readonly scan: (start: number, end: number, tag: number, threshold: number, results: number) => number
}

/** What of it is used here; Node's types leave it to those of browsers. */
interface WebAssemblyFace {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

let loaded: Scan | undefined

function loadScan(): Scan {
  if (loaded !== undefined) return loaded
  const { Instance, Module } = (globalThis as unknown as { WebAssembly: WebAssemblyFace }).WebAssembly
  const instance = new Instance(new Module(Buffer.from(SCAN_MODULE, 'base64')))
  const { memory, scan } = instance.exports as { memory: { buffer: ArrayBuffer }; scan: Scan['scan'] }
  loaded = { memory: new Uint8Array(memory.buffer), words: new Int32Array(memory.buffer), scan }
  return loaded
}

/**
 * The candidates among the positions `start` … `end - 1` of `bytes`; up to 31 bytes before `start` are looked at.
 *
 * @returns `cut` counts from the beginning of `bytes`. In random data one candidate per MiB.
 * Cost: reads every byte once, some 4.7 GB/s of programs and texts; 0.2 in the worst case, a run of a byte that has TAG everywhere.
 */
export function findCandidates(bytes: Uint8Array, start = 0, end = bytes.length): Candidate[] {
  const { memory, words, scan } = loadScan()
  const found: Candidate[] = []
  // Blocks begin at multiples of their length: what is shared is copied ten times as fast where it is aligned as its target is.
  for (let from = start, to; from < end; from = to) {
    to = Math.min(end, from - from % BLOCK_BYTES + BLOCK_BYTES)
    const context = Math.max(0, from - WINDOW_BYTES)
    memory.fill(0, BLOCK_AT - 64, BLOCK_AT)
    memory.set(bytes.subarray(context, to), BLOCK_AT - (from - context))
    const count = scan(BLOCK_AT, BLOCK_AT + to - from, TAG, LOOSE, RESULTS_AT)
    for (let i = 0; i < count; i++) {
      const at = RESULTS_AT / 4 + 2 * i
      found.push({ cut: from + words[at]! + 1, isStrict: words[at + 1]! < STRICT })
    }
  }
  return found
}

/** Chooses among candidates. They come in order, each before `next` is asked about anything behind it. */
export class Cutter {
  readonly #minBytes: number
  readonly #normalBytes: number
  readonly #maxBytes: number
  #candidates: Candidate[] = []
  #start = 0

  constructor({ minBytes = CHUNK_MIN_BYTES, normalBytes = 3.25 * minBytes, maxBytes = 16 * minBytes }: ChunkerOptions = {}) {
    if (!(minBytes >= WINDOW_BYTES && minBytes <= normalBytes && normalBytes <= maxBytes)) {
      throw new RangeError(`chunk sizes must rise from at least ${WINDOW_BYTES} bytes: ${minBytes}, ${normalBytes}, ${maxBytes}`)
    }
    this.#minBytes = minBytes
    this.#normalBytes = normalBytes
    this.#maxBytes = maxBytes
  }

  /** Where the chunk under way began: everything before it has been cut. */
  get start(): number {
    return this.#start
  }

  /** Adds what `findCandidates` found, `offset` being where in the stream its bytes began. */
  add(candidates: readonly Candidate[], offset = 0): void {
    for (const { cut, isStrict } of candidates) this.#candidates.push({ cut: cut + offset, isStrict })
  }

  /**
   * The end of the next chunk, if it lies within the first `known` bytes of the stream.
   * @param isLast  the stream ends there, whatever was found
   */
  next(known: number, isLast = false): number | undefined {
    let end = this.#start + this.#maxBytes
    for (const { cut, isStrict } of this.#candidates) {
      const length = cut - this.#start
      if (length > this.#maxBytes) break
      if (length < this.#minBytes || (length < this.#normalBytes && !isStrict)) continue
      end = cut
      break
    }
    if (end > known) {
      if (!isLast || this.#start >= known) return undefined
      end = known
    }
    // What lies behind the cut is kept, even if it was passed over: it may be far enough from the new start.
    this.#candidates = this.#candidates.filter(({ cut }) => cut > end)
    this.#start = end
    return end
  }
}

/** Both in one thread: bytes in, boundaries out, the same whatever pieces the bytes come in. */
export class Chunker {
  readonly #cutter: Cutter
  #known = 0
  #last: Uint8Array = new Uint8Array(0)

  constructor(options: ChunkerOptions = {}) {
    this.#cutter = new Cutter(options)
  }

  /** The ends of the chunks that are complete now, counted from the beginning of the stream. */
  push(bytes: Uint8Array): number[] {
    this.#cutter.add(findAcross(this.#last, bytes), this.#known - this.#last.length)
    this.#cutter.add(findCandidates(bytes, Math.min(bytes.length, WINDOW_BYTES - 1)), this.#known)
    this.#last = lastOf(this.#last, bytes)
    this.#known += bytes.length
    return this.#cuts(false)
  }

  /** The end of the stream is the end of the last chunk. */
  finish(): number[] {
    return this.#cuts(true)
  }

  #cuts(isLast: boolean): number[] {
    const cuts: number[] = []
    for (let cut; (cut = this.#cutter.next(this.#known, isLast)) !== undefined; ) cuts.push(cut)
    return cuts
  }
}

/** Candidates among the first 31 positions of `next`, which see bytes of `previous`; `cut` counts from the beginning of `previous`. */
export function findAcross(previous: Uint8Array, next: Uint8Array): Candidate[] {
  const joined = Buffer.concat([previous, next.subarray(0, WINDOW_BYTES - 1)])
  return findCandidates(joined, previous.length)
}

/** The last 31 bytes of a stream that ended with `previous` and goes on with `next`. */
export function lastOf(previous: Uint8Array, next: Uint8Array): Uint8Array {
  const wanted = WINDOW_BYTES - 1
  if (next.length >= wanted) return next.slice(next.length - wanted)
  return Buffer.concat([previous, next]).subarray(-wanted)
}
