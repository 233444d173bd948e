/**
 * list.ts: what is in some directories of a tree, with the tar headers of all of it. Runs in a thread of the pool.
 */
import { type BigIntStats, closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { FINGERPRINT_BYTES, fingerprintOf } from '../catalogue.js'
import { nextData, nextHole } from '../file-calls.js'
import { byteString, onDisk, readable } from './byte-path.js'
import { type Excludes, excludesOf } from './exclude.js'
import { canBeSparse, encodeHeader, type Extent, type FileTime, type TreeEntry, type TreeType } from './tar-header.js'

/** Names and paths are byte strings. */
export interface ListJob {
  readonly kind: 'list'
  readonly root: string
  /** Relative to the root, the next one last. `''` is the root: it is listed itself, with its contents. */
  readonly directories: readonly string[]
  /** Goes on into what it finds until it has so many entries. */
  readonly maxEntries: number
  readonly exclude: readonly string[]
  /** Stay in this file system: the contents of directories of another one are left out. Undefined: go everywhere. */
  readonly deviceId: string | undefined
  /** The latest time of a change of status that is old enough: catalogue.ts. */
  readonly settledNs: bigint
}

export interface Listed {
  readonly name: string
  readonly isFile: boolean
  /** Bytes of a file, holes included. */
  readonly size: number
  readonly extents: readonly Extent[] | undefined
  /** The time of the last change of status, nanoseconds since 1970. */
  readonly changed: bigint
  /** Where its header is. */
  readonly from: number
  readonly to: number
  /** Of a file with several names: what is the same for all of them, and what else a link to it needs. */
  readonly shared: { readonly identity: string; readonly entry: TreeEntry } | undefined
  /** It has no contents, or did not change just now. */
  readonly isSettled: boolean
}

export interface ListResult {
  readonly entries: readonly Listed[]
  readonly headers: Uint8Array
  /** FINGERPRINT_BYTES for each entry. */
  readonly fingerprints: Uint8Array
  /** As in the job: what is still to be listed. */
  readonly directories: readonly string[]
  readonly problems: readonly { readonly path: string; readonly message: string }[]
}

const TYPES: ReadonlyMap<number, TreeType> = new Map([
  [constants.S_IFREG, 'file'], [constants.S_IFDIR, 'directory'], [constants.S_IFLNK, 'symlink'],
  [constants.S_IFIFO, 'fifo'], [constants.S_IFCHR, 'character-device'], [constants.S_IFBLK, 'block-device'],
])

/** By name, in the order of the bytes: a tree that has not changed gives the same stream. */
export function list(job: ListJob): ListResult {
  const listing = new Listing(job, excludesOf(job.exclude))
  while (listing.directories.length > 0 && listing.entries.length < job.maxEntries) listing.add(listing.directories.pop()!)
  const { entries, directories, problems } = listing
  const fingerprints = Buffer.concat(listing.fingerprints, entries.length * FINGERPRINT_BYTES)
  return { entries, directories, problems, headers: new Uint8Array(Buffer.concat(listing.headers)), fingerprints: new Uint8Array(fingerprints) }
}

class Listing {
  readonly entries: Listed[] = []
  readonly headers: Buffer[] = []
  readonly fingerprints: Buffer[] = []
  readonly directories: string[]
  readonly problems: { path: string; message: string }[] = []
  readonly #job: ListJob
  readonly #excludes: Excludes
  #at = 0

  constructor(job: ListJob, excludes: Excludes) {
    this.#job = job
    this.directories = [...job.directories]
    this.#excludes = excludes
  }

  /** The directory itself and what is in it but for directories: each of those is one piece of the archive, since tar sets its time when it leaves it. */
  add(directory: string): void {
    const path = directory === '' ? this.#job.root : `${this.#job.root}/${directory}`
    const found: string[] = []
    const stat = this.#addEntry(directory === '' ? '.' : directory, path)
    if (stat?.isDirectory() !== true || (this.#job.deviceId !== undefined && String(stat.dev) !== this.#job.deviceId)) return
    for (const name of this.#namesIn(path)) {
      const relative = directory === '' ? name : `${directory}/${name}`
      const entry = this.#statOf(relative, `${path}/${name}`)
      if (entry?.isDirectory() === true) found.push(relative)
      else if (entry !== undefined) this.#addEntry(relative, `${path}/${name}`, entry)
    }
    this.directories.push(...found.reverse())
  }

  #namesIn(path: string): string[] {
    try {
      return readdirSync(onDisk(path), { encoding: 'latin1' }).sort((a, b) => (a < b ? -1 : 1))
    } catch (error) {
      this.#report(path, (error as Error).message)
      return []
    }
  }

  /** Undefined: it is left out. */
  #statOf(name: string, path: string): BigIntStats | undefined {
    try {
      const stat = lstatSync(onDisk(path), { bigint: true })
      return this.#excludes(name, stat.isDirectory()) ? undefined : stat
    } catch (error) {
      this.#report(path, (error as Error).message)
      return undefined
    }
  }

  /** Undefined: it could not be added. */
  #addEntry(name: string, path: string, known?: BigIntStats): BigIntStats | undefined {
    try {
      const stat = known ?? lstatSync(onDisk(path), { bigint: true })
      const type = TYPES.get(Number(stat.mode) & constants.S_IFMT)
      if (type === undefined) this.#report(path, 'it is a socket, which no archive can hold')
      else this.#push(entryOf(path, name, type, stat), stat)
      return stat
    } catch (error) {
      this.#report(path, (error as Error).message)
      return undefined
    }
  }

  #push(entry: TreeEntry, stat: BigIntStats): void {
    const header = encodeHeader(entry)
    this.headers.push(header)
    const from = this.#at
    this.#at += header.length
    const { name, type, size, extents } = entry
    const shared = stat.nlink > 1n && type !== 'directory' ? { identity: `${stat.dev}:${stat.ino}`, entry } : undefined
    const hasContents = type === 'file' && size > 0 && extents?.length !== 0
    this.fingerprints.push(fingerprintOf(header, hasContents ? { ctimeNs: stat.ctimeNs, inode: stat.ino } : undefined))
    const isSettled = !hasContents || stat.ctimeNs <= this.#job.settledNs
    this.entries.push({ name, isFile: type === 'file', size, extents, changed: stat.ctimeNs, from, to: this.#at, shared, isSettled })
  }

  #report(path: string, message: string): void {
    this.problems.push({ path: readable(path), message })
  }
}

