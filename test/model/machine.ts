/**
 * machine.ts: runs synchronous code over shared words one operation at a time.
 *
 * While `stepSegment` runs, the global Atomics is replaced by one that replays the results recorded so far, performs one new operation
 * and stops the code before the next. Plain accesses go through a Proxy and are recorded too, so re-running a segment from
 * its start changes nothing. The code under test is the shipped file; it cannot tell.
 */

/** Thrown through the code under test to stop it before its next operation. */
const STOP = Symbol('stop')

export interface SegmentResult<T> {
  readonly finished: boolean
  readonly value: T | undefined
  readonly log: readonly number[]
  /** The operation that was performed, for schedules: made into text only when somebody reads it. */
  readonly label: () => string
}

type Operation = () => number

export class Machine {
  /** Values of the words ever touched, by their place in the list of these. */
  cells: number[] = []
  readonly #places = new Map<number, number>()
  readonly words: Int32Array
  /** Words nobody but statistics reads: writes are dropped, so that they do not multiply the states. */
  readonly #ignored: (index: number) => boolean
  readonly #names: (index: number) => string
  readonly #realAtomics = globalThis.Atomics
  #log: number[] = []
  #position = 0
  #performed = 0
  #label = (): string => ''

  constructor(ignored: (index: number) => boolean, names: (index: number) => string) {
    this.#ignored = ignored
    this.#names = names
    this.words = new Proxy({} as Int32Array, {
      get: (_target, key) => this.#plain(() => this.read(Number(key))),
      set: (_target, key, value: number) => {
        this.#plain(() => this.write(Number(key), value))
        return true
      },
    })
  }

  read(index: number): number {
    const place = this.#places.get(index)
    return place === undefined ? 0 : (this.cells[place] ?? 0)
  }

  write(index: number, value: number): number {
    if (this.#ignored(index)) return 0
    let place = this.#places.get(index)
    if (place === undefined) {
      if (value === 0) return 0
      place = this.#places.size
      this.#places.set(index, place)
    }
    while (this.cells.length < place) this.cells.push(0)
    this.cells[place] = value | 0
    return 0
  }

  /** Runs `code`, of which `log` was done before, one operation further. */
  stepSegment<T>(code: () => T, log: readonly number[]): SegmentResult<T> {
    this.#log = [...log]
    this.#position = 0
    this.#performed = 0
    this.#label = () => ''
    globalThis.Atomics = this.#fakeAtomics
    try {
      const value = code()
      return { finished: true, value, log: this.#log, label: this.#label }
    } catch (error) {
      if (error !== STOP) throw error
      return { finished: false, value: undefined, log: this.#log, label: this.#label }
    } finally {
      globalThis.Atomics = this.#realAtomics
    }
  }

  /** Runs `code` to its end at once: for checks that are no step of anybody's. */
  look<T>(code: () => T): T {
    this.#log = []
    this.#position = 0
    this.#performed = -Infinity
    globalThis.Atomics = this.#fakeAtomics
    try {
      return code()
    } finally {
      globalThis.Atomics = this.#realAtomics
    }
  }

  /** An operation that others can see: one per step. */
  operation(label: string, perform: Operation): number {
    return this.#operation(() => label, perform)
  }

  #operation(label: () => string, perform: Operation): number {
    if (this.#position < this.#log.length) return this.#log[this.#position++] ?? 0
    if (this.#performed > 0) throw STOP
    this.#performed++
    this.#label = label
    return this.#record(perform())
  }

  /** An operation on memory that only its owner touches: part of the step before it, or of the first one. */
  #plain(perform: Operation, constant = false): number {
    if (this.plainIsStep && !constant) return this.#operation(() => 'plain', perform)
    if (this.#position < this.#log.length) return this.#log[this.#position++] ?? 0
    return this.#record(perform())
  }

  #record(value: number): number {
    this.#log.push(value)
    this.#position++
    return value
  }

  /** Words above the first of a bitmap never change here (numbers stay below 32): no need to stop at them. */
  #access(index: number, label: () => string, perform: Operation): number {
    return this.#isConstant(index) ? this.#plain(perform, true) : this.#operation(label, perform)
  }

  isConstantWord: (index: number) => boolean = () => false
  /** No participant can die or join any more: looking at LIFE is no step. */
  lifeIsConstant = false
  isLifeWord: (index: number) => boolean = () => false
  plainIsStep = false
  /** `or` and `and` answer with the whole word before. */
  answersWhole = false
  #isConstant(index: number): boolean {
    return this.isConstantWord(index) || (this.lifeIsConstant && this.isLifeWord(index))
  }

  readonly #fakeAtomics = {
    load: (_words: Int32Array, index: number) => this.#access(index, () => `load ${this.#names(index)}`, () => this.read(index)),
    store: (_words: Int32Array, index: number, value: number) =>
      this.#access(index, () => `store ${this.#names(index)} ${value}`, () => this.write(index, value)),
    compareExchange: (_words: Int32Array, index: number, expected: number, value: number) =>
      this.#access(index, () => `cas ${this.#names(index)} ${hex(expected)}->${hex(value)}`, () => {
        const old = this.read(index)
        if (old === expected) this.write(index, value)
        return old
      }),
    // Only the bits that the operation names are recorded: the protocol looks at no others, and fewer states differ.
    or: (_words: Int32Array, index: number, bits: number) =>
      this.#access(index, () => `or ${this.#names(index)} ${hex(bits)}`, () => {
        const old = this.read(index)
        this.write(index, old | bits)
        return this.answersWhole ? old : old & bits
      }),
    and: (_words: Int32Array, index: number, mask: number) =>
      this.#access(index, () => `and ${this.#names(index)} ~${hex(~mask)}`, () => {
        const old = this.read(index)
        this.write(index, old & mask)
        return this.answersWhole ? old : old & ~mask
      }),
    add: (_words: Int32Array, index: number, value: number) =>
      this.#access(index, () => `add ${this.#names(index)} ${value}`, () => {
        const old = this.read(index)
        this.write(index, old + value)
        return old
      }),
  } as unknown as Atomics
}

function hex(value: number): string {
  return (value >>> 0).toString(16)
}
