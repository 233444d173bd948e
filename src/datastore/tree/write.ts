/**
 * write.ts: files of a tree that is restored, many at once, from shared memory. Runs in a thread of the pool.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, constants, fchmodSync, fchownSync, fstatSync, ftruncateSync, openSync, unlinkSync } from 'node:fs'
import { makeFiles, setTime } from '../file-calls.js'
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

/** What a file gets from the system when it is made: to set what it has already takes two calls of six. */
export interface Natural {
  readonly uid: number
  readonly gid: number
  /** Bits of a mode that are not taken away. */
  readonly bits: number
}

/**
 * Names are byte strings. Numbers and names stand in one thing each, because a thread is sent two large things faster than many small ones.
 */
export interface WriteJob {
  readonly kind: 'write'
  readonly buffer: SharedArrayBuffer
  readonly root: string
  readonly natural: Natural
  /** Of files that are made, below the root, with a NUL between. */
  readonly names: string
  /** Seven for each name, from, to, mode, uid, gid, seconds, nanoseconds: where its bytes are and what it gets; uid -1: no owner. */
  readonly files: Float64Array
  /** PIECE_FIELDS for each: of files that are open. */
  readonly pieces: Float64Array
}

/** fd, from, to, offset */
export const PIECE_FIELDS = 4

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/** A new file, for its owner alone until it has its attributes. */
export function createFile(path: string, mode = 0o600): number {
  return openSync(onDisk(path), CREATE, mode)
}

/** Looks at a file that is made and removed again. What it gets depends on the directory: its group, its default ACL, the file system. */
export function findNatural(directory: string): Natural {
  const path = `${directory}/.${randomBytes(8).toString('hex')}`
  const fd = createFile(path, 0o777)
  try {
    const { uid, gid, mode } = fstatSync(fd)
    return { uid, gid, bits: mode & 0o777 }
  } finally {
    closeSync(fd)
    unlinkSync(onDisk(path))
  }
}

/** Of an open file, when it has its contents. */
export function setAttributes(fd: number, mode: number, uid: number, gid: number, seconds: number, nanoseconds: number): void {
  if (uid >= 0) fchownSync(fd, uid, gid)
  fchmodSync(fd, mode) // after the owner, which takes away setuid
  setTime(fd, { seconds, nanoseconds })
}

export function writeFiles({ buffer, root, natural, names, files, pieces }: WriteJob): void {
  const bytes = Buffer.from(buffer)
  for (let i = 0; i < pieces.length; i += PIECE_FIELDS) writeFully(pieces[i]!, bytes, pieces[i + 3]!, pieces[i + 1]!, pieces[i + 2]!)
  if (files.length > 0) makeFiles(bytes, onDisk(root), Buffer.from(names, 'latin1'), files, Float64Array.of(natural.uid, natural.gid, natural.bits))
}

/** Of holes at its end, too. */
export function setLength(fd: number, length: number): void {
  ftruncateSync(fd, length)
}
