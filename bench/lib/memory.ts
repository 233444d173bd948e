/** memory.ts: what a process occupies, as the kernel and V8 count it. */
import { readFileSync } from 'node:fs'

export interface Memory {
  /** Pages of its own: what the machine has less while the process runs. */
  readonly privateBytes: number
  /** Pages of files and shared memory that it has touched; all its users share them. */
  readonly sharedBytes: number
  readonly heapBytes: number
}

/** After a collection, if the process runs with --expose-gc. */
export function memoryNow(): Memory {
  for (let i = 0; i < 3; i++) (globalThis as { gc?: () => void }).gc?.()
  const rollup = readFileSync('/proc/self/smaps_rollup', 'latin1')
  const field = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0) * 1024
  // A page of a mapped file that nobody else has mapped yet counts as private in the kernel; only what is anonymous is ours alone.
  const own = field('Anonymous')
  return { privateBytes: own, sharedBytes: field('Rss') - own, heapBytes: process.memoryUsage().heapUsed }
}

export function memoryGrowth(from: Memory, to: Memory): Memory {
  return {
    privateBytes: to.privateBytes - from.privateBytes,
    sharedBytes: to.sharedBytes - from.sharedBytes,
    heapBytes: to.heapBytes - from.heapBytes,
  }
}

/** `0`, `+12 KiB`, `-3.4 MiB`: changes of memory, which has pages of 4 KiB. */
export function formatGrowth(bytes: number): string {
  const sign = bytes > 0 ? '+' : bytes < 0 ? '-' : ''
  return sign + formatBytes(Math.abs(bytes))
}

export function formatBytes(bytes: number): string {
  if (bytes >= 2 ** 20) return `${(bytes / 2 ** 20).toFixed(bytes >= 100 * 2 ** 20 ? 0 : 1)} MiB`
  if (bytes >= 2 ** 10) return `${(bytes / 2 ** 10).toFixed(0)} KiB`
  return bytes.toString()
}

/** What new processes can have without swapping, as the kernel estimates it. */
export function availableMiB(): number {
  return Math.floor(Number(/^MemAvailable: +(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1] ?? 0) / 1024)
}
