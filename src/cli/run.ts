/**
 * run.ts: `locktable run`: holds a lock while a command runs, like flock(1).
 *
 * WHERE IT DIFFERS FROM flock(1), and why
 *   The lock is this process's, not the command's. With flock(1) the command inherits the open file and with it the lock: if flock is
 *   killed with -9, the lock stays until the command, and everything it has left running, has ended. Here the lock passes on at once, as
 *   abandoned, although the command may still run; in return nothing that the command leaves behind keeps the lock.
 *   Signals are passed to the command; flock(1) dies of them and leaves the command alone (supervise.ts).
 *   A lock can be lost: evicted by an operator, or the table removed. See --on-loss.
 */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { LockAbortedError, LockTimeoutError, type LockHandle, type LockTable, type TableGuard } from '../index.js'
import { type TableOptions, addTableOptions, openOrMakeTable, parseName, parseSeconds, parseWhole, spaceOf } from './common.js'
import { EXIT, Refusal, UsageError, exitHelp } from './exit-codes.js'
import { complain, duration, visible } from './output.js'
import { Incoming, type Outcome, dieBy, superviseCommand } from './supervise.js'

interface RunOptions extends TableOptions {
  readonly shared?: boolean
  readonly exclusive?: boolean
  readonly timeout?: number
  readonly wait: boolean
  readonly nonblock?: boolean
  readonly conflictExitCode: number
  readonly space?: string
  readonly command?: string
  readonly onLoss: 'warn' | 'kill'
  readonly failAbandoned?: boolean
  readonly quiet?: boolean
  readonly verbose?: boolean
  readonly allowAnyFileSystem?: boolean
}

const HELP = `
The command finds in its environment:
  LOCKTABLE                the table's path: a locktable that it calls uses the
                           same one
  LOCKTABLE_EPOCH, LOCKTABLE_VERSION
                           a fencing token: the version rises with every
                           exclusive hold, the epoch is of this table alone
  LOCKTABLE_ABANDONED_PID  only if the name's last exclusive holder died before
                           it released it: its process id, 0 if unknown

Signals:
  SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGTSTP and SIGCONT are
  passed to the command. What the terminal itself sends to a foreground job
  (^C, ^\\, ^Z) reaches the command anyway and is not sent twice. While
  locktable waits for the lock, they end it. A signal that is ignored (nohup)
  is not for locktable to know: say locktable run NAME -- nohup CMD.

Killed with -9, locktable loses the lock, and the command runs on:
  The next holder gets it at once, marked as abandoned. (With flock(1) the
  command itself holds the lock, and so does all that it leaves running.)
  Where that matters, let the command die along:
    locktable run NAME -- setpriv --pdeathsig KILL CMD

If the lock is lost while the command runs:
  By locktable evict, or because the table was removed. It is said on stderr,
  with --on-loss=kill the command is ended (SIGTERM, after ten seconds
  SIGKILL), and the exit status is 76, whatever the command's is.

Two names may share a slot, and then a lock. A command that takes a second
lock should take it in another --space, of those that come later in the table.

Examples:
  locktable run vm/100 -- backup-one 100
  locktable run --shared --timeout 2.5 store -c 'du -s /backup | sort'
  locktable run --no-wait -E 75 nightly -- prune --keep 7
`

const EXITS = exitHelp({
  [EXIT.OK]: "the command's own status, whatever it is; if signal n ended it, locktable\n       ends by the same one, or with 128 + n where that would dump core",
  [EXIT.CONFLICT]: true, [EXIT.MISSING]: 'there is no directory for the table', [EXIT.COMMAND]: true, [EXIT.CREATE]: true, [EXIT.LOST]: true, [EXIT.ABANDONED]: true,
})

export function addRun(program: Command): void {
  addTableOptions(program.command('run'))
    .summary('hold a lock while a command runs, like flock(1)')
    .description('Takes the lock NAME, runs the command, releases the lock. Makes the table if there is none.')
    .usage('[options] <name> -- <command> [arguments…]\n       locktable run [options] <name> -c <text>')
    .argument('<name>', 'the lock, a string of at most 1024 characters', parseName)
    .argument('[command...]', 'the command and its arguments, behind --')
    .option('-s, --shared', 'a shared lock')
    .option('-x, --exclusive', 'an exclusive lock (the default)')
    .option('-w, --timeout <seconds>', 'give up after so long; fractions allowed, 0 tries once (default: no limit)', parseSeconds)
    .option('-n, --no-wait', 'give up at once')
    .addOption(new Option('--nonblock').hideHelp())
    .option('-E, --conflict-exit-code <number>', 'exit status when giving up', parseWhole(0, 255), EXIT.CONFLICT)
    .option('-c, --command <text>', 'run the text by /bin/sh')
    .option('--space <name>', "the lock's space (default: the table's first)")
    .addOption(new Option('--on-loss <what>', 'if the lock is lost while the command runs').choices(['warn', 'kill']).default('warn'))
    .option('--fail-abandoned', 'do not run if the last holder died, until a run without this option did')
    .option('-q, --quiet', 'do not say that the last holder died')
    .option('--verbose', 'say how long it took to get the lock')
    .option('--allow-any-file-system', 'make a missing table also where it is not in memory')
    .addHelpText('after', HELP + EXITS)
    .passThroughOptions()
    .action(async (name: string, words: string[], _options: RunOptions, command: Command) => {
      const options = command.optsWithGlobals<RunOptions>()
      const outcome = await run(name, commandLine(words, options), options)
      if (outcome.signal !== undefined) dieBy(outcome.signal)
      process.exitCode = outcome.status
    })
}

