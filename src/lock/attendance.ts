/**
 * attendance.ts: a caller that blocks its thread and wants a slot exclusively. The next in turn is awake when the owner's turn ends; all others sleep.
 *
 * To wake a sleeper takes 50 us and more in which nobody has the lock. So the next in turn, in circular order after the owner, is woken when a turn begins, by who has had
 * the one before and comes back, or by the first release; and looks at the slot till it ends, letting others run (sched_yield) between two looks. Meanwhile releases need ring
 * nobody (ATTENDED, protocol.ts). Who comes and is not the next in turn makes sure that the next is awake, and sleeps: with two cores, the owner has one and the next in turn the other.
 *
 * Before all this it looks for LOOK_MS whether the slot becomes free, and registers nothing: a lock that is wanted only now and then is then taken without a word in the slot, and nobody need be
 * rung when it is left. What another attends it leaves to that one. bench/groups.ts, eight processes, nothing inside: 1.6 -> 2.6 million locks a second, p99.9 of the wait 0.9 -> 0.05 ms; 50 us: 32 000 -> 32 700.
 *
 * A turn is TURN_MS long, or ends before, rather than with a hold that would end after it. In it the owner may leave and enter as often as it likes: who attends leaves it the microsecond between
 * a release and the next lock. At its end it leaves the slot to who attends (owesTurn), who takes it at once. It is not given (GRANTED), for who attends may have lost its core just then, and would hold up all
 * the others: if it does not come within POLITE_MS, the owner goes on, for another turn. Who attends and got nothing for HARD_MS, or goes to sleep after a turn, asks for a
 * hand-off (turn.ts). One turn is remembered: who has two slots by turns owes neither of them a turn.
 *
 * Who lets others run and gets the core back only after CROWDED_MS shares it with the owner, as a rule, while another is idle: the scheduler looks for an idle
 * core only for those who wake up. So it sleeps for a moment.
 *
 * What one holder has all the time is attended for LONGEST_MS, half as long each time, down to SHORTEST_MS; but one time in PROBE_EVERY in full, or it would
 * never be known that it is held for a shorter time again.
 *
 * What happens between the owner's release and the entry of the next is run once in a turn, with cold caches, and takes 15 to 40 us, of 0.2 warm: so there is no queue, no
 * closure, no call into native code in it. Through the queue of waiters.ts it took 10 us more.
 *
 * Two seconds of bench/handover.ts, turns of a millisecond, in turn with callers that took any gap they saw and queued, once in 10 ms, where others were queued; locks a second, Jain's index,
 * p99 of the wait: four processes, 10 us inside: 79 500, 1.00, 2.8 ms (87 900, 0.96, 1.1 ms); 100 us: 9 270, 1.00, 3.3 ms (9 180, 0.99, 6.7 ms); 1 ms: 948, 1.00, 7 ms (929, 1.00,
 * 17 ms); eight: 79 500, 1.00, 6.5 ms (82 200, 0.97, 4.9 ms); 9 120, 1.00, 9 ms (8 620, 0.97, 13 ms); 932, 1.00, 28 ms (913, 0.99, 42 ms).
 * Turns of 1.25 ms that end before a hold that would end after them, in turn with those: 10 us, two, four, eight processes: p99 of the wait 0.05, 0.09, 0.01 ms (1.0, 2.3, 0.06); 1 ms: 934, 971, 955 locks a second (916, 954, 942).
 *
 * TRIED  To give the slot to who attends at the end of the turn: a hand-over takes 50 to 140 us in the mean, instead of 20 to 50. To ring the next in turn in each release, as for sleepers: half as
 * many locks with nothing inside. Never to sleep for a moment: p99 of the hand-over 0.5 instead of 0.1 ms. POLITE_MS of 0.1 or 0.2: no better.
 * LOOK_MS of 0.2, 1, 5: groups no better, and eight processes that want one slot for 10 us up to 3 % fewer; to take also what another attends: no better; to stop as soon as a yield took CROWDED_MS: no better.
 * To yield, too, while the slot is free in the middle of a turn: the core may come back late, p99 of the hand-over 1 ms; to look at it all the time meanwhile: a quarter fewer locks, nothing inside.
 * Turns of 4 ms unless 40 locks were taken before: up to 2 % more locks, 1.4 to 1.7 times the p99 of the wait.
 */
import { nowMs } from './clock.js'
import { mute, sequenceOf } from './doorbell.js'
import { ATTENDED, MODE_EXCLUSIVE, OWNER_MASK, PARTICIPANT, SLOT } from './layout.js'
import { ATTENDS, BUSY, DEFERS, ENTERED, LOST, OPEN, OWNER, type Outcome, type Protocol, SUCCEEDS } from './protocol.js'
import { PATIENCE_MS, TURN_MS } from './turn.js'

