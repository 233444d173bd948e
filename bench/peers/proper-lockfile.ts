/**
 * proper-lockfile.ts: a directory made as the lock, kept fresh by a timer, retried after a pause.
 */
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type * as ProperLockfile from 'proper-lockfile'
import { type AsyncLocks, type Peer, loadPackage, whyMissing } from './peer.js'

/** The package gives up at once by default; waiting is by polling. This is as quick as its options allow without burning the processor. */
const PATIENT = { retries: { forever: true, factor: 1, minTimeout: 1, maxTimeout: 1 } } as const

export const properLockfile: Peer = {
  name: 'proper-lockfile',
  scope: 'machine',
  whyNotShared: 'its locks are exclusive',
  available: () => whyMissing('proper-lockfile'),
  open(directory): AsyncLocks<() => Promise<void>> {
    const lockfile = loadPackage('proper-lockfile') as typeof ProperLockfile | undefined
    if (lockfile === undefined) throw new Error(whyMissing('proper-lockfile'))
    const made = new Set<string>()
    return {
      kind: 'async',
      lock(name) {
        const path = join(directory, name)
        if (!made.has(path)) {
          closeSync(openSync(path, 'a', 0o600)) // it locks files that are there
          made.add(path)
        }
        return lockfile.lock(path, PATIENT)
      },
      unlock: release => release(),
    }
  },
}
