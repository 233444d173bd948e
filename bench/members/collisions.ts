/**
 * collisions.ts: one process of several whose tasks hold locks for about a millisecond while they wait for something else, as programs that
 * read and write files do. How many names, and how many slots there are for them, is the question.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { nowNs } from '../lib/clock.js'
import { LockFiles, LockTable } from '../../src/index.js'
import { Distribution, type DistributionData } from '../lib/distribution.js'
import { joinCrew } from '../lib/workers.js'
import { tablePath } from '../peers/locktable.js'

export interface CollisionsTask {
  readonly directory: string
  /** 0: lock files, one for each name. */
  readonly slots: number
  readonly names: number
  /** At the same time, in each process. */
  readonly tasks: number
  readonly holdMs: number
  readonly durationMs: number
}

export interface CollisionsPart {
  readonly acquisitions: number
  /** Those that found the lock taken. */
  readonly waited: number
  readonly began: number
  readonly ended: number
  readonly wait: DistributionData
}

interface Ways {
  tryLock(name: string): { release(): unknown } | undefined
  lock(name: string): Promise<{ release(): unknown }>
  close(): Promise<void>
}

const me = joinCrew<CollisionsTask, CollisionsPart>()
const { directory, slots, names, tasks, holdMs, durationMs } = me.task
const locks: Ways = slots === 0
  ? await LockFiles.open(directory)
  : LockTable.openSync(tablePath(directory), { spaces: [{ name: 'default', slots }] })

const wait = new Distribution()
let [acquisitions, waited] = [0, 0]
let end = 0

async function work(): Promise<void> {
  while (nowNs() < end) {
    const number = Math.floor(Math.random() * names)
    const name = `vm-${number}`
    const asked = nowNs()
    let guard = locks.tryLock(name)
    if (guard === undefined) {
      waited++
      guard = await locks.lock(name)
    }
    wait.note(nowNs() - asked)
    acquisitions++
    const seen = me.get(number)
    await sleep(holdMs)
    me.set(number, seen + 1)
    guard.release()
  }
}

const warm = locks.tryLock(`warm-${me.index}`)
warm?.release()
const began = me.start()
end = began + durationMs * 1e6
await Promise.all(Array.from({ length: tasks }, work))
const ended = nowNs()
await locks.close()
me.finish({ acquisitions, waited, began, ended, wait: wait.data })
