/**
 * handle.ts: a name hashed once, and the ways to lock it. The fast path is here.
 */
import { LockAbortedError, LockError, LockTimeoutError } from '../errors.js'
import { coarseNow, nowMs, refreshCoarseNow } from './clock.js'
import { forgetAbort, hearAbort } from './aborts.js'
import { TableGuard } from './guard.js'
import { holderPids } from './holders.js'
import {
  MODE_EXCLUSIVE, MODE_SHARED, NAME_IS_BYTES, NAME_IS_CUT, NAME_LENGTH_MASK, SLOT, SLOT_NAME_BYTES, WORD_BYTES,
} from './layout.js'
import {
  LOCK_KEYS, type LockOptions, type LockSyncOptions, NO_OPTIONS, type ParsedOptions, SYNC_KEYS, TRY_KEYS, type TryLockOptions, parseMode, parseOptions,
} from './lock-options.js'
import type { Notice } from './notices.js'
import type { Session } from './session.js'
import type { LockSpace } from './space.js'
import { ENTERED, type Protocol } from './protocol.js'
import type { LockRequest, Waiters } from './waiters.js'

const DESCRIPTION_MASK = NAME_LENGTH_MASK | NAME_IS_BYTES | NAME_IS_CUT

/** Made by LockSpace.handle(); cheap to keep, has nothing to close. */
export class LockHandle {
  readonly name: string | Uint8Array
  readonly space: LockSpace
  /** Word index of the slot, and its number among all slots of the table. @internal */
  readonly slot: number
  /** @internal */
  readonly index: number
  /** @internal */
  readonly name0: number
  /** @internal */
  readonly name1: number
  /** @internal */
  readonly session: Session
  // What every lock and release looks at, without a detour through the session.
  readonly #words: Int32Array
  readonly #protocol: Protocol
  readonly #waiters: Waiters
  readonly #text: Uint8Array
  readonly #description: number

  /** @internal */
  constructor(session: Session, space: LockSpace, name: string | Uint8Array, slot: number, index: number, name0: number, name1: number) {
    this.session = session
    this.#words = session.region.words
    this.#protocol = session.participant.protocol
    this.#waiters = session.waiters
    this.space = space
    this.name = name
    this.slot = slot
    this.index = index
    this.name0 = name0
    this.name1 = name1
    const bytes = typeof name === 'string' ? Buffer.from(name.slice(0, SLOT_NAME_BYTES), 'utf8') : name
    this.#text = new Uint8Array(bytes.subarray(0, SLOT_NAME_BYTES))
    const cut = bytes.length > SLOT_NAME_BYTES || name.length > SLOT_NAME_BYTES ? NAME_IS_CUT : 0
    this.#description = (name0 & ~DESCRIPTION_MASK) | this.#text.length | cut | (typeof name === 'string' ? 0 : NAME_IS_BYTES)
  }

