/**
 * soak.ts: many processes hammer many names in mixed modes while one after the other is killed with -9, stopped, or made to exit; then
 * the books are checked.
 *
 * usage: npx tsx test/crash/soak.ts [seconds] [workers] [names] [slots] [seed]      (needs `npm run build`)
 *
 * Guarded by each name are two counters in a file, written one after the other: a dead holder may leave them torn, and whoever finds
 * them torn must have been told (guard.abandoned). Each worker writes its completed increments to a place of its own.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { LockTable } from '../../src/index.js'
import { until } from '../support/until.js'

export interface SoakOptions {
  readonly seconds: number
  readonly workers: number
  readonly names: number
  readonly slots: number
  readonly seed: number
  /** It goes on until so many were killed, even if the time is up: on a machine that does something else the workers take long to start. Default: 0. */
  readonly leastKills?: number
}

export interface SoakReport {
  readonly kills: number
  readonly stops: number
  readonly exits: number
  readonly increments: number
  readonly shared: number
  readonly notices: number
  /** Everything that must not be: torn data without a notice, overlaps, stranded waiters, wrong sums. */
  readonly faults: readonly string[]
}

/** What a worker has done, at 64-byte places of a file that it alone writes. */
export const JOURNAL_BYTES = 64
export const WORKER_LIMIT = 8192
export const CELL_BYTES = 16
/** So long may the last ones take to come to their end. */
const PATIENCE_MS = 30_000

