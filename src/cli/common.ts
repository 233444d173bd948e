/**
 * common.ts: where the table is, and the options that several commands share.
 */
import { InvalidArgumentError } from 'commander'
import { LockTable, type OpenOptions } from '../index.js'

export interface GlobalOptions {
  readonly table: string
}

/** $LOCKTABLE, else a place that lives as long as the user's session or the machine. */
export function defaultTablePath(): string {
  const named = process.env['LOCKTABLE']
  if (named !== undefined && named !== '') return named
  const runtime = process.env['XDG_RUNTIME_DIR']
  return runtime !== undefined && runtime !== '' ? `${runtime}/locktable` : '/run/locktable'
}

/** Opens the table for a command that looks, or takes one lock. */
export function openTable(path: string, options: OpenOptions = {}): Promise<LockTable> {
  return LockTable.open(path, { label: 'locktable', requireTmpfs: false, ...options })
}

/** Seconds, fractions allowed, as milliseconds. */
export function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (text.trim() === '' || !Number.isFinite(seconds) || seconds < 0 || seconds > 2 ** 31 / 1000 - 1) {
    throw new InvalidArgumentError('it must be a number of seconds from 0 to 2147482.')
  }
  return seconds * 1000
}

export function parseWhole(min: number, max: number): (text: string) => number {
  return text => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max) throw new InvalidArgumentError(`it must be a whole number from ${min} to ${max}.`)
    return value
  }
}
