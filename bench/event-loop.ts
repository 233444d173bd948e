/**
 * event-loop.ts: some tasks of a process wait for locks that another process holds. What else can the process do meanwhile?
 *
 *   npx tsx bench/event-loop.ts [--quick|--small] [--waiting N] [--wait-ms T] [--rounds R] [--only TEXT] [--json FILE]
 *
 * While nobody gets on, 0 to 64 tasks wait, each for a lock of its own that another process holds for 0.3 s (of those that block the thread, one); while all get on,
 * two tasks and another process pass one lock to and fro. Meanwhile the process looks at two things:
 *
 *   loop      how late a timer of 1 ms comes: the event loop
 *   readFile  how long it takes to read a small file that has nothing to do with the locks: libuv's pool of four threads, which flock packages
 *             block one by one
 *
 * Every holder adds one to a counter under each lock; the sum must come out, or the lock is out.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundle } from './lib/bundled.js'
import { gather } from './lib/contenders.js'
import { Findings, type Point } from './lib/findings.js'
import { namesApart } from './lib/names-apart.js'
import { questionOptions } from './lib/question.js'
import { formatNs } from './lib/report.js'
import { makeScratch } from './lib/scratch.js'
import { labelOf } from './lib/series.js'
import { median } from './lib/stats.js'
import { Crew } from './lib/workers.js'
import type { EventLoopPart, EventLoopTask } from './members/event-loop.js'

/** The other process that holds, and the one that is watched. */
const PROCESSES = 2
/** Of libuv's pool. */
const POOL = 4
const OURS = labelOf('locktable', 'table, await lock')

type Scene = EventLoopTask['scene']

interface Result {
  readonly group: string
  readonly name: string
  readonly isBlocking: boolean
  readonly scene: Scene
  readonly waiting: number
  readonly acquisitions: number
  readonly counter: number
  readonly loopP99: number
  readonly loopMax: number
  readonly readP50: number
  readonly readMax: number
}

let directories = 0

async function measureOnce(peer: string, scene: Scene, waiting: number, waitMs: number, scratch: string, script: URL): Promise<EventLoopPart & { counter: number }> {
  const directory = join(scratch, `event-loop-${directories++}`)
  mkdirSync(directory, { mode: 0o700 })
  const file = join(directory, 'unrelated')
  writeFileSync(file, Buffer.alloc(4096, 1))
  const names = await namesApart(directory, Math.max(1, waiting))
  using crew = Crew.start<EventLoopTask, EventLoopPart>({
    script, processes: PROCESSES, counters: names.length, task: { peer, directory, scene, waiting, waitMs, names, file }, patienceMs: 20_000,
  })
  const [holder, watched] = await crew.run(2)
  const acquisitions = holder!.acquisitions + watched!.acquisitions
  const counter = names.reduce((sum, _, i) => sum + crew.counter(i), 0)
  if (acquisitions !== counter) throw new Error(`it does not exclude: ${acquisitions} acquisitions, counted ${counter}`)
  return { ...watched!, acquisitions, counter }
}

