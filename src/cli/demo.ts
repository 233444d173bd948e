/**
 * demo.ts: `locktable demo`: a backup server's day against one table, with one process after the other killed by -9; then the proof that
 * every counter adds up.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { LockTable } from '../index.js'
import { parseSeconds, parseWhole } from './common.js'
import { type DemoGroup, type DemoPlan, type WorkerNews, findGroups, groupDirectory, groupFile } from './demo-plan.js'
import { type Proof, prove } from './demo-proof.js'
import { demoWorker } from './demo-worker.js'
import { EXIT } from './exit-codes.js'
import { duration, print, table as printTable } from './output.js'

interface DemoOptions {
  readonly seconds: number
  readonly workers: number
  readonly killEvery: number
}

const TMPFS_MAGIC = 0x01021994

export function addDemo(program: Command): void {
  program.command('demo')
    .summary("a backup server's day with kill -9, and the proof that nothing was lost")
    .description('Several processes lock, read and rewrite real files of a small store about a directory tree, while one of them is killed with -9 again ' +
      'and again. At the end every counter must add up.')
    .argument('[directory]', 'the tree whose directories are the backup groups', defaultTree())
    .option('--seconds <number>', 'how long', parseSeconds, 15_000)
    .option('--workers <number>', 'processes at work', parseWhole(1, 64), 6)
    .option('--kill-every <ms>', 'kill one of them so often; 0: never', parseWhole(0, 60_000), 250)
    .action(async (directory: string, options: DemoOptions) => {
      process.exitCode = await demo(directory, options)
    })
  program.command('demo-worker', { hidden: true }).argument('<plan>').argument('<worker>').action(demoWorker)
}

function defaultTree(): string {
  const own = fileURLToPath(new URL('../../node_modules', import.meta.url))
  return existsSync(own) ? own : process.cwd()
}

/** Where a table may live: memory, if the machine shows any. */
function memoryDirectory(): string {
  for (const directory of [process.env['XDG_RUNTIME_DIR'], '/dev/shm', '/run']) {
    if (directory !== undefined && existsSync(directory) && statfsSync(directory).type === TMPFS_MAGIC) return directory
  }
  return tmpdir()
}

async function demo(directory: string, options: DemoOptions): Promise<number> {
  const groups = findGroups(directory)
  if (groups.length === 0) throw new RangeError(`${directory} has no directories with files`)
  const storeDirectory = mkdtempSync(join(tmpdir(), 'locktable-demo-'))
  const tablePath = join(memoryDirectory(), `locktable-demo-${process.pid}`)
  const table = await LockTable.open(tablePath, { spaces: ['group', 'snapshot', 'manifest'], requireTmpfs: false, exclusive: true, label: 'demo' })
  try {
    const plan: DemoPlan = { tablePath, storeDirectory, groups }
    makeStore(plan)
    print(`${groups.length} groups found in ${directory}; ${options.workers} processes for ${duration(options.seconds)}` +
      (options.killEvery > 0 ? `, one killed with -9 every ${options.killEvery} ms` : ''))
    const day = new Day(plan, table, options)
    await day.run()
    return conclude(prove(plan), day)
  } finally {
    await table.close()
    await LockTable.remove(tablePath)
    rmSync(storeDirectory, { recursive: true, force: true })
  }
}

function makeStore(plan: DemoPlan): void {
  for (const group of plan.groups) {
    mkdirSync(groupDirectory(plan, group))
    writeFileSync(groupFile(plan, group, 'manifest.json'), JSON.stringify({ group: group.name, edits: 0, writers: {}, digests: {} }))
    writeFileSync(groupFile(plan, group, 'holder'), '')
  }
  writeFileSync(join(plan.storeDirectory, 'plan.json'), JSON.stringify(plan))
}

interface Worker {
  readonly id: string
  readonly child: ChildProcess
  news: WorkerNews
}

const NO_NEWS: WorkerNews = { locks: 0, edits: 0, takeovers: 0, holding: undefined }

/** The processes, the kills, and how fast locks came back. */
class Day {
  readonly #plan: DemoPlan
  readonly #table: LockTable
  readonly #options: DemoOptions
  readonly #workers = new Set<Worker>()
  readonly #past: WorkerNews[] = []
  readonly recoveriesMs: number[] = []
  kills = 0
  crashes = 0
  #started = 0
  #ending = false
  elapsedMs = 0

  constructor(plan: DemoPlan, table: LockTable, options: DemoOptions) {
    this.#plan = plan
    this.#table = table
    this.#options = options
  }

