/**
 * readers.ts: one lock, many readers: do they get out of each other's way?
 *
 *   npx tsx bench/readers.ts [--quick|--small] [--processes N] [--rounds R] [--run-ms T] [--only TEXT] [--json FILE]
 *
 * 1 to 16 processes take one lock shared, again and again: held for no time, for 10 us (spinning), and for 10 us with one acquisition in a hundred
 * exclusive. One acquisition in eight is timed. More processes than cores cannot do more work; what a good lock shows is that they do not do less.
 *
 * An exclusive holder changes two numbers by plain writes, one at its beginning, one at its end; a reader that finds them different, or a sum that
 * is not the number of exclusive holds, fails the lock. Whoever has no shared mode is not in this question.
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

const BASELINES: readonly BaselineLock[] = ['rwlock', 'flock', 'ofd', 'flock-double-stat']
const OURS = labelOf('locktable', 'table, lockSync')
const SAMPLE_EVERY = 8

const said = ({ holdUs, sharedPercent }: CrowdStage): string =>
  `${holdUs} us held, ${sharedPercent === 100 ? 'readers only' : `${100 - sharedPercent} in 100 writes`}`

function note(findings: Findings, cases: readonly CrowdCase[], stages: readonly CrowdStage[], counts: readonly number[]): void {
  for (const stage of stages) {
    const mine = cases.filter(one => one.stage === stage)
    findings.table(`One lock, many readers: ${said(stage)}`, [
      { title: 'what' }, { title: 'how', align: 'left' }, { title: 'processes' }, { title: 'locks\nper s' }, { title: 'wait\np50' }, { title: '\np99' },
      { title: '\np99.9' }, { title: '\nmax' },
    ], mine.map(({ group, name, processes, perSecond, waitNs: { p50, p99, p999, max } }) => [
      group, name, `${processes}`, Math.round(perSecond).toString(), formatNs(p50), formatNs(p99), formatNs(p999), formatNs(max),
    ]))
    for (const processes of new Set([counts[0]!, counts.at(-1)!])) {
      findings.headline({
        measure: `readers, ${processes} processes, ${said(stage)}: throughput`, better: 'more', unit: 'per second', ours: OURS,
        values: mine.filter(one => one.processes === processes).map(({ group, name, perSecond }) => ({ series: labelOf(group, name), value: perSecond })),
      })
    }
  }
  const how = 'One lock taken shared again and again. Median and range of the rounds.'
  findings.figure({
    id: 'readers-throughput', title: 'One lock, many readers: how many acquisitions a second?', subtitle: how, kind: 'lines', isMain: true,
    x: { title: 'processes' }, y: { title: 'acquisitions per second', isLog: true }, points: crowdPoints(cases, said, ({ perSecond }) => perSecond),
  })
  findings.figure({
    id: 'readers-p99', title: 'One lock, many readers: how long does the unlucky one in a hundred wait?', subtitle: how, kind: 'lines',
    x: { title: 'processes' }, y: { title: 'wait, p99, us', isLog: true }, points: crowdPoints(cases, said, ({ waitNs }) => waitNs.p99 / 1e3),
  })
}

async function main(): Promise<void> {
  const options = questionOptions({ processes: [0, 0, 0], rounds: [2, 1, 1], 'run-ms': [120, 60, 10] })
  const findings = new Findings('readers')
  using scratch = makeScratch()
  using program = await bundle(new URL('members/crowd.ts', import.meta.url))
  await using field = await gather({ only: options.only, directory: scratch.path, isShared: true })
  const contenders = field.peers.map(peer => crowdPeer(peer, scratch.path, program.script))
  for (const name of BASELINES) {
    if (field.baseline !== undefined && isChosen(options, 'C', name)) contenders.unshift(crowdBaseline(field.baseline, name, scratch.path))
  }
  const { given, numbers: { rounds, 'run-ms': durationMs } } = options
  const counts = given.processes === undefined ? options.pick([1, 2, 4, 8, 16], [1, 4, 16], [2]) : [given.processes]
  const stage = (holdUs: number, sharedPercent: number): CrowdStage => ({ names: 1, holdUs, sharedPercent, durationMs, sampleEvery: SAMPLE_EVERY })
  const stages = [stage(0, 100), stage(10, 100), stage(10, 99)]
  const cases = await measureCrowds(contenders, counts, stages, rounds, findings)
  note(findings, cases, stages, counts)
  findings.leaveOut(...field.skipped)
  findings.write(options.json, { rounds, cases })
}

await main()
