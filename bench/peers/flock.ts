/**
 * flock.ts: lock files from Node by an npm package, in the three ways that people write it.
 *
 * Bare: the file stays open, one system call each way. Double stat: as Proxmox Backup Server does it, since a lock file may be removed by
 * somebody. Async: the same on libuv's pool, whose four threads a contended lock blocks.
 */
import { close, closeSync, fstat, fstatSync, open, openSync, stat, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type * as FsExt from 'fs-ext'
import { type AsyncLocks, type Peer, type SyncLocks, loadPackage, whyMissing } from './peer.js'

type FlockPackage = typeof FsExt

const needed = (): FlockPackage => {
  const found = loadPackage('fs-ext') as FlockPackage | undefined
  if (found === undefined) throw new Error(whyMissing('fs-ext'))
  return found
}
const available = (): string | undefined => whyMissing('fs-ext')

export const flockBare: Peer = {
  name: 'fs-ext flock, file kept open',
  scope: 'machine',
  isBlocking: true,
  available,
  open(directory): SyncLocks<number> {
    const { flockSync } = needed()
    const files = new Map<string, number>()
    const take = (name: string, how: 'ex' | 'sh'): number => {
      let fd = files.get(name)
      if (fd === undefined) files.set(name, fd = openSync(join(directory, name), 'a+', 0o600))
      flockSync(fd, how)
      return fd
    }
    return {
      kind: 'sync',
      lock: name => take(name, 'ex'),
      lockShared: name => take(name, 'sh'),
      unlock(fd) {
        flockSync(fd, 'un')
      },
      close() {
        for (const fd of files.values()) closeSync(fd)
      },
    }
  },
}

export const flockSync: Peer = {
  name: 'fs-ext flock, double stat, sync',
  scope: 'machine',
  isBlocking: true,
  available,
  open(directory): SyncLocks<number> {
    const fsExt = needed()
    const take = (name: string, how: 'ex' | 'sh'): number => {
      const path = directory + '/' + name
      for (;;) {
        const fd = openSync(path, 'a+', 0o600)
        fsExt.flockSync(fd, how)
        const named = statSync(path, { throwIfNoEntry: false })
        const mine = fstatSync(fd)
        if (named?.ino === mine.ino && named.dev === mine.dev) return fd
        closeSync(fd)
      }
    }
    return { kind: 'sync', lock: name => take(name, 'ex'), lockShared: name => take(name, 'sh'), unlock: closeSync }
  },
}

export const flockAsync: Peer = {
  name: 'fs-ext flock, double stat, async',
  scope: 'machine',
  available,
  open(directory): AsyncLocks<number> {
    // The callback functions made into promises: faster than node:fs/promises.
    const flock = promisify(needed().flock)
    const [openFile, closeFile, statName, statFile] = [promisify(open), promisify(close), promisify(stat), promisify(fstat)]
    const take = async (name: string, how: 'ex' | 'sh'): Promise<number> => {
      const path = directory + '/' + name
      for (;;) {
        const fd = await openFile(path, 'a+', 0o600)
        await flock(fd, how)
        const [named, mine] = await Promise.all([statName(path).catch(() => undefined), statFile(fd)])
        if (named?.ino === mine.ino && named.dev === mine.dev) return fd
        await closeFile(fd)
      }
    }
    return { kind: 'async', lock: name => take(name, 'ex'), lockShared: name => take(name, 'sh'), unlock: fd => closeFile(fd) }
  },
}
