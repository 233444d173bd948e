/** Processes and threads that run a scenario of steps-worker.mjs and come to their end in it. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { processState } from '../support/process-state.js'
import { until } from '../support/until.js'

const WORKER = fileURLToPath(new URL('./steps-worker.mjs', import.meta.url))

export interface Victim {
  /** What it has said so far. */
  readonly words: readonly string[]
  /** Its exit status, or the signal that ended it. */
  readonly ended: Promise<string>
  readonly hasEnded: boolean
  readonly pid: number
  /** Resolves when it has said the word, or has ended. */
  says(word: string): Promise<void>
  tell(text: string): void
}

export class ProcessVictim implements Victim {
  readonly ended: Promise<string>
  hasEnded = false
  readonly #child: ChildProcessWithoutNullStreams
  #said = ''

  constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, [WORKER, ...args])
    for (const stream of [this.#child.stdout, this.#child.stderr]) stream.on('data', (data: Buffer) => { this.#said += data.toString() })
    this.#child.stdin.on('error', () => undefined)
    this.ended = new Promise(resolve => {
      this.#child.on('close', (code, signal) => {
        this.hasEnded = true
        resolve(signal ?? String(code))
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get words(): string[] {
    return this.#said.split('\n').filter(word => word !== '')
  }

  async says(word: string): Promise<void> {
    await until(() => this.hasEnded || this.words.includes(word))
  }

  tell(text: string): void {
    this.#child.stdin.write(`${text}\n`)
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** Waits for a stop. False: it has ended. */
  async isStopped(): Promise<boolean> {
    await until(() => this.hasEnded || processState(this.pid) === 'T')
    return !this.hasEnded
  }
}

/** Terminated where it says that it is there. */
export class ThreadVictim implements Victim {
  readonly words: string[] = []
  readonly ended: Promise<string>
  readonly pid = process.pid
  hasEnded = false
  readonly #worker: Worker

  constructor(args: readonly string[]) {
    this.#worker = new Worker(WORKER, { workerData: args, execArgv: [] })
    this.#worker.on('message', (word: string) => {
      this.words.push(word)
      if (word === 'here') void this.#worker.terminate()
    })
    this.ended = new Promise((resolve, reject) => {
      this.#worker.on('error', reject)
      this.#worker.on('exit', code => {
        this.hasEnded = true
        resolve(String(code))
      })
    })
  }

  async says(word: string): Promise<void> {
    await until(() => this.hasEnded || this.words.includes(word))
  }

  tell(text: string): void {
    this.#worker.postMessage(text)
  }
}
