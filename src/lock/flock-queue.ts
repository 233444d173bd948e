/**
 * flock-queue.ts: one lock file as this thread sees it: who holds it here, who waits here, in what order.
 *
 * Two locks of one thread must exclude each other as two processes do. They share one queue per file, so that only the
 * head of the queue has an open file and, at most, one waiting thread (native/lockfile_pool.h), whatever the number of waiters.
 *
 * ENTERING                                             LEAVING (the last guard of a hold)
 *   f1  open, creating; follow no symlink                u1  somebody waits here: leave the file to them
 *   f2  flock, without waiting; else the head waits      u2  a shared hold: make it exclusive without waiting, or leave the file
 *   f3  the path still leads to the file: inside         u3  the path still leads to the file: unlink it
 *       else close, again from f1                        u4  close, which ends the lock
 *
 * INVARIANTS
 *   I1  A path changes its file only by u3, whose doer holds the file exclusively: after f3 the path is ours until u4.
 *   I2  At most one kernel wait, only while nobody holds the lock here, and in the mode of the queue's head. The wait belongs
 *       to the file: when the head gives up, the next one of the same mode inherits it and its place among the processes.
 *   I3  First come, first served; neighbouring shared ones enter together; a shared one never passes a queued exclusive one.
 *       Only a synchronous lock passes the queue, because nobody in it could run before it returns.
 *   I4  After STREAK_LIMIT hand-overs within this thread the head waits in the kernel, behind other processes.
 *
 * NOT PROMISED
 *   Order among processes, and writers against readers: flock has no queue discipline, shared holders of several processes
 *   may keep an exclusive waiter out for ever. Exclusion after a stranger removed the file or its directory: those inside
 *   stay inside until they look (`isCurrent`), newcomers lock the new file. Networked file systems.
 *   That a wait given up leaves no trace: its thread may get the lock before the interruption reaches it, and holds it until it
 *   has closed the file, some ten microseconds. A try of somebody else may find the lock busy then; nobody is let in.
 */
import { mkdirSync } from 'node:fs'
import { dirname, basename } from 'node:path'
import { LockError } from '../errors.js'
import { HASHED } from './escape.js'

/** The lock-file half of the addon. File descriptors are ones it has opened itself. */
export interface NativeLockfile {
  lockfileOpen(path: string, mode: number): number
  /** On false a lock that the file had is gone. */
  lockfileTry(fd: number, exclusive: boolean): boolean
  lockfileIsCurrent(fd: number, path: string): boolean
  lockfileUnlink(path: string): boolean
  lockfileClose(fd: number): void
  /** The file is the wait's until the callback or `lockfileWithdraw`; with an errno name it is closed. */
  lockfileWait(fd: number, exclusive: boolean, callback: (errno: string | undefined) => void): number
  /** True: the lock had been got, and the file is the caller's again. False: the file is or will be closed. */
  lockfileWithdraw(id: number): boolean
  /** Milliseconds, -1: no limit. False: the time was up, and the file is closed. */
  lockfileWaitSync(fd: number, exclusive: boolean, timeoutMs: number): boolean
}

/** Somebody in the queue. Each is called once, by the queue, never from within `enqueue`'s caller's other requests. */
export interface FileWaiter {
  readonly exclusive: boolean
  grant(hold: FileHold): void
  fail(error: LockError): void
}

/** A lock on an open file, shared by `guards` guards of this thread. */
export interface FileHold {
  readonly fd: number
  readonly exclusive: boolean
  guards: number
}

/** Hand-overs within one thread before other processes are let in. */
const STREAK_LIMIT = 16

/** Times that the file may be replaced between f1 and f3. More is no rival but a file system whose two stats never agree. */
const ROUND_LIMIT = 1000

const FOREIGN = new Set(['ELOOP', 'EINVAL', 'EISDIR', 'ENXIO'])
const GONE = new Set(['ENOENT', 'ENOTDIR'])
const NO_SPACE = new Set(['ENOSPC', 'EDQUOT'])

/** The typed error for what the operating system refused. */
export function refusal(cause: unknown, path: string): LockError {
  if (cause instanceof LockError) return cause
  const errno = (cause as NodeJS.ErrnoException).code ?? ''
  const details = { cause, path }
  if (FOREIGN.has(errno)) return new LockError('TABLE_FOREIGN', `${path} is not a regular file`, details)
  if (GONE.has(errno)) return new LockError('TABLE_GONE', `the directory of the lock file ${path} is gone`, details)
  if (NO_SPACE.has(errno)) return new LockError('TABLE_NO_SPACE', `no space for the lock file ${path}`, details)
  return new LockError('TABLE_IO', `the lock file ${path} cannot be used: ${(cause as Error).message}`, details)
}

