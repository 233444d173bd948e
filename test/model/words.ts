/** words.ts: which words of a table the explorer tells apart, and what schedules call them. */
import { BITMAP_WORDS, PARTICIPANT_LIMIT, PARTICIPANT_WORDS, PARTICIPANTS_WORD, SLOT, SLOT_WORDS, slotWord } from '../../src/lock/layout.js'

export const FIRST_SLOT = PARTICIPANTS_WORD + PARTICIPANT_LIMIT * PARTICIPANT_WORDS
export const SLOTS = [slotWord(FIRST_SLOT, 0), slotWord(FIRST_SLOT, 1)] as const

export function isStatistic(index: number): boolean {
  if (index < FIRST_SLOT) return false
  const offset = (index - FIRST_SLOT) % SLOT_WORDS
  return [SLOT.HANDOFFS, SLOT.TAKEOVERS, SLOT.CONTENDED].includes(offset as never)
}

export function isVersion(index: number): boolean {
  const offset = (index - FIRST_SLOT) % SLOT_WORDS
  return index >= FIRST_SLOT && (offset === SLOT.VERSION_LOW || offset === SLOT.VERSION_HIGH)
}

export function isHighBitmapWord(index: number): boolean {
  if (index < FIRST_SLOT) return false
  const offset = (index - FIRST_SLOT) % SLOT_WORDS
  return [SLOT.READERS, SLOT.WAITERS_EXCLUSIVE, SLOT.WAITERS_SHARED, SLOT.URGENT].some(first => offset > first && offset < first + BITMAP_WORDS)
}

export function isUrgentWord(index: number): boolean {
  return index >= FIRST_SLOT && (index - FIRST_SLOT) % SLOT_WORDS === SLOT.URGENT
}

export function wordName(index: number): string {
  if (index < FIRST_SLOT) return `L[${Math.floor((index - PARTICIPANTS_WORD) / PARTICIPANT_WORDS)}]`
  const offset = (index - FIRST_SLOT) % SLOT_WORDS
  const names: Record<number, string> = { [SLOT.STATE]: 'S', [SLOT.READERS]: 'Q', [SLOT.WAITERS_EXCLUSIVE]: 'WX', [SLOT.WAITERS_SHARED]: 'WS', [SLOT.URGENT]: 'U' }
  return `${names[offset] ?? `word ${offset}`}${index - FIRST_SLOT >= SLOT_WORDS ? "'" : ''}`
}
