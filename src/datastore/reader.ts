/**
 * reader.ts: a snapshot being read: it cannot be removed meanwhile.
 */
import { join } from 'node:path'
import { checkInteger } from '../check.js'
import { blobKind, decodeBlob, isEncryptedKind } from './blob.js'
import type { ChunkIndex } from './chunk-index.js'
import type { CryptKey } from './crypt.js'
import { digestToHex, sha256 } from './digest.js'
import { decodeDynamicIndex } from './dynamic-index.js'
import { DatastoreError } from './errors.js'
import { decodeFixedIndex, type FixedIndex } from './fixed-index.js'
import { isFinished } from './hierarchy.js'
import type { Hold, HoldOptions } from './locking.js'
import type { Manifest, ManifestFile } from './manifest.js'
import { archiveKind, formatSnapshot, snapshotPath, type SnapshotName } from './names.js'
import { inStore, type Store } from './store.js'

/** Decoded chunks that an open archive keeps: the largest are 16 MiB. */
const KEPT_CHUNKS = 4

export async function openSnapshot(store: Store, snapshot: SnapshotName, load: () => Promise<Manifest>, key: CryptKey | undefined, options: HoldOptions): Promise<ReaderSession> {
  const hold = store.locks.begin('read', snapshotPath(snapshot))
  try {
    await hold.take({ snapshot: snapshotPath(snapshot) }, options)
    if (!await isFinished(store, snapshot)) throw new DatastoreError('SNAPSHOT_MISSING', `there is no finished snapshot ${formatSnapshot(snapshot)}`)
    return new ReaderSession(store, snapshot, await load(), hold, key)
  } catch (error) {
    hold.release()
    throw error
  }
}

export class ReaderSession {
  readonly snapshot: SnapshotName
  readonly manifest: Manifest
  readonly #store: Store
  readonly #hold: Hold
  readonly #key: CryptKey | undefined

  /** @internal */
  constructor(store: Store, snapshot: SnapshotName, manifest: Manifest, hold: Hold, key: CryptKey | undefined) {
    this.#store = store
    this.snapshot = snapshot
    this.manifest = manifest
    this.#hold = hold
    this.#key = key
  }

  /** False once closed, or if the snapshot's lock was broken by force. */
  get isOpen(): boolean {
    return this.#hold.isHeld
  }

  #ensureOpen(): void {
    if (!this.#hold.isHeld) throw new DatastoreError('SESSION_ENDED', `the reader of ${formatSnapshot(this.snapshot)} is closed`)
  }

  async #readFile(filename: string): Promise<{ readonly listed: ManifestFile; readonly path: string; readonly raw: Buffer }> {
    this.#ensureOpen()
    const listed = this.manifest.files.find(file => file.filename === filename)
    const path = inStore(this.#store, join(snapshotPath(this.snapshot), filename))
    const raw = listed && await this.#store.files.read(path)
    if (listed === undefined || raw === undefined) throw new DatastoreError('ARCHIVE_MISSING', `${formatSnapshot(this.snapshot)} has no ${filename}`, { path })
    return { listed, path, raw }
  }

  /** A blob's file as it is, compared with the manifest. */
  async readRawBlob(filename: string): Promise<Buffer> {
    const { listed, path, raw } = await this.#readFile(filename)
    if (listed.size !== raw.length || !listed.csum.equals(sha256(raw))) throw damaged(path)
    return raw
  }