function note(findings: Findings, results: readonly Result[], waitMs: number): void {
  const columns = [{ title: 'what' }, { title: 'how', align: 'left' as const }]
  const times = [{ title: 'loop delay\np99' }, { title: '\nmax' }, { title: 'readFile\np50' }, { title: '\nmax' }]
  const cells = ({ loopP99, loopMax, readP50, readMax }: Result): string[] => [loopP99, loopMax, readP50, readMax].map(formatNs)
  const [still, busy] = (['waiting', 'busy'] as const).map(scene => results.filter(result => result.scene === scene)) as [Result[], Result[]]
  findings.table(`Tasks wait for locks that another process holds for ${waitMs} ms`, [...columns, { title: 'waiting' }, ...times],
    still.map(result => [result.group, result.name, `${result.waiting}`, ...cells(result)]))
  findings.table('Two tasks and another process pass one lock to and fro', [...columns, { title: 'locks' }, ...times],
    busy.map(result => [result.group, result.name, `${result.acquisitions}`, ...cells(result)]))
  const series = ({ group, name }: Result): string => labelOf(group, name)
  const points = (figure: (result: Result) => number): Point[] => still.filter(({ isBlocking }) => !isBlocking).map(result => ({ series: series(result), x: result.waiting, y: figure(result) / 1e6 }))
  const how = `Tasks wait for locks that another process holds for ${waitMs} ms. Whoever blocks the thread is not drawn: he blocks everything, see the table.`
  findings.figure({
    id: 'event-loop-read', title: 'While some tasks wait for locks: how long does it take to read a file?', subtitle: how, kind: 'lines', isMain: true,
    x: { title: 'waiting tasks' }, y: { title: 'ms, the longest fs.readFile', isLog: true }, points: points(({ readMax }) => readMax),
  })
  findings.figure({
    id: 'event-loop-delay', title: 'While some tasks wait for locks: how late is the event loop?', subtitle: how, kind: 'lines',
    x: { title: 'waiting tasks' }, y: { title: 'ms, p99', isLog: true }, points: points(({ loopP99 }) => loopP99),
  })
  findings.figure({
    id: 'event-loop-busy', title: 'While two tasks and another process pass a lock to and fro: how late is the event loop?', kind: 'bars',
    subtitle: 'The other process holds for 100 us at a time.', x: { title: '' }, y: { title: 'ms, p99', isLog: true },
    points: busy.map(result => ({ series: series(result), x: 0, y: result.loopP99 / 1e6 })),
  })
  const values = (of: readonly Result[], figure: (result: Result) => number): { series: string; value: number }[] => of.map(result => ({ series: series(result), value: figure(result) }))
  const crowd = still.filter(({ waiting, isBlocking }) => isBlocking || waiting === 2 * POOL)
  findings.headline({ measure: `${2 * POOL} tasks wait: longest fs.readFile`, better: 'less', unit: 'ns', ours: OURS, values: values(crowd, ({ readMax }) => readMax) })
  findings.headline({ measure: `${2 * POOL} tasks wait: event-loop delay, p99`, better: 'less', unit: 'ns', ours: OURS, values: values(crowd, ({ loopP99 }) => loopP99) })
  findings.headline({ measure: 'a contended lock to and fro: event-loop delay, p99', better: 'less', unit: 'ns', ours: OURS, values: values(busy, ({ loopP99 }) => loopP99) })
}

async function main(): Promise<void> {
  const options = questionOptions({ waiting: [0, 0, 0], 'wait-ms': [300, 250, 60], rounds: [2, 1, 1] })
  const { given, numbers: { 'wait-ms': waitMs, rounds } } = options
  const findings = new Findings('event-loop')
  using scratch = makeScratch()
  using program = await bundle(new URL('members/event-loop.ts', import.meta.url))
  await using field = await gather({ only: options.only, directory: scratch.path })
  const counts = given.waiting === undefined ? options.pick([0, 1, 2, 3, 4, 8, 64], [0, 3, 4, 8, 64], [8]) : [given.waiting]
  const results: Result[] = []
  for (const { group, peer: { name, isBlocking = false } } of field.peers) {
    const both: readonly (readonly [Scene, number])[] = [...(isBlocking ? [1] : counts).map(count => ['waiting', count] as const), ['busy', 2]]
    try {
      for (const [scene, waiting] of options.small ? both.slice(isBlocking ? 1 : 0, isBlocking ? 2 : 1) : both) {
        const parts: (EventLoopPart & { counter: number })[] = []
        for (let round = 0; round < rounds; round++) parts.push(await measureOnce(name, scene, waiting, waitMs, scratch.path, program.script))
        const middle = (figure: (part: EventLoopPart) => number): number => median(parts.map(figure))
        const sum = (figure: (part: EventLoopPart & { counter: number }) => number): number => parts.reduce((total, part) => total + figure(part), 0)
        results.push({
          group, name, isBlocking, scene, waiting, acquisitions: sum(part => part.acquisitions), counter: sum(part => part.counter),
          loopP99: middle(({ loopNs }) => loopNs.p99), loopMax: middle(({ loopNs }) => loopNs.max),
          readP50: middle(({ readNs }) => readNs.p50), readMax: middle(({ readNs }) => readNs.max),
        })
      }
    } catch (error) {
      findings.fail(name, error)
    }
  }
  note(findings, results, waitMs)
  findings.leaveOut(...field.skipped)
  findings.write(options.json, { waitMs, rounds, results })
}

await main()
