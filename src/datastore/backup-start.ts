/**
 * backup-start.ts: what happens before a backup takes its first chunk.
 *
 *   b1  register as a writer                      from now on no chunk that is touched is swept
 *   b2  group lock X                              nobody else starts a backup of the group, or changes it
 *   b3  the group and its owner
 *   b4  remove what dead sessions left            a snapshot without manifest, whose lock is free
 *   b5  previous snapshot S, own X                the previous one stays as long as we refer to its chunks
 *   b6  own directory
 *   b7  known chunks of the previous snapshot
 *
 * DEATH at any of them leaves at most an empty group or a snapshot without manifest, and no lock. The next backup of the group goes on.
 */
import { DatastoreError } from './errors.js'
import { decodeDynamicIndex } from './dynamic-index.js'
import { digestToHex } from './digest.js'
import { decodeFixedIndex } from './fixed-index.js'
import { MANIFEST_NAME } from './format.js'
import { claimGroup } from './group-files.js'
import { ensureNamespace, isFinished, snapshotsOf } from './hierarchy.js'
import { BusyError, type Hold, type HoldOptions } from './locking.js'
import type { Manifest } from './manifest.js'
import type { ManifestStore } from './manifest-store.js'
import { archiveKind, formatSnapshot, groupPath, snapshotPath, type SnapshotName } from './names.js'
import { removeTree } from './replace.js'
import { inStore, type Store } from './store.js'

export interface PreviousBackup {
  readonly snapshot: SnapshotName
  readonly manifest: Manifest
}

export interface StartedBackup {
  readonly hold: Hold
  readonly previous: PreviousBackup | undefined
  /** Plain bytes by digest. */
  readonly knownChunks: Map<string, number>
  /** The group was made for this backup, and goes with it if it is aborted. */
  readonly madeGroup: boolean
}

export async function startBackup(store: Store, manifests: ManifestStore, snapshot: SnapshotName, owner: string, options: HoldOptions): Promise<StartedBackup> {
  const hold = store.locks.begin('backup', snapshotPath(snapshot)) // b1
  let madeGroup = false
  try {
    await ensureNamespace(store, snapshot.namespace)
    await hold.take({ group: groupPath(snapshot) }, options) // b2
    madeGroup = await claimGroup(store, hold, snapshot, owner) // b3
    const last = await lastFinished(store, snapshot, () => removeLeftover(store, hold)) // b4
    ensureLater(snapshot, last)
    const previous = await previousOf(manifests, hold, snapshot, last, options) // b5
    const directory = inStore(store, snapshotPath(snapshot))
    if (!await store.files.makeDirectory(directory, store.owner)) throw new DatastoreError('DATASTORE_IO', `${directory} cannot be removed`, { path: directory }) // b6
    try {
      return { hold, previous, knownChunks: await knownChunksOf(store, previous), madeGroup } // b7
    } catch (error) {
      await removeSnapshot(store, snapshot)
      throw error
    }
  } catch (error) {
    if (madeGroup) await removeEmptyGroup(store, snapshot).catch(() => undefined)
    hold.release()
    throw error
  }
}

type Remove = (snapshot: SnapshotName) => Promise<void>

async function lastFinished(store: Store, group: SnapshotName, remover: () => Remove): Promise<SnapshotName | undefined> {
  let last: SnapshotName | undefined
  for (const snapshot of await snapshotsOf(store, group)) {
    if (await isFinished(store, snapshot)) last = snapshot
    else await remover()(snapshot)
  }
  return last
}

/** We have the group: no backup of it is running, so a snapshot without manifest is a dead one's, unless somebody holds it for other reasons. */
const removeLeftover = (store: Store, hold: Hold): Remove => async snapshot => {
  try {
    const taken = await hold.take({ snapshot: snapshotPath(snapshot) }, { waitMs: 0 })
    try {
      if (!await isFinished(store, snapshot)) await removeSnapshot(store, snapshot)
    } finally {
      hold.drop(taken)
    }
  } catch (error) {
    if (!(error instanceof BusyError)) throw error
  }
}

/** The manifest first: from then on the snapshot is unfinished, and whoever dies now leaves what the next backup removes. */
export const removeSnapshot = (store: Store, snapshot: SnapshotName): Promise<void> => removeTree(store.files, inStore(store, snapshotPath(snapshot)), MANIFEST_NAME)

/** For whoever holds the group: removes it if there is no snapshot in it. */
export async function removeEmptyGroup(store: Store, group: SnapshotName): Promise<void> {
  if ((await snapshotsOf(store, group)).length === 0) await removeTree(store.files, inStore(store, groupPath(group)))
}

function ensureLater(snapshot: SnapshotName, last: SnapshotName | undefined): void {
  if (last === undefined || snapshot.time > last.time) return
  throw new DatastoreError('SNAPSHOT_TOO_OLD', `a backup must be later than ${formatSnapshot(last)}, which ${formatSnapshot(snapshot)} is not`)
}

async function previousOf(manifests: ManifestStore, hold: Hold, own: SnapshotName, last: SnapshotName | undefined, options: HoldOptions): Promise<PreviousBackup | undefined> {
  const manifest = last && await manifests.load(last).catch(unlessGone)
  const isBase = last !== undefined && manifest !== undefined && !hasFailed(manifest)
  await hold.take({ ...(isBase ? { previous: snapshotPath(last) } : {}), snapshot: snapshotPath(own) }, options)
  if (!isBase) return undefined
  const held = await manifests.load(last).catch(unlessGone) // somebody may have removed it before it was locked
  return held && { snapshot: last, manifest: held }
}

/** A manifest that cannot be read is no base: this backup uploads everything, and is the better one. */
function unlessGone(error: unknown): undefined {
  if (error instanceof DatastoreError && (error.code === 'SNAPSHOT_MISSING' || error.code.startsWith('FORMAT_'))) return undefined
  throw error
}

function hasFailed({ unprotected: { verify_state: state } }: Manifest): boolean {
  return typeof state === 'object' && state !== null && 'state' in state && state.state === 'failed'
}

async function knownChunksOf(store: Store, previous: PreviousBackup | undefined): Promise<Map<string, number>> {
  const known = new Map<string, number>()
  if (previous === undefined) return known
  for (const { filename } of previous.manifest.files) {
    const path = `${snapshotPath(previous.snapshot)}/${filename}`
    const kind = archiveKind(filename)
    if (kind !== 'fixed' && kind !== 'dynamic') continue
    const raw = await store.files.read(inStore(store, path))
    if (raw === undefined) continue
    try {
      const index = kind === 'fixed' ? decodeFixedIndex(raw, path) : decodeDynamicIndex(raw, path)
      for (const { start, end, digest } of index.entries()) known.set(digestToHex(digest), end - start)
    } catch (error) {
      unlessGone(error) // a damaged index: its chunks are uploaded again
    }
  }
  return known
}
