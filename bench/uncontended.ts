/**
 * uncontended.ts: what does locking and unlocking cost when nobody else is there?
 *
 *   npx tsx bench/uncontended.ts [--small] [--together] [--runs N] [--run-ms T] [--only TEXT] [--json FILE]
 *
 * Everything is measured in one run, a turn each (lib/harness.ts), each in a process of its own (lib/isolated.ts); with --together, and in the
 * small run, the Node ones share one process. Loops contain the pair and nothing else; the clock is read outside.
 */
import { LockTable } from '../src/index.js'
import { Baseline, UNCONTENDED_CASES } from './lib/baseline.js'
import { type Candidate, type Measured, isChosen, measure, readBenchOptions, timedAsync, timedSync } from './lib/harness.js'
import { findNode24, isolated, serveCandidate } from './lib/isolated.js'
import { environmentNow, formatNs, formatRatio, printEnvironment, printTable, writeJson } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { PEERS } from './peers/index.js'
import type { Peer } from './peers/peer.js'

/** The ratios of the table: to what one would use in C, and to what one would otherwise use from Node. */
const YARDSTICKS = ['robust-mutex', 'flock-double-stat', 'fs-ext flock, double stat, sync'] as const

/** One name all the time: what is measured is a pair, not a search. */
const NAME = 'vm-100'

/** A way to lock from Node, not yet opened. */
interface Entry {
  readonly group: string
  readonly name: string
  /** Runs in this Node instead of ours, always in a process of its own. */
  readonly node?: string | undefined
  open(directory: string): Candidate | Promise<Candidate>
}

const tables = new Map<string, LockTable>()

function tableIn(directory: string): LockTable {
  let table = tables.get(directory)
  if (table === undefined) tables.set(directory, table = LockTable.openSync(`${directory}/table-${process.pid}`))
  return table
}

/** What the lock table does, by mode and style of call. Each has its own loop, so that the compiler sees one kind of call at each place. */
function tableCandidates(): Entry[] {
  const group = 'locktable'
  const sync = (name: string, loopOf: (table: LockTable) => (iterations: number) => unknown): Entry => ({
    group, name, open: directory => timedSync(group, name, loopOf(tableIn(directory)), () => tableIn(directory).close()),
  })
  const async = (name: string, loopOf: (table: LockTable) => (iterations: number) => Promise<unknown>): Entry => ({
    group, name, open: directory => timedAsync(group, name, loopOf(tableIn(directory)), () => tableIn(directory).close()),
  })
  return [
    sync('handle.tryLock, exclusive', table => {
      const handle = table.handle(NAME)
      return iterations => {
        for (let i = 0; i < iterations; i++) handle.tryLock()!.release()
      }
    }),
    sync('handle.lockSync, exclusive', table => {
      const handle = table.handle(NAME)
      return iterations => {
        for (let i = 0; i < iterations; i++) handle.lockSync().release()
      }
    }),
    sync('handle.tryLock, shared', table => {
      const handle = table.handle(NAME)
      const options = { mode: 'shared' } as const
      return iterations => {
        for (let i = 0; i < iterations; i++) handle.tryLock(options)!.release()
      }
    }),
    sync('table.tryLock by name, exclusive', table => iterations => {
      for (let i = 0; i < iterations; i++) table.tryLock(NAME)!.release()
    }),
    async('await handle.lock, exclusive', table => {
      const handle = table.handle(NAME)
      return async iterations => {
        for (let i = 0; i < iterations; i++) (await handle.lock()).release()
      }
    }),
    async('await table.lock by name, exclusive', table => async iterations => {
      for (let i = 0; i < iterations; i++) (await table.lock(NAME)).release()
    }),
  ]
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

function peerEntry(peer: Peer, node?: string): Entry {
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
  return { group, name: peer.name, node, open }
}

function nodeEntries(): { entries: Entry[]; skipped: { name: string; why: string }[] } {
  const skipped: { name: string; why: string }[] = []
  const entries = PEERS.flatMap((peer): Entry[] => {
    const why = peer.available()
    if (why === undefined) return [peerEntry(peer)]
    const node = peer.name === 'navigator.locks' ? findNode24() : undefined
    if (node !== undefined) return [peerEntry(peer, node)]
    skipped.push({ name: peer.name, why })
    return []
  })
  return { entries: [...entries, floorEntry(), ...tableCandidates()], skipped }
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

async function main(): Promise<void> {
  const together = process.argv.includes('--together')
  const options = readBenchOptions(process.argv.slice(2).filter(argument => argument !== '--together'))
  const environment = environmentNow()
  printEnvironment(environment)
  using scratch = makeScratch()
  const { entries, skipped } = nodeEntries()
  const candidates: Candidate[] = []
  const baseline = Baseline.build()
  if (typeof baseline === 'string') skipped.unshift({ name: 'the C baselines', why: baseline })
  else for (const name of UNCONTENDED_CASES) if (isChosen(options, 'C', name)) candidates.push(baseline.uncontended(name, scratch.path))
  for (const entry of entries) {
    const { group, name, node } = entry
    if (!isChosen(options, group, name)) continue
    const alone = node !== undefined || !(together || options.small)
    candidates.push(alone
      ? isolated({ group, name, node, script: new URL(import.meta.url), args: ['--serve', name, scratch.path] })
      : await entry.open(scratch.path))
  }
  const results = await measure(candidates, options.plan)
  printResults(results)
  for (const { name, why } of skipped) if (isChosen(options, '', name)) console.log(`skipped: ${name}: ${why}`)
  if (options.json !== undefined) writeJson(options.json, 'uncontended', environment, { plan: options.plan, together, results, skipped })
}

async function openEntry(name: string, directory: string): Promise<Candidate> {
  const entry = [...PEERS.filter(peer => peer.available() === undefined).map(peer => peerEntry(peer)), floorEntry(), ...tableCandidates()].find(candidate => candidate.name === name)
  if (entry === undefined) throw new Error(`Node ${process.version} has no "${name}"`)
  return await entry.open(directory)
}

const [, , first, name = '', directory = ''] = process.argv
if (first === '--serve') serveCandidate(openEntry(name, directory))
else await main()
