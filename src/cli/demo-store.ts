/**
 * demo-store.ts: the demo's second act: several processes back up real directories into one datastore at once, while one after the other is
 * killed with -9; then the proof that every snapshot that is listed restores bit for bit.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LockTable } from '../index.js'
import { Datastore, STORE_SPACES } from '../datastore/index.js'
import { tellToEnd } from './demo-child.js'
import type { DayOptions } from './demo-day.js'
import { type StoreProof, proveStore } from './demo-store-proof.js'
import { copyShare } from './demo-store-tree.js'
import { type StorePlan, type Told } from './demo-store-worker.js'
import { EXIT, Refusal, messageOf } from './exit-codes.js'
import { complain, duration, isTerminal, paint, print, size, table as printTable, visible } from './output.js'

const TREE_BYTES = 6 * 2 ** 20
const END_MS = 20_000
const CRASH_LIMIT = 3

interface Worker {
  readonly child: ChildProcess
  readonly gone: Promise<void>
  isAtWork: boolean
}

/** The processes, and what they tell. */
class Crowd {
  readonly #planFile: string
  readonly #workers = new Map<number, Worker>()
  readonly #killed = new Set<ChildProcess>()
  #ending = false
  readonly crashes: string[] = []
  kills = 0
  killsAtWork = 0
  finished = 0
  busy = 0
  bytesRead = 0
  bytesStored = 0

  constructor(planFile: string, count: number) {
    this.#planFile = planFile
    for (let id = 0; id < count; id++) this.#start(id)
  }

