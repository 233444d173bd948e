/**
 * hierarchy.ts: what is in a store: namespaces, groups, snapshots, read from its directories without a lock.
 *
 * Whatever vanishes while it is being listed was removed by somebody, and is not in the list. What does not have the name of what is listed
 * belongs to somebody else, and is passed over.
 */
import { join } from 'node:path'
import { DatastoreError } from './errors.js'
import type { FileEntry } from './files.js'
import { MANIFEST_NAME } from './format.js'
import {
  archiveKind, BACKUP_TYPES, checkNamespace, checkNewComponent, compareGroups, formatNamespace, type GroupName, groupPath, isBackupId, MAX_NAMESPACE_DEPTH,
  namespacePath, snapshotPath, type SnapshotName, tryParseTime,
} from './names.js'
import { inStore, type Store } from './store.js'

/** The marker of a protected snapshot. */
export const PROTECTED_NAME = '.protected'

/** What a snapshot's directory has. */
export interface SnapshotFiles {
  /** Names of archives and blobs, the manifest's included. */
  readonly archives: readonly string[]
  /** It has a manifest. */
  readonly finished: boolean
  readonly protected: boolean
}

async function directories(store: Store, path: string): Promise<string[]> {
  return (await store.files.list(inStore(store, path)) ?? []).filter(({ kind }) => kind === 'directory').map(({ name }) => name)
}

/** @throws {DatastoreError} `NAMESPACE_MISSING` */
export async function ensureNamespace(store: Store, namespace: readonly string[]): Promise<void> {
  const path = inStore(store, namespacePath(checkNamespace(namespace)))
  if ((await store.files.info(path))?.kind !== 'directory') throw new DatastoreError('NAMESPACE_MISSING', `there is no namespace ${formatNamespace(namespace)}`, { path })
}

/** The namespaces directly below one, by name. One whose name is not allowed is passed over. */
async function children(store: Store, parent: readonly string[]): Promise<readonly (readonly string[])[]> {
  if (parent.length >= MAX_NAMESPACE_DEPTH) return []
  const names = await directories(store, join(namespacePath(parent), 'ns'))
  return names.sort().map(name => [...parent, name]).filter(namespace => {
    try {
      return checkNamespace(namespace).length > 0
    } catch {
      return false
    }
  })
}

/** A namespace and those below it, parents first, down to `depth` levels below. */
export async function* namespacesBelow(store: Store, namespace: readonly string[], depth: number): AsyncGenerator<readonly string[], void> {
  yield namespace
  if (depth <= 0) return
  for (const child of await children(store, namespace)) yield* namespacesBelow(store, child, depth - 1)
}

export async function makeNamespace(store: Store, namespace: readonly string[]): Promise<void> {
  const parent = checkNamespace(namespace).slice(0, -1)
  checkNewComponent(namespace.at(-1) ?? '')
  await ensureNamespace(store, parent)
  await store.files.makeDirectory(inStore(store, join(namespacePath(parent), 'ns')), store.owner)
  const path = inStore(store, namespacePath(namespace))
  if (!await store.files.makeDirectory(path, store.owner)) throw new DatastoreError('NAMESPACE_EXISTS', `the namespace ${formatNamespace(namespace)} exists`, { path })
}

/** Its empty directories go with it; whoever makes a group in it at this moment is told that the namespace is missing, or keeps it. */
export async function removeNamespace(store: Store, namespace: readonly string[]): Promise<void> {
  await ensureNamespace(store, namespace)
  if (namespace.length === 0) throw new RangeError('the root namespace cannot be removed')
  const path = namespacePath(namespace)
  for (const name of [...BACKUP_TYPES, 'ns']) await store.files.removeDirectory(inStore(store, join(path, name)))
  if (await store.files.removeDirectory(inStore(store, path))) return
  if (await store.files.info(inStore(store, path)) !== undefined) throw new DatastoreError('NAMESPACE_NOT_EMPTY', `the namespace ${formatNamespace(namespace)} is not empty`, { path: inStore(store, path) })
}

/** The groups of one namespace, in order. */
export async function groupsOf(store: Store, namespace: readonly string[]): Promise<readonly GroupName[]> {
  await ensureNamespace(store, namespace)
  const groups: GroupName[] = []
  for (const type of BACKUP_TYPES) {
    const ids = await directories(store, join(namespacePath(namespace), type))
    groups.push(...ids.filter(isBackupId).map(id => ({ namespace, type, id })))
  }
  return groups.sort(compareGroups)
}

/** The snapshots of a group, finished or not, oldest first; none if there is no such group. */
export async function snapshotsOf(store: Store, group: GroupName): Promise<readonly SnapshotName[]> {
  const { namespace, type, id } = group
  const times = (await directories(store, groupPath(group))).map(tryParseTime).filter(time => time !== undefined)
  return times.sort((a, b) => a - b).map(time => ({ namespace, type, id, time }))
}

/** Undefined: there is no such snapshot. */
export async function filesOf(store: Store, snapshot: SnapshotName): Promise<SnapshotFiles | undefined> {
  const entries = await store.files.list(inStore(store, snapshotPath(snapshot)))
  return entries && describe(entries.filter(({ kind }) => kind === 'file'))
}

function describe(entries: readonly FileEntry[]): SnapshotFiles {
  const names = entries.map(({ name }) => name).sort()
  return { archives: names.filter(name => archiveKind(name) !== undefined), finished: names.includes(MANIFEST_NAME), protected: names.includes(PROTECTED_NAME) }
}

export async function isFinished(store: Store, snapshot: SnapshotName): Promise<boolean> {
  return (await store.files.info(inStore(store, join(snapshotPath(snapshot), MANIFEST_NAME))))?.kind === 'file'
}

export async function isProtected(store: Store, snapshot: SnapshotName): Promise<boolean> {
  return await store.files.info(inStore(store, join(snapshotPath(snapshot), PROTECTED_NAME))) !== undefined
}
