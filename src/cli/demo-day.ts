/**
 * demo-day.ts: the parent's part of the demo: it starts the workers, kills one after the other, takes over what they held, and measures
 * how long that took.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LockTable, TableGuard } from '../index.js'
import { tellToEnd } from './demo-child.js'
import { type Board, Journal, type Wish, readBoard } from './demo-journal.js'
import type { DemoPlan } from './demo-plan.js'
import { Seal } from './demo-seal.js'

export interface DayOptions {
  readonly seconds: number
  readonly workers: number
  readonly killEvery: number
}

interface Worker {
  readonly id: string
  readonly child: ChildProcess
  readonly gone: Promise<void>
  board: Board
}

export interface Kill {
  readonly pid: number
  readonly at: bigint
  /** What it may have held exclusively. */
  readonly wishes: readonly Wish[]
}

const NOTHING: Board = { locks: 0, edits: 0, verified: 0, wishes: [], inside: false }
/** How long to look for a worker that is rewriting a manifest before another one is killed. */
const SPY_MS = 5
const SHARE_OF_SPIED_KILLS = 0.8
const CRASH_LIMIT = 3
const END_MS = 20_000

export class Day {
  readonly #plan: DemoPlan
  readonly #table: LockTable
  readonly #options: DayOptions
  readonly #workers = new Set<Worker>()
  readonly #past: Board[] = []
  readonly #journal: Journal
  readonly #takeovers = new Set<Promise<void>>()
  readonly #stop = new AbortController()
  #started = 0
  #entered = 0
  #ending = false
  readonly kills: Kill[] = []
  /** Workers that ended otherwise than told to or killed. */
  readonly crashes: string[] = []
  elapsedMs = 0

  constructor(plan: DemoPlan, table: LockTable, options: DayOptions) {
    this.#plan = plan
    this.#table = table
    this.#options = options
    this.#journal = new Journal(plan, 'parent')
  }

