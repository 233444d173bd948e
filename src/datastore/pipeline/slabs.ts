/**
 * slabs.ts: the memory that streams pass through: a few blocks, shared by all threads, used again and again. Whoever wants one when all are
 * in use waits: this is what bounds the memory of a backup.
 */
import type { Part } from './jobs.js'

export class Slab {
  readonly buffer: SharedArrayBuffer
  readonly #free: (slab: Slab) => void
  #users = 0

  /** @param memory  Bytes of new memory, or memory that is nobody's. */
  constructor(memory: number | SharedArrayBuffer, free: (slab: Slab) => void) {
    this.buffer = typeof memory === 'number' ? new SharedArrayBuffer(memory) : memory
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

/** What streams leave to those after them: fresh memory costs a page fault for every 4 KiB, and time of the main thread. */
export class SlabMemory {
  readonly #free: SharedArrayBuffer[] = []

  /** At least so many bytes: of what is free, the smallest that will do, and of those the one last used. */
  take(bytes: number): SharedArrayBuffer {
    let best = -1
    for (const [i, { byteLength }] of this.#free.entries()) {
      if (byteLength >= bytes && (best < 0 || byteLength <= this.#free[best]!.byteLength)) best = i
    }
    return best < 0 ? new SharedArrayBuffer(bytes) : this.#free.splice(best, 1)[0]!
  }

  give(memory: SharedArrayBuffer): void {
    this.#free.push(memory)
  }
}

/** Slabs of one size, up to `limit` in use at a time. Those that are not in use are in `memory`. */
export class SlabPool {
  readonly #limit: () => number
  readonly #bytes: number
  readonly #memory: SlabMemory
  readonly #waiting: ((slab: Slab) => void)[] = []
  #used = 0

  constructor(limit: () => number, bytes: number, memory: SlabMemory = new SlabMemory()) {
    this.#limit = limit
    this.#bytes = bytes
    this.#memory = memory
  }

  /** A slab with one user. First come, first served. */
  async acquire(): Promise<Slab> {
    const slab = this.#take()
    return (slab ?? (await new Promise<Slab>(resolve => this.#waiting.push(resolve)))).retain()
  }

  #take(): Slab | undefined {
    if (this.#used >= this.#limit()) return undefined
    this.#used++
    return new Slab(this.#memory.take(this.#bytes), slab => {
      const next = this.#waiting.shift()
      if (next !== undefined) next(slab)
      else {
        this.#used--
        this.#memory.give(slab.buffer)
      }
    })
  }
}