/** `-- CMD …`, or `-c TEXT` before or behind the name, as flock(1) has it. */
function commandLine(words: readonly string[], options: RunOptions): readonly [file: string, ...args: string[]] {
  const [first, ...rest] = words[0] === '--' ? words.slice(1) : words
  if (options.command !== undefined) {
    if (first !== undefined) throw new UsageError('either -c or a command, not both')
    return ['/bin/sh', '-c', options.command]
  }
  if (first === undefined) throw new UsageError('missing the command to run')
  if (words[0] !== '--' && (first === '-c' || first === '--command')) {
    const [text, ...more] = rest
    if (text === undefined || more.length > 0) throw new UsageError(`${first} takes exactly one argument`)
    return ['/bin/sh', '-c', text]
  }
  return [first, ...rest]
}

async function run(name: string, argv: readonly [string, ...string[]], options: RunOptions): Promise<Outcome> {
  if (options.shared && options.exclusive) throw new UsageError('either --shared or --exclusive, not both')
  const incoming = new Incoming()
  const table = await openOrMakeTable(options, { label: `run ${name}` })
  try {
    const began = performance.now()
    const guard = await acquire(spaceOf(table, options.space).handle(name), options, incoming)
    if (guard === 'conflict') {
      if (options.verbose) complain(`${visible(name)}: failed to get the lock`)
      return { status: options.conflictExitCode }
    }
    if (guard === 'interrupted' || incoming.first !== undefined) return { status: EXIT.CONFLICT, signal: incoming.first }
    if (options.verbose) complain(`${visible(name)}: got the lock after ${duration(performance.now() - began)}`)
    tellAbandoned(name, guard, options)
    return await runHolding(argv, guard, table, options, incoming)
  } finally {
    await table.close() // a guard that was not released stays abandoned: what --fail-abandoned wants
    incoming.ignore()
  }
}

async function runHolding(argv: readonly [string, ...string[]], guard: TableGuard, table: LockTable, options: RunOptions, incoming: Incoming): Promise<Outcome> {
  const environment: NodeJS.ProcessEnv = {
    ...process.env, LOCKTABLE: resolve(table.path), LOCKTABLE_EPOCH: table.epoch.toString(), LOCKTABLE_VERSION: guard.version.toString(),
  }
  delete environment['LOCKTABLE_ABANDONED_PID'] // of a locktable around us
  if (guard.abandoned !== undefined) environment['LOCKTABLE_ABANDONED_PID'] = String(guard.abandoned.pid ?? 0)
  const outcome = await superviseCommand(argv, environment, incoming, guard.signal, options.onLoss)
  if (guard.release()) return outcome
  complain(`${visible(String(guard.name))}: the lock was lost before the command ended (${outcome.signal ?? `status ${outcome.status}`})`)
  return { status: EXIT.LOST }
}

async function acquire(handle: LockHandle, options: RunOptions, incoming: Incoming): Promise<TableGuard | 'conflict' | 'interrupted'> {
  const mode = options.shared ? 'shared' as const : 'exclusive' as const
  if (!options.wait || options.nonblock) return handle.tryLock({ mode }) ?? 'conflict'
  try {
    return await handle.lock({ mode, timeoutMs: options.timeout, signal: incoming.signal })
  } catch (error) {
    if (error instanceof LockTimeoutError) return 'conflict'
    if (error instanceof LockAbortedError) return 'interrupted'
    throw error
  }
}

function tellAbandoned(name: string, guard: TableGuard, options: RunOptions): void {
  if (guard.abandoned === undefined) return
  const text = `${visible(name)}: its last holder died${guard.abandoned.pid === undefined ? '' : ` (pid ${guard.abandoned.pid})`}`
  if (options.failAbandoned) throw new Refusal(`${text}; not run`, EXIT.ABANDONED)
  if (!options.quiet) complain(text)
}
