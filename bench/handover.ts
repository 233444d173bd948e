/**
 * handover.ts: several processes want one lock all the time: how fast does it go from hand to hand, and does everybody get his share?
 *
 *   npx tsx bench/handover.ts [--quick|--small] [--processes N] [--hold-us H] [--think-us T] [--rounds R] [--run-ms T] [--only TEXT] [--json FILE]
 *
 * Each process locks, holds for H, unlocks, thinks for T (both by spinning on the clock) and locks again. Without --processes and --hold-us all
 * cases are measured: 2, 4 and 8 processes by 0, 10, 100 and 1000 us inside, no time outside.
 * Every round is a new crew of processes, which goes through all hold times; the rounds of the contenders alternate. A figure is the median
 * of its rounds, a maximum that of all. Where a round has fewer than 1000 samples the p99.9 is its slowest one.
 *
 * A crew of Node processes contends for some time before it is measured: until V8 has compiled what a waiter does, its compiler takes the
 * cores from those who hold the lock (eight processes on two cores: 47 000 locks/s in the first half second, 73 000 after two seconds).
 *
 *   hand-over  from the release to the entry, where the next holder is another process
 *   wait       from the request to the entry, of every acquisition
 *   fairness   Jain's index of the acquisitions of each process: 1 is even, 1/N is all for one
 *
 * A counter that only holders change, by a plain addition, must come out as the number of acquisitions; otherwise the contender is out, and said to be.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { CREWS_BUDGET_MS, affordable } from './lib/affordable.js'
import type { Baseline, BaselineLock } from './lib/baseline.js'
import { bundle } from './lib/bundled.js'
import { gather } from './lib/contenders.js'
import { Distribution } from './lib/distribution.js'
import { type Figure, Findings, type Point } from './lib/findings.js'
import { isChosen, questionOptions } from './lib/question.js'
import { formatNs } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { labelOf } from './lib/series.js'
import { type LatencySummary, jain, median } from './lib/stats.js'
import { crewWarmUpMs } from './lib/warm-up.js'
import { Crew } from './lib/workers.js'
import type { HandoverPart, HandoverTask, Stage } from './members/handover.js'

const BASELINES: readonly BaselineLock[] = ['robust-mutex', 'rwlock', 'flock', 'ofd', 'flock-double-stat-unlink']
/** As members/handover.ts has it; not imported from there, which would join a crew. */
const FIRST_COUNTER = 2

interface Round {
  readonly perSecond: number
  readonly jain: number
  readonly acquisitions: number
  readonly perProcess: readonly number[]
  readonly counter: number
  readonly handoverNs: LatencySummary
  readonly waitNs: LatencySummary
}

interface Contender {
  readonly group: string
  readonly name: string
  /** One round of each stage. */
  rounds(processes: number, stages: readonly Stage[]): Promise<Round[]>
}

interface Result {
  readonly group: string
  readonly name: string
  readonly perSecond: number
  readonly jain: number
  readonly handoverNs: LatencySummary
  readonly waitNs: LatencySummary
  readonly acquisitions: number
  readonly counter: number
  readonly rounds: readonly Round[]
}

interface Case extends Stage {
  readonly processes: number
  readonly results: readonly Result[]
}

/** The stage that is not measured; none for who is in haste, as with members/handover.ts. */
const warmUpOf = (processes: number, [first]: readonly Stage[]): readonly Stage[] =>
  [crewWarmUpMs(processes, first?.durationMs ?? 0)].filter(durationMs => durationMs > 0).map(durationMs => ({ holdUs: 10, thinkUs: 0, durationMs }))

/** Lock files of one round do not meet those of the next. */
let directories = 0

function peerContender(group: string, name: string, scratch: string, script: URL): Contender {
  const rounds = async (processes: number, stages: readonly Stage[]): Promise<Round[]> => {
    const directory = join(scratch, `round-${directories++}`)
    mkdirSync(directory, { mode: 0o700 })
    const warmUp = warmUpOf(processes, stages)
    const all = [...warmUp, ...stages]
    using crew = Crew.start<HandoverTask, HandoverPart[]>({
      script, processes, counters: FIRST_COUNTER + all.length, task: { peer: name, directory, stages: all },
    })
    const members = await crew.run(all.length)
    return all.map((_, i) => roundOf(members.map(parts => parts[i]!), crew.counter(FIRST_COUNTER + i))).slice(warmUp.length)
  }
  return { group, name, rounds }
}

