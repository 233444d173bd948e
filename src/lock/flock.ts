/**
 * flock.ts: locks as lock files: a directory on tmpfs, one file a name, flock(2), double stat against removal.
 *
 * What Proxmox Backup Server does, and compatible with it: same file names (escape.ts), same lock call, same check after it.
 * The fallback where a lock table cannot be used, and the other half of a migration. The steps are in flock-queue.ts.
 *
 * A guard is the lock table's, with what flock cannot know left undefined: whether the previous holder died, and how often the
 * lock was taken. A holder's death frees the lock once all its threads have ended, as in the table.
 */
import type { LockGuard } from './guard.js'
import { mkdir, realpath, stat, statfs } from 'node:fs/promises'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { checkBoolean, checkInteger, checkOneOf, checkOptions, checkPath, checkSignal, checkTimeoutMs } from '../check.js'
import { LockAbortedError, LockError, LockTimeoutError } from '../errors.js'
import { lockFilePath, type LockFileName } from './escape.js'
import { LockFileQueue, refusal, type FileHold, type FileWaiter, type NativeLockfile } from './flock-queue.js'
import { NAME_LIMIT } from './hash.js'
import { loadNative } from './native.js'

export type { LockFileName } from './escape.js'
export type { NativeLockfile } from './flock-queue.js'

export interface LockFilesOptions {
  /** Make the directory (0755) and its parents if they are missing. Default: true. */
  readonly create?: boolean | undefined
  /** Refuse a directory that is not on tmpfs. Default: true. */
  readonly requireTmpfs?: boolean | undefined
  /** Permissions of new lock files, 0 … 0o777, reduced by the umask. Default: 0o660. */
  readonly fileMode?: number | undefined
}

export interface TryLockFileOptions {
  /** Default: 'exclusive'. */
  readonly mode?: 'exclusive' | 'shared' | undefined
}

export interface LockFileSyncOptions extends TryLockFileOptions {
  /** Milliseconds, 0 … 2^31-1, monotonic, from the call. 0 tries once. Default: no limit. */
  readonly timeoutMs?: number | undefined
}

export interface LockFileOptions extends LockFileSyncOptions {
  /** Ends the wait when it aborts. It has no power over a lock that is held. */
  readonly signal?: AbortSignal | undefined
}

interface Request {
  readonly name: LockFileName
  readonly exclusive: boolean
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

const TMPFS_MAGIC = 0x01021994
const WRITABLE_BY_EVERYBODY = 0o002

/** The queues of this thread by path, whichever LockFiles they came through: they are the same files. */
const queues = new Map<string, LockFileQueue>()

/** Who holds the file: `FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF` in /proc/locks. Best effort, none if in doubt. */
function holderPids(path: string): number[] {
  try {
    const { dev, ino } = statSync(path, { bigint: true })
    const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
    const minor = (dev & 0xffn) | ((dev >> 12n) & 0xfff00n)
    const hex = (value: bigint): string => value.toString(16).padStart(2, '0')
    const pattern = new RegExp(`^\\d+: FLOCK +ADVISORY +\\w+ +(\\d+) ${hex(major)}:${hex(minor)}:${ino} `, 'gm')
    const pids = [...readFileSync('/proc/locks', 'latin1').matchAll(pattern)].map((match) => Number(match[1]))
    return [...new Set(pids)].filter((pid) => pid > 0)
  } catch {
    return []
  }
}

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

/** A request in the queue, with its clock and its signal. */
class Pending implements FileWaiter {
  readonly exclusive: boolean
  readonly #queue: LockFileQueue
  readonly #signal: AbortSignal | undefined
  readonly #timeoutMs: number
  readonly #settle: (outcome: FileHold | LockError) => void
  readonly #startedMs = performance.now()
  #timer: NodeJS.Timeout | undefined
  #isSettled = false

  constructor(request: Request, queue: LockFileQueue, settle: (outcome: FileHold | LockError) => void) {
    this.exclusive = request.exclusive
    this.#queue = queue
    this.#signal = request.signal
    this.#timeoutMs = request.timeoutMs
    this.#settle = settle
  }