/** A small generator with a seed, so that a run can be repeated as far as the kernel allows. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const directory = mkdtempSync('/dev/shm/locktable-soak-')
  const path = join(directory, 'locks')
  const table = await LockTable.open(path, { spaces: [{ name: 'default', slots: options.slots }] })
  try {
    writeFileSync(join(directory, 'cells'), Buffer.alloc(options.names * CELL_BYTES))
    writeFileSync(join(directory, 'journal'), Buffer.alloc(WORKER_LIMIT * JOURNAL_BYTES))
    const crew = new Crew(directory, options, table)
    await crew.run()
    const faults = [...crew.faults, ...(await strandedAtTheEnd(crew, table))]
    return { ...crew.counts, ...settle(directory, options, faults, crew.counts.kills + crew.counts.exits) }
  } finally {
    await table.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

class Crew {
  readonly faults: string[] = []
  readonly counts = { kills: 0, stops: 0, exits: 0 }
  readonly #directory: string
  readonly #options: SoakOptions
  readonly #random: () => number
  readonly live = new Map<number, ChildProcess>()
  readonly #working = new Set<number>()
  #started = 0
  #ending = false

  readonly #table: LockTable

  constructor(directory: string, options: SoakOptions, table: LockTable) {
    this.#directory = directory
    this.#table = table
    this.#options = options
    this.#random = randomFrom(options.seed)
  }

  async run(): Promise<void> {
    for (let i = 0; i < this.#options.workers; i++) this.#start()
    const end = performance.now() + this.#options.seconds * 1000
    const { leastKills = 0 } = this.#options
    while ((performance.now() < end || this.counts.kills < leastKills) && this.faults.length === 0) {
      await new Promise(resolve => setTimeout(resolve, 10 + this.#random() * 120)) // the moment of the next blow is what is random here
      this.#strike()
      this.faults.push(...(await broken(this.#table)))
    }
    this.#ending = true
    for (const child of this.live.values()) {
      child.kill('SIGCONT')
      if (child.connected) child.send('end')
    }
  }

  #strike(): void {
    const ids = [...this.#working]
    const id = ids[Math.floor(this.#random() * ids.length)]
    const victim = id === undefined ? undefined : this.live.get(id)
    if (victim === undefined) return
    const dice = this.#random()
    if (dice < 0.12) {
      victim.kill('SIGSTOP')
      this.counts.stops++
      setTimeout(() => victim.kill('SIGCONT'), 50) // others meet it while it is stopped: they run on meanwhile
    } else if (dice < 0.2) {
      victim.send(dice < 0.16 ? 'exit' : 'throw')
      this.counts.exits++
    } else {
      victim.kill('SIGKILL')
      this.counts.kills++
    }
  }

  #start(): void {
    const id = this.#started++
    const { names, seed } = this.#options
    const worker = fileURLToPath(new URL('./soak-worker.mjs', import.meta.url))
    const child = fork(worker, [this.#directory, String(id), String(names), String(seed + id)], { stdio: ['ignore', 'inherit', 'ignore', 'ipc'] })
    this.live.set(id, child)
    child.on('message', (text: string) => {
      if (text === 'working') this.#working.add(id)
      else this.faults.push(`worker ${id}: ${text}`)
      if (this.#ending && child.connected) child.send('end')
    })
    child.on('error', () => undefined) // an order to one that has just died
    child.on('exit', () => {
      this.live.delete(id)
      this.#working.delete(id)
      if (!this.#ending) this.#start()
    })
  }
}

/** Everybody must come to an end. Whoever does not, in all that time, is stranded. */
async function strandedAtTheEnd(crew: Crew, table: LockTable): Promise<string[]> {
  const patience = performance.now() + PATIENCE_MS
  await until(() => crew.live.size === 0 || performance.now() > patience)
  if (crew.live.size > 0) {
    const slots = JSON.stringify(table.inspect().slots, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
    for (const child of crew.live.values()) child.kill('SIGKILL')
    return [`${crew.live.size} workers did not end; slots: ${slots}`]
  }
  const left = table.inspect().slots.filter(slot => slot.waiters.length > 0 || slot.holders.some(holder => holder.state === 'live'))
  return [...left.map(slot => `slot ${slot.slot} is still held or waited for: ${slot.name}`), ...(await broken(table, 'stuck'))]
}

/** The table's own audit. In the middle of it all somebody may be stopped anywhere: only what is broken counts then. */
async function broken(table: LockTable, also?: 'stuck'): Promise<string[]> {
  const findings = await table.check({ settleMs: 20 })
  return findings.filter(({ severity }) => severity === 'broken' || severity === also).map(finding => JSON.stringify(finding))
}

/** Sums of cells and journals must agree, up to one increment in doubt for each worker that was killed. */
function settle(directory: string, options: SoakOptions, faults: string[], deaths: number): Pick<SoakReport, 'increments' | 'shared' | 'notices' | 'faults'> {
  const cells = readFileSync(join(directory, 'cells'))
  const journal = readFileSync(join(directory, 'journal'))
  let sum = 0
  for (let i = 0; i < options.names; i++) sum += Math.max(Number(cells.readBigInt64LE(i * CELL_BYTES)), Number(cells.readBigInt64LE(i * CELL_BYTES + 8)))
  const total = (field: number): number => {
    let all = 0
    for (let at = field; at < journal.length; at += JOURNAL_BYTES) all += Number(journal.readBigInt64LE(at))
    return all
  }
  const [begun, completed, shared, notices] = [total(0), total(8), total(16), total(24)]
  if (sum < completed || sum > begun || begun - completed > deaths * TASKS_PER_WORKER) {
    faults.push(`the cells add up to ${sum}, ${completed} increments were completed, ${begun} begun, ${deaths} workers died`)
  }
  return { increments: sum, shared, notices, faults }
}

export const TASKS_PER_WORKER = 3

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [seconds = 60, workers = 8, names = 1000, slots = 256, seed = Date.now() % 2 ** 31] = process.argv.slice(2).map(Number)
  console.log(JSON.stringify({ seconds, workers, names, slots, seed }))
  const report = await soak({ seconds, workers, names, slots, seed })
  console.log(JSON.stringify(report, null, 2))
  process.exitCode = report.faults.length === 0 ? 0 : 1
}
