/**
 * supervise.ts: a child that gets our signals, and whose end becomes ours.
 *
 * TERMINAL  ^C, ^\ and ^Z go to every process of the foreground job, so to the command too. As node does not tell who sent a signal,
 * SIGINT, SIGQUIT and SIGTSTP are passed on only while our job is not in the foreground of a terminal: a `kill -INT` of locktable alone,
 * in the foreground, does not reach the command. SIGTERM always does.
 *
 * STATUS  A command that a signal ended ends us by the same signal, so that a shell's loop stops at ^C. Not by those that dump core: there
 * would be a second core, of node; there it is 128 + n, which is what `$?` shows in either case.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { EXIT } from './exit-codes.js'
import { complain } from './output.js'

export interface Outcome {
  readonly status: number
  /** To end by, instead of the status. */
  readonly signal?: NodeJS.Signals | undefined
}

const ENDING = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGTSTP']
const CORE: readonly NodeJS.Signals[] = ['SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV', 'SIGXCPU', 'SIGXFSZ', 'SIGSYS']
const PATIENCE_MS = 10_000

/** The signals that come in: until there is a command they end the wait, then they are for the command. */
export class Incoming {
  readonly #abort = new AbortController()
  #receive: ((signal: NodeJS.Signals) => void) | undefined
  /** The first one that came while there was no command. */
  first: NodeJS.Signals | undefined

  constructor() {
    for (const signal of ENDING) process.on(signal, this.#onSignal)
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (this.#receive !== undefined) {
      this.#receive(signal)
      return
    }
    this.first ??= signal
    this.#abort.abort()
  }

  /** Aborts at the first signal. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** From now on they go to `receive`, and stopping and continuing too. */
  hand(receive: (signal: NodeJS.Signals) => void): void {
    this.#receive = receive
    process.on('SIGTSTP', this.#onSignal)
    process.on('SIGCONT', this.#onSignal)
  }

  /** Stops as if nobody had asked to be told: where the kernel refuses (no shell is there to continue us), the command is not stopped either. */
  stop(): void {
    process.off('SIGTSTP', this.#onSignal)
    process.kill(process.pid, 'SIGTSTP')
    process.on('SIGTSTP', this.#onSignal)
  }

  /** Back to what they do by themselves. */
  ignore(): void {
    for (const signal of [...ENDING, 'SIGTSTP', 'SIGCONT'] as const) process.off(signal, this.#onSignal)
  }
}

/** Runs the command to its end. */
export function superviseCommand(
  [file, ...args]: readonly [string, ...string[]], env: NodeJS.ProcessEnv, incoming: Incoming, lost: AbortSignal, onLoss: 'warn' | 'kill',
): Promise<Outcome> {
  return new Promise(resolve => {
    // First the handlers: a SIGTSTP between the two would stop us alone. They run from the event loop, so when there is a child.
    incoming.hand(signal => {
      if (!FROM_TERMINAL.includes(signal) || !isForeground()) child.kill(signal)
      if (signal === 'SIGTSTP') incoming.stop()
    })
    const child = spawn(file, args, { stdio: 'inherit', env })
    let impatience: NodeJS.Timeout | undefined
    const onLost = (): void => {
      complain(`${(lost.reason as Error).message}: the lock is lost, and the command ${onLoss === 'kill' ? 'is told to end' : 'still runs'}`)
      if (onLoss !== 'kill') return
      child.kill('SIGTERM')
      impatience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
    }
    const settle = (outcome: Outcome): void => {
      clearTimeout(impatience)
      lost.removeEventListener('abort', onLost)
      resolve(outcome)
    }
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return // a signal could not be sent; its end will tell
      complain(`cannot run ${file}: ${error.code === 'ENOENT' ? 'no such command' : error.message}`)
      settle({ status: EXIT.COMMAND })
    })
    child.once('exit', (code, signal) => {
      settle({ status: code ?? EXIT.SOFTWARE, signal: signal ?? undefined })
    })
    if (lost.aborted) onLost()
    else lost.addEventListener('abort', onLost)
  })
}

/** Is our job the one that the terminal's keys go to? */
function isForeground(): boolean {
  // "pid (command) state ppid pgrp session tty tpgid …"; the command may have blanks and parentheses.
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return group === foreground
}

/** Ends this process by the signal; by 128 + n if that would dump core, or does not end it (SIGPIPE, which node ignores). */
export function dieBy(signal: NodeJS.Signals): never {
  if (!CORE.includes(signal)) process.kill(process.pid, signal)
  process.exit(128 + constants.signals[signal])
}
