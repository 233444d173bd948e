/**
 * audit.ts: does the file keep its invariants? Takes no lock and changes nothing.
 *
 * Others work on while it reads, and two words are never read at one moment: so it looks twice, some time apart, and reports only what it saw
 * both times, unchanged. Rules that are `broken` cannot be so in a table that only this package has written to. What is `stuck`
 * passes by itself in microseconds: it stays only while the process named is stopped, or its event loop blocked.
 */
import {
  ATTENDED, BITMAP_WORDS, DRAINING, GRANTED, GENERATION_SHIFT, HANDOFF, INHERITED, LIFE, LIFE_STATUS_MASK, NAME_LENGTH_MASK, NOTICE, NOTICES, NOTICE_LIMIT,
  NOTICE_WORDS, OWNER_MASK, PARTICIPANT, PARTICIPANT_LIMIT, READERS, SLOT, SLOT_NAME_BYTES, WAITERS, participantWord, slotWord,
} from './layout.js'
import type { Region } from './region.js'
import { hasEntered, isOwned, ownerNumber } from './word.js'

export interface Finding {
  /** Stable; the text is not. */
  readonly rule: string
  readonly severity: 'broken' | 'stuck'
  /** Undefined: about a participant. */
  readonly space: string | undefined
  readonly slot: number | undefined
  readonly participant: number | undefined
  readonly text: string
}

/** What a rule sees of a slot. */
interface SlotView {
  readonly word: number
  readonly owner: number
  /** LIFE of the owner. */
  readonly life: number
  readonly readers: readonly number[]
  readonly waiters: readonly number[]
  readonly urgent: readonly number[]
  /** Notices are recorded, or were too many to be. */
  readonly hasRecords: boolean
  readonly nameBytes: number
  readonly isLive: (number: number) => boolean
  readonly isFree: (number: number) => boolean
}

/** `participant`: whom it is about, 0 nobody. */
interface Rule {
  readonly rule: string
  readonly severity: Finding['severity']
  readonly text: string
  readonly applies: (slot: SlotView) => boolean
  readonly participant?: (slot: SlotView) => number
}

const FLAG_BITS = (1 << GENERATION_SHIFT) - 1
const KNOWN_BITS = OWNER_MASK | WAITERS | DRAINING | HANDOFF | NOTICES | INHERITED | GRANTED | READERS | ATTENDED
const owner = ({ owner: number }: SlotView): number => number
const isOwnerLive = (slot: SlotView): boolean => slot.owner !== 0 && slot.isLive(slot.owner) && (slot.life ^ slot.word) >>> GENERATION_SHIFT === 0
const liveOf = (slot: SlotView, numbers: readonly number[]): number[] => numbers.filter(number => number !== slot.owner && slot.isLive(number))

const RULES: readonly Rule[] = [
  { rule: 'STATE_BITS', severity: 'broken', text: 'its state has bits that mean nothing', applies: ({ word }) => (word & FLAG_BITS & ~KNOWN_BITS) !== 0 },
  { rule: 'STATE_UNOWNED', severity: 'broken', text: 'it has no owner, but what only an owner has',
    applies: ({ word }) => !isOwned(word) && ((word & (DRAINING | GRANTED | INHERITED)) !== 0 || word >>> GENERATION_SHIFT !== 0) },
  { rule: 'STATE_CONTRADICTION', severity: 'broken', text: 'its owner both has to accept it and has accepted it, or carries a notice and has entered',
    applies: ({ word }) => (word & GRANTED && word & (DRAINING | INHERITED)) !== 0 || (word & (INHERITED | DRAINING)) === INHERITED },
  { rule: 'OWNER_UNKNOWN', severity: 'broken', text: 'its owner left in good order, or its number is somebody else’s by now', participant: owner,
    applies: slot => slot.owner !== 0 && (slot.isFree(slot.owner) ||
      ((slot.life & LIFE_STATUS_MASK) !== LIFE.SCRUBBING && (slot.life ^ slot.word) >>> GENERATION_SHIFT !== 0)) },
  { rule: 'BIT_UNKNOWN', severity: 'broken', text: 'a reader or waiter of it left in good order', participant: slot => ghosts(slot)[0] ?? 0,
    applies: slot => ghosts(slot).length > 0 },
  { rule: 'NOTICE_UNMARKED', severity: 'broken', text: 'it has notices of the dead that its state does not tell of',
    applies: slot => slot.hasRecords && (slot.word & (NOTICES | INHERITED)) === 0 && (slot.owner === 0 || isOwnerLive(slot)) },
  { rule: 'NAME_LENGTH', severity: 'broken', text: 'its name is longer than there is room for', applies: ({ nameBytes }) => nameBytes > SLOT_NAME_BYTES },
  { rule: 'WAITER_STRANDED', severity: 'stuck', text: 'somebody waits for it, but nobody owns it', participant: slot => slot.waiters.find(slot.isLive) ?? 0,
    applies: slot => slot.owner === 0 && slot.waiters.some(slot.isLive) },
  { rule: 'WAITER_UNMARKED', severity: 'stuck', text: 'somebody waits for it, but its state does not tell its owner', participant: slot => liveOf(slot, slot.waiters)[0] ?? 0,
    applies: slot => isOwnerLive(slot) && (slot.word & WAITERS) === 0 && liveOf(slot, slot.waiters).length > 0 },
  { rule: 'URGENT_UNMARKED', severity: 'stuck', text: 'somebody asks for a hand-off, but its state does not tell its owner', participant: slot => liveOf(slot, slot.urgent)[0] ?? 0,
    applies: slot => isOwnerLive(slot) && (slot.word & HANDOFF) === 0 && liveOf(slot, slot.urgent).some(number => slot.waiters.includes(number)) },
  { rule: 'GRANT_UNACCEPTED', severity: 'stuck', text: 'it was given to somebody who does not take it', participant: owner,
    applies: slot => isOwnerLive(slot) && (slot.word & GRANTED) !== 0 },
  { rule: 'DRAIN_STALLED', severity: 'stuck', text: 'its owner waits for readers, but there is none', participant: owner,
    applies: slot => isOwnerLive(slot) && (slot.word & DRAINING) !== 0 && liveOf(slot, slot.readers).length === 0 },
  { rule: 'READER_BESIDE_OWNER', severity: 'stuck', text: 'a reader stands beside an owner that has entered', participant: slot => liveOf(slot, slot.readers)[0] ?? 0,
    applies: slot => isOwnerLive(slot) && hasEntered(slot.word) && liveOf(slot, slot.readers).length > 0 },
]

