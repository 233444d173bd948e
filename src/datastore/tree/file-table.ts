/**
 * file-table.ts: what the kernel says of files, as the addon tells it (native/directory.cc): for each a row of numbers, and one text with all
 * names and targets. An object for each file, with its times as bigints, costs more than asking the kernel does.
 *
 * A table of a part of a tree is made in a thread of the pool and read in the main one; its names are relative to the root.
 */
import { constants } from 'node:fs'
import { listRaw, type RawFiles, rawFields, statRaw } from '../file-calls.js'
import { byteString, onDisk } from './byte-path.js'
import { canBeSparse, type Extent, type TreeEntry, type TreeType } from './tar-header.js'

/** What stands where in a row. The addon restates it: checkFields(). */
enum FIELD {
  MODE, UID, GID, SIZE, MTIME, MTIME_REST, CTIME, CTIME_REST, INODE_HIGH, INODE_LOW, DEVICE_MAJOR, DEVICE_MINOR, LINKS, BLOCKS,
  OWN_MAJOR, OWN_MINOR, // the device that a special file is
  NAME_END, // in the text
  TARGET_END, // behind it, of a link
}

const FIELDS = FIELD.TARGET_END + 1
const GUARDS = [FIELD.CTIME, FIELD.CTIME_REST, FIELD.INODE_HIGH, FIELD.INODE_LOW]
const IDENTITY = [FIELD.MODE, FIELD.UID, FIELD.GID, FIELD.SIZE, FIELD.MTIME, FIELD.MTIME_REST, FIELD.OWN_MAJOR, FIELD.OWN_MINOR, ...GUARDS]
const FIRST_GUARD = IDENTITY.length - GUARDS.length
export const IDENTITY_NUMBERS = IDENTITY.length

/** @throws {TypeError} if the addon is of another version */
export function checkFields(): void {
  const fields = rawFields()
  if (fields.length !== FIELDS || fields.some((name, at) => FIELD[at] !== name)) throw new TypeError('the addon has another table of files')
}

const BLOCK_BYTES = 512
const TYPES: ReadonlyMap<number, TreeType> = new Map([
  [constants.S_IFREG, 'file'], [constants.S_IFDIR, 'directory'], [constants.S_IFLNK, 'symlink'],
  [constants.S_IFIFO, 'fifo'], [constants.S_IFCHR, 'character-device'], [constants.S_IFBLK, 'block-device'],
])

/** Of what a path, a byte string, names: of a link itself. One file, without a name. */
export const statFile = (path: string): Files => new Files(statRaw(onDisk(path)))

/** What is in a directory, in the order of the bytes of the names, and what could not be looked at. `path` is a byte string. */
export function listDirectory(path: string): { readonly files: Files; readonly failed: readonly { readonly name: string; readonly message: string }[] } {
  const { rows, text, failed } = listRaw(onDisk(path))
  return { files: new Files({ rows, text }), failed: failed.map(({ name, message }) => ({ name: name.toString('latin1'), message })) }
}

/** Of the file system that a path is in, as a user types it. */
export function deviceIdOf(path: string): string {
  return statFile(byteString(path)).deviceIdOf(0)
}

/** A table, by the numbers of its files. */
export class Files {
  readonly count: number
  readonly #rows: Float64Array
  readonly #text: Buffer

  constructor({ rows, text }: RawFiles) {
    this.count = rows.length / FIELDS
    this.#rows = rows
    this.#text = Buffer.from(text.buffer, text.byteOffset, text.byteLength)
  }

