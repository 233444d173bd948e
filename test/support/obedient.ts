/** Another process that does as it is told: it says "ready", and answers each order with a text. */
import { type ChildProcess, fork, type ForkOptions } from 'node:child_process'
import { until } from './until.js'

export class ObedientProcess<Order extends object> {
  readonly process: ChildProcess
  readonly exited: Promise<number | string>
  readonly #answers: string[] = []

  protected constructor(script: string, args: readonly string[], options: ForkOptions = {}) {
    this.process = fork(script, args, options)
    this.process.on('message', (answer: string) => this.#answers.push(answer))
    this.exited = new Promise(resolve => this.process.once('exit', (code, signal) => {
      resolve(code ?? signal ?? 'unknown')
    }))
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

  /** Whatever it is doing, or has been stopped at. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.exited
  }
}