  #start(id: number): void {
    const child = fork(process.argv[1] ?? '', ['demo-store-worker', this.#planFile, String(id)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const gone = new Promise<void>(resolve => child.once('exit', (code, signal) => {
      this.#onExit(id, child, signal ?? code ?? 0)
      resolve()
    }))
    const worker: Worker = { child, gone, isAtWork: false }
    child.on('message', (told: Told) => {
      worker.isAtWork = told.kind === 'begin'
      if (told.kind === 'busy') this.busy++
      if (told.kind !== 'end') return
      this.finished++
      this.bytesRead += told.bytesRead ?? 0
      this.bytesStored += told.bytesStored ?? 0
    })
    this.#workers.set(id, worker)
  }

  #onExit(id: number, child: ChildProcess, end: number | string): void {
    this.#workers.delete(id)
    if (end === 'SIGKILL' ? !this.#killed.has(child) : !this.#ending || end !== 0) this.crashes.push(`process ${id} ended with ${end}`)
    if (!this.#ending && this.crashes.length < CRASH_LIMIT) this.#start(id)
  }

  get isBroken(): boolean {
    return this.crashes.length >= CRASH_LIMIT
  }

  /** Preferably one in the middle of a backup. */
  killOne(): void {
    const alive = [...this.#workers.values()].filter(({ child }) => !this.#killed.has(child))
    const atWork = alive.filter(({ isAtWork }) => isAtWork)
    const choice = atWork.length > 0 ? atWork : this.finished > 0 ? alive : []
    const victim = choice[Math.floor(Math.random() * choice.length)]
    if (victim === undefined) return
    this.kills++
    if (victim.isAtWork) this.killsAtWork++
    this.#killed.add(victim.child)
    victim.child.kill('SIGKILL')
  }

  async end(): Promise<void> {
    this.#ending = true
    for (const { child } of this.#workers.values()) tellToEnd(child)
    await Promise.race([Promise.all([...this.#workers.values()].map(worker => worker.gone)), sleep(END_MS, undefined, { ref: false })])
    for (const [id, { child }] of this.#workers) {
      this.crashes.push(`process ${id} did not end`)
      child.kill('SIGKILL')
    }
  }
}

const ROOM_BYTES = 2 ** 30

/** In memory if there is room: to make and remove a store's 65 536 directories takes some disks a minute. */
function scratchParent(memory: string): string {
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > ROOM_BYTES ? memory : tmpdir()
}

/** @param memory  a directory in memory */
export async function demoStore(directory: string, tablePath: string, memory: string, options: DayOptions): Promise<number> {
  const scratch = mkdtempSync(join(scratchParent(memory), 'locktable-demo-store-'))
  const isOurs = !existsSync(tablePath)
  const table = await LockTable.open(tablePath, { spaces: STORE_SPACES, requireTmpfs: false, label: 'demo' })
  try {
    const plan: StorePlan = { repository: join(scratch, 'store'), tablePath, scratch, trees: Array.from({ length: options.workers }, (_, i) => join(scratch, `tree-${i}`)) }
    const bytes = plan.trees.map((tree, first) => copyShare(directory, tree, { first, of: options.workers, maxBytes: TREE_BYTES }))
    if (bytes.includes(0)) throw new Refusal(`${directory} has too few files that could be backed up`, EXIT.MISSING)
    mkdirSync(plan.repository)
    const store = await Datastore.create(plan.repository, { table, syncLevel: 'none' })
    writeFileSync(join(scratch, 'plan.json'), JSON.stringify(plan))
    print(`${options.workers} processes change and back up copies of files of ${visible(directory)}, ${size(bytes.reduce((a, b) => a + b))},\ninto one datastore for ${duration(options.seconds)}${
      options.killEvery > 0 ? `, one killed with -9 every ${duration(options.killEvery)}` : ''}`)
    print(paint.dim(`table ${tablePath}, datastore ${plan.repository}`))
    const crowd = new Crowd(join(scratch, 'plan.json'), options.workers)
    const elapsed = await runShowing(crowd, options)
    const proof = await proveStore(store, plan, (done, of) => {
      showLine(`restoring and comparing: ${done} of ${of} snapshots`, true)
    })
    clearLine()
    return conclude(crowd, proof, elapsed, store.running().length)
  } finally {
    await table.close()
    if (isOurs) await LockTable.remove(tablePath).catch((error: unknown) => {
      complain(`the table stays: ${messageOf(error)}`)
    })
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** @returns milliseconds */
async function runShowing(crowd: Crowd, { seconds, killEvery }: DayOptions): Promise<number> {
  let isStopped = false
  const interrupt = (): void => {
    isStopped = true
  }
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  while (crowd.finished === 0 && !isStopped && !crowd.isBroken) await sleep(10) // on a busy machine it takes a while until all are at work
  const began = performance.now()
  let [elapsed, nextKill, nextLine] = [0, killEvery, 0]
  while (elapsed < seconds && !isStopped && !crowd.isBroken) {
    await sleep(10)
    elapsed = performance.now() - began
    // Not more kills than backups: on a busy machine somebody must get to the end now and then.
    if (killEvery > 0 && elapsed >= nextKill && crowd.kills < crowd.finished) {
      nextKill = elapsed + killEvery
      crowd.killOne()
    }
    if (elapsed < nextLine) continue
    nextLine = elapsed + (isTerminal ? 250 : 2000)
    showLine(`${`${(elapsed / 1000).toFixed(1)} s`.padStart(8)}  ${crowd.finished} snapshots  ${size(crowd.bytesRead)} read  ${size(crowd.bytesStored)} stored  ${crowd.kills} kills`)
  }
  await crowd.end()
  clearLine()
  process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  return elapsed
}

function showLine(text: string, onTerminalOnly = false): void {
  if (isTerminal) process.stdout.write(`\r${text.slice(0, process.stdout.columns - 1)}\x1b[K`)
  else if (!onTerminalOnly) print(text)
}

function clearLine(): void {
  if (isTerminal) process.stdout.write('\r\x1b[K')
}

function conclude(crowd: Crowd, proof: StoreProof, elapsed: number, leftLocks: number): number {
  const fault = (count: number, text = String(count)): string => (count === 0 ? paint.green(text) : paint.red(text))
  print(printTable([], [
    ['backups finished', `${crowd.finished}, ${size(crowd.bytesRead / (elapsed / 1000))} a second; ${size(crowd.bytesRead)} read, ${size(crowd.bytesStored)} of it new`],
    ['refused, group in use', `${crowd.busy}`],
    ['processes killed with -9', `${crowd.kills}, of which ${crowd.killsAtWork} in the middle of a backup`],
    ['left by the dead', `${proof.unfinished} parts of snapshots, listed as unfinished`],
    ['snapshots listed', String(proof.listed)],
    ['restored and compared', `${proof.listed - proof.wrong.length}, ${size(proof.restoredBytes)}: names, modes, times, links, contents`],
    ['listed but wrong', fault(proof.wrong.length)],
    ['finished but not listed', fault(proof.lost.length)],
    ['crashed processes', fault(crowd.crashes.length)],
    ['locks left', fault(leftLocks)],
  ].map(([what = '', text = '']) => [paint.dim(what), text])))
  const faults = [...crowd.crashes, ...proof.wrong, ...proof.lost.map(name => `${name} is lost`), ...(proof.listed === 0 ? ['there was no time for a single backup'] : [])]
  for (const text of faults.slice(0, 10)) print(`  ${visible(text)}`)
  const holds = faults.length === 0 && leftLocks === 0
  print(holds
    ? paint.bold(paint.green(`PROOF: all ${proof.listed} snapshots restore bit for bit, after ${crowd.kills} kills; nothing that was finished is lost`))
    : paint.bold(paint.red('PROOF: FAILED')))
  return holds ? EXIT.OK : EXIT.CONFLICT
}
