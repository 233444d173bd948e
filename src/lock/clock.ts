/**
 * clock.ts: CLOCK_MONOTONIC in milliseconds, comparable between the processes of one boot.
 *
 * A lock's time of entry is for people who look at `status`; reading a clock costs more than taking the lock. So the time is read once in
 * an event-loop turn that takes locks: `coarseNowMs` may be too early by as long as the turn has lasted.
 */

const originMs = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now()

/** Milliseconds since an origin that all processes share (the boot, as a rule). */
export function nowMs(): number {
  return originMs + performance.now()
}

let turnMs = 0
let fresh = false

function stale(): void {
  fresh = false
}

/** nowMs() of some moment in this turn of the event loop. */
export function coarseNowMs(): number {
  if (!fresh) {
    turnMs = nowMs()
    fresh = true
    setImmediate(stale).unref()
  }
  return turnMs
}
