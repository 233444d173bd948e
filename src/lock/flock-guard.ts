/** flock-guard.ts: a lock file that is held, behind the face of every guard (guard.ts). */
import { LockError } from '../errors.js'
import type { LockFileName } from './escape.js'
import type { FileHold, LockFileQueue } from './flock-queue.js'
import type { LockGuard } from './guard.js'

/**
 * A lock that is held. Release it in the thread that took it.
 *
 * Not released: held until the thread or the process ends.
 */
export class LockFileGuard implements LockGuard {
  readonly name: LockFileName
  readonly mode: 'exclusive' | 'shared'
  /** flock does not tell whether the previous holder died. */
  readonly abandoned: undefined = undefined
  /** flock does not count. */
  readonly version: undefined = undefined
  readonly #queue: LockFileQueue
  readonly #hold: FileHold
  readonly #live: Set<LockFileGuard>
  #isReleased = false
  #lost: LockError | undefined
  #controller: AbortController | undefined

  /** @internal */
  constructor(name: LockFileName, queue: LockFileQueue, hold: FileHold, live: Set<LockFileGuard>) {
    this.name = name
    this.mode = hold.exclusive ? 'exclusive' : 'shared'
    this.#queue = queue
    this.#hold = hold
    this.#live = live
    live.add(this)
  }

  /**
   * False once it is released, its LockFiles is closed, or somebody else has removed the lock file.
   *
   * Cost: looks at the file each time, two system calls.
   */
  get isHeld(): boolean {
    return !this.#isReleased && this.#lost === undefined && this.#look()
  }

  #look(): boolean {
    try {
      if (this.#queue.isCurrent(this.#hold)) return true
      this.#lose(new LockError('LOCK_LOST', `the lock file ${this.#queue.path} was removed while it was held`, { path: this.#queue.path }))
    } catch (error) {
      this.#lose(new LockError('LOCK_LOST', `the lock file ${this.#queue.path} cannot be seen any more`, { path: this.#queue.path, cause: error }))
    }
    return false
  }

  /** Aborts when the lock is known to be lost: when this or `isHeld` is read (nothing watches the file), or at close(). */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#lost !== undefined) this.#controller.abort(this.#lost)
    else if (!this.#isReleased) this.#look()
    return this.#controller.signal
  }

  /** Synchronous. The last one out removes the file. @returns false if it is known to be lost, or was released before */
  release(): boolean {
    if (this.#isReleased) return false
    this.#isReleased = true
    this.#live.delete(this)
    this.#queue.leave(this.#hold)
    return this.#lost === undefined
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /** @internal The end of a guard whose LockFiles is closed. */
  close(reason: LockError): void {
    this.release()
    this.#lose(reason)
  }

  #lose(reason: LockError): void {
    this.#lost ??= reason
    this.#controller?.abort(this.#lost)
  }
}
