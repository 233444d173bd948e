/**
 * demo.ts: `locktable demo`: a backup server's day against one table, with one process after the other killed by -9; then the proof that
 * every counter adds up.
 */
import { existsSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Command, Option } from 'commander'
import { LockTable } from '../index.js'
import { type TableOptions, addTableOptions, parseSeconds, parseWhole } from './common.js'
import { Day, type DayOptions, type Kill } from './demo-day.js'
import { type DemoPlan, SPACES, findGroups, manifestPath } from './demo-plan.js'
import { type Proof, prove } from './demo-proof.js'
import { demoWorker } from './demo-worker.js'
import { EXIT, Refusal, exitHelp, messageOf } from './exit-codes.js'
import { complain, duration, isTerminal, paint, print, table as printTable, visible } from './output.js'

interface DemoOptions extends TableOptions, DayOptions {
  readonly withoutLocks?: boolean
  readonly store?: boolean
}

const TMPFS_MAGIC = 0x01021994

const HELP = `
Each directory of the first level is a backup group (of node_modules: each
package), its files are in up to four snapshots. The workers, each a process,
  back up  (group shared, snapshot and manifest exclusive),
  verify   (all shared) and
  prune    (group and manifest exclusive):
they read and hash the real files, and rewrite a small manifest of each group
in a temporary directory. The tree itself is only read.

The proof: every manifest counts its rewrites, every worker keeps a journal of
what it began and ended. At the end each counter must be just what the
journals say, a rewrite cut off by a kill being there or not as the manifest
itself shows; no two holders may have met; every digest must be that of its
file; nobody may wait for a lock that does not come. --without-locks shows that
the proof can fail.

--store, the second act: each process changes a directory, a copy of real files,
and backs it up into one datastore, again and again, while one after the other
is killed. The proof: every snapshot that the store lists is restored, and is
bit for bit what the directory was; no backup that had ended is missing.

The demo makes a table of its own, not that of $LOCKTABLE, and removes it. With
--table PATH one can watch it: locktable --table PATH status --watch

Examples:
  locktable demo
  locktable demo /usr/share/doc --seconds 60 --workers 12 --kill-every 50
  locktable demo --store
`

export function addDemo(program: Command): void {
  addTableOptions(program.command('demo'))
    .summary("a backup server's day with kill -9, and the proof that nothing was lost")
    .description('Several processes lock, read and rewrite files about a real directory tree, while one after the other is killed with -9. At the end ' +
      'every counter must add up.')
    .argument('[directory]', 'the tree whose directories are the backup groups (default: a node_modules)')
    .addOption(new Option('--seconds <number>', 'how long (default: 15; --store: 8)').argParser(parseSeconds))
    .option('--workers <number>', 'processes at work (default: 6; --store: 4)', parseWhole(1, 100))
    .option('--kill-every <ms>', 'milliseconds between kills; 0: never (default: 250; --store: 400)', parseWhole(0, 600_000))
    .option('--store', 'the second act: a datastore')
    .addOption(new Option('--without-locks', 'do without, and see the proof fail').conflicts('store'))
    .addHelpText('after', HELP + exitHelp({ [EXIT.OK]: 'proved', [EXIT.CONFLICT]: 'not proved', [EXIT.MISSING]: 'there is no such directory, or nothing in it' }))
    .action(async (directory: string | undefined, _options: DemoOptions, command: Command) => {
      process.exitCode = await demo(directory ?? defaultTree(), command.optsWithGlobals<DemoOptions>())
    })
  program.command('demo-worker', { hidden: true }).argument('<plan>').argument('<worker>').action(demoWorker)
  program.command('demo-store-worker', { hidden: true }).argument('<plan>').argument('<worker>').action(async (plan: string, worker: string) => {
    await (await import('./demo-store-worker.js')).demoStoreWorker(plan, worker)
  })
}

/** The packages beside which, or under which, this one is installed. */
function defaultTree(): string {
  for (const place of ['../../node_modules', '../../..']) {
    const path = fileURLToPath(new URL(place, import.meta.url))
    if (existsSync(path) && resolve(path).endsWith('node_modules')) return resolve(path)
  }
  return process.cwd()
}

/** Where a table may live: memory, if the machine shows any. */
function memoryDirectory(): string {
  for (const directory of [process.env['XDG_RUNTIME_DIR'], '/dev/shm', '/run']) {
    if (directory !== undefined && existsSync(directory) && statfsSync(directory).type === TMPFS_MAGIC) return directory
  }
  return tmpdir()
}

const FIRST_ACT: DayOptions = { seconds: 15_000, workers: 6, killEvery: 250 }
const SECOND_ACT: DayOptions = { seconds: 8000, workers: 4, killEvery: 400 }

async function demo(directory: string, options: Partial<DayOptions> & Omit<DemoOptions, keyof DayOptions>): Promise<number> {
  if (!options.store) return await firstAct(directory, { ...FIRST_ACT, ...options })
  const { demoStore } = await import('./demo-store.js')
  return await demoStore(directory, options.table ?? join(memoryDirectory(), `locktable-demo-${process.pid}`), memoryDirectory(), { ...SECOND_ACT, ...options })
}