  /**
   * Takes the lock if that is possible at once. Synchronous, never waits, never queues: with a task of this process waiting for the slot it
   * does not overtake it.
   *
   * @returns a guard, or undefined if somebody is in the way
   * @throws {LockError} `TABLE_CLOSED`, `TABLE_GONE`, `LOCK_LOST` (evicted), `LOCK_DEADLOCK`, `LOCK_ORDER`
   * Cost: uncontended exclusive, two atomic operations with its release and no system call; shared, four.
   * Source: steps x1-x4, s1-s3 in protocol.ts.
   */
  tryLock(options?: TryLockOptions): TableGuard | undefined {
    if (options === undefined && this.session.failure === undefined) {
      const free = this.#enterFree()
      if (free !== undefined) return free
    }
    const mode = options === undefined ? MODE_EXCLUSIVE : this.#modeOf(options)
    if (mode === MODE_SHARED && this.session.failure === undefined && this.#waiters.isClear(this.index)) return this.#tryShared()
    return this.#tryMode(mode)
  }

  /**
   * Locks, waiting until it is free, the time is up or the signal aborts. Tasks of one process are served in order; a shared
   * request waits behind an exclusive one that came before it. The wait keeps the event loop alive and does not block it. A time-out is
   * not final before it is known that the holder's process is there, also with `timeoutMs: 0` (tryLock leaves that to the sentinels, some
   * milliseconds later).
   *
   * @throws {LockTimeoutError} `LOCK_TIMEOUT` with `waitedMs`, `holderPids`
   * @throws {LockAbortedError} `LOCK_ABORTED`
   * @throws {LockError} `TABLE_CLOSED`, `TABLE_GONE`, `LOCK_LOST` (evicted), `LOCK_DEADLOCK`, `LOCK_ORDER`
   * Cost: uncontended as tryLock, plus the promise.
   */
  lock(options?: LockOptions): Promise<TableGuard> {
    try {
      if (options === undefined && this.session.failure === undefined) {
        const free = this.#enterFree()
        if (free !== undefined) return Promise.resolve(free)
      }
      const parsed = options === undefined ? NO_OPTIONS : this.#parse(options, LOCK_KEYS)
      if (parsed.signal?.aborted) throw this.#aborted(parsed.signal, 0)
      const guard = this.#tryMode(parsed.mode)
      if (guard !== undefined) return Promise.resolve(guard)
      if (parsed.timeoutMs === 0) {
        const late = this.#tryAgain(parsed.mode)
        if (late === undefined) throw this.#timedOut(0)
        return Promise.resolve(late)
      }
      return this.#wait(parsed)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /**
   * Locks, blocking this thread: for workers and scripts. Looks before it sleeps: for 0.1 ms, the next in turn for up to 5 ms, on a core that nobody else wants. Overtakes the waiting tasks of this
   * process, which cannot go on meanwhile.
   *
   * @throws as lock(), and `LOCK_DEADLOCK` when a task of this very thread is in the way
   * Cost: uncontended as tryLock.
   */
  lockSync(options?: LockSyncOptions): TableGuard {
    if (options === undefined && this.session.failure === undefined) {
      const free = this.#enterFree()
      if (free !== undefined) return free
    }
    const { mode, timeoutMs } = options === undefined ? NO_OPTIONS : this.#parse(options, SYNC_KEYS)
    const guard = this.#owesTurn(mode) ? undefined : this.#tryMode(mode)
    if (guard !== undefined) return guard
    const held = this.session.waiters.heldMode(this.index)
    if (held === MODE_EXCLUSIVE || (held === MODE_SHARED && mode === MODE_EXCLUSIVE)) {
      throw new LockError('LOCK_DEADLOCK', `this thread holds the slot of ${this.#quoted} and would wait for itself`, { path: this.#path })
    }
    const began = nowMs()
    if (this.session.waiters.waitSync(this.request(mode), timeoutMs)) return this.#guard(mode, this.session.waiters.lastNotice)
    const late = this.#tryAgain(mode)
    if (late === undefined) throw this.#timedOut(nowMs() - began)
    return late
  }

  /**
   * What changedSince() is to be asked later about whatever is read from now on, with or without a lock. Rises with every exclusive hold of
   * this name, or of one in the same slot; while somebody holds it exclusively, it is the version before that hold, since what that
   * holder has still to write would otherwise be hidden. Takes no lock.
   * Cost: four atomic loads.
   */
  get version(): bigint {
    this.session.ensureUsable()
    return this.#protocol.version(this.slot)
  }

  /**
   * Has the name been locked exclusively since `version` was read from a guard or handle of it? Takes no lock. It may report a
   * change that was none (a name in the same slot, a holder that has not yet changed anything); it never hides one. The version of an
   * exclusive guard stands for what that hold leaves behind: only its holder, or who reads after its release, can rely on it.
   */
  changedSince(version: bigint): boolean {
    if (typeof version !== 'bigint') throw new TypeError('version must be a bigint')
    this.session.ensureUsable()
    return this.#protocol.changedSince(this.slot, version)
  }

  /** x1 with nobody in the way. */
  #enterFree(): TableGuard | undefined {
    if (!this.#waiters.isClear(this.index) || !this.#protocol.enterFree(this.slot, this.name0, this.name1)) return undefined
    if (!this.#waiters.isLivePlain) { // evicted: the slow path says so
      this.#protocol.releaseExclusive(this.slot)
      return undefined
    }
    this.#waiters.noteExclusive(this.index)
    return this.#plainGuard(MODE_EXCLUSIVE)
  }

  /** s1 and s2 with nothing of this process on the slot. */
  #tryShared(): TableGuard | undefined {
    const waiters = this.#waiters
    const protocol = this.#protocol
    const isOpen = protocol.enterOpen(this.slot)
    if (!isOpen && protocol.enterShared(this.slot) !== ENTERED) return undefined
    if (!waiters.isLivePlain) {
      protocol.releaseShared(this.slot)
      this.session.ensureLive() // evicted: throws
    }
    waiters.noteShared(this.index)
    return isOpen ? this.#plainGuard(MODE_SHARED) : this.#guard(MODE_SHARED, protocol.peekNotice(this.slot, this.name0, this.name1))
  }

  /** Ends a hold that was taken when the process had lost `theft` holds. False: it had been lost. @internal */
  leave(mode: number, theft: number): boolean {
    const { session } = this
    const waiters = this.#waiters
    if (session.failure !== undefined || waiters.thefts !== theft) {
      if (session.isClosed || waiters.wasStolen(this.index, theft)) return false
      return waiters.release(this.slot, this.index, mode) && session.failure === undefined
    }
    return waiters.release(this.slot, this.index, mode)
  }

  #tryMode(mode: number): TableGuard | undefined {
    const session = this.session
    session.ensureUsable()
    if (!session.waiters.isLive) session.ensureLive()
    if (session.waiters.tryLock(this.request(mode))) return this.#guard(mode, session.waiters.lastNotice)
    return undefined
  }

  /** Whether to leave the slot to one that waits, although nobody has it. */
  #owesTurn(mode: number): boolean {
    return mode === MODE_EXCLUSIVE && this.session.failure === undefined && this.#waiters.owesTurn(this.slot, this.index)
  }

  /** Before a time-out is final: a holder that is gone must not be what it was for, whoever found that out since. */
  #tryAgain(mode: number): TableGuard | undefined {
    this.session.findGone(this.slot)
    return this.#tryMode(mode)
  }

  /** @internal */
  request(mode: number): LockRequest {
    return { slot: this.slot, index: this.index, mode, name0: this.name0, name1: this.name1 }
  }

  /** A guard of a hold that was just taken. @internal */
  guardOf(mode: number, notice: Notice | undefined): TableGuard {
    return this.#guard(mode, notice)
  }

  #guard(mode: number, notice: Notice | undefined): TableGuard {
    const guard = this.#plainGuard(mode)
    if (notice !== undefined) guard.annotate(notice, undefined)
    return guard
  }

