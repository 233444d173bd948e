/**
 * measure.ts: about how much there is to back up, for the line of progress. A directory is walked while it is being backed up, which
 * takes as long as du(1).
 */
import type { Stats } from 'node:fs'
import { lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Source } from '../../datastore/index.js'

/** A header in a tar archive, with what only pax can say. */
const HEADER_BYTES = 1536
const BLOCK_BYTES = 512

/** Undefined: nobody knows, or it was aborted. */
export async function measure(sources: readonly Source[], signal: AbortSignal): Promise<number | undefined> {
  let total = 0
  for (const source of sources) {
    const bytes = await measureSource(source, signal)
    if (bytes === undefined || signal.aborted) return undefined
    total += bytes
  }
  return total
}

async function measureSource(source: Source, signal: AbortSignal): Promise<number | undefined> {
  if (source.kind === 'stream') return undefined
  // With something left out, only the walk of the backup itself knows.
  if (source.kind === 'directory') return source.exclude === undefined && !source.oneFileSystem ? await measureTree(source.path, signal) : undefined
  const found = await stat(source.path)
  return found.isFile() ? found.size : undefined
}

async function measureTree(root: string, signal: AbortSignal): Promise<number> {
  let total = 0
  const directories = [root]
  for (let path = directories.pop(); path !== undefined && !signal.aborted; path = directories.pop()) {
    const at = path
    const entries = await readdir(at, { withFileTypes: true }).catch(() => [])
    directories.push(...entries.filter(entry => entry.isDirectory()).map(({ name }) => join(at, name)))
    const sizes = await Promise.all(entries.filter(entry => entry.isFile()).map(({ name }) => lstat(join(at, name)).then(dataBytes, () => 0)))
    total += sizes.reduce((sum, bytes) => sum + Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES, 0) + entries.length * HEADER_BYTES
  }
  return total
}

/** Of a sparse file what is no hole, as in the archive. */
const dataBytes = ({ size, blocks }: Stats): number => Math.min(size, blocks * BLOCK_BYTES)
