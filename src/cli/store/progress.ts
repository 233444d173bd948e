/**
 * progress.ts: one line about long work, on a terminal only, and on stderr: what is backed up or restored may go through the other two.
 */
import cliProgress from 'cli-progress'
import type { Progress } from '../../datastore/index.js'
import { duration, size, visible } from '../output.js'

/** The rate is that of the latest seconds. */
const WINDOW_MS = 5000
const NEXT_SAMPLE_MS = 200
const PATH_COLUMNS = 30

export class ProgressLine {
  readonly #bar: cliProgress.SingleBar | undefined
  readonly #samples: { readonly at: number; readonly bytes: number }[] = []
  #latest: Progress | undefined
  #expectedBytes: number | undefined

  constructor(isQuiet: boolean) {
    if (isQuiet || process.stderr.isTTY !== true || process.env['TERM'] === 'dumb') return
    this.#bar = new cliProgress.SingleBar({
      stream: process.stderr, fps: 8, hideCursor: true, clearOnComplete: true, gracefulExit: false, barsize: 24, etaBuffer: 40, forceRedraw: true,
      format: (options, { progress, eta }) => progressText(this.#latest, { rate: this.#rate(), eta, bar: cliProgress.Format.BarFormat(progress, options) }),
    })
    this.#bar.start(1, 0)
  }

  get isShown(): boolean {
    return this.#bar !== undefined
  }

  /** About how many bytes there will be, if the transfer itself does not know. */
  expect(bytes: number | undefined): void {
    this.#expectedBytes = bytes
  }

  readonly show = (reported: Progress): void => {
    if (this.#bar === undefined) return
    // The walk may have missed what came later: never more than all.
    const expected = this.#expectedBytes === undefined ? undefined : Math.max(this.#expectedBytes, reported.bytesRead)
    const progress = { ...reported, totalBytes: reported.totalBytes ?? expected }
    this.#latest = progress
    const now = performance.now()
    if (now - (this.#samples.at(-1)?.at ?? -Infinity) < NEXT_SAMPLE_MS) return
    this.#samples.push({ at: now, bytes: progress.bytesRead })
    while (now - (this.#samples[0]?.at ?? now) > WINDOW_MS) this.#samples.shift()
    if (progress.totalBytes !== undefined) this.#bar.setTotal(Math.max(progress.totalBytes, 1))
    this.#bar.update(progress.bytesRead)
  }

  /** Clears the line. */
  stop(): void {
    this.#bar?.stop()
  }

  #rate(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)]
    if (first === undefined || last === undefined || last.at <= first.at) return 0
    return (last.bytes - first.bytes) / ((last.at - first.at) / 1000)
  }
}

export interface Pace {
  /** Bytes a second; 0: not known yet. */
  readonly rate: number
  /** Seconds; "INF" if it is not known. */
  readonly eta: number | string
  readonly bar: string
}

export function progressText(progress: Progress | undefined, { rate, eta, bar }: Pace): string {
  if (progress === undefined) return 'starting'
  const { phase, bytesRead, skippedBytes, totalBytes, bytesStored, path } = progress
  if (phase === 'finish') return 'writing everything to the disk'
  const where = path === undefined ? [] : [shortened(visible(path))]
  if (phase === 'list') return ['listing', ...where].join('  ')
  const parts = totalBytes === undefined ? [size(bytesRead)] : [`[${bar}]`, `${Math.floor((100 * bytesRead) / Math.max(totalBytes, 1))} %`, `${size(bytesRead)} of ${size(totalBytes)}`]
  if (rate > 0) parts.push(`${size(rate)}/s`)
  if (rate > 0 && totalBytes !== undefined && typeof eta === 'number') parts.push(`${eta < 60 ? `${Math.max(1, Math.round(eta))} s` : duration(eta * 1000)} left`)
  if (skippedBytes > 0) parts.push(`unchanged ${size(skippedBytes)}`)
  if (bytesStored > 0) parts.push(`new ${size(bytesStored)}`)
  return [...parts, ...where].join('  ')
}

/** Its end, which differs. */
const shortened = (path: string): string => (path.length <= PATH_COLUMNS ? path : `…${path.slice(1 - PATH_COLUMNS)}`)
