/** demo-child.ts: the word between the demo and its workers: "end". */
import type { ChildProcess } from 'node:child_process'

/** Tells a worker to end. Who has just been killed cannot hear it (EPIPE), and need not: its end is seen by itself. */
export function tellToEnd(child: ChildProcess): void {
  if (child.connected) child.send('end', () => undefined)
}

/** In a worker: calls `end` when it is told to, or when the demo is gone; perhaps more than once. */
export function onEnd(end: () => void): void {
  process.once('message', end).once('disconnect', end)
  if (!process.connected) end() // it went before anybody listened: no event comes any more
}
