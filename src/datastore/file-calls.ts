/**
 * file-calls.ts: the calls on files that Node does not have, from the addon: holes, exact times, special files, whole directories and file systems, a part of a file in one call.
 */
import { getSystemErrorMap } from 'node:util'
import { loadNative } from '../lock/native.js'

/** Rows of numbers, and a text with all names: tree/file-table.ts. */
export interface RawFiles {
  readonly rows: Float64Array
  readonly text: Uint8Array
}

export interface RawDirectory extends RawFiles {
  readonly failed: readonly { readonly name: Buffer; readonly message: string }[]
}

interface FileCalls {
  /** Names of the numbers of a row. */
  readonly fileFields: readonly string[]
  fileStat(path: string | Buffer): RawFiles
  fileList(path: string | Buffer): RawDirectory
  fileSeek(fd: number, offset: number, wantHole: boolean): number
  fileSetTime(file: string | Buffer | number, seconds: number, nanoseconds: number): void
  fileRead(path: string | Buffer, target: Buffer, offset: number, changed: Float64Array): number
  fileSyncFilesystem(path: string | Buffer): Promise<void>
  fileMakeNode(path: string | Buffer, mode: number, major: number, minor: number): void
  bytesWriteFiles(bytes: Uint8Array, folder: string | Buffer, names: Buffer, files: Float64Array, natural: Float64Array): void
}

const native = (): FileCalls => loadNative() as unknown as FileCalls

/** @throws {Error} as node:fs does, also in its words: those of the C library are others. */
function call<T>(make: (calls: FileCalls) => T): T {
  try {
    return make(native())
  } catch (error) {
    throw inNodesWords(error)
  }
}

function inNodesWords(error: unknown): unknown {
  if (error instanceof Error) error.message = asNodeSays(error.message)
  return error
}

let wordsByCode: ReadonlyMap<string, string> | undefined

function asNodeSays(message: string): string {
  wordsByCode ??= new Map(getSystemErrorMap().values())
  return message.replace(/^(\w+): .*?, /, (all, code: string) => {
    const words = wordsByCode?.get(code)
    return words === undefined ? all : `${code}: ${words}, `
  })
}

/** Where the next data begins at or behind `offset`; undefined if only a hole follows. A file system without holes has data everywhere. */
export function nextData(fd: number, offset: number): number | undefined {
  return seek(fd, offset, false)
}

/** Where the next hole begins at or behind `offset`; the end of a file counts as one. Undefined at or behind the end. */
export function nextHole(fd: number, offset: number): number | undefined {
  return seek(fd, offset, true)
}

function seek(fd: number, offset: number, wantHole: boolean): number | undefined {
  try {
    const found = call(calls => calls.fileSeek(fd, offset, wantHole))
    return found < 0 ? undefined : found
  } catch (error) {
    // A device or file system that cannot tell: all of it is data.
    if ((error as NodeJS.ErrnoException).code === 'EINVAL' && !wantHole) return offset
    throw error
  }
}

/** Sets the times of modification and access of an open file, or of what has a path: of a symbolic link itself. Node's own calls round to some hundred nanoseconds. */
export function setTime(file: string | Buffer | number, time: { readonly seconds: number; readonly nanoseconds: number }): void {
  call(calls => {
    calls.fileSetTime(file, time.seconds, time.nanoseconds)
  })
}

/** mknod(2): `mode` has the type's bits. */
export function makeNode(path: string | Buffer, mode: number, device: { readonly major: number; readonly minor: number }): void {
  call(calls => {
    calls.fileMakeNode(path, mode, device.major, device.minor)
  })
}

/**
 * syncfs(2): all that was written to the file system that has the path is on the disk, by whomever.
 *
 * @throws {Error} as node:fs does; from Linux 5.8 on also if an earlier write to it has failed.
 * Cost: what is not written yet, at the rate of the disk; a thread of Node's pool meanwhile.
 */
export async function syncFilesystem(path: string | Buffer): Promise<void> {
  try {
    await native().fileSyncFilesystem(path)
  } catch (error) {
    throw inNodesWords(error)
  }
}

const lastChanged = new Float64Array(2)

export interface PartRead {
  /** Fewer than were asked for: the file ends there. */
  readonly bytes: number
  /** The time of the last change of status, asked after reading: seconds since 1970, and nanoseconds. */
  readonly changedSeconds: number
  readonly changedNanoseconds: number
}

/**
 * What a regular file has from `offset` on, into all of `target`, which may be shared. A link is not followed, a FIFO not waited for.
 *
 * @returns undefined: it is no regular file.
 * Cost: five system calls and one crossing from JavaScript; by node:fs it is five.
 */
export function tryReadPart(path: string | Buffer, target: Buffer, offset: number): PartRead | undefined {
  const bytes = call(calls => calls.fileRead(path, target, offset, lastChanged))
  return bytes < 0 ? undefined : { bytes, changedSeconds: lastChanged[0]!, changedNanoseconds: lastChanged[1]! }
}

/**
 * Makes files of bytes, which may be shared, below a folder: tree/write.ts says of what.
 *
 * @throws {Error} as node:fs does, of the first that fails. Those before it are there.
 * Cost: four system calls a file, and one crossing from JavaScript for all; by node:fs it is four each.
 */
export function makeFiles(bytes: Uint8Array, folder: string | Buffer, names: Buffer, files: Float64Array, natural: Float64Array): void {
  call(calls => {
    calls.bytesWriteFiles(bytes, folder, names, files, natural)
  })
}

/** lstat(2) and readlink(2) of one file, without its name. */
export const statRaw = (path: string | Buffer): RawFiles => call(calls => calls.fileStat(path))

/** The same of all that is in a directory, by the bytes of the names, and what could not be looked at. */
export function listRaw(path: string | Buffer): RawDirectory {
  const { failed, ...files } = call(calls => calls.fileList(path))
  return { ...files, failed: failed.map(({ name, message }) => ({ name, message: asNodeSays(message) })) }
}

export const rawFields = (): readonly string[] => native().fileFields
