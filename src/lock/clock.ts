/**
 * clock.ts: CLOCK_MONOTONIC in milliseconds, comparable between the processes of one boot.
 *
 * A lock's time of entry is for people who look at `status`; reading a clock costs more than taking the lock. So the time is read once in
 * an event-loop turn that takes locks: `coarseNow` may be too early by as long as the turn has lasted.
 */

/**
 * Milliseconds since an origin that all processes share (the boot, as a rule).
 * Cost: 45 ns, and no garbage once it is compiled into its caller; `performance.now()` takes twice that, and a number in the heap.
 */
export function nowMs(): number {
  const time = process.hrtime()
  return time[0] * 1e3 + time[1] / 1e6
}

/** nowMs() of some moment in this turn of the event loop, in two words. */
export const coarseNow = { low: 0, high: 0, isFresh: false }

function stale(): void {
  coarseNow.isFresh = false
}

/** Reads the clock for this turn. */
export function refreshCoarseNow(): void {
  const now = nowMs()
  coarseNow.low = now % 2 ** 32 | 0
  coarseNow.high = now / 2 ** 32 | 0
  coarseNow.isFresh = true
  setImmediate(stale).unref()
}
