/**
 * recovery.ts: from kill -9 of a holder to the next holder running.
 *
 *   npx tsx bench/recovery.ts [--quick|--small] [--kills K] [--resident-mib M] [--only TEXT] [--json FILE]
 *
 * The clock (CLOCK_MONOTONIC) starts just before kill(), when the next holder sleeps in its lock, and stops there when it has the lock.
 * A holder with resident memory (--resident-mib) takes longer to die, and a lock may come free before or after that memory is given back.
 * Without the option both are measured: a holder as small as can be (a bare Node; in C a forked child), and one of 4 GiB (less where there is
 * not half as much again to spare) with few kills, one holder at a time.
 * Below 100 kills the p99 is the slowest one; for a p99 worth the name: --kills 200 --resident-mib 0.
 * Holders and waiters are processes of the kind named: C beside C, Node beside Node. Kills of the candidates alternate, in batches.
 *
 * Every holder and every waiter adds one to a counter under the lock; it must come out as twice the kills. Where a lock tells its
 * next holder of a death (the table), it must have told of every one.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Baseline, RECOVERING_LOCKS } from './lib/baseline.js'
import { type Bundle, bundle } from './lib/bundled.js'
import { gather } from './lib/contenders.js'
import { type Figure, Findings } from './lib/findings.js'
import { availableMiB } from './lib/memory.js'
import { namesApart } from './lib/names-apart.js'
import { isChosen, questionOptions } from './lib/question.js'
import { formatNs } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { labelOf } from './lib/series.js'
import { type SharedWords, makeSharedWords } from './lib/shared-words.js'
import { median, percentile } from './lib/stats.js'
import { nodeArgs } from './lib/tsx.js'
import type { RecoveryTask } from './members/recovery.js'

const BASELINES = RECOVERING_LOCKS.filter(lock => lock !== 'flock-double-stat')
/** Holders that are started together; the killing is one by one. Large ones are alone. */
const BATCH = 4
const BATCH_MIB = 512
const LARGE_MIB = 4096
const EXPIRES = 'a dead holder\'s lock is free when its time is over, which here is 10 s'
/** As in members/recovery.ts, which runs when it is imported. */
const ASKING = 0
const ENTERED_NS = 1
const COUNTER = 0
const STRIDE = 16
/** A lock that has not come free by then never does. */
const PATIENCE_MS = 20_000

interface Contender {
  readonly group: string
  readonly name: string
  /** At most BATCH kills. @returns how long the recovery of each took, in ns */
  kill(kills: number, residentMib: number): Promise<number[]>
  /** What was counted under the lock. */
  readonly counted?: () => number
  close?(): void
}

const isGone = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

async function until(what: string, isTrue: () => boolean, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!isTrue()) {
    if (isGone(child)) throw new Error(`${what}: the process ended (${child.exitCode ?? child.signalCode})`)
    if (performance.now() > deadline) throw new Error(`${what}: nothing happened for ${PATIENCE_MS / 1000} s`)
    await sleep(0.5)
  }
}

/** The main thread sleeps, three looks in a row. */
async function untilAsleep(pid: number): Promise<void> {
  for (let asleep = 0; asleep < 3;) {
    await sleep(1)
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    asleep = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) === 'S' ? asleep + 1 : 0
  }
}

class PeerContender implements Contender {
  readonly group: string
  readonly name: string
  readonly #directory: string
  readonly #program: Bundle
  readonly #words: SharedWords = makeSharedWords(STRIDE * (2 + BATCH))
  readonly #children = new Set<ChildProcess>()
  #waiter: ChildProcess | undefined
  #names: readonly string[] | undefined

  constructor(group: string, name: string, directory: string, program: Bundle) {
    this.group = group
    this.name = name
    this.#directory = directory
    this.#program = program
    mkdirSync(directory, { mode: 0o700 })
  }

  readonly counted = (): number => this.#words.read(COUNTER)

