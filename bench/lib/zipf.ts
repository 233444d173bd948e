/**
 * zipf.ts: names of which few are popular, as the groups of a backup server are: the i-th is taken with a weight of 1/i. One seed, one sequence.
 */

export class Zipf {
  readonly #cumulated: Float64Array
  readonly #names: readonly string[]
  #state: number

  constructor(count: number, seed: number) {
    this.#cumulated = new Float64Array(count)
    let sum = 0
    for (let i = 0; i < count; i++) this.#cumulated[i] = sum += 1 / (i + 1)
    for (let i = 0; i < count; i++) this.#cumulated[i] = this.#cumulated[i]! / sum
    this.#names = Array.from({ length: count }, (_, i) => `vm-${i}`)
    this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1
  }

  /** xorshift: 32 bits, never 0 */
  #random(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0
  }

  /** The number of a name. */
  next(): number {
    if (this.#cumulated.length === 1) return 0
    const share = this.#random() / 2 ** 32
    let [low, high] = [0, this.#cumulated.length - 1]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#cumulated[middle]! > share) high = middle
      else low = middle + 1
    }
    return low
  }

  /** 0 … 99 */
  percent(): number {
    return Math.floor(this.#random() / 2 ** 32 * 100)
  }

  nameOf(at: number): string {
    return this.#names[at]!
  }
}
