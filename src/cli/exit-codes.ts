/**
 * exit-codes.ts: what the command's exit statuses mean. Those above 63 are sysexits.h's, as flock(1) uses them.
 */
import { LockError } from '../index.js'

export const EXIT = {
  OK: 0,
  /** The lock is held by somebody else, or the time was up (option --conflict-exit-code of `run` changes it). */
  CONFLICT: 1,
  /** Wrong arguments. */
  USAGE: 64,
  /** The table is missing, damaged, foreign, removed. */
  TABLE: 66,
  /** The command could not be started. */
  COMMAND: 69,
  /** A defect of this program. */
  SOFTWARE: 70,
  /** The table could not be made. */
  CREATE: 73,
  /** The command ended well, but the lock was lost while it ran. */
  LOST: 75,
} as const

export const EXIT_HELP = `
Exit status:
   0   done; of run: the command's own status (128 + n if signal n ended it)
   1   run: somebody else holds the lock, or the time was up (--conflict-exit-code)
  64   wrong arguments
  66   the table is missing, damaged, foreign or in use
  69   run: the command could not be started
  70   a defect of this program
  73   the table could not be made
  75   run: the command ended well, but the lock was lost while it ran
`

/** The status for an error that ends the program. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof LockError) {
    if (error.code === 'LOCK_TIMEOUT') return EXIT.CONFLICT
    return error.code === 'TABLE_EXISTS' || error.code === 'TABLE_NO_SPACE' || error.code === 'TABLE_NOT_TMPFS' ? EXIT.CREATE : EXIT.TABLE
  }
  if (error instanceof TypeError || error instanceof RangeError) return EXIT.USAGE
  return EXIT.SOFTWARE
}
