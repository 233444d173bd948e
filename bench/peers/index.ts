/** index.ts: all Node peers, in the order of the tables. */
import { asyncMutex } from './async-mutex.js'
import { flockAsync, flockBare, flockSync } from './flock.js'
import { navigatorLocks } from './navigator-locks.js'
import type { Peer } from './peer.js'
import { properLockfile } from './proper-lockfile.js'
import { redis } from './redis.js'
import { sqlite } from './sqlite.js'

export const PEERS: readonly Peer[] = [flockBare, flockSync, flockAsync, properLockfile, sqlite, redis, asyncMutex, navigatorLocks]
