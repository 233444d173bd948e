/**
 * write.ts: files of a tree that is restored, many at once. Runs in a thread of the pool.
 */
import { closeSync, constants, fchmodSync, fchownSync, ftruncateSync, openSync } from 'node:fs'
import { setTime } from '../file-calls.js'
import { writeFully } from '../pipeline/sparse.js'
import { onDisk } from './byte-path.js'
import type { FileTime } from './tar-header.js'

/** What a file gets when it is complete. */
export interface Attributes {
  readonly mode: number
  /** Undefined: whoever restores it, who may not give files away. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined
  readonly time: FileTime
}

export interface FileToWrite {
  /** A byte string. */
  readonly path: string
  /** Makes the file, of this size; undefined: a part of one that was made by an earlier job. */
  readonly create: number | undefined
  /** Where in the job's memory the bytes are, and where in the file they belong. */
  readonly pieces: readonly { readonly from: number; readonly to: number; readonly offset: number }[]
  /** Undefined: it gets them later. */
  readonly attributes: Attributes | undefined
}

export interface WriteJob {
  readonly kind: 'write'
  readonly buffer: SharedArrayBuffer
  readonly files: readonly FileToWrite[]
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

export function writeFiles({ buffer, files }: WriteJob): void {
  const bytes = Buffer.from(buffer)
  for (const { path, create, pieces, attributes } of files) {
    const fd = openSync(onDisk(path), create === undefined ? constants.O_WRONLY | constants.O_NOFOLLOW : CREATE, 0o600)
    try {
      if (create !== undefined && pieces.reduce((end, { offset, from, to }) => Math.max(end, offset + to - from), 0) !== create) ftruncateSync(fd, create)
      for (const { from, to, offset } of pieces) writeFully(fd, bytes, offset, from, to)
      if (attributes?.owner !== undefined) fchownSync(fd, attributes.owner.uid, attributes.owner.gid)
      if (attributes !== undefined) fchmodSync(fd, attributes.mode) // after the owner, which takes away setuid
    } finally {
      closeSync(fd)
    }
    if (attributes !== undefined) setTime(onDisk(path), attributes.time)
  }
}
