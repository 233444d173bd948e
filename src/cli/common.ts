/**
 * common.ts: where the table is, how it is opened, and the arguments that several commands share.
 */
import { existsSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { LockError, LockTable, type OpenOptions, type TableObserver } from '../index.js'
import { UsageError } from './exit-codes.js'

/** What every command that opens a table understands, before or behind the command's name. */
export interface TableOptions {
  readonly table?: string
  readonly trustOwner?: number
}

export function addTableOptions(command: Command, byDefault = 'see locktable --help'): Command {
  return command
    .addOption(new Option('-t, --table <path>', `the table file (default: ${byDefault})`))
    .addOption(new Option('--trust-owner <uid>', 'accept a table that belongs to this user').argParser(parseWhole(0, 2 ** 32 - 2)))
}

/**
 * $LOCKTABLE, else a place in memory that lives as long as the machine (root) or the user's session. Root's is one and the same from a
 * login and from cron; so is a user's, who has no XDG_RUNTIME_DIR in cron.
 */
export function tablePath(options: TableOptions): string {
  if (options.table !== undefined) {
    if (options.table === '') throw new UsageError('--table must not be empty')
    return options.table
  }
  const named = process.env['LOCKTABLE']
  if (named !== undefined && named !== '') return named
  const uid = process.geteuid?.() ?? 0
  if (uid === 0) return '/run/locktable'
  const runtime = process.env['XDG_RUNTIME_DIR'] || `/run/user/${uid}`
  if (existsSync(runtime)) return `${runtime}/locktable`
  throw new UsageError('say where the table is, by --table or $LOCKTABLE: there is no $XDG_RUNTIME_DIR')
}

/** Opens an existing table, wherever it is. */
export function openTable(options: TableOptions, more: OpenOptions): Promise<LockTable> {
  return LockTable.open(tablePath(options), { create: false, requireTmpfs: false, ownerUid: options.trustOwner, ...more })
}

/** Looks at an existing table without joining it. */
export function observeTable(options: TableOptions): TableObserver {
  return LockTable.observe(tablePath(options), { ownerUid: options.trustOwner })
}

/** Opens the table, or makes it; a new one only in memory, unless another place was asked for. */
export async function openOrMakeTable(options: TableOptions & { readonly allowAnyFileSystem?: boolean }, more: OpenOptions): Promise<LockTable> {
  try {
    return await openTable(options, more)
  } catch (error) {
    if (!(error instanceof LockError) || error.code !== 'TABLE_MISSING') throw error
    return await openTable(options, { ...more, create: true, requireTmpfs: options.allowAnyFileSystem !== true })
  }
}

/** The space of that name; the first without one. */
export function spaceOf<T extends { readonly name: string }>(table: { readonly path: string; readonly spaces: readonly T[] }, name: string | undefined): T {
  const found = name === undefined ? table.spaces[0] : table.spaces.find(space => space.name === name)
  if (found === undefined) throw new UsageError(`${table.path} has no space "${name}"; it has ${table.spaces.map(space => space.name).join(', ')}`)
  return found
}

export function parseName(text: string): string {
  if (text.length > 1024) throw new InvalidArgumentError(`it must not be longer than 1024, it has ${text.length}.`)
  return text
}

/** Seconds, fractions allowed, as milliseconds. */
export function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (!/^(\d+\.?\d*|\.\d+)$/.test(text) || seconds > 2147483) throw new InvalidArgumentError('it must be a number of seconds from 0 to 2147483.')
  return seconds * 1000
}

export function parseWhole(min: number, max: number): (text: string) => number {
  return text => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max) throw new InvalidArgumentError(`it must be a whole number from ${min} to ${max}.`)
    return value
  }
}
