/**
 * peer.ts: the face that everything has that a Node program might use instead of the lock table.
 */
import { createRequire } from 'node:module'

/** A lock by name: one of these two. What lock() returns goes to unlock(). */
export interface SyncLocks<Hold = unknown> {
  readonly kind: 'sync'
  lock(name: string): Hold
  /** Undefined where there is no such thing. */
  lockShared?(name: string): Hold
  unlock(hold: Hold): void
  close?(): void | Promise<void>
}

export interface AsyncLocks<Hold = unknown> {
  readonly kind: 'async'
  lock(name: string): Promise<Hold>
  lockShared?(name: string): Promise<Hold>
  unlock(hold: Hold): void | Promise<void>
  close?(): void | Promise<void>
}

export type Locks = SyncLocks<any> | AsyncLocks<any>

export interface Peer {
  readonly name: string
  /** Whom it excludes: every process of the machine, or only the tasks of one process. */
  readonly scope: 'machine' | 'process'
  /** Undefined if it can run here, else one line that says why not. */
  available(): string | undefined
  /** True if it blocks the thread while it waits, so that a process waits for one lock at most. */
  readonly isBlocking?: boolean | undefined
  /** Why it cannot be taken shared; undefined: it can. */
  readonly whyNotShared?: string | undefined
  /** Starts what has to run beside, before anybody opens: in the benchmark, not in the processes that it starts. */
  serve?(directory: string): Promise<AsyncDisposable>
  /** @param directory  on a tmpfs, for lock files; the same for all that are to exclude each other */
  open(directory: string): Locks | Promise<Locks>
}

const requireHere = createRequire(import.meta.url)

/** A package that may be missing. The ones that compile something are installed by `npm run bench:setup`. */
export function loadPackage(name: string): unknown {
  try {
    return requireHere(name) as unknown
  } catch {
    return undefined
  }
}

export function whyMissing(name: string): string | undefined {
  return loadPackage(name) === undefined ? `the package ${name} is not installed (npm run bench:setup), or not for Node ${process.version}` : undefined
}
