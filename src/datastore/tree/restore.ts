/**
 * restore.ts: a tar stream back into a directory. The headers are looked at here; the contents stay in the shared memory in which the
 * threads of a pool have put them, and from which the threads write the files. What depends on files being complete (links to them, times of
 * directories) comes at the end.
 *
 * The directory is empty at first, and nothing is written but into directories that were made here: an archive with `..`, with absolute
 * names, or with a symbolic link on the way to a file gets nowhere outside.
 */
import { mkdirSync, readdirSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { DatastoreError } from '../errors.js'
import type { FileProblem } from '../pipeline/jobs.js'
import type { WorkerPool } from '../pipeline/pool.js'
import type { SlabPart } from '../pipeline/slabs.js'
import { readable } from './byte-path.js'
import { TarReader } from './tar-reader.js'
import { TreeWriter } from './tree-writer.js'

export interface RestoreTreeOptions {
  readonly pool: WorkerPool
  readonly onProblem?: ((problem: FileProblem) => void) | undefined
  readonly onEntry?: ((name: string, bytes: number) => void) | undefined
}

/** Then the event loop gets a turn: some five milliseconds. */
const PARTS_PER_TURN = 512

/** What an archive can bring about, and no other thing in a directory that was empty. */
const ARCHIVE_ERRNOS: ReadonlySet<unknown> = new Set(['EEXIST', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENAMETOOLONG', 'EINVAL', 'EFBIG'])

/**
 * Restores an archive into `root`, which is made if it is missing. Slabs of the source are released when they are written.
 *
 * Owners are restored by root alone. What cannot be made (devices, as an ordinary user) is a problem; the rest is restored all the same.
 * After an error there is what was restored before.
 *
 * @throws {DatastoreError} `TARGET_NOT_EMPTY`; `TARGET_IO`; `ARCHIVE_DAMAGED`: it is no tar archive, or one that would write elsewhere.
 */
export async function restoreTree(source: AsyncIterable<SlabPart>, root: string, options: RestoreTreeOptions): Promise<void> {
  const tree = openTarget(root, options)
  const reader = new TarReader()
  try {
    for await (const { slab, length } of source) {
      try {
        reader.give(slab.bytes(0, length))
        tree.use(slab)
        await takeParts(reader, tree, options)
      } finally {
        tree.use(undefined) // what is to be written from the slab holds it from now on, after an error too
        slab.release()
      }
    }
    reader.end()
    await tree.settle()
    await tree.finish()
  } catch (error) {
    await tree.settle().catch(() => undefined)
    throw explained(error, root)
  }
}

/** Everything that is in a piece of the archive. */
async function takeParts(reader: TarReader, tree: TreeWriter, { onEntry, onProblem }: RestoreTreeOptions): Promise<void> {
  let count = 0
  for (let part = reader.next(); part !== undefined; part = reader.next()) {
    if (part.kind === 'content') tree.addContent(part.from, part.to)
    else if (part.kind === 'entry') {
      tree.add(part.entry)
      onEntry?.(readable(part.entry.name), part.entry.size)
    } else onProblem?.({ path: readable(part.name), message: `it is left out: nothing is known of its type, "${readable(part.flag)}"` })
    if (++count % PARTS_PER_TURN === 0) await setImmediate()
  }
}

function openTarget(root: string, options: RestoreTreeOptions): TreeWriter {
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 })
    if (readdirSync(root).length === 0) return new TreeWriter(root, options)
  } catch (error) {
    throw new DatastoreError('TARGET_IO', `cannot restore into ${root}: ${(error as Error).message}`, { path: root, cause: error })
  }
  throw new DatastoreError('TARGET_NOT_EMPTY', `${root} is not empty`, { path: root })
}

function explained(error: unknown, root: string): unknown {
  if (!(error instanceof Error) || error instanceof DatastoreError) return error
  const { code } = error as NodeJS.ErrnoException
  if (error instanceof RangeError) return new DatastoreError('ARCHIVE_DAMAGED', `it is no tar archive, or a damaged one: ${error.message}`, { cause: error })
  if (ARCHIVE_ERRNOS.has(code)) return new DatastoreError('ARCHIVE_DAMAGED', `the archive cannot be restored: ${error.message}`, { path: root, cause: error })
  if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return new DatastoreError('TARGET_IO', `cannot restore into ${root}: ${error.message}`, { path: root, cause: error })
  return error
}
