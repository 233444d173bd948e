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

function spin(until: number): void {
  while (nowNs() < until) { /* that is all */ }
}

const locks = await machinePeer(peer).open(directory)
// Not for the figures: whatever is made or compiled at the first time.
const { durationMs: forMs } = stages[0]!
const warmName = `warm-${me.index}`
if (locks.kind === 'sync') await warmUp(forMs, () => locks.unlock(locks.lock(warmName)))
else await warmUp(forMs, async () => await locks.unlock(await locks.lock(warmName)))

/** Acquisitions between two looks at whether to go on: calls of a function that V8 has compiled in an earlier stage already. */
const AT_ONCE = 8

/** What one process does in one stage. */
class Stint {
  readonly #hold: number
  readonly #think: number
  readonly #end: number
  readonly #counter: number
  readonly wait = new Distribution()
  readonly handover = new Distribution()
  acquisitions = 0

  constructor({ holdUs, thinkUs }: Stage, counter: number, end: number) {
    this.#hold = holdUs * 1000
    this.#think = thinkUs * 1000
    this.#counter = counter
    this.#end = end
  }

  /** What the holder does between lock and unlock. */
  #work(asked: number): void {
    const entered = nowNs()
    const last = me.get(LAST_HOLDER)
    if (last !== me.index + 1) {
      // The first of a stage follows nobody.
      if (last !== 0 && me.get(this.#counter) !== 0) this.handover.note(Math.max(0, entered - me.get(RELEASED_NS)))
      me.set(LAST_HOLDER, me.index + 1)
    }
    me.add(this.#counter)
    this.wait.note(entered - asked)
    this.acquisitions++
    if (this.#hold !== 0) spin(entered + this.#hold)
    me.set(RELEASED_NS, nowNs())
  }

  /** @returns the moment of the next request */
  #pause(): number {
    const now = nowNs()
    if (now >= this.#end || this.#think === 0) return now
    spin(now + this.#think)
    return nowNs()
  }

  someSync({ lock, unlock }: typeof locks & { kind: 'sync' }, asked: number): number {
    for (let i = 0; i < AT_ONCE && asked < this.#end; i++) {
      const held: unknown = lock(NAME)
      this.#work(asked)
      unlock(held)
      asked = this.#pause()
    }
    return asked
  }

  async some({ lock, unlock }: typeof locks & { kind: 'async' }, asked: number): Promise<number> {
    for (let i = 0; i < AT_ONCE && asked < this.#end; i++) {
      const held: unknown = await lock(NAME)
      this.#work(asked)
      const unlocked = unlock(held)
      if (unlocked !== undefined) await unlocked
      asked = this.#pause()
    }
    return asked
  }
}

async function contend(stage: Stage, counter: number): Promise<HandoverPart> {
  const began = me.start()
  const end = began + stage.durationMs * 1e6
  const stint = new Stint(stage, counter, end)
  let asked = began
  while (asked < end) asked = locks.kind === 'sync' ? stint.someSync(locks, asked) : await stint.some(locks, asked)
  const { acquisitions, wait, handover } = stint
  return { acquisitions, began, ended: asked, wait: wait.data, handover: handover.data }
}

const parts: HandoverPart[] = []
for (const [i, stage] of stages.entries()) parts.push(await contend(stage, FIRST_COUNTER + i))
await locks.close?.()
me.finish(parts)
