/**
 * workers.ts: a crew of Node processes that start at the same moment.
 *
 *   parent  const crew = Crew.start<Task, Result>({ script, processes, task, counters })
 *           const results = await crew.run()
 *   member  const me = joinCrew<Task, Result>(); prepare; me.start(); work, me.add(0); me.finish(result)
 *
 * Work may have several stages: the member calls start() before each, the parent run(stages). A stage starts when all are done with the one before.
 *
 * BARRIER (numbers of shared-words.ts)           written by
 *   0       the moment to start, ns of hrtime     the parent, once all are ready: a later one for each stage
 *   1 + m   for how many stages m has been ready  member m
 *   then    the counters, 128 bytes apart         whoever holds the lock that is measured
 */
import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { nowNs } from './clock.js'
import { type SharedAddress, type SharedWords, makeSharedWords, openSharedWords } from './shared-words.js'
import { nodeArgs } from './tsx.js'

const START = 0
const COUNTER_STRIDE = 16
/** All must have read the moment before it comes: members look every 0.1 ms, when they get a core. */
const NOTICE_NS = 20e6
const CREW = 'LOCKTABLE_BENCH_CREW'

export interface CrewOptions<Task> {
  readonly script: URL
  readonly processes: number
  /** Handed to each member through JSON. */
  readonly task: Task
  /** How many counters the members share. Default 1. */
  readonly counters?: number | undefined
  /** Another Node binary. */
  readonly node?: string | undefined
  /** When the crew counts as stuck. Default: 60 s after it was started. */
  readonly patienceMs?: number | undefined
  /** Where the shared numbers are. Default: in memory if that is possible. */
  readonly memory?: SharedWords['kind'] | undefined
}

interface Berth<Task> {
  readonly address: SharedAddress
  readonly index: number
  readonly processes: number
  readonly task: Task
}

const readyAt = (index: number): number => 1 + index
const counterAt = (processes: number, counter: number): number => (Math.ceil((1 + processes) / COUNTER_STRIDE) + counter) * COUNTER_STRIDE

export class Crew<Result> {
  readonly #members: readonly ChildProcess[]
  readonly #words: SharedWords
  readonly #results: readonly Promise<Result | undefined>[]
  readonly #failed: Promise<never>
  #isClosed = false
  #stages = 0
  #patience: NodeJS.Timeout | undefined

  private constructor(members: readonly ChildProcess[], words: SharedWords, patienceMs: number) {
    this.#members = members
    this.#words = words
    this.#results = members.map(member => new Promise<Result | undefined>(resolve => {
      let result: Result | undefined
      member.on('message', message => {
        result = message as Result
      })
      member.once('close', () => resolve(result)) // not 'exit': the message may still be on its way
    }))
    this.#failed = new Promise((_resolve, reject) => {
      this.#patience = setTimeout(() => reject(new Error(`the crew is not done after ${patienceMs / 1000} s`)), patienceMs)
      for (const [i, member] of members.entries()) {
        member.once('error', reject)
        member.once('exit', code => {
          if (code !== null && code !== 0) reject(new Error(`member ${i} of the crew ended with status ${code}`))
        })
      }
    })
    this.#failed.catch(() => {}) // whoever waits hears of it
  }

  /** Starts the processes; they prepare themselves and wait for run(). */
  static start<Task, Result>(options: CrewOptions<Task>): Crew<Result> {
    const { script, processes, task, counters = 1, node = process.execPath, memory, patienceMs = 60_000 } = options
    const words = makeSharedWords(counterAt(processes, counters), memory)
    const members = Array.from({ length: processes }, (_, index) => {
      const berth: Berth<Task> = { address: words.address, index, processes, task }
      return fork(script, [], {
        execPath: node,
        execArgv: [...nodeArgs(script)],
        env: { ...process.env, [CREW]: JSON.stringify(berth) },
        serialization: 'advanced',
      })
    })
    return new Crew(members, words, patienceMs)
  }

  get pids(): readonly number[] {
    return this.#members.map(member => member.pid ?? 0)
  }

  /** What the shared numbers are in: a file makes a counter cost microseconds. */
  get memory(): SharedWords['kind'] {
    return this.#words.kind
  }

  counter(index: number): number {
    return this.#words.read(counterAt(this.#members.length, index))
  }

  /** Lets all start together, the next stage, once all are ready. */
  async go(): Promise<void> {
    const stage = ++this.#stages
    const ready = async (): Promise<void> => {
      while (!this.#isClosed && !this.#members.every((_, i) => this.#words.read(readyAt(i)) === stage)) await sleep(1)
    }
    await Promise.race([ready(), this.#failed])
    if (this.#isClosed) throw new Error('the crew was closed before it started')
    this.#words.write(START, nowNs() + NOTICE_NS)
  }

  /** Each member's result, in order; undefined for one that was killed. */
  async results(): Promise<(Result | undefined)[]> {
    return await Promise.race([Promise.all(this.#results), this.#failed])
  }

  /** go() for each stage, and results(); every member must have one. */
  async run(stages = 1): Promise<Result[]> {
    for (let stage = 0; stage < stages; stage++) await this.go()
    return (await this.results()).map((result, i) => {
      if (result === undefined) throw new Error(`member ${i} of the crew ended without a result`)
      return result
    })
  }

  /** Ends whoever still runs and removes the shared numbers. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#patience)
    for (const member of this.#members) if (member.exitCode === null && member.signalCode === null) member.kill('SIGKILL')
    this.#words.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

export interface Member<Task, Result> {
  /** 0 to processes - 1 */
  readonly index: number
  readonly processes: number
  readonly task: Task
  /** Blocks this thread until all are ready for the next stage. @returns when it started, ns of hrtime */
  start(): number
  /** Adds to a counter by a plain read and write: call it under the lock. */
  add(counter: number, amount?: number): void
  /** A counter as a note that holders leave for each other: call these under the lock, too. */
  get(counter: number): number
  set(counter: number, value: number): void
  /** Ends this process when the result is on its way. Nothing else must keep it alive. */
  finish(result: Result): void
}

/** For the script of a crew. */
export function joinCrew<Task, Result>(): Member<Task, Result> {
  const text = process.env[CREW]
  if (text === undefined) throw new Error('this program is started by a benchmark, not by hand')
  const { address, index, processes, task } = JSON.parse(text) as Berth<Task>
  const words = openSharedWords(address)
  const nap = new Int32Array(new SharedArrayBuffer(4))
  let stages = 0
  let started = 0
  process.once('disconnect', () => process.exit()) // the benchmark is gone
  if (!process.connected) process.exit()
  return {
    index,
    processes,
    task,
    start() {
      words.write(readyAt(index), ++stages)
      let moment: number
      while ((moment = words.read(START)) === started) Atomics.wait(nap, 0, 0, 0.1)
      started = moment
      const restMs = (moment - nowNs()) / 1e6
      if (restMs > 1) Atomics.wait(nap, 0, 0, restMs - 1)
      let now: number
      do now = nowNs()
      while (now < moment)
      return now
    },
    add(counter, amount = 1) {
      const at = counterAt(processes, counter)
      words.write(at, words.read(at) + amount)
    },
    get: counter => words.read(counterAt(processes, counter)),
    set: (counter, value) => words.write(counterAt(processes, counter), value),
    finish(result) {
      process.send!(result, () => {
        words.close()
        process.exit()
      })
    },
  }
}
