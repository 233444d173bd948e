/**
 * handover.ts: one process of several that want one lock all the time; the same loop as in ../c/handover.c.
 */
import { nowNs } from '../lib/clock.js'
import { Distribution, type DistributionData } from '../lib/distribution.js'
import { warmUp } from '../lib/warm-up.js'
import { joinCrew } from '../lib/workers.js'
import { machinePeer } from '../peers/machine.js'

export interface Stage {
  readonly holdUs: number
  readonly thinkUs: number
  readonly durationMs: number
}

export interface HandoverTask {
  readonly peer: string
  readonly directory: string
  /** One after the other, by the same processes. */
  readonly stages: readonly Stage[]
}

/** Of one stage. */
export interface HandoverPart {
  readonly acquisitions: number
  readonly began: number
  readonly ended: number
  readonly wait: DistributionData
  readonly handover: DistributionData
}

/** The shared numbers: the counter of each stage, after those that tell of the last holder. Only the holder touches them. */
const RELEASED_NS = 0
const LAST_HOLDER = 1
const FIRST_COUNTER = 2

const NAME = 'vm-100'
const me = joinCrew<HandoverTask, HandoverPart[]>()
const { peer, directory, stages } = me.task

/** Spins until `ns` after `since`. @returns when that was */
function spin(since: number, ns: number): number {
  if (ns === 0) return since
  let now: number
  do now = nowNs()
  while (now - since < ns)
  return now
}

const locks = await machinePeer(peer).open(directory)
// Not for the figures: whatever is made or compiled at the first time.
const { durationMs: forMs } = stages[0]!
const warmName = `warm-${me.index}`
if (locks.kind === 'sync') await warmUp(forMs, () => locks.unlock(locks.lock(warmName)))
else await warmUp(forMs, async () => await locks.unlock(await locks.lock(warmName)))

async function contend({ holdUs, thinkUs, durationMs }: Stage, counter: number): Promise<HandoverPart> {
  const [hold, think] = [holdUs * 1000, thinkUs * 1000]
  const [wait, handover] = [new Distribution(), new Distribution()]
  let acquisitions = 0
  /** What the holder does between lock and unlock. */
  const inside = (asked: number): void => {
    const entered = nowNs()
    const last = me.get(LAST_HOLDER)
    if (last !== me.index + 1) {
      // The first of a stage follows nobody.
      if (last !== 0 && me.get(counter) !== 0) handover.note(Math.max(0, entered - me.get(RELEASED_NS)))
      me.set(LAST_HOLDER, me.index + 1)
    }
    me.add(counter)
    wait.note(entered - asked)
    acquisitions++
    spin(entered, hold)
    me.set(RELEASED_NS, nowNs())
  }
  const began = me.start()
  const end = began + durationMs * 1e6
  let asked = began
  if (locks.kind === 'sync') {
    do {
      const held: unknown = locks.lock(NAME)
      inside(asked)
      locks.unlock(held)
      asked = nowNs()
      if (asked < end) asked = spin(asked, think)
    } while (asked < end)
  } else {
    do {
      const held: unknown = await locks.lock(NAME)
      inside(asked)
      const unlocked = locks.unlock(held)
      if (unlocked !== undefined) await unlocked
      asked = nowNs()
      if (asked < end) asked = spin(asked, think)
    } while (asked < end)
  }
  return { acquisitions, began, ended: asked, wait: wait.data, handover: handover.data }
}

const parts: HandoverPart[] = []
for (const [i, stage] of stages.entries()) parts.push(await contend(stage, FIRST_COUNTER + i))
await locks.close?.()
me.finish(parts)
