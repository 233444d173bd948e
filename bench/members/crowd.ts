/**
 * crowd.ts: one process of several that take many locks, or one lock shared; the same loop as in ../c/crowd.c.
 */
import { Distribution, type DistributionData } from '../lib/distribution.js'
import { nowNs } from '../lib/clock.js'
import { warmUp } from '../lib/warm-up.js'
import { joinCrew } from '../lib/workers.js'
import { Zipf } from '../lib/zipf.js'
import { machinePeer } from '../peers/machine.js'

export interface CrowdStage {
  /** The i-th is taken with a weight of 1/i. */
  readonly names: number
  readonly sharedPercent: number
  readonly holdUs: number
  readonly durationMs: number
  /** One of so many acquisitions is timed, so that the clock is no part of what is measured. */
  readonly sampleEvery: number
}

export interface CrowdTask {
  readonly peer: string
  readonly directory: string
  /** One after the other, by the same processes. */
  readonly stages: readonly CrowdStage[]
}

/** Of one stage. */
export interface CrowdPart {
  readonly acquisitions: number
  /** With the warm-up's. */
  readonly exclusive: number
  /** Shared holds that saw an exclusive one's work half done. */
  readonly torn: number
  readonly began: number
  readonly ended: number
  readonly wait: DistributionData
}

/** Acquisitions between two looks at the clock, where they are short. */
const BETWEEN_LOOKS = 12

const me = joinCrew<CrowdTask, CrowdPart[]>()
const { peer, directory, stages } = me.task
const locks = await machinePeer(peer).open(directory)

/** What is done around one acquisition, whatever the lock. */
class Desk {
  readonly #stage: CrowdStage
  readonly #zipf: Zipf
  #at = 0
  #asked = 0
  #isTimed = false
  isShared = false
  acquisitions = 0
  exclusive = 0
  torn = 0
  wait = new Distribution()

  constructor(stage: CrowdStage) {
    this.#stage = stage
    this.#zipf = new Zipf(stage.names, me.index)
  }

  /** @returns the name to lock next, shared if `isShared` */
  ask(): string {
    const { sharedPercent, sampleEvery } = this.#stage
    this.#at = this.#zipf.next()
    this.isShared = sharedPercent > 0 && this.#zipf.percent() < sharedPercent
    this.#isTimed = this.acquisitions++ % sampleEvery === 0
    if (this.#isTimed) this.#asked = nowNs()
    return this.#zipf.nameOf(this.#at)
  }

  /** The lock is held: everything until it is let go. An exclusive holder counts first and notes that it is done last. */
  hold(): void {
    const { holdUs } = this.#stage
    const [counter, shadow] = [2 * this.#at, 2 * this.#at + 1]
    const entered = this.#isTimed || holdUs !== 0 ? nowNs() : 0
    if (this.#isTimed) this.wait.note(entered - this.#asked)
    if (this.isShared) this.torn += me.get(counter) === me.get(shadow) ? 0 : 1
    else {
      me.add(counter)
      this.exclusive++
    }
    if (holdUs !== 0) while (nowNs() - entered < holdUs * 1000);
    if (this.isShared) this.torn += me.get(counter) === me.get(shadow) ? 0 : 1
    else me.set(shadow, me.get(counter))
  }

  /** @returns when it was over */
  async work(until: number): Promise<number> {
    const looks = this.#stage.holdUs === 0 ? BETWEEN_LOOKS : 1
    let now: number
    do {
      if (locks.kind === 'sync') for (let i = 0; i < looks; i++) this.takeSync(locks)
      else for (let i = 0; i < looks; i++) await this.take(locks)
      now = nowNs()
    } while (now < until)
    return now
  }

  takeSync(sync: typeof locks & { kind: 'sync' }): void {
    const name = this.ask()
    const held: unknown = this.isShared ? sync.lockShared!(name) : sync.lock(name)
    this.hold()
    sync.unlock(held)
  }

  async take(async: typeof locks & { kind: 'async' }): Promise<void> {
    const name = this.ask()
    const held: unknown = this.isShared ? await async.lockShared!(name) : await async.lock(name)
    this.hold()
    const unlocked = async.unlock(held)
    if (unlocked !== undefined) await unlocked
  }

  /** What was done until now does not count, but for the sums. */
  forget(): void {
    this.acquisitions = 0
    this.wait = new Distribution()
  }
}

const parts: CrowdPart[] = []
for (const [i, stage] of stages.entries()) {
  const desk = new Desk(stage)
  // The members go through this at their own pace, beside each other: whoever is warm waits for the others.
  if (i === 0) await warmUp(stage.durationMs, locks.kind === 'sync' ? () => desk.takeSync(locks) : () => desk.take(locks))
  desk.forget()
  const began = me.start()
  const ended = await desk.work(began + stage.durationMs * 1e6)
  const { acquisitions, exclusive, torn, wait } = desk
  parts.push({ acquisitions, exclusive, torn, began, ended, wait: wait.data })
}
await locks.close?.()
me.finish(parts)
