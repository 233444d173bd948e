/**
 * crowds.ts: rounds of several processes that take many locks, or one lock shared, by everybody who can, C and Node.
 *
 * Every round is a new crew, which goes through all stages; one of Node processes twice, of which the second time counts. The rounds of the contenders
 * alternate. Whoever fails, hangs or does not exclude is out, and said to be; the others go on.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { CrowdPart, CrowdStage, CrowdTask } from '../members/crowd.js'
import { CREWS_BUDGET_MS, affordable } from './affordable.js'
import type { Baseline, BaselineLock } from './baseline.js'
import type { GroupedPeer } from './contenders.js'
import { Distribution } from './distribution.js'
import type { Findings, Point } from './findings.js'
import { labelOf } from './series.js'
import { type LatencySummary, median } from './stats.js'
import { crewWarmUpMs } from './warm-up.js'
import { Crew } from './workers.js'

export interface CrowdRound {
  readonly acquisitions: number
  readonly perSecond: number
  readonly exclusive: number
  readonly counter: number
  readonly torn: number
  readonly waitNs: LatencySummary
}

export interface CrowdContender {
  readonly group: string
  readonly name: string
  /** One round of each stage. */
  rounds(processes: number, stages: readonly CrowdStage[]): Promise<CrowdRound[]>
}

export interface CrowdCase {
  readonly group: string
  readonly name: string
  readonly processes: number
  readonly stage: CrowdStage
  readonly perSecond: number
  /** The median of each figure; maximum and count are of all rounds. */
  readonly waitNs: LatencySummary
  readonly rounds: readonly CrowdRound[]
}

let directories = 0

/** A crowd on few cores gets more time, or each of them would have a few turns only. */
const durationOf = ({ durationMs }: CrowdStage, processes: number): number => durationMs * Math.max(1, processes / 4)

/** What is not measured: all stages, for what is compiled for one is compiled anew in the next. */
const warmUpOf = (processes: number, stages: readonly CrowdStage[]): readonly CrowdStage[] =>
  stages.map(stage => ({ ...stage, durationMs: crewWarmUpMs(processes, stage.durationMs) / stages.length })).filter(({ durationMs }) => durationMs > 0)

/** @param script  members/crowd.ts, bundled */
export function crowdPeer({ group, peer: { name } }: GroupedPeer, scratch: string, script: URL): CrowdContender {
  const rounds = async (processes: number, stages: readonly CrowdStage[]): Promise<CrowdRound[]> => {
    const directory = join(scratch, `crowd-${directories++}`)
    mkdirSync(directory, { mode: 0o700 })
    const warmUp = warmUpOf(processes, stages)
    const all = [...warmUp, ...stages.map(stage => ({ ...stage, durationMs: durationOf(stage, processes) }))]
    const counters = 2 * Math.max(...stages.map(({ names }) => names))
    using crew = Crew.start<CrowdTask, CrowdPart[]>({ script, processes, counters, task: { peer: name, directory, stages: all } })
    const members = await crew.run(all.length)
    let counted = 0
    for (let i = 0; i < counters; i += 2) counted += crew.counter(i)
    const found = all.map((_, i) => roundOf(members.map(parts => parts[i]!)))
    // The counters go on from stage to stage; only their sum over all is checked, and said of each.
    const off = counted - found.reduce((sum, { exclusive }) => sum + exclusive, 0)
    return found.slice(warmUp.length).map(round => ({ ...round, counter: round.exclusive + off }))
  }
  return { group, name, rounds }
}

function roundOf(parts: readonly CrowdPart[]): Omit<CrowdRound, 'counter'> {
  const wait = new Distribution()
  for (const part of parts) wait.add(part.wait)
  const sum = (figure: (part: CrowdPart) => number): number => parts.reduce((total, part) => total + figure(part), 0)
  const seconds = (Math.max(...parts.map(({ ended }) => ended)) - Math.min(...parts.map(({ began }) => began))) / 1e9
  const acquisitions = sum(part => part.acquisitions)
  return { acquisitions, perSecond: acquisitions / seconds, exclusive: sum(part => part.exclusive), torn: sum(part => part.torn), waitNs: wait.summary() }
}

export function crowdBaseline(baseline: Baseline, name: BaselineLock, directory: string): CrowdContender {
  const rounds = async (processes: number, stages: readonly CrowdStage[]): Promise<CrowdRound[]> => {
    const found: CrowdRound[] = []
    for (const stage of stages) found.push(await baseline.crowd(name, { ...stage, durationMs: durationOf(stage, processes), processes, directory }))
    return found
  }
  return { group: 'C', name, rounds }
}

function checked({ name }: CrowdContender, rounds: readonly CrowdRound[]): readonly CrowdRound[] {
  for (const { exclusive, counter, torn } of rounds) {
    if (counter !== exclusive) throw new Error(`${name} does not exclude: ${exclusive} acquisitions, counted ${counter}`)
    if (torn !== 0) throw new Error(`${name} does not exclude: ${torn} times a shared holder saw half of what an exclusive one did`)
  }
  return rounds
}

export async function measureCrowds(
  contenders: readonly CrowdContender[], processCounts: readonly number[], stages: readonly CrowdStage[], rounds: number, findings: Findings,
): Promise<CrowdCase[]> {
  const found = new Map(contenders.map(contender => [contender, processCounts.map(() => stages.map((): CrowdRound[] => []))]))
  for (const round of affordable(rounds, CREWS_BUDGET_MS)) {
    for (const [p, processes] of processCounts.entries()) {
      const order = [...found.keys()]
      for (let turn = 0; turn < order.length; turn++) {
        const contender = order[(round + turn) % order.length]!
        try {
          for (const [i, result] of checked(contender, await contender.rounds(processes, stages)).entries()) found.get(contender)![p]![i]!.push(result)
        } catch (error) {
          findings.fail(`${contender.name}, ${processes} processes`, error)
          found.delete(contender)
        }
      }
    }
  }
  return processCounts.flatMap((processes, p) => stages.flatMap((stage, i) => [...found].map(([{ group, name }, results]): CrowdCase => {
    const mine = results[p]![i]!
    const middle = (figure: (round: CrowdRound) => number): number => median(mine.map(figure))
    const quantile = (key: 'mean' | 'p50' | 'p90' | 'p99' | 'p999'): number => middle(({ waitNs }) => waitNs[key])
    return {
      group, name, processes, stage, perSecond: middle(({ perSecond }) => perSecond), rounds: mine,
      waitNs: {
        count: mine.reduce((sum, { waitNs }) => sum + waitNs.count, 0), max: Math.max(...mine.map(({ waitNs }) => waitNs.max)),
        mean: quantile('mean'), p50: quantile('p50'), p90: quantile('p90'), p99: quantile('p99'), p999: quantile('p999'),
      },
    }
  })))
}

/** For a figure over processes, with the range of the rounds. */
export function crowdPoints(cases: readonly CrowdCase[], panelOf: (stage: CrowdStage) => string, figure: (round: CrowdRound) => number): Point[] {
  return cases.map(({ group, name, processes, stage, rounds }) => {
    const all = rounds.map(figure)
    return { series: labelOf(group, name), x: processes, y: median(all), low: Math.min(...all), high: Math.max(...all), panel: panelOf(stage) }
  })
}
