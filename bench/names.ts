/**
 * names.ts: does it matter how many names there are?
 *
 *   npx tsx bench/names.ts [--small] [--passes P] [--only TEXT] [--json FILE]
 *
 * 1, 100, 10^4 and 10^6 distinct names (lock files: up to 10^4), each number in a new process and on a new table or directory. Each name is
 * locked exclusively and released, by name, one after another.
 *
 *   cold     the first pass: ns per lock and release, the compiler's and the pages' first time included
 *   warm     the later passes, at least 10 000 pairs in each: the median of them
 *   memory   how much the process has grown from before the opening to after the last pass; the names themselves were there before.
 *            Its own (anonymous pages), V8's heap (a part of those, after a collection), and what it has touched of the shared file
 *   files    what is on the file system when all are done, and how many inodes
 */
import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { LockTable, type TableGuard } from '../src/index.js'
import { answer, ask } from './lib/ask.js'
import { isChosen } from './lib/harness.js'
import { type Memory, formatBytes, formatGrowth, memoryGrowth, memoryNow } from './lib/memory.js'
import { questionOptions } from './lib/question.js'
import { environmentNow, formatNs, printEnvironment, printTable, writeJson } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { median } from './lib/stats.js'
import { flockSync } from './peers/flock.js'
import { filesSync, tablePath } from './peers/locktable.js'
import type { Peer, SyncLocks } from './peers/peer.js'

interface Answer {
  readonly coldNs: number
  readonly warmNs: number
  /** Pairs that were made. */
  readonly pairs: number
  /** Exclusive holds that the table counted itself: its versions' sum. Undefined where nothing counts. */
  readonly counted: number | undefined
  readonly growth: Memory
  readonly fileBytes: number
  readonly inodes: number
}

interface Way {
  readonly group: string
  readonly name: string
  readonly limit: number
  available(): string | undefined
  open(directory: string): SyncLocks | Promise<SyncLocks>
  /** Adds up what the lock counted itself. */
  count?(directory: string, names: readonly string[]): number
}

/** By name each time: no handle is kept for a name. */
const tableByName: Way = {
  group: 'locktable',
  name: 'table, tryLock by name',
  limit: Infinity,
  available: () => undefined,
  open(directory) {
    const table = LockTable.openSync(tablePath(directory))
    return { kind: 'sync', lock: name => table.tryLock(name)!, unlock: guard => void (guard as TableGuard).release(), close: () => table.close() }
  },
  /** Every exclusive hold raises the version of its slot by one, so the versions of all slots add up to the holds. */
  count(directory, names) {
    const table = LockTable.openSync(tablePath(directory))
    const versions = new Map<number, number>()
    for (const name of names) {
      const handle = table.handle(name)
      if (versions.has(handle.index)) continue
      const guard = handle.tryLock()!
      versions.set(handle.index, Number(guard.version) - 1)
      guard.release()
    }
    void table.close()
    return [...versions.values()].reduce((sum, version) => sum + version, 0)
  },
}

function peerWay(group: string, peer: Peer): Way {
  return { group, name: peer.name, limit: 10_000, available: () => peer.available(), open: directory => peer.open(directory) as SyncLocks | Promise<SyncLocks> }
}

const WAYS: readonly Way[] = [peerWay('Node', flockSync), peerWay('locktable', filesSync), tableByName]
const COUNTS = [1, 100, 10_000, 1_000_000] as const
const SMALL_COUNTS = [1, 1000] as const
const MIN_PAIRS = 10_000

/** `vm-0000042.manifest`: flat strings, made before anything is measured. */
function makeNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => Buffer.from(`vm-${i.toString().padStart(7, '0')}.manifest`, 'latin1').toString('latin1'))
}