function roundOf(parts: readonly HandoverPart[], counter: number): Round {
  const [wait, handover] = [new Distribution(), new Distribution()]
  for (const part of parts) {
    wait.add(part.wait)
    handover.add(part.handover)
  }
  const perProcess = parts.map(part => part.acquisitions)
  const acquisitions = perProcess.reduce((sum, share) => sum + share, 0)
  const seconds = (Math.max(...parts.map(part => part.ended)) - Math.min(...parts.map(part => part.began))) / 1e9
  return { perSecond: acquisitions / seconds, jain: jain(perProcess), acquisitions, perProcess, counter, handoverNs: handover.summary(), waitNs: wait.summary() }
}

function baselineContender(baseline: Baseline, name: BaselineLock, directory: string): Contender {
  const rounds = async (processes: number, stages: readonly Stage[]): Promise<Round[]> => {
    const found: Round[] = []
    for (const stage of stages) found.push(await baseline.handover(name, { ...stage, processes, directory }))
    return found
  }
  return { group: 'C', name, rounds }
}

/** The median of each figure; maximum and count are of all rounds. */
function overall(rounds: readonly LatencySummary[]): LatencySummary {
  const seen = rounds.filter(({ count }) => count > 0)
  const middle = (figure: (round: LatencySummary) => number): number => (seen.length === 0 ? NaN : median(seen.map(figure)))
  return {
    count: rounds.reduce((sum, { count }) => sum + count, 0),
    mean: middle(({ mean }) => mean),
    p50: middle(({ p50 }) => p50), p90: middle(({ p90 }) => p90), p99: middle(({ p99 }) => p99), p999: middle(({ p999 }) => p999),
    max: seen.length === 0 ? NaN : Math.max(...seen.map(({ max }) => max)),
  }
}

function checked(rounds: readonly Round[]): readonly Round[] {
  for (const { acquisitions, counter } of rounds) {
    if (counter !== acquisitions) throw new Error(`it does not exclude: ${acquisitions} acquisitions, counted ${counter}`)
  }
  return rounds
}

async function measureAll(
  contenders: readonly Contender[], counts: readonly number[], stages: readonly Stage[], rounds: number, onFailure: (name: string, error: unknown) => void,
): Promise<Case[]> {
  const found = new Map(contenders.map(contender => [contender, counts.map(() => stages.map((): Round[] => []))]))
  for (const round of affordable(rounds, CREWS_BUDGET_MS)) {
    for (const [p, processes] of counts.entries()) {
      const order = [...found.keys()]
      for (let turn = 0; turn < order.length; turn++) {
        const contender = order[(round + turn) % order.length]!
        try {
          for (const [i, result] of checked(await contender.rounds(processes, stages)).entries()) found.get(contender)![p]![i]!.push(result)
        } catch (error) {
          found.delete(contender)
          onFailure(`${contender.name}, ${processes} processes`, error)
        }
      }
    }
  }
  return counts.flatMap((processes, p) => stages.map((stage, i) => ({
    ...stage, processes, results: [...found].map(([{ group, name }, ofCounts]): Result => {
      const mine = ofCounts[p]![i]!
      return {
        group, name,
        perSecond: median(mine.map(({ perSecond }) => perSecond)),
        jain: median(mine.map(result => result.jain)),
        handoverNs: overall(mine.map(({ handoverNs }) => handoverNs)),
        waitNs: overall(mine.map(({ waitNs }) => waitNs)),
        acquisitions: mine.reduce((sum, { acquisitions }) => sum + acquisitions, 0),
        counter: mine.reduce((sum, { counter }) => sum + counter, 0),
        rounds: mine,
      }
    }),
  })))
}

function noteCase(findings: Findings, { processes, holdUs, thinkUs, results }: Case): void {
  const time = (ns: number): string => (Number.isNaN(ns) ? '-' : formatNs(ns))
  findings.table(`Hand-over between ${processes} processes, ${holdUs} us inside, ${thinkUs} us outside`, [
    { title: 'what' }, { title: 'how', align: 'left' }, { title: 'locks\nper s' }, { title: 'hand-over\np50' }, { title: '\np99' }, { title: '\np99.9' },
    { title: '\nmax' }, { title: 'wait\np50' }, { title: '\np99' }, { title: '\np99.9' }, { title: '\nmax' }, { title: 'fairness' },
  ], results.map(({ group, name, perSecond, jain: fairness, handoverNs, waitNs }) => [
    group, name, Math.round(perSecond).toString(), time(handoverNs.p50), time(handoverNs.p99), time(handoverNs.p999), time(handoverNs.max),
    time(waitNs.p50), time(waitNs.p99), time(waitNs.p999), time(waitNs.max), fairness.toFixed(3),
  ]))
}

