/**
 * uncontended.ts: what does locking and unlocking cost when nobody else is there?
 *
 *   npx tsx bench/uncontended.ts [--quick|--small] [--together] [--runs N] [--run-ms T] [--only TEXT] [--json FILE]
 *
 * Everything is measured in one run, a turn each (lib/harness.ts), each in a process of its own (lib/isolated.ts); with --together, and in the
 * small run, the Node ones share one process. Loops contain the pair and nothing else; the clock is read outside.
 */
import Benchmark from 'benchmark'
import { LockTable } from '../src/index.js'
import { UNCONTENDED_CASES } from './lib/baseline.js'
import { gather } from './lib/contenders.js'
import { Findings } from './lib/findings.js'
import { type Candidate, type Measured, measure, timedAsync, timedSync } from './lib/harness.js'
import { findNode24, isolated, serveCandidate } from './lib/isolated.js'
import { isChosen, questionOptions } from './lib/question.js'
import { formatNs, formatRatio } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { labelOf } from './lib/series.js'
import { percentile } from './lib/stats.js'
import { PEERS } from './peers/index.js'
import { navigatorLocks } from './peers/navigator-locks.js'
import type { Peer } from './peers/peer.js'

/** The ratios of the table: to what one would use in C, and to what one would otherwise use from Node. */
const YARDSTICKS = ['robust-mutex', 'flock-double-stat', 'fs-ext flock, double stat, sync'] as const

/** One name all the time: what is measured is a pair, not a search. */
const NAME = 'vm-100'

/** A way to lock from Node, not yet opened. */
interface Entry {
  readonly group: string
  readonly name: string
  open(directory: string): Candidate | Promise<Candidate>
}

const tables = new Map<string, LockTable>()

function tableIn(directory: string): LockTable {
  let table = tables.get(directory)
  if (table === undefined) tables.set(directory, table = LockTable.openSync(`${directory}/table-${process.pid}`))
  return table
}

/** A name of the mode, and what is handed over for it: nothing for the default, as most programs write it. */
const MODES = [['exclusive', undefined], ['shared', { mode: 'shared' }]] as const

/** What the lock table does, by mode and style of call. Each has its own loop, so that the compiler sees one kind of call at each place. */
function tableCandidates(): Entry[] {
  const group = 'locktable'
  const sync = (name: string, loopOf: (table: LockTable) => (iterations: number) => unknown): Entry => ({
    group, name, open: directory => timedSync(group, name, loopOf(tableIn(directory)), () => tableIn(directory).close()),
  })
  const async = (name: string, loopOf: (table: LockTable) => (iterations: number) => Promise<unknown>): Entry => ({
    group, name, open: directory => timedAsync(group, name, loopOf(tableIn(directory)), () => tableIn(directory).close()),
  })
  return MODES.flatMap(([mode, options]) => [
    sync(`handle.tryLock, ${mode}`, table => {
      const handle = table.handle(NAME)
      return iterations => {
        for (let i = 0; i < iterations; i++) handle.tryLock(options)!.release()
      }
    }),
    sync(`handle.lockSync, ${mode}`, table => {
      const handle = table.handle(NAME)
      return iterations => {
        for (let i = 0; i < iterations; i++) handle.lockSync(options).release()
      }
    }),
    async(`await handle.lock, ${mode}`, table => {
      const handle = table.handle(NAME)
      return async iterations => {
        for (let i = 0; i < iterations; i++) (await handle.lock(options)).release()
      }
    }),
    sync(`table.tryLock by name, ${mode}`, table => iterations => {
      for (let i = 0; i < iterations; i++) table.tryLock(NAME, options)!.release()
    }),
    sync(`table.lockSync by name, ${mode}`, table => iterations => {
      for (let i = 0; i < iterations; i++) table.lockSync(NAME, options).release()
    }),
    async(`await table.lock by name, ${mode}`, table => async iterations => {
      for (let i = 0; i < iterations; i++) (await table.lock(NAME, options)).release()
    }),
  ])
}

/**
 * A second instrument, not ours: Benchmark.js on the fastest pair. It calls a function for each pair, which our loops do not, so it must say somewhat
 * more than they do, and the same from run to run.
 */
function secondOpinion(): Entry {
  const [group, name] = ['locktable', 'handle.tryLock, Benchmark.js']
  return {
    group, name, open: directory => {
      const handle = tableIn(directory).handle(NAME)
      const pair = (): void => void handle.tryLock()!.release()
      const sample = (runMs: number): number => {
        const seconds = runMs / 1000
        const bench = new Benchmark(pair, { minTime: seconds, maxTime: seconds, minSamples: 1 })
        bench.run()
        return 1e9 / bench.hz
      }
      return { group, name, sample, close: () => tableIn(directory).close() }
    },
  }
}

/** No lock that anybody could use: the two operations without which there is none, as the least that JavaScript can do. */
function floorEntry(): Entry {
  const [group, name] = ['Node', 'Atomics compareExchange + exchange']
  return {
    group, name, open: () => {
      const words = new Int32Array(new SharedArrayBuffer(64))
      return timedSync(group, name, iterations => {
        for (let i = 0; i < iterations; i++) {
          if (Atomics.compareExchange(words, 4, 0, 1) !== 0 || Atomics.exchange(words, 4, 0) !== 1) throw new Error('the word was not ours')
        }
      })
    },
  }
}

function peerEntry(peer: Peer): Entry {
  const group = 'Node'
  const open = async (directory: string): Promise<Candidate> => {
    const locks = await peer.open(directory)
    const close = (): void | Promise<void> => locks.close?.()
    if (locks.kind === 'sync') {
      return timedSync(group, peer.name, iterations => {
        for (let i = 0; i < iterations; i++) locks.unlock(locks.lock(NAME))
      }, close)
    }
    return timedAsync(group, peer.name, async iterations => {
      for (let i = 0; i < iterations; i++) {
        const released = locks.unlock(await locks.lock(NAME))
        if (released !== undefined) await released
      }
    }, close)
  }
  return { group, name: peer.name, open }
}