/** The loop that is timed. @returns ns per pair */
function passOver(locks: SyncLocks, names: readonly string[], times: number): number {
  const began = process.hrtime.bigint()
  for (let i = 0; i < times; i++) {
    for (const name of names) locks.unlock(locks.lock(name))
  }
  return Number(process.hrtime.bigint() - began) / (names.length * times)
}

/** Bytes and inodes below a directory, without itself. */
function usageOf(directory: string): { bytes: number; inodes: number } {
  let [bytes, inodes] = [0, 0]
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) {
      const below = usageOf(path)
      bytes += below.bytes
      inodes += below.inodes
    } else {
      bytes += statSync(path).blocks * 512
      inodes++
    }
  }
  return { bytes, inodes }
}

async function serve(wayName: string, count: number, passes: number, directory: string): Promise<void> {
  const way = WAYS.find(({ name }) => name === wayName)!
  const names = makeNames(count)
  const before = memoryNow()
  const locks = await way.open(directory)
  const coldNs = passOver(locks, names, 1)
  const times = Math.ceil(MIN_PAIRS / count)
  const warm = Array.from({ length: passes }, () => passOver(locks, names, times))
  const growth = memoryGrowth(before, memoryNow())
  await locks.close?.()
  const { bytes, inodes } = usageOf(directory)
  const result: Answer = {
    coldNs, warmNs: median(warm), pairs: count * (1 + times * passes), counted: way.count?.(directory, names), growth, fileBytes: bytes, inodes,
  }
  answer(result)
}

async function main(): Promise<void> {
  const options = questionOptions({ passes: 5 }, { passes: 1 })
  const { passes = 1 } = options.numbers
  if (passes < 1) throw new RangeError('--passes must be at least 1')
  const environment = environmentNow()
  printEnvironment(environment)
  using scratch = makeScratch()
  const { bundle } = await import('./lib/bundled.js') // not for those that serve
  using program = await bundle(new URL(import.meta.url))
  const skipped = WAYS.flatMap(way => {
    const why = way.available()
    return why === undefined ? [] : [{ name: way.name, why }]
  })
  const results: (Answer & { group: string; name: string; names: number })[] = []
  for (const names of options.small ? SMALL_COUNTS : COUNTS) {
    for (const { group, name, limit, available } of WAYS) {
      if (names > limit || available() !== undefined || !isChosen(options, group, name)) continue
      const directory = join(scratch.path, `names-${results.length}`)
      mkdirSync(directory, { mode: 0o700 })
      const found = await ask<Answer>(program.script, ['--serve', name, String(names), String(passes), directory])
      if (found.counted !== undefined && found.counted !== found.pairs) throw new Error(`${name} counted ${found.counted} holds of ${found.pairs}`)
      results.push({ group, name, names, ...found })
    }
  }
  results.sort((a, b) => WAYS.findIndex(({ name }) => name === a.name) - WAYS.findIndex(({ name }) => name === b.name) || a.names - b.names)
  printTable('Lock and release by name, many names', [
    { title: 'what' }, { title: 'how', align: 'left' }, { title: 'names' }, { title: 'cold' }, { title: 'warm' },
    { title: 'memory\nown' }, { title: '\nheap' }, { title: '\nshared' }, { title: 'files' }, { title: '\ninodes' },
  ], results.map(({ group, name, names, coldNs, warmNs, growth, fileBytes, inodes }) => [
    group, name, names.toString(), formatNs(coldNs), formatNs(warmNs), formatGrowth(growth.privateBytes), formatGrowth(growth.heapBytes),
    formatGrowth(growth.sharedBytes), formatBytes(fileBytes), inodes.toString(),
  ]))
  for (const { name, why } of skipped) if (isChosen(options, '', name)) console.log(`skipped: ${name}: ${why}`)
  if (options.json !== undefined) writeJson(options.json, 'names', environment, { passes, results, skipped })
}

const [, , first, wayName = '', count = '', passes = '', directory = ''] = process.argv
if (first === '--serve') await serve(wayName, Number(count), Number(passes), directory)
else await main()
