/**
 * backup.ts: a backup being written: what a server drives for its client, and what the high-level functions drive.
 *
 * The session holds its locks from start to end (backup-start.ts): its group and its snapshot exclusively, the previous snapshot shared. A
 * chunk may go into an index once the session knows it: because it was uploaded in it, or because the previous snapshot has it and it
 * is still in the store.
 *
 *   f1  everything that was written is on the disk          (sync level `filesystem`)
 *   f2  manifest lock X, all locks still ours
 *   f3  the manifest is renamed to its name                 from now on the snapshot is finished
 *   f4  the directory is on the disk
 *   f5  the locks go
 *
 * DEATH before f3 leaves a snapshot without manifest, which the next backup of the group removes, and chunks that nobody refers to, which
 * garbage collection removes. From f3 on it leaves a whole snapshot.
 */
import { join } from 'node:path'
import { checkOptions } from '../check.js'
import { checkBlob } from './blob.js'
import { removeEmptyGroup, removeSnapshot, type PreviousBackup, type StartedBackup } from './backup-start.js'
import { sha256 } from './digest.js'
import { DatastoreError } from './errors.js'
import { decodeFixedIndex, type FixedIndex } from './fixed-index.js'
import { FIXED_CHUNK_BYTES, MANIFEST_NAME } from './format.js'
import { checkChunkBytes, checkFixedSize, DynamicIndexWriter, FixedIndexWriter, type IndexHome, type WrittenArchive } from './index-writer.js'
import type { InsertResult } from './chunk-store.js'
import { type Manifest, withUnprotected } from './manifest.js'
import type { ManifestStore } from './manifest-store.js'
import { archiveKind, checkArchiveName, formatSnapshot, groupPath, snapshotPath, type SnapshotName } from './names.js'
import { replaceFile } from './replace.js'
import { SessionChunks, type UploadStatistics, verifyChunk } from './session-chunks.js'
import { inStore, type Store } from './store.js'

export interface InsertChunkOptions {
  /**
   * Decode an unencrypted chunk and compare it with its digest. Default true. False is for whoever has just made the chunk: it
   * takes about 10 ms of the calling thread for 4 MiB.
   */
  readonly verify?: boolean | undefined
}

export interface FixedIndexOptions {
  /** A power of two from 4096 to 4 MiB, which is the default, and all that other servers take. */
  readonly chunkBytes?: number | undefined
  /** Checksum of the previous snapshot's index of that name: its chunks stand for those that are not appended. Needs the same size. */
  readonly reuse?: Uint8Array | undefined
}

/** Listed in no manifest; may come later. */
const CLIENT_LOG_NAME = 'client.log.blob'

type State = 'open' | 'finishing' | 'finished' | 'aborted'

export class BackupSession {
  readonly snapshot: SnapshotName
  /** The snapshot that this one builds on. */
  readonly previous: PreviousBackup | undefined
  readonly #store: Store
  readonly #manifests: ManifestStore
  readonly #started: StartedBackup
  readonly #chunks: SessionChunks
  readonly #names = new Set<string>()
  readonly #written = new Map<string, WrittenArchive>()
  readonly #writers = new Map<string, FixedIndexWriter | DynamicIndexWriter>()
  readonly #pending = new Set<Promise<unknown>>()
  #state: State = 'open'

  /** @internal */
  constructor(store: Store, manifests: ManifestStore, snapshot: SnapshotName, started: StartedBackup) {
    this.#store = store
    this.#manifests = manifests
    this.#started = started
    this.#chunks = new SessionChunks(store.chunks, started.knownChunks)
    this.snapshot = snapshot
    this.previous = started.previous
  }

  /** Plain bytes by digest (64 hexadecimal digits) of what need not be uploaded: chunks of the previous snapshot and of this one. */
  get knownChunks(): ReadonlyMap<string, number> {
    return this.#chunks.known
  }

  /** What has been uploaded so far. */
  get statistics(): UploadStatistics {
    return this.#chunks.statistics
  }

