/**
 * read.ts: a directory as a tar stream, in pieces that say where the bytes are; threads fetch them.
 */
import type { FileProblem, Piece } from '../pipeline/jobs.js'
import type { WorkerPool } from '../pipeline/pool.js'
import { byteString, readable } from './byte-path.js'
import { deviceIdOf, type Listed, type ListResult } from './list.js'
import { encodeHeader, paddingOf, TAR_BLOCK_BYTES, TAR_END } from './tar-header.js'

export interface TreeOptions {
  readonly pool: WorkerPool
  readonly exclude?: readonly string[] | undefined
  /** What is mounted in the tree is an empty directory. Default false. */
  readonly oneFileSystem?: boolean | undefined
  readonly onProblem?: ((problem: FileProblem) => void) | undefined
  /** Called for every file, directory and the like. */
  readonly onEntry?: ((name: string, bytes: number) => void) | undefined
}

/** A job of some 20 ms, and contents for the other threads meanwhile. */
const ENTRIES_PER_JOB = 1000
const PADDING = new Uint8Array(TAR_BLOCK_BYTES)

/**
 * The pieces of the archive of everything below `root`, a directory and no link to one.
 *
 * A directory comes before what is in it, and all of that before anything else. Of several links to a file the first is a file, the others say so.
 */
export async function* treePieces(root: string, options: TreeOptions): AsyncGenerator<Piece, void, undefined> {
  const path = byteString(root)
  const links = new Map<string, string>()
  for await (const { entries, headers, problems } of listings(root, options)) {
    for (const problem of problems) options.onProblem?.(problem)
    for (const listed of entries) {
      yield* entryPieces(path, listed, headers, links)
      options.onEntry?.(readable(listed.name), listed.size)
    }
  }
  yield TAR_END
}

/** The next job is begun when the one before it has ended, while its result is used. */
async function* listings(root: string, { pool, exclude = [], oneFileSystem }: TreeOptions): AsyncGenerator<ListResult, void, undefined> {
  const deviceId = oneFileSystem === true ? deviceIdOf(root) : undefined
  const begin = (directories: readonly string[]): Promise<ListResult> => {
    const job = pool.run({ kind: 'list', root: byteString(root), directories, maxEntries: ENTRIES_PER_JOB, exclude, deviceId })
    job.catch(() => undefined) // reported when its turn comes
    return job
  }
  for (let next: Promise<ListResult> | undefined = begin(['']); next !== undefined; ) {
    const result: ListResult = await next
    next = result.directories.length > 0 ? begin(result.directories) : undefined
    yield result
  }
}

function* entryPieces(root: string, { name, isFile, size, extents, changed, from, to, shared }: Listed, headers: Uint8Array, links: Map<string, string>): Generator<Piece> {
  const first = shared && links.get(shared.identity)
  if (first !== undefined) {
    yield encodeHeader({ ...shared!.entry, type: 'link', size: 0, extents: undefined, target: first })
    return
  }
  if (shared !== undefined) links.set(shared.identity, name)
  yield headers.subarray(from, to)
  if (!isFile) return
  const path = `${root}/${name}`
  let bytes = 0
  for (const { offset, length } of extents ?? [{ offset: 0, length: size }]) {
    if (length > 0) yield { path, offset, length, changed }
    bytes += length
  }
  if (paddingOf(bytes) > 0) yield PADDING.subarray(0, paddingOf(bytes))
}
