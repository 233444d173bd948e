/**
 * output.ts: how things are printed: tables for people, JSON for programs.
 */
import Table from 'cli-table3'

const PLAIN = {
  top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '',
  left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ',
}

/** Rows under a heading, without lines or colours: readable in a terminal, a pipe and a mail. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const made = new Table({ head: [...head], chars: PLAIN, style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 } })
  made.push(...rows.map(row => [...row]))
  return made.toString().split('\n').map(line => line.trimEnd()).join('\n')
}

/** JSON with bigints as decimal strings and dates as ISO 8601. */
export function json(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? part.toString() : part), 2)
}

/** "3.2 ms", "4 s", "2 h 5 min" */
export function duration(ms: number | undefined): string {
  if (ms === undefined) return '-'
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
  const seconds = Math.round(ms / 1000)
  if (seconds < 100) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 100 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

export function complain(text: string): void {
  process.stderr.write(`locktable: ${text}\n`)
}
