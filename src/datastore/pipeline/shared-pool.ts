/**
 * shared-pool.ts: the threads that all backups and restores of a process work with. More of them than cores are of no use, and to begin one
 * takes 60 ms of a core: as long as a small archive takes. They stay for a moment when nobody works, with the memory of the streams.
 */
import { WorkerPool } from './pool.js'

const IDLE_MS = 1000

interface Shared {
  readonly pool: WorkerPool
  users: number
  timer: NodeJS.Timeout | undefined
}

let current: Shared | undefined

/** What the action has begun in the pool must be over when it settles: others go on with it. */
export async function withSharedPool<T>(action: (pool: WorkerPool) => Promise<T>): Promise<T> {
  const shared = borrow()
  try {
    return await action(shared.pool)
  } finally {
    giveBack(shared)
  }
}

function borrow(): Shared {
  if (current === undefined || current.pool.hasFailed) current = { pool: new WorkerPool(), users: 0, timer: undefined }
  clearTimeout(current.timer)
  current.users++
  return current
}

function giveBack(shared: Shared): void {
  if (--shared.users > 0) return
  shared.timer = setTimeout(() => {
    if (shared === current) current = undefined
    void shared.pool.close()
  }, shared.pool.hasFailed ? 0 : IDLE_MS)
  shared.timer.unref()
}