  #of(file: number, field: FIELD): number {
    return this.#rows[file * FIELDS + field]!
  }

  rowOf(file: number): Float64Array {
    return this.#rows.subarray(file * FIELDS, (file + 1) * FIELDS)
  }

  nameOf(file: number): string {
    return this.#text.toString('latin1', file === 0 ? 0 : this.#of(file - 1, FIELD.TARGET_END), this.#of(file, FIELD.NAME_END))
  }

  targetOf(file: number): string {
    return this.#text.toString('latin1', this.#of(file, FIELD.NAME_END), this.#of(file, FIELD.TARGET_END))
  }

  /** Undefined: a socket. */
  typeOf(file: number): TreeType | undefined {
    return TYPES.get(this.#of(file, FIELD.MODE) & constants.S_IFMT)
  }

  /** Bytes of a file, holes included; 0 of all else. */
  sizeOf(file: number): number {
    return this.#of(file, FIELD.SIZE)
  }

  deviceIdOf(file: number): string {
    return `${this.#of(file, FIELD.DEVICE_MAJOR)}:${this.#of(file, FIELD.DEVICE_MINOR)}`
  }

  /** The same for all names of a file that has several; undefined for one that has not. */
  sharedIdOf(file: number): string | undefined {
    if (this.#of(file, FIELD.LINKS) <= 1 || this.typeOf(file) === 'directory') return undefined
    return `${this.deviceIdOf(file)}:${this.#of(file, FIELD.INODE_HIGH)}:${this.#of(file, FIELD.INODE_LOW)}`
  }

  /** It has fewer blocks than bytes, and an archive can say so. */
  canBeSparse(file: number, name: string): boolean {
    return this.#of(file, FIELD.BLOCKS) * BLOCK_BYTES < this.#of(file, FIELD.SIZE) && canBeSparse(name)
  }

  /** The time of the last change of status, in nanoseconds since 1970. */
  changedOf(file: number): bigint {
    return BigInt(this.#of(file, FIELD.CTIME)) * 1_000_000_000n + BigInt(this.#of(file, FIELD.CTIME_REST))
  }

  /** Whether that was at `time` or before. */
  isSettledAt(file: number, { seconds, nanoseconds }: { readonly seconds: number; readonly nanoseconds: number }): boolean {
    const changed = this.#of(file, FIELD.CTIME)
    return changed < seconds || (changed === seconds && this.#of(file, FIELD.CTIME_REST) <= nanoseconds)
  }

  /** @param name  relative to the root of the archive */
  entryOf(file: number, type: TreeType, name: string, extents: readonly Extent[] | undefined): TreeEntry {
    const time = { seconds: this.#of(file, FIELD.MTIME), nanoseconds: this.#of(file, FIELD.MTIME_REST) }
    const common = { name, type, mode: this.#of(file, FIELD.MODE) & 0o7777, uid: this.#of(file, FIELD.UID), gid: this.#of(file, FIELD.GID), time, size: this.#of(file, FIELD.SIZE) }
    if (type === 'symlink') return { ...common, target: this.targetOf(file) }
    if (type.endsWith('device')) return { ...common, device: { major: this.#of(file, FIELD.OWN_MAJOR), minor: this.#of(file, FIELD.OWN_MINOR) } }
    return { ...common, extents }
  }

  /**
   * The numbers that decide what the archive says of it.
   * @param isGuarded  also those that change whenever its contents do; zeros else
   */
  identify(file: number, isGuarded: boolean, into: Float64Array): void {
    for (let i = 0; i < IDENTITY_NUMBERS; i++) into[i] = i < FIRST_GUARD || isGuarded ? this.#of(file, IDENTITY[i]!) : 0
  }
}

/** Files from several directories. */
export class FileTableBuilder {
  #rows = new Float64Array(FIELDS * 256)
  #text = Buffer.allocUnsafeSlow(256 * 64)
  #textBytes = 0
  count = 0

  /** @returns its number here */
  add(files: Files, file: number, name: string): number {
    const target = files.typeOf(file) === 'symlink' ? files.targetOf(file) : ''
    const at = this.count * FIELDS
    if (at === this.#rows.length) this.#rows = doubled(this.#rows, new Float64Array(2 * at))
    while (this.#textBytes + name.length + target.length > this.#text.length) this.#text = doubled(this.#text, Buffer.allocUnsafeSlow(2 * this.#text.length))
    this.#rows.set(files.rowOf(file), at)
    this.#textBytes += this.#text.write(name, this.#textBytes, 'latin1')
    this.#rows[at + FIELD.NAME_END] = this.#textBytes
    this.#textBytes += this.#text.write(target, this.#textBytes, 'latin1')
    this.#rows[at + FIELD.TARGET_END] = this.#textBytes
    return this.count++
  }

  /** In memory of its own, fit to be given to another thread. */
  finish(): RawFiles {
    return { rows: this.#rows.slice(0, this.count * FIELDS), text: new Uint8Array(this.#text.subarray(0, this.#textBytes)) }
  }
}

function doubled<T extends Float64Array | Buffer>(from: T, to: T): T {
  to.set(from)
  return to
}
