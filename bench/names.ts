/**
 * names.ts: does it matter how many names there are?
 *
 *   npx tsx bench/names.ts [--quick|--small] [--passes P] [--only TEXT] [--json FILE]
 *
 * 10^2 to 10^6 distinct names (lock files: up to 10^5), each number in a new process and on a new table or directory. Each name is
 * locked exclusively and released, by name, one after another.
 *
 *   cold     the first pass: ns per lock and release, the compiler's and the pages' first time included
 *   warm     the later passes, at least 10 000 pairs in each: the median of them
 *   memory   how much the process has grown from before the opening to after the last pass; the names themselves were there before.
 *            Its own (anonymous pages), V8's heap (a part of those, after a collection), and what it has touched of the shared file
 *   files    what is on the file system when all are done, and how many inodes
 */
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { LockTable, type TableGuard } from '../src/index.js'
import { answer, ask } from './lib/ask.js'
import { gather } from './lib/contenders.js'
import { type Figure, Findings } from './lib/findings.js'
import { type Memory, formatBytes, formatGrowth, memoryGrowth, memoryNow } from './lib/memory.js'
import { isChosen, questionOptions } from './lib/question.js'
import { formatNs } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { labelOf } from './lib/series.js'
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
  open(directory: string): SyncLocks | Promise<SyncLocks>
  /** Adds up what the lock counted itself. */
  count?(directory: string, names: readonly string[]): number
}

/** By name each time: no handle is kept for a name. */
const tableByName: Way = {
  group: 'locktable',
  name: 'table, tryLock by name',
  limit: Infinity,
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
  return { group, name: peer.name, limit: 100_000, open: directory => peer.open(directory) as SyncLocks | Promise<SyncLocks> }
}

const WAYS: readonly Way[] = [peerWay('Node', flockSync), peerWay('locktable', filesSync), tableByName]
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

type Row = Answer & { readonly group: string; readonly name: string; readonly names: number }

function figuresOf(rows: readonly Row[]): Figure[] {
  const points = (figure: (row: Row) => number): Figure['points'] =>
    rows.map(row => ({ series: labelOf(row.group, row.name), x: row.names, y: figure(row) }))
  const x = { title: 'distinct names', isLog: true }
  const how = 'Each name is locked and released, by name, one after another.'
  return [
    {
      id: 'names-time', title: 'Does it matter how many names there are?', subtitle: `${how} Median of the passes after the first.`, kind: 'lines', isMain: true,
      x, y: { title: 'ns per lock and unlock', isLog: true }, points: points(({ warmNs }) => warmNs),
    },
    {
      id: 'names-memory', title: 'What do many names cost in memory of the process?', subtitle: `${how} Growth of its own pages from before opening.`, kind: 'lines',
      x, y: { title: 'MiB' }, points: points(({ growth }) => growth.privateBytes / 2 ** 20),
    },
    {
      id: 'names-inodes', title: 'How many files are left behind?', subtitle: how, kind: 'lines', x, y: { title: 'inodes', isLog: true },
      points: points(({ inodes }) => Math.max(inodes, 1)),
    },
    {
      id: 'names-file', title: 'How much of the tmpfs do the files take?', subtitle: `${how} Blocks of the files; an inode takes about a KiB of kernel memory beside.`,
      kind: 'lines', x, y: { title: 'MiB' }, points: points(({ fileBytes }) => fileBytes / 2 ** 20),
    },
  ]
}

async function main(): Promise<void> {
  const options = questionOptions({ passes: [3, 1, 1] })
  const { passes } = options.numbers
  if (passes < 1) throw new RangeError('--passes must be at least 1')
  const findings = new Findings('names')
  using scratch = makeScratch()
  const { bundle } = await import('./lib/bundled.js') // not for those that serve
  using program = await bundle(new URL(import.meta.url))
  await using field = await gather({ only: options.only, directory: scratch.path, candidates: [flockSync, filesSync] })
  const able = WAYS.filter(({ group, name }) => isChosen(options, group, name) && !field.skipped.some(skip => skip.name === name))
  const rows: Row[] = []
  for (const names of options.pick([100, 1000, 10_000, 100_000, 1_000_000], [100, 10_000, 1_000_000], [100, 1000])) {
    for (const { group, name, limit } of able) {
      if (names > limit) continue
      const directory = join(scratch.path, `names-${able.findIndex(way => way.name === name)}-${names}`)
      mkdirSync(directory, { mode: 0o700 })
      try {
        const found = await ask<Answer>(program.script, ['--serve', name, String(names), String(passes), directory])
        if (found.counted !== undefined && found.counted !== found.pairs) throw new Error(`${name} counted ${found.counted} holds of ${found.pairs}`)
        rows.push({ group, name, names, ...found })
      } catch (error) {
        findings.fail(`${name}, ${names} names`, error)
      }
      rmSync(directory, { recursive: true })
    }
  }
  rows.sort((a, b) => WAYS.findIndex(({ name }) => name === a.name) - WAYS.findIndex(({ name }) => name === b.name) || a.names - b.names)
  findings.table('Lock and release by name, many names', [
    { title: 'what' }, { title: 'how', align: 'left' }, { title: 'names' }, { title: 'cold' }, { title: 'warm' },
    { title: 'memory\nown' }, { title: '\nheap' }, { title: '\nshared' }, { title: 'files' }, { title: '\ninodes' },
  ], rows.map(({ group, name, names, coldNs, warmNs, growth, fileBytes, inodes }) => [
    group, name, names.toString(), formatNs(coldNs), formatNs(warmNs), formatGrowth(growth.privateBytes), formatGrowth(growth.heapBytes),
    formatGrowth(growth.sharedBytes), formatBytes(fileBytes), inodes.toString(),
  ]))
  for (const figure of figuresOf(rows)) findings.figure(figure)
  const most = rows.filter(({ names }) => names === options.pick(100_000, 10_000, 1000))
  const values = (figure: (row: Row) => number): { series: string; value: number }[] =>
    most.map(row => ({ series: labelOf(row.group, row.name), value: figure(row) }))
  const of = `${options.pick('100 000', '10 000', '1000')} names`
  const ours = labelOf(tableByName.group, tableByName.name)
  findings.headline({ measure: `${of}: pair by name`, better: 'less', unit: 'ns', ours, values: values(({ warmNs }) => warmNs) })
  findings.headline({ measure: `${of}: inodes`, better: 'less', unit: 'count', ours, values: values(({ inodes }) => Math.max(inodes, 1)) })
  findings.leaveOut(...field.skipped)
  findings.write(options.json, { passes, results: rows })
}

const [, , first, wayName = '', count = '', passes = '', directory = ''] = process.argv
if (first === '--serve') await serve(wayName, Number(count), Number(passes), directory)
else await main()
