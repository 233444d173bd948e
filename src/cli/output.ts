/**
 * output.ts: how things are printed: tables for people, JSON for programs. Colours and cursor movements only on a terminal.
 */
import { inspect } from 'node:util'
import Table from 'cli-table3'

export const isTerminal = process.stdout.isTTY === true && process.env['TERM'] !== 'dumb'

/** Styles, each without effect where there is no terminal or NO_COLOR is set. */
export const paint = { bold: style('bold'), dim: style('dim'), red: style('red'), green: style('green'), yellow: style('yellow') }

function style(name: string): (text: string) => string {
  const [on, off] = inspect.colors[name] ?? [0, 0]
  const isPlain = !isTerminal || Boolean(process.env['NO_COLOR'])
  return text => (isPlain ? text : `\x1b[${on}m${text}\x1b[${off}m`)
}

const PLAIN = {
  top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '',
  left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ',
}

/** Rows under a heading, without lines: readable in a terminal, a pipe and a mail. No heading: only the rows. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const made = new Table({ chars: PLAIN, style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 } })
  if (head.length > 0) made.push(head.map(text => paint.dim(text)))
  made.push(...rows.map(row => [...row]))
  return made.toString().split('\n').map(line => line.trimEnd()).join('\n')
}

/** Several things in one cell: below each other for people, in one line for grep. */
export function together(parts: readonly string[]): string {
  return parts.length === 0 ? '-' : parts.join(isTerminal ? '\n' : ', ')
}

/** Foreign text, such as a lock's name, with control characters escaped: they could do anything to a terminal. */
export function visible(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** JSON with bigints as decimal strings and dates as ISO 8601; `line`: all in one line. */
export function json(value: unknown, line = false): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? part.toString() : part), line ? undefined : 2)
}

/** "0.21 ms", "3.2 ms", "4.5 s", "2 h 5 min" */
export function duration(ms: number | undefined): string {
  if (ms === undefined) return '-'
  if (ms < 1000) return `${ms < 1 ? ms.toFixed(2) : ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 100) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 100) return `${minutes} min ${seconds % 60} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

const SIZE_UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** "0 B", "1023 B", "1.0 KiB", "12.3 MiB", "999 GiB" */
export function size(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} B`
  let [value, unit] = [bytes / 1024, 0]
  for (; value >= 999.5 && unit < SIZE_UNITS.length - 1; unit++) value /= 1024
  return `${value < 99.95 ? value.toFixed(1) : Math.round(value)} ${SIZE_UNITS[unit] ?? ''}`
}

export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

export function complain(text: string): void {
  process.stderr.write(`locktable: ${text}\n`)
}
