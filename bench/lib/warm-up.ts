/**
 * warm-up.ts: a process is warm when V8 has compiled what it does all the time. That takes processor time, not time: of sixteen processes on two
 * cores each has an eighth of a core, and after 20 ms by the clock not one is warm.
 */

/** Enough for the optimizing compiler, of the fastest; and of those that take 100 us and more each, enough processor time. */
const ENOUGH = 20_000
const ENOUGH_CPU_US = 100_000
/** Whoever sleeps while he waits uses no processor. */
const PATIENCE_MS = 1500
/** Whoever measures for a shorter time wants to know only that the benchmark works. */
export const EARNEST_MS = 50
const HASTE_MS = 10
/** By the clock, for each process: they share the cores. */
const CREW_MS = 200
const BETWEEN_LOOKS = 100

/**
 * @param durationMs  for how long will be measured
 * @param act  once what will be done many times
 */
export async function warmUp(durationMs: number, act: () => void | Promise<void>): Promise<void> {
  const since = process.cpuUsage()
  const deadline = performance.now() + (durationMs < EARNEST_MS ? HASTE_MS : PATIENCE_MS)
  for (let i = 1; i <= ENOUGH; i++) {
    const acting = act()
    if (acting !== undefined) await acting
    if (i % BETWEEN_LOOKS !== 0 && performance.now() < deadline) continue
    const { user, system } = process.cpuUsage(since)
    if (user + system > ENOUGH_CPU_US || performance.now() >= deadline) return
  }
}

/**
 * For how long a crew contends before it is measured: until V8 has compiled what a waiter does, its compiler takes the cores from those who hold the lock.
 * 0 for who is in haste.
 */
export function crewWarmUpMs(processes: number, durationMs: number): number {
  return durationMs < EARNEST_MS ? 0 : CREW_MS * processes
}