async function firstAct(directory: string, options: DemoOptions): Promise<number> {
  const groups = findGroups(directory)
  if (groups.length === 0) throw new Refusal(`${directory} has no files that could be backed up`, EXIT.MISSING)
  const tablePath = options.table ?? join(memoryDirectory(), `locktable-demo-${process.pid}`)
  const isOurs = !existsSync(tablePath)
  const table = await LockTable.open(tablePath, { spaces: SPACES, requireTmpfs: false, ownerUid: options.trustOwner, label: 'demo' })
  const storeDirectory = mkdtempSync(join(tmpdir(), 'locktable-demo-'))
  try {
    const plan: DemoPlan = { tablePath, storeDirectory, groups, withoutLocks: options.withoutLocks === true }
    makeStore(plan)
    print(`${groups.length} backup groups from ${visible(directory)}\n${options.workers} processes for ${duration(options.seconds)}${
      options.killEvery > 0 ? `, one killed with -9 every ${duration(options.killEvery)}` : ''}`)
    print(paint.dim(`table ${tablePath}, manifests in ${storeDirectory}`))
    const day = new Day(plan, table, options)
    await runShowing(day)
    return conclude(prove(plan), day, isOurs ? table.inspect().slots.length : 0)
  } finally {
    await table.close()
    if (isOurs) await LockTable.remove(tablePath).catch((error: unknown) => {
      complain(`the table stays: ${messageOf(error)}`)
    })
    rmSync(storeDirectory, { recursive: true, force: true })
  }
}

function makeStore(plan: DemoPlan): void {
  for (const { name } of plan.groups) writeFileSync(manifestPath(plan, name), JSON.stringify({ group: name, edits: 0, writers: {}, digests: {} }))
  writeFileSync(join(plan.storeDirectory, 'plan.json'), JSON.stringify(plan))
}

/** The day, with one line about it: rewritten in place on a terminal, one every two seconds elsewhere. */
async function runShowing(day: Day): Promise<void> {
  const interrupt = (): void => {
    day.stop()
  }
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  let [shownAt, locksThen, nextLine] = [0, 0, 0]
  await day.run(() => {
    const [elapsed, locks] = [day.elapsedMs, day.total('locks')]
    if (!isTerminal && elapsed < nextLine) return
    nextLine = elapsed + 2000
    const rate = shownAt > 0 ? Math.round((locks - locksThen) / ((elapsed - shownAt) / 1000)) : 0
    ;[shownAt, locksThen] = [elapsed, locks]
    const line = `${`${(elapsed / 1000).toFixed(1)} s`.padStart(8)}  ${number(locks)} locks  ${number(rate)} locks/s  ${number(day.total('edits'))} rewrites  ${
      number(day.kills.length, 4)} kills`
    process.stdout.write(isTerminal ? `\r${line.slice(0, process.stdout.columns - 1)}\x1b[K` : `${line}\n`)
  })
  if (isTerminal) process.stdout.write('\r\x1b[K')
  process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
}

function number(value: number, width = 8): string {
  return String(value).padStart(width)
}

/** How long after each kill somebody held each of its locks again, milliseconds, sorted. */
function recoveries(kills: readonly Kill[], proof: Proof): number[] {
  const times = kills.flatMap(kill => kill.wishes.map(wish => {
    const after = proof.takeovers.filter(t => t.pid === kill.pid && t.space === wish.space && t.name === wish.name && t.at >= kill.at)
    return after.length === 0 ? undefined : Math.min(...after.map(t => Number(t.at - kill.at) / 1e6))
  }))
  return times.filter(time => time !== undefined).sort((a, b) => a - b)
}

function conclude(proof: Proof, day: Day, leftInTable: number): number {
  const times = recoveries(day.kills, proof)
  const at = (share: number): string => duration(times[Math.min(times.length - 1, Math.floor(times.length * share))])
  const fault = (count: number, text = String(count)): string => (count === 0 ? paint.green(text) : paint.red(text))
  const expected = proof.completed + proof.landed
  print(printTable([], [
    ['locks taken', `${day.total('locks')}, ${Math.round(day.total('locks') / (day.elapsedMs / 1000))} a second, beside reading and rewriting files`],
    ['verifications', String(day.total('verified'))],
    ['processes killed with -9', String(day.kills.length)],
    ['locks they died with', `${times.length}, each handed on with a notice to the next holder`],
    ['until the next holder was in', times.length === 0 ? '-' : `p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}`],
    ['rewrites completed', String(proof.completed)],
    ['rewrites cut off by a kill', `${proof.cutOff}, of which ${proof.landed} had taken place`],
    ['sum of all counters', fault(Math.abs(proof.sum - expected), `${proof.sum}, expected ${expected}`)],
    ['counters that are wrong', fault(proof.miscounted.length)],
    ['digests that are wrong', fault(proof.wrongDigests, `${proof.wrongDigests} of ${proof.digests}`)],
    ['two holders at once', fault(proof.violations.length)],
    ['stranded or crashed processes', fault(day.crashes.length)],
    ['slots left in use', fault(leftInTable)],
  ].map(([what = '', text = '']) => [paint.dim(what), text])))
  const faults = [...day.crashes, ...proof.miscounted, ...proof.violations, ...(proof.completed === 0 ? ['there was no time for a single rewrite'] : [])]
  for (const text of faults.slice(0, 10)) print(`  ${visible(text)}`)
  if (faults.length > 10) print(`  … and ${faults.length - 10} more`)
  const holds = faults.length === 0 && proof.wrongDigests === 0 && leftInTable === 0 && proof.sum === expected
  print(holds
    ? paint.bold(paint.green(`PROOF: every counter adds up: ${proof.sum} rewrites, ${day.kills.length} kills, nothing lost, nobody came in twice`))
    : paint.bold(paint.red('PROOF: FAILED')))
  return holds ? EXIT.OK : EXIT.CONFLICT
}
