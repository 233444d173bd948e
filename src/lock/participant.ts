/**
 * participant.ts: how a process takes a number in the table, and how it leaves.
 *
 * J1  share the roster byte, so that nobody removes the table meanwhile
 * J2  take the byte lock of a number: a free number if there is one, else one whose process is gone. From now on the byte says
 *     that we live, and nobody else may touch the number.
 * J3  start the sentinel: robust word set, so that the kernel reports our death
 * J4  LIFE = next generation, SCRUBBING: what our predecessor owns is now owned by a dead incarnation, its bits do not count
 * J5  unless it left in good order: scrub every slot, first those where it carried somebody else's notice (INHERITED)
 * J6  write who we are; LIFE = LIVE; ring everybody: who waited for a bit of our predecessor's looks again, who watches our
 *     neighbour's robust word now watches ours
 * A death after J3 is certified like any other; before it, nothing in the file refers to the generation yet.
 */
import { readFileSync, statSync } from 'node:fs'
import { LockError } from '../errors.js'
import { nowMs } from './clock.js'
import { type Wake, ringAll, ringBell } from './doorbell.js'
import {
  GENERATION_LIMIT, GENERATION_SHIFT, HEADER, LIFE, LIFE_STATUS_MASK, PARTICIPANT, PARTICIPANT_LABEL_BYTES, PARTICIPANT_LIMIT, PARTICIPANT_WORDS,
  ROSTER_LOCK_BYTE, WORD_BYTES, participantWord, slotWord,
} from './layout.js'
import { Protocol } from './protocol.js'
import { type Region, isStillNamed } from './region.js'

export interface Participant {
  readonly number: number
  readonly generation: number
  /** Word index of its record. */
  readonly record: number
  readonly protocol: Protocol
  readonly lifeWhileLive: number
}

/** J1-J6. Synchronous; with a number to scrub it reads every slot (16 MiB: some milliseconds). */
export function join(region: Region, onRing: () => void, label: string): Participant {
  const { native, path } = region
  if (!native.lockByte(ROSTER_LOCK_BYTE, false)) throw new LockError('TABLE_BUSY', `${path} is being removed`, { path }) // J1
  try {
    if (Atomics.load(region.words, HEADER.RETIRED) !== 0 || !isStillNamed(region)) {
      throw new LockError('TABLE_GONE', `${path} was removed or replaced while it was opened`, { path })
    }
    const number = takeNumber(region) // J2
    native.startSentinel(number, onRing) // J3
    return enlist(region, number, label)
  } finally {
    native.unlockByte(ROSTER_LOCK_BYTE)
  }
}

function takeNumber(region: Region): number {
  const { native, words, path } = region
  const statusOf = (number: number): number => Atomics.load(words, participantWord(number) + PARTICIPANT.LIFE) & LIFE_STATUS_MASK
  const wanted: ((status: number) => boolean)[] = [
    status => status === LIFE.FREE,
    status => status === LIFE.DEAD,
    status => status !== LIFE.FREE && status !== LIFE.DEAD, // died, and nobody has noticed yet
  ]
  for (const accepts of wanted) {
    for (let number = 1; number < PARTICIPANT_LIMIT; number++) {
      if (accepts(statusOf(number)) && native.lockByte(number, true)) {
        if (accepts(statusOf(number))) return number
        native.unlockByte(number)
      }
    }
  }
  throw new LockError('TABLE_FULL', `${path} has ${PARTICIPANT_LIMIT - 1} participants already`, { path })
}

function enlist(region: Region, number: number, label: string): Participant {
  const { words } = region
  const record = participantWord(number)
  const before = Atomics.load(words, record + PARTICIPANT.LIFE)
  const last = before >>> GENERATION_SHIFT
  const generation = last >= GENERATION_LIMIT ? 1 : last + 1
  const life = generation << GENERATION_SHIFT
  Atomics.store(words, record + PARTICIPANT.LIFE, life | LIFE.SCRUBBING) // J4
  const wake: Wake = (other, sleepers) => {
    region.native.wake(other, sleepers)
  }
  const protocol = new Protocol(words, number, generation, {
    ring: other => {
      ringBell(words, other, wake)
    },
    now: () => Math.floor(Date.now() / 1000),
  })
  if ((before & LIFE_STATUS_MASK) !== LIFE.FREE) scrubAll(region, protocol, number) // J5
  introduce(region, record, label)
  Atomics.store(words, record + PARTICIPANT.LIFE, life | LIFE.LIVE) // J6
  Atomics.add(words, HEADER.ROSTER, 1)
  ringAll(words, number, wake)
  return { number, generation, record, protocol, lifeWhileLive: life | LIFE.LIVE }
}

