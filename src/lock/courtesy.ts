/**
 * courtesy.ts: a blocking caller lets others run (sched_yield) and looks at the slot again before it queues.
 *
 * Most of the time it finds the slot free soon: without a word in the slot, neither does it sleep, nor has who releases the slot anybody to ring. While it looks it costs nobody
 * anything who wants its core. LONGEST_MS at most; half as long each time, down to SHORTEST_MS, where one holder, or none but readers, had the slot all the time, but one time in PROBE_EVERY
 * in full, or it would never be known that it is held for a shorter time again.
 *
 * Between a release and the next lock of the same process lies less than a microsecond, and whether another one that looks hits it is chance, which may favour one of two for
 * seconds (37 700 to 3 100 locks). So who has just had a turn takes no such gap until the others have had one as long: its own, TURN_MS at most. Only a slot that
 * stays free for PAUSE_MS it takes at once: nobody is coming back for that. Two processes, bench/handover.ts, eight rounds without it and looks for 0.1 ms, and with it: 10 us
 * inside: least index 0.58 and 0.97, hand-overs a second 5 500 and 800, locks a second 76 300 and 83 600; 100 us: 8 970 and 9 100; 1 ms: 896 and 965, for who looks need not be woken.
 *
 * Who is awake goes before who sleeps; so where others are queued each process queues too, once in STINT_MS: without that the index fell to 0.72, eight processes.
 * More of either is faster, and less fair: LONGEST_MS and STINT_MS of 5 and 5, 5 and 10, 5 and 20, 10 and 20: eight processes, 100 us inside, 8 300, 8 500, 8 750, 8 850 locks a second,
 * index 0.98, 0.97, 0.90, 0.92; four, 10 us: 81 000, 80 000, 80 000, 82 500, index 0.96, 0.95, 0.95, 0.90. In turn with 200 looks in a row instead, 10 us inside: 8, 4, 2 processes 71 000 -> 76 000, 71 000 -> 80 000,
 * 81 000 -> 86 000. bench/readers.ts, one lock in a hundred exclusive: a third more locks with eight and sixteen processes.
 *
 * TRIED  To queue as soon as one has looked for a turn: 1 ms inside 6 % fewer locks, for who queues sleeps. To queue as soon as a yield took 0.2 or 1 ms, that is, others want the
 * core: eight processes, 10 us, 7 to 13 % fewer. To look for three times as long as it took of late: 3 to 5 % fewer. To leave also each other process its turn that one has seen begin:
 * no faster, and the least index 0.81. To yield while queued, once one has asked for a hand-off: no faster, and with eight processes and 1 ms inside 5 % fewer.
 */
import { PATIENCE_MS, TURN_MS } from './turn.js'

const LONGEST_MS = 5
const SHORTEST_MS = 0.1
const PROBE_EVERY = 16
const STINT_MS = 10
const PAUSE_MS = 0.01
/** A reader looks this often; where nobody else wants to run, each time takes about 1 us. */
const SHARED_LOOKS = 250

/** What is wanted. */
export interface Wanted {
  readonly slot: number
  readonly isShared: boolean
  /** Whether this process may go straight to the slot. */
  isClear(this: void): boolean
  isOwned(this: void): boolean
  /** Whether anybody is queued. */
  isAwaited(this: void): boolean
  /** Changes with every exclusive hold. */
  version(this: void): number
  tryLock(this: void): boolean
}

export class Courtesy {
  readonly #nowMs: () => number
  readonly #letOthersRun: () => void
  /** A slot that nobody entered exclusively while this process looked; for how long to look the next time. */
  #stillSlot = 0
  #stillMs = 0
  #looksAtStill = 0
  #queuedAtMs = 0
  /** What this process last waited for, and when it got it. */
  #turnSlot = 0
  #turnBeganMs = 0

  /** @param letOthersRun  gives the core to whoever wants it */
  constructor(nowMs: () => number, letOthersRun: () => void) {
    this.#nowMs = nowMs
    this.#letOthersRun = letOthersRun
  }

  /**
   * @param since, deadline  of the request; milliseconds
   * @returns true: the hold is the caller's; false: it should queue
   */
  wait(wanted: Wanted, since: number, deadline: number): boolean {
    return wanted.isShared ? this.#waitShared(wanted, since, deadline) : this.#waitExclusive(wanted, since, deadline)
  }

  #waitShared(wanted: Wanted, since: number, deadline: number): boolean {
    const until = Math.min(since + PATIENCE_MS, deadline)
    for (let i = 0; i < SHARED_LOOKS && wanted.isClear() && this.#nowMs() < until; i++) {
      if (!wanted.isOwned() && wanted.tryLock()) return true
      this.#letOthersRun()
    }
    return false
  }

  #waitExclusive(wanted: Wanted, since: number, deadline: number): boolean {
    const { slot } = wanted
    if (since - this.#queuedAtMs > STINT_MS && wanted.isAwaited()) return false
    const until = since + this.#lengthMs(slot)
    const version = wanted.version()
    const fairFrom = slot === this.#turnSlot ? since + Math.min(since - this.#turnBeganMs, TURN_MS) : since
    let ownedAt = since
    while (wanted.isClear()) {
      const now = this.#nowMs()
      if (now >= deadline) return false
      if (now >= until) {
        if (wanted.version() === version) this.#noteStill(slot)
        else this.#noteMoved(slot)
        return false
      }
      if (wanted.isOwned()) ownedAt = now
      else if ((now >= fairFrom || now - ownedAt > PAUSE_MS) && wanted.tryLock()) {
        this.#noteMoved(slot)
        this.#beginTurn(slot, now)
        return true
      }
      this.#letOthersRun()
    }
    return false
  }

  #lengthMs(slot: number): number {
    return slot !== this.#stillSlot || ++this.#looksAtStill % PROBE_EVERY === 0 ? LONGEST_MS : this.#stillMs
  }

  #noteStill(slot: number): void {
    this.#stillMs = slot === this.#stillSlot ? Math.max(this.#stillMs / 2, SHORTEST_MS) : LONGEST_MS / 2
    this.#stillSlot = slot
  }

  #noteMoved(slot: number): void {
    if (slot === this.#stillSlot) this.#stillSlot = 0
  }

  /** The caller has queued, until now. */
  noteQueued(slot: number, granted: boolean): void {
    const now = this.#nowMs()
    this.#queuedAtMs = now
    if (granted) this.#beginTurn(slot, now)
  }

  #beginTurn(slot: number, now: number): void {
    this.#turnSlot = slot
    this.#turnBeganMs = now
  }
}
