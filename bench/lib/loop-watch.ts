/**
 * loop-watch.ts: how late the event loop is, and how long a small file takes to be read meanwhile, by libuv's pool, on which everything else of
 * the program depends.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { nowNs } from './clock.js'
import { Distribution } from './distribution.js'
import type { LatencySummary } from './stats.js'

const EVERY_MS = 1

export interface Watched {
  /** How much later than it was due a timer of 1 ms came. */
  readonly loopNs: LatencySummary
  /** Of reading a small file, one at a time, with a pause in between. One that is not done at the end counts as long as it lasted, and until it is. */
  readonly readNs: LatencySummary
}

/** @param file  read again and again; undefined: none is */
export async function watchLoop(durationMs: number, file?: string): Promise<Watched> {
  return await watchLoopWhile(sleep(durationMs), file)
}

/** @returns when the promise is settled, and the reading that it met is done */
export async function watchLoopWhile(what: Promise<unknown>, file?: string): Promise<Watched> {
  const [loop, read] = [new Distribution(), new Distribution()]
  let isOver = false
  const over = what.finally(() => {
    isOver = true
  })
  const tick = async (): Promise<void> => {
    while (!isOver) {
      const asked = nowNs()
      await sleep(EVERY_MS)
      loop.note(Math.max(0, nowNs() - asked - EVERY_MS * 1e6))
    }
  }
  const readAgain = async (): Promise<void> => {
    while (!isOver && file !== undefined) {
      const asked = nowNs()
      await readFile(file)
      read.note(nowNs() - asked)
      await sleep(EVERY_MS)
    }
  }
  await Promise.all([over, tick(), readAgain()])
  return { loopNs: loop.summary(), readNs: read.summary() }
}
