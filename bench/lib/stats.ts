/**
 * stats.ts: figures of samples. Pure; every function leaves its argument as it was.
 */

function sorted(values: readonly number[]): number[] {
  if (values.length === 0) throw new RangeError('there is no sample')
  if (values.some(value => Number.isNaN(value))) throw new RangeError('a sample is not a number')
  return [...values].sort((a, b) => a - b)
}

/** The middle sample, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const order = sorted(values)
  const half = order.length >> 1
  return order.length % 2 === 1 ? order[half]! : (order[half - 1]! + order[half]!) / 2
}

/**
 * The smallest sample that at least `share` of all samples do not exceed (nearest rank): always one that was measured.
 * @param share  0 to 1; 0 is the smallest sample
 */
export function percentile(values: readonly number[], share: number): number {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`share must be from 0 to 1, not ${share}`)
  const order = sorted(values)
  // Without the correction 0.07 * 100 is 7.000000000000001 and its rank 8.
  const rank = Math.ceil(share * order.length - 1e-9)
  return order[Math.max(rank, 1) - 1]!
}

export interface Summary {
  readonly count: number
  readonly median: number
  readonly min: number
  readonly max: number
  /** Half the distance between the quartiles as a share of the median: 0.05 is "plus or minus 5 %". */
  readonly spread: number
}

export function summarize(values: readonly number[]): Summary {
  const middle = median(values)
  const quartiles = percentile(values, 0.75) - percentile(values, 0.25)
  return {
    count: values.length,
    median: middle,
    min: percentile(values, 0),
    max: percentile(values, 1),
    spread: middle === 0 ? 0 : quartiles / 2 / middle,
  }
}

export interface LatencySummary {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** The latencies that reports show; all zero without samples. */
export function summarizeLatencies(values: readonly number[]): LatencySummary {
  if (values.length === 0) return { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 }
  let sum = 0
  for (const value of values) sum += value
  return {
    count: values.length,
    mean: sum / values.length,
    p50: percentile(values, 0.5),
    p90: percentile(values, 0.9),
    p99: percentile(values, 0.99),
    p999: percentile(values, 0.999),
    max: percentile(values, 1),
  }
}

/** Jain's fairness index of what each got: 1 if all got the same, 1/n if one got everything. Nothing for anybody counts as fair. */
export function jain(shares: readonly number[]): number {
  if (shares.length === 0) throw new RangeError('there is no share')
  if (shares.some(share => !(share >= 0))) throw new RangeError('a share is negative or not a number')
  let sum = 0
  let squares = 0
  for (const share of shares) {
    sum += share
    squares += share * share
  }
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares)
}
