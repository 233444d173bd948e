/** One table of scenarios, played three ways: by openings in one thread, in worker threads, and in processes. */
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { type LockTable } from '../../src/index.js'
import { obeyer } from './fixtures/obey.js'
import { SCENARIOS, type Scenario } from './fixtures/scenarios.js'
import { type Order, Peer, cleanUp, open, until } from './support.js'

interface Actor {
  readonly pid: number
  tell(order: Order): void
  answer(): Promise<string>
  /** There is an answer that nobody has taken yet. */
  readonly hasAnswered: boolean
  kill(): Promise<void>
}

/** Answers in the order in which they came. */
class Answers {
  readonly pid = process.pid
  readonly #said: string[] = []

  protected hear(text: string): void {
    this.#said.push(text)
  }

  get hasAnswered(): boolean {
    return this.#said.length > 0
  }

  async answer(): Promise<string> {
    await until(() => this.hasAnswered)
    return this.#said.shift() ?? ''
  }
}

class Player extends Answers implements Actor {
  readonly #table: LockTable
  readonly #obey: (order: Order) => Promise<string>

  private constructor(table: LockTable) {
    super()
    this.#table = table
    this.#obey = obeyer(table, text => {
      this.hear(text)
    })
  }

  static async start(path: string): Promise<Player> {
    return new Player(await open(path))
  }

  tell(order: Order): void {
    void this.#obey(order).then(text => {
      this.hear(text)
    })
  }

  /** A table that is closed with a hold counts as dead. */
  async kill(): Promise<void> {
    await this.#table.close()
  }
}

class Thread extends Answers implements Actor {
  readonly #worker: Worker

  private constructor(path: string) {
    super()
    this.#worker = new Worker(new URL('./fixtures/table-thread.mjs', import.meta.url), { workerData: path, execArgv: [] })
    this.#worker.on('message', (text: string) => {
      this.hear(text)
    })
    this.#worker.on('error', error => {
      this.hear(String(error))
    })
    cleanUp(() => this.kill())
  }

  static async start(path: string): Promise<Thread> {
    const thread = new Thread(path)
    expect(await thread.answer()).toBe('ready')
    return thread
  }

  tell(order: Order): void {
    this.#worker.postMessage(order)
  }

  async kill(): Promise<void> {
    await this.#worker.terminate()
  }
}

const WAYS: Readonly<Record<string, (path: string) => Promise<Actor>>> = {
  'in one thread': path => Player.start(path),
  'in worker threads': path => Thread.start(path),
  'in processes': path => Peer.start(path),
}

/** In which order is not promised; one after the other is. */
async function takeTurns(actors: readonly Actor[], says: string, then: Order, label: string): Promise<void> {
  const left = new Set(actors)
  while (left.size > 0) {
    await until(() => [...left].some(actor => actor.hasAnswered))
    const inside = [...left].filter(actor => actor.hasAnswered)
    expect(inside.length, label).toBe(1)
    expect(await inside[0]!.answer(), label).toBe(says)
    left.delete(inside[0]!)
    inside[0]!.tell(then)
    expect(await inside[0]!.answer(), label).toBe('true')
  }
}

/** A table in which none of the names shares a slot with another: the seed of the hash is another one in each. */
async function openApart(names: readonly string[]): Promise<LockTable> {
  for (;;) {
    const table = await open(undefined, { spaces: [{ name: 'default', slots: 64 }] })
    if (new Set(names.map(name => table.inspectName(name).slot)).size === names.length) return table
  }
}

async function play({ steps }: Scenario, start: (path: string) => Promise<Actor>): Promise<void> {
  const observer = await openApart(['a', 'another'])
  const actors = await Promise.all([0, 1, 2].map(() => start(observer.path)))
  const waiting = (): number => observer.inspectName('a').waiters.length
  for (const [i, step] of steps.entries()) {
    const label = `step ${i}: ${JSON.stringify(step)}`
    if ('turns' in step) {
      await takeTurns(step.turns.map(who => actors[who]!), step.says, step.then, label)
      continue
    }
    const actor = actors[step.who]!
    if ('begins' in step) {
      const before = waiting()
      actor.tell(step.begins)
      await until(() => waiting() > before)
    } else if ('dies' in step) {
      await actor.kill()
    } else {
      if ('does' in step) actor.tell(step.does)
      expect(await actor.answer(), label).toBe(step.says.replace('DEAD0', String(actors[0]!.pid)))
    }
  }
  expect((await observer.check({ settleMs: 5 })).filter(({ severity }) => severity === 'broken')).toEqual([])
}

describe.each(Object.keys(WAYS))('%s', way => {
  const isOneThread = way === 'in one thread'
  test.each(Object.keys(SCENARIOS).filter(name => !(isOneThread && SCENARIOS[name]!.blocks)))('%s', async name => {
    await play(SCENARIOS[name]!, WAYS[way]!)
  })
})