  /** @param show  called now and then, to show the progress */
  async run(show: () => void): Promise<void> {
    for (let i = 0; i < this.#options.workers; i++) this.#start()
    await this.#begun()
    const began = performance.now()
    let [nextKill, nextShow] = [this.#options.killEvery, 0]
    while (this.elapsedMs < this.#options.seconds && !this.#stop.signal.aborted) {
      this.elapsedMs = performance.now() - began
      if (this.elapsedMs >= nextShow) {
        nextShow = this.elapsedMs + 250
        this.#readBoards()
        show()
      }
      if (this.#options.killEvery > 0 && this.elapsedMs >= nextKill) {
        nextKill = this.elapsedMs + this.#options.killEvery
        this.#killOne()
      }
      await sleep(5)
    }
    await this.#end()
    this.elapsedMs = performance.now() - began
  }

  /** The day begins when everybody is at work; on a busy machine that takes seconds. */
  async #begun(): Promise<void> {
    const isAtWork = (worker: Worker): boolean => (readBoard(this.#plan, worker.id)?.locks ?? 0) > 0
    while (!this.#stop.signal.aborted && ![...this.#workers].every(isAtWork)) await sleep(5)
  }

  /** Ends the day early; what was done until then counts. */
  stop(): void {
    this.#stop.abort()
  }

  #start(): void {
    const id = `w${++this.#started}`
    const child = fork(process.argv[1] ?? '', ['demo-worker', join(this.#plan.storeDirectory, 'plan.json'), id], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const gone = new Promise<void>(resolve => child.once('exit', (code, signal) => {
      this.#onExit(worker, signal ?? code ?? 0)
      resolve()
    }))
    const worker: Worker = { id, child, gone, board: NOTHING }
    this.#workers.add(worker)
  }

  #onExit(worker: Worker, end: number | string): void {
    this.#workers.delete(worker)
    this.#past.push(readBoard(this.#plan, worker.id) ?? worker.board)
    const expected = end === 'SIGKILL' ? this.kills.some(kill => kill.pid === worker.child.pid) : this.#ending && end === 0
    if (!expected) this.crashes.push(`${worker.id} ended with ${end}`)
    if (this.crashes.length >= CRASH_LIMIT) this.#stop.abort()
    else if (!this.#ending && !this.#stop.signal.aborted) this.#start()
  }

  #readBoards(): void {
    for (const worker of this.#workers) worker.board = readBoard(this.#plan, worker.id) ?? worker.board
  }

  /** Kills a worker, preferably one that is rewriting a manifest, and takes over what it held. */
  #killOne(): void {
    const alive = [...this.#workers].filter(worker => !this.kills.some(kill => kill.pid === worker.child.pid) && worker.child.pid !== undefined)
    const isSpied = Math.random() < SHARE_OF_SPIED_KILLS
    // One that is still starting may be hit too, but not so often that on a busy machine nobody ever gets to work.
    const choice = isSpied ? alive.filter(worker => readBoard(this.#plan, worker.id) !== undefined) : alive
    const victim = (isSpied ? this.#spy(alive) : undefined) ?? choice[Math.floor(Math.random() * choice.length)]
    if (victim?.child.pid === undefined) return
    const before = readBoard(this.#plan, victim.id) ?? victim.board
    const at = process.hrtime.bigint()
    victim.child.kill('SIGKILL')
    const after = readBoard(this.#plan, victim.id) ?? before
    const wishes = new Map([...before.wishes, ...after.wishes].filter(wish => wish.exclusive).map(wish => [`${wish.space}\0${wish.name}`, wish]))
    const kill: Kill = { pid: victim.child.pid, at, wishes: [...wishes.values()] }
    this.kills.push(kill)
    for (const wish of this.#plan.withoutLocks ? [] : kill.wishes) {
      const taken = this.#takeOver(wish).finally(() => this.#takeovers.delete(taken))
      this.#takeovers.add(taken)
    }
  }

  /** A worker that is inside a manifest's lock this very moment. */
  #spy(alive: readonly Worker[]): Worker | undefined {
    const end = performance.now() + SPY_MS
    do {
      for (const worker of alive) {
        const board = readBoard(this.#plan, worker.id)
        if (board?.inside && board.wishes.some(wish => wish.space === 'manifest' && wish.exclusive)) return worker
      }
    } while (performance.now() < end)
    return undefined
  }

  /** Each name by itself, with nothing else held: no cycle of waits. Usually some worker is faster. */
  async #takeOver(wish: Wish): Promise<void> {
    const guard: TableGuard = await this.#table.space(wish.space).lock(wish.name)
    const at = process.hrtime.bigint().toString()
    if (guard.abandoned !== undefined) this.#journal.append({ kind: 'takeover', pid: guard.abandoned.pid ?? 0, space: wish.space, name: wish.name, at })
    const violation = (text: string): void => {
      this.#journal.append({ kind: 'violation', text })
    }
    Seal.enter(this.#plan, wish, `parent #${++this.#entered}`, guard.abandoned !== undefined, violation).leave(violation)
    guard.release()
  }

  total(what: 'locks' | 'edits' | 'verified'): number {
    return [...this.#past, ...[...this.#workers].map(worker => worker.board)].reduce((sum, board) => sum + board[what], 0)
  }

  /** Tells the workers to end. One that does not, because it waits for a lock that nobody will release, is what must never be. */
  async #end(): Promise<void> {
    this.#ending = true
    for (const { child } of this.#workers) tellToEnd(child)
    const everything = Promise.all([...[...this.#workers].map(worker => worker.gone), ...this.#takeovers])
    await Promise.race([everything, sleep(END_MS, undefined, { ref: false })])
    for (const { id, child } of this.#workers) {
      this.crashes.push(`${id} was stranded: it waited for ${JSON.stringify(readBoard(this.#plan, id)?.wishes)}`)
      child.kill('SIGKILL')
    }
    if (this.#takeovers.size > 0) this.crashes.push(`the parent was stranded: ${this.#takeovers.size} locks of killed workers never came back`)
  }
}
