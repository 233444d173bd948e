/**
 * errors.ts: what can go wrong with a datastore. Codes are stable, messages are not.
 *
 * As in the lock half, a programmer's mistake is a TypeError or RangeError without a code of ours (check.ts); everything here is an
 * outcome that a correct program may meet.
 */

export type FormatErrorCode =
  | 'FORMAT_TRUNCATED' // the bytes end before what must be there
  | 'FORMAT_MAGIC' // the first eight bytes are of another kind of file, or of none
  | 'FORMAT_LENGTH' // the length contradicts the header, or is no multiple of an entry
  | 'FORMAT_VALUE' // a field has a value that it cannot have
  | 'FORMAT_CHECKSUM' // the checksum is another one than that of the bytes
  | 'FORMAT_TOO_LARGE' // more plain bytes than allowed; nothing of that size was allocated
  | 'FORMAT_COMPRESSION' // no well-formed zstd data
  | 'FORMAT_JSON' // no JSON, or not of the form that the file must have

export type KeyErrorCode =
  | 'KEY_MISSING' // encrypted, and no key was given
  | 'KEY_WRONG' // another key than the one it was encrypted or signed with, or damaged beyond the checksum
  | 'KEY_PASSPHRASE' // the key file is protected and the passphrase is missing or wrong
  | 'SIGNATURE_WRONG' // the manifest was changed after it was signed

/** Neither Node nor a package has zstd for this machine. */
export type EngineErrorCode = 'ZSTD_MISSING'

export type StoreErrorCode =
  | 'DATASTORE_MISSING' // there is no datastore
  | 'DATASTORE_EXISTS' // a new one needs an empty directory
  | 'DATASTORE_CLOSED' // close() was called
  | 'DATASTORE_NO_SPACE' // the file system is full, or a quota is
  | 'DATASTORE_IO' // any other refusal of the operating system; see FileError
  | 'LOCK_BUSY' // somebody is in the way: BusyError says who
  | 'NAMESPACE_MISSING'
  | 'NAMESPACE_EXISTS'
  | 'NAMESPACE_NOT_EMPTY'
  | 'GROUP_MISSING'
  | 'OWNER_WRONG' // the group belongs to somebody else, or to nobody although it has backups
  | 'SNAPSHOT_MISSING' // not there, or without a manifest and so not finished
  | 'SNAPSHOT_TOO_OLD' // a backup must be later than all finished ones of its group
  | 'ARCHIVE_MISSING' // the snapshot has no such archive
  | 'ARCHIVE_EXISTS' // the session has one of that name
  | 'ARCHIVE_DAMAGED' // an archive is not what the manifest says
  | 'CHUNK_MISSING' // no such chunk in the store
  | 'CHUNK_UNKNOWN' // neither uploaded in this session nor part of the previous snapshot
  | 'CHUNK_CONFLICT' // another chunk of that digest is there, which must not be replaced
  | 'CHUNK_DAMAGED' // not the bytes that the digest was made of
  | 'INDEX_WRONG' // a chunk that does not fit into its index, or an index that is not what the client says
  | 'MANIFEST_WRONG' // the manifest is of another snapshot, or does not list what was written
  | 'SESSION_ENDED' // finished or aborted before
  | 'SESSION_INCOMPLETE' // an archive is still being written, or there is none
  | 'SESSION_LOST' // the session's locks were broken by force
  | 'GUARD_INVALID' // the manifest's guard was released, lost, or is of another snapshot

export type SourceErrorCode =
  | 'SOURCE_IO' // what is to be backed up cannot be read
  | 'SOURCE_WRONG' // it cannot be backed up in that way: an empty image, a blob too large, a directory that is none
  | 'TARGET_IO' // the place to restore to cannot be written
  | 'TARGET_TOO_SMALL' // a device with fewer bytes than the archive; nothing was written
  | 'TARGET_NOT_EMPTY' // a tree is restored into an empty directory
  | 'SOURCE_CHANGED' // what is backed up was made shorter while it was read

/** The other parts of the datastore add theirs here. */
export type DatastoreErrorCode = FormatErrorCode | KeyErrorCode | EngineErrorCode | StoreErrorCode | SourceErrorCode

export interface DatastoreErrorDetails {
  readonly cause?: unknown
  /** The file, or whatever the caller named as the place. */
  readonly path?: string | undefined
}

/** Every expected failure of the datastore. Test `code`, never the message. */
export class DatastoreError extends Error {
  override readonly name: string = 'DatastoreError'
  readonly code: DatastoreErrorCode
  readonly path: string | undefined

  constructor(code: DatastoreErrorCode, message: string, details: DatastoreErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.code = code
    this.path = details.path
  }
}

export interface FormatErrorDetails {
  readonly path: string
  /** Bytes from the start of the file (of the decoded text for JSON) to what is wrong. */
  readonly offset: number
  /** What should be there, in words. */
  readonly expected: string
  /** What is there instead, in words. */
  readonly found?: string | undefined
  readonly cause?: unknown
}

/** `FORMAT_…`: a file is not what it must be. Says in which file, where in it, and what was expected there. */
export class FormatError extends DatastoreError {
  override readonly name: string = 'FormatError'
  override readonly path: string
  readonly offset: number
  readonly expected: string

  constructor(code: FormatErrorCode, details: FormatErrorDetails) {
    const found = details.found === undefined ? '' : `, found ${details.found}`
    super(code, `${details.path}, byte ${details.offset}: expected ${details.expected}${found}`, details)
    this.path = details.path
    this.offset = details.offset
    this.expected = details.expected
  }
}
