/**
 * notices.ts: what is known of holders that died, kept until an exclusive holder of the same name has been told.
 *
 * Plain memory: written by the slot's owner alone (protocol.ts, WEAK MEMORY), read by whoever is inside.
 */
import { INHERITED, NOTICE, NOTICE_LIMIT, NOTICE_WORDS, PARTICIPANT, SLOT, participantWord } from './layout.js'
import { hasEntered, ownerNumber } from './word.js'

/** What is known of a holder that died. */
export interface Notice {
  /** Process id in its own PID namespace; 0: unknown (more names were abandoned than the slot has records for). */
  readonly pid: number
  /** When the death was found, seconds since 1970; 0: unknown. */
  readonly time: number
}

/** Two 32-bit halves of a name's fingerprint, and who died holding it. */
export interface NamedNotice extends Notice {
  readonly name0: number
  readonly name1: number
}

function at(words: Int32Array, index: number): number {
  return words[index]!
}

/**
 * t1: the notice that the dead owner in `word` leaves: its own if its code may have run, the inherited one if it carried one.
 * Undefined: it had not entered. What is read is confirmed by the compare-and-swap that follows (t3).
 */
export function noticeOfDead(words: Int32Array, slot: number, word: number, now: number): NamedNotice | undefined {
  const record = participantWord(ownerNumber(word))
  if (word & INHERITED) {
    return {
      pid: at(words, record + PARTICIPANT.INHERITED_PID),
      name0: at(words, record + PARTICIPANT.INHERITED_NAME_0),
      name1: at(words, record + PARTICIPANT.INHERITED_NAME_1),
      time: at(words, record + PARTICIPANT.INHERITED_TIME),
    }
  }
  if (!hasEntered(word)) return undefined
  // It died either before or after it wrote its name into the slot: if its latest intent was here, that is the name.
  const intended = at(words, record + PARTICIPANT.INTENT_SLOT) === slot
  return {
    pid: at(words, record + PARTICIPANT.PID),
    name0: at(words, intended ? record + PARTICIPANT.INTENT_NAME_0 : slot + SLOT.NAME_0),
    name1: at(words, intended ? record + PARTICIPANT.INTENT_NAME_1 : slot + SLOT.NAME_1),
    time: now,
  }
}

/** t2: into the taker's own record. */
export function carry(words: Int32Array, number: number, notice: NamedNotice): void {
  const record = participantWord(number)
  words[record + PARTICIPANT.INHERITED_PID] = notice.pid
  words[record + PARTICIPANT.INHERITED_NAME_0] = notice.name0
  words[record + PARTICIPANT.INHERITED_NAME_1] = notice.name1
  words[record + PARTICIPANT.INHERITED_TIME] = notice.time
}

/** t4: into the slot. One record a name, so doing it twice is harmless. */
export function record(words: Int32Array, slot: number, notice: NamedNotice): void {
  let place = find(words, slot, notice.name0, notice.name1)
  if (place === 0) place = find(words, slot, 0, 0, true)
  if (place === 0) {
    words[slot + SLOT.NOTICES_LOST] = 1
    return
  }
  words[place + NOTICE.NAME_0] = notice.name0
  words[place + NOTICE.NAME_1] = notice.name1
  words[place + NOTICE.TIME] = notice.time
  words[place + NOTICE.PID] = notice.pid
}

/** The notice meant for this name, left where it is. */
export function peek(words: Int32Array, slot: number, name0: number, name1: number): Notice | undefined {
  const place = find(words, slot, name0, name1)
  if (place !== 0) return { pid: at(words, place + NOTICE.PID), time: at(words, place + NOTICE.TIME) }
  return words[slot + SLOT.NOTICES_LOST] ? { pid: 0, time: 0 } : undefined
}

/** Removes the notice meant for this name. @returns true if the slot has none left */
export function forget(words: Int32Array, slot: number, name0: number, name1: number): boolean {
  const place = find(words, slot, name0, name1)
  if (place !== 0) words[place + NOTICE.PID] = 0
  if (words[slot + SLOT.NOTICES_LOST]) return false
  for (let i = 0; i < NOTICE_LIMIT; i++) if (words[slot + SLOT.NOTICES + i * NOTICE_WORDS + NOTICE.PID]) return false
  return true
}

/** Word index of the record of a name, or of an empty record; 0: none. */
function find(words: Int32Array, slot: number, name0: number, name1: number, empty = false): number {
  for (let i = 0; i < NOTICE_LIMIT; i++) {
    const place = slot + SLOT.NOTICES + i * NOTICE_WORDS
    const used = words[place + NOTICE.PID] !== 0
    if (empty ? !used : used && words[place + NOTICE.NAME_0] === name0 && words[place + NOTICE.NAME_1] === name1) return place
  }
  return 0
}
