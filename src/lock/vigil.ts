/**
 * vigil.ts: a participant that must wait looks at its bell for a short while before it sleeps on it.
 *
 * From the bell to JavaScript it takes a futex, a thread and the event loop, some 100 us; most locks are held for less. So whoever waits
 * stays awake for a while, a turn of the event loop at a time (a caller that blocks its thread: in a loop), with the bell
 * muted: rings then cost the ringer no system call.
 *
 * For how long: MARGIN times as long as rings have taken to come of late, at most LONGEST_MS. Who looks longer than that looks at a holder that has lost its
 * core, and may be what keeps it from one. Where no ring comes in time, half as long, down to SHORTEST_MS; but one vigil in PROBE_EVERY is of full length, or it
 * would never be known that locks are held for a shorter time again. Two processes, 100 us inside, bench/handover.ts: 10 % more locks a second than by
 * vigils of at most 0.1 ms whatever the rings.
 */
import { nowMs } from './clock.js'
import { mute, sequenceOf, unmute } from './doorbell.js'
import { PARTICIPANT } from './layout.js'

const LONGEST_MS = 0.3
const SHORTEST_MS = 0.002
const MARGIN = 3
const PROBE_EVERY = 16
/** Of the latest ring in the mean. */
const WEIGHT = 1 / 8
/** Looks between two looks at the clock, which costs as much as some of them. */
const LOOKS = 16

export class Vigil {
  readonly #words: Int32Array
  readonly #bell: number
  readonly #onRing: () => void
  readonly #isNeeded: () => boolean
  #immediate: NodeJS.Immediate | undefined
  #lengthMs = LONGEST_MS
  #meanMs = LONGEST_MS / MARGIN
  #vigils = 0
  #beganMs = 0
  #untilMs = 0
  #seen = 0

  /**
   * @param record  word index of the participant's record
   * @param onRing  what to do when the bell has rung
   * @param isNeeded  whether anything is waited for
   */
  constructor(words: Int32Array, record: number, onRing: () => void, isNeeded: () => boolean) {
    this.#words = words
    this.#bell = record + PARTICIPANT.BELL
    this.#onRing = onRing
    this.#isNeeded = isNeeded
  }

  /** Begins, unless it has begun. The caller has looked at everything since the last ring that the event loop was told of. */
  begin(): void {
    if (this.#immediate !== undefined) return
    this.#seen = mute(this.#words, this.#bell)
    this.#start()
    this.#immediate = setImmediate(this.#turn)
  }

  /** Ends without a look: the participant is out of the table. */
  cancel(): void {
    clearImmediate(this.#immediate)
    this.#immediate = undefined
  }

  readonly #turn = (): void => {
    const sequence = sequenceOf(this.#words, this.#bell)
    if (sequence !== this.#seen) {
      this.#seen = sequence
      this.#paid()
      this.#start()
      this.#onRing()
      if (this.#immediate === undefined) return // cancelled
    }
    if (this.#isNeeded()) {
      if (nowMs() < this.#untilMs) {
        this.#immediate = setImmediate(this.#turn)
        return
      }
      this.#failed()
    }
    this.#immediate = undefined
    if (unmute(this.#words, this.#bell) !== this.#seen) this.#onRing()
  }

  #start(): void {
    this.#beganMs = nowMs()
    this.#untilMs = this.#beganMs + (++this.#vigils % PROBE_EVERY === 0 ? LONGEST_MS : this.#lengthMs)
  }

  #paid(): void {
    this.#meanMs += (nowMs() - this.#beganMs - this.#meanMs) * WEIGHT
    this.#lengthMs = Math.min(Math.max(MARGIN * this.#meanMs, SHORTEST_MS), LONGEST_MS)
  }

  #failed(): void {
    this.#lengthMs = Math.max(this.#lengthMs / 2, SHORTEST_MS)
  }

  /** For a caller that blocks its thread: true once the bell has rung after `sequence`, false if it has not in time. It stays muted. */
  watch(sequence: number): boolean {
    mute(this.#words, this.#bell)
    this.#start()
    do {
      for (let i = 0; i < LOOKS; i++) {
        if (sequenceOf(this.#words, this.#bell) !== sequence) {
          this.#paid()
          return true
        }
      }
    } while (nowMs() < this.#untilMs)
    this.#failed()
    return false
  }
}
