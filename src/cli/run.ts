/**
 * run.ts: `locktable run`: holds a lock while a command runs, like flock(1).
 *
 * Unlike with flock(1) the lock is this process's, not the command's: if this process is killed with -9, the lock passes on (as abandoned)
 * although the command may still run. A command whose lock must outlive its launcher should link the library instead.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { Command } from 'commander'
import { LockTimeoutError, type TableGuard } from '../index.js'
import { type GlobalOptions, openTable, parseSeconds, parseWhole } from './common.js'
import { EXIT } from './exit-codes.js'
import { complain, duration } from './output.js'

interface RunOptions {
  readonly shared?: boolean
  readonly timeout?: number
  readonly wait: boolean
  readonly conflictExitCode: number
  readonly space?: string
  readonly command?: string
  readonly verbose?: boolean
}

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGWINCH'] as const

export function addRun(program: Command): void {
  program.command('run')
    .summary('hold a lock while a command runs, like flock(1)')
    .description('Takes the lock NAME, runs the command, releases the lock. Signals go to the command, its exit status comes back.')
    .argument('<name>', 'the lock, a string')
    .argument('[command...]', 'the command and its arguments, behind --')
    .option('-s, --shared', 'a shared lock (default: exclusive)')
    .option('-w, --timeout <seconds>', 'give up after so long; fractions allowed', parseSeconds)
    .option('-n, --no-wait', 'give up at once')
    .option('-E, --conflict-exit-code <number>', 'exit status when giving up', parseWhole(0, 255), EXIT.CONFLICT)
    .option('-c, --command <text>', 'run the text by /bin/sh instead of a command')
    .option('--space <name>', "the lock's space (default: the table's first)")
    .option('--verbose', 'say how long it took to get the lock')
    .addHelpText('after', `
The command finds LOCKTABLE_VERSION and LOCKTABLE_EPOCH (a fencing token) in its environment, and LOCKTABLE_ABANDONED_PID if the lock's
last holder died. If this process is killed with -9, the lock passes on although the command may still run.

Examples:
  locktable run vm/100 -- backup-one 100
  locktable run --shared --timeout 2.5 datastore -c 'du -s /backup'
`)
    .passThroughOptions()
    .action(async (name: string, words: string[], options: RunOptions, command: Command) => {
      process.exitCode = await run(name, words, options, command.optsWithGlobals<GlobalOptions>().table, command)
    })
}

async function run(name: string, words: readonly string[], options: RunOptions, path: string, command: Command): Promise<number> {
  const { file, args } = commandLine(words, options, command)
  const table = await openTable(path, { label: `run ${name}` })
  try {
    const began = performance.now()
    const guard = await acquire(options.space === undefined ? table.spaces[0]?.handle(name) : table.space(options.space).handle(name), options)
    if (guard === undefined) {
      if (options.verbose) complain(`${name}: failed to get the lock`)
      return options.conflictExitCode
    }
    if (options.verbose) complain(`${name}: got the lock after ${duration(performance.now() - began)}`)
    if (guard.abandoned !== undefined) complain(`${name}: its last holder died (pid ${guard.abandoned.pid ?? 'unknown'})`)
    const status = await supervise(file, args, guard, table.epoch)
    const kept = guard.release()
    return !kept && status === EXIT.OK ? EXIT.LOST : status
  } finally {
    await table.close()
  }
}

/** What is behind NAME: `-- CMD ARG…`, `CMD ARG…`, or, as with flock(1), `-c TEXT`. */
function commandLine(words: readonly string[], options: RunOptions, command: Command): { file: string; args: readonly string[] } {
  const text = options.command ?? (words[0] === '-c' && words.length === 2 ? words[1] : undefined)
  if (text !== undefined && options.command !== undefined && words.length > 0) {
    command.error('error: either -c or a command, not both', { exitCode: EXIT.USAGE })
  }
  if (text !== undefined) return { file: '/bin/sh', args: ['-c', text] }
  const [file, ...args] = words[0] === '--' ? words.slice(1) : words
  if (file === undefined) command.error('error: missing the command to run', { exitCode: EXIT.USAGE })
  return { file, args }
}

async function acquire(
  handle: { tryLock(o: object): TableGuard | undefined; lock(o: object): Promise<TableGuard> } | undefined, options: RunOptions,
): Promise<TableGuard | undefined> {
  const mode = options.shared ? 'shared' as const : 'exclusive' as const
  if (!options.wait) return handle?.tryLock({ mode })
  try {
    return await handle?.lock({ mode, timeoutMs: options.timeout })
  } catch (error) {
    if (error instanceof LockTimeoutError) return undefined
    throw error
  }
}

/** Runs the command to its end. @returns the exit status to pass on */
function supervise(file: string, args: readonly string[], guard: TableGuard, epoch: bigint): Promise<number> {
  return new Promise(resolve => {
    const abandoned = guard.abandoned === undefined ? {} : { LOCKTABLE_ABANDONED_PID: String(guard.abandoned.pid ?? 0) }
    const child = spawn(file, args, {
      stdio: 'inherit',
      env: { ...process.env, LOCKTABLE_VERSION: guard.version.toString(), LOCKTABLE_EPOCH: epoch.toString(), ...abandoned },
    })
    const forward = (signal: NodeJS.Signals): void => {
      child.kill(signal)
    }
    for (const signal of FORWARDED) process.on(signal, forward)
    guard.signal.addEventListener('abort', () => {
      complain(`the lock was lost while the command runs: ${(guard.signal.reason as Error).message}`)
    })
    const settle = (status: number): void => {
      for (const signal of FORWARDED) process.off(signal, forward)
      resolve(status)
    }
    child.on('error', error => {
      complain(`cannot run ${file}: ${error.message}`)
      settle(EXIT.COMMAND)
    })
    child.on('exit', (code, signal) => {
      settle(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
    })
  })
}
