/**
 * harness.ts: times several candidates beside each other.
 *
 * The runs of the candidates alternate (A B C, B C A, C A B, ...), so a machine that is busy for a while hurts all of them. A run is
 * as many iterations as take about `runMs`, found while warming up. What counts is the median of the runs; the fastest run is kept
 * too: on a busy machine it is the better estimate of what the code costs.
 */
import { nowNs } from './clock.js'
import { type Summary, summarize } from './stats.js'

/** Something with a cost per operation. Made by timedSync(), timedAsync(), or by what measures elsewhere (another process). */
export interface Candidate {
  readonly name: string
  /** What it is listed under: `C`, `Node`, `locktable`, ... */
  readonly group: string
  /** One run of about `runMs`. @returns nanoseconds per operation */
  sample(runMs: number): number | Promise<number>
  close?(): void | Promise<void>
}

export interface Plan {
  readonly runs: number
  readonly runMs: number
  readonly warmUpMs: number
}

export interface Measured extends Summary {
  readonly name: string
  readonly group: string
  /** Nanoseconds per operation of each run, in the order they were made. */
  readonly samples: readonly number[]
}

const MIN_ITERATIONS = 4

/** Remembers how long an operation takes, so that each run has the right number of iterations. */
class Calibration {
  #nsPerOp: number | undefined

  /** The iterations for `runMs`; grows tenfold at most, so that a slow operation tried first does not take for ever. */
  iterations(runMs: number, previous: number): number {
    if (this.#nsPerOp === undefined) return MIN_ITERATIONS
    const wanted = Math.ceil((runMs * 1e6) / Math.max(this.#nsPerOp, 0.1))
    return Math.max(MIN_ITERATIONS, Math.min(wanted, previous * 10))
  }

  note(nsPerOp: number): void {
    this.#nsPerOp = nsPerOp
  }
}

/**
 * @param loop  does the operation `iterations` times; its own closure for each candidate, so that the compiler sees one kind of object at each place.
 *   What it returns is thrown away, but must depend on the work.
 */
export function timedSync(group: string, name: string, loop: (iterations: number) => unknown, close?: () => void | Promise<void>): Candidate {
  const calibration = new Calibration()
  let iterations = MIN_ITERATIONS
  const sample = (runMs: number): number => {
    for (;;) {
      iterations = calibration.iterations(runMs, iterations)
      const began = nowNs()
      loop(iterations)
      const tookNs = nowNs() - began
      calibration.note(tookNs / iterations)
      if (tookNs >= runMs * 0.5e6) return tookNs / iterations
    }
  }
  return { group, name, sample, ...(close === undefined ? {} : { close }) }
}

export function timedAsync(group: string, name: string, loop: (iterations: number) => Promise<unknown>, close?: () => void | Promise<void>): Candidate {
  const calibration = new Calibration()
  let iterations = MIN_ITERATIONS
  const sample = async (runMs: number): Promise<number> => {
    for (;;) {
      iterations = calibration.iterations(runMs, iterations)
      const began = nowNs()
      await loop(iterations)
      const tookNs = nowNs() - began
      calibration.note(tookNs / iterations)
      // Few iterations of a slow operation: more of them would take longer than was asked for.
      if (tookNs >= runMs * 0.5e6) return tookNs / iterations
    }
  }
  return { group, name, sample, ...(close === undefined ? {} : { close }) }
}

/**
 * Measures all candidates side by side, closes them, and returns the figures in the candidates' order.
 *
 * @param onFailure  told of a candidate that failed; it has no figures then, and the others go on
 */
export async function measure(candidates: readonly Candidate[], plan: Plan, onFailure: (candidate: Candidate, error: unknown) => void): Promise<Measured[]> {
  const samples = new Map(candidates.map(candidate => [candidate, [] as number[]]))
  const attempt = async (candidate: Candidate, work: (mine: number[]) => Promise<void>): Promise<void> => {
    const mine = samples.get(candidate)
    if (mine === undefined) return
    try {
      await work(mine)
    } catch (error) {
      samples.delete(candidate)
      onFailure(candidate, error)
    }
  }
  try {
    for (const candidate of candidates) {
      await attempt(candidate, async () => {
        const until = nowNs() + plan.warmUpMs * 1e6
        do await candidate.sample(Math.min(plan.runMs, plan.warmUpMs))
        while (nowNs() < until)
      })
    }
    for (let round = 0; round < plan.runs; round++) {
      for (let turn = 0; turn < candidates.length; turn++) {
        const candidate = candidates[(round + turn) % candidates.length]!
        await attempt(candidate, async mine => void mine.push(await candidate.sample(plan.runMs)))
      }
    }
  } finally {
    for (const candidate of candidates) await candidate.close?.()
  }
  return [...samples].map(([{ name, group }, mine]) => ({ name, group, samples: mine, ...summarize(mine) }))
}
