/**
 * datastore.ts: a store as a program sees it.
 */
import { join } from 'node:path'
import { checkBoolean, checkInteger, checkOneOf, checkOptions, checkSignal, checkString, checkTimeoutMs } from '../check.js'
import { BackupSession } from './backup.js'
import { startBackup } from './backup-start.js'
import type { Json, JsonObject } from './canonical-json.js'
import { ChunkStore, SYNC_LEVELS, type SyncLevel } from './chunk-store.js'
import type { CryptKey } from './crypt.js'
import { buildStore, checkBase, ownerFor } from './datastore-create.js'
import { DatastoreError } from './errors.js'
import { type Files, systemFiles } from './files.js'
import { changeOwner, readGroupNotes, readOwner, setProtection, writeGroupNotes } from './group-files.js'
import { filesOf, groupsOf, makeNamespace, namespacesBelow, removeNamespace, type SnapshotFiles, snapshotsOf } from './hierarchy.js'
import { type HoldOptions, LockTable, type RunningOperation, STORE_SPACES, StoreLocks } from './locking.js'
import type { Manifest } from './manifest.js'
import { type ManifestGuard, ManifestStore } from './manifest-store.js'
import { checkAuthId, checkBackupId, checkBackupType, checkNamespace, checkTime, type GroupName, MAX_NAMESPACE_DEPTH, type SnapshotName } from './names.js'
import { openSnapshot, type ReaderSession } from './reader.js'
import type { Store } from './store.js'

export interface DatastoreOptions {
  /**
   * The lock table of all processes that use the store: its path, or one that was opened with STORE_SPACES, which stays open at close().
   * Default: Datastore.defaultTablePath().
   */
  readonly table?: LockTable | string | undefined
  /** Default `filesystem`: what was written is on the disk when a backup has finished. */
  readonly syncLevel?: SyncLevel | undefined
  /** What `locktable status` calls this process, at most 28 bytes. Default: the script's name. */
  readonly label?: string | undefined
  /** For tests: see files.ts. @internal */
  readonly files?: Files | undefined
}

/** How long to wait for a lock. Default: not at all for groups and snapshots, 5 seconds for manifests. */
export interface WaitOptions {
  /** Milliseconds, 0 to 2^31-1. */
  readonly waitMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface StartBackupOptions extends WaitOptions {
  /** `user@realm` or `user@realm!token`: whose the group is, or is to be. */
  readonly owner: string
}

export interface OpenReaderOptions extends WaitOptions {
  /** For encrypted archives. */
  readonly key?: CryptKey | undefined
}

export interface ChangeOwnerOptions extends WaitOptions {
  /** Refuse if it is not this owner's any more. */
  readonly expected?: string | undefined
}

export interface VerifyState {
  readonly state: 'ok' | 'failed'
  /** The task that found out. */
  readonly upid: string
}

const OPEN_KEYS = ['table', 'syncLevel', 'label', 'files'] as const
const WAIT_KEYS = ['waitMs', 'signal'] as const

function waiting<T extends WaitOptions>(options: T | undefined, known: readonly (keyof T & string)[]): T & HoldOptions {
  const checked = checkOptions(options, known, 'options')
  if (checked.waitMs !== undefined) checkTimeoutMs(checked.waitMs, 'options.waitMs')
  if (checked.signal !== undefined) checkSignal(checked.signal, 'options.signal')
  return checked
}

function checkGroup<T extends GroupName>(group: T): T {
  checkNamespace(group.namespace)
  checkBackupType(group.type)
  checkBackupId(group.id)
  return group
}

function checkSnapshot(snapshot: SnapshotName): SnapshotName {
  checkTime(checkGroup(snapshot).time)
  return snapshot
}

export class Datastore {
  readonly #store: Store
  readonly #manifests: ManifestStore
  readonly #ownsTable: boolean
  #closed = false

  private constructor(store: Store, ownsTable: boolean) {
    this.#store = store
    this.#manifests = new ManifestStore(store)
    this.#ownsTable = ownsTable
  }

