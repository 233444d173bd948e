/**
 * baseline.ts: builds the C program of bench/c, once per version of its source, and runs it.
 */
import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Candidate } from './harness.js'
import type { LatencySummary } from './stats.js'

const SOURCES = fileURLToPath(new URL('../c/', import.meta.url))
/** Outside the checkout, where a clean build of the project may remove what a benchmark runs; only ours, as a temporary directory is not. */
const BUILD = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'locktable-bench')
/** A lock that nobody gets for so long is stuck. */
const PATIENCE_MS = 60_000
const FLAGS = ['-std=gnu11', '-O2', '-pthread']

export const UNCONTENDED_CASES = [
  'cas-exchange', 'robust-mutex', 'mutex', 'rwlock-write', 'rwlock-read', 'flock', 'ofd', 'flock-double-stat', 'flock-double-stat-unlink',
] as const
export const BASELINE_LOCKS = ['robust-mutex', 'mutex', 'rwlock', 'flock', 'ofd', 'flock-double-stat', 'flock-double-stat-unlink'] as const
/** Those that a dead holder does not leave locked for ever. */
export const RECOVERING_LOCKS = ['robust-mutex', 'flock', 'ofd', 'flock-double-stat', 'flock-double-stat-unlink'] as const

export type UncontendedCase = (typeof UNCONTENDED_CASES)[number]
export type BaselineLock = (typeof BASELINE_LOCKS)[number]

export interface HandoverResult {
  readonly lock: BaselineLock
  readonly processes: number
  readonly holdUs: number
  readonly thinkUs: number
  readonly perProcess: readonly number[]
  readonly seconds: number
  readonly acquisitions: number
  /** Counted under the lock by plain additions: `sound` says that it equals `acquisitions`. */
  readonly counter: number
  readonly sound: boolean
  readonly perSecond: number
  readonly jain: number
  /** From the request to the entry, of every acquisition. */
  readonly waitNs: LatencySummary
  /** From the release to the entry, where the next holder is another process. */
  readonly handoverNs: LatencySummary
}

export interface CrowdOptions {
  readonly processes: number
  readonly names: number
  readonly sharedPercent: number
  readonly holdUs: number
  readonly durationMs: number
  readonly sampleEvery: number
  readonly directory?: string | undefined
}

export interface CrowdResult {
  readonly acquisitions: number
  readonly perSecond: number
  /** Exclusive ones, the warm-up's included; the sum of what they counted under their locks must equal it. */
  readonly exclusive: number
  readonly counter: number
  /** How often a shared holder saw an exclusive one's work half done. */
  readonly torn: number
  readonly waitNs: LatencySummary
}

export interface RecoveryResult {
  readonly lock: BaselineLock
  readonly kills: number
  readonly residentMib: number
  readonly recoveryNs: { readonly min: number; readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number }
}

export class Baseline {
  readonly #program: string

  private constructor(program: string) {
    this.#program = program
  }

  /** The program, built if need be; or one line that says why there is none. */
  static build(): Baseline | string {
    const compiler = ['cc', 'gcc', 'clang'].find(name => canRun(name))
    if (compiler === undefined) return 'there is no C compiler (cc, gcc or clang) on the PATH'
    const files = readdirSync(SOURCES).filter(name => /\.[ch]$/.test(name)).sort()
    const hash = createHash('sha256').update(FLAGS.join(' '))
    for (const name of files) hash.update(name).update(readFileSync(SOURCES + name))
    const program = `${BUILD}/baseline-${hash.digest('hex').slice(0, 16)}`
    if (!existsSync(program)) {
      mkdirSync(BUILD, { recursive: true })
      const made = `${program}.${process.pid}`
      try {
        execFileSync(compiler, [...FLAGS, '-o', made, ...files.filter(name => name.endsWith('.c'))], { cwd: SOURCES, stdio: ['ignore', 'ignore', 'pipe'] })
      } catch (error) {
        const said = String((error as { stderr?: Buffer }).stderr ?? error).trim().split('\n').find(line => line.includes('error')) ?? String(error)
        return `${compiler} cannot build bench/c: ${said}`
      }
      renameSync(made, program) // whole or not at all: several benchmarks may build at a time
    }
    return new Baseline(program)
  }

  /** One line of results per lock. */
  async #run<T>(question: string, options: Record<string, string | number | undefined>): Promise<T[]> {
    const args = Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)]))
    const { stdout } = await promisify(execFile)(this.#program, [question, ...args], { maxBuffer: 64 << 20, timeout: PATIENCE_MS, killSignal: 'SIGKILL' })
    return stdout.trim().split('\n').map(line => JSON.parse(line) as T)
  }

  /** For the harness, which makes one run at a time between those of the others. Each run checks first that the lock excludes. */
  uncontended(name: UncontendedCase, directory?: string): Candidate {
    const sample = async (runMs: number): Promise<number> => {
      const [result] = await this.#run<{ nsPerPair: number }>('uncontended', { lock: name, runs: 1, 'run-ms': Math.ceil(runMs), directory })
      if (result === undefined) throw new Error(`the baseline program said nothing about ${name}`)
      return result.nsPerPair
    }
    return { group: 'C', name, sample }
  }

  async handover(lock: BaselineLock, options: { processes: number; holdUs?: number; thinkUs?: number; durationMs: number; directory?: string }): Promise<HandoverResult> {
    const [result] = await this.#run<HandoverResult>('handover', {
      lock, processes: options.processes, 'hold-us': options.holdUs, 'think-us': options.thinkUs, 'run-ms': options.durationMs, directory: options.directory,
    })
    return result!
  }

  async crowd(lock: BaselineLock, { sharedPercent, holdUs, durationMs, sampleEvery, ...options }: CrowdOptions): Promise<CrowdResult> {
    const [result] = await this.#run<CrowdResult>('crowd', {
      lock, 'shared-percent': sharedPercent, 'hold-us': holdUs, 'run-ms': durationMs, 'sample-every': sampleEvery, ...options,
    })
    return result!
  }

  async recovery(lock: (typeof RECOVERING_LOCKS)[number], options: { kills: number; residentMib?: number; directory?: string }): Promise<RecoveryResult> {
    const [result] = await this.#run<RecoveryResult>('recovery', {
      lock, kills: options.kills, 'resident-mib': options.residentMib, directory: options.directory,
    })
    return result!
  }
}

function canRun(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
