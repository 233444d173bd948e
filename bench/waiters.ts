/**
 * waiters.ts: thousands of tasks of one process wait for one lock: what do they cost, and how long until the last has had it?
 *
 *   npx tsx bench/waiters.ts [--quick|--small] [--wait-ms T] [--only TEXT] [--json FILE]
 *
 * Each number of waiters in a new process. One task holds, the others ask, all wait for a while, then the lock goes round once.
 *
 *   ask      ns per request, without what it does later
 *   memory   growth of the process while all wait, per waiter: its own pages, and V8's heap after a collection
 *   delay    of the event loop while all wait and nothing else happens: how late a timer of 1 ms comes
 *   drain    from the release to the last task having been in; each does nothing inside but count
 *
 * Every task reads a counter, lets others run, and writes it back increased by one: it must come out as the number of tasks. Whoever polls or occupies
 * a thread for each waiter gets fewer waiters, as many as he can bear.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LockTable } from '../src/index.js'
import { answer, ask } from './lib/ask.js'
import { gather } from './lib/contenders.js'
import { Findings, type Point } from './lib/findings.js'
import { findNode24 } from './lib/isolated.js'
import { watchLoopWhile } from './lib/loop-watch.js'
import { memoryGrowth, memoryNow } from './lib/memory.js'
import { questionOptions } from './lib/question.js'
import { formatNs } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { labelOf } from './lib/series.js'
import type { LatencySummary } from './lib/stats.js'
import { flockAsync } from './peers/flock.js'
import { PEERS } from './peers/index.js'
import { OURS, tableAsync, tablePath } from './peers/locktable.js'
import { navigatorLocks } from './peers/navigator-locks.js'
import type { AsyncLocks, Peer } from './peers/peer.js'
import { properLockfile } from './peers/proper-lockfile.js'
import { redis } from './peers/redis.js'

const NAME = 'vm-100'

/** The same table by the face of the Web Locks. */
const tableRequest: Peer = {
  name: 'table, request',
  scope: 'machine',
  available: () => undefined,
  open(directory): AsyncLocks<() => void> {
    const table = LockTable.openSync(tablePath(directory))
    return {
      kind: 'async',
      lock: name => new Promise((resolve, reject) => {
        table.request(name, () => new Promise<void>(release => resolve(release))).catch(reject)
      }),
      unlock: release => release(),
      close: () => table.close(),
    }
  },
}

const BLOCKS = 'it blocks the thread while it waits, so a process has one waiter at most'
const CANDIDATES: readonly Peer[] = [...PEERS, ...OURS, tableRequest]

/** How many waiters somebody can bear, and why not more. */
const LIMITS: Readonly<Record<string, readonly [number, string]>> = {
  [properLockfile.name]: [100, 'beyond 100 waiters: each asks again every millisecond, so that the holder\'s own unlocking waits behind all of them'],
  [redis.name]: [100, 'beyond 100 waiters: each asks again every millisecond, so that the holder\'s own unlocking waits behind all of them'],
  [flockAsync.name]: [3, 'beyond 3 waiters'],
}
const POOL = 4
/** Twice libuv's pool: does anybody get on? */
const STUCK_AT = 2 * POOL
const STUCK_MS = 3000

interface Answer {
  readonly askNs: number
  readonly waiters: number
  readonly counter: number
  readonly privateBytes: number
  readonly heapBytes: number
  readonly loopNs: LatencySummary
  readonly drainNs: number
  readonly drainLoopNs: LatencySummary
}

async function serve(name: string, waiters: number, waitMs: number, directory: string): Promise<void> {
  const locks = await CANDIDATES.find(peer => peer.name === name)!.open(directory) as AsyncLocks
  for (let i = 0; i < 200; i++) await locks.unlock(await locks.lock('warm'))
  let counter = 0
  const task = async (): Promise<void> => {
    const held: unknown = await locks.lock(NAME)
    const seen = counter
    await Promise.resolve()
    counter = seen + 1
    await locks.unlock(held)
  }
  const first: unknown = await locks.lock(NAME)
  const before = memoryNow()
  const began = process.hrtime.bigint()
  const tasks = Array.from({ length: waiters }, task)
  const askNs = Number(process.hrtime.bigint() - began) / waiters
  await sleep(20) // what a request does later is done
  const { loopNs } = await watchLoopWhile(sleep(waitMs))
  if (counter !== 0) throw new Error('it does not exclude: a waiter is in while another holds')
  const growth = memoryGrowth(before, memoryNow())
  const released = process.hrtime.bigint()
  await locks.unlock(first)
  const drained = Promise.all(tasks).then(() => Number(process.hrtime.bigint() - released))
  const { loopNs: drainLoopNs } = await watchLoopWhile(drained)
  const drainNs = await drained
  await locks.close?.()
  answer({ askNs, waiters, counter, privateBytes: growth.privateBytes, heapBytes: growth.heapBytes, loopNs, drainNs, drainLoopNs } satisfies Answer)
}

type Row = Answer & { readonly group: string; readonly name: string }

/** Fewer waiters than these are lost in what a heap does by itself. */
const COUNTABLE = 100

const bytesEach = (bytes: number, waiters: number): string => (waiters < COUNTABLE ? '-' : `${Math.max(0, Math.round(bytes / waiters))} B`)

