/**
 * manifest-store.ts: reading a snapshot's manifest, and changing it under its lock.
 *
 * READING takes no lock and, as a rule, opens no file: the parsed manifest is kept as long as the lock's version says that nobody has
 * locked it since. Everything that writes or removes a manifest holds the lock exclusively meanwhile, so a version from before the
 * reading that is still the version afterwards means: nothing has changed.
 *
 * WRITING needs a guard: the type system asks for one, and it is checked to be held and to be this snapshot's.
 */
import { join } from 'node:path'
import type { Json } from './canonical-json.js'
import { DatastoreError } from './errors.js'
import { MANIFEST_NAME } from './format.js'
import type { Hold, HoldOptions } from './locking.js'
import { decodeManifest, encodeManifest, type Manifest, withUnprotected } from './manifest.js'
import { formatSnapshot, snapshotPath, type SnapshotName } from './names.js'
import { removeTemporaries, replaceFile } from './replace.js'
import { inStore, smallFile, type Store } from './store.js'

/** Parsed manifests that are kept, the latest used ones. */
const KEPT = 16_384

interface Kept {
  readonly manifest: Manifest
  readonly version: bigint
}

/** The exclusive lock of one snapshot's manifest. Release it. */
export class ManifestGuard {
  readonly snapshot: SnapshotName
  readonly #hold: Hold
  readonly #ends: () => void
  readonly #store: Store
  #released = false

  /** @internal */
  constructor(store: Store, snapshot: SnapshotName, hold: Hold, ends: () => void) {
    this.#store = store
    this.snapshot = snapshot
    this.#hold = hold
    this.#ends = ends
  }

  /** False once released or broken by force. */
  get isHeld(): boolean {
    return !this.#released && this.#hold.isHeld
  }

  /** @internal */
  fits(store: Store, snapshot: SnapshotName): boolean {
    return this.#store === store && snapshotPath(this.snapshot) === snapshotPath(snapshot)
  }

  /** Idempotent. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#ends()
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

export class ManifestStore {
  readonly #store: Store
  readonly #kept = new Map<string, Kept>()

  constructor(store: Store) {
    this.#store = store
  }

  #fileOf(snapshot: SnapshotName): string {
    return inStore(this.#store, join(snapshotPath(snapshot), MANIFEST_NAME))
  }

  /** The manifest as it is now. Several callers get the same object: it is frozen. */
  async load(snapshot: SnapshotName): Promise<Manifest> {
    const key = snapshotPath(snapshot)
    const { locks } = this.#store
    const handle = locks.table.space('manifest').handle(locks.nameOf(key))
    const kept = this.#kept.get(key)
    if (kept !== undefined && !handle.changedSince(kept.version)) return this.#keep(key, kept)
    const { version } = handle // before the file is read: what changes from now on is a later one
    this.#kept.delete(key)
    return this.#keep(key, { version, manifest: await this.#read(snapshot) })
  }

  async #read(snapshot: SnapshotName): Promise<Manifest> {
    const path = this.#fileOf(snapshot)
    const raw = await this.#store.files.read(path)
    if (raw === undefined) throw new DatastoreError('SNAPSHOT_MISSING', `there is no finished snapshot ${formatSnapshot(snapshot)}`, { path })
    return deepFreeze(decodeManifest(raw, path))
  }

  /** As the latest used. */
  #keep(key: string, kept: Kept): Manifest {
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    if (this.#kept.size > KEPT) for (const oldest of this.#kept.keys()) {
      this.#kept.delete(oldest)
      break
    }
    return kept.manifest
  }

  /** Waits 5 seconds for the lock, by default. */
  async loadLocked(snapshot: SnapshotName, options: HoldOptions = {}): Promise<[Manifest, ManifestGuard]> {
    const guard = await this.#lock(snapshot, options)
    try {
      return [await this.#read(snapshot), guard]
    } catch (error) {
      guard.release()
      throw error
    }
  }

  async #lock(snapshot: SnapshotName, options: HoldOptions): Promise<ManifestGuard> {
    const path = snapshotPath(snapshot)
    const hold = this.#store.locks.begin('update', path)
    try {
      await hold.take({ manifest: path }, options)
      if (hold.abandoned.length > 0) await removeTemporaries(this.#store.files, inStore(this.#store, path), MANIFEST_NAME)
      return new ManifestGuard(this.#store, snapshot, hold, () => hold.release())
    } catch (error) {
      hold.release()
      throw error
    }
  }

  /** The guard of a backup that holds the snapshot: its release gives back the manifest's lock only. */
  async lockFor(hold: Hold, snapshot: SnapshotName): Promise<ManifestGuard> {
    const sets = await hold.take({ manifest: snapshotPath(snapshot) })
    return new ManifestGuard(this.#store, snapshot, hold, () => hold.drop(sets))
  }

  /** @throws {DatastoreError} `GUARD_INVALID`, `MANIFEST_WRONG` */
  async store(snapshot: SnapshotName, manifest: Manifest, guard: ManifestGuard): Promise<void> {
    const what = formatSnapshot(snapshot)
    if (!(guard instanceof ManifestGuard)) throw new TypeError('guard must be the ManifestGuard of loadManifestLocked()')
    if (!guard.fits(this.#store, snapshot)) throw new DatastoreError('GUARD_INVALID', `the guard is of ${formatSnapshot(guard.snapshot)}, the manifest of ${what}`)
    const { backupType, backupId, backupTime } = manifest
    if (backupType !== snapshot.type || backupId !== snapshot.id || backupTime !== snapshot.time) {
      throw new DatastoreError('MANIFEST_WRONG', `the manifest is of ${backupType}/${backupId}, ${backupTime}, not of ${what}`)
    }
    const path = this.#fileOf(snapshot)
    const encoded = encodeManifest(manifest)
    decodeManifest(encoded, path) // what is stored can be loaded
    if (!guard.isHeld) throw new DatastoreError('GUARD_INVALID', `the guard of ${what} is not held any more`)
    await replaceFile(this.#store.files, path, encoded, smallFile(this.#store))
  }

  /** Changes the entries that are not signed; undefined removes one. */
  async change(snapshot: SnapshotName, changes: Readonly<Record<string, Json | undefined>>, options: HoldOptions): Promise<void> {
    const [manifest, guard] = await this.loadLocked(snapshot, options)
    try {
      await this.store(snapshot, withUnprotected(manifest, changes), guard)
    } finally {
      guard.release()
    }
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  for (const part of Object.values(value)) deepFreeze(part)
  return Object.freeze(value)
}
