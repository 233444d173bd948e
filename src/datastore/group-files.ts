/**
 * group-files.ts: a group's owner and notes, and a snapshot's protection. Read without a lock, because each file is replaced whole.
 */
import { join } from 'node:path'
import { checkString } from '../check.js'
import { DatastoreError } from './errors.js'
import { isFinished, PROTECTED_NAME, snapshotsOf } from './hierarchy.js'
import type { Hold, HoldOptions } from './locking.js'
import { checkAuthId, formatGroup, formatSnapshot, type GroupName, groupPath, snapshotPath, type SnapshotName } from './names.js'
import { removeTemporaries, replaceFile } from './replace.js'
import { inStore, smallFile, type Store } from './store.js'

const OWNER_NAME = 'owner'
const NOTES_NAME = 'notes'
/** Of the owner's first line and of a group's notes; the rest is not read. */
const MAX_TEXT_BYTES = 1024 * 1024

const fileOf = (store: Store, group: GroupName, name: string): string => inStore(store, join(groupPath(group), name))

async function readText(store: Store, path: string): Promise<string | undefined> {
  return (await store.files.read(path, MAX_TEXT_BYTES))?.toString('utf8')
}

/** Undefined: nobody's, or there is no such group. */
export async function readOwner(store: Store, group: GroupName): Promise<string | undefined> {
  const [line] = (await readText(store, fileOf(store, group, OWNER_NAME)) ?? '').split('\n')
  return line?.trimEnd() || undefined
}

async function ensureGroup(store: Store, group: GroupName): Promise<void> {
  const path = inStore(store, groupPath(group))
  if ((await store.files.info(path))?.kind !== 'directory') throw new DatastoreError('GROUP_MISSING', `there is no group ${formatGroup(group)}`, { path })
}

/** What dies while it replaces one of the group's files leaves a temporary one, and this notice. */
async function afterDeath(store: Store, hold: Hold, group: GroupName): Promise<void> {
  if (hold.abandoned.length === 0) return
  for (const name of [OWNER_NAME, NOTES_NAME]) await removeTemporaries(store.files, inStore(store, groupPath(group)), name)
}

async function changingGroup<T>(store: Store, group: GroupName, options: HoldOptions, action: () => Promise<T>): Promise<T> {
  const hold = store.locks.begin('change-group', groupPath(group))
  try {
    await hold.take({ group: groupPath(group) }, options)
    await ensureGroup(store, group)
    await afterDeath(store, hold, group)
    return await action()
  } finally {
    hold.release()
  }
}

/**
 * For a backup that holds the group: makes the group and its owner, or checks that it is the owner's.
 *
 * @returns true if the group was made
 */
export async function claimGroup(store: Store, hold: Hold, group: GroupName, owner: string): Promise<boolean> {
  const path = inStore(store, groupPath(group))
  await store.files.makeDirectory(join(path, '..'), store.owner)
  const made = await store.files.makeDirectory(path, store.owner)
  await afterDeath(store, hold, group)
  const found = await readOwner(store, group)
  if (found === owner || found?.startsWith(`${owner}!`)) return made // a user may use the groups of its tokens
  if (found !== undefined) throw new DatastoreError('OWNER_WRONG', `${formatGroup(group)} belongs to ${found}, not to ${owner}`, { path })
  // Whoever made it died before it had an owner. With a backup in it, somebody has removed the owner: that is not ours to guess.
  for (const snapshot of await snapshotsOf(store, group)) {
    if (await isFinished(store, snapshot)) throw new DatastoreError('OWNER_WRONG', `${formatGroup(group)} has backups but no owner`, { path })
  }
  await replaceFile(store.files, fileOf(store, group, OWNER_NAME), Buffer.from(`${owner}\n`), smallFile(store))
  return made
}

/** Under the group's lock, where `expected` is looked at again. */
export async function changeOwner(store: Store, group: GroupName, owner: string, expected: string | undefined, options: HoldOptions): Promise<void> {
  checkAuthId(owner)
  await changingGroup(store, group, options, async () => {
    const found = await readOwner(store, group)
    if (expected !== undefined && found !== expected) throw new DatastoreError('OWNER_WRONG', `${formatGroup(group)} belongs to ${found ?? 'nobody'} by now, not to ${expected}`)
    await replaceFile(store.files, fileOf(store, group, OWNER_NAME), Buffer.from(`${owner}\n`), smallFile(store))
  })
}

export async function readGroupNotes(store: Store, group: GroupName): Promise<string> {
  const notes = await readText(store, fileOf(store, group, NOTES_NAME))
  if (notes === undefined) await ensureGroup(store, group)
  return notes ?? ''
}

export async function writeGroupNotes(store: Store, group: GroupName, notes: string, options: HoldOptions): Promise<void> {
  const bytes = Buffer.from(checkString(notes, 'the notes'))
  if (bytes.length > MAX_TEXT_BYTES) throw new RangeError(`the notes must have at most ${MAX_TEXT_BYTES} bytes, not ${bytes.length}`)
  await changingGroup(store, group, options, () => replaceFile(store.files, fileOf(store, group, NOTES_NAME), bytes, smallFile(store)))
}

/** A protected snapshot is not removed. */
export async function setProtection(store: Store, snapshot: SnapshotName, value: boolean, options: HoldOptions): Promise<void> {
  const hold = store.locks.begin('protect', snapshotPath(snapshot))
  try {
    await hold.take({ snapshot: snapshotPath(snapshot) }, options)
    if (!await isFinished(store, snapshot)) throw new DatastoreError('SNAPSHOT_MISSING', `there is no finished snapshot ${formatSnapshot(snapshot)}`)
    const path = inStore(store, join(snapshotPath(snapshot), PROTECTED_NAME))
    if (!value) await store.files.unlink(path)
    else if (await store.files.info(path) === undefined) await store.files.create(path, Buffer.alloc(0), smallFile(store))
  } finally {
    hold.release()
  }
}
