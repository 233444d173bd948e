/** What the tests of the command share: the built program as real processes, and a table on tmpfs for each test. */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach } from 'vitest'
import { LockTable, type OpenOptions } from '../../src/index.js'
import { until } from '../support/until.js'

export { processState } from '../support/process-state.js'
export { until }

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** A directory on tmpfs, and the table in it; new for each test. */
export const place = { directory: '', path: '' }

const running = new Set<Run>()
const tables = new Set<LockTable>()

beforeEach(() => {
  place.directory = mkdtempSync('/dev/shm/locktable-e2e-')
  place.path = join(place.directory, 'locks')
})

afterEach(async () => {
  for (const run of running) {
    run.child.kill('SIGCONT')
    run.child.kill('SIGKILL')
  }
  running.clear()
  for (const table of tables) await table.close()
  tables.clear()
  rmSync(place.directory, { recursive: true, force: true })
})

export interface End {
  /** The exit status, or the signal's name. */
  readonly status: number | string
  readonly out: string
  readonly err: string
}

export class Run {
  readonly child: ChildProcess
  readonly ended: Promise<End>
  out = ''
  err = ''
  #isOver = false

  constructor(file: string, args: readonly string[], env: NodeJS.ProcessEnv, options: SpawnOptions = {}) {
    this.child = spawn(file, args, { ...options, env: { ...process.env, LOCKTABLE: place.path, ...env } })
    this.child.stdout?.on('data', (data: Buffer) => { this.out += data.toString() })
    this.child.stderr?.on('data', (data: Buffer) => { this.err += data.toString() })
    this.child.stdin?.on('error', () => undefined) // it may have ended without reading
    running.add(this)
    this.ended = new Promise(resolve => this.child.once('close', (code, signal) => {
      this.#isOver = true
      running.delete(this)
      resolve({ status: code ?? signal ?? 'unknown', out: this.out, err: this.err })
    }))
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** Waits until the output has the text. */
  async said(text: string, stream: 'out' | 'err' = 'out'): Promise<this> {
    await until(() => this[stream].includes(text) || this.#isOver)
    if (!this[stream].includes(text)) throw new Error(`it ended without saying ${JSON.stringify(text)}: ${this.out}${this.err}`)
    return this
  }
}

/** @param input  to its standard input, which ends then; null: it stays open */
export function start(args: readonly string[], env: NodeJS.ProcessEnv = {}, input: string | Buffer | null = '', options: SpawnOptions = {}): Run {
  const run = new Run(process.execPath, [MAIN, ...args], env, options)
  if (input !== null) run.child.stdin?.end(input)
  return run
}

export function locktable(...args: string[]): Promise<End> {
  return start(args).ended
}

export const hasScript = spawnSync('script', ['--version']).status === 0
/** As a user that nobody knows, who is not root. */
export const hasUserNamespaces = spawnSync('unshare', ['--user', 'true']).status === 0
export const hasSetpriv = spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0

/** The command on a terminal of its own: what is written to `child.stdin` is typed. */
export function onTerminal(args: readonly string[], env: NodeJS.ProcessEnv = {}): Run {
  // Not every shell becomes its last command by itself, and one that stays gets ^C too; script(1) asks SHELL which to take.
  const line = `exec ${[process.execPath, MAIN, ...args].map(word => `'${word.replaceAll("'", "'\\''")}'`).join(' ')}`
  return new Run('script', ['-qefc', line, '/dev/null'], { TERM: 'xterm', SHELL: '/bin/sh', ...env })
}

/** An opening of the test's own, closed after it. */
export async function open(options: OpenOptions = {}): Promise<LockTable> {
  const table = await LockTable.open(place.path, options)
  tables.add(table)
  return table
}