/** Whose bits stand in the slot although their numbers are free. */
function ghosts(slot: SlotView): number[] {
  return [...slot.readers, ...slot.waiters, ...slot.urgent].filter(slot.isFree)
}

/** The invariants that do not hold at this moment. `self`: the caller's number. About 200 ns a slot. */
export function auditRegion(region: Region, self: number): Finding[] {
  return [...auditParticipants(region, self), ...auditSlots(region, self)]
}

/** Those of `before` that are still there: what others were in the middle of has passed. */
export function stillFound(before: readonly Finding[], after: readonly Finding[]): Finding[] {
  const keyOf = ({ rule, space, slot, participant }: Finding): string => JSON.stringify([rule, space, slot, participant])
  const earlier = new Set(before.map(keyOf))
  return after.filter(finding => earlier.has(keyOf(finding)))
}

function auditParticipants({ words, native }: Region, self: number): Finding[] {
  const findings: Finding[] = []
  const statusOf = (number: number): number => Atomics.load(words, participantWord(number) + PARTICIPANT.LIFE) & LIFE_STATUS_MASK
  let waiting = false // while nobody waits, a death may well go unnoticed until somebody does
  for (let number = 1; number < PARTICIPANT_LIMIT; number++) {
    waiting ||= statusOf(number) === LIFE.LIVE && words[participantWord(number) + PARTICIPANT.WAITING_COUNT] !== 0 && (number === self || native.isByteHeld(number))
  }
  for (let number = 1; number < PARTICIPANT_LIMIT; number++) {
    const status = statusOf(number)
    const add = (rule: string, severity: Finding['severity'], text: string): void => {
      findings.push({ rule, severity, space: undefined, slot: undefined, participant: number, text })
    }
    if (status > LIFE.EVICTED) add('LIFE_UNKNOWN', 'broken', 'its state is none that there is')
    else if (waiting && number !== self && (status === LIFE.LIVE || status === LIFE.SCRUBBING) && !native.isByteHeld(number)) {
      add('DEATH_UNNOTICED', 'stuck', 'its process is gone, others wait, and nobody has noticed')
    }
  }
  return findings
}

/** Who is gone counts as dead here, noticed or not: that nobody has noticed is a finding of its own. */
function lifeOf({ words, native }: Region, number: number, self: number): number {
  const life = Atomics.load(words, participantWord(number) + PARTICIPANT.LIFE)
  const status = life & LIFE_STATUS_MASK
  const isGone = (status === LIFE.LIVE || status === LIFE.SCRUBBING) && number !== self && number !== 0 && !native.isByteHeld(number)
  return isGone ? (life & ~LIFE_STATUS_MASK) | LIFE.DEAD : life
}

function auditSlots(region: Region, self: number): Finding[] {
  const { words } = region
  const lives = Array.from({ length: PARTICIPANT_LIMIT }, (_, number) => lifeOf(region, number, self))
  const isLive = (number: number): boolean => ((lives[number] ?? 0) & LIFE_STATUS_MASK) === LIFE.LIVE
  const isFree = (number: number): boolean => number === 0 || ((lives[number] ?? 0) & LIFE_STATUS_MASK) === LIFE.FREE
  return region.spaces.flatMap(space => {
    const findings: Finding[] = []
    for (let i = 0; i < space.slotCount; i++) {
      const at = slotWord(space.firstWord, i)
      const word = Atomics.load(words, at)
      const view: SlotView = {
        word, owner: ownerNumber(word), life: lives[ownerNumber(word)] ?? 0,
        readers: numbersIn(words, at + SLOT.READERS),
        waiters: [...numbersIn(words, at + SLOT.WAITERS_EXCLUSIVE), ...numbersIn(words, at + SLOT.WAITERS_SHARED)],
        urgent: numbersIn(words, at + SLOT.URGENT),
        hasRecords: hasRecords(words, at),
        nameBytes: (words[at + SLOT.NAME_META] ?? 0) & NAME_LENGTH_MASK,
        isLive, isFree,
      }
      for (const { rule, severity, text, applies, participant } of RULES) {
        if (applies(view)) findings.push({ rule, severity, space: space.name, slot: i, participant: participant?.(view), text })
      }
    }
    return findings
  })
}

function hasRecords(words: Int32Array, slot: number): boolean {
  for (let i = 0; i < NOTICE_LIMIT; i++) if (words[slot + SLOT.NOTICES + i * NOTICE_WORDS + NOTICE.PID]) return true
  return words[slot + SLOT.NOTICES_LOST] !== 0
}

/** Every number whose bit is set, the dead too. */
function numbersIn(words: Int32Array, bitmap: number): number[] {
  const numbers: number[] = []
  for (let index = 0; index < BITMAP_WORDS; index++) {
    for (let bits = Atomics.load(words, bitmap + index); bits !== 0; bits &= bits - 1) numbers.push(index * 32 + 31 - Math.clz32(bits & -bits))
  }
  return numbers
}