function scrubAll(region: Region, protocol: Protocol, number: number): void {
  for (const inheritedOnly of [true, false]) {
    for (const space of region.spaces) {
      for (let i = 0; i < space.slotCount; i++) protocol.scrub(slotWord(space.firstWord, i), number, inheritedOnly)
    }
  }
}

/** Everything in the record but life, robust word, bell and generation. */
function introduce(region: Region, record: number, label: string): void {
  const { words } = region
  words.fill(0, record + PARTICIPANT.INTENT_SLOT, record + PARTICIPANT.STOLEN)
  Atomics.store(words, record + PARTICIPANT.STOLEN, 0) // a thief of what our predecessor held may be adding to it: at worst we look once too often
  words.fill(0, record + PARTICIPANT.STOLEN + 1, record + PARTICIPANT_WORDS)
  const namespaceInode = pidNamespace()
  const startTicks = startTime()
  const now = Math.floor(nowMs())
  words[record + PARTICIPANT.PID] = process.pid
  words[record + PARTICIPANT.PID_NAMESPACE_LOW] = namespaceInode | 0
  words[record + PARTICIPANT.PID_NAMESPACE_HIGH] = Math.floor(namespaceInode / 2 ** 32)
  words[record + PARTICIPANT.START_TIME_LOW] = startTicks | 0
  words[record + PARTICIPANT.START_TIME_HIGH] = Math.floor(startTicks / 2 ** 32)
  words[record + PARTICIPANT.JOINED_LOW] = now | 0
  words[record + PARTICIPANT.JOINED_HIGH] = Math.floor(now / 2 ** 32)
  const text = new Uint8Array(region.bytes.buffer, (record + PARTICIPANT.LABEL) * WORD_BYTES, PARTICIPANT_LABEL_BYTES)
  text.fill(0)
  new TextEncoder().encodeInto(label, text)
}

/** Inode number of our PID namespace; 0 where /proc is not to be had. */
export function pidNamespace(): number {
  try {
    return statSync('/proc/self/ns/pid').ino
  } catch {
    return 0
  }
}

/** Field 22 of /proc/self/stat, counted after the command's closing parenthesis. */
function startTime(): number {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 0)
  } catch {
    return 0
  }
}

/**
 * Ends the participation and closes the file. `orderly`: nothing in the file refers to us any more; otherwise it counts as a death, so
 * that whatever we still hold goes to the next with a notice.
 */
export function leave(region: Region, participant: Participant, orderly: boolean): void {
  const { words, native } = region
  const life = participant.record + PARTICIPANT.LIFE
  native.stopSentinel()
  const after = (participant.generation << GENERATION_SHIFT) | (orderly ? LIFE.FREE : LIFE.DEAD)
  if (Atomics.compareExchange(words, life, participant.lifeWhileLive, after) === participant.lifeWhileLive) {
    Atomics.add(words, HEADER.ROSTER, 1)
    ringAll(words, participant.number, (number, sleepers) => {
      native.wake(number, sleepers)
    })
  }
  native.close()
}

/**
 * Declares dead those whose process is gone, as the sentinels do some milliseconds later (native/death_watch.cc): for who cannot wait.
 * LIFE is read before the byte: a number that is used again meanwhile has another generation.
 */
export function certifyGone(region: Region, self: number, numbers: readonly number[]): void {
  const { words, native } = region
  let any = false
  for (const number of numbers) {
    const life = participantWord(number) + PARTICIPANT.LIFE
    const word = Atomics.load(words, life)
    if (number === self || (word & LIFE_STATUS_MASK) !== LIFE.LIVE || native.isByteHeld(number)) continue
    any = Atomics.compareExchange(words, life, word, (word & ~LIFE_STATUS_MASK) | LIFE.DEAD) === word || any
  }
  if (!any) return
  Atomics.add(words, HEADER.ROSTER, 1)
  ringAll(words, 0, (other, sleepers) => {
    native.wake(other, sleepers)
  })
}

/**
 * Declares a live participant dead by order. What it holds goes to the next; it is told, if it still listens.
 * @returns false if it is not live
 */
export function expel(region: Region, number: number): boolean {
  const { words, native } = region
  const life = participantWord(number) + PARTICIPANT.LIFE
  const word = Atomics.load(words, life)
  const status = word & LIFE_STATUS_MASK
  if (status !== LIFE.LIVE) return false
  if (Atomics.compareExchange(words, life, word, (word & ~LIFE_STATUS_MASK) | LIFE.EVICTED) !== word) return false
  Atomics.add(words, HEADER.ROSTER, 1)
  ringAll(words, 0, (other, sleepers) => {
    native.wake(other, sleepers)
  })
  return true
}
