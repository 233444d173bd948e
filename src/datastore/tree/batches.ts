/**
 * batches.ts: files on their way to the threads that write them. Contents stay where the threads have put them when they unpacked the
 * chunks; a job says which files are made of which bytes. Small files go many to a job. A file that is in several chunks, or that has
 * holes, is opened here, its pieces are written by any thread in any order, and it gets its attributes when the last one is written.
 */
import { closeSync } from 'node:fs'
import type { WorkerPool } from '../pipeline/pool.js'
import type { Slab } from '../pipeline/slabs.js'
import { type Attributes, createFile, type Natural, setAttributes, setLength, type WriteJob } from './write.js'

/** Enough that a job is worth the message, few enough that all threads have something to do. */
const JOB_BYTES = 2 ** 20
const JOB_FILES = 128

/** A file that is opened here. */
class OpenFile {
  readonly fd: number
  readonly #attributes: Attributes
  #jobs = 0
  #isEnded = false

  constructor(path: string, length: number | undefined, attributes: Attributes) {
    this.#attributes = attributes
    this.fd = createFile(path)
    if (length !== undefined) setLength(this.fd, length)
  }

  enter(): void {
    this.#jobs++
  }

  leave(): void {
    this.#jobs--
    this.#closeIfDone()
  }

  /** There are no more pieces. */
  end(): void {
    this.#isEnded = true
    this.#closeIfDone()
  }

  #closeIfDone(): void {
    if (!this.#isEnded || this.#jobs > 0) return
    const { mode, owner, time } = this.#attributes
    try {
      setAttributes(this.fd, mode, owner?.uid ?? -1, owner?.gid ?? -1, time.seconds, time.nanoseconds)
    } finally {
      closeSync(this.fd)
    }
  }
}

class Batch {
  readonly names: string[] = []
  readonly files: number[] = []
  readonly pieces: number[] = []
  readonly open = new Set<OpenFile>()
  bytes = 0
}

export class FileBatches {
  readonly #pool: WorkerPool
  readonly #root: string
  readonly #natural: Natural
  readonly #jobs = new Set<Promise<void>>()
  #slab: Slab | undefined
  #batch = new Batch()
  #file: OpenFile | undefined
  #failure: { readonly error: unknown } | undefined

  /** @param natural  of files in `root` and below */
  constructor(pool: WorkerPool, root: string, natural: Natural) {
    this.#pool = pool
    this.#root = root
    this.#natural = natural
  }

  /** Ranges are of this slab from now on. It is retained until everything from it is written. */
  use(slab: Slab | undefined): void {
    this.#send()
    this.#slab = slab
  }

  /** A file all of which is in the slab. Throws what has failed before. */
  add(name: string, from: number, to: number, { mode, owner, time }: Attributes): void {
    this.#check()
    const batch = this.#batch
    batch.names.push(name)
    batch.files.push(from, to, mode, owner?.uid ?? -1, owner?.gid ?? -1, time.seconds, time.nanoseconds)
    batch.bytes += to - from
    if (batch.bytes >= JOB_BYTES || batch.names.length >= JOB_FILES) this.#send()
  }

  /** A file of which `write` gives the pieces. With `length` it is that long, whatever the pieces are. */
  begin(name: string, length: number | undefined, attributes: Attributes): void {
    this.#check()
    this.#file = new OpenFile(`${this.#root}/${name}`, length, attributes)
  }

  write(from: number, to: number, offset: number): void {
    const file = this.#file!
    const batch = this.#batch
    if (!batch.open.has(file)) {
      batch.open.add(file)
      file.enter()
    }
    batch.pieces.push(file.fd, from, to, offset)
    batch.bytes += to - from
    if (batch.bytes >= JOB_BYTES) this.#send()
  }

  end(): void {
    const file = this.#file
    this.#file = undefined
    file?.end()
  }

  /** Waits until everything is written, whether it fails or not. */
  async flush(): Promise<void> {
    this.#send()
    this.end()
    await Promise.all(this.#jobs)
    this.#check()
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #send(): void {
    const batch = this.#batch
    if (batch.files.length === 0 && batch.pieces.length === 0) return
    this.#batch = new Batch()
    const slab = this.#slab!.retain()
    const job = this.#run(batch, slab).finally(() => {
      slab.release()
      this.#jobs.delete(job)
    })
    this.#jobs.add(job)
  }

  /** Never rejects: the failure is for the next who asks. */
  async #run({ names, files, pieces, open }: Batch, { buffer }: Slab): Promise<void> {
    const job: WriteJob = { kind: 'write', buffer, root: this.#root, natural: this.#natural, names: names.join('\0'), files: Float64Array.from(files), pieces: Float64Array.from(pieces) }
    try {
      await this.#pool.run(job)
    } catch (error) {
      this.#failure ??= { error }
    }
    for (const file of open) {
      try {
        file.leave()
      } catch (error) {
        this.#failure ??= { error }
      }
    }
  }
}
