/**
 * groups.ts: what a backup server does: many processes, a thousand groups, few of them popular.
 *
 *   npx tsx bench/groups.ts [--quick|--small] [--processes N] [--names N] [--rounds R] [--run-ms T] [--only TEXT] [--json FILE]
 *
 * 1 to 16 processes lock one of 1000 names exclusively, the i-th with a weight of 1/i (Zipf), hold it for no time or for 50 us (spinning), let go, and
 * take the next. What a lock needs for each name (a file, a database) is made when the name is first used, as programs do.
 * One acquisition in eight is timed.
 *
 * Each name has a counter that only its holder changes, by a plain addition; their sum must be the number of acquisitions.
 */
import type { BaselineLock } from './lib/baseline.js'
import { bundle } from './lib/bundled.js'
import { gather } from './lib/contenders.js'
import { type CrowdCase, crowdBaseline, crowdPeer, crowdPoints, measureCrowds } from './lib/crowds.js'
import { Findings } from './lib/findings.js'
import { isChosen, questionOptions } from './lib/question.js'
import { formatNs } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { labelOf } from './lib/series.js'
import type { CrowdStage } from './members/crowd.js'

const BASELINES: readonly BaselineLock[] = ['robust-mutex', 'flock', 'flock-double-stat', 'flock-double-stat-unlink']
const OURS = labelOf('locktable', 'table, lockSync')
const SAMPLE_EVERY = 8

const said = ({ holdUs }: CrowdStage): string => `${holdUs} us held`

function note(findings: Findings, cases: readonly CrowdCase[], stages: readonly CrowdStage[], counts: readonly number[], names: number): void {
  for (const stage of stages) {
    const mine = cases.filter(one => one.stage === stage)
    findings.table(`${names} groups, few of them popular: ${said(stage)}`, [
      { title: 'what' }, { title: 'how', align: 'left' }, { title: 'processes' }, { title: 'locks\nper s' }, { title: 'wait\np50' }, { title: '\np99' },
      { title: '\np99.9' }, { title: '\nmax' },
    ], mine.map(({ group, name, processes, perSecond, waitNs: { p50, p99, p999, max } }) => [
      group, name, `${processes}`, Math.round(perSecond).toString(), formatNs(p50), formatNs(p99), formatNs(p999), formatNs(max),
    ]))
    for (const processes of [...new Set([2, counts.at(-1)!])].filter(count => counts.includes(count))) {
      const of = `${names} groups, ${processes} processes, ${said(stage)}`
      const values = (figure: (one: CrowdCase) => number): { series: string; value: number }[] =>
        mine.filter(one => one.processes === processes).map(one => ({ series: labelOf(one.group, one.name), value: figure(one) }))
      findings.headline({ measure: `${of}: throughput`, better: 'more', unit: 'per second', ours: OURS, values: values(({ perSecond }) => perSecond) })
      findings.headline({ measure: `${of}: wait p99`, better: 'less', unit: 'ns', ours: OURS, values: values(({ waitNs }) => waitNs.p99) })
    }
  }
  const how = `${names} names, the i-th with a weight of 1/i, exclusive. Median and range of the rounds.`
  findings.figure({
    id: 'groups-throughput', title: 'A backup server\'s groups: how many acquisitions a second?', subtitle: how, kind: 'lines', isMain: true,
    x: { title: 'processes' }, y: { title: 'acquisitions per second', isLog: true }, points: crowdPoints(cases, said, ({ perSecond }) => perSecond),
  })
  findings.figure({
    id: 'groups-p99', title: 'A backup server\'s groups: how long does the unlucky one in a hundred wait?', subtitle: how, kind: 'lines',
    x: { title: 'processes' }, y: { title: 'wait, p99, us', isLog: true }, points: crowdPoints(cases, said, ({ waitNs }) => waitNs.p99 / 1e3),
  })
}

async function main(): Promise<void> {
  const options = questionOptions({ processes: [0, 0, 0], names: [1000, 1000, 50], rounds: [2, 1, 1], 'run-ms': [160, 80, 10] })
  const findings = new Findings('groups')
  using scratch = makeScratch()
  using program = await bundle(new URL('members/crowd.ts', import.meta.url))
  await using field = await gather({ only: options.only, directory: scratch.path })
  const contenders = field.peers.map(peer => crowdPeer(peer, scratch.path, program.script))
  for (const name of BASELINES) {
    if (field.baseline !== undefined && isChosen(options, 'C', name)) contenders.unshift(crowdBaseline(field.baseline, name, scratch.path))
  }
  const { given, numbers: { names, rounds, 'run-ms': durationMs } } = options
  if (names < 1) throw new RangeError('--names must be at least 1')
  const counts = given.processes === undefined ? options.pick([1, 2, 4, 8, 16], [2, 16], [2]) : [given.processes]
  const stages = [0, 50].map((holdUs): CrowdStage => ({ names, holdUs, sharedPercent: 0, durationMs, sampleEvery: SAMPLE_EVERY }))
  const cases = await measureCrowds(contenders, counts, stages, rounds, findings)
  note(findings, cases, stages, counts, names)
  findings.leaveOut(...field.skipped)
  findings.write(options.json, { names, rounds, cases })
}

await main()
