/**
 * restore.ts: a tar stream back into a directory. The stream is parsed here, files are written by the threads of a pool, a slab of them at
 * a time; what depends on files being complete (links to them, times of directories, attributes of large files) comes at the end.
 *
 * The directory is empty at first, and nothing is written but into directories that were made here: an archive with `..`, with absolute
 * names, or with a symbolic link on the way to a file gets nowhere outside.
 */
import { mkdirSync, readdirSync } from 'node:fs'
import { extract } from 'tar-stream'
import { DatastoreError } from '../errors.js'
import type { FileProblem } from '../pipeline/jobs.js'
import type { WorkerPool } from '../pipeline/pool.js'
import { readable } from './byte-path.js'
import { decodeHeader } from './tar-entry.js'
import { TreeWriter } from './tree-writer.js'

export interface RestoreTreeOptions {
  readonly pool: WorkerPool
  readonly onProblem?: ((problem: FileProblem) => void) | undefined
  readonly onEntry?: ((name: string, bytes: number) => void) | undefined
}

/** Its types have less than it has. */
type ExtractOptions = NonNullable<Parameters<typeof extract>[0]>

/** What an archive can bring about, and no other thing in a directory that was empty. */
const ARCHIVE_ERRNOS: ReadonlySet<unknown> = new Set(['EEXIST', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENAMETOOLONG', 'EINVAL', 'EFBIG'])

/**
 * Restores an archive into `root`, which is made if it is missing.
 *
 * Owners are restored by root alone. What cannot be made (devices, as an ordinary user) is a problem; the rest is restored all the same.
 * After an error there is what was restored before.
 *
 * @throws {DatastoreError} `TARGET_NOT_EMPTY`; `TARGET_IO`; `ARCHIVE_DAMAGED`: it is no tar archive, or one that would write elsewhere.
 */
export async function restoreTree(source: AsyncIterable<Uint8Array>, root: string, options: RestoreTreeOptions): Promise<void> {
  const tree = openTarget(root, options)
  const archive = extract({ filenameEncoding: 'latin1' } as ExtractOptions)
  const feeding = feed(source, archive)
  feeding.catch((error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))))
  try {
    for await (const stream of archive) {
      const entry = decodeHeader(stream.header)
      if (entry?.type === 'file') await tree.addFile(entry, stream as AsyncIterable<Uint8Array>)
      else if (entry !== undefined) tree.add(entry)
      stream.resume()
      if (entry !== undefined) options.onEntry?.(readable(entry.name), entry.size)
    }
    await feeding
    await tree.settle()
    tree.finish()
  } catch (error) {
    await tree.settle().catch(() => undefined)
    throw explained(error, root)
  } finally {
    archive.destroy(null)
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
  const isOfTar = /^(Invalid (tar )?header|Unexpected end of data|Header exceeds)/.test(error.message) || error instanceof RangeError
  if (isOfTar) return new DatastoreError('ARCHIVE_DAMAGED', `it is no tar archive, or a damaged one: ${error.message}`, { cause: error })
  if (ARCHIVE_ERRNOS.has(code)) return new DatastoreError('ARCHIVE_DAMAGED', `the archive cannot be restored: ${error.message}`, { path: root, cause: error })
  if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return new DatastoreError('TARGET_IO', `cannot restore into ${root}: ${error.message}`, { path: root, cause: error })
  return error
}

/** The memory of a piece is used again for the next: the parser gets a copy. */
async function feed(source: AsyncIterable<Uint8Array>, archive: ReturnType<typeof extract>): Promise<void> {
  for await (const bytes of source) {
    if (archive.destroyed) return
    if (!archive.write(Buffer.from(bytes))) await drained(archive)
  }
  archive.end(undefined)
}

/** Or closed. */
async function drained(archive: ReturnType<typeof extract>): Promise<void> {
  await new Promise<void>(resolve => {
    const done = (): void => {
      archive.off('drain', done).off('close', done)
      resolve()
    }
    archive.on('drain', done).on('close', done)
  })
}