/** Before it registers: first so many looks in a row, about 1 us, then with others running in between. */
const GLANCES = 100
/** For how long. */
export const LOOK_MS = 0.1
const LONGEST_MS = 5
const SHORTEST_MS = 0.1
const PROBE_EVERY = 16
/** A slot that stays free for so long nobody is coming back for. */
const PAUSE_MS = 0.003
/** How often it is looked at meanwhile. */
const GLANCE_MS = 0.0004
const POLITE_MS = 0.05
const HARD_MS = 4
const CROWDED_MS = 0.03
/** Nobody wakes who sleeps on it. */
const NAP = new Int32Array(new SharedArrayBuffer(4))
const NAP_MS = 0.001

/** How a wait ended. */
export const HELD = 1
export const LATE = 2
export const EVICTED = 3
export type Ending = typeof HELD | typeof LATE | typeof EVICTED

export interface Surroundings {
  letOthersRun(this: void): void
  isLive(this: void): boolean
  /** Until the bell has rung since `sequence`, or the time is up; may return early. */
  sleep(this: void, sequence: number, ms: number): void
}

export class Attendance {
  readonly #words: Int32Array
  readonly #number: number
  readonly #bell: number
  readonly #protocol: Protocol
  readonly #surroundings: Surroundings
  /** A slot that nobody entered while this process attended it for its full time; for how long to attend it the next time. */
  #stillSlot = 0
  #stillMs = 0
  #timesStill = 0
  /** What this process last waited for, and when it got it. */
  #turnSlot = 0
  #turnBeganMs = 0
  /** When it last locked it or thought of it: its next hold may be as long as the one since. */
  #askedMs = 0
  #isPolite = false
  /** Of this wait. Who has asked goes on asking, or it would sleep with its bit in URGENT and the flag HANDOFF clear. */
  #isUrgent = false
  #hasSlept = false
  /** The bell's sequence before the latest look. */
  #heard = 0

  /** @param record  word index of participant `number`'s record */
  constructor(words: Int32Array, number: number, record: number, protocol: Protocol, surroundings: Surroundings) {
    this.#words = words
    this.#number = number
    this.#bell = record + PARTICIPANT.BELL
    this.#protocol = protocol
    this.#surroundings = surroundings
  }

