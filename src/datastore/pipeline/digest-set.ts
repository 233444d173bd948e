/**
 * digest-set.ts: which chunks a session has already, in memory that all threads share: whoever has a digest asks here before it
 * compresses and encrypts. Open addressing, nothing is ever removed.
 *
 *   state of a slot   0 free | 1 being written | 2 written     by whoever changed 0 to 1
 *   words of a slot   the digest                               written in state 1, read in state 2
 */
import { DIGEST_BYTES } from '../digest.js'

const WORDS = DIGEST_BYTES / 4
const FREE = 0
const WRITING = 1
const WRITTEN = 2
const MIN_SLOTS = 2 ** 10
/** 72 MiB, untouched parts of which are not resident: two million chunks, 8 TiB. */
const MAX_SLOTS = 2 ** 21
/** Beyond this many collisions the set is as good as full. */
const MAX_PROBES = 64

export class DigestSet {
  readonly buffer: SharedArrayBuffer
  readonly #states: Int32Array
  readonly #words: Int32Array
  readonly #mask: number
  readonly #probes: number

  /** An empty set for about `expected` digests (0: with room for none), or the set in `expected.buffer` as another thread sees it. */
  constructor(expected: number | { readonly buffer: SharedArrayBuffer }) {
    const slots = typeof expected === 'number' ? slotsFor(expected) : expected.buffer.byteLength / (4 + DIGEST_BYTES)
    this.buffer = typeof expected === 'number' ? new SharedArrayBuffer(slots * (4 + DIGEST_BYTES)) : expected.buffer
    this.#states = new Int32Array(this.buffer, 0, slots)
    this.#words = new Int32Array(this.buffer, slots * 4)
    this.#mask = slots - 1
    this.#probes = Math.min(slots, MAX_PROBES)
  }

  /**
   * Adds a digest.
   *
   * @returns false if it was in the set. Of several threads that add the same digest one gets true. A full set says true for everything
   *   that it has no room for: the caller does work that was not needed.
   */
  claim(digest: Uint8Array): boolean {
    const view = new DataView(digest.buffer, digest.byteOffset, DIGEST_BYTES)
    const word = (i: number): number => view.getInt32(i * 4, true)
    let slot = word(0) & this.#mask
    for (let probe = 0; probe < this.#probes; slot = (slot + 1) & this.#mask, probe++) {
      if (Atomics.compareExchange(this.#states, slot, FREE, WRITING) === FREE) {
        for (let i = 0; i < WORDS; i++) this.#words[slot * WORDS + i] = word(i)
        Atomics.store(this.#states, slot, WRITTEN)
        return true
      }
      while (Atomics.load(this.#states, slot) === WRITING); // eight stores of another thread
      let same = 0
      while (same < WORDS && this.#words[slot * WORDS + same] === word(same)) same++
      if (same === WORDS) return false
    }
    return true
  }
}

function slotsFor(expected: number): number {
  if (expected === 0) return 0
  let slots = MIN_SLOTS
  while (slots < MAX_SLOTS && slots < expected * 2) slots *= 2
  return slots
}
