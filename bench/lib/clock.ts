/**
 * clock.ts: CLOCK_MONOTONIC in nanoseconds, comparable between processes, without garbage: a BigInt a look, a million looks a second, keep the
 * garbage collector's threads on the cores that are measured.
 */

/** To about a microsecond: the two clocks are read one after the other. */
const originNs = Number(process.hrtime.bigint()) - performance.now() * 1e6

export function nowNs(): number {
  return originNs + performance.now() * 1e6
}