  /**
   * Makes a store in a directory that is new, or empty but for dot files, and opens it.
   *
   * @throws {DatastoreError} `DATASTORE_EXISTS`, `DATASTORE_NO_SPACE`, `DATASTORE_IO`, `LOCK_BUSY`
   * Cost: 65 536 directories, about a second on a local file system.
   */
  static async create(path: string, options?: DatastoreOptions): Promise<Datastore> {
    const base = checkBase(path)
    const { files = systemFiles } = checkOptions(options, OPEN_KEYS, 'options')
    await files.makeDirectory(base, undefined)
    const datastore = await Datastore.#join(base, options)
    const hold = datastore.#store.locks.begin('create', '.')
    try {
      await hold.take({ store: '.' })
      await buildStore(datastore.#store)
      return datastore
    } catch (error) {
      await datastore.close()
      throw error
    } finally {
      hold.release()
    }
  }

  /** @throws {DatastoreError} `DATASTORE_MISSING`; {LockError} `TABLE_…` */
  static async open(path: string, options?: DatastoreOptions): Promise<Datastore> {
    const base = checkBase(path)
    const { files = systemFiles } = checkOptions(options, OPEN_KEYS, 'options')
    for (const [name, kind] of [['.chunks', 'directory'], ['.lock', 'file']] as const) {
      if ((await files.info(join(base, name)))?.kind !== kind) throw new DatastoreError('DATASTORE_MISSING', `there is no datastore at ${base}: it has no ${name}`, { path: base })
    }
    return await Datastore.#join(base, options)
  }

  static async #join(base: string, options: DatastoreOptions = {}): Promise<Datastore> {
    const { files = systemFiles, syncLevel = 'filesystem', table, label } = options
    checkOneOf(syncLevel, SYNC_LEVELS, 'options.syncLevel')
    const info = await files.info(base)
    if (info?.kind !== 'directory') throw new DatastoreError('DATASTORE_MISSING', `${base} is no directory`, { path: base })
    const isOpen = table instanceof LockTable
    const opened = isOpen ? table : await LockTable.open(table ?? StoreLocks.defaultTablePath(), { spaces: STORE_SPACES, ...(label === undefined ? {} : { label }) })
    const locks = new StoreLocks(opened, info)
    const owner = ownerFor(info)
    const chunks = new ChunkStore({ base, files, locks, syncLevel, owner })
    return new Datastore({ base, files, locks, chunks, syncLevel, owner }, !isOpen)
  }

  /**
   * Root: /run/locktable-store, or where /run is not in memory /dev/shm/locktable-store; others: $XDG_RUNTIME_DIR/locktable-store.
   *
   * @throws {RangeError} There is no $XDG_RUNTIME_DIR.
   */
  static defaultTablePath(): string {
    return StoreLocks.defaultTablePath()
  }

  get path(): string {
    return this.#store.base
  }

  get chunks(): ChunkStore {
    return this.#usable.chunks
  }

  get locks(): StoreLocks {
    return this.#usable.locks
  }

  get #usable(): Store {
    if (this.#closed) throw new DatastoreError('DATASTORE_CLOSED', `${this.#store.base} is closed`)
    return this.#store
  }

  get #usableManifests(): ManifestStore {
    return this.#usable && this.#manifests
  }

