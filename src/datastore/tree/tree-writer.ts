/**
 * tree-writer.ts: makes the entries of a tree one after the other, in directories that it has made itself and nowhere else.
 *
 * Names come from an archive that nobody vouches for. A name is refused that is absolute or has `..`; each directory on the way to it is
 * one that was made here, which mkdir(2) says: it fails where something else is already, a symbolic link too.
 */
import { chmodSync, constants, lchownSync, linkSync, mkdirSync, symlinkSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { DatastoreError } from '../errors.js'
import { makeNode, setTime } from '../file-calls.js'
import type { FileProblem } from '../pipeline/jobs.js'
import type { WorkerPool } from '../pipeline/pool.js'
import type { Slab } from '../pipeline/slabs.js'
import { FileBatches } from './batches.js'
import { byteString, onDisk, readable } from './byte-path.js'
import type { SparseMap } from './sparse-map.js'
import { type ArchivedEntry, normalized } from './tar-entry.js'
import { type Attributes, findNatural, type Natural } from './write.js'

interface TreeWriterOptions {
  readonly pool: WorkerPool
  readonly onProblem?: ((problem: FileProblem) => void) | undefined
}

/** Of what is done at the end; then the event loop gets a turn. */
const STEPS_PER_TURN = 256

const NODE_TYPES = { fifo: constants.S_IFIFO, 'character-device': constants.S_IFCHR, 'block-device': constants.S_IFBLK } as const

/** A name that is absolute, or goes up; or that no call on files would take. */
const OUTSIDE = /^\/|\0|(?:^|\/)\.\.(?:\/|$)/

/** Bits of a mode. */
const [SET_USER_ID, SET_GROUP_ID] = [0o4000, 0o2000]

/** A file the contents of which are coming. */
interface FileUnderWay {
  readonly entry: ArchivedEntry
  readonly map: SparseMap
  readonly attributes: Attributes
  /** It is not made by one job. */
  isOpen: boolean
  /** Bytes of contents so far. */
  done: number
  /** Where in the map they end, and how many bytes are in the pieces before. */
  piece: number
  pieceStart: number
}

export class TreeWriter {
  /** A byte string, as all paths and names here. */
  readonly #root: string
  readonly #options: TreeWriterOptions
  readonly #batches: FileBatches
  readonly #natural: Natural
  readonly #directories = new Set(['.'])
  /** Done when everything is written, last first: a directory's time after what is in it. */
  readonly #later: { readonly path: string; readonly attributes: Attributes }[] = []
  readonly #links: ArchivedEntry[] = []
  #file: FileUnderWay | undefined
  readonly #isRoot = process.geteuid?.() === 0

  /** @param root  an empty directory */
  constructor(root: string, options: TreeWriterOptions) {
    this.#root = byteString(root)
    this.#options = options
    this.#natural = findNatural(this.#root)
    this.#batches = new FileBatches(options.pool, this.#root, this.#natural)
  }

  /** The contents of a file follow, if it has any. */
  add(entry: ArchivedEntry): void {
    const path = this.#placeOf(entry.name)
    if (entry.type === 'file') this.#addFile(entry)
    else if (entry.type === 'directory') this.#addDirectory(entry, path)
    else if (entry.type === 'link') this.#links.push(entry)
    else this.#attempt(path, () => this.#addSpecial(entry, path))
  }

  #addFile(entry: ArchivedEntry): void {
    const attributes = this.#attributesOf(entry)
    const { name, size, dataBytes, map = [0, dataBytes] } = entry
    if (dataBytes === size) {
      if (size === 0) this.#batches.add(name, 0, 0, attributes)
    } else {
      this.#batches.begin(name, size, attributes)
      if (dataBytes === 0) this.#batches.end()
    }
    this.#file = { entry, map, attributes, isOpen: dataBytes !== size, done: 0, piece: 0, pieceStart: 0 }
  }

  #addDirectory(entry: ArchivedEntry, path: string): void {
    if (!this.#directories.has(entry.name)) mkdirSync(onDisk(path), { mode: 0o700 })
    this.#directories.add(entry.name)
    this.#later.push({ path, attributes: this.#attributesOf(entry) })
  }

  #addSpecial(entry: ArchivedEntry, path: string): void {
    const place = onDisk(path)
    const { owner, mode, time } = this.#attributesOf(entry)
    if (entry.type === 'symlink') symlinkSync(onDisk(entry.target ?? ''), place)
    else makeNode(place, NODE_TYPES[entry.type as keyof typeof NODE_TYPES] | 0o600, entry.device ?? { major: 0, minor: 0 })
    this.#give(place, owner)
    if (entry.type !== 'symlink') chmodSync(place, mode)
    setTime(place, time)
  }

  /** Ranges of contents are of this piece of the archive from now on. */
  use(slab: Slab | undefined): void {
    this.#batches.use(slab)
  }

  /** A range of the contents of the file that was added last; with the last one it is complete. */
  addContent(from: number, to: number): void {
    const file = this.#file!
    const { entry, map, attributes, isOpen } = file
    const end = file.done + to - from
    if (!isOpen && end === entry.dataBytes) this.#batches.add(entry.name, from, to, attributes)
    else {
      if (!isOpen) this.#batches.begin(entry.name, undefined, attributes)
      file.isOpen = true
      this.#addPieces(file, map, from, to)
      if (end === entry.dataBytes) this.#batches.end()
    }
    file.done = end
  }

  /** Bytes to where a map says that they belong. */
  #addPieces(file: FileUnderWay, map: SparseMap, from: number, to: number): void {
    for (let at = from, done = file.done; at < to; ) {
      while (done >= file.pieceStart + map[file.piece + 1]!) {
        file.pieceStart += map[file.piece + 1]!
        file.piece += 2
      }
      const within = done - file.pieceStart
      const count = Math.min(to - at, map[file.piece + 1]! - within)
      this.#batches.write(at, at + count, map[file.piece]! + within)
      at += count
      done += count
    }
  }

  /** Waits for the threads, whether they fail or not. */
  async settle(): Promise<void> {
    await this.#batches.flush()
  }

  /** What needs all files to be there. */
  async finish(): Promise<void> {
    let count = 0
    const turn = async (): Promise<void> => (++count % STEPS_PER_TURN === 0 ? setImmediate() : undefined)
    for (const link of this.#links) {
      const path = this.#placeOf(link.name)
      const target = this.#placeOf(normalized(link.target ?? ''))
      this.#attempt(path, () => linkSync(onDisk(target), onDisk(path)))
      await turn()
    }
    for (const { path, attributes: { owner, mode, time } } of this.#later.reverse()) {
      const place = onDisk(path)
      this.#attempt(path, () => {
        if (path !== this.#root) this.#give(place, owner)
        else if (owner !== undefined) lchownSync(place, owner.uid, owner.gid) // it may have been somebody's before
        chmodSync(place, mode)
        setTime(place, time)
      })
      await turn()
    }
  }

  /** The full path of something below the root. Its directory is one that was made here, or is made now. */
  #placeOf(name: string): string {
    if (OUTSIDE.test(name)) {
      throw new DatastoreError('ARCHIVE_DAMAGED', `the archive has an entry outside of its root: ${readable(name)}`)
    }
    const slash = name.lastIndexOf('/')
    const directory = slash < 0 ? '.' : name.slice(0, slash)
    if (!this.#directories.has(directory)) {
      mkdirSync(onDisk(this.#placeOf(directory)), { mode: 0o755 }) // fails if it is there: then it is no directory of ours
      this.#directories.add(directory)
    }
    return name === '.' ? this.#root : `${this.#root}/${name}`
  }

  /** A set-id bit is meant for the owner it was set by: another one would lend all others his own rights. */
  #attributesOf({ mode, uid, gid, time }: ArchivedEntry): Attributes {
    if (this.#isRoot) return { mode, owner: { uid, gid }, time }
    const lent = (uid === process.geteuid?.() ? 0 : SET_USER_ID) | (gid === process.getegid?.() ? 0 : SET_GROUP_ID)
    return { mode: mode & ~lent, owner: undefined, time }
  }

  /** Unless it is his already. */
  #give(place: string | Buffer, owner: Attributes['owner']): void {
    const { uid, gid } = this.#natural
    if (owner !== undefined && (owner.uid !== uid || owner.gid !== gid)) lchownSync(place, owner.uid, owner.gid)
  }

  #attempt(path: string, action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#options.onProblem?.({ path: readable(path), message: (error as Error).message })
    }
  }
}
