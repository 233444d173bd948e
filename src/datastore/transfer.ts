/**
 * transfer.ts: what the high-level functions are asked and what they report.
 */
import type { Readable, Writable } from 'node:stream'
import { checkOptions, checkSignal, checkTimeoutMs } from '../check.js'
import { CryptKey } from './crypt.js'
import type { ManifestFile } from './manifest.js'
import type { SnapshotName } from './names.js'

export interface Progress {
  /** `list`: nothing was read yet. `finish`: everything is written, and is made durable. */
  readonly phase: 'list' | 'data' | 'finish'
  /** Plain bytes so far, holes and `skippedBytes` included. */
  readonly bytesRead: number
  /** Of `bytesRead`: what was not read, as it has not changed since the previous snapshot. */
  readonly skippedBytes: number
  /** Of all sources; undefined: not known, or not yet. */
  readonly totalBytes: number | undefined
  /** Of new chunks, as they are stored. */
  readonly bytesStored: number
  readonly chunks: number
  /** Chunks that need not be stored. */
  readonly reusedChunks: number
  /** In a directory: what is at work on now, about. */
  readonly path?: string | undefined
}

export interface TransferOptions {
  readonly key?: CryptKey | undefined
  readonly signal?: AbortSignal | undefined
  /** Called at most about ten times a second, and at each change of the phase. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** What is backed up. `name` is the archive's, without the store's own extension. */
export type Source =
  /** A file or block device, in blocks of 4 MiB; holes are not read. */
  | { readonly kind: 'image'; readonly name: string; readonly path: string }
  | { readonly kind: 'stream'; readonly name: string; readonly stream: Readable }
  /**
   * As a pax tar stream; `name` ends with .tar. `exclude`: globs; one without a slash is of names at any depth, another one of paths below
   * the directory; one with a slash at its end is of directories only. `oneFileSystem`: what is mounted in it is left out; default false.
   */
  | { readonly kind: 'directory'; readonly name: string; readonly path: string; readonly exclude?: readonly string[] | undefined; readonly oneFileSystem?: boolean | undefined }
  /** A small file, at most MAX_BLOB_BYTES. */
  | { readonly kind: 'blob'; readonly name: string; readonly path: string }

export interface BackupOptions extends TransferOptions {
  /** `user@realm` or `user@realm!token`. */
  readonly owner: string
  /** Of the snapshot, whole seconds since 1970. Default: now, or the second after the latest snapshot. */
  readonly time?: number | undefined
  /** Milliseconds to wait for the group's lock. Default 0: fail at once. */
  readonly waitMs?: number | undefined
  /** With the key, sign only. Default false: encrypt and sign. */
  readonly sign?: boolean | undefined
  /**
   * How to tell what has not changed since the group's previous snapshot. `metadata`, the default: of directories and images that are files, by
   * path, type, mode, owner, size, holes, times of change, inode; what is the same is not read. `data`: everything is read. What `metadata` cannot see: catalogue.ts.
   */
  readonly changeDetection?: 'metadata' | 'data' | undefined
  readonly notes?: string | undefined
}

export interface BackupReport {
  readonly snapshot: SnapshotName
  /** As in the manifest: catalogues too, `….catalog.blob`. */
  readonly files: readonly ManifestFile[]
  /** Plain bytes, holes and `skippedBytes` included. */
  readonly bytesRead: number
  /** Of `bytesRead`: what was not read, as it has not changed since the previous snapshot. */
  readonly skippedBytes: number
  readonly bytesStored: number
  readonly chunks: number
  readonly reusedChunks: number
  readonly seconds: number
  /** What could not be read, or changed while it was read: a path and why, each. */
  readonly warnings: readonly string[]
  /** Why an archive was read as a whole although the previous snapshot has it. */
  readonly remarks: readonly string[]
}

export type Target =
  /** A file, which is replaced when all of it is there; or a device. */
  | { readonly kind: 'file'; readonly path: string }
  /** It is not ended. */
  | { readonly kind: 'stream'; readonly stream: Writable }
  /** For a tar archive: new or empty. */
  | { readonly kind: 'directory'; readonly path: string }

export interface RestoreReport {
  readonly bytes: number
  /** Of a directory: files, directories and the like. */
  readonly files?: number | undefined
  readonly seconds: number
  /** What could not be restored as it was. */
  readonly warnings: readonly string[]
}

export const TRANSFER_KEYS = ['key', 'signal', 'onProgress'] as const

export function checkTransfer<T extends TransferOptions>(options: T, known: readonly (keyof T & string)[]): T {
  checkOptions(options, known, 'options')
  if (options.signal !== undefined) checkSignal(options.signal, 'options.signal')
  if (options.key !== undefined && !(options.key instanceof CryptKey)) throw new TypeError('options.key must be a CryptKey')
  if (options.onProgress !== undefined && typeof options.onProgress !== 'function') throw new TypeError('options.onProgress must be a function')
  const { waitMs } = options as { readonly waitMs?: unknown }
  if (waitMs !== undefined) checkTimeoutMs(waitMs, 'options.waitMs')
  return options
}