/** The Web Locks are measured in a Node that has them, if there is one. */
const webLocksNode = (): string | undefined => (navigatorLocks.available() === undefined ? undefined : findNode24())

const ownEntries = (): Entry[] => [floorEntry(), ...tableCandidates(), secondOpinion()]

function noteResults(findings: Findings, results: readonly Measured[]): void {
  const yardsticks = YARDSTICKS.map(name => results.find(result => result.name === name))
  const rows = results.map(result => [
    result.group, result.name, formatNs(result.median), formatNs(result.min), `${(result.spread * 100).toFixed(0)} %`,
    ...yardsticks.map(yardstick => (yardstick === undefined ? '-' : formatRatio(result.median / yardstick.median))),
  ])
  findings.table('Lock and unlock, uncontended', [
    { title: 'what' }, { title: 'how', align: 'left' }, { title: 'median' }, { title: 'fastest' }, { title: '+-' },
    { title: 'to C robust\nmutex' }, { title: 'to C flock,\ndouble stat' }, { title: 'to Node flock,\nsync' },
  ], rows)
  const points = results.map(({ group, name, median, samples }) => ({
    series: seriesOf(group, name), x: 0, y: median, low: percentile(samples, 0.25), high: percentile(samples, 0.75),
  }))
  const own = (group: string): boolean => group === 'locktable'
  const how = 'One process, nobody else. Median and quartiles of the interleaved runs.'
  const chosen = points.filter((_, i) => !own(results[i]!.group) || SHOWN.includes(results[i]!.name))
  const axes = { x: { title: '' }, y: { title: 'ns per lock and unlock', isLog: true }, kind: 'bars' } as const
  findings.figure({ id: 'uncontended', title: 'What does a lock cost that nobody else wants?', subtitle: how, points: chosen, isMain: true, ...axes })
  findings.figure({
    id: 'uncontended-styles', title: 'What does the style of calling cost?', subtitle: how, points: points.filter((_, i) => own(results[i]!.group)), ...axes,
    y: { title: 'ns per lock and unlock' },
  })
  const valueOf = (ours: string): { series: string; value: number }[] => results.flatMap(({ group, name, median }) =>
    ((own(group) && name !== ours) || FLOORS.includes(name) ? [] : [{ series: seriesOf(group, name), value: median }]))
  for (const ours of ['handle.tryLock, exclusive', 'await handle.lock, exclusive']) {
    findings.headline({ measure: `uncontended pair: ${ours}`, better: 'less', unit: 'ns', ours: seriesOf('locktable', ours), values: valueOf(ours) })
  }
}

/** No locks: nobody is measured against them. */
const FLOORS: readonly string[] = ['cas-exchange', floorEntry().name]

/** Of the table's own, in the figure with everybody else. */
const SHOWN: readonly string[] = ['handle.tryLock, exclusive', 'handle.tryLock, shared', 'handle.lockSync, exclusive', 'await handle.lock, exclusive', 'table.tryLock by name, exclusive']

/** The exclusive rwlock stands for the rwlock, and the peers that the other questions have under the names they have there. */
const seriesOf = (group: string, name: string): string => (group === 'locktable' ? name : labelOf(group, name === 'rwlock-write' ? 'rwlock' : name))

async function main(): Promise<void> {
  const options = questionOptions({ runs: [41, 11, 3], 'run-ms': [10, 8, 2], 'warm-up-ms': [200, 60, 4] }, ['together'])
  const findings = new Findings('uncontended')
  using scratch = makeScratch()
  const node = webLocksNode()
  await using field = await gather({ only: options.only, directory: scratch.path, candidates: PEERS, elsewhere: node === undefined ? [] : [navigatorLocks] })
  const candidates: Candidate[] = []
  for (const name of UNCONTENDED_CASES) {
    if (field.baseline !== undefined && isChosen(options, 'C', name)) candidates.push(field.baseline.uncontended(name, scratch.path))
  }
  for (const entry of [...field.peers.map(({ peer }) => peerEntry(peer)), ...ownEntries()]) {
    const { group, name } = entry
    if (!isChosen(options, group, name)) continue
    const elsewhere = name === navigatorLocks.name ? node : undefined
    const alone = elsewhere !== undefined || !(options.flags.together || options.small)
    candidates.push(alone
      ? isolated({ group, name, node: elsewhere, script: new URL(import.meta.url), args: ['--serve', name, scratch.path] })
      : await entry.open(scratch.path))
  }
  const { runs, 'run-ms': runMs, 'warm-up-ms': warmUpMs } = options.numbers
  if (runs < 1 || runMs < 1) throw new RangeError('--runs and --run-ms must be at least 1')
  const results = await measure(candidates, { runs, runMs, warmUpMs }, ({ name }, error) => findings.fail(name, error))
  noteResults(findings, results)
  findings.leaveOut(...field.skipped)
  findings.write(options.json, { plan: { runs, runMs, warmUpMs }, together: options.flags.together, results })
}

async function openEntry(name: string, directory: string): Promise<Candidate> {
  const entry = [...PEERS.filter(peer => peer.available() === undefined).map(peer => peerEntry(peer)), ...ownEntries()].find(candidate => candidate.name === name)
  if (entry === undefined) throw new Error(`Node ${process.version} has no "${name}"`)
  return await entry.open(directory)
}

const [, , first, name = '', directory = ''] = process.argv
if (first === '--serve') serveCandidate(openEntry(name, directory))
else await main()
