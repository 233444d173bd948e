/**
 * space.ts: a lockspace: slots of its own, with a rank. Whoever locks in several spaces takes them in rank order, so no cycle of waits
 * can arise from two names that happen to share a slot.
 */
import type { TableGuard } from './guard.js'
import { LockHandle } from './handle.js'
import type { LockOptions, LockSyncOptions, TryLockOptions } from './lock-options.js'
import { type LockName, fingerprintOf, slotIndexOf } from './hash.js'
import { slotWord } from './layout.js'
import type { SpaceShape } from './region.js'
import type { Session } from './session.js'
import type { LockTable } from './table.js'

/** Handles of recently used names: two generations of this many, so memory does not grow with the number of names. */
const CACHED_NAMES = 1024

export class LockSpace {
  readonly table: LockTable
  readonly name: string
  /** 0 for the first space of the table. */
  readonly rank: number
  readonly slotCount: number
  readonly #session: Session
  readonly #firstWord: number
  readonly #firstIndex: number
  #recent = new Map<string, LockHandle>()
  #older = new Map<string, LockHandle>()

  /** @internal */
  constructor(table: LockTable, session: Session, shape: SpaceShape, rank: number, firstIndex: number) {
    this.table = table
    this.#session = session
    this.name = shape.name
    this.rank = rank
    this.slotCount = shape.slotCount
    this.#firstWord = shape.firstWord
    this.#firstIndex = firstIndex
  }

  /**
   * The name, hashed once. Keep it where one name is locked often.
   * @throws {TypeError} neither string nor bytes  @throws {RangeError} longer than 1024 code units or bytes
   */
  handle(name: LockName): LockHandle {
    if (typeof name !== 'string') return this.#make(name)
    const known = this.#recent.get(name)
    if (known !== undefined) return known
    const handle = this.#older.get(name) ?? this.#make(name)
    if (this.#recent.size >= CACHED_NAMES) {
      this.#older = this.#recent
      this.#recent = new Map()
    }
    this.#recent.set(name, handle)
    return handle
  }

  #make(name: LockName): LockHandle {
    const { name0, name1 } = fingerprintOf(name, this.#session.region.seed)
    const index = slotIndexOf(name0, this.slotCount)
    const kept = typeof name === 'string' ? name : new Uint8Array(name) // Buffer's slice() would share the bytes
    return new LockHandle(this.#session, this, kept, slotWord(this.#firstWord, index), this.#firstIndex + index, name0, name1)
  }

  /** See LockHandle.lock. */
  lock(name: LockName, options?: LockOptions): Promise<TableGuard> {
    try {
      return this.handle(name).lock(options)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /** See LockHandle.tryLock. */
  tryLock(name: LockName, options?: TryLockOptions): TableGuard | undefined {
    return this.handle(name).tryLock(options)
  }

  /** See LockHandle.lockSync. */
  lockSync(name: LockName, options?: LockSyncOptions): TableGuard {
    return this.handle(name).lockSync(options)
  }
}
