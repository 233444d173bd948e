/**
 * store.ts: what every part of an opened datastore works with.
 */
import { join } from 'node:path'
import type { ChunkStore, SyncLevel } from './chunk-store.js'
import type { CreateOptions, Files, Owner } from './files.js'
import type { StoreLocks } from './locking.js'

export interface Store {
  /** Absolute. */
  readonly base: string
  readonly files: Files
  readonly locks: StoreLocks
  readonly chunks: ChunkStore
  readonly syncLevel: SyncLevel
  /** To whom new files are given: the owner of the base directory, if we are root and it is not. */
  readonly owner: Owner | undefined
}

/** A path below the store's root as one of the file system. */
export const inStore = (store: Store, path: string): string => join(store.base, path)

/** For small files that are replaced: a rename without it may leave an empty file after a crash of the machine. */
export const smallFile = ({ owner, syncLevel }: Store): CreateOptions => ({ owner, sync: syncLevel !== 'none' })
