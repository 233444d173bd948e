/**
 * roster.ts: who lives, and which of the living has a bit in a slot's bitmap. Reads only.
 *
 * A bit counts only while its participant is LIVE: a dead one's stays until its number is scrubbed, before it is reused.
 */
import { BITMAP_WORDS, GENERATION_SHIFT, LIFE, LIFE_STATUS_MASK, PARTICIPANT, SLOT, participantWord } from './layout.js'
import { ownerNumber } from './word.js'

const GENERATION_MASK = -1 << GENERATION_SHIFT

/** True if the participant's bits and rings count. */
export function isLive(words: Int32Array, number: number): boolean {
  return (Atomics.load(words, participantWord(number) + PARTICIPANT.LIFE) & LIFE_STATUS_MASK) === LIFE.LIVE
}

/** True if the incarnation that a state word names lives (or joins: it may own slots while it scrubs). */
export function isOwnerLive(words: Int32Array, word: number): boolean {
  const life = Atomics.load(words, participantWord(ownerNumber(word)) + PARTICIPANT.LIFE)
  const status = life & LIFE_STATUS_MASK
  return ((life ^ word) & GENERATION_MASK) === 0 && (status === LIFE.LIVE || status === LIFE.SCRUBBING)
}

/** The lowest live number in the bitmap word `bits` of group `index` (32 numbers), except `except`; 0: none. */
function lowestLive(words: Int32Array, bits: number, index: number, except: number): number {
  while (bits !== 0) {
    const number = index * 32 + 31 - Math.clz32(bits & -bits)
    if (number !== except && isLive(words, number)) return number
    bits &= bits - 1
  }
  return 0
}

/** A live participant other than `except` whose reader bit is set; 0: none. */
export function liveReader(words: Int32Array, slot: number, except: number): number {
  for (let index = 0; index < BITMAP_WORDS; index++) {
    const number = lowestLive(words, Atomics.load(words, slot + SLOT.READERS + index), index, except)
    if (number !== 0) return number
  }
  return 0
}

/** The next live waiter of either mode in circular order after `number`, never `number` itself, if asked for of those with URGENT; 0: none. */
export function nextWaiter(words: Int32Array, slot: number, number: number, onlyUrgent = false): number {
  const first = number >>> 5
  const later = (-1 << (number & 31)) & ~(1 << (number & 31))
  for (let step = 0; step <= BITMAP_WORDS; step++) {
    const index = (first + step) % BITMAP_WORDS
    let bits = Atomics.load(words, slot + SLOT.WAITERS_EXCLUSIVE + index) | Atomics.load(words, slot + SLOT.WAITERS_SHARED + index)
    if (onlyUrgent && bits !== 0) bits &= Atomics.load(words, slot + SLOT.URGENT + index)
    if (step === 0) bits &= later
    if (step === BITMAP_WORDS) bits &= ~later
    const found = lowestLive(words, bits, index, number)
    if (found !== 0) return found
  }
  return 0
}

/** Calls `visit` for every live participant but `except` that waits for a shared hold. */
export function forEachSharedWaiter(words: Int32Array, slot: number, except: number, visit: (number: number) => void): void {
  for (let index = 0; index < BITMAP_WORDS; index++) {
    let bits = Atomics.load(words, slot + SLOT.WAITERS_SHARED + index)
    for (let number = lowestLive(words, bits, index, except); number !== 0; number = lowestLive(words, bits, index, except)) {
      visit(number)
      bits &= -2 << (number & 31)
    }
  }
}

/** True if the participant's bit is set in the bitmap that starts at word `bitmap` of a slot. */
export function hasBit(words: Int32Array, bitmap: number, number: number): boolean {
  return (Atomics.load(words, bitmap + (number >>> 5)) & (1 << (number & 31))) !== 0
}

export function setBit(words: Int32Array, bitmap: number, number: number): void {
  Atomics.or(words, bitmap + (number >>> 5), 1 << (number & 31))
}

/** @returns true if it was set */
export function clearBit(words: Int32Array, bitmap: number, number: number): boolean {
  const bit = 1 << (number & 31)
  return (Atomics.and(words, bitmap + (number >>> 5), ~bit) & bit) !== 0
}
