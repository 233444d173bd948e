/** What the tests of the table share: a place on tmpfs, openings that close themselves, processes that do as they are told. */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach } from 'vitest'
import { LockError, LockTable, type OpenOptions } from '../../src/index.js'

const cleanups: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (let cleanup = cleanups.pop(); cleanup !== undefined; cleanup = cleanups.pop()) await cleanup()
})

/** Runs `action` after the test, the latest first. */
export function cleanUp(action: () => Promise<void> | void): void {
  cleanups.push(action)
}

/** A directory on tmpfs that is removed after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync('/dev/shm/locktable-test-')
  cleanups.push(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}

export function temporaryTable(): string {
  return join(temporaryDirectory(), 'locks')
}

/** An opening that is closed after the test. */
export async function open(path = temporaryTable(), options: OpenOptions = {}): Promise<LockTable> {
  const table = await LockTable.open(path, options)
  cleanups.push(() => table.close())
  return table
}

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, 1))
}

/** The code of the LockError that `action` throws or rejects with. */
export async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action()
    return 'no error'
  } catch (error) {
    return error instanceof LockError ? error.code : `${(error as Error).name}: ${(error as Error).message}`
  }
}

export interface Order {
  readonly verb: 'lock' | 'try' | 'sync' | 'release' | 'upgrade' | 'downgrade' | 'close' | 'exit' | 'throw' | 'evicted' | 'query' | 'steal' | 'request' | 'hold-request'
  readonly name?: string
  readonly mode?: 'exclusive' | 'shared'
  readonly timeoutMs?: number
}

/** Another process with the table open: it answers each order with a text. */
export class Peer {
  readonly process: ChildProcess
  readonly exited: Promise<number | string>
  readonly #answers: string[] = []

  private constructor(path: string) {
    this.process = fork(fileURLToPath(new URL('./fixtures/table-child.ts', import.meta.url)), [path], { execArgv: ['--import', 'tsx'] })
    this.process.on('message', (answer: string) => this.#answers.push(answer))
    this.exited = new Promise(resolve => this.process.once('exit', (code, signal) => {
      resolve(code ?? signal ?? 'unknown')
    }))
    cleanups.push(async () => {
      this.process.kill('SIGCONT')
      this.process.kill('SIGKILL')
      await this.exited
    })
  }

  static async start(path: string): Promise<Peer> {
    const peer = new Peer(path)
    await peer.answer()
    return peer
  }

  get pid(): number {
    return this.process.pid ?? 0
  }

  /** Gives an order without waiting for what comes of it. */
  tell(order: Order): void {
    this.process.send(order)
  }

  get hasAnswered(): boolean {
    return this.#answers.length > 0
  }

  async answer(): Promise<string> {
    await until(() => this.hasAnswered || this.process.exitCode !== null || this.process.signalCode !== null)
    return this.#answers.shift() ?? `ended with ${await this.exited}`
  }

  async ask(order: Order): Promise<string> {
    this.tell(order)
    return await this.answer()
  }

  async die(): Promise<void> {
    await this.kill()
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.exited
  }
}
