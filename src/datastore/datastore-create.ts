/**
 * datastore-create.ts: where a store may be, and how one is made.
 */
import { isAbsolute, join, resolve } from 'node:path'
import { checkPath } from '../check.js'
import { createChunkDirectories } from './chunk-store.js'
import { DatastoreError } from './errors.js'
import type { Owner } from './files.js'
import { removeTree } from './replace.js'
import type { Store } from './store.js'

export function checkBase(path: string): string {
  const base = resolve(checkPath(path, 'path'))
  if (!isAbsolute(path)) throw new RangeError(`path must be absolute, not ${path}`)
  if (base === '/') throw new RangeError('path must not be the root of the file system')
  return base
}

/** New files are given to the owner of the store's root, as far as we may. */
export function ownerFor({ uid, gid }: Owner): Store['owner'] {
  const isRoot = process.geteuid?.() === 0
  return isRoot && (uid !== 0 || gid !== 0) ? { uid, gid } : undefined
}

/** For whoever holds the store: the directory `.chunks`, which comes last, makes it one. */
export async function buildStore({ base, files, owner }: Store): Promise<void> {
  const entries = await files.list(base) ?? []
  const inTheWay = entries.find(({ name }) => (!name.startsWith('.') && name !== 'lost+found') || name === '.chunks')
  if (inTheWay) throw new DatastoreError('DATASTORE_EXISTS', `${base} is not empty: it has ${inTheWay.name}`, { path: base })
  for (const { name } of entries) if (name.startsWith('.chunks.tmp_')) await removeTree(files, join(base, name)) // somebody died here
  if (!entries.some(({ name }) => name === '.lock')) await files.create(join(base, '.lock'), Buffer.alloc(0), { owner, sync: false })
  await createChunkDirectories(files, base, owner)
  await files.syncDirectory(base)
}