  get #isFinished(): boolean {
    return this.#state === 'finished'
  }

  /** False if the session has ended, or its locks were broken by force. */
  get isOpen(): boolean {
    return this.#state === 'open' && this.#started.hold.isHeld
  }

  /**
   * Makes sure that a known chunk is still in the store, and will stay there until the session ends.
   *
   * @returns its plain length; undefined: it must be uploaded.
   */
  async reuseChunk(digest: Uint8Array): Promise<number | undefined> {
    this.#ensureOpen()
    return await this.#track(this.#chunks.reuse(digest))
  }

  /**
   * Uploads a chunk. Many may be under way at a time.
   *
   * @param plainBytes  Its length before compression and encryption.
   * @param encoded  The chunk's file: see encodeBlob().
   * @throws {DatastoreError} `CHUNK_DAMAGED`, `CHUNK_CONFLICT`, `FORMAT_…`, `DATASTORE_NO_SPACE`
   */
  async insertChunk(digest: Uint8Array, plainBytes: number, encoded: Uint8Array, options?: InsertChunkOptions): Promise<InsertResult> {
    this.#ensureOpen()
    const { verify = true } = checkOptions(options, ['verify'], 'options')
    if (verify) verifyChunk(digest, plainBytes, encoded)
    return await this.#track(this.#chunks.insert(digest, plainBytes, encoded))
  }

  /** A file of the previous snapshot as it is, unchecked; undefined: there is none. */
  async readPrevious(filename: string): Promise<Buffer | undefined> {
    this.#ensureOpen()
    const path = this.previous && `${snapshotPath(this.previous.snapshot)}/${checkArchiveName(filename)}`
    return path === undefined ? undefined : await this.#track(this.#store.files.read(inStore(this.#store, path)))
  }

  /**
   * The index of an image.
   *
   * @param size  Bytes; undefined: not known yet.
   */
  async createFixedIndex(filename: string, size?: number, options?: FixedIndexOptions): Promise<FixedIndexWriter> {
    const checked = checkOptions(options, ['chunkBytes', 'reuse'], 'options')
    this.#claim(filename, 'fixed')
    try {
      const chunkBytes = checkChunkBytes(checked.chunkBytes ?? FIXED_CHUNK_BYTES)
      const base = checked.reuse && await this.#track(this.#baseOf(filename, checkFixedSize(size), chunkBytes, checked.reuse))
      const writer = new FixedIndexWriter(this.#home, filename, checkFixedSize(size), chunkBytes, base)
      this.#writers.set(filename, writer)
      return writer
    } catch (error) {
      this.#names.delete(filename)
      throw error
    }
  }

  /** The index of a stream. */
  createDynamicIndex(filename: string): DynamicIndexWriter {
    this.#claim(filename, 'dynamic')
    const writer = new DynamicIndexWriter(this.#home, filename)
    this.#writers.set(filename, writer)
    return writer
  }

  async #baseOf(filename: string, size: number | undefined, chunkBytes: number, csum: Uint8Array): Promise<FixedIndex> {
    const raw = await this.readPrevious(filename)
    if (raw === undefined) throw new DatastoreError('ARCHIVE_MISSING', `there is no previous ${filename} to reuse`, { path: filename })
    const path = `${snapshotPath(this.previous!.snapshot)}/${filename}`
    const base = decodeFixedIndex(raw, path)
    if (!base.csum.equals(csum) || base.size !== size || base.chunkBytes !== chunkBytes) throw new DatastoreError('INDEX_WRONG', `the previous ${filename} is not the one that is to be reused`, { path })
    return base
  }

  /** @throws {DatastoreError} `ARCHIVE_EXISTS` */
  #claim(filename: string, kind: 'fixed' | 'dynamic' | 'blob'): void {
    this.#ensureOpen()
    checkArchiveName(filename)
    if (archiveKind(filename) !== kind) throw new RangeError(`${filename} has the extension of a ${archiveKind(filename)} archive, not of a ${kind} one`)
    if (filename === MANIFEST_NAME) throw new RangeError(`${MANIFEST_NAME} is written by finish()`)
    if (this.#names.has(filename)) throw new DatastoreError('ARCHIVE_EXISTS', `the session has an archive ${filename}`, { path: filename })
    this.#names.add(filename)
  }

  readonly #home: IndexHome = {
    ensureChunk: async (digest, bytes) => {
      this.#ensureOpen()
      await this.#track(this.#chunks.ensure(digest, bytes))
    },
    storeIndex: async (filename, encoded, archive) => {
      this.#ensureOpen()
      const path = inStore(this.#store, join(snapshotPath(this.snapshot), filename))
      await this.#track(this.#storeIndex(path, encoded))
      this.#written.set(filename, archive)
      this.#writers.delete(filename)
    },
    dropIndex: filename => {
      this.#writers.delete(filename)
      this.#names.delete(filename)
    },
  }

  async #storeIndex(path: string, encoded: Buffer): Promise<void> {
    const { files, owner, syncLevel } = this.#store
    const temporary = path.replace(/\.([fd]idx)$/, '.tmp_$1')
    try {
      await files.create(temporary, encoded, { owner, sync: syncLevel === 'file' })
      await files.rename(temporary, path)
    } catch (error) {
      await files.unlink(temporary).catch(() => false)
      throw error
    }
  }

  /**
   * A small file as a blob, complete with its checksum.
   *
   * @throws {DatastoreError} `FORMAT_…`, `ARCHIVE_EXISTS`
   */
  async addBlob(filename: string, raw: Uint8Array): Promise<WrittenArchive> {
    this.#claim(filename, 'blob')
    try {
      checkBlob(raw, filename)
      const { files, owner, syncLevel } = this.#store
      await this.#track(replaceFile(files, inStore(this.#store, join(snapshotPath(this.snapshot), filename)), raw, { owner, sync: syncLevel === 'file' }))
      const archive = { filename, size: raw.length, csum: sha256(raw) }
      this.#written.set(filename, archive)
      return archive
    } catch (error) {
      this.#names.delete(filename)
      throw error
    }
  }

  /**
   * Ends the session: the snapshot is there from now on. The upload statistics are added to the manifest.
   *
   * On an error before the manifest is in place the session stays open, to be finished again or aborted.
   *
   * @throws {DatastoreError} `SESSION_INCOMPLETE`, `MANIFEST_WRONG`, `SESSION_LOST`, `LOCK_BUSY`, `DATASTORE_…`
   */
  async finish(manifest: Manifest): Promise<void> {
    this.#ensureOpen()
    if (this.#writers.size > 0 || this.#pending.size > 0) throw this.#incomplete(`${[...this.#writers.keys(), ...(this.#pending.size > 0 ? ['a chunk'] : [])].join(', ')} is still being written`)
    if (this.#written.size === 0) throw this.#incomplete('nothing was written')
    this.#checkManifest(manifest)
    this.#state = 'finishing'
    try {
      await this.#commit(withUnprotected(manifest, { chunk_upload_stats: { ...this.#chunks.statistics } }))
    } catch (error) {
      if (!this.#isFinished) this.#state = 'open'
      throw error
    } finally {
      if (this.#isFinished) this.#started.hold.release() // f5
    }
  }

  async #commit(manifest: Manifest): Promise<void> {
    const { files, syncLevel, base } = this.#store
    const directory = inStore(this.#store, snapshotPath(this.snapshot))
    if (syncLevel === 'filesystem') await files.syncFilesystem(base) // f1
    if (await files.info(directory) === undefined) throw this.#lost('its directory is gone')
    const guard = await this.#manifests.lockFor(this.#started.hold, this.snapshot) // f2
    try {
      if (!this.#started.hold.isHeld) throw this.#lost('its locks were broken')
      await this.#manifests.store(this.snapshot, manifest, guard) // f3
      this.#state = 'finished'
      if (syncLevel === 'none') return
      for (const path of [directory, join(directory, '..'), join(directory, '../..')]) await files.syncDirectory(path) // f4
    } finally {
      guard.release()
    }
  }

  #checkManifest({ files }: Manifest): void {
    const what = formatSnapshot(this.snapshot)
    for (const { filename, size, csum } of files) {
      const written = this.#written.get(filename)
      if (written === undefined) throw new DatastoreError('MANIFEST_WRONG', `the manifest of ${what} has ${filename}, which was not written`)
      if (written.size !== size || !written.csum.equals(csum)) throw new DatastoreError('MANIFEST_WRONG', `the manifest of ${what} has another size or checksum of ${filename} than what was written`)
    }
    const listed = new Set(files.map(({ filename }) => filename))
    const missing = [...this.#written.keys()].filter(filename => !listed.has(filename) && filename !== CLIENT_LOG_NAME)
    if (missing.length > 0) throw new DatastoreError('MANIFEST_WRONG', `the manifest of ${what} lacks ${missing.join(', ')}`)
  }

  /** Ends the session and removes what it wrote, but for the chunks. Idempotent; nothing happens after finish(). */
  async abort(): Promise<void> {
    if (this.#state === 'finishing') throw this.#incomplete('it is being finished')
    if (this.#state !== 'open') return
    this.#state = 'aborted'
    await Promise.allSettled(this.#pending)
    const { hold, madeGroup } = this.#started
    try {
      if (!hold.isHeld) return // somebody else's by now
      await removeSnapshot(this.#store, this.snapshot)
      if (madeGroup) await removeEmptyGroup(this.#store, this.snapshot)
    } finally {
      hold.release()
    }
  }

  /** Aborts it unless it is finished. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.abort()
  }

  async #track<T>(action: Promise<T>): Promise<T> {
    this.#pending.add(action)
    try {
      return await action
    } finally {
      this.#pending.delete(action)
    }
  }

  #ensureOpen(): void {
    if (this.#state !== 'open') throw new DatastoreError('SESSION_ENDED', `the backup ${formatSnapshot(this.snapshot)} is ${this.#state}`)
    if (!this.#started.hold.isHeld) throw this.#lost('its locks were broken')
  }

  #lost(why: string): DatastoreError {
    return new DatastoreError('SESSION_LOST', `the backup ${formatSnapshot(this.snapshot)} cannot go on: ${why}`, { path: groupPath(this.snapshot) })
  }

  #incomplete(why: string): DatastoreError {
    return new DatastoreError('SESSION_INCOMPLETE', `the backup ${formatSnapshot(this.snapshot)} cannot end: ${why}`)
  }
}