export class LockFileQueue {
  readonly path: string
  readonly #native: NativeLockfile
  readonly #fileMode: number
  readonly #onIdle: () => void
  readonly #waiters = new Set<FileWaiter>()
  #hold: FileHold | undefined
  #wait: { readonly id: number; readonly fd: number; readonly exclusive: boolean } | undefined
  #streak = 0

  constructor(native: NativeLockfile, path: string, fileMode: number, onIdle: () => void) {
    this.#native = native
    this.path = path
    this.#fileMode = fileMode
    this.#onIdle = onIdle
  }

  /** Grants at once, or when it is this waiter's turn. */
  enqueue(waiter: FileWaiter): void {
    this.#waiters.add(waiter)
    if (this.#waiters.size === 1) this.#pump()
  }

  /** Takes a waiter out, as if it had never been there. */
  remove(waiter: FileWaiter): void {
    if (!this.#waiters.delete(waiter)) return
    if (this.#waiters.size === 0) {
      const hold = this.#withdraw()
      if (hold !== undefined) this.#end(hold)
    }
    this.#pump()
  }

  /** The lock without waiting, or undefined. */
  tryEnter(exclusive: boolean): FileHold | undefined {
    if (this.#waiters.size > 0) return undefined
    try {
      const { fd, isIn } = this.#join(exclusive) ?? this.#attempt(exclusive)
      if (isIn) return this.#enter(fd, exclusive)
      if (fd >= 0) this.#native.lockfileClose(fd)
      return undefined
    } finally {
      this.#pump()
    }
  }

  /** The lock, blocking the thread; undefined: the time is up. -1: no limit. */
  enterSync(exclusive: boolean, timeoutMs: number): FileHold | undefined {
    const deadline = timeoutMs < 0 ? Infinity : performance.now() + timeoutMs
    try {
      const joined = this.#join(exclusive)
      if (joined?.isIn === true) return this.#enter(joined.fd, exclusive)
      if (joined !== undefined) throw new LockError('LOCK_DEADLOCK', `this thread itself holds ${this.path}, and cannot release it while it waits`, { path: this.path })
      // The head's wait may have ended already, unseen: sleeping behind our own lock would never end.
      const granted = this.#withdraw()
      if (granted !== undefined) this.#native.lockfileClose(granted.fd)
      for (;;) {
        const { fd, isIn } = this.#attempt(exclusive)
        if (isIn) return this.#enter(fd, exclusive)
        const left = deadline - performance.now()
        if (left <= 0) {
          this.#native.lockfileClose(fd)
          return undefined
        }
        if (!this.#native.lockfileWaitSync(fd, exclusive, left === Infinity ? -1 : left)) return undefined
        if (this.#isOurs(fd)) return this.#enter(fd, exclusive)
        this.#native.lockfileClose(fd)
      }
    } finally {
      this.#pump()
    }
  }

  /** One guard of a hold is done with it. */
  leave(hold: FileHold): void {
    hold.guards--
    if (hold.guards > 0) return
    const isOurs = this.#hold === hold
    if (isOurs) this.#hold = undefined
    if (isOurs && this.#waiters.size > 0) {
      this.#streak++
      this.#native.lockfileClose(hold.fd) // u1
    } else {
      this.#streak = 0
      this.#end(hold)
    }
    this.#pump()
  }

  /** False: somebody else has removed the file, and with it the lock. */
  isCurrent(hold: FileHold): boolean {
    return this.#native.lockfileIsCurrent(hold.fd, this.path)
  }

  /** u2-u4. A file that stays is harmless, so what the system refuses here is nobody's concern. */
  #end(hold: FileHold): void {
    try {
      const isExclusive = hold.exclusive || this.#native.lockfileTry(hold.fd, true) // u2
      // A stranger may have put another file there, which others hold: that one must stay.
      if (isExclusive && this.#native.lockfileIsCurrent(hold.fd, this.path)) this.#native.lockfileUnlink(this.path) // u3
    } catch {
      // The file stays.
    } finally {
      this.#native.lockfileClose(hold.fd) // u4
    }
  }

  #enter(fd: number, exclusive: boolean): FileHold {
    const present = this.#hold
    if (present?.fd === fd) {
      present.guards++
      return present
    }
    return (this.#hold = { fd, exclusive, guards: 1 })
  }

  /** Undefined: nobody holds the lock here. Otherwise whether one may join. */
  #join(exclusive: boolean): { fd: number; isIn: boolean } | undefined {
    const hold = this.#hold
    if (hold === undefined) return undefined
    if (exclusive || hold.exclusive) return { fd: -1, isIn: false }
    if (this.isCurrent(hold)) return { fd: hold.fd, isIn: true }
    // The lock was lost. Its guards keep the file until they are released; whoever comes now must lock the new one.
    this.#hold = undefined
    return undefined
  }

  /** f1-f3. Not in: the open file to wait for. */
  #attempt(exclusive: boolean): { fd: number; isIn: boolean } {
    for (let round = 0; round < ROUND_LIMIT; round++) {
      const fd = this.#open()
      if (!this.#orClose(fd, () => this.#native.lockfileTry(fd, exclusive))) return { fd, isIn: false } // f2
      if (this.#isOurs(fd)) return { fd, isIn: true }
      this.#native.lockfileClose(fd)
    }
    throw new LockError('TABLE_IO', `the lock file ${this.path} is replaced again and again`, { path: this.path })
  }

  #open(): number {
    try {
      return this.#native.lockfileOpen(this.path, this.#fileMode) // f1
    } catch (error) {
      const directory = dirname(this.path)
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || basename(directory) !== HASHED) throw error
      try {
        mkdirSync(directory, 0o755)
      } catch (refused) {
        if ((refused as NodeJS.ErrnoException).code !== 'EEXIST') throw refused
      }
      return this.#native.lockfileOpen(this.path, this.#fileMode)
    }
  }

  /** f3 */
  #isOurs(fd: number): boolean {
    return this.#orClose(fd, () => this.#native.lockfileIsCurrent(fd, this.path))
  }

  /** Closes the file if the step is refused. */
  #orClose<T>(fd: number, step: () => T): T {
    try {
      return step()
    } catch (error) {
      this.#native.lockfileClose(fd)
      throw error
    }
  }

  /** Admits from the head of the queue whoever may enter now. */
  #pump(): void {
    for (const head of this.#waiters) {
      try {
        const hold = this.#admit(head.exclusive)
        if (hold === undefined) return
        this.#waiters.delete(head)
        head.grant(hold)
      } catch (error) {
        this.#waiters.delete(head)
        head.fail(refusal(error, this.path))
      }
    }
    if (this.#hold === undefined) this.#onIdle()
  }

  #admit(exclusive: boolean): FileHold | undefined {
    const joined = this.#join(exclusive)
    if (joined !== undefined) return joined.isIn ? this.#enter(joined.fd, exclusive) : undefined
    if (this.#wait !== undefined) {
      if (this.#wait.exclusive === exclusive) return undefined
      const granted = this.#withdraw()
      if (granted !== undefined) this.#native.lockfileClose(granted.fd)
    }
    const mustYield = this.#streak >= STREAK_LIMIT
    if (mustYield) this.#streak = 0
    const { fd, isIn } = mustYield ? { fd: this.#open(), isIn: false } : this.#attempt(exclusive)
    if (isIn) return this.#enter(fd, exclusive)
    const id = this.#orClose(fd, () => this.#native.lockfileWait(fd, exclusive, (errno) => this.#onWaitEnd(errno)))
    this.#wait = { id, fd, exclusive }
    return undefined
  }

  #onWaitEnd(errno: string | undefined): void {
    const wait = this.#wait
    const [head] = this.#waiters
    this.#wait = undefined
    if (wait === undefined || head === undefined) return // I2: cannot be
    try {
      if (errno !== undefined) throw Object.assign(new Error(`${errno}: flock`), { code: errno })
      if (this.#isOurs(wait.fd)) {
        this.#waiters.delete(head)
        head.grant(this.#enter(wait.fd, wait.exclusive))
      } else {
        this.#native.lockfileClose(wait.fd)
      }
    } catch (error) {
      this.#waiters.delete(head)
      head.fail(refusal(error, this.path))
    }
    this.#pump()
  }

  /** Ends the kernel's wait. A hold: it had ended already, with the lock. */
  #withdraw(): FileHold | undefined {
    const wait = this.#wait
    if (wait === undefined) return undefined
    this.#wait = undefined
    return this.#native.lockfileWithdraw(wait.id) ? { fd: wait.fd, exclusive: wait.exclusive, guards: 1 } : undefined
  }
}
