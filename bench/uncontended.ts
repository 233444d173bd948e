/**
 * uncontended.ts: what does locking and unlocking cost when nobody else is there?
 *
 *   npx tsx bench/uncontended.ts [--small] [--runs N] [--run-ms T] [--only TEXT] [--json FILE]
 *
 * Everything is measured in one run, a turn each (lib/harness.ts). The C loops contain the pair and nothing else, their clock
 * is read outside; so do the Node ones.
 */
import { LockTable } from '../src/index.js'
import { Baseline, UNCONTENDED_CASES } from './lib/baseline.js'
import { type BenchOptions, type Candidate, type Measured, isChosen, measure, readBenchOptions, timedAsync, timedSync } from './lib/harness.js'
import { findNode24, peerCandidate, remotePeerCandidate } from './lib/peer-candidate.js'
import { environmentNow, formatNs, formatRatio, printEnvironment, printTable, writeJson } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { PEERS } from './peers/index.js'

/** The ratios of the table: to what one would use in C, and to what one would otherwise use from Node. */
const YARDSTICKS = ['robust-mutex', 'flock-double-stat', 'fs-ext flock, double stat, sync'] as const

/** What the lock table does, by mode and style of call. Each has its own loop, so that the compiler sees one kind of call at each place. */
function tableCandidates(directory: string): Candidate[] {
  const table = LockTable.openSync(`${directory}/table`)
  const handle = table.handle('vm/100')
  const shared = { mode: 'shared' } as const
  const group = 'locktable'
  return [
    timedSync(group, 'handle.tryLock, exclusive', iterations => {
      for (let i = 0; i < iterations; i++) handle.tryLock()!.release()
    }),
    timedSync(group, 'handle.lockSync, exclusive', iterations => {
      for (let i = 0; i < iterations; i++) handle.lockSync().release()
    }),
    timedSync(group, 'handle.tryLock, shared', iterations => {
      for (let i = 0; i < iterations; i++) handle.tryLock(shared)!.release()
    }),
    timedSync(group, 'table.tryLock by name, exclusive', iterations => {
      for (let i = 0; i < iterations; i++) table.tryLock('vm/100')!.release()
    }),
    timedAsync(group, 'await handle.lock, exclusive', async iterations => {
      for (let i = 0; i < iterations; i++) (await handle.lock()).release()
    }),
    timedAsync(group, 'await table.lock by name, exclusive', async iterations => {
      for (let i = 0; i < iterations; i++) (await table.lock('vm/100')).release()
    }, () => table.close()),
  ]
}

interface Skipped {
  readonly name: string
  readonly why: string
}

async function gather(options: BenchOptions, directory: string): Promise<{ candidates: Candidate[]; skipped: Skipped[] }> {
  const candidates: Candidate[] = []
  const skipped: Skipped[] = []
  const baseline = Baseline.build()
  if (typeof baseline === 'string') skipped.push({ name: 'the C baselines', why: baseline })
  else candidates.push(...UNCONTENDED_CASES.map(name => baseline.uncontended(name, directory)))
  for (const peer of PEERS) {
    if (!isChosen(options, 'Node', peer.name)) continue
    const why = peer.available()
    const node24 = findNode24()
    if (why === undefined) candidates.push(await peerCandidate(peer, directory))
    else if (peer.name === 'navigator.locks' && node24 !== undefined) candidates.push(remotePeerCandidate(peer, directory, node24))
    else skipped.push({ name: peer.name, why })
  }
  candidates.push(...tableCandidates(directory))
  return { candidates, skipped }
}

function printResults(results: readonly Measured[]): void {
  const yardsticks = YARDSTICKS.map(name => results.find(result => result.name === name))
  const rows = results.map(result => [
    result.group, result.name, formatNs(result.median), formatNs(result.min), `${(result.spread * 100).toFixed(0)} %`,
    ...yardsticks.map(yardstick => (yardstick === undefined ? '-' : formatRatio(result.median / yardstick.median))),
  ])
  printTable('Lock and unlock, uncontended', [
    { title: 'what' }, { title: 'how', align: 'left' }, { title: 'median' }, { title: 'fastest' }, { title: '+-' },
    { title: 'to C robust\nmutex' }, { title: 'to C flock,\ndouble stat' }, { title: 'to Node flock,\nsync' },
  ], rows)
}

const options = readBenchOptions()
const environment = environmentNow()
printEnvironment(environment)
using scratch = makeScratch()
const { candidates, skipped } = await gather(options, scratch.path)
const chosen = candidates.filter(({ group, name }) => isChosen(options, group, name))
const results = await measure(chosen, options.plan)
for (const other of candidates) if (!chosen.includes(other)) await other.close?.()
printResults(results)
for (const { name, why } of skipped) console.log(`skipped: ${name}: ${why}`)
if (options.json !== undefined) writeJson(options.json, 'uncontended', environment, { plan: options.plan, results, skipped })