function entryOf(path: string, name: string, type: TreeType, stat: BigIntStats): TreeEntry {
  const common = { name, type, mode: Number(stat.mode) & 0o7777, uid: Number(stat.uid), gid: Number(stat.gid), time: timeOf(stat.mtimeNs) }
  if (type === 'symlink') return { ...common, size: 0, target: readlinkSync(onDisk(path), 'latin1') }
  if (type !== 'file') return { ...common, size: 0, device: type.endsWith('device') ? deviceOf(Number(stat.rdev)) : undefined }
  const size = Number(stat.size)
  return { ...common, size, extents: Number(stat.blocks) * 512 < size && canBeSparse(name) ? extentsOf(path, size) : undefined }
}

function timeOf(nanoseconds: bigint): FileTime {
  const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  return { seconds: Number((nanoseconds - rest) / 1_000_000_000n), nanoseconds: Number(rest) }
}

/** As glibc puts the two together. */
function deviceOf(device: number): { major: number; minor: number } {
  const high = Math.floor(device / 2 ** 32)
  const low = device >>> 0
  return { major: ((low >>> 8) & 0xfff) | (high & ~0xfff), minor: (low & 0xff) | ((low >>> 12) & ~0xff) }
}

/** Undefined: there are no holes, the file is only stored well (compressed, or in its inode). */
function extentsOf(path: string, size: number): Extent[] | undefined {
  const fd = openSync(onDisk(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const extents: Extent[] = []
    for (let offset = nextData(fd, 0); offset !== undefined && offset < size; ) {
      const end: number = Math.min(nextHole(fd, offset) ?? size, size)
      extents.push({ offset, length: end - offset })
      offset = nextData(fd, end)
    }
    const [first] = extents
    return extents.length === 1 && first?.offset === 0 && first.length === size ? undefined : extents
  } finally {
    closeSync(fd)
  }
}

/** The file system that a path is in, of the path as a user types it. */
export const deviceIdOf = (path: string): string => String(lstatSync(onDisk(byteString(path)), { bigint: true }).dev)
