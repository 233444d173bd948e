/**
 * lock-options.ts: what a request for a lock may say, and its checks.
 */
import { checkOneOf, checkSignal, checkTimeoutMs } from '../check.js'
import type { LockMode, TableGuard } from './guard.js'
import { MODE_EXCLUSIVE, MODE_SHARED } from './layout.js'

export interface TryLockOptions {
  /** Default `'exclusive'`. */
  readonly mode?: LockMode | undefined
  /**
   * Guards that the calling task holds. The request is refused if it can never be granted beside them (`LOCK_DEADLOCK`) or comes out
   * of the rank order of the spaces (`LOCK_ORDER`).
   */
  readonly holding?: readonly TableGuard[] | undefined
}

export interface LockSyncOptions extends TryLockOptions {
  /** Milliseconds, 0 to 2^31-1, on the monotonic clock, from the call; 0 tries once. Default: no limit. */
  readonly timeoutMs?: number | undefined
}

export interface LockOptions extends LockSyncOptions {
  /** Ends the wait with LockAbortedError (`LOCK_ABORTED`, `cause` is the reason). Does not end a hold. */
  readonly signal?: AbortSignal | undefined
}

export interface ParsedOptions {
  /** MODE_… */
  readonly mode: number
  /** Infinity: no limit. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

const MODES = ['exclusive', 'shared'] as const
export const NO_OPTIONS: ParsedOptions = { mode: MODE_EXCLUSIVE, timeoutMs: Infinity, signal: undefined }

export const TRY_KEYS: ReadonlySet<string> = new Set<keyof TryLockOptions>(['mode', 'holding'])
export const SYNC_KEYS: ReadonlySet<string> = new Set<keyof LockSyncOptions>(['mode', 'holding', 'timeoutMs'])
export const LOCK_KEYS: ReadonlySet<string> = new Set<keyof LockOptions>(['mode', 'holding', 'timeoutMs', 'signal'])

/** MODE_…, after a check of the options' names. */
export function parseMode(options: TryLockOptions, known: ReadonlySet<string>): number {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object')
  for (const key in options) {
    if (key !== 'mode' && !known.has(key)) throw new TypeError(`options has no option "${key}" (known: ${[...known].join(', ')})`)
  }
  const { mode } = options
  if (mode !== undefined) checkOneOf(mode, MODES, 'options.mode')
  return mode === 'shared' ? MODE_SHARED : MODE_EXCLUSIVE
}

export function parseOptions(options: LockOptions, known: ReadonlySet<string>): ParsedOptions {
  const mode = parseMode(options, known)
  const { timeoutMs, signal } = options
  return {
    mode,
    timeoutMs: timeoutMs === undefined || timeoutMs === Infinity ? Infinity : checkTimeoutMs(timeoutMs, 'options.timeoutMs'),
    signal: signal === undefined ? undefined : checkSignal(signal, 'options.signal'),
  }
}