  start(): void {
    this.#queue.enqueue(this)
    if (this.#isSettled) return
    if (this.#timeoutMs >= 0) this.#timer = setTimeout(() => this.#onTimeout(), Math.ceil(this.#timeoutMs))
    this.#signal?.addEventListener('abort', this.#onAbort)
  }

  grant(hold: FileHold): void {
    this.#end(hold)
  }

  fail(error: LockError): void {
    this.#end(error)
  }

  /** Leaves the queue, then fails. */
  giveUp(error: LockError): void {
    if (this.#isSettled) return
    this.#end(error)
    this.#queue.remove(this)
  }

  readonly #onAbort = (): void => this.giveUp(abortedError(this.#signal, this.#queue.path, performance.now() - this.#startedMs))

  #onTimeout(): void {
    this.giveUp(timeoutError(this.#queue.path, performance.now() - this.#startedMs))
  }

  #end(outcome: FileHold | LockError): void {
    this.#isSettled = true
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#settle(outcome)
  }
}

function timeoutError(path: string, waitedMs: number): LockTimeoutError {
  const pids = holderPids(path)
  const holders = pids.length === 0 ? '' : `, held by process ${pids.join(', ')}`
  return new LockTimeoutError(`no lock on ${path} within ${Math.round(waitedMs)} ms${holders}`, { path, waitedMs, holderPids: pids })
}

function abortedError(signal: AbortSignal | undefined, path: string, waitedMs: number): LockAbortedError {
  return new LockAbortedError(`the wait for ${path} was aborted`, { path, waitedMs, cause: signal?.reason })
}

/**
 * Locks by name in one directory.
 *
 * Cost: uncontended, nine system calls for lock and release: open, flock, unlink, close, and the looks at the file in between.
 */
export class LockFiles {
  /** The directory, symbolic links resolved. */
  readonly directory: string
  readonly #native: NativeLockfile
  readonly #fileMode: number
  readonly #guards = new Set<LockFileGuard>()
  readonly #pending = new Set<Pending>()
  #isClosed = false

  private constructor(native: NativeLockfile, directory: string, fileMode: number) {
    this.#native = native
    this.directory = directory
    this.#fileMode = fileMode
  }

  /**
   * Checks the directory, or makes it.
   *
   * @throws {LockError} `TABLE_MISSING`: not there and `create: false`; `TABLE_FOREIGN`: no directory; `TABLE_NOT_TMPFS`;
   *   `TABLE_UNTRUSTED`: everybody may write to it, so anybody could remove or plant lock files; `TABLE_IO`.
   */
  static async open(directory: string, options?: LockFilesOptions): Promise<LockFiles> {
    const path = checkPath(directory, 'directory')
    const { create, requireTmpfs, fileMode } = checkOptions<LockFilesOptions>(options, ['create', 'requireTmpfs', 'fileMode'], 'options')
    const mayCreate = create === undefined || checkBoolean(create, 'options.create')
    const mustBeTmpfs = requireTmpfs === undefined || checkBoolean(requireTmpfs, 'options.requireTmpfs')
    const mode = fileMode === undefined ? 0o660 : checkInteger(fileMode, 'options.fileMode', 0, 0o777)
    const native = loadNative() as unknown as NativeLockfile
    try {
      if (mayCreate) await mkdir(path, { recursive: true, mode: 0o755 })
      const resolved = await realpath(path)
      const found = await stat(resolved)
      if (!found.isDirectory()) throw new LockError('TABLE_FOREIGN', `${path} is not a directory`, { path })
      if (found.mode & WRITABLE_BY_EVERYBODY) throw new LockError('TABLE_UNTRUSTED', `${path} is writable by everybody`, { path })
      if (mustBeTmpfs && (await statfs(resolved)).type !== TMPFS_MAGIC) throw new LockError('TABLE_NOT_TMPFS', `${path} is not on tmpfs`, { path })
      return new LockFiles(native, resolved, mode)
    } catch (error) {
      throw openingError(error, path)
    }
  }

  /**
   * Lock one name, waiting until it is free, the time is up, or `signal` aborts.
   *
   * @param name  A string or bytes, 1 to 1024 code units or bytes; its file is told by escape.ts.
   * @throws {LockTimeoutError} `LOCK_TIMEOUT`, with `waitedMs` and `holderPids`.
   * @throws {LockAbortedError} `LOCK_ABORTED`, with the signal's reason as `cause`.
   * @throws {LockError} `TABLE_CLOSED`; `TABLE_FOREIGN`: something else is at the file's place; `TABLE_GONE`: the directory was
   *   removed; `TABLE_NO_SPACE`; `TABLE_IO`.
   */
  async lock(name: LockFileName, options?: LockFileOptions): Promise<LockFileGuard> {
    const request = checkRequest(name, options, ['mode', 'timeoutMs', 'signal'])
    const queue = this.#queue(name)
    if (request.signal?.aborted === true) throw abortedError(request.signal, queue.path, 0)
    if (request.timeoutMs === 0) {
      const guard = this.#try(request, queue)
      if (guard === undefined) throw timeoutError(queue.path, 0)
      return guard
    }
    return await new Promise((resolve, reject) => {
      const pending = new Pending(request, queue, (outcome) => {
        this.#pending.delete(pending)
        if (outcome instanceof LockError) reject(outcome)
        else resolve(new LockFileGuard(name, queue, outcome, this.#guards))
      })
      this.#pending.add(pending)
      pending.start()
    })
  }

  /** The lock if it is free and nobody of this thread waits for it, else undefined. Never waits. */
  tryLock(name: LockFileName, options?: TryLockFileOptions): LockFileGuard | undefined {
    return this.#try(checkRequest(name, options, ['mode']), this.#queue(name))
  }

  /**
   * Locks one name, blocking the thread: for workers and scripts. Passes this thread's own queue, whose members could not run.
   *
   * @throws {LockTimeoutError} `LOCK_TIMEOUT`.
   * @throws {LockError} `LOCK_DEADLOCK`: this thread holds it itself; and as `lock`.
   */
  lockSync(name: LockFileName, options?: LockFileSyncOptions): LockFileGuard {
    const request = checkRequest(name, options, ['mode', 'timeoutMs'])
    const queue = this.#queue(name)
    const startedMs = performance.now()
    let hold: FileHold | undefined
    try {
      hold = queue.enterSync(request.exclusive, request.timeoutMs)
    } catch (error) {
      throw refusal(error, queue.path)
    }
    if (hold === undefined) throw timeoutError(queue.path, performance.now() - startedMs)
    return new LockFileGuard(name, queue, hold, this.#guards)
  }

  /** Releases every guard (their signals abort) and rejects every waiting request with `TABLE_CLOSED`. Idempotent. */
  close(): Promise<void> {
    this.#isClosed = true
    const reason = this.#closedError()
    // Last come first: who leaves the head of a queue lets the next one in.
    for (const pending of [...this.#pending].reverse()) pending.giveUp(reason)
    for (const guard of this.#guards) guard.close(reason)
    return Promise.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #closedError(): LockError {
    return new LockError('TABLE_CLOSED', `the lock files of ${this.directory} are closed`, { path: this.directory })
  }

  #queue(name: LockFileName): LockFileQueue {
    if (this.#isClosed) throw this.#closedError()
    const path = join(this.directory, lockFilePath(name))
    let queue = queues.get(path)
    if (queue === undefined) {
      const made = new LockFileQueue(this.#native, path, this.#fileMode, () => {
        if (queues.get(path) === made) queues.delete(path)
      })
      queues.set(path, (queue = made))
    }
    return queue
  }

  #try(request: Request, queue: LockFileQueue): LockFileGuard | undefined {
    try {
      const hold = queue.tryEnter(request.exclusive)
      return hold === undefined ? undefined : new LockFileGuard(request.name, queue, hold, this.#guards)
    } catch (error) {
      throw refusal(error, queue.path)
    }
  }
}

function openingError(cause: unknown, path: string): LockError {
  if (cause instanceof LockError) return cause
  const errno = (cause as NodeJS.ErrnoException).code
  if (errno === 'ENOENT') return new LockError('TABLE_MISSING', `there is no directory ${path}`, { path, cause })
  if (errno === 'EEXIST' || errno === 'ENOTDIR') return new LockError('TABLE_FOREIGN', `${path} is not a directory`, { path, cause })
  return refusal(cause, path)
}

function checkRequest(name: LockFileName, options: LockFileOptions | undefined, known: readonly (keyof LockFileOptions)[]): Request {
  const isBytes = name instanceof Uint8Array
  if (!isBytes && typeof name !== 'string') throw new TypeError('name must be a string or a Uint8Array')
  if (name.length === 0 || name.length > NAME_LIMIT) throw new RangeError(`name must have 1 to ${NAME_LIMIT} ${isBytes ? 'bytes' : 'code units'}, not ${name.length}`)
  const { mode, timeoutMs, signal } = checkOptions<LockFileOptions>(options, known, 'options')
  return {
    name,
    exclusive: mode === undefined || checkOneOf(mode, ['exclusive', 'shared'], 'options.mode') === 'exclusive',
    timeoutMs: timeoutMs === undefined ? -1 : checkTimeoutMs(timeoutMs, 'options.timeoutMs'),
    signal: signal === undefined ? undefined : checkSignal(signal, 'options.signal'),
  }
}
