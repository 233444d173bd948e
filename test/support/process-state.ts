/** How the kernel says a process is. */
import { readFileSync } from 'node:fs'

/** "S", "T", … of ps; undefined: there is no such process, or only its remains. */
export function processState(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const state = stat[stat.lastIndexOf(')') + 2]
    return state === 'Z' || state === 'X' ? undefined : state
  } catch {
    return undefined
  }
}
