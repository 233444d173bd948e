/**
 * read.ts: a directory as a tar stream, in entries that say where their bytes are; threads fetch them.
 */
import { FINGERPRINT_BYTES, fingerprintOf } from '../catalogue.js'
import type { FileProblem, Piece } from '../pipeline/jobs.js'
import type { WorkerPool } from '../pipeline/pool.js'
import type { StreamEntry } from '../pipeline/reuse.js'
import { byteString, readable } from './byte-path.js'
import { deviceIdOf, type Listed, type ListResult } from './list.js'
import { encodeHeader, paddingOf, TAR_BLOCK_BYTES, TAR_END } from './tar-header.js'

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

/** A file, directory, link …, or the end of the archive. */
export class TreeStreamEntry implements StreamEntry {
  readonly bytes: number
  readonly fingerprint: Uint8Array
  /** False: it may change without another fingerprint. */
  readonly isSettled: boolean
  readonly #header: Uint8Array
  readonly #number: number
  readonly #file: { readonly root: string; readonly listed: Listed; readonly bytes: number } | undefined

  constructor(header: Uint8Array, number: number, { fingerprint, root, file }: { readonly fingerprint?: Uint8Array; readonly root?: string; readonly file?: Listed | undefined } = {}) {
    const bytes = file?.extents?.reduce((sum, { length }) => sum + length, 0) ?? file?.size ?? 0
    this.bytes = header.length + bytes + paddingOf(bytes)
    this.fingerprint = fingerprint ?? fingerprintOf(header, undefined)
    this.isSettled = file?.isSettled ?? true
    this.#header = header
    this.#number = number
    this.#file = file && { root: root ?? '', listed: file, bytes }
  }

  * pieces(): Generator<Piece, void> {
    yield this.#header
    if (this.#file === undefined) return
    const { root, listed: { name, extents, size, changed }, bytes } = this.#file
    const path = `${root}/${name}`
    for (const { offset, length } of extents ?? [{ offset: 0, length: size }]) if (length > 0) yield { path, offset, length, changed, entry: this.#number }
    if (paddingOf(bytes) > 0) yield PADDING.subarray(0, paddingOf(bytes))
  }
}

/**
 * The archive of everything below `root`, a directory and no link to one: its entries, many at a time.
 *
 * A directory comes before what is in it, and all of that before anything else. Of several links to a file the first is a file, the others say so.
 */
export async function* treeEntries(root: string, options: TreeOptions): AsyncGenerator<readonly TreeStreamEntry[], void, undefined> {
  const path = byteString(root)
  const links = new Map<string, string>()
  let count = 0
  for await (const { entries, headers, fingerprints, problems } of listings(root, options)) {
    for (const problem of problems) options.onProblem?.(problem)
    yield entries.map((listed, i) => {
      options.onEntry?.(readable(listed.name), listed.size)
      const link = linkOf(listed, links)
      if (link !== undefined) return new TreeStreamEntry(link, count++)
      const fingerprint = fingerprints.subarray(i * FINGERPRINT_BYTES, (i + 1) * FINGERPRINT_BYTES)
      return new TreeStreamEntry(headers.subarray(listed.from, listed.to), count++, { fingerprint, root: path, file: listed.isFile ? listed : undefined })
    })
  }
  yield [new TreeStreamEntry(TAR_END, count)]
}

/** The header of what is a link to an earlier entry. */
function linkOf({ name, shared }: Listed, links: Map<string, string>): Uint8Array | undefined {
  if (shared === undefined) return undefined
  const first = links.get(shared.identity)
  if (first !== undefined) return encodeHeader({ ...shared.entry, type: 'link', size: 0, extents: undefined, target: first })
  links.set(shared.identity, name)
  return undefined
}

interface Listing {
  /** As in a job: the next one last. */
  readonly directories: readonly string[]
  job?: Promise<ListResult>
}

/**
 * Parts of the tree, in order. What a job leaves over is two parts, so that all threads have something to list; as many jobs are ahead of
 * whoever takes the results, and no more: each holds a thousand entries and their headers.
 */
async function* listings(root: string, { pool, exclude = [], oneFileSystem, settledNs }: TreeOptions): AsyncGenerator<ListResult, void, undefined> {
  const deviceId = oneFileSystem === true ? deviceIdOf(root) : undefined
  const begin = (directories: readonly string[]): Promise<ListResult> => {
    const job = pool.run({ kind: 'list', root: byteString(root), directories, maxEntries: ENTRIES_PER_JOB, exclude, deviceId, settledNs })
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