  /** For who is about to lock once more: true if, with one more hold like the last one, it would have the slot for more than a turn while somebody attends it: it should wait() instead. */
  owesTurn(slot: number): boolean {
    if ((Atomics.load(this.#words, slot) & ATTENDED) === 0) return false
    const now = nowMs()
    if (slot !== this.#turnSlot) this.#beginTurn(slot, now)
    const endOfNext = now + (now - this.#askedMs)
    this.#askedMs = now
    this.#isPolite = endOfNext - this.#turnBeganMs > TURN_MS
    return this.#isPolite
  }

  /**
   * Nothing of this process is on the slot. The bell is muted afterwards. If it is not HELD, the slot is left as if it had never been waited for.
   * @param since, deadline  of the request; milliseconds
   */
  wait(slot: number, name0: number, name1: number, since: number, deadline: number): Ending {
    const protocol = this.#protocol
    const { isLive, sleep } = this.#surroundings
    if (!this.#isPolite && this.#catches(slot, name0, name1, since, Math.min(since + LOOK_MS, deadline))) {
      if (!isLive()) {
        protocol.releaseExclusive(slot)
        return EVICTED
      }
      this.#beginTurn(slot, since)
      return HELD
    }
    protocol.register(slot, MODE_EXCLUSIVE)
    mute(this.#words, this.#bell)
    let outcome: Outcome = BUSY
    this.#isUrgent = false
    this.#hasSlept = false
    for (;;) {
      this.#heard = sequenceOf(this.#words, this.#bell)
      if (outcome === LOST) protocol.register(slot, MODE_EXCLUSIVE) // taken by force while it waited for readers
      outcome = outcome === OWNER ? protocol.drain(slot, name0, name1) : this.#attend(slot, name0, name1, since, deadline)
      const now = nowMs()
      const ending = isLive() ? (outcome === ENTERED ? HELD : now < deadline ? undefined : LATE) : EVICTED // looked at after the bell, whose ring tells of it
      if (ending === HELD) {
        this.#beginTurn(slot, now)
        return HELD
      }
      if (ending !== undefined) {
        this.#giveUp(slot, outcome)
        return ending
      }
      if (outcome === LOST) continue
      sleep(this.#heard, deadline - now)
      this.#hasSlept = true
    }
  }

  /** Takes a slot that nobody attends if it is free before `until`: registers nothing. */
  #catches(slot: number, name0: number, name1: number, since: number, until: number): boolean {
    const words = this.#words
    const { letOthersRun } = this.#surroundings
    for (let now = since, i = 1; now < until; i++) {
      const isFree = (Atomics.load(words, slot) & (OWNER_MASK | ATTENDED)) === 0
      if (isFree && this.#protocol.tryExclusive(slot, name0, name1) === ENTERED) return true
      if (i < GLANCES) continue
      letOthersRun()
      now = nowMs()
    }
    return false
  }

  #beginTurn(slot: number, now: number): void {
    this.#turnSlot = slot
    this.#turnBeganMs = now
    this.#askedMs = now
  }

  /** An evicted one does, too: releases may rely on it. */
  #giveUp(slot: number, outcome: Outcome): void {
    if (outcome === ENTERED) this.#protocol.releaseExclusive(slot)
    else if (outcome === OWNER) this.#protocol.backOut(slot)
    else if (outcome !== LOST) this.#protocol.giveUp(slot, MODE_EXCLUSIVE)
  }

  /** Looks for as long as this process is the next in turn. @returns BUSY: sleep */
  #attend(slot: number, name0: number, name1: number, since: number, deadline: number): Outcome {
    const words = this.#words
    const protocol = this.#protocol
    const began = nowMs()
    const end = began + this.#lengthMs(slot)
    const until = Math.min(end, deadline)
    const version = Atomics.load(words, slot + SLOT.VERSION_LOW)
    let pauseMs = this.#isPolite ? POLITE_MS : PAUSE_MS
    this.#isPolite = false
    let owner = 0
    let ownedSince = began
    let ownedVersion = 0
    for (let now = began; now < until && this.#surroundings.isLive(); now = nowMs()) {
      const current = Atomics.load(words, slot) & OWNER_MASK
      let outcome: Outcome
      if (current === 0) {
        if (this.#isTaken(slot, now + pauseMs)) continue
        outcome = protocol.attemptExclusive(slot, name0, name1, false, SUCCEEDS)
      } else {
        if (current !== owner) {
          owner = current
          ownedSince = now
          ownedVersion = words[slot + SLOT.VERSION_LOW]!
          pauseMs = PAUSE_MS
        }
        this.#heard = sequenceOf(words, this.#bell)
        const isNext = protocol.nextAfterOwner(slot) === this.#number
        this.#isUrgent ||= now - ownedSince > HARD_MS || now - since > PATIENCE_MS
        outcome = protocol.attemptExclusive(slot, name0, name1, this.#isUrgent, isNext ? ATTENDS : DEFERS)
        if (outcome === BUSY) {
          if (!isNext) {
            protocol.rouse(slot)
            return BUSY
          }
          const isFree = this.#watch(slot, current, ownedSince, ownedVersion, this.#isUrgent ? until : Math.min(until, ownedSince + HARD_MS))
          if (isFree) outcome = protocol.attemptExclusive(slot, name0, name1, false, SUCCEEDS)
        }
      }
      if (outcome !== BUSY && outcome !== OPEN) {
        if (!this.#hasSlept) this.#noteMoved(slot)
        return outcome
      }
    }
    const now = nowMs()
    if (Atomics.load(words, slot + SLOT.VERSION_LOW) !== version) this.#noteMoved(slot)
    else if (now >= end) this.#noteStill(slot)
    this.#isUrgent ||= now - since > TURN_MS
    this.#heard = sequenceOf(words, this.#bell)
    return this.#surroundings.isLive() ? protocol.attemptExclusive(slot, name0, name1, this.#isUrgent, SUCCEEDS) : BUSY
  }

  /**
   * Until the slot has another owner, or the bell has rung, or somebody else's look has cleared ATTENDED. Small, so that V8 makes no garbage here.
   * @param since, version  of its hold, or of the first of its holds
   * @returns true as soon as it stays free, or is free after the owner's turn: a hold of more than half a turn is a turn
   */
  #watch(slot: number, owner: number, since: number, version: number, until: number): boolean {
    const words = this.#words
    const { letOthersRun } = this.#surroundings
    const heard = this.#heard
    let last = nowMs()
    do {
      const word = Atomics.load(words, slot)
      const current = word & OWNER_MASK
      if (current === 0) {
        const turnMs = words[slot + SLOT.VERSION_LOW] === version ? TURN_MS / 2 : TURN_MS
        if (last - since > turnMs || !this.#isTaken(slot, last + PAUSE_MS)) return true
      } else if (current !== owner || (word & ATTENDED) === 0 || sequenceOf(words, this.#bell) !== heard) return false
      letOthersRun()
      const now = nowMs()
      if (now - last > CROWDED_MS) {
        Atomics.wait(NAP, 0, 0, NAP_MS)
        last = nowMs()
      } else last = now
    } while (last < until)
    return false
  }

  /** Whether somebody takes the slot in time. Lets nobody run, for the core may not come back in time; and looks seldom, for each look takes the word from the core of the owner. */
  #isTaken(slot: number, until: number): boolean {
    for (let now = 0; now < until;) {
      if ((Atomics.load(this.#words, slot) & OWNER_MASK) !== 0) return true
      const next = Math.min(nowMs() + GLANCE_MS, until)
      do now = nowMs()
      while (now < next)
    }
    return false
  }

  #lengthMs(slot: number): number {
    return slot !== this.#stillSlot || ++this.#timesStill % PROBE_EVERY === 0 ? LONGEST_MS : this.#stillMs
  }

  #noteMoved(slot: number): void {
    if (slot === this.#stillSlot) this.#stillSlot = 0
  }

  #noteStill(slot: number): void {
    this.#stillMs = slot === this.#stillSlot ? Math.max(this.#stillMs / 2, SHORTEST_MS) : LONGEST_MS / 2
    this.#stillSlot = slot
  }
}
