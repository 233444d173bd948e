/**
 * files.ts: the store's only door to the file system. Every call of the store on a file goes through `Files`, so a test can count them, make
 * any one fail, or end the process at it.
 *
 * What the caller has to expect (a file is missing, or there already) is a result; everything else is a FileError. Nothing here decides
 * anything about a datastore.
 */
import { constants, fchmodSync, fchownSync, lutimes, mkdirSync, type Stats } from 'node:fs'
import { chown, link, lstat, mkdir, open, readdir, rename, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { DatastoreError } from './errors.js'
import { syncFilesystem } from './file-calls.js'

export interface FileInfo {
  readonly kind: 'file' | 'directory' | 'other'
  readonly bytes: number
  readonly device: number
  readonly inode: number
  readonly uid: number
  readonly gid: number
  /** Milliseconds since 1970. */
  readonly accessedMs: number
  readonly modifiedMs: number
}

export interface FileEntry {
  readonly name: string
  readonly kind: 'file' | 'directory' | 'other'
}

export interface Owner {
  readonly uid: number
  readonly gid: number
}

export interface CreateOptions {
  /** To whom the file is to belong; undefined: to us. */
  readonly owner: Owner | undefined
  /** On the disk before the call returns. */
  readonly sync: boolean
}

export interface Files {
  /** The whole file, or its first `maxBytes`. Undefined: there is none. */
  read(path: string, maxBytes?: number): Promise<Buffer | undefined>
  /** Of a symbolic link: of the link. Undefined: there is none. */
  info(path: string): Promise<FileInfo | undefined>
  /** In no order. Undefined: there is no such directory. */
  list(path: string): Promise<readonly FileEntry[] | undefined>
  /** A new file of mode 0644, whatever the umask, with these bytes. A name that is taken is an error. */
  create(path: string, bytes: Uint8Array, options: CreateOptions): Promise<void>
  /** A second name for a file, if that name is free. `impossible`: this file system has no such thing. */
  link(path: string, newPath: string): Promise<'linked' | 'exists' | 'impossible'>
  /** Replaces what is there. */
  rename(path: string, newPath: string): Promise<void>
  /** False: there was none. */
  unlink(path: string): Promise<boolean>
  /** Mode 0777 less the umask. False: it was there. */
  makeDirectory(path: string, owner: Owner | undefined): Promise<boolean>
  /** Many new directories of mode 0750. Synchronous calls, some milliseconds at a time: that is many times faster. */
  makeDirectories(parent: string, names: readonly string[], owner: Owner | undefined): Promise<void>
  /** False: it is gone, or not empty. */
  removeDirectory(path: string): Promise<boolean>
  /** Sets the time of access to now; the time of modification stays (to the microsecond). False: there is none. */
  touch(path: string): Promise<boolean>
  /** What has been renamed, made or removed in the directory is on the disk when this returns. */
  syncDirectory(path: string): Promise<void>
  /** As sync(2), for the one file system that holds the path. */
  syncFilesystem(path: string): Promise<void>
}

/** The operating system refused. `errno` is its word for it, as ENOSPC. */
export class FileError extends DatastoreError {
  override readonly name: string = 'FileError'
  readonly errno: string
  constructor(what: string, path: string, cause: unknown) {
    const errno = errnoOf(cause)
    super(errno === 'ENOSPC' || errno === 'EDQUOT' ? 'DATASTORE_NO_SPACE' : 'DATASTORE_IO', `cannot ${what} ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { path, cause })
    this.errno = errno
  }
}

export function errnoOf(error: unknown): string {
  const code: unknown = (error as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : ''
}

/** `expected` errors become its result, all others a FileError. */
async function call<T, E>(what: string, path: string, action: () => Promise<T>, expected: Readonly<Record<string, E>>): Promise<T | E> {
  try {
    return await action()
  } catch (error) {
    const errno = errnoOf(error)
    if (Object.hasOwn(expected, errno)) return expected[errno] as E
    throw new FileError(what, path, error)
  }
}

const MISSING = { ENOENT: undefined } as const
const FILE_MODE = 0o644
const FAN_OUT_MODE = 0o750
/** Directories made without a pause. */
const BATCH = 256

type Kinds = Pick<Stats, 'isFile' | 'isDirectory'>
const kindOf = (of: Kinds): FileEntry['kind'] => (of.isFile() ? 'file' : of.isDirectory() ? 'directory' : 'other')
const setTimes = promisify(lutimes)

async function readUpTo(path: string, maxBytes: number | undefined): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const { size } = await file.stat()
    const buffer = Buffer.allocUnsafe(Math.min(size, maxBytes ?? size))
    let filled = 0
    while (filled < buffer.length) {
      const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return buffer.subarray(0, filled)
  } finally {
    await file.close()
  }
}

async function createWith(path: string, bytes: Uint8Array, { owner, sync }: CreateOptions): Promise<void> {
  const file = await open(path, 'wx', FILE_MODE)
  try {
    fchmodSync(file.fd, FILE_MODE)
    if (owner !== undefined) fchownSync(file.fd, owner.uid, owner.gid)
    let written = 0
    while (written < bytes.length) written += (await file.write(bytes, written)).bytesWritten
    if (sync) await file.datasync()
  } finally {
    await file.close()
  }
}

async function syncOne(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

async function makeMany(parent: string, names: readonly string[], owner: Owner | undefined): Promise<void> {
  for (const [index, name] of names.entries()) {
    const path = join(parent, name)
    mkdirSync(path, FAN_OUT_MODE)
    if (owner !== undefined) await chown(path, owner.uid, owner.gid)
    if (index % BATCH === BATCH - 1) await nextTurn()
  }
}

/** The real thing. */
export const systemFiles: Files = {
  read: (path, maxBytes) => call('read', path, () => readUpTo(path, maxBytes), MISSING),
  info: path => call('look at', path, async () => {
    const found = await lstat(path)
    const { size: bytes, dev: device, ino: inode, uid, gid, atimeMs: accessedMs, mtimeMs: modifiedMs } = found
    return { kind: kindOf(found), bytes, device, inode, uid, gid, accessedMs, modifiedMs }
  }, MISSING),
  list: path => call('list', path, async () => (await readdir(path, { withFileTypes: true })).map(entry => ({ name: entry.name, kind: kindOf(entry) })), MISSING),
  create: (path, bytes, options) => call('create', path, () => createWith(path, bytes, options), {}),
  link: (path, newPath) => call('link', path, async () => {
    await link(path, newPath)
    return 'linked' as const
  }, { EEXIST: 'exists', EPERM: 'impossible', ENOTSUP: 'impossible', ENOSYS: 'impossible', EMLINK: 'impossible' } as const),
  rename: (path, newPath) => call('rename', path, () => rename(path, newPath), {}),
  unlink: path => call('remove', path, async () => {
    await unlink(path)
    return true
  }, { ENOENT: false }),
  makeDirectory: (path, owner) => call('make', path, async () => {
    await mkdir(path)
    if (owner !== undefined) await chown(path, owner.uid, owner.gid)
    return true
  }, { EEXIST: false }),
  makeDirectories: (parent, names, owner) => call('make directories in', parent, () => makeMany(parent, names, owner), {}),
  removeDirectory: path => call('remove', path, async () => {
    await rmdir(path)
    return true
  }, { ENOENT: false, ENOTEMPTY: false, EEXIST: false }),
  touch: path => call('touch', path, async () => {
    const { mtimeMs } = await lstat(path)
    await setTimes(path, Date.now() / 1000, mtimeMs / 1000)
    return true
  }, { ENOENT: false }),
  syncDirectory: path => call('sync', path, () => syncOne(path), {}),
  syncFilesystem: path => call('sync the file system of', path, () => syncFilesystem(path), {}),
}
