/**
 * errors.ts: what the datastore refuses, as a line and an exit status.
 */
import { DatastoreError, type DatastoreErrorCode, FileError } from '../../datastore/index.js'
import { EXIT, Refusal, UsageError } from '../exit-codes.js'

/** What is not here is damage: FORMAT_…, CHUNK_…, and the like. */
const STATUS_OF: Partial<Readonly<Record<DatastoreErrorCode, number>>> = {
  KEY_MISSING: EXIT.PERMISSION,
  KEY_WRONG: EXIT.PERMISSION,
  KEY_PASSPHRASE: EXIT.PERMISSION,
  OWNER_WRONG: EXIT.PERMISSION,
  ZSTD_MISSING: EXIT.SYSTEM,
  DATASTORE_MISSING: EXIT.MISSING,
  DATASTORE_EXISTS: EXIT.CREATE,
  DATASTORE_CLOSED: EXIT.SOFTWARE,
  DATASTORE_NO_SPACE: EXIT.IO,
  DATASTORE_IO: EXIT.IO,
  LOCK_BUSY: EXIT.BUSY,
  NAMESPACE_MISSING: EXIT.ABSENT,
  NAMESPACE_EXISTS: EXIT.CREATE,
  NAMESPACE_NOT_EMPTY: EXIT.CREATE,
  GROUP_MISSING: EXIT.ABSENT,
  SNAPSHOT_MISSING: EXIT.ABSENT,
  SNAPSHOT_TOO_OLD: EXIT.CREATE,
  ARCHIVE_MISSING: EXIT.ABSENT,
  SESSION_LOST: EXIT.LOST,
  SOURCE_WRONG: EXIT.USAGE,
  SOURCE_IO: EXIT.IO,
  SOURCE_CHANGED: EXIT.IO,
  TARGET_IO: EXIT.IO,
  TARGET_TOO_SMALL: EXIT.IO,
  TARGET_NOT_EMPTY: EXIT.CREATE,
}

const DENIED: readonly unknown[] = ['EACCES', 'EPERM', 'EROFS']
const ABSENT: readonly unknown[] = ['ENOENT', 'ENOTDIR']

function statusOf(error: DatastoreError): number {
  const errno = error instanceof FileError ? error.errno : (error.cause as NodeJS.ErrnoException | undefined)?.code
  if (DENIED.includes(errno)) return EXIT.PERMISSION
  if (ABSENT.includes(errno) && STATUS_OF[error.code] === EXIT.IO) return EXIT.MISSING
  return STATUS_OF[error.code] ?? EXIT.DATA
}

/** A command's action, the datastore's refusals turned into those of the command line. */
export function told<A extends unknown[]>(action: (...args: A) => Promise<void>): (...args: A) => Promise<void> {
  return async (...args) => {
    try {
      await action(...args)
    } catch (error) {
      if (!(error instanceof DatastoreError)) throw error
      throw Object.assign(new Refusal(inWordsOfOptions(error), statusOf(error)), { cause: error, stack: error.stack })
    }
  }
}

function inWordsOfOptions({ code, message }: DatastoreError): string {
  if (code === 'KEY_MISSING') return `${message}: name its file by --keyfile or $LOCKTABLE_KEYFILE`
  if (code === 'DATASTORE_MISSING') return `${message} (locktable store init makes one)`
  return message
}

/** For what was typed: the library calls it a RangeError. */
export function typed<T>(action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error
  }
}
