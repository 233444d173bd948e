/**
 * collisions.ts: names that share a slot of the table share a lock. What does that cost, and how many slots are enough?
 *
 *   npx tsx bench/collisions.ts [--quick|--small] [--processes N] [--tasks N] [--rounds R] [--run-ms T] [--json FILE]
 *
 * 4 processes of 16 tasks lock names at random, 10 000 of them, and hold each for a millisecond of waiting (a timer), so up to 64 names are locked at a
 * time. Tables of 16 to 16 384 slots, and lock files, which never share. How many find their name taken:
 *
 *   found     measured: tryLock() gave nothing
 *   expected  from H names held on average: 1 - (1 - H/S)(1 - H/10 000), the slot or the very name
 *
 * Each name has a counter that its holder reads when it enters and writes, one more, when it leaves; the sum must be the number of acquisitions.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { bundle } from './lib/bundled.js'
import { Distribution } from './lib/distribution.js'
import { Findings, type Point } from './lib/findings.js'
import { questionOptions } from './lib/question.js'
import { formatNs } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { labelOf } from './lib/series.js'
import { type LatencySummary, median } from './lib/stats.js'
import { Crew } from './lib/workers.js'
import type { CollisionsPart, CollisionsTask } from './members/collisions.js'

const NAMES = 10_000
const HOLD_MS = 1
/** Lock files: a lock for each name. */
const FILES = 0

interface Round {
  readonly acquisitions: number
  readonly counter: number
  readonly perSecond: number
  readonly foundTaken: number
  readonly expected: number
  readonly waitNs: LatencySummary
}

async function measureRound(task: CollisionsTask, processes: number, script: URL): Promise<Round> {
  mkdirSync(task.directory, { mode: 0o700 })
  using crew = Crew.start<CollisionsTask, CollisionsPart>({ script, processes, counters: NAMES, task })
  const parts = await crew.run()
  let counter = 0
  for (let i = 0; i < NAMES; i++) counter += crew.counter(i)
  const sum = (figure: (part: CollisionsPart) => number): number => parts.reduce((total, part) => total + figure(part), 0)
  const acquisitions = sum(part => part.acquisitions)
  if (counter !== acquisitions) throw new Error(`it does not exclude: ${acquisitions} acquisitions, counted ${counter}`)
  const wait = new Distribution()
  for (const part of parts) wait.add(part.wait)
  const seconds = (Math.max(...parts.map(({ ended }) => ended)) - Math.min(...parts.map(({ began }) => began))) / 1e9
  // Tasks either hold or wait: what is not waiting is holding.
  const held = processes * task.tasks - wait.data.sum / 1e9 / seconds
  return {
    acquisitions, counter, perSecond: acquisitions / seconds, foundTaken: sum(part => part.waited) / acquisitions,
    expected: 1 - (1 - held / NAMES) * (task.slots === FILES ? 1 : Math.max(0, 1 - held / task.slots)), waitNs: wait.summary(),
  }
}

interface Result {
  readonly slots: number
  readonly perSecond: number
  readonly foundTaken: number
  readonly expected: number
  readonly p50: number
  readonly p99: number
  readonly rounds: readonly Round[]
}

function note(findings: Findings, results: readonly Result[], tasks: number): void {
  const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 2 : 0)} %`
  findings.table(`Names that share a slot: ${NAMES} names, ${tasks} tasks that hold for a millisecond`, [
    { title: 'slots' }, { title: 'locks\nper s' }, { title: 'found\ntaken' }, { title: 'expected' }, { title: 'wait\np50' }, { title: '\np99' },
  ], results.map(({ slots, perSecond, foundTaken, expected, p50, p99 }) => [
    slots === FILES ? 'lock files' : `${slots}`, Math.round(perSecond).toString(), percent(foundTaken), percent(expected), formatNs(p50), formatNs(p99),
  ]))
  const tables = results.filter(({ slots }) => slots !== FILES)
  const files = results.find(({ slots }) => slots === FILES)
  const range = [tables[0], tables.at(-1)].flatMap(result => (result === undefined ? [] : [result.slots]))
  const points = (figure: (result: Round) => number): Point[] => [
    ...tables.map(({ slots, rounds }): Point => {
      const all = rounds.map(figure)
      return { series: labelOf('locktable', 'table'), x: slots, y: median(all), low: Math.min(...all), high: Math.max(...all) }
    }),
    ...files === undefined ? [] : range.map((x): Point => ({ series: labelOf('locktable', 'lock files'), x, y: median(files.rounds.map(figure)) })),
  ]
  const how = `${tasks} tasks, ${NAMES} names at random, each held for a millisecond. Lock files have a lock for each. Median and range of the rounds.`
  const x = { title: 'slots of the table', isLog: true }
  findings.figure({
    id: 'collisions-taken', title: 'How often do names that share a slot meet?', subtitle: how, kind: 'lines', x, y: { title: '% that found the lock taken', isLog: true },
    points: [
      ...points(({ foundTaken }) => Math.max(foundTaken * 100, 0.01)),
      ...tables.map(({ slots, expected }): Point => ({ series: labelOf('-', 'expected'), x: slots, y: expected * 100 })),
    ],
  })
  findings.figure({
    id: 'collisions-throughput', title: 'What do names that share a slot cost?', subtitle: how, kind: 'lines', x, y: { title: 'acquisitions per second', isLog: true },
    points: points(({ perSecond }) => perSecond),
  })
}

async function main(): Promise<void> {
  const options = questionOptions({ processes: [4, 4, 2], tasks: [16, 16, 8], rounds: [3, 1, 1], 'run-ms': [500, 300, 60] })
  const { processes, tasks, rounds, 'run-ms': durationMs } = options.numbers
  const findings = new Findings('collisions')
  using scratch = makeScratch()
  using program = await bundle(new URL('members/collisions.ts', import.meta.url))
  const sizes = [...options.pick([16, 64, 256, 1024, 4096, 16_384], [16, 256, 4096, 16_384], [16, 1024]), FILES]
  const found = new Map(sizes.map(slots => [slots, [] as Round[]]))
  for (let round = 0; round < rounds; round++) {
    for (const slots of sizes) {
      const directory = join(scratch.path, `collisions-${round}-${slots}`)
      try {
        found.get(slots)?.push(await measureRound({ directory, slots, names: NAMES, tasks, holdMs: HOLD_MS, durationMs }, processes, program.script))
      } catch (error) {
        found.delete(slots)
        findings.fail(slots === FILES ? 'lock files' : `table of ${slots} slots`, error)
      }
    }
  }
  const results = [...found].map(([slots, mine]): Result => {
    const middle = (figure: (round: Round) => number): number => median(mine.map(figure))
    return {
      slots, rounds: mine, perSecond: middle(round => round.perSecond), foundTaken: middle(round => round.foundTaken),
      expected: middle(round => round.expected), p50: middle(({ waitNs }) => waitNs.p50), p99: middle(({ waitNs }) => waitNs.p99),
    }
  })
  note(findings, results, processes * tasks)
  findings.write(options.json, { names: NAMES, processes, tasks, results })
}

await main()