function note(findings: Findings, rows: readonly Row[], most: number): void {
  findings.table('Many tasks of one process wait for one lock', [
    { title: 'what' }, { title: 'how', align: 'left' }, { title: 'waiters' }, { title: 'ask' }, { title: 'memory per waiter\nown' }, { title: '\nheap' },
    { title: 'loop delay, waiting\np50' }, { title: '\np99' }, { title: '\nmax' }, { title: 'drain' }, { title: 'drain,\nper waiter' },
    { title: 'loop delay,\ndraining, max' },
  ], rows.map(({ group, name, waiters, askNs, privateBytes, heapBytes, loopNs, drainNs, drainLoopNs }) => [
    group, name, `${waiters}`, formatNs(askNs), bytesEach(privateBytes, waiters), bytesEach(heapBytes, waiters),
    formatNs(loopNs.p50), formatNs(loopNs.p99), formatNs(loopNs.max), formatNs(drainNs), formatNs(drainNs / waiters), formatNs(drainLoopNs.max),
  ]))
  const points = (figure: (row: Row) => number): Point[] =>
    rows.map(row => ({ series: labelOf(row.group, row.name), x: row.waiters, y: figure(row) }))
  const x = { title: 'waiting tasks', isLog: true }
  const how = 'Tasks of one process wait for one lock, which then goes round once.'
  findings.figure({
    id: 'waiters-drain', title: 'Thousands wait for one lock: how long until all had it?', subtitle: how, kind: 'lines', isMain: true,
    x, y: { title: 'us per waiter', isLog: true }, points: points(({ drainNs, waiters }) => drainNs / waiters / 1e3),
  })
  findings.figure({
    id: 'waiters-memory', title: 'What does a waiting task occupy?', subtitle: `${how} V8's heap, after a collection.`, kind: 'lines',
    x, y: { title: 'bytes per waiter', isLog: true }, points: points(({ heapBytes, waiters }) => heapBytes / waiters).filter(({ x: waiters, y }) => waiters >= COUNTABLE && y > 0),
  })
  findings.figure({
    id: 'waiters-delay', title: 'Is the event loop late while they wait?', subtitle: `${how} How late timers of 1 ms come meanwhile.`, kind: 'lines',
    x, y: { title: 'delay, p99, us', isLog: true }, points: points(({ loopNs }) => loopNs.p99 / 1e3),
  })
  const ours = labelOf('locktable', tableAsync.name)
  const values = (figure: (row: Row) => number): { series: string; value: number }[] =>
    rows.filter(({ waiters }) => waiters === most).map(row => ({ series: labelOf(row.group, row.name), value: figure(row) }))
  findings.headline({ measure: `${most} waiting tasks: drain, per waiter`, better: 'less', unit: 'ns', ours, values: values(({ drainNs, waiters }) => drainNs / waiters) })
  findings.headline({ measure: `${most} waiting tasks: heap per waiter`, better: 'less', unit: 'bytes', ours, values: values(({ heapBytes, waiters }) => heapBytes / waiters) })
  findings.headline({ measure: `${most} waiting tasks: event-loop delay, p99`, better: 'less', unit: 'ns', ours, values: values(({ loopNs }) => loopNs.p99) })
}

async function main(): Promise<void> {
  const options = questionOptions({ 'wait-ms': [500, 200, 20] })
  const findings = new Findings('waiters')
  using scratch = makeScratch()
  const { bundle } = await import('./lib/bundled.js') // not for those that serve
  using program = await bundle(new URL(import.meta.url))
  const node = navigatorLocks.available() === undefined ? undefined : findNode24()
  const without = Object.fromEntries(CANDIDATES.filter(({ isBlocking }) => isBlocking === true).map(({ name }) => [name, BLOCKS]))
  await using field = await gather({ only: options.only, directory: scratch.path, without, candidates: CANDIDATES, elsewhere: node === undefined ? [] : [navigatorLocks] })
  const { 'wait-ms': waitMs } = options.numbers
  const counts = options.pick([3, 100, 1000, 10_000], [3, 100, 10_000], [100])
  const rows: Row[] = []
  let directories = 0
  const drain = async (peer: Peer, waiters: number, patienceMs?: number): Promise<Answer> => {
    const directory = join(scratch.path, `waiters-${directories++}`)
    mkdirSync(directory, { mode: 0o700 })
    const elsewhere = peer === navigatorLocks ? node : undefined
    return await ask<Answer>(program.script, ['--serve', peer.name, String(waiters), String(waitMs), directory], { patienceMs: patienceMs ?? 60_000, node: elsewhere })
  }
  for (const waiters of counts) {
    for (const { group, peer } of field.peers) {
      if (waiters > (LIMITS[peer.name]?.[0] ?? Infinity)) continue
      try {
        const found = await drain(peer, waiters)
        if (found.counter !== waiters) throw new Error(`it does not exclude: ${waiters} tasks, counted ${found.counter}`)
        rows.push({ group: peer === tableRequest ? 'locktable' : group, name: peer.name, ...found })
      } catch (error) {
        findings.fail(`${peer.name}, ${waiters} waiters`, error)
      }
    }
  }
  note(findings, rows, counts.at(-1)!)
  findings.leaveOut(...field.skipped)
  for (const { peer } of field.peers) {
    const limit = LIMITS[peer.name]
    if (limit === undefined) continue
    const [, why] = limit
    if (peer !== flockAsync) findings.leaveOut({ name: peer.name, why })
    else if (!options.small) {
      const isStuck = await drain(peer, STUCK_AT, STUCK_MS).then(() => false, () => true)
      const seen = isStuck ? `with ${STUCK_AT} waiters nothing moved within ${STUCK_MS / 1000} s: they block all ${POOL} threads of libuv's pool, where the holder's unlocking has to run` : `${STUCK_AT} waiters got through this time`
      findings.leaveOut({ name: peer.name, why: `${why}: ${seen}` })
    }
  }
  findings.write(options.json, { waitMs, results: rows })
}

const [, , first, name = '', waiters = '', waitMs = '', directory = ''] = process.argv
if (first === '--serve') await serve(name, Number(waiters), Number(waitMs), directory)
else await main()
