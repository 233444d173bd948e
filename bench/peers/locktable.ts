/**
 * locktable.ts: the lock table itself, and its fallback the lock files, with the face of the peers, for the questions that several processes
 * answer together. A blocked thread (sync) and a waiting task (async) are told apart: they sleep and wake differently.
 */
import { join } from 'node:path'
import { LockFiles, LockTable, type LockHandle, type TableGuard } from '../../src/index.js'
import type { LockFileGuard } from '../../src/lock/flock-guard.js'
import type { AsyncLocks, Peer, SyncLocks } from './peer.js'

/** By name as the others, but hashed once: the way that the documentation recommends. */
function handlesOf(table: LockTable): (name: string) => LockHandle {
  const handles = new Map<string, LockHandle>()
  return name => {
    let handle = handles.get(name)
    if (handle === undefined) handles.set(name, handle = table.handle(name))
    return handle
  }
}

const SHARED = { mode: 'shared' } as const

export const tablePath = (directory: string): string => join(directory, 'table')

export const tableSync: Peer = {
  name: 'table, lockSync',
  scope: 'machine',
  isBlocking: true,
  available: () => undefined,
  open(directory): SyncLocks<TableGuard> {
    const table = LockTable.openSync(tablePath(directory))
    const handle = handlesOf(table)
    return {
      kind: 'sync', lock: name => handle(name).lockSync(), lockShared: name => handle(name).lockSync(SHARED), unlock: guard => void guard.release(),
      close: () => table.close(),
    }
  },
}

export const tableAsync: Peer = {
  name: 'table, await lock',
  scope: 'machine',
  available: () => undefined,
  open(directory): AsyncLocks<TableGuard> {
    const table = LockTable.openSync(tablePath(directory))
    const handle = handlesOf(table)
    return {
      kind: 'async', lock: name => handle(name).lock(), lockShared: name => handle(name).lock(SHARED), unlock: guard => void guard.release(),
      close: () => table.close(),
    }
  },
}

export const filesSync: Peer = {
  name: 'lock files, lockSync',
  scope: 'machine',
  isBlocking: true,
  available: () => undefined,
  async open(directory): Promise<SyncLocks<LockFileGuard>> {
    const files = await LockFiles.open(join(directory, 'locks'))
    return {
      kind: 'sync', lock: name => files.lockSync(name), lockShared: name => files.lockSync(name, SHARED), unlock: guard => void guard.release(),
      close: () => files.close(),
    }
  },
}

export const filesAsync: Peer = {
  name: 'lock files, await lock',
  scope: 'machine',
  available: () => undefined,
  async open(directory): Promise<AsyncLocks<LockFileGuard>> {
    const files = await LockFiles.open(join(directory, 'locks'))
    return {
      kind: 'async', lock: name => files.lock(name), lockShared: name => files.lock(name, SHARED), unlock: guard => void guard.release(),
      close: () => files.close(),
    }
  },
}

/** In the order of the tables. */
export const OURS: readonly Peer[] = [filesSync, filesAsync, tableSync, tableAsync]
