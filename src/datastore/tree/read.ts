/**
 * read.ts: a directory as a tar stream, in entries that say where their bytes are; threads fetch them.
 */
import { FINGERPRINT_BYTES, fingerprintOf } from '../catalogue.js'
import type { FileProblem, Piece } from '../pipeline/jobs.js'
import type { WorkerPool } from '../pipeline/pool.js'
import type { StreamEntry } from '../pipeline/reuse.js'
import { byteString, readable } from './byte-path.js'
import { Files, deviceIdOf } from './file-table.js'
import { hasContents } from './fingerprint.js'
import type { ListResult } from './list.js'
import { encodeHeader, type FileTime, headerBytes, paddingOf, TAR_BLOCK_BYTES, TAR_END, type TreeEntry } from './tar-header.js'

export interface TreeOptions {
  readonly pool: WorkerPool
  readonly exclude?: readonly string[] | undefined
  /** What is mounted in the tree is an empty directory. Default false. */
  readonly oneFileSystem?: boolean | undefined
  /** The latest time of a change of status that is old enough to be trusted: settledAt() the time when this is called. */
  readonly settledNs: bigint
  readonly onProblem?: ((problem: FileProblem) => void) | undefined
  /** Called for every file, directory and the like. */
  readonly onEntry?: ((name: string, bytes: number) => void) | undefined
}

/** A job of some 20 ms, and contents for the other threads meanwhile. */
const ENTRIES_PER_JOB = 1000
const PADDING = new Uint8Array(TAR_BLOCK_BYTES)
const NANOSECONDS = 1_000_000_000n

/** A file, directory, link …, or the end of the archive. */
export type TreeStreamEntry = StreamEntry & {
  /** False: it may change without another fingerprint. */
  readonly isSettled: boolean
}

/** What is in the archive as it is here: a link to an earlier entry, the end. */
class PlainEntry implements TreeStreamEntry {
  readonly bytes: number
  readonly fingerprint: Uint8Array
  readonly isSettled = true
  readonly #piece: Uint8Array

  constructor(piece: Uint8Array) {
    this.bytes = piece.length
    this.fingerprint = fingerprintOf(piece)
    this.#piece = piece
  }

  pieces(): Iterable<Piece> {
    return [this.#piece]
  }
}

/** What the entries of a listing have in common. */
interface Listed {
  readonly root: string
  readonly files: Files
  readonly settled: FileTime
}

/** A file, directory …: what it says of itself, and for a file where its contents are. Its header is made when somebody asks for it. */
class FileEntry implements TreeStreamEntry {
  readonly bytes: number
  readonly fingerprint: Uint8Array
  readonly isSettled: boolean
  readonly #entry: TreeEntry
  readonly #dataBytes: number
  readonly #files: Files
  readonly #file: number
  readonly #root: string
  readonly #number: number

  /** @param number  among all entries */
  constructor({ root, files, settled }: Listed, file: number, entry: TreeEntry, fingerprint: Uint8Array, number: number) {
    const { extents, size } = entry
    this.#dataBytes = extents?.reduce((sum, { length }) => sum + length, 0) ?? size
    this.bytes = headerBytes(entry) + this.#dataBytes + paddingOf(this.#dataBytes)
    this.fingerprint = fingerprint
    this.isSettled = !hasContents(size, extents) || files.isSettledAt(file, settled)
    this.#entry = entry
    this.#files = files
    this.#file = file
    this.#root = root
    this.#number = number
  }

  * pieces(): Generator<Piece, void> {
    const { name, extents, size } = this.#entry
    yield encodeHeader(this.#entry)
    if (this.#dataBytes === 0) return
    const common = { path: `${this.#root}/${name}`, changed: this.#files.changedOf(this.#file), entry: this.#number }
    for (const { offset, length } of extents ?? [{ offset: 0, length: size }]) if (length > 0) yield { ...common, offset, length }
    const padding = paddingOf(this.#dataBytes)
    if (padding > 0) yield PADDING.subarray(0, padding)
  }
}

/**
 * The archive of everything below `root`, a directory and no link to one: its entries, many at a time.
 *
 * A directory comes before what is in it, and all of that before anything else. Of several links to a file the first is a file, the others say so.
 */
export async function* treeEntries(root: string, options: TreeOptions): AsyncGenerator<readonly TreeStreamEntry[], void, undefined> {
  const settled = timeOf(options.settledNs)
  const links = new Map<string, string>()
  let count = 0
  for await (const { files: table, fingerprints, extents, problems } of listings(root, options)) {
    for (const problem of problems) options.onProblem?.(problem)
    const files = new Files(table)
    const listed: Listed = { root: byteString(root), files, settled }
    const entries: TreeStreamEntry[] = []
    for (let file = 0; file < files.count; file++) {
      const entry = files.entryOf(file, files.typeOf(file)!, files.nameOf(file), extents.get(file))
      options.onEntry?.(readable(entry.name), entry.size)
      const link = linkOf(entry, files.sharedIdOf(file), links)
      const fingerprint = fingerprints.subarray(file * FINGERPRINT_BYTES, (file + 1) * FINGERPRINT_BYTES)
      entries.push(link ?? new FileEntry(listed, file, entry, fingerprint, count))
      count++
    }
    yield entries
  }
  yield [new PlainEntry(TAR_END)]
}

const timeOf = (nanoseconds: bigint): FileTime => ({ seconds: Number(nanoseconds / NANOSECONDS), nanoseconds: Number(nanoseconds % NANOSECONDS) })

/** What is a link to an earlier entry. */
function linkOf(entry: TreeEntry, sharedId: string | undefined, links: Map<string, string>): TreeStreamEntry | undefined {
  if (sharedId === undefined) return undefined
  const first = links.get(sharedId)
  if (first !== undefined) return new PlainEntry(encodeHeader({ ...entry, type: 'link', size: 0, extents: undefined, target: first }))
  links.set(sharedId, entry.name)
  return undefined
}

interface Listing {
  /** As in a job: the next one last. */
  readonly directories: readonly string[]
  job?: Promise<ListResult>
}

/**
 * Parts of the tree, in order. What a job leaves over is two parts, so that all threads have something to list; as many jobs are ahead of
 * whoever takes the results, and no more: each holds a thousand entries.
 */
async function* listings(root: string, { pool, exclude = [], oneFileSystem }: TreeOptions): AsyncGenerator<ListResult, void, undefined> {
  const deviceId = oneFileSystem === true ? deviceIdOf(root) : undefined
  const begin = (directories: readonly string[]): Promise<ListResult> => {
    const job = pool.run({ kind: 'list', root: byteString(root), directories, maxEntries: ENTRIES_PER_JOB, exclude, deviceId })
    job.catch(() => undefined) // reported when its turn comes
    return job
  }
  const parts: Listing[] = [{ directories: [''] }]
  while (parts.length > 0) {
    const { directories, job } = parts.shift()!
    const result = await (job ?? begin(directories))
    parts.unshift(...inHalves(result.directories))
    let free = pool.threadCount - parts.filter(part => part.job !== undefined).length
    for (const part of parts) {
      if (free <= 0) break
      if (part.job !== undefined) continue
      part.job = begin(part.directories)
      free--
    }
    yield result
  }
}

/** The half that comes first, and the other one. */
function inHalves(directories: readonly string[]): readonly Listing[] {
  const middle = directories.length >> 1
  return [{ directories: directories.slice(middle) }, { directories: directories.slice(0, middle) }].filter(part => part.directories.length > 0)
}
