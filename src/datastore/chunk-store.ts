/**
 * chunk-store.ts: the chunks of a store: one file each, named by digest, in 65 536 directories.
 *
 *   .chunks/0000 … ffff/<64 hex>               a chunk
 *   .chunks/XXXX/<64 hex>.<0-9>.bad            one that was found damaged
 *   .chunks/XXXX/<64 hex>.tmp_XXXXXX           one that was being written when its writer died, or is being written
 *
 * An insert writes a temporary file and links it to its name: of many who insert one chunk at a time, one has stored it. Who inserts or
 * touches a chunk holds its chunk lock shared, who removes one exclusively: so nothing is removed after it was touched for being old before.
 */
import { join } from 'node:path'
import { blobKind, type BlobKind } from './blob.js'
import { decideChunk, needsKind } from './chunk-rules.js'
import { DIGEST_BYTES, type Digest, tryDigestFromHex } from './digest.js'
import { DatastoreError } from './errors.js'
import type { CreateOptions, FileInfo, Files, Owner } from './files.js'
import { BLOB, MAGIC_BYTES, MAX_BLOB_BYTES } from './format.js'
import type { StoreLocks } from './locking.js'
import { chunkPath } from './names.js'
import { isTemporary, removeTree, temporaryName, withTemporary } from './replace.js'

/** `none`: the kernel writes when it likes. `file`: every chunk is on the disk when its insert returns. `filesystem`: all at once, at the end. */
export type SyncLevel = 'none' | 'file' | 'filesystem'
export const SYNC_LEVELS: readonly SyncLevel[] = ['none', 'file', 'filesystem']

export interface InsertResult {
  /** The store had it already. */
  readonly duplicate: boolean
  /** Bytes of its file. */
  readonly storedBytes: number
}

export type ChunkFileKind = 'chunk' | 'bad' | 'temporary' | 'marker'

export interface ChunkFile {
  readonly digest: Digest
  readonly kind: ChunkFileKind
  readonly path: string
}

export interface ChunkStoreParts {
  readonly base: string
  readonly files: Files
  readonly locks: StoreLocks
  readonly syncLevel: SyncLevel
  readonly owner: Owner | undefined
}

const FAN_OUT = 65_536
const CHUNKS = '.chunks'
/** Encoded: the plain bytes and the longest header. */
const MAX_CHUNK_FILE_BYTES = MAX_BLOB_BYTES + BLOB.CIPHERTEXT
/** Each a removal by somebody else at the worst moment. */
const INSERT_ATTEMPTS = 16
/** Directories that iterate() has begun to read: more than the threads of Node's pool. */
const LISTED_AHEAD = 8
const BAD = /^\.[0-9]\.bad$/

const fanOutName = (index: number): string => index.toString(16).padStart(4, '0')

/** Makes `.chunks` with all its directories; it appears when it is whole. Cost: about a second on a local file system. */
export async function createChunkDirectories(files: Files, base: string, owner: Owner | undefined): Promise<void> {
  const temporary = temporaryName(join(base, CHUNKS))
  try {
    await files.makeDirectories(base, [temporary.slice(base.length + 1)], owner)
    await files.makeDirectories(temporary, Array.from({ length: FAN_OUT }, (_, index) => fanOutName(index)), owner)
    await files.rename(temporary, join(base, CHUNKS))
  } catch (error) {
    await removeTree(files, temporary).catch(() => undefined)
    throw error
  }
}

export class ChunkStore {
  readonly #parts: ChunkStoreParts
  /** Inserts of this process that have not ended, by digest: a second one waits for the first. */
  readonly #inserting = new Map<string, Promise<InsertResult>>()

  constructor(parts: ChunkStoreParts) {
    this.#parts = parts
  }

  pathOf(digest: Uint8Array): string {
    if (digest.length !== DIGEST_BYTES) throw new RangeError(`the digest must have ${DIGEST_BYTES} bytes, not ${digest.length}`)
    return join(this.#parts.base, chunkPath(digest))
  }

  /**
   * Stores an encoded chunk, or touches the one that is there. Whether the bytes are those of the digest is the caller's business.
   *
   * @throws {DatastoreError} `CHUNK_CONFLICT`, `DATASTORE_NO_SPACE`, `DATASTORE_IO`
   */
  async insert(digest: Uint8Array, encoded: Uint8Array): Promise<InsertResult> {
    const path = this.pathOf(digest)
    const kind = blobKind(encoded, path)
    if (encoded.length > MAX_CHUNK_FILE_BYTES) throw new RangeError(`a chunk must have at most ${MAX_CHUNK_FILE_BYTES} bytes, not ${encoded.length}`)
    for (let other = this.#inserting.get(path); other !== undefined; other = this.#inserting.get(path)) {
      await other.catch(() => undefined)
    }
    const insertion = this.#insertLocked(digest, path, encoded, kind)
    this.#inserting.set(path, insertion)
    try {
      return await insertion
    } finally {
      this.#inserting.delete(path)
    }
  }

  async #insertLocked(digest: Uint8Array, path: string, encoded: Uint8Array, kind: BlobKind): Promise<InsertResult> {
    const guard = await this.#parts.locks.lockChunk(digest, 'shared')
    try {
      for (let attempt = 0; attempt < INSERT_ATTEMPTS; attempt++) {
        const stored = await this.#parts.files.info(path)
        const result = stored === undefined ? await this.#add(path, encoded) : await this.#meet(path, stored, encoded, kind)
        if (result !== undefined) return result
      }
      throw new DatastoreError('DATASTORE_IO', `${path} comes and goes: something else works on the chunks`, { path })
    } finally {
      guard.release()
    }
  }