  /** A namespace and all below it, parents first. */
  namespaces(namespace: readonly string[] = [], maxDepth = MAX_NAMESPACE_DEPTH): AsyncIterable<readonly string[]> {
    checkInteger(maxDepth, 'maxDepth', 0, MAX_NAMESPACE_DEPTH)
    return namespacesBelow(this.#usable, checkNamespace(namespace), maxDepth)
  }

  /** @throws {DatastoreError} `NAMESPACE_EXISTS`; `NAMESPACE_MISSING`: its parent is */
  async createNamespace(namespace: readonly string[]): Promise<void> {
    await makeNamespace(this.#usable, namespace)
  }

  /** @throws {DatastoreError} `NAMESPACE_MISSING`, `NAMESPACE_NOT_EMPTY` */
  async removeNamespace(namespace: readonly string[]): Promise<void> {
    await removeNamespace(this.#usable, checkNamespace(namespace))
  }

  /** The groups of one namespace, in order; none that is being removed. */
  async groups(namespace: readonly string[] = []): Promise<readonly GroupName[]> {
    return await groupsOf(this.#usable, namespace)
  }

  /** The snapshots of a group, oldest first, unfinished ones included; none if there is no such group. */
  async snapshots(group: GroupName): Promise<readonly SnapshotName[]> {
    return await snapshotsOf(this.#usable, checkGroup(group))
  }

  /** What a snapshot's directory has; undefined: there is no such snapshot. */
  async snapshotFiles(snapshot: SnapshotName): Promise<SnapshotFiles | undefined> {
    return await filesOf(this.#usable, checkSnapshot(snapshot))
  }

  /** Undefined: there is no such group, or it has no owner. */
  async owner(group: GroupName): Promise<string | undefined> {
    return await readOwner(this.#usable, checkGroup(group))
  }

  /** @throws {DatastoreError} `LOCK_BUSY`, `GROUP_MISSING`, `OWNER_WRONG` */
  async setOwner(group: GroupName, owner: string, options?: ChangeOwnerOptions): Promise<void> {
    const { expected, ...wait } = waiting(options, ['expected', ...WAIT_KEYS])
    await changeOwner(this.#usable, checkGroup(group), owner, expected, wait)
  }

  /** Empty: none. @throws {DatastoreError} `GROUP_MISSING` */
  async groupNotes(group: GroupName): Promise<string> {
    return await readGroupNotes(this.#usable, checkGroup(group))
  }

  /** @throws {DatastoreError} `LOCK_BUSY`, `GROUP_MISSING` */
  async setGroupNotes(group: GroupName, notes: string, options?: WaitOptions): Promise<void> {
    await writeGroupNotes(this.#usable, checkGroup(group), notes, waiting(options, WAIT_KEYS))
  }

  /** A protected snapshot is not removed. @throws {DatastoreError} `LOCK_BUSY`, `SNAPSHOT_MISSING` */
  async setProtected(snapshot: SnapshotName, value: boolean, options?: WaitOptions): Promise<void> {
    await setProtection(this.#usable, checkSnapshot(snapshot), checkBoolean(value, 'value'), waiting(options, WAIT_KEYS))
  }

  /**
   * Starts a backup. Its group and the snapshot that it builds on are locked until it ends; what dead backups of the group left is
   * removed.
   *
   * @throws {DatastoreError} `LOCK_BUSY`, `NAMESPACE_MISSING`, `OWNER_WRONG`, `SNAPSHOT_TOO_OLD`, `DATASTORE_…`
   */
  async startBackup(snapshot: SnapshotName, options: StartBackupOptions): Promise<BackupSession> {
    const { owner, ...wait } = waiting(options, ['owner', ...WAIT_KEYS])
    const started = await startBackup(this.#usable, this.#manifests, checkSnapshot(snapshot), checkAuthId(owner, 'options.owner'), wait)
    return new BackupSession(this.#store, this.#manifests, snapshot, started)
  }

  /** Reads a snapshot, which stays until the session is closed. @throws {DatastoreError} `LOCK_BUSY`, `SNAPSHOT_MISSING` */
  async openReader(snapshot: SnapshotName, options?: OpenReaderOptions): Promise<ReaderSession> {
    const { key, ...wait } = waiting(options, ['key', ...WAIT_KEYS])
    return await openSnapshot(this.#usable, checkSnapshot(snapshot), () => this.#manifests.load(snapshot), key, wait)
  }

  /**
   * The manifest as it is now; frozen, because it is kept. Takes no lock.
   *
   * @throws {DatastoreError} `SNAPSHOT_MISSING`, `FORMAT_…`
   * Cost: six atomic operations and no system call, if nobody has locked it since it was read.
   */
  async loadManifest(snapshot: SnapshotName): Promise<Manifest> {
    return await this.#usableManifests.load(checkSnapshot(snapshot))
  }

  /** The manifest, and the lock that storeManifest() asks for. @throws {DatastoreError} `LOCK_BUSY`, `SNAPSHOT_MISSING`, `FORMAT_…` */
  async loadManifestLocked(snapshot: SnapshotName, options?: WaitOptions): Promise<[Manifest, ManifestGuard]> {
    return await this.#usableManifests.loadLocked(checkSnapshot(snapshot), waiting(options, WAIT_KEYS))
  }

  /** @throws {DatastoreError} `GUARD_INVALID`: released, lost, or of another snapshot; `MANIFEST_WRONG` */
  async storeManifest(snapshot: SnapshotName, manifest: Manifest, guard: ManifestGuard): Promise<void> {
    await this.#usableManifests.store(checkSnapshot(snapshot), manifest, guard)
  }

  /** Changes entries of a manifest that its signature does not cover; undefined removes one. @throws as loadManifestLocked() */
  async changeUnprotected(snapshot: SnapshotName, changes: Readonly<Record<string, Json | undefined>>, options?: WaitOptions): Promise<void> {
    await this.#usableManifests.change(checkSnapshot(snapshot), changes, waiting(options, WAIT_KEYS))
  }

  /** Empty: none. */
  async notes(snapshot: SnapshotName): Promise<string> {
    const { notes } = (await this.loadManifest(snapshot)).unprotected
    return typeof notes === 'string' ? notes : ''
  }

  /** Empty removes them. */
  async setNotes(snapshot: SnapshotName, notes: string, options?: WaitOptions): Promise<void> {
    await this.changeUnprotected(snapshot, { notes: checkString(notes, 'notes') || undefined }, options)
  }

  /** What the last verification found; undefined: none was made. */
  async verifyState(snapshot: SnapshotName): Promise<JsonObject | undefined> {
    const { verify_state: state } = (await this.loadManifest(snapshot)).unprotected
    return typeof state === 'object' && state !== null && !Array.isArray(state) ? state as JsonObject : undefined
  }

  async setVerifyState(snapshot: SnapshotName, state: VerifyState, options?: WaitOptions): Promise<void> {
    checkOneOf(state.state, ['ok', 'failed'], 'state.state')
    await this.changeUnprotected(snapshot, { verify_state: { state: state.state, upid: checkString(state.upid, 'state.upid') } }, options)
  }

  /** What runs in the store, in all processes. */
  running(): readonly RunningOperation[] {
    return this.locks.running()
  }

  /** Leaves the lock table, if it was opened for this store: sessions that are still open lose their locks. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#ownsTable) await this.#store.locks.table.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
