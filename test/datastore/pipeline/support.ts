/** A sink without a data store: chunks are files of one directory. */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Digest } from '../../../src/datastore/digest.js'
import type { IndexEntry } from '../../../src/datastore/chunk-index.js'
import { Slab, type SlabPart } from '../../../src/datastore/pipeline/slabs.js'
import type { ChunkSink, PackedChunk } from '../../../src/datastore/pipeline/pack.js'

export class FolderSink implements ChunkSink {
  readonly path = mkdtempSync(join(tmpdir(), 'locktable-chunks-'))
  /** By digest, in hexadecimal: times inserted. */
  readonly inserted = new Map<string, number>()
  knownChunks: Map<string, number> = new Map()
  /** Called before a chunk is written. */
  beforeInsert: (digest: Digest) => Promise<void> = async () => undefined

  async insertChunk(digest: Digest, _plainBytes: number, encoded: Buffer): Promise<void> {
    await this.beforeInsert(digest)
    const name = digest.toString('hex')
    this.inserted.set(name, (this.inserted.get(name) ?? 0) + 1)
    await writeFile(this.chunkPath(digest), encoded)
  }

  readonly missingChunks = new Set<string>()

  /** As a session: what is gone is not known any more. */
  async reuseChunk(digest: Digest): Promise<number | undefined> {
    const name = digest.toString('hex')
    if (existsSync(this.chunkPath(digest))) return this.knownChunks.get(name)
    this.knownChunks.delete(name)
    this.missingChunks.add(name)
    return undefined
  }

  chunkPath = (digest: Uint8Array): string => join(this.path, Buffer.from(digest).toString('hex'))

  get storedBytes(): number {
    return readdirSync(this.path).reduce((sum, name) => sum + statSync(join(this.path, name)).size, 0)
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Pieces of a stream, as they come from chunks: in shared memory. */
export async function* inSlabs(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<SlabPart> {
  for await (const piece of pieces) {
    const slab = new Slab(piece.length, () => undefined).retain()
    slab.bytes(0, piece.length).set(piece)
    yield { slab, length: piece.length }
  }
}

export function entriesOf(chunks: readonly PackedChunk[]): IndexEntry[] {
  return chunks.map(({ digest, end, length }) => ({ start: end - length, end, digest }))
}
