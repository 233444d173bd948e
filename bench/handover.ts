/**
 * handover.ts: several processes want one lock all the time: how fast does it go from hand to hand?
 *
 *   npx tsx bench/handover.ts [--small] [--processes N] [--hold-us H] [--think-us T] [--rounds R] [--run-ms T] [--only TEXT] [--json FILE]
 *
 * Each process locks, holds for H, unlocks, thinks for T (both by spinning on the clock). Without --hold-us and --think-us two cases are
 * measured: none of either, where whoever has the lock mostly takes it again, and 50 us of both, where it changes hands.
 * Every round is a new crew of processes; the rounds of the candidates alternate. A figure is the median of its rounds, a maximum that of all.
 *
 *   hand-over  from the release to the entry, where the next holder is another process
 *   wait       from the request to the entry, of every acquisition
 *   fairness   Jain's index of the acquisitions of each process: 1 is even, 1/N is all for one
 *
 * A counter that only holders change, by a plain addition, must come out as the number of acquisitions; otherwise the benchmark fails.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Baseline, type BaselineLock } from './lib/baseline.js'
import { bundle } from './lib/bundled.js'
import { Distribution } from './lib/distribution.js'
import { isChosen } from './lib/harness.js'
import { questionOptions } from './lib/question.js'
import { environmentNow, formatNs, printEnvironment, printTable, writeJson } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { type LatencySummary, jain, median } from './lib/stats.js'
import { Crew } from './lib/workers.js'
import type { HandoverPart, HandoverTask } from './members/handover.js'
import { OURS } from './peers/locktable.js'
import { MACHINE_PEERS } from './peers/machine.js'

const BASELINES: readonly BaselineLock[] = ['robust-mutex', 'rwlock', 'flock', 'flock-double-stat-unlink']
/** As the members/handover.ts have them; not imported from there, which would join a crew. */
const COUNTER = 0
const SHARED_NUMBERS = 3

interface Case {
  readonly processes: number
  readonly holdUs: number
  readonly thinkUs: number
  readonly durationMs: number
}

interface Round {
  readonly perSecond: number
  readonly jain: number
  readonly acquisitions: number
  readonly counter: number
  readonly handoverNs: LatencySummary
  readonly waitNs: LatencySummary
}

interface Contender {
  readonly group: string
  readonly name: string
  round(which: Case): Promise<Round>
}

/** Lock files of one round do not meet those of the next. */
let directories = 0

function peerContender(group: string, name: string, scratch: string, script: URL): Contender {
  const round = async (which: Case): Promise<Round> => {
    const { processes, holdUs, thinkUs, durationMs } = which
    const directory = join(scratch, `round-${directories++}`)
    mkdirSync(directory, { mode: 0o700 })
    using crew = Crew.start<HandoverTask, HandoverPart>({
      script, processes, counters: SHARED_NUMBERS, task: { peer: name, directory, holdUs, thinkUs, durationMs },
    })
    const parts = await crew.run()
    const [wait, handover] = [new Distribution(), new Distribution()]
    for (const part of parts) {
      wait.add(part.wait)
      handover.add(part.handover)
    }
    const shares = parts.map(part => part.acquisitions)
    const acquisitions = shares.reduce((sum, share) => sum + share, 0)
    const seconds = (Math.max(...parts.map(part => part.ended)) - Math.min(...parts.map(part => part.began))) / 1e9
    return {
      perSecond: acquisitions / seconds, jain: jain(shares), acquisitions, counter: crew.counter(COUNTER),
      handoverNs: handover.summary(), waitNs: wait.summary(),
    }
  }
  return { group, name, round }
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

async function measureCase(contenders: readonly Contender[], which: Case, rounds: number): Promise<object> {
  const found = contenders.map((): Round[] => [])
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const at = (round + turn) % contenders.length
      const { name } = contenders[at]!
      const result = await contenders[at]!.round(which)
      if (result.counter !== result.acquisitions) throw new Error(`${name} does not exclude: ${result.acquisitions} acquisitions, counted ${result.counter}`)
      found[at]!.push(result)
    }
  }
  const results = contenders.map(({ group, name }, i) => ({
    group, name,
    perSecond: median(found[i]!.map(({ perSecond }) => perSecond)),
    jain: median(found[i]!.map(result => result.jain)),
    handoverNs: overall(found[i]!.map(({ handoverNs }) => handoverNs)),
    waitNs: overall(found[i]!.map(({ waitNs }) => waitNs)),
    acquisitions: found[i]!.reduce((sum, { acquisitions }) => sum + acquisitions, 0),
    counter: found[i]!.reduce((sum, { counter }) => sum + counter, 0),
    rounds: found[i]!,
  }))
  const time = (ns: number): string => (Number.isNaN(ns) ? '-' : formatNs(ns))
  printTable(`Hand-over between ${which.processes} processes, ${which.holdUs} us inside, ${which.thinkUs} us outside`, [
    { title: 'what' }, { title: 'how', align: 'left' }, { title: 'locks\nper s' }, { title: 'hand-over\np50' }, { title: '\np99' }, { title: '\np99.9' },
    { title: '\nmax' }, { title: 'wait\np50' }, { title: '\np99' }, { title: 'fairness' },
  ], results.map(({ group, name, perSecond, jain: fairness, handoverNs, waitNs }) => [
    group, name, Math.round(perSecond).toString(), time(handoverNs.p50), time(handoverNs.p99), time(handoverNs.p999), time(handoverNs.max),
    time(waitNs.p50), time(waitNs.p99), fairness.toFixed(3),
  ]))
  return { ...which, results }
}

async function main(): Promise<void> {
  const options = questionOptions({ processes: 2, 'hold-us': undefined, 'think-us': undefined, rounds: 5, 'run-ms': 300 }, { rounds: 1, 'run-ms': 15 })
  const environment = environmentNow()
  printEnvironment(environment)
  using scratch = makeScratch()
  using program = await bundle(new URL('members/handover.ts', import.meta.url))
  const skipped: { name: string; why: string }[] = []
  const contenders: Contender[] = []
  const baseline = Baseline.build()
  if (typeof baseline === 'string') skipped.push({ name: 'the C baselines', why: baseline })
  else for (const name of BASELINES) contenders.push({ group: 'C', name, round: which => baseline.handover(name, { ...which, directory: scratch.path }) })
  for (const peer of MACHINE_PEERS) {
    const why = peer.available()
    if (why === undefined) contenders.push(peerContender(OURS.includes(peer) ? 'locktable' : 'Node', peer.name, scratch.path, program.script))
    else skipped.push({ name: peer.name, why })
  }
  const chosen = contenders.filter(({ group, name }) => isChosen(options, group, name))
  const { processes = 2, 'hold-us': holdUs, 'think-us': thinkUs, rounds = 1, 'run-ms': durationMs = 100 } = options.numbers
  const both = holdUs === undefined && thinkUs === undefined && !options.small
  const cases = both ? [0, 50].map(us => ({ holdUs: us, thinkUs: us })) : [{ holdUs: holdUs ?? 0, thinkUs: thinkUs ?? 0 }]
  const measured: object[] = []
  for (const { holdUs: inside, thinkUs: outside } of cases) {
    measured.push(await measureCase(chosen, { processes, holdUs: inside, thinkUs: outside, durationMs }, rounds))
  }
  for (const { name, why } of skipped) if (isChosen(options, '', name)) console.log(`skipped: ${name}: ${why}`)
  if (options.json !== undefined) writeJson(options.json, 'handover', environment, { rounds, cases: measured, skipped })
}

await main()
