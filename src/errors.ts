/**
 * errors.ts: the error family. Codes are stable, messages are not.
 *
 * Programmer mistakes are TypeError or RangeError without a code of ours (check.ts); everything here is an outcome that
 * a correct program may meet.
 */

export type LockErrorCode =
  | 'LOCK_TIMEOUT' // the time was up; waitedMs, holderPids
  | 'LOCK_ABORTED' // the caller's AbortSignal fired while waiting; cause is its reason
  | 'LOCK_LOST' // this participant was evicted, or the hold was stolen
  | 'LOCK_DEADLOCK' // the request could never be granted: its own task or thread holds the slot
  | 'LOCK_ORDER' // the request breaks the rank order of the spaces
  | 'TABLE_CLOSED' // close() was called
  | 'TABLE_GONE' // the file was removed or replaced under us
  | 'TABLE_FULL' // 127 participants
  | 'TABLE_BUSY' // removal refused: participants live; or a removal is under way
  | 'TABLE_EXISTS' // exclusive creation of a file that is there
  | 'TABLE_MISSING' // no such file and create: false
  | 'TABLE_FOREIGN' // not a lock table: no magic, not a regular file, a symlink
  | 'TABLE_LAYOUT' // a lock table of another layout, endianness or with other spaces
  | 'TABLE_DAMAGED' // header and size contradict each other
  | 'TABLE_STALE' // made before the machine's last boot
  | 'TABLE_NOT_TMPFS' // the file system is no tmpfs
  | 'TABLE_UNTRUSTED' // wrong owner, or writable by everybody
  | 'TABLE_NO_SPACE' // the file system is full
  | 'TABLE_IO' // any other refusal of the operating system; cause has errno
  | 'NATIVE_MISSING' // the addon could not be loaded

export interface LockErrorDetails {
  readonly cause?: unknown
  /** The table's or lock file's path. */
  readonly path?: string | undefined
  /** Milliseconds from the call to the error. */
  readonly waitedMs?: number | undefined
  /** Process ids that held the slot when the error was made, best effort. */
  readonly holderPids?: readonly number[] | undefined
}

/** Every expected failure of the lock half. Test `code`, never the message. */
export class LockError extends Error {
  override readonly name: string = 'LockError'
  readonly code: LockErrorCode
  readonly path: string | undefined
  readonly waitedMs: number | undefined
  readonly holderPids: readonly number[] | undefined

  constructor(code: LockErrorCode, message: string, details: LockErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.code = code
    this.path = details.path
    this.waitedMs = details.waitedMs
    this.holderPids = details.holderPids
  }
}

/** `LOCK_TIMEOUT`: with `waitedMs` and `holderPids`. */
export class LockTimeoutError extends LockError {
  override readonly name: string = 'LockTimeoutError'
  constructor(message: string, details: LockErrorDetails) {
    super('LOCK_TIMEOUT', message, details)
  }
}

/** `LOCK_ABORTED`: `cause` is the signal's reason. */
export class LockAbortedError extends LockError {
  override readonly name: string = 'LockAbortedError'
  constructor(message: string, details: LockErrorDetails) {
    super('LOCK_ABORTED', message, details)
  }
}
