/**
 * list.ts: what is in some directories of a tree. Runs in a thread of the pool.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { FINGERPRINT_BYTES } from '../catalogue.js'
import { nextData, nextHole, type RawFiles } from '../file-calls.js'
import { onDisk, readable } from './byte-path.js'
import { type Excludes, excludesOf } from './exclude.js'
import { checkFields, type Files, FileTableBuilder, listDirectory, statFile } from './file-table.js'
import { fingerprintOfFile } from './fingerprint.js'
import type { Extent } from './tar-header.js'

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
}

export interface ListResult {
  /** Named relative to the root; `.` is the root itself. */
  readonly files: RawFiles
  /** FINGERPRINT_BYTES for each file. */
  readonly fingerprints: Uint8Array
  /** By number: what of a sparse file is no hole. */
  readonly extents: ReadonlyMap<number, readonly Extent[]>
  /** As in the job: what is still to be listed. */
  readonly directories: readonly string[]
  readonly problems: readonly { readonly path: string; readonly message: string }[]
}

/** By name, in the order of the bytes: a tree that has not changed gives the same stream. */
export function list(job: ListJob): ListResult {
  checkFields()
  const listing = new Listing(job, excludesOf(job.exclude))
  while (listing.directories.length > 0 && listing.found.count < job.maxEntries) listing.add(listing.directories.pop()!)
  const { found, fingerprints, extents, directories, problems } = listing
  return { files: found.finish(), fingerprints: new Uint8Array(Buffer.concat(fingerprints, found.count * FINGERPRINT_BYTES)), extents, directories, problems }
}

class Listing {
  readonly found = new FileTableBuilder()
  readonly fingerprints: Buffer[] = []
  readonly extents = new Map<number, readonly Extent[]>()
  readonly directories: string[]
  readonly problems: { path: string; message: string }[] = []
  readonly #job: ListJob
  readonly #excludes: Excludes

  constructor(job: ListJob, excludes: Excludes) {
    this.#job = job
    this.directories = [...job.directories]
    this.#excludes = excludes
  }

  /** The directory itself and what is in it but for directories: each of those is one piece of the archive, since tar sets its time when it leaves it. */
  add(directory: string): void {
    const { root, deviceId } = this.#job
    const path = directory === '' ? root : `${root}/${directory}`
    try {
      const self = statFile(path)
      this.#addFile(self, 0, directory === '' ? '.' : directory, path)
      if (self.typeOf(0) === 'directory' && (deviceId === undefined || self.deviceIdOf(0) === deviceId)) this.#addContents(directory, path)
    } catch (error) {
      this.#report(path, (error as Error).message)
    }
  }

  #addContents(directory: string, path: string): void {
    const { files, failed } = listDirectory(path)
    const below: string[] = []
    for (let file = 0; file < files.count; file++) {
      const name = files.nameOf(file)
      const relative = directory === '' ? name : `${directory}/${name}`
      const isDirectory = files.typeOf(file) === 'directory'
      if (this.#excludes(relative, isDirectory)) continue
      if (isDirectory) below.push(relative)
      else this.#addFile(files, file, relative, `${path}/${name}`)
    }
    for (const { name, message } of failed) this.#report(`${path}/${name}`, message)
    this.directories.push(...below.reverse())
  }

  #addFile(files: Files, file: number, name: string, path: string): void {
    const type = files.typeOf(file)
    if (type === undefined) {
      this.#report(path, 'it is a socket, which no archive can hold')
      return
    }
    try {
      const extents = type === 'file' && files.canBeSparse(file, name) ? extentsOf(path, files.sizeOf(file)) : undefined
      const number = this.found.add(files, file, name)
      if (extents !== undefined) this.extents.set(number, extents)
      this.fingerprints.push(fingerprintOfFile(files, file, name, extents))
    } catch (error) {
      this.#report(path, (error as Error).message)
    }
  }

  #report(path: string, message: string): void {
    this.problems.push({ path: readable(path), message })
  }
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
