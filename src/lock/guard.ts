/**
 * guard.ts: a hold, as its holder sees it.
 */
import { LockError } from '../errors.js'
import type { LockHandle } from './handle.js'
import { MODE_EXCLUSIVE, MODE_SHARED, SLOT } from './layout.js'
import type { Notice } from './notices.js'
import type { GuardTracer, Session } from './session.js'

export type LockMode = 'exclusive' | 'shared'

/** The previous exclusive holder of this name died without releasing it: what the lock protects may be half done. */
export interface AbandonedNotice {
  /** Process id of the dead in its own PID namespace; undefined: unknown. */
  readonly pid: number | undefined
  /** When the death was found out, to the second; undefined: unknown. */
  readonly foundAt: Date | undefined
}

/** What the lock table's and the lock files' guards have in common. */
export interface LockGuard {
  readonly name: string | Uint8Array
  readonly mode: LockMode
  /** False once released or lost. Costs one atomic load. */
  readonly isHeld: boolean
  /** Aborts when the hold is lost: eviction, theft, the table gone or closed. Its reason is a LockError. Not on release. */
  readonly signal: AbortSignal
  readonly abandoned: AbandonedNotice | undefined
  /** Fencing token of an exclusive hold, rising with every one of its slot; undefined where there is none. */
  readonly version: bigint | undefined
  /** Ends the hold. @returns false if it had been lost, or was released before */
  release(): boolean
  [Symbol.dispose](): void
}

export function abandonedNotice({ pid, time }: Notice): AbandonedNotice {
  return { pid: pid || undefined, foundAt: time ? new Date(time * 1000) : undefined }
}

/** What most guards never need. */
interface Extras {
  notice: Notice | undefined
  abort: AbortController | undefined
  trace: { released: boolean } | undefined
}

/**
 * A hold of one slot of a lock table. Small, because one is made for every lock: what only the unusual one needs is in `#extras`.
 */
export class TableGuard implements LockGuard {
  readonly #handle: LockHandle
  /** MODE_…, 0 once released. */
  #held: number
  #mode: number
  readonly #theft: number
  #versionLow: number
  #versionHigh: number
  #extras: Extras | undefined

  /** @internal */
  constructor(handle: LockHandle, mode: number, theft: number, versionLow: number, versionHigh: number) {
    this.#handle = handle
    this.#held = mode
    this.#mode = mode
    this.#theft = theft
    this.#versionLow = versionLow
    this.#versionHigh = versionHigh
    this.#extras = undefined
  }

  /** What the slot knew of a dead holder; where the guard was made, if that is traced. @internal */
  annotate(notice: Notice | undefined, tracer: GuardTracer | undefined): void {
    this.#extra.notice = notice
    if (tracer !== undefined) this.#extra.trace = tracer.trace(this, String(this.name))
  }

  get #extra(): Extras {
    this.#extras ??= { notice: undefined, abort: undefined, trace: undefined }
    return this.#extras
  }

  get #session(): Session {
    return this.#handle.session
  }

  get name(): string | Uint8Array {
    return this.#handle.name
  }

  /** The handle that the lock was taken through. */
  get handle(): LockHandle {
    return this.#handle
  }

  get mode(): LockMode {
    return this.#mode === MODE_EXCLUSIVE ? 'exclusive' : 'shared'
  }

  get isHeld(): boolean {
    if (this.#held === 0 || this.#session.failure !== undefined) return false
    const { waiters, participant } = this.#session
    const { slot, index } = this.#handle
    return waiters.isLive && !waiters.wasStolen(index, this.#theft) && participant.protocol.isHolding(slot, this.#held)
  }

  get signal(): AbortSignal {
    const extra = this.#extra
    if (extra.abort === undefined) {
      extra.abort = new AbortController()
      if (this.#held !== 0) {
        if (this.isHeld) this.#session.watchGuard(this)
        else extra.abort.abort(this.#session.failure ?? new LockError('LOCK_LOST', 'the lock was taken by force'))
      }
    }
    return extra.abort.signal
  }

  /** @internal */
  lose(error: LockError): void {
    this.#session.unwatchGuard(this)
    this.#extras?.abort?.abort(error)
  }

  /**
   * Set on the first exclusive hold of this name after its holder died, and on shared holds before that one: told once, to the
   * first who can repair.
   */
  get abandoned(): AbandonedNotice | undefined {
    return this.notice === undefined ? undefined : abandonedNotice(this.notice)
  }

  /** @internal */
  get notice(): Notice | undefined {
    return this.#extras?.notice
  }

  /**
   * The slot's version when the lock was granted. For an exclusive hold it is new, and higher than any before: with the table's epoch, a
   * fencing token. For a shared one it is what changedSince() compares with.
   */
  get version(): bigint {
    return (BigInt(this.#versionHigh >>> 0) << 32n) | BigInt(this.#versionLow >>> 0)
  }

  /**
   * Turns a shared hold into an exclusive one if nobody else, in any process, holds the slot or is about to own it. Never waits.
   * @returns true if the hold is exclusive now. `version` is then that of the exclusive one.
   */
  upgrade(): boolean {
    this.#ensureHeld()
    if (this.#held === MODE_EXCLUSIVE) return true
    const { waiters, region } = this.#session
    if (!waiters.upgrade(this.#handle.request(MODE_EXCLUSIVE))) return false
    this.#held = this.#mode = MODE_EXCLUSIVE
    this.#extra.notice = waiters.lastNotice
    this.#versionLow = region.words[this.#handle.slot + SLOT.VERSION_LOW] ?? 0
    this.#versionHigh = region.words[this.#handle.slot + SLOT.VERSION_HIGH] ?? 0
    this.#handle.describe()
    return true
  }

  /** Turns an exclusive hold into a shared one; no other exclusive hold can come in between. */
  downgrade(): void {
    this.#ensureHeld()
    if (this.#held === MODE_SHARED) return
    if (!this.#session.waiters.downgrade(this.#handle.slot, this.#handle.index)) this.#ensureHeld()
    this.#held = this.#mode = MODE_SHARED
  }

  #ensureHeld(): void {
    if (this.#held === 0) throw new LockError('LOCK_LOST', 'the guard was released')
    if (!this.isHeld) throw this.#session.failure ?? new LockError('LOCK_LOST', 'the lock was lost')
  }

  release(): boolean {
    const held = this.#held
    if (held === 0) return false
    this.#held = 0
    if (this.#extras !== undefined) this.#tidy(this.#extras)
    return this.#handle.leave(held, this.#theft)
  }

  #tidy(extras: Extras): void {
    if (extras.trace !== undefined) extras.trace.released = true
    if (extras.abort !== undefined) this.#session.unwatchGuard(this)
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
