/**
 * tree-writer.ts: makes the entries of a tree one after the other, in directories that it has made itself and nowhere else.
 *
 * Names come from an archive that nobody vouches for. A name is refused that is absolute or has `..`; each directory on the way to it is
 * one that was made here, which mkdir(2) says: it fails where something else is already, a symbolic link too.
 */
import { chmodSync, constants, lchownSync, linkSync, mkdirSync, symlinkSync } from 'node:fs'
import { posix } from 'node:path'
import { DatastoreError } from '../errors.js'
import { makeNode, setTime } from '../file-calls.js'
import type { FileProblem } from '../pipeline/jobs.js'
import type { WorkerPool } from '../pipeline/pool.js'
import { FileBatches } from './batches.js'
import { byteString, onDisk, readable } from './byte-path.js'
import { type ArchivedEntry, decodeSparseMap, normalized } from './tar-entry.js'
import type { Extent, TreeEntry } from './tar-header.js'
import type { Attributes } from './write.js'

interface TreeWriterOptions {
  readonly pool: WorkerPool
  readonly onProblem?: ((problem: FileProblem) => void) | undefined
}

const NODE_TYPES = { fifo: constants.S_IFIFO, 'character-device': constants.S_IFCHR, 'block-device': constants.S_IFBLK } as const

/** Bits of a mode. */
const [SET_USER_ID, SET_GROUP_ID] = [0o4000, 0o2000]

export class TreeWriter {
  /** A byte string, as all paths and names here. */
  readonly #root: string
  readonly #options: TreeWriterOptions
  readonly #batches: FileBatches
  readonly #directories = new Set(['.'])
  /** Done when everything is written, last first: a directory's time after what is in it. */
  readonly #later: { readonly path: string; readonly attributes: Attributes }[] = []
  readonly #links: TreeEntry[] = []
  readonly #isRoot = process.geteuid?.() === 0

  /** @param root  an empty directory */
  constructor(root: string, options: TreeWriterOptions) {
    this.#root = byteString(root)
    this.#options = options
    this.#batches = new FileBatches(options.pool)
  }

  add(entry: TreeEntry): void {
    const path = this.#placeOf(entry.name)
    if (entry.type === 'directory') this.#addDirectory(entry, path)
    else if (entry.type === 'link') this.#links.push(entry)
    else this.#attempt(path, () => this.#addSpecial(entry, path))
  }

  #addDirectory(entry: TreeEntry, path: string): void {
    if (!this.#directories.has(entry.name)) mkdirSync(onDisk(path), { mode: 0o700 })
    this.#directories.add(entry.name)
    this.#later.push({ path, attributes: this.#attributesOf(entry) })
  }

  #addSpecial(entry: TreeEntry, path: string): void {
    const place = onDisk(path)
    const { owner, mode, time } = this.#attributesOf(entry)
    if (entry.type === 'symlink') symlinkSync(onDisk(entry.target ?? ''), place)
    else makeNode(place, NODE_TYPES[entry.type as keyof typeof NODE_TYPES] | 0o600, entry.device ?? { major: 0, minor: 0 })
    if (owner !== undefined) lchownSync(place, owner.uid, owner.gid)
    if (entry.type !== 'symlink') chmodSync(place, mode)
    setTime(place, time)
  }

  /** Takes all of the content; it is written when `settle` has ended. */
  async addFile(entry: ArchivedEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
    const path = this.#placeOf(entry.name)
    const attributes = this.#attributesOf(entry)
    const file = await this.#batches.begin(path, entry.size, attributes)
    let extents: readonly Extent[] = [{ offset: 0, length: entry.size }]
    let map: Buffer | undefined = entry.isSparse ? Buffer.alloc(0) : undefined
    let at = 0 // bytes of data that were written
    for await (let bytes of content) {
      if (map !== undefined) {
        map = Buffer.concat([map, bytes])
        const decoded = decodeSparseMap(map)
        if (decoded === undefined || map.length < decoded.mapBytes) continue
        bytes = map.subarray(decoded.mapBytes)
        extents = checkedExtents(decoded.extents, entry)
        map = undefined
      }
      for (const { offset, part } of placed(extents, at, bytes)) await file.write(part, offset)
      at += bytes.length
    }
    if (map !== undefined) throw new RangeError('the map of a sparse file does not end')
    if (file.end() === 'incomplete') this.#later.push({ path, attributes })
  }

  /** Waits for the threads, whether they fail or not. */
  async settle(): Promise<void> {
    await this.#batches.flush()
  }

  /** What needs all files to be there. */
  finish(): void {
    for (const link of this.#links) {
      const path = this.#placeOf(link.name)
      const target = this.#placeOf(normalized(link.target ?? ''))
      this.#attempt(path, () => linkSync(onDisk(target), onDisk(path)))
    }
    for (const { path, attributes: { owner, mode, time } } of this.#later.reverse()) {
      const place = onDisk(path)
      this.#attempt(path, () => {
        if (owner !== undefined) lchownSync(place, owner.uid, owner.gid)
        chmodSync(place, mode)
        setTime(place, time)
      })
    }
  }

  /** The full path of something below the root. Its directory is one that was made here, or is made now. */
  #placeOf(name: string): string {
    if (name.startsWith('/') || name.includes('\0') || name.split('/').includes('..')) {
      throw new DatastoreError('ARCHIVE_DAMAGED', `the archive has an entry outside of its root: ${readable(name)}`)
    }
    const directory = posix.dirname(name)
    if (!this.#directories.has(directory)) {
      mkdirSync(onDisk(this.#placeOf(directory)), { mode: 0o755 }) // fails if it is there: then it is no directory of ours
      this.#directories.add(directory)
    }
    return name === '.' ? this.#root : `${this.#root}/${name}`
  }

  /** A set-id bit is meant for the owner it was set by: another one would lend all others his own rights. */
  #attributesOf({ mode, uid, gid, time }: TreeEntry): Attributes {
    if (this.#isRoot) return { mode, owner: { uid, gid }, time }
    const lent = (uid === process.geteuid?.() ? 0 : SET_USER_ID) | (gid === process.getegid?.() ? 0 : SET_GROUP_ID)
    return { mode: mode & ~lent, owner: undefined, time }
  }

  #attempt(path: string, action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#options.onProblem?.({ path: readable(path), message: (error as Error).message })
    }
  }
}

function checkedExtents(extents: readonly Extent[], { size }: TreeEntry): readonly Extent[] {
  if (extents.some(({ offset, length }) => offset + length > size)) throw new RangeError('the map of a sparse file goes beyond its end')
  return extents
}

/** Where in the file some bytes belong, the data of which `at` bytes came before. */
function* placed(extents: readonly Extent[], at: number, bytes: Uint8Array): Generator<{ readonly offset: number; readonly part: Uint8Array }> {
  let start = 0
  for (const { offset, length } of extents) {
    const from = Math.max(at, start)
    const to = Math.min(at + bytes.length, start + length)
    if (from < to) yield { offset: offset + from - start, part: bytes.subarray(from - at, to - at) }
    start += length
  }
}
