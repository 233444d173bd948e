/** demo-child.ts: what both acts of the demo do with a process of theirs. */
import type { ChildProcess } from 'node:child_process'

/** Tells a worker to end. Who has just been killed cannot hear it (EPIPE), and need not: its end is seen by itself. */
export function tellToEnd(child: ChildProcess): void {
  if (child.connected) child.send('end', () => undefined)
}
