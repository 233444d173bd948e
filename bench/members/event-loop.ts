/**
 * event-loop.ts: member 0 holds locks, or takes one again and again; member 1, which is watched, waits for them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { nowNs } from '../lib/clock.js'
import { watchLoopWhile } from '../lib/loop-watch.js'
import type { LatencySummary } from '../lib/stats.js'
import { joinCrew } from '../lib/workers.js'
import { machinePeer } from '../peers/machine.js'

export interface EventLoopTask {
  readonly peer: string
  readonly directory: string
  readonly scene: 'waiting' | 'busy'
  /** Tasks of the watched process. */
  readonly waiting: number
  readonly waitMs: number
  /** One for each task; `busy` uses the first. */
  readonly names: readonly string[]
  /** Has nothing to do with the locks. */
  readonly file: string
}

export interface EventLoopPart {
  readonly acquisitions: number
  readonly loopNs: LatencySummary
  readonly readNs: LatencySummary
}

const HOLD_NS = 100e3
const NOTHING: LatencySummary = { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 }

const me = joinCrew<EventLoopTask, EventLoopPart>()
const { peer, directory, scene, waiting, waitMs, names, file } = me.task
const isHolder = me.index === 0
const locks = await machinePeer(peer).open(directory)
let acquisitions = 0

/** Counts under the lock; the holder's work is to burn 100 us. */
async function take(at: number, work: () => void | Promise<void>): Promise<void> {
  const held: unknown = locks.kind === 'sync' ? locks.lock(names[at]!) : await locks.lock(names[at]!)
  const seen = me.get(at)
  const working = work()
  if (working !== undefined) await working
  me.set(at, seen + 1)
  acquisitions++
  const unlocked = locks.unlock(held)
  if (unlocked !== undefined) await unlocked
}

function burn(): void {
  const until = nowNs() + HOLD_NS
  while (nowNs() < until);
}

/** Until the end, and lets the event loop turn in between. */
async function takeAgain(until: number, work: () => void): Promise<void> {
  while (nowNs() < until) {
    await take(0, work)
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** All at once until the time is up. @param held  called when the last one is held */
async function holdAll(held: () => void): Promise<void> {
  let missing = waiting
  if (missing === 0) held()
  await Promise.all(Array.from({ length: waiting }, (_, at) => take(at, async () => {
    if (--missing === 0) held()
    await sleep(waitMs)
  })))
}

async function main(): Promise<EventLoopPart> {
  for (let i = 0; i < 20; i++) await locks.unlock(await locks.lock(`warm-${me.index}`))
  if (scene === 'waiting' && isHolder) {
    me.start()
    await holdAll(() => void me.start())
    return { acquisitions, loopNs: NOTHING, readNs: NOTHING }
  }
  me.start()
  const began = me.start()
  const end = began + waitMs * 1e6
  if (isHolder) {
    await takeAgain(end, burn)
    return { acquisitions, loopNs: NOTHING, readNs: NOTHING }
  }
  const watched = watchLoopWhile(sleep(waitMs), file)
  await new Promise(resolve => setImmediate(resolve)) // the watch looks before anybody waits
  const tasks = Array.from({ length: waiting }, (_, at) => (scene === 'waiting' ? take(at, () => {}) : takeAgain(end, () => {})))
  const { loopNs, readNs } = await watched
  await Promise.all(tasks)
  return { acquisitions, loopNs, readNs }
}

const part = await main()
await locks.close?.()
me.finish(part)
