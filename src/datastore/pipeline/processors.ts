/**
 * processors.ts: how many processors are ours: those that are idle, and what we have of the others.
 *
 * A thread more than that gets nothing done that the others would not, and costs 40 ms of a processor to begin, 50 to 100 ms to compile what another one
 * has compiled already, and memory of its own. Four processes that back up 650 MB together on two processors used 16.3 s of them with two threads each, and
 * 12.9 s with one; for a second backup in which nothing has changed 6.0 s and 4.0 s.
 */
import { readFileSync } from 'node:fs'

/** Since some moment, milliseconds of processors but for `atMs`, which is of a clock. */
export interface ProcessorTimes {
  readonly atMs: number
  /** Of all processors together. */
  readonly idleMs: number
  /** Of this process. */
  readonly ownMs: number
  /** Processors that nothing runs on at this moment; this thread is on another one. */
  readonly idleNow: number
}

/** Of the kernel's clock for /proc: the same on all machines that Node runs on. */
const MS_PER_TICK = 10
/** The kernel counts in ticks: a shorter while says too little. */
const LOOK_MS = 50

/** Undefined: nobody says. */
export function processorTimes(): ProcessorTimes | undefined {
  try {
    const stat = readFileSync('/proc/stat', 'latin1')
    const idleMs = idleMsOf(stat)
    const { user, system } = process.cpuUsage()
    return idleMs === undefined ? undefined : { atMs: performance.now(), idleMs, ownMs: (user + system) / 1000, idleNow: idleNowOf(stat) }
  } catch {
    return undefined
  }
}

/** From the first line of /proc/stat. Who waits for a disk leaves the processor to others: idle and iowait. */
export function idleMsOf(stat: string): number | undefined {
  const [, idle, waiting] = /^cpu +\d+ \d+ \d+ (\d+) (\d+)/.exec(stat) ?? []
  return idle === undefined ? undefined : (Number(idle) + Number(waiting)) * MS_PER_TICK
}

/** From all of /proc/stat: processors, less threads that run or could. */
export function idleNowOf(stat: string): number {
  const [, running] = /^procs_running (\d+)$/m.exec(stat) ?? []
  return running === undefined ? 0 : Math.max(0, [...stat.matchAll(/^cpu\d/gm)].length - Number(running))
}

export class Processors {
  readonly #look: () => ProcessorTimes | undefined
  #last: ProcessorTimes | undefined
  #count: number

  /** It is counted from now on. */
  constructor(look: () => ProcessorTimes | undefined = processorTimes) {
    this.#look = look
    this.#last = look()
    this.#count = 1 + (this.#last?.idleNow ?? 0)
  }

  /** As of late, rounded; at least 1. Before there is a while to look back on, as it was at the first moment; Infinity where nobody ever says. */
  get count(): number {
    if (this.#last === undefined) return Infinity
    if (performance.now() - this.#last.atMs < LOOK_MS) return this.#count
    const now = this.#look()
    if (now !== undefined) {
      const { atMs, idleMs, ownMs } = this.#last
      this.#count = Math.max(1, Math.round((now.idleMs - idleMs + now.ownMs - ownMs) / (now.atMs - atMs)))
    }
    this.#last = now
    return now === undefined ? Infinity : this.#count
  }
}