  /** Undefined: somebody else was faster. */
  async #add(path: string, encoded: Uint8Array): Promise<InsertResult | undefined> {
    const { files } = this.#parts
    const linked = await withTemporary(files, path, encoded, this.#createOptions, async temporary => {
      const outcome = await files.link(temporary, path)
      if (outcome === 'impossible') await files.rename(temporary, path)
      else await files.unlink(temporary)
      return outcome !== 'exists'
    })
    if (!linked) return undefined
    if (this.#parts.syncLevel === 'file') await files.syncDirectory(join(path, '..'))
    return { duplicate: false, storedBytes: encoded.length }
  }

  /** Undefined: the one that was there is gone. */
  async #meet(path: string, stored: FileInfo, encoded: Uint8Array, kind: BlobKind): Promise<InsertResult | undefined> {
    const { files } = this.#parts
    if (stored.kind !== 'file') throw new DatastoreError('DATASTORE_IO', `${path} is not a regular file`, { path })
    const incoming = { bytes: encoded.length, kind }
    const storedKind = needsKind(stored.bytes, incoming) ? await this.#kindOf(path) : undefined
    const action = decideChunk({ bytes: stored.bytes, kind: storedKind }, incoming)
    if (action === 'conflict') throw new DatastoreError('CHUNK_CONFLICT', `${path} holds another chunk (${storedKind ?? 'of no kind'}, ${stored.bytes} bytes) than the ${kind} one of ${encoded.length} bytes`, { path })
    if (action === 'keep') return await files.touch(path) ? { duplicate: true, storedBytes: stored.bytes } : undefined
    await withTemporary(files, path, encoded, this.#createOptions, temporary => files.rename(temporary, path))
    if (this.#parts.syncLevel === 'file') await files.syncDirectory(join(path, '..'))
    return { duplicate: stored.bytes !== 0, storedBytes: encoded.length }
  }

  async #kindOf(path: string): Promise<BlobKind | undefined> {
    const start = await this.#parts.files.read(path, MAGIC_BYTES)
    try {
      return start === undefined ? undefined : blobKind(start, path)
    } catch {
      return undefined
    }
  }

  get #createOptions(): CreateOptions {
    return { owner: this.#parts.owner, sync: this.#parts.syncLevel === 'file' }
  }

  /** Notes that the chunk is in use: garbage collection goes by the time of access. False: there is none, or an empty file. */
  async touch(digest: Uint8Array): Promise<boolean> {
    const path = this.pathOf(digest)
    const guard = await this.#parts.locks.lockChunk(digest, 'shared')
    try {
      const stored = await this.#parts.files.info(path)
      return stored?.kind === 'file' && stored.bytes > 0 && await this.#parts.files.touch(path)
    } finally {
      guard.release()
    }
  }

  /**
   * The file's bytes, unchecked: see decodeBlob().
   *
   * @throws {DatastoreError} `CHUNK_MISSING`
   */
  async read(digest: Uint8Array): Promise<Buffer> {
    const path = this.pathOf(digest)
    const bytes = await this.#parts.files.read(path, MAX_CHUNK_FILE_BYTES)
    if (bytes === undefined) throw new DatastoreError('CHUNK_MISSING', `the chunk ${path} is missing`, { path })
    return bytes
  }

  /** What is known of the chunk's file without opening it. */
  info(digest: Uint8Array): Promise<FileInfo | undefined> {
    return this.#parts.files.info(this.pathOf(digest))
  }

  /** All files of chunks, directory by directory. What comes or goes meanwhile may be in it or not; foreign names are passed over. */
  async* iterate(): AsyncGenerator<ChunkFile, void> {
    const directoryOf = (index: number): string => join(this.#parts.base, CHUNKS, fanOutName(index))
    for await (const [index, entries] of ahead(FAN_OUT, LISTED_AHEAD, next => this.#parts.files.list(directoryOf(next)))) {
      const directory = directoryOf(index)
      for (const { name, kind } of entries ?? []) {
        const found = kind === 'file' ? parseChunkName(name) : undefined
        if (found !== undefined) yield { ...found, path: join(directory, name) }
      }
    }
  }

  /**
   * Removes one of iterate()'s files if `isOld` says so, with nobody touching or inserting that chunk in between.
   *
   * @returns what is known of the file, and whether it was removed; undefined: it had vanished.
   */
  async sweep(file: ChunkFile, isOld: (info: FileInfo) => boolean): Promise<{ readonly info: FileInfo; readonly removed: boolean } | undefined> {
    const { files, locks } = this.#parts
    const guard = await locks.lockChunk(file.digest, 'exclusive')
    try {
      const info = await files.info(file.path)
      if (info?.kind !== 'file') return undefined
      return { info, removed: isOld(info) && await files.unlink(file.path) }
    } finally {
      guard.release()
    }
  }
}

/** The results of many calls in order, with some of them under way ahead of the one that is awaited. */
async function* ahead<T>(count: number, depth: number, call: (index: number) => Promise<T>): AsyncGenerator<[index: number, result: T], void> {
  const started: Promise<T>[] = []
  for (let index = 0; index < count; index++) {
    while (started.length < depth && index + started.length < count) {
      const next = call(index + started.length)
      next.catch(() => undefined) // it is awaited in its turn, or not at all
      started.push(next)
    }
    yield [index, await started.shift()!]
  }
}

function parseChunkName(name: string): { readonly digest: Digest; readonly kind: ChunkFileKind } | undefined {
  const digest = tryDigestFromHex(name.slice(0, 2 * DIGEST_BYTES))
  if (digest === undefined) return undefined
  const rest = name.slice(2 * DIGEST_BYTES)
  const kind = rest === '' ? 'chunk' : BAD.test(rest) ? 'bad' : rest === '.using' ? 'marker' : isTemporary(name) ? 'temporary' : undefined
  return kind && { digest, kind }
}
