/**
 * vigil.ts: a participant that must wait looks at its bell for a short while before it sleeps on it.
 *
 * From the bell to JavaScript it takes a futex, a thread and the event loop, some 100 us; most locks are held for less. So whoever waits
 * stays awake for at most LONGEST_MS, a turn of the event loop at a time (a caller that blocks its thread: in a loop), with the bell
 * muted: rings then cost the ringer no system call. Where it does not pay (no ring in time), the next is half as long, down to
 * SHORTEST_MS; once it does, the next is of full length: doubling it would leave it short where half of the waits are longer than it is.
 */
import { nowMs } from './clock.js'
import { mute, sequenceOf, unmute } from './doorbell.js'
import { PARTICIPANT } from './layout.js'

const LONGEST_MS = 0.1
const SHORTEST_MS = 0.002
/** Looks between two looks at the clock, which costs as much as some of them. */
const LOOKS = 16

export class Vigil {
  readonly #words: Int32Array
  readonly #bell: number
  readonly #onRing: () => void
  readonly #isNeeded: () => boolean
  #immediate: NodeJS.Immediate | undefined
  #lengthMs = LONGEST_MS
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

  /**
   * Begins, unless it has begun. The caller has looked at everything since the last ring that the event loop was told of.
   * @param atFullLength  whether it pays or not: the next release may be a hand-off to us, during which nobody has the lock
   */
  begin(atFullLength: boolean): void {
    if (this.#immediate !== undefined) return
    this.#seen = mute(this.#words, this.#bell)
    this.#untilMs = nowMs() + (atFullLength ? LONGEST_MS : this.#lengthMs)
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
      this.#pays(true)
      this.#untilMs = nowMs() + this.#lengthMs
      this.#onRing()
      if (this.#immediate === undefined) return // cancelled
    }
    if (this.#isNeeded()) {
      if (nowMs() < this.#untilMs) {
        this.#immediate = setImmediate(this.#turn)
        return
      }
      this.#pays(false)
    }
    this.#immediate = undefined
    if (unmute(this.#words, this.#bell) !== this.#seen) this.#onRing()
  }

  #pays(does: boolean): void {
    this.#lengthMs = does ? LONGEST_MS : Math.max(this.#lengthMs / 2, SHORTEST_MS)
  }

  /** For a caller that blocks its thread: true once the bell has rung after `sequence`, false if it has not in time. It stays muted. */
  watch(sequence: number, atFullLength: boolean): boolean {
    mute(this.#words, this.#bell)
    const untilMs = nowMs() + (atFullLength ? LONGEST_MS : this.#lengthMs)
    do {
      for (let i = 0; i < LOOKS; i++) {
        if (sequenceOf(this.#words, this.#bell) !== sequence) {
          this.#pays(true)
          return true
        }
      }
    } while (nowMs() < untilMs)
    this.#pays(false)
    return false
  }
}
