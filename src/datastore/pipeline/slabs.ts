/**
 * slabs.ts: the memory that streams pass through: a few blocks, shared by all threads, used again and again. Whoever wants one when all are
 * in use waits: this is what bounds the memory of a backup.
 */
import type { Part } from './jobs.js'

export class Slab {
  readonly buffer: SharedArrayBuffer
  readonly #free: (slab: Slab) => void
  #users = 0

  constructor(bytes: number, free: (slab: Slab) => void) {
    this.buffer = new SharedArrayBuffer(bytes)
    this.#free = free
  }

  part(from: number, to: number): Part {
    return { buffer: this.buffer, from, to }
  }

  bytes(from: number, to: number): Buffer {
    return Buffer.from(this.buffer, from, to - from)
  }

  retain(): this {
    this.#users++
    return this
  }

  release(): void {
    if (--this.#users === 0) this.#free(this)
  }
}

/** The first bytes of a slab. Who gets it releases it. */
export interface SlabPart {
  readonly slab: Slab
  readonly length: number
}

export class SlabPool {
  readonly #bytes: number
  readonly #free: Slab[] = []
  readonly #waiting: ((slab: Slab) => void)[] = []
  #unmade: number

  constructor(count: number, bytes: number) {
    this.#unmade = count
    this.#bytes = bytes
  }

  /** A slab with one user. First come, first served. */
  async acquire(): Promise<Slab> {
    const slab = this.#free.pop() ?? this.#make()
    return (slab ?? (await new Promise<Slab>(resolve => this.#waiting.push(resolve)))).retain()
  }

  #make(): Slab | undefined {
    if (this.#unmade === 0) return undefined
    this.#unmade--
    return new Slab(this.#bytes, slab => {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free.push(slab)
      else next(slab)
    })
  }
}