  async kill(kills: number, residentMib: number): Promise<number[]> {
    const waiter = this.#waiter ??= await this.#startWaiter()
    const names = this.#names ??= await namesApart(this.#directory, BATCH)
    const holders = Array.from({ length: kills }, (_, i) => {
      const name = names[i]!
      const at = STRIDE * (2 + i)
      this.#words.write(at + ENTERED_NS, 0)
      return { name, at, child: this.#start({ role: 'holder', name, at, residentMib }) }
    })
    for (const { at, child } of holders) await until(`${this.name}, holder`, () => this.#words.read(at + ENTERED_NS) !== 0, child)
    const recoveries: number[] = []
    for (const { name, child } of holders) recoveries.push(await this.#killOne(waiter, name, child))
    return recoveries
  }

  async #killOne(waiter: ChildProcess, name: string, holder: ChildProcess): Promise<number> {
    const [asking, entered] = [STRIDE + ASKING, STRIDE + ENTERED_NS]
    this.#words.write(asking, 0)
    this.#words.write(entered, 0)
    const told = new Promise<{ sawDeath: boolean }>(resolve => waiter.once('message', message => resolve(message as { sawDeath: boolean })))
    waiter.send(name)
    await until(`${this.name}, waiter`, () => this.#words.read(asking) === 1, waiter)
    await untilAsleep(waiter.pid!)
    if (this.#words.read(entered) !== 0) throw new Error(`${this.name} does not exclude: the waiter is in before the holder died`)
    const killed = Number(process.hrtime.bigint())
    process.kill(holder.pid!, 'SIGKILL')
    await until(`${this.name}, recovery`, () => this.#words.read(entered) !== 0, waiter)
    const { sawDeath } = await told
    if (this.name.startsWith('table') && !sawDeath) throw new Error(`${this.name}: the next holder was not told of the death`)
    return this.#words.read(entered) - killed
  }

  async #startWaiter(): Promise<ChildProcess> {
    const waiter = this.#start({ role: 'waiter', name: '', at: STRIDE, residentMib: 0 })
    let isReady = false
    waiter.once('message', () => {
      isReady = true
    })
    await until(`${this.name}, waiter`, () => isReady, waiter)
    return waiter
  }

  #start(task: Pick<RecoveryTask, 'role' | 'name' | 'at' | 'residentMib'>): ChildProcess {
    const whole: RecoveryTask = { ...task, peer: this.name, directory: this.#directory, address: this.#words.address }
    const child = fork(this.#program.script, [JSON.stringify(whole)], { execArgv: [...nodeArgs(this.#program.script)] })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    this.#words.close()
  }
}

/** One kill per run of the baseline program, so that its quantiles are that kill. */
function baselineContender(baseline: Baseline, name: (typeof BASELINES)[number], directory: string): Contender {
  const kill = async (kills: number, residentMib: number): Promise<number[]> => {
    const recoveries: number[] = []
    for (let i = 0; i < kills; i++) recoveries.push((await baseline.recovery(name, { kills: 1, residentMib, directory })).recoveryNs.max)
    return recoveries
  }
  return { group: 'C', name, kill }
}

interface Result {
  readonly group: string
  readonly name: string
  readonly kills: number
  readonly min: number
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly samples: readonly number[]
}

interface Case {
  readonly residentMib: number
  readonly kills: number
  readonly results: readonly Result[]
}

/** @param contenders  those that fail are taken out */
async function measureKills(contenders: Set<Contender>, kills: number, residentMib: number, onFailure: (name: string, error: unknown) => void): Promise<Case> {
  const found = new Map([...contenders].map(contender => [contender, [] as number[]]))
  const batch = residentMib * BATCH > BATCH_MIB ? 1 : BATCH
  for (let round = 0, done = 0; done < kills; round++, done += batch) {
    const order = [...found.keys()]
    for (let turn = 0; turn < order.length; turn++) {
      const contender = order[(round + turn) % order.length]!
      try {
        found.get(contender)!.push(...await contender.kill(Math.min(batch, kills - done), residentMib))
      } catch (error) {
        found.delete(contender)
        contenders.delete(contender)
        contender.close?.()
        onFailure(contender.name, error)
      }
    }
  }
  const results = [...found].map(([{ group, name }, samples]) => {
    return { group, name, kills: samples.length, min: Math.min(...samples), p50: median(samples), p99: percentile(samples, 0.99), max: Math.max(...samples), samples }
  })
  return { residentMib, kills, results }
}

const sizeOf = (residentMib: number): string => (residentMib === 0 ? 'no more memory than it needs' : `${residentMib} MiB`)

function noteCase(findings: Findings, { residentMib, kills, results }: Case): void {
  findings.table(`kill -9 of a holder of ${sizeOf(residentMib)} to the next one running, ${kills} kills each`, [
    { title: 'what' }, { title: 'how', align: 'left' }, { title: 'fastest' }, { title: 'p50' }, { title: 'p99' }, { title: 'slowest' },
  ], results.map(({ group, name, min, p50, p99, max }) => [group, name, formatNs(min), formatNs(p50), formatNs(p99), formatNs(max)]))
  const points: Figure['points'] = results.map(({ group, name, min, max, p50 }) => ({ series: labelOf(group, name), x: 0, y: p50 / 1e6, low: min / 1e6, high: max / 1e6 }))
  findings.figure({
    id: residentMib === 0 ? 'recovery' : 'recovery-large', kind: 'bars', points,
    title: residentMib === 0 ? 'A holder is killed: when does the next one run?' : 'The same with a large holder, whose memory the kernel must take back',
    subtitle: `kill -9 of a holder of ${sizeOf(residentMib)}. Median and range of ${kills} kills.`,
    x: { title: '' }, y: { title: 'ms from the kill to the next holder', isLog: true },
  })
  findings.headline({
    measure: `kill -9 of a holder of ${sizeOf(residentMib)} to the next one, p50`, better: 'less', unit: 'ns', ours: labelOf('locktable', 'table, await lock'),
    values: results.map(({ group, name, p50 }) => ({ series: labelOf(group, name), value: p50 })),
  })
}

/** What of `wanted` leaves the machine half as much again. */
function affordable(wanted: number): number {
  return Math.min(wanted, Math.floor(availableMiB() / 1.5))
}

async function main(): Promise<void> {
  const options = questionOptions({ kills: [40, 8, 1], 'resident-mib': [0, 0, 0] })
  const findings = new Findings('recovery')
  using scratch = makeScratch()
  using program = await bundle(new URL('members/recovery.ts', import.meta.url))
  const without = { 'proper-lockfile': 'a dead holder\'s lock counts as stale after 10 s', 'Redis, SET NX PX': EXPIRES }
  await using field = await gather({ only: options.only, directory: scratch.path, without })
  const contenders = new Set<Contender>()
  for (const name of BASELINES) {
    if (field.baseline !== undefined && isChosen(options, 'C', name)) contenders.add(baselineContender(field.baseline, name, scratch.path))
  }
  for (const { group, peer } of field.peers) contenders.add(new PeerContender(group, peer.name, join(scratch.path, `peer-${contenders.size}`), program))
  const { kills } = options.numbers
  if (kills < 1) throw new RangeError('--kills must be at least 1')
  const residentMib = options.given['resident-mib'] ?? (options.small ? 0 : undefined)
  const large = { kills: options.pick(2, 1, 1), residentMib: affordable(options.pick(LARGE_MIB, 1024, 0)) }
  const cases = residentMib === undefined ? [{ kills, residentMib: 0 }, large] : [{ kills, residentMib }]
  const measured: Case[] = []
  let total = 0
  try {
    for (const one of cases) {
      measured.push(await measureKills(contenders, one.kills, one.residentMib, (name, error) => findings.fail(name, error)))
      total += one.kills
    }
    const counters = [...contenders].flatMap(({ name, counted }) => {
      const counter = counted?.()
      return counter === undefined ? [] : [{ name, holders: 2 * total, counter }]
    })
    const broken = counters.filter(({ holders, counter }) => counter !== holders)
    for (const { name, holders, counter } of broken) findings.fail(name, `it does not exclude: ${holders} holders, counted ${counter}`)
    for (const one of measured) noteCase(findings, { ...one, results: one.results.filter(({ name }) => !broken.some(other => other.name === name)) })
    findings.leaveOut(...field.skipped)
    findings.write(options.json, { cases: measured, counters })
  } finally {
    for (const contender of contenders) contender.close?.()
  }
}

await main()
