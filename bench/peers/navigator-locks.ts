/**
 * navigator-locks.ts: the Web Locks of Node 24, among the threads of one process.
 */
import type { AsyncLocks, Peer } from './peer.js'

interface WebLocks {
  request(name: string, callback: () => Promise<void>): Promise<void>
}

const webLocks = (globalThis as { navigator?: { locks?: WebLocks } }).navigator?.locks

export const navigatorLocks: Peer = {
  name: 'navigator.locks',
  scope: 'process',
  available: () => (webLocks === undefined ? `Node ${process.version} has no navigator.locks, which came with 24.5` : undefined),
  open(): AsyncLocks<() => Promise<void>> {
    const locks = webLocks!
    return {
      kind: 'async',
      // The lock is held until the callback's promise is settled, and free when the request's is.
      lock: name => new Promise((resolve, reject) => {
        const request = locks.request(name, () => new Promise<void>(release => resolve(() => {
          release()
          return request
        })))
        request.catch(reject)
      }),
      unlock: release => release(),
    }
  },
}
