/**
 * distribution.ts: millions of latencies in a fixed space, as the C baseline counts them: 128 buckets per power of two, so a figure is
 * right to 0.8 %. Distributions of several processes add up.
 */
import type { LatencySummary } from './stats.js'

const SUB_BITS = 7
const SUB_BUCKETS = 1 << SUB_BITS
/** Up to 2^53 ns, more than a hundred days. */
const BUCKETS = (53 - SUB_BITS + 1) << SUB_BITS

/** What goes from process to process. */
export interface DistributionData {
  readonly counts: Uint32Array
  readonly count: number
  readonly sum: number
  readonly max: number
}

function bucketOf(ns: number): number {
  if (ns < SUB_BUCKETS) return Math.max(0, Math.floor(ns))
  const exponent = ns < 2 ** 31 ? 31 - Math.clz32(ns) : Math.floor(Math.log2(ns))
  const group = exponent - SUB_BITS
  return Math.min(BUCKETS - 1, ((group + 1) << SUB_BITS) + Math.floor(ns / 2 ** group) - SUB_BUCKETS)
}

/** The largest value of a bucket. */
function topOf(bucket: number): number {
  const group = (bucket >> SUB_BITS) - 1
  if (group < 0) return bucket
  return (SUB_BUCKETS + (bucket & (SUB_BUCKETS - 1)) + 1) * 2 ** group - 1
}

export class Distribution {
  readonly #counts = new Uint32Array(BUCKETS)
  #count = 0
  #sum = 0
  #max = 0

  /** @param ns  at least 0 */
  note(ns: number): void {
    const bucket = bucketOf(ns)
    this.#counts[bucket] = this.#counts[bucket]! + 1
    this.#count++
    this.#sum += ns
    if (ns > this.#max) this.#max = ns
  }

  add(other: DistributionData): void {
    for (let i = 0; i < BUCKETS; i++) this.#counts[i] = this.#counts[i]! + (other.counts[i] ?? 0)
    this.#count += other.count
    this.#sum += other.sum
    this.#max = Math.max(this.#max, other.max)
  }

  get data(): DistributionData {
    return { counts: this.#counts, count: this.#count, sum: this.#sum, max: this.#max }
  }

  /** By nearest rank, as percentile() does; at most 0.8 % above. 0 without samples. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#count - 1e-9))
    let seen = 0
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i]!
      if (seen >= rank) return Math.min(topOf(i), this.#max)
    }
    return this.#max
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      mean: this.#count === 0 ? 0 : this.#sum / this.#count,
      p50: this.quantile(0.5),
      p90: this.quantile(0.9),
      p99: this.quantile(0.99),
      p999: this.quantile(0.999),
      max: this.#max,
    }
  }
}
