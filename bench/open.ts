/**
 * open.ts: what does it cost to open a table, and to have it open?
 *
 *   npx tsx bench/open.ts [--quick|--small] [--rounds R] [--processes N] [--only TEXT] [--json FILE]
 *
 *   first    the first opening of a process: loads the addon
 *   open     a later opening, the median; each is used (one lock, one release) and closed, outside of the time of the opening
 *   close    closing it, with its thread
 *   memory   how much the process has grown by the first opening and one lock: its own (anonymous pages, the compiler's included), V8's
 *            heap, and what it has touched of libraries, the addon and the shared file. The median of N processes
 *   another  the growth by each further opening in the same process
 *   file     what the file occupies on the tmpfs, once for all processes
 *
 * Each process takes the same lock again after its openings; while it holds it, no other opening may get it, or the benchmark fails.
 */
import { closeSync, existsSync, mkdirSync, openSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { LockFiles, LockTable } from '../src/index.js'
import { answer, ask } from './lib/ask.js'
import { Findings } from './lib/findings.js'
import { type Memory, formatBytes, formatGrowth, memoryGrowth, memoryNow } from './lib/memory.js'
import { isChosen, questionOptions } from './lib/question.js'
import { formatNs } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { median } from './lib/stats.js'
import { loadPackage } from './peers/peer.js'
import type * as FsExt from 'fs-ext'

const NAME = 'vm-100'
/** Openings at the same time, to tell what one more occupies. */
const MANY = 16

/** Something open, whose lock `tryHold` takes (a function that releases it), or undefined if another opening has it. */
interface Opened {
  tryHold(): (() => void) | undefined
  close(): void | Promise<void>
}

interface Way {
  readonly group: string
  readonly name: string
  /** The file that all share, if there is one from the start. */
  readonly file?: string
  open(directory: string): Opened | Promise<Opened>
  /** Before an opening, outside of its time. */
  prepare?(directory: string): void
  /** Several openings of the same are possible: false where each makes its own file. */
  readonly isShared: boolean
}

function openTable(directory: string): Opened {
  const table = LockTable.openSync(join(directory, 'table'))
  return {
    tryHold() {
      const guard = table.tryLock(NAME)
      return guard === undefined ? undefined : () => void guard.release()
    },
    close: () => table.close(),
  }
}

const WAYS: readonly Way[] = [
  {
    group: 'Node', name: 'one flock file', isShared: true,
    open(directory) {
      const { flockSync } = loadPackage('fs-ext') as typeof FsExt
      const fd = openSync(join(directory, NAME), 'a+', 0o600)
      return {
        tryHold() {
          try {
            flockSync(fd, 'exnb')
          } catch {
            return undefined
          }
          return () => flockSync(fd, 'un')
        },
        close: () => closeSync(fd),
      }
    },
  },
  {
    group: 'locktable', name: 'lock files', isShared: true,
    async open(directory) {
      const files = await LockFiles.open(directory)
      return {
        tryHold() {
          const guard = files.tryLock(NAME)
          return guard === undefined ? undefined : () => void guard.release()
        },
        close: () => files.close(),
      }
    },
  },
  {
    group: 'locktable', name: 'table, a new file', isShared: false, file: 'table', open: openTable,
    prepare(directory) {
      const path = join(directory, 'table')
      if (existsSync(path)) unlinkSync(path) // nobody has it open
    },
  },
  { group: 'locktable', name: 'table, one that is there', isShared: true, file: 'table', open: openTable },
]

interface Answer {
  readonly firstNs: number
  readonly ns: number
  readonly closeNs: number
  readonly growth: Memory
  readonly another: Memory | undefined
  /** Of all openings of the shared lock at one time, how many could hold it. */
  readonly held: number
}

async function timed<T>(work: () => T | Promise<T>): Promise<[T, number]> {
  const began = process.hrtime.bigint()
  const result = await work()
  return [result, Number(process.hrtime.bigint() - began)]
}

async function serve(wayName: string, rounds: number, directory: string): Promise<void> {
  const way = WAYS.find(({ name }) => name === wayName)!
  const [opens, closes]: [number[], number[]] = [[], []]
  way.prepare?.(directory)
  const before = memoryNow()
  const [first, firstNs] = await timed(() => way.open(directory))
  first.tryHold()!()
  const once = memoryNow()
  const others: Opened[] = []
  if (way.isShared) for (let i = 0; i < MANY; i++) others.push(await way.open(directory))
  const many = memoryNow()
  const releases = [first, ...others].flatMap(opened => opened.tryHold() ?? [])
  const held = releases.length
  for (const release of releases) release()
  for (const opened of [first, ...others]) await opened.close()
  for (let i = 0; i < rounds; i++) {
    way.prepare?.(directory)
    const [opened, ns] = await timed(() => way.open(directory))
    opened.tryHold()!()
    opens.push(ns)
    closes.push((await timed(() => opened.close()))[1])
  }
  const more = memoryGrowth(once, many)
  const another = way.isShared
    ? { privateBytes: more.privateBytes / MANY, sharedBytes: more.sharedBytes / MANY, heapBytes: more.heapBytes / MANY }
    : undefined
  const result: Answer = { firstNs, ns: median(opens), closeNs: median(closes), growth: memoryGrowth(before, once), another, held }
  answer(result)
}

function middle(answers: readonly Answer[], figure: (answer: Answer) => number | undefined): number {
  return median(answers.map(found => figure(found) ?? 0))
}

async function main(): Promise<void> {
  const options = questionOptions({ rounds: [100, 30, 3], processes: [7, 3, 1] })
  const { rounds, processes } = options.numbers
  if (rounds < 1 || processes < 1) throw new RangeError('--rounds and --processes must be at least 1')
  const findings = new Findings('open')
  using scratch = makeScratch()
  const { bundle } = await import('./lib/bundled.js') // not for those that serve
  using program = await bundle(new URL(import.meta.url))
  const ways = WAYS.filter(({ group, name }) => isChosen(options, group, name))
  const skipped: { name: string; why: string }[] = []
  if (loadPackage('fs-ext') === undefined) skipped.push({ name: WAYS[0]!.name, why: 'the package fs-ext is not installed (npm run bench:setup)' })
  const able = ways.filter(({ name }) => !skipped.some(skip => skip.name === name))
  const answers = able.map((): Answer[] => [])
  const directoryOf = (i: number): string => join(scratch.path, `open-${i}`)
  for (const [i, way] of able.entries()) {
    mkdirSync(directoryOf(i), { mode: 0o700 })
    if (way.isShared) await (await way.open(directoryOf(i))).close() // it is there
  }
  for (let round = 0; round < processes; round++) {
    for (const [i, { name }] of able.entries()) {
      try {
        const found = await ask<Answer>(program.script, ['--serve', name, String(rounds), directoryOf(i)])
        if (found.held !== 1) throw new Error(`it does not exclude: ${found.held} openings hold one lock`)
        answers[i]!.push(found)
      } catch (error) {
        findings.fail(name, error)
      }
    }
  }
  const results = able.flatMap(({ group, name, file }, i) => {
    const found = answers[i]!
    if (found.length === 0) return []
    const path = join(directoryOf(i), file ?? '')
    return [{
      group, name, held: 1,
      firstNs: middle(found, ({ firstNs }) => firstNs), ns: middle(found, ({ ns }) => ns), closeNs: middle(found, ({ closeNs }) => closeNs),
      ownBytes: middle(found, ({ growth }) => growth.privateBytes), heapBytes: middle(found, ({ growth }) => growth.heapBytes),
      sharedBytes: middle(found, ({ growth }) => growth.sharedBytes),
      anotherBytes: found[0]?.another === undefined ? undefined : middle(found, ({ another }) => another?.privateBytes),
      fileBytes: file === undefined ? 0 : statSync(path).blocks * 512,
      answers: found,
    }]
  })
  findings.table('Opening', [
    { title: 'what' }, { title: 'how', align: 'left' }, { title: 'first' }, { title: 'open' }, { title: 'close' },
    { title: 'memory\nown' }, { title: '\nheap' }, { title: '\nshared' }, { title: 'another' }, { title: 'file' },
  ], results.map(({ group, name, firstNs, ns, closeNs, ownBytes, heapBytes, sharedBytes, anotherBytes, fileBytes }) => [
    group, name, formatNs(firstNs), formatNs(ns), formatNs(closeNs), formatGrowth(ownBytes), formatGrowth(heapBytes), formatGrowth(sharedBytes),
    anotherBytes === undefined ? '-' : formatGrowth(anotherBytes), formatBytes(fileBytes),
  ]))
  findings.figure({
    id: 'open', title: 'What does opening cost in a process that runs?', subtitle: 'Median of the later openings.', kind: 'bars',
    x: { title: '' }, y: { title: 'us per opening', isLog: true }, points: results.map(({ name, ns }) => ({ series: name, x: 0, y: ns / 1e3 })),
  })
  findings.leaveOut(...skipped)
  findings.write(options.json, { rounds, processes, results })
}

const [, , first, wayName = '', rounds = '', directory = ''] = process.argv
if (first === '--serve') await serve(wayName, Number(rounds), directory)
else await main()
