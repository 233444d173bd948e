/**
 * report.ts: where figures come from, and how they are written for people: tables on the terminal, times in the unit that a reader expects.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import Table from 'cli-table3'

export interface Environment {
  /** With `+` if the work tree differs from it. */
  readonly commit: string
  readonly date: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly libc: string
  readonly node: string
  readonly v8: string
  /** Processes that wanted to run during the last minute: above 1 somebody else was busy too. */
  readonly load: number
  readonly command: string
}

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))

const MAIN = 'bench/main.ts'

function git(...args: string[]): string | undefined {
  try {
    return execFileSync('git', args, { cwd: REPOSITORY, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined // not a checkout, or no git
  }
}

function commitNow(): string {
  const commit = git('rev-parse', '--short=12', 'HEAD')
  if (commit === undefined) return 'unknown'
  return git('status', '--porcelain', '--', 'src', 'native', 'bench', ':!bench/report.*') === '' ? commit : `${commit}+`
}

function libcNow(): string {
  const header = (process.report.getReport() as { header?: { glibcVersionRuntime?: string } }).header
  return header?.glibcVersionRuntime === undefined ? 'not glibc' : `glibc ${header.glibcVersionRuntime}`
}

function kernelNow(): string {
  try {
    return readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
  } catch {
    return release()
  }
}

/** `npx tsx bench/x.ts --small`, as a reader would type it. */
function commandNow(): string {
  const script = (process.argv[1] ?? '').replace(REPOSITORY, '')
  const args = process.argv.slice(2).map(argument => (/^[\w./=:,-]+$/.test(argument) ? argument : `'${argument}'`))
  if (script === MAIN) return ['npm run bench', ...args.length === 0 ? [] : ['--', ...args]].join(' ')
  return ['npx', 'tsx', script, ...args].join(' ')
}

export function environmentNow(): Environment {
  const [cpu] = cpus()
  return {
    commit: commitNow(),
    date: new Date().toISOString(),
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: kernelNow(),
    libc: libcNow(),
    node: process.version,
    v8: process.versions.v8,
    load: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    command: commandNow(),
  }
}

export function printEnvironment(environment: Environment): void {
  const { commit, date, cpu, cores, kernel, libc, node, load, command } = environment
  console.log(`$ ${command}`)
  console.log(`commit ${commit}, ${date}, ${cpu} (${cores} cores), Linux ${kernel}, ${libc}, Node ${node}, load ${load}`)
}

export interface Column {
  readonly title: string
  /** Default: right, the first column left. */
  readonly align?: 'left' | 'right' | undefined
}

export function printTable(title: string, columns: readonly Column[], rows: readonly (readonly string[])[]): void {
  const table = new Table({
    head: columns.map(column => column.title),
    colAligns: columns.map((column, i) => column.align ?? (i === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  })
  table.push(...rows.map(row => [...row]))
  console.log(`\n${title}\n${table.toString()}`)
}

/** Nanoseconds with three digits that matter, in the unit that a reader expects: `27.4 ns`, `3.51 us`, `290 us`, `1.2 s`. */
export function formatNs(ns: number): string {
  for (const [unit, size] of [['s', 1e9], ['ms', 1e6], ['us', 1e3]] as const) if (ns >= size) return `${threeDigits(ns / size)} ${unit}`
  return `${threeDigits(ns)} ns`
}

/** `1/481`, `0.85x`, `12.3x`, `5 430x` */
export function formatRatio(ratio: number): string {
  if (ratio < 0.1) return `1/${threeDigits(1 / ratio)}`
  return `${threeDigits(ratio)}x`
}

/** At least three digits; thousands are set apart. */
function threeDigits(value: number): string {
  if (!Number.isFinite(value)) return '-'
  const places = value >= 100 ? 0 : value >= 10 ? 1 : 2
  return value.toFixed(places).replace(/\B(?=(\d{3})+$)/, ' ')
}