  /**
   * What is in a blob.
   *
   * @throws {DatastoreError} `ARCHIVE_MISSING`, `ARCHIVE_DAMAGED`, `KEY_…`, `FORMAT_…`
   */
  async readBlob(filename: string): Promise<Buffer> {
    const raw = await this.readRawBlob(filename)
    return decodeBlob(raw, { where: this.#place(filename), key: this.#key })
  }

  #place(filename: string): string {
    return inStore(this.#store, join(snapshotPath(this.snapshot), filename))
  }

  /** An archive's index, compared with the manifest. */
  async readIndex(filename: string): Promise<ChunkIndex | FixedIndex> {
    const kind = archiveKind(filename)
    if (kind === undefined || kind === 'blob') throw new RangeError(`${filename} is no archive with an index`)
    const { listed, path, raw } = await this.#readFile(filename)
    const index = kind === 'fixed' ? decodeFixedIndex(raw, path) : decodeDynamicIndex(raw, path)
    if (listed.size !== index.size || !listed.csum.equals(index.csum)) throw damaged(path)
    return index
  }

  /** A chunk's file as it is, unchecked. */
  async readRawChunk(digest: Uint8Array): Promise<Buffer> {
    this.#ensureOpen()
    return await this.#store.chunks.read(digest)
  }

  /**
   * A chunk's plain bytes, compared with its digest and, if given, its length. Decodes in the calling thread.
   *
   * @throws {DatastoreError} `CHUNK_MISSING`, `CHUNK_DAMAGED`, `KEY_…`, `FORMAT_…`
   */
  async readChunk(digest: Uint8Array, plainBytes?: number): Promise<Buffer> {
    const raw = await this.readRawChunk(digest)
    const where = this.#store.chunks.pathOf(digest)
    const plain = decodeBlob(raw, { where, key: this.#key })
    const actual = isEncryptedKind(blobKind(raw, where)) ? this.#key?.chunkDigest(plain) : sha256(plain)
    if (!actual?.equals(digest)) throw new DatastoreError('CHUNK_DAMAGED', `${where} has the digest ${actual ? digestToHex(actual) : 'of another key'}`, { path: where })
    if (plainBytes !== undefined && plain.length !== plainBytes) throw new DatastoreError('CHUNK_DAMAGED', `${where} has ${plain.length} bytes, not ${plainBytes}`, { path: where })
    return plain
  }

  /** An image or stream, to be read from anywhere. */
  async openArchive(filename: string): Promise<ArchiveReader> {
    return new ArchiveReader(this, await this.readIndex(filename))
  }

  /** Idempotent. */
  close(): void {
    this.#hold.release()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

const damaged = (path: string): DatastoreError => new DatastoreError('ARCHIVE_DAMAGED', `${path} is not what the manifest says`, { path })

/** Random access to what an index lists. Keeps the latest chunks; parallel reads of one chunk load it once. */
export class ArchiveReader {
  readonly index: ChunkIndex
  readonly #session: ReaderSession
  readonly #chunks = new Map<number, Promise<Buffer>>()

  /** @internal */
  constructor(session: ReaderSession, index: ChunkIndex) {
    this.#session = session
    this.index = index
  }

  /** Bytes. */
  get size(): number {
    return this.index.size
  }

  /**
   * Some bytes from anywhere; fewer at the end, none behind it.
   *
   * @throws as ReaderSession.readChunk()
   */
  async read(offset: number, length: number): Promise<Buffer> {
    checkInteger(offset, 'offset', 0, Number.MAX_SAFE_INTEGER)
    checkInteger(length, 'length', 0, Number.MAX_SAFE_INTEGER)
    const end = Math.min(offset + length, this.size)
    const parts: Buffer[] = []
    for (let at = offset; at < end;) {
      const chunk = this.index.find(at)
      if (chunk === undefined) break
      const entry = this.index.entryAt(chunk)
      const plain = await this.#load(chunk)
      parts.push(plain.subarray(at - entry.start, Math.min(end, entry.end) - entry.start))
      at = entry.end
    }
    const [only] = parts
    return parts.length === 1 && only !== undefined ? Buffer.from(only) : Buffer.concat(parts)
  }

  #load(chunk: number): Promise<Buffer> {
    const { start, end, digest } = this.index.entryAt(chunk)
    const loading = this.#chunks.get(chunk) ?? this.#session.readChunk(digest, end - start)
    this.#chunks.delete(chunk)
    this.#chunks.set(chunk, loading)
    loading.catch(() => this.#chunks.delete(chunk))
    for (const oldest of this.#chunks.keys()) {
      if (this.#chunks.size <= KEPT_CHUNKS) break
      this.#chunks.delete(oldest)
    }
    return loading
  }
}
