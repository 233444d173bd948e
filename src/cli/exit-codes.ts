/**
 * exit-codes.ts: what the command's exit statuses mean. 64 to 78 are those of sysexits.h, as flock(1) uses them.
 */
import { LockError, type LockErrorCode } from '../index.js'

export const EXIT = {
  OK: 0,
  /** The lock is held by somebody else, or the time was up (option --conflict-exit-code of `run` changes it). Also: declined, disproved. */
  CONFLICT: 1,
  /** `store backup`, `store restore`: done, but for some files. */
  WARNINGS: 3,
  /** Wrong arguments. */
  USAGE: 64,
  /** The file is no table that this version can use. */
  DATA: 65,
  /** There is no table, or no such input. */
  MISSING: 66,
  /** The datastore has no such namespace, group, snapshot or archive. */
  ABSENT: 67,
  /** The command could not be started. */
  COMMAND: 69,
  /** A defect of this program. */
  SOFTWARE: 70,
  /** No addon for this machine. */
  SYSTEM: 71,
  /** The table could not be made. */
  CREATE: 73,
  /** The operating system refused. */
  IO: 74,
  /** In use or full: later it may work. */
  BUSY: 75,
  /** The lock was lost while the command ran. */
  LOST: 76,
  /** Not allowed, or not to be trusted. */
  PERMISSION: 77,
  /** `run --fail-abandoned`: the last holder died. */
  ABANDONED: 79,
} as const

const MEANINGS: ReadonlyMap<number, string> = new Map([
  [EXIT.OK, 'done'],
  [EXIT.CONFLICT, 'a conflict: somebody else has the lock, or the time was up (see -E)'],
  [EXIT.WARNINGS, 'done, but not with all files: each is named on stderr'],
  [EXIT.USAGE, 'wrong arguments'],
  [EXIT.DATA, 'the file is no lock table, or a damaged or outdated one'],
  [EXIT.MISSING, 'there is no table'],
  [EXIT.ABSENT, 'no such namespace, group, snapshot or archive'],
  [EXIT.COMMAND, 'the command could not be started'],
  [EXIT.SOFTWARE, 'a defect of this program'],
  [EXIT.SYSTEM, 'no native addon for this machine'],
  [EXIT.CREATE, 'the table cannot be made: it exists, no room, or not in memory'],
  [EXIT.IO, 'the operating system refused'],
  [EXIT.BUSY, 'the table has no room for another participant'],
  [EXIT.LOST, 'the lock was lost: evicted by somebody, or the table removed'],
  [EXIT.PERMISSION, 'not allowed, or a table of somebody who is not trusted'],
  [EXIT.ABANDONED, 'the last holder died (--fail-abandoned)'],
])

/** Of any command that opens a table. */
const OPENING = [EXIT.USAGE, EXIT.DATA, EXIT.MISSING, EXIT.SOFTWARE, EXIT.SYSTEM, EXIT.IO, EXIT.BUSY, EXIT.PERMISSION] as const

/**
 * The last part of a command's help.
 * @param own  what the command returns beside what any does; a text replaces the general one
 */
export function exitHelp(own: Readonly<Partial<Record<number, string | true>>> = {}): string {
  const codes = [...new Set([EXIT.OK, ...OPENING, ...Object.keys(own).map(Number)])].sort((a, b) => a - b)
  const lines = codes.map(code => {
    const text = own[code]
    return `  ${String(code).padStart(3)}  ${typeof text === 'string' ? text : MEANINGS.get(code) ?? ''}`
  })
  return `\nExit status:\n${lines.join('\n')}\n`
}

const STATUS_OF: Readonly<Record<LockErrorCode, number>> = {
  LOCK_TIMEOUT: EXIT.CONFLICT,
  LOCK_ABORTED: EXIT.CONFLICT,
  LOCK_LOST: EXIT.LOST,
  LOCK_DEADLOCK: EXIT.SOFTWARE,
  LOCK_ORDER: EXIT.SOFTWARE,
  TABLE_CLOSED: EXIT.SOFTWARE,
  TABLE_GONE: EXIT.LOST,
  TABLE_FULL: EXIT.BUSY,
  TABLE_BUSY: EXIT.BUSY,
  TABLE_EXISTS: EXIT.CREATE,
  TABLE_MISSING: EXIT.MISSING,
  TABLE_FOREIGN: EXIT.DATA,
  TABLE_LAYOUT: EXIT.DATA,
  TABLE_DAMAGED: EXIT.DATA,
  TABLE_STALE: EXIT.DATA,
  TABLE_NOT_TMPFS: EXIT.CREATE,
  TABLE_UNTRUSTED: EXIT.PERMISSION,
  TABLE_NO_SPACE: EXIT.CREATE,
  TABLE_IO: EXIT.IO,
  NATIVE_MISSING: EXIT.SYSTEM,
}

/** A mistake of the user: one line, status 64. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What the user asked for is refused, with a status of its own. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  constructor(message: string, status: number) {
    super(message)
    this.status = status
  }
}

/** The status for an error that ends the program. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.USAGE
  if (error instanceof Refusal) return error.status
  const errno = errnoOf(error instanceof LockError ? error.cause : error)
  if (error instanceof LockError) return error.code === 'TABLE_IO' && isDenied(errno) ? EXIT.PERMISSION : STATUS_OF[error.code]
  if (errno === undefined) return EXIT.SOFTWARE
  if (isDenied(errno)) return EXIT.PERMISSION
  return errno === 'ENOENT' || errno === 'ENOTDIR' ? EXIT.MISSING : EXIT.IO
}

/** The line for an error that ends the program. */
export function messageOf(error: unknown): string {
  if (error instanceof LockError) return inWordsOfOptions(error)
  if (!(error instanceof Error)) return String(error)
  return exitCodeOf(error) === EXIT.SOFTWARE ? `${error.name}: ${error.message} (a defect; LOCKTABLE_DEBUG=1 shows where)` : error.message
}

/** The library's advice names its own options; ours are called otherwise. */
function inWordsOfOptions(error: LockError): string {
  return error.message
    .replace('option requireTmpfs: false accepts other file systems', 'choose another place by --table, for instance in /dev/shm, or accept it by --allow-any-file-system')
    .replace('option ownerUid accepts one user', 'accept one user by --trust-owner')
}

function isDenied(errno: string | undefined): boolean {
  return errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS'
}

/** The operating system's own code, if it is one of its errors. */
function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined
}
