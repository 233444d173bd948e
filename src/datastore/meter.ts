/** meter.ts: counts what a backup or restore has done, and tells whoever wants to know, not too often. */
import type { Progress, TransferOptions } from './transfer.js'

const INTERVAL_MS = 100

export class Meter {
  bytesRead = 0
  skippedBytes = 0
  bytesStored = 0
  chunks = 0
  storedChunks = 0
  files = 0
  totalBytes: number | undefined
  path: string | undefined
  readonly warnings: string[] = []
  readonly remarks: string[] = []
  readonly #began = performance.now()
  readonly #onProgress: TransferOptions['onProgress']
  #phase: Progress['phase'] = 'list'
  #told = -Infinity

  constructor(onProgress: TransferOptions['onProgress']) {
    this.#onProgress = onProgress
  }

  get seconds(): number {
    return (performance.now() - this.#began) / 1000
  }

  enter(phase: Progress['phase']): void {
    if (this.#phase === phase) return
    this.#phase = phase
    this.#told = -Infinity
    this.#tell()
  }

  /** Chunks that the store did not have: they are stored before they are counted as chunks of an archive. */
  countStored(bytes: number): void {
    this.storedChunks++
    this.bytesStored += bytes
  }

  countChunk(bytes: number, isRead = true): void {
    this.bytesRead += bytes
    if (!isRead) this.skippedBytes += bytes
    this.chunks++
    this.#tell()
  }

  get reusedChunks(): number {
    return Math.max(0, this.chunks - this.storedChunks)
  }

  countBytes(bytes: number): void {
    this.bytesRead += bytes
    this.#tell()
  }

  readonly onEntry = (name: string): void => {
    this.files++
    this.path = name
    this.#tell()
  }

  readonly onProblem = ({ path, message }: { readonly path: string; readonly message: string }): void => {
    this.warnings.push(`${path}: ${message}`)
  }

  readonly onRemark = (text: string): void => {
    this.remarks.push(text)
  }

  #tell(): void {
    if (this.#onProgress === undefined) return
    const now = performance.now()
    if (now - this.#told < INTERVAL_MS) return
    this.#told = now
    const { bytesRead, skippedBytes, totalBytes, bytesStored, chunks, reusedChunks, path } = this
    this.#onProgress({ phase: this.#phase, bytesRead, skippedBytes, totalBytes, bytesStored, chunks, reusedChunks, path })
  }
}