  async run(): Promise<void> {
    for (let i = 0; i < this.#options.workers; i++) this.#start()
    const began = performance.now()
    const progress = setInterval(() => {
      this.#show(performance.now() - began)
    }, 1000)
    let nextKill = this.#options.killEvery
    while ((this.elapsedMs = performance.now() - began) < this.#options.seconds) {
      await new Promise(resolve => setTimeout(resolve, Math.min(20, this.#options.seconds)))
      if (this.#options.killEvery === 0 || this.elapsedMs < nextKill) continue
      await this.#killOne()
      nextKill = performance.now() - began + this.#options.killEvery
    }
    clearInterval(progress)
    this.#show(this.elapsedMs)
    if (process.stdout.isTTY) print('')
    await this.#end()
  }

  #start(): void {
    const id = `w${++this.#started}`
    const main = fileURLToPath(import.meta.url)
    const child = fork(process.argv[1] ?? main, ['demo-worker', join(this.#plan.storeDirectory, 'plan.json'), id], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const worker: Worker = { id, child, news: NO_NEWS }
    this.#workers.add(worker)
    child.on('message', (news: WorkerNews) => {
      worker.news = news
    })
    child.on('exit', (code, signal) => {
      this.#workers.delete(worker)
      this.#past.push(worker.news)
      if (signal !== 'SIGKILL' && code !== 0) this.crashes++
      if (!this.#ending) this.#start()
    })
  }

  /** Kills a worker that has said it is at work under a lock, and locks the same name itself. */
  async #killOne(): Promise<void> {
    const busy = [...this.#workers].filter(worker => worker.news.holding !== undefined && worker.child.pid !== undefined)
    const victim = busy[Math.floor(Math.random() * busy.length)]
    if (victim === undefined) return
    const name = victim.news.holding ?? ''
    const began = performance.now()
    victim.child.kill('SIGKILL')
    this.kills++
    const guard = await this.#table.space('manifest').lock(name)
    if (guard.abandoned?.pid === victim.child.pid) this.recoveriesMs.push(performance.now() - began)
    if (guard.abandoned !== undefined) this.#cleanUp(name)
    guard.release()
  }

  /** What a holder that finds its lock abandoned has to do. */
  #cleanUp(name: string): void {
    const group: DemoGroup = { name, files: [] }
    writeFileSync(groupFile(this.#plan, group, 'holder'), '')
  }

  total(what: 'locks' | 'edits' | 'takeovers'): number {
    return [...this.#past, ...[...this.#workers].map(worker => worker.news)].reduce((sum, news) => sum + news[what], 0)
  }

  #show(elapsedMs: number): void {
    const line = `${(elapsedMs / 1000).toFixed(0).padStart(4)} s  ${String(this.total('locks')).padStart(8)} locks  ${
      String(this.total('edits')).padStart(7)} rewrites  ${String(this.kills).padStart(4)} kills`
    process.stdout.write(process.stdout.isTTY ? `\r${line}` : `${line}\n`)
  }

  async #end(): Promise<void> {
    this.#ending = true
    const gone = [...this.#workers].map(worker => new Promise(resolve => worker.child.once('exit', resolve)))
    for (const worker of this.#workers) worker.child.send('end')
    await Promise.all(gone)
  }
}

function conclude(proof: Proof, day: Day): number {
  const sorted = [...day.recoveriesMs].sort((a, b) => a - b)
  const at = (share: number): string => duration(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))])
  print(printTable(['', ''], [
    ['locks taken', `${day.total('locks')}, ${Math.round(day.total('locks') / (day.elapsedMs / 1000))} a second beside the file work`],
    ['processes killed', String(day.kills)],
    ['killed inside a lock', `${sorted.length}; next holder in after p50 ${at(0.5)}, p99 ${at(0.99)}, at most ${at(1)}`],
    ['found abandoned by workers', String(day.total('takeovers'))],
    ['rewrites completed', String(proof.completed)],
    ['cut off by a kill', `${proof.inDoubt}, of which ${proof.landed} had taken place`],
    ['sum of all manifests', `${proof.sum}, expected ${proof.completed + proof.landed}`],
    ['groups that differ', String(proof.wrongGroups.length)],
    ['two holders at once', String(proof.violations.length)],
    ['unexpected exits', String(day.crashes)],
  ]))
  for (const text of [...proof.wrongGroups, ...proof.violations].slice(0, 10)) print(`  ${text}`)
  const holds = proof.wrongGroups.length === 0 && proof.violations.length === 0 && day.crashes === 0
  print(holds ? 'PROOF: every counter adds up; nothing was lost, nobody came in twice' : 'PROOF FAILED')
  return holds ? EXIT.OK : EXIT.CONFLICT
}
