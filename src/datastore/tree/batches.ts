/**
 * batches.ts: files on their way to the threads that write them. Contents are copied into shared memory; when a slab is full, its files
 * are one job. A file that does not fit into one slab is made by the job that has its beginning, and its other jobs wait for that one.
 */
import type { WorkerPool } from '../pipeline/pool.js'
import { type Slab, SlabPool } from '../pipeline/slabs.js'
import type { Attributes, FileToWrite } from './write.js'

const SLAB_BYTES = 4 * 2 ** 20
/** So many empty or small files make a job, however little they have. */
const MAX_FILES = 256

interface OpenFile {
  write(bytes: Uint8Array, offset: number): Promise<void>
  /** `incomplete`: parts of it are written by several jobs, and its attributes are still to be set. */
  end(): 'complete' | 'incomplete'
}

export class FileBatches {
  readonly #pool: WorkerPool
  readonly #slabs: SlabPool
  readonly #jobs = new Set<Promise<void>>()
  #slab: Slab | undefined
  /** Of the slab: to make one for each file takes longer than to copy most files. */
  #bytes: Uint8Array = Buffer.alloc(0)
  #used = 0
  #files: FileToWrite[] = []
  /** What the files of the batch wait for: the job that makes the one that continues in it. */
  #after: Promise<void> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined

  constructor(pool: WorkerPool) {
    this.#pool = pool
    this.#slabs = new SlabPool(2 * pool.threadCount + 2, SLAB_BYTES)
  }

  async begin(path: string, size: number, attributes: Attributes): Promise<OpenFile> {
    if (this.#files.length >= MAX_FILES) void this.#send()
    let create: number | undefined = size
    let pieces: { from: number; to: number; offset: number }[] = []
    let isWhole = true
    const cut = (attributesNow: Attributes | undefined): void => {
      this.#files.push({ path, create, pieces, attributes: attributesNow })
      create = undefined
      pieces = []
    }
    return {
      write: async (bytes, offset) => {
        for (let at = 0; at < bytes.length; ) {
          if (this.#used === SLAB_BYTES) {
            isWhole = false
            const isFirst = create !== undefined
            cut(undefined)
            const sent = this.#send()
            if (isFirst) this.#after = sent
          }
          if (this.#slab === undefined) await this.#acquire()
          if (this.#failure !== undefined) throw this.#failure.error
          const count = Math.min(bytes.length - at, SLAB_BYTES - this.#used)
          this.#bytes.set(count === bytes.length ? bytes : bytes.subarray(at, at + count), this.#used)
          pieces.push({ from: this.#used, to: this.#used + count, offset: offset + at })
          this.#used += count
          at += count
        }
      },
      end: () => {
        cut(isWhole ? attributes : undefined)
        return isWhole ? 'complete' : 'incomplete'
      },
    }
  }

  async #acquire(): Promise<void> {
    this.#slab = await this.#slabs.acquire()
    this.#bytes = this.#slab.bytes(0, SLAB_BYTES)
  }

  /** Waits until everything is written. */
  async flush(): Promise<void> {
    void this.#send()
    await Promise.all(this.#jobs)
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #send(): Promise<void> {
    const slab = this.#slab
    const files = this.#files
    this.#slab = undefined
    this.#used = 0
    this.#files = []
    if (files.length === 0) {
      slab?.release()
      return Promise.resolve()
    }
    const job = this.#run(files, slab, this.#after)
    this.#jobs.add(job)
    void job.then(() => this.#jobs.delete(job))
    return job
  }

  /** Never rejects: the failure is for the next who asks. */
  async #run(files: readonly FileToWrite[], slab: Slab | undefined, after: Promise<void>): Promise<void> {
    try {
      if (files[0]!.create === undefined) await after
      await this.#pool.run({ kind: 'write', buffer: slab?.buffer ?? EMPTY, files })
    } catch (error) {
      this.#failure ??= { error }
    } finally {
      slab?.release()
    }
  }
}

const EMPTY = new SharedArrayBuffer(0)
