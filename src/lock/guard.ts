/**
 * guard.ts: a hold, as its holder sees it.
 */
import { LockError } from '../errors.js'
import type { LockHandle } from './handle.js'
import { MODE_EXCLUSIVE, MODE_SHARED, SLOT } from './layout.js'
import type { Notice } from './notices.js'
import type { Session } from './session.js'

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

/** A hold of one slot of a lock table. */
export class TableGuard implements LockGuard {
  readonly #session: Session
  readonly #handle: LockHandle
  readonly #theft: number
  #versionLow: number
  #versionHigh: number
  #mode: number
  #released = false
  #notice: Notice | undefined
  #abort: AbortController | undefined
  #trace: { released: boolean } | undefined

  /** @internal */
  constructor(session: Session, handle: LockHandle, mode: number, notice: Notice | undefined) {
    this.#session = session
    this.#handle = handle
    this.#mode = mode
    this.#notice = notice
    this.#theft = session.waiters.thefts
    const { words } = session.region
    this.#versionLow = words[handle.slot + SLOT.VERSION_LOW] ?? 0
    this.#versionHigh = words[handle.slot + SLOT.VERSION_HIGH] ?? 0
    if (session.tracer !== undefined) this.#trace = session.tracer.trace(this, String(handle.name))
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
    if (this.#released || this.#session.failure !== undefined) return false
    const { waiters, participant } = this.#session
    const { slot, index } = this.#handle
    return waiters.isLive && !waiters.wasStolen(index, this.#theft) && participant.protocol.isHolding(slot, this.#mode)
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (!this.#released) {
        if (this.isHeld) this.#session.watchGuard(this)
        else this.#abort.abort(this.#session.failure ?? new LockError('LOCK_LOST', 'the lock was taken by force'))
      }
    }
    return this.#abort.signal
  }

  /** @internal */
  lose(error: LockError): void {
    this.#session.unwatchGuard(this)
    this.#abort?.abort(error)
  }

  /**
   * Set on the first exclusive hold of this name after its holder died, and on shared holds before that one: told once, to the
   * first who can repair.
   */
  get abandoned(): AbandonedNotice | undefined {
    const notice = this.#notice
    if (notice === undefined) return undefined
    return { pid: notice.pid || undefined, foundAt: notice.time ? new Date(notice.time * 1000) : undefined }
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
    if (this.#mode === MODE_EXCLUSIVE) return true
    if (!this.#session.waiters.upgrade(this.#handle.request(MODE_EXCLUSIVE))) return false
    this.#mode = MODE_EXCLUSIVE
    this.#notice = this.#session.waiters.lastNotice
    this.#versionLow = this.#session.region.words[this.#handle.slot + SLOT.VERSION_LOW] ?? 0
    this.#versionHigh = this.#session.region.words[this.#handle.slot + SLOT.VERSION_HIGH] ?? 0
    this.#handle.describe()
    return true
  }

  /** Turns an exclusive hold into a shared one; no other exclusive hold can come in between. */
  downgrade(): void {
    this.#ensureHeld()
    if (this.#mode === MODE_SHARED) return
    if (!this.#session.waiters.downgrade(this.#handle.slot, this.#handle.index)) this.#ensureHeld()
    this.#mode = MODE_SHARED
  }

  #ensureHeld(): void {
    if (this.#released) throw new LockError('LOCK_LOST', 'the guard was released')
    if (!this.isHeld) throw this.#session.failure ?? new LockError('LOCK_LOST', 'the lock was lost')
  }

  release(): boolean {
    if (this.#released) return false
    this.#released = true
    const session = this.#session
    if (this.#trace !== undefined) this.#trace.released = true
    if (this.#abort !== undefined) session.unwatchGuard(this)
    const { slot, index } = this.#handle
    if (session.isClosed || session.waiters.wasStolen(index, this.#theft)) return false
    return session.waiters.release(slot, index, this.#mode) && session.failure === undefined
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