function figuresOf(cases: readonly Case[]): Figure[] {
  const points = (figure: (result: Result) => number, ofRounds: (round: Round) => number): Point[] => cases.flatMap(({ processes, holdUs, results }) =>
    results.flatMap(result => {
      const [y, all] = [figure(result), result.rounds.map(ofRounds)]
      if (Number.isNaN(y)) return []
      return [{ series: labelOf(result.group, result.name), x: processes, y, low: Math.min(...all), high: Math.max(...all), panel: `${holdUs} us held` }]
    }))
  const x = { title: 'processes' }
  const how = 'Every process wants the lock again at once. Median and range of the rounds.'
  return [
    {
      id: 'handover-throughput', title: 'One lock, several processes: how many acquisitions a second?', subtitle: how, kind: 'lines', isMain: true,
      x, y: { title: 'acquisitions per second', isLog: true }, points: points(({ perSecond }) => perSecond, ({ perSecond }) => perSecond),
    },
    {
      id: 'handover-p99', title: 'One lock, several processes: how long does the unlucky one in a hundred wait?', subtitle: how, kind: 'lines', isMain: true,
      x, y: { title: 'wait, p99, us', isLog: true }, points: points(({ waitNs }) => waitNs.p99 / 1e3, ({ waitNs }) => waitNs.p99 / 1e3),
    },
    {
      id: 'handover-latency', title: 'How long does the lock lie free between two processes?', subtitle: `From the release to the entry of another process. ${how}`,
      kind: 'lines', x, y: { title: 'hand-over, p50, us', isLog: true },
      points: points(({ handoverNs }) => handoverNs.p50 / 1e3, ({ handoverNs }) => handoverNs.p50 / 1e3),
    },
    {
      id: 'handover-fairness', title: 'Does every process get its share?', subtitle: `Jain's index: 1 is even, 1/N is all for one. ${how}`, kind: 'lines',
      x, y: { title: 'fairness (Jain)' }, points: points(result => result.jain, round => round.jain),
    },
  ]
}

function noteHeadlines(findings: Findings, cases: readonly Case[]): void {
  for (const { processes, holdUs, results } of cases) {
    const values = (figure: (result: Result) => number): { series: string; value: number }[] =>
      results.map(result => ({ series: labelOf(result.group, result.name), value: figure(result) }))
    const of = `${processes} processes, ${holdUs} us held`
    const ours = labelOf('locktable', 'table, lockSync')
    findings.headline({ measure: `contended, ${of}: throughput`, better: 'more', unit: 'per second', ours, values: values(({ perSecond }) => perSecond) })
    findings.headline({ measure: `contended, ${of}: wait p99`, better: 'less', unit: 'ns', ours, values: values(({ waitNs }) => waitNs.p99) })
  }
}

async function main(): Promise<void> {
  const options = questionOptions({
    processes: [0, 0, 0], 'hold-us': [0, 0, 0], 'think-us': [0, 0, 0], rounds: [3, 1, 1], 'run-ms': [500, 120, 15],
  })
  const findings = new Findings('handover')
  using scratch = makeScratch()
  using program = await bundle(new URL('members/handover.ts', import.meta.url))
  await using field = await gather({ only: options.only, directory: scratch.path })
  const contenders = field.peers.map(({ group, peer }) => peerContender(group, peer.name, scratch.path, program.script))
  for (const name of BASELINES) {
    if (field.baseline !== undefined && isChosen(options, 'C', name)) contenders.unshift(baselineContender(field.baseline, name, scratch.path))
  }
  const { given, numbers: { 'think-us': thinkUs, rounds, 'run-ms': durationMs } } = options
  const counts = given.processes === undefined ? options.pick([2, 4, 8], [2, 8], [2]) : [given.processes]
  const holds = given['hold-us'] === undefined ? options.pick([0, 10, 100, 1000], [0, 100], [0, 20]) : [given['hold-us']]
  const stages = holds.map(holdUs => ({ holdUs, thinkUs, durationMs }))
  const cases = await measureAll(contenders, counts, stages, rounds, (name, error) => findings.fail(name, error))
  for (const one of cases) noteCase(findings, one)
  for (const figure of figuresOf(cases)) findings.figure(figure)
  noteHeadlines(findings, cases)
  findings.leaveOut(...field.skipped)
  findings.write(options.json, { rounds, cases })
}

await main()
