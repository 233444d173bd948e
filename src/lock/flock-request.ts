/** flock-request.ts: what a request for a lock file may say, and one that waits: its clock, its signal, its errors. */
import { readFileSync, statSync } from 'node:fs'
import { checkOneOf, checkOptions, checkSignal, checkTimeoutMs } from '../check.js'
import { LockAbortedError, type LockError, LockTimeoutError } from '../errors.js'
import type { LockFileName } from './escape.js'
import type { FileHold, FileWaiter, LockFileQueue } from './flock-queue.js'
import { NAME_LIMIT } from './hash.js'

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

export interface LockFileRequest {
  readonly name: LockFileName
  readonly exclusive: boolean
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

export function checkRequest(name: LockFileName, options: LockFileOptions | undefined, known: readonly (keyof LockFileOptions)[]): LockFileRequest {
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

export function timeoutError(path: string, waitedMs: number): LockTimeoutError {
  const pids = holderPids(path)
  const holders = pids.length === 0 ? '' : `, held by process ${pids.join(', ')}`
  return new LockTimeoutError(`no lock on ${path} within ${Math.round(waitedMs)} ms${holders}`, { path, waitedMs, holderPids: pids })
}

export function abortedError(signal: AbortSignal | undefined, path: string, waitedMs: number): LockAbortedError {
  return new LockAbortedError(`the wait for ${path} was aborted`, { path, waitedMs, cause: signal?.reason })
}

/** A request in the queue, with its clock and its signal. */
export class PendingLockFile implements FileWaiter {
  readonly exclusive: boolean
  readonly #queue: LockFileQueue
  readonly #signal: AbortSignal | undefined
  readonly #timeoutMs: number
  readonly #settle: (outcome: FileHold | LockError) => void
  readonly #startedMs = performance.now()
  #timer: NodeJS.Timeout | undefined
  #isSettled = false

  constructor(request: LockFileRequest, queue: LockFileQueue, settle: (outcome: FileHold | LockError) => void) {
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
