/** What the tests of the addon share: a table file, participants in this process, and participants in others. */
import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach } from 'vitest'
import { ringAll, ringBell } from '../../src/lock/doorbell.js'
import {
  HEADER, LIFE, LIFE_STATUS_MASK, PARTICIPANT, WORD_BYTES, fileWords, participantWord,
} from '../../src/lock/layout.js'
import { type NativeRegion, loadNative } from '../../src/lock/native.js'
import { Cleanups } from '../support/cleanups.js'
import { until } from '../support/until.js'

export { until }

export const TABLE_BYTES = fileWords([]) * WORD_BYTES
export const FUTEX_OWNER_DIED = 0x40000000
export const FUTEX_WAITERS = 0x80000000
const FIXTURE = fileURLToPath(new URL('fixtures/participant.mjs', import.meta.url))

const cleanups = new Cleanups(afterEach)
/** Runs an action after the test, the latest first. */
export const after = cleanups.add
export const { temporaryDirectory } = cleanups

/** A named, empty table file. */
export function makeTable(): string {
  const path = join(temporaryDirectory(), 'table')
  const region = loadNative().createUnnamed(join(path, '..'), TABLE_BYTES, 0o600)
  region.link(path)
  region.close()
  return path
}

/** A region of this process, with or without a participant. */
export class Opener {
  readonly region: NativeRegion
  readonly buffer: ArrayBuffer
  readonly words: Int32Array
  rings = 0
  /** Called at each ring. */
  onRing: () => void = () => undefined

  constructor(path: string) {
    this.region = loadNative().open(path)
    this.buffer = this.region.map(TABLE_BYTES)
    this.words = new Int32Array(this.buffer)
    after(() => {
      this.region.close()
    })
  }

  join(number: number): this {
    if (!this.region.lockByte(number, true)) throw new Error(`byte ${number} is held`)
    this.region.startSentinel(number, () => {
      this.rings++
      this.onRing()
    })
    this.setLife(number, LIFE.LIVE)
    Atomics.add(this.words, HEADER.ROSTER, 1)
    ringAll(this.words, number, (other, sleepers) => {
      this.region.wake(other, sleepers)
    })
    return this
  }

  ring(number: number): void {
    ringBell(this.words, number, (other, sleepers) => {
      this.region.wake(other, sleepers)
    })
  }

  word(number: number, offset: number): number {
    return Atomics.load(this.words, participantWord(number) + offset)
  }

  setWord(number: number, offset: number, value: number): void {
    Atomics.store(this.words, participantWord(number) + offset, value)
  }

  setLife(number: number, status: number, generation = 1): void {
    this.setWord(number, PARTICIPANT.LIFE, (generation << 16) | status)
  }

  status(number: number): number {
    return this.word(number, PARTICIPANT.LIFE) & LIFE_STATUS_MASK
  }

  /** One ring of our own, there and back: the sentinel has been round its loop. */
  async roundTrip(number: number): Promise<void> {
    const before = this.rings
    this.ring(number)
    await until(() => this.rings > before)
  }
}

interface Message {
  readonly event: 'joined' | 'ring' | 'done'
  readonly value?: number | undefined
}

/** A participant in a process or worker thread of its own (fixtures/participant.mjs). */
export class Peer {
  rings = 0
  joined = false
  exited = false
  /** Exit code; null after a signal. */
  exitCode: number | null | undefined
  #done: ((value: number | undefined) => void) | undefined
  #complaints = ''

  private constructor(readonly subject: ChildProcess | Worker) {
    subject.on('message', (message: unknown) => {
      const { event, value } = message as Message
      if (event === 'joined') this.joined = true
      if (event === 'ring') this.rings++
      if (event === 'done') this.#done?.(value)
    })
    subject.stderr?.on('data', chunk => {
      this.#complaints += String(chunk)
    })
    subject.on('exit', (code: number | null) => {
      this.exited = true
      this.exitCode = code
    })
  }

  static async process(path: string, number: number, environment: NodeJS.ProcessEnv = {}): Promise<Peer> {
    const child = fork(FIXTURE, [path, String(number)], { execArgv: [], silent: true, env: { ...process.env, ...environment } })
    after(() => child.kill('SIGKILL'))
    return Peer.#joined(new Peer(child))
  }

  static async worker(path: string, number: number): Promise<Peer> {
    const worker = new Worker(FIXTURE, { workerData: [path, number], execArgv: [], stderr: true })
    after(() => worker.terminate())
    return Peer.#joined(new Peer(worker))
  }

  static async #joined(peer: Peer): Promise<Peer> {
    await until(() => peer.joined || peer.exited)
    if (!peer.joined) throw new Error(`the participant ended before it joined: ${peer.#complaints}`)
    return peer
  }

  post(command: string, argument: object = {}): void {
    const message = { command, ...argument }
    if (this.subject instanceof Worker) this.subject.postMessage(message)
    else this.subject.send(message)
  }

  /** @returns what the command returned, once it was carried out */
  async order(command: string, argument: object = {}): Promise<number | undefined> {
    return new Promise(resolve => {
      this.#done = resolve
      this.post(command, argument)
    })
  }

  signal(name: NodeJS.Signals): void {
    if (!(this.subject instanceof Worker)) this.subject.kill(name)
  }
}

/** The threads of this process that are sentinels. */
export function sentinelThreads(): number {
  return readdirSync('/proc/self/task').filter(task => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'latin1') === 'locktable\n'
    } catch {
      return false // ended meanwhile
    }
  }).length
}

/** Mappings of a file in this process. */
export function mappingsOf(path: string): number {
  return readFileSync('/proc/self/maps', 'latin1').split('\n').filter(line => line.endsWith(` ${path}`)).length
}

/** Open descriptors of this process. */
export function descriptorCount(): number {
  return readdirSync('/proc/self/fd').length
}
