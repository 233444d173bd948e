/**
 * fuzz.ts: damaged tables through everything that opens, looks at, locks or removes one: no crash, no hang, a typed error or correct work.
 *
 * usage: npm run fuzz [-- --seconds 60] [--seed N] [--only N] [--workers 2]
 *
 * Execution N of a seed can be had again alone (--only); what other processes do meanwhile cannot, but few executions need any. The executions run
 * in processes that a watchdog kills when one takes too long, and that are replaced when they crash.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { randomFrom } from '../crash/soak.js'
import { makeCorpus } from './corpus.js'
import { below, mutate, pick } from './mutate.js'

export const CORPUS_FILES = ['fresh', 'busy', 'bereaved'] as const
const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url))
const COMMAND = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
/** An execution takes some milliseconds; on a machine that does something else, more. */
const PATIENCE_MS = 30_000
/** A process that lives on hides nothing, but a leak would slow it down. */
const EXECUTIONS_PER_PROCESS = 2000

export interface Report {
  readonly begins?: number
  readonly kind?: 'rest' | 'live'
  readonly opened?: boolean
  readonly fault?: string
}

export interface FuzzOptions {
  readonly seconds: number
  readonly seed: number
  readonly workers: number
  /** It goes on until so many are done, even if the time is up: on a machine that does something else the processes take long to start. Default: 0. */
  readonly leastExecutions?: number | undefined
  /** This execution alone. */
  readonly only?: number | undefined
}

export interface FuzzReport {
  executions: number
  /** Executions in which the table could be opened at least once. */
  opened: number
  live: number
  /** Runs of the command `locktable`. */
  commands: number
  readonly faults: string[]
}

export function seedOf(seed: number, execution: number): number {
  return (Math.imul(seed, 0x9e3779b1) ^ Math.imul(execution + 1, 0x85ebca6b)) >>> 0
}

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const directory = mkdtempSync('/dev/shm/locktable-fuzz-')
  try {
    const corpus = await makeCorpus(directory)
    corpus.forEach((image, i) => {
      writeFileSync(join(directory, CORPUS_FILES[i]!), image)
    })
    const campaign = new Campaign(directory, options)
    await Promise.all([
      ...Array.from({ length: options.only === undefined ? options.workers : 1 }, () => campaign.work()),
      ...(options.only === undefined ? [campaign.runCommands(corpus)] : []),
    ])
    return campaign.report
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

class Campaign {
  readonly report: FuzzReport = { executions: 0, opened: 0, live: 0, commands: 0, faults: [] }
  readonly #directory: string
  readonly #options: FuzzOptions
  readonly #end: number
  #next = 0

  constructor(directory: string, options: FuzzOptions) {
    this.#directory = directory
    this.#options = options
    this.#end = performance.now() + options.seconds * 1000
  }

  get #isOver(): boolean {
    const { leastExecutions = 0 } = this.#options
    return (performance.now() >= this.#end && this.report.executions >= leastExecutions) || this.report.faults.length >= 10
  }

  /** One process after the other, until the time is up. */
  async work(): Promise<void> {
    do {
      const { only, seed } = this.#options
      const first = only ?? this.#next
      const count = only === undefined ? EXECUTIONS_PER_PROCESS : 1
      this.#next += count
      const child = fork(WORKER, [this.#directory, String(seed), String(first), String(count)], { execArgv: ['--import', 'tsx'] })
      await this.#attend(child)
    } while (!this.#isOver && this.#options.only === undefined)
  }

  #attend(child: ChildProcess): Promise<void> {
    return new Promise(resolve => {
      let current = -1
      let isStopped = false
      const blame = (what: string): void => {
        this.report.faults.push(`execution ${current} of seed ${this.#options.seed}: ${what}`)
      }
      const bark = (): void => {
        isStopped = true
        blame(`it hangs (${PATIENCE_MS} ms)`)
        child.kill('SIGKILL')
      }
      let watchdog = setTimeout(bark, PATIENCE_MS)
      child.on('message', ({ begins, kind, opened, fault }: Report) => {
        clearTimeout(watchdog)
        watchdog = setTimeout(bark, PATIENCE_MS)
        if (begins !== undefined) current = begins
        else this.report.executions++
        if (opened) this.report.opened++
        if (kind === 'live') this.report.live++
        if (fault !== undefined) blame(fault)
        if (!this.#isOver || isStopped || this.#options.only !== undefined) return
        isStopped = true
        child.kill('SIGKILL')
      })
      child.on('exit', (code, signal) => {
        clearTimeout(watchdog)
        if (!isStopped && code !== 0) blame(`the process ended with ${signal ?? code}`)
        resolve()
      })
    })
  }

  /** The command looks at damaged files, one after the other: it says something that can be read, or why not. */
  async runCommands(corpus: readonly Buffer[]): Promise<void> {
    for (let i = 0; !this.#isOver; i++) {
      const random = randomFrom(seedOf(this.#options.seed ^ 0x636c69, i))
      const image = Buffer.from(pick(random, corpus))
      for (let count = 1 + below(random, 10); count > 0; count--) {
        const { offset, bytes } = mutate(random, pick(random, ['header', 'participants', 'slots', 'slots']), image)
        bytes.copy(image, offset)
      }
      const path = join(this.#directory, 'looked-at')
      writeFileSync(path, image, { mode: 0o600 })
      const args = pick(random, [['status', '--json'], ['status'], ['inspect', '--json', 'a'], ['inspect', 'b'], ['check', '--json'], ['check'], ['evict', '2', '--yes'], ['remove']])
      const problem = await commandProblem(path, args)
      this.report.commands++
      if (problem !== undefined) this.report.faults.push(`command ${i} of seed ${this.#options.seed} (locktable ${args.join(' ')}): ${problem}`)
    }
  }
}

/** Exit statuses of refusals (src/cli/exit-codes.ts); 70 is a defect. */
const REFUSALS = [1, 65, 66, 71, 74, 75, 76, 77]

function commandProblem(path: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [COMMAND, ...args, '--table', path], { stdio: ['ignore', 'pipe', 'pipe'], timeout: PATIENCE_MS, killSignal: 'SIGKILL' })
    const [out, err]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (data: Buffer) => out.push(data))
    child.stderr.on('data', (data: Buffer) => err.push(data))
    child.on('close', (code, signal) => {
      const complaint = Buffer.concat(err).toString()
      const hasAnswered = code === 0 || (code === 1 && args[0] === 'check') // it has found something
      if (hasAnswered) resolve(args.includes('--json') ? jsonProblem(Buffer.concat(out).toString()) : undefined)
      else if (code !== null && REFUSALS.includes(code) && complaint !== '' && !/\n\s+at /.test(complaint)) resolve(undefined)
      else resolve(`it ended with ${signal ?? code}: ${complaint}`)
    })
  })
}

function jsonProblem(text: string): string | undefined {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    return `${String(error)}: ${text.slice(0, 200)}`
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' }, seed: { type: 'string', default: String(Date.now() % 2 ** 31) }, workers: { type: 'string', default: '2' }, only: { type: 'string' },
    },
  })
  const options = { seconds: Number(values.seconds), seed: Number(values.seed), workers: Number(values.workers), only: values.only === undefined ? undefined : Number(values.only) }
  console.log(JSON.stringify(options))
  const report = await fuzz(options)
  for (const fault of report.faults) console.log(`FAULT ${fault}`)
  console.log(JSON.stringify({ ...report, faults: report.faults.length }))
  process.exitCode = report.faults.length === 0 ? 0 : 1
}