  #plainGuard(mode: number): TableGuard {
    const words = this.#words
    const { slot } = this
    if (!coarseNow.isFresh) refreshCoarseNow()
    words[slot + SLOT.SINCE_LOW] = coarseNow.low
    words[slot + SLOT.SINCE_HIGH] = coarseNow.high
    if (words[slot + SLOT.NAME_META] !== this.#description) this.describe()
    const guard = new TableGuard(this, mode, this.#waiters.thefts, words[slot + SLOT.VERSION_LOW] ?? 0, words[slot + SLOT.VERSION_HIGH] ?? 0)
    if (this.session.tracer !== undefined) guard.annotate(undefined, this.session.tracer)
    return guard
  }

  /** Writes the name where people can read it. Readers may write at the same time: then it is garbled until the next. @internal */
  describe(): void {
    const { words, bytes } = this.session.region
    words[this.slot + SLOT.NAME_0] = this.name0
    words[this.slot + SLOT.NAME_1] = this.name1
    bytes.set(this.#text, (this.slot + SLOT.NAME) * WORD_BYTES)
    words[this.slot + SLOT.NAME_META] = this.#description
  }

  #wait(parsed: ParsedOptions): Promise<TableGuard> {
    return new Promise((resolve, reject) => {
      const { waiters } = this.session
      const began = nowMs()
      let timer: NodeJS.Timeout | undefined
      const { signal, timeoutMs, mode } = parsed
      const settle = (): void => {
        clearTimeout(timer)
        if (signal !== undefined) forgetAbort(signal, onAbort)
      }
      const fail = (error: Error): void => {
        settle()
        reject(error)
      }
      const onAbort = (): void => {
        waiters.withdraw(this.slot, entry)
        fail(this.#aborted(signal, nowMs() - began))
      }
      const onTime = (): void => {
        waiters.retry(this.slot) // the event loop may be later than the lock
        if (!entry.queued) return
        const waitedMs = nowMs() - began
        if (waitedMs < timeoutMs) { // timers are whole milliseconds, and early
          timer = setTimeout(onTime, timeoutMs - waitedMs)
          return
        }
        this.session.findGone(this.slot)
        waiters.retry(this.slot)
        if (!entry.queued) return
        const error = this.#timedOut(waitedMs)
        waiters.withdraw(this.slot, entry)
        fail(error)
      }
      if (timeoutMs !== Infinity) timer = setTimeout(onTime, timeoutMs)
      if (signal !== undefined) hearAbort(signal, onAbort)
      const entry = waiters.enqueue(this.request(mode), notice => {
        settle()
        resolve(this.#guard(mode, notice))
      }, fail)
    })
  }

  #modeOf(options: TryLockOptions): number {
    const mode = parseMode(options, TRY_KEYS)
    if (options.holding !== undefined) this.#checkHolding(options.holding, mode)
    return mode
  }

  #parse(options: LockOptions, known: ReadonlySet<string>): ParsedOptions {
    const parsed = parseOptions(options, known)
    if (options.holding !== undefined) this.#checkHolding(options.holding, parsed.mode)
    return parsed
  }

  #checkHolding(holding: readonly TableGuard[], mode: number): void {
    if (!Array.isArray(holding)) throw new TypeError('options.holding must be an array of guards')
    for (const guard of holding as readonly unknown[]) {
      if (!(guard instanceof TableGuard)) throw new TypeError('options.holding must be an array of guards')
      if (!guard.isHeld) continue
      const other = guard.handle
      if (other.index === this.index && other.space.table === this.space.table && (mode === MODE_EXCLUSIVE || guard.mode === 'exclusive')) {
        throw new LockError('LOCK_DEADLOCK', `${this.#quoted} shares a slot with ${other.#quoted}, which the caller holds`, { path: this.#path })
      }
      if (other.space.table === this.space.table && other.space.rank >= this.space.rank && !(other.index === this.index)) {
        throw new LockError('LOCK_ORDER', `space ${this.space.name} comes before space ${other.space.name}, of which the caller holds ${other.#quoted}; ` +
          'take several names of one space by lockAll', { path: this.#path })
      }
    }
  }

  get #quoted(): string {
    return typeof this.name === 'string' ? JSON.stringify(this.name) : `<${Buffer.from(this.name).toString('hex')}>`
  }

  get #path(): string {
    return this.session.region.path
  }

  #timedOut(waitedMs: number): LockTimeoutError {
    const pids = holderPids(this.session.region.words, this.slot)
    return new LockTimeoutError(`${this.#quoted} was not free within ${Math.round(waitedMs)} ms`, { path: this.#path, waitedMs, holderPids: pids })
  }

  #aborted(signal: AbortSignal | undefined, waitedMs: number): LockAbortedError {
    return new LockAbortedError(`the wait for ${this.#quoted} was aborted`, { path: this.#path, waitedMs, cause: signal?.reason })
  }
}
