/**
 * holders.ts: who holds and who waits for a slot, read without a lock: best effort, each number true at some moment of the reading.
 */
import { BITMAP_WORDS, PARTICIPANT, PARTICIPANT_LIMIT, SLOT, participantWord } from './layout.js'
import { isLive, isOwnerLive } from './roster.js'
import { hasEntered, isOwned, ownerNumber } from './word.js'

/** Numbers of the participants whose bit is set in the bitmap that starts at word `bitmap`, dead ones left out. */
export function liveNumbers(words: Int32Array, bitmap: number): number[] {
  const numbers: number[] = []
  for (let number = 1; number < PARTICIPANT_LIMIT; number++) {
    const bits = Atomics.load(words, bitmap + (number >>> 5))
    if (bits & (1 << (number & 31)) && isLive(words, number)) numbers.push(number)
  }
  return numbers
}

/** How many participants wait for a shared hold of a slot, dead ones included. */
export function sharedWaiterCount(words: Int32Array, slot: number): number {
  let count = 0
  for (let i = 0; i < BITMAP_WORDS; i++) {
    for (let bits = Atomics.load(words, slot + SLOT.WAITERS_SHARED + i); bits !== 0; bits &= bits - 1) count++
  }
  return count
}

export interface SlotHolders {
  /** The owner's number, 0 if none. */
  readonly owner: number
  /** The owner may run its code: it neither waits for readers nor has yet to accept. */
  readonly ownerEntered: boolean
  readonly ownerIsDead: boolean
  readonly readers: readonly number[]
}

export function holdersOf(words: Int32Array, slot: number): SlotHolders {
  const word = Atomics.load(words, slot)
  let anyReader = 0
  for (let i = 0; i < BITMAP_WORDS; i++) anyReader |= Atomics.load(words, slot + SLOT.READERS + i)
  return {
    owner: ownerNumber(word),
    ownerEntered: hasEntered(word),
    ownerIsDead: isOwned(word) && !isOwnerLive(words, word),
    readers: anyReader === 0 ? [] : liveNumbers(words, slot + SLOT.READERS),
  }
}

/** Process ids of whoever is inside. */
export function holderPids(words: Int32Array, slot: number): number[] {
  const { owner, ownerEntered, readers } = holdersOf(words, slot)
  const numbers = owner !== 0 && ownerEntered ? [owner] : readers
  return numbers.map(number => words[participantWord(number) + PARTICIPANT.PID] ?? 0)
}

