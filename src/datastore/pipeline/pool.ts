/**
 * pool.ts: threads that do jobs. A thread has up to two at a time, so that it need not wait for the main thread between them. Another one begins when
 * all are busy and there is a processor for it. The first one begins where there is a second processor for it, or with the first job that takes longer
 * than to list some directories: these are listed in the main thread until then, since to begin a thread takes as long as to list some thousand files,
 * and where there is one processor nothing is listed sooner for it. An unchanged backup beside others often ends without a thread.
 */
import { availableParallelism } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { checkInteger, checkOptions } from '../../check.js'
import { inPackage } from '../../package-root.js'
import { list, type ListJob, type ListResult } from '../tree/list.js'
import type { Job, Results } from './jobs.js'
import { Processors } from './processors.js'
import { SlabMemory } from './slabs.js'
import { type PackedError, unpackError } from './thread-errors.js'

const JOBS_PER_THREAD = 2
/** More are of no use beside one main thread, and each has some 30 MiB of its own. */
const MAX_THREADS = 32

export interface WorkerPoolOptions {
  /** 1 … 32: so many, whatever others do. Default: up to the number of processors that others leave to us. */
  readonly threads?: number | undefined
}

interface Request {
  readonly job: Job
  readonly resolve: (result: never) => void
  readonly reject: (error: unknown) => void
}

interface Thread {
  readonly worker: Worker
  /** In the order in which the thread will answer. */
  readonly requests: Request[]
}

export class WorkerPool {
  readonly #maxThreads: number
  readonly #isFixed: boolean
  readonly #processors: { readonly count: number }
  /** Of the streams that the threads work on, one after the other. */
  readonly memory = new SlabMemory()
  readonly #threads: Thread[] = []
  readonly #waiting: Request[] = []
  #failure: Error | undefined

  constructor(options: WorkerPoolOptions = {}) {
    checkOptions(options, ['threads'], 'options')
    const { threads } = options
    this.#maxThreads = threads === undefined ? Math.min(availableParallelism(), MAX_THREADS) : checkInteger(threads, 'options.threads', 1, MAX_THREADS)
    this.#isFixed = threads !== undefined
    this.#processors = threads === undefined ? new Processors() : { count: threads }
  }

  /** Threads that there are, or may be now. It can rise at any time: ask again. */
  get threadCount(): number {
    return Math.max(this.#threads.length, Math.min(this.#processors.count, this.#maxThreads))
  }

  /** Does a job in some thread, in turn; or a list here, in a later turn of the event loop, which it holds for some 20 ms. The event loop is kept alive until it is done. */
  run<K extends Job['kind']>(job: Job & { readonly kind: K }): Promise<Results[K]> {
    const known: Job = job // TypeScript narrows no type parameter
    if (known.kind === 'list' && this.#threads.length === 0 && !this.#hasRoom) return this.#listHere(known) as Promise<never>
    return new Promise<Results[K]>((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure
      // Whoever packs waits for what is listed: what is listed is short, and does not wait behind what is packed.
      if (job.kind === 'list') this.#waiting.unshift({ job, resolve, reject })
      else this.#waiting.push({ job, resolve, reject })
      this.#assign()
    })
  }

  /** For who will have jobs in a moment: the first thread begins now, if it can have a processor of its own. */
  begin(): void {
    if (this.#threads.length === 0 && this.#failure === undefined && this.#hasRoom) this.#start()
  }

  /** For a thread beside the main one; or that is the number which was asked for. */
  get #hasRoom(): boolean {
    return this.#isFixed || this.threadCount > 1
  }

  async #listHere(job: ListJob): Promise<ListResult> {
    await nextTurn()
    if (this.#failure !== undefined) throw this.#failure
    return list(job)
  }

  /** No job is taken any more: a thread has ended, or the pool is closed. */
  get hasFailed(): boolean {
    return this.#failure !== undefined
  }

  /** Ends the threads; what they have not done is rejected. Idempotent. */
  async close(): Promise<void> {
    this.#fail(new Error('the pool is closed'))
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      const thread = this.#freest()
      if (thread === undefined) return
      const request = this.#waiting.shift()!
      if (thread.requests.push(request) === 1) thread.worker.ref()
      try {
        thread.worker.postMessage(request.job)
      } catch (error) {
        thread.requests.pop()
        request.reject(error)
      }
    }
  }

  #freest(): Thread | undefined {
    const idle = this.#threads.find(({ requests }) => requests.length === 0)
    if (idle !== undefined) return idle
    if (this.#threads.length < this.threadCount) return this.#start()
    return this.#threads.find(({ requests }) => requests.length < JOBS_PER_THREAD)
  }

  #start(): Thread {
    const thread: Thread = { worker: new Worker(inPackage('dist/datastore-worker.cjs'), { name: 'locktable chunks' }), requests: [] }
    thread.worker.on('message', ({ result, error }: { result?: never; error?: PackedError }) => {
      const request = thread.requests.shift()
      if (thread.requests.length === 0) thread.worker.unref()
      this.#assign()
      if (error === undefined) request?.resolve(result as never)
      else request?.reject(unpackError(error))
    })
    thread.worker.on('error', error => this.#fail(error instanceof Error ? error : new Error(String(error))))
    thread.worker.on('exit', () => this.#fail(new Error('a thread of the pool ended')))
    thread.worker.unref() // it has no job yet
    this.#threads.push(thread)
    return thread
  }

  #fail(error: Error): void {
    this.#failure ??= error
    const requests = [...this.#threads.flatMap(thread => thread.requests.splice(0)), ...this.#waiting.splice(0)]
    for (const { reject } of requests) reject(this.#failure)
  }
}
