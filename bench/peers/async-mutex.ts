/**
 * async-mutex.ts: the usual lock among the tasks of one process. It excludes no other process.
 */
import { Mutex, type MutexInterface } from 'async-mutex'
import type { AsyncLocks, Peer } from './peer.js'

export const asyncMutex: Peer = {
  name: 'async-mutex',
  scope: 'process',
  available: () => undefined,
  open(): AsyncLocks<MutexInterface.Releaser> {
    const locks = new Map<string, Mutex>()
    return {
      kind: 'async',
      lock(name) {
        let mutex = locks.get(name)
        if (mutex === undefined) locks.set(name, mutex = new Mutex())
        return mutex.acquire()
      },
      unlock: release => release(),
    }
  },
}
