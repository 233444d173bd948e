/**
 * flock.ts: locks as lock files: a directory on tmpfs, one file a name, flock(2), double stat against removal.
 *
 * What Proxmox Backup Server does, and compatible with it: same file names (escape.ts), same lock call, same check after it.
 * The fallback where a lock table cannot be used, and the other half of a migration. The steps are in flock-queue.ts.
 *
 * A guard is the lock table's, with what flock cannot know left undefined: whether the previous holder died, and how often the
 * lock was taken. A holder's death frees the lock once all its threads have ended, as in the table.
 */
import { mkdir, realpath, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { checkBoolean, checkInteger, checkOptions, checkPath } from '../check.js'
import { LockError } from '../errors.js'
import { lockFilePath, type LockFileName } from './escape.js'
import { LockFileGuard } from './flock-guard.js'
import { LockFileQueue, refusal, type FileHold, type NativeLockfile } from './flock-queue.js'
import { abortedError, checkRequest, PendingLockFile, timeoutError } from './flock-request.js'
import type { LockFileOptions, LockFileRequest, LockFileSyncOptions, TryLockFileOptions } from './flock-request.js'
import { loadNative } from './native.js'

export interface LockFilesOptions {
  /** Make the directory (0755) and its parents if they are missing. Default: true. */
  readonly create?: boolean | undefined
  /** Refuse a directory that is not on tmpfs. Default: true. */
  readonly requireTmpfs?: boolean | undefined
  /** Permissions of new lock files, 0 … 0o777, reduced by the umask. Default: 0o660. */
  readonly fileMode?: number | undefined
}

const TMPFS_MAGIC = 0x01021994
const WRITABLE_BY_EVERYBODY = 0o002

/** The queues of this thread by path, whichever LockFiles they came through: they are the same files. */
const queues = new Map<string, LockFileQueue>()

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
  readonly #pending = new Set<PendingLockFile>()
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
      const pending = new PendingLockFile(request, queue, (outcome) => {
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

  #try(request: LockFileRequest, queue: LockFileQueue): LockFileGuard | undefined {
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
