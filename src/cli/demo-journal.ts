/**
 * demo-journal.ts: what a worker writes down about itself, in two files that nobody else writes.
 *
 * The journal is only appended to: `begin` before a rewrite, `end` after it; so at most the last rewrite of a killed worker is in doubt,
 * and the manifest itself tells whether it took place. One write call a line: a kill -9 leaves whole lines, and what was written stays.
 *
 * The notice board has one line, overwritten in place: what the worker holds or is about to lock. It is written before the lock is asked for
 * and after it is released, so it names all that a killed worker can have held.
 */
import { openSync, readFileSync, readdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { DemoPlan, SpaceName } from './demo-plan.js'

export type JournalLine =
  | { readonly kind: 'begin' | 'end'; readonly edit: number; readonly group: string }
  /** Two holders were inside at once. */
  | { readonly kind: 'violation'; readonly text: string }
  /** A lock came with the notice that its holder died; `at` is the machine's monotonic clock, nanoseconds in decimal. */
  | { readonly kind: 'takeover'; readonly pid: number; readonly space: SpaceName; readonly name: string; readonly at: string }

export interface Wish {
  readonly space: SpaceName
  readonly name: string
  readonly exclusive: boolean
}

export interface Board {
  readonly locks: number
  readonly edits: number
  readonly verified: number
  /** Held or about to be. */
  readonly wishes: readonly Wish[]
  /** All of them are held. */
  readonly inside: boolean
}

const JOURNAL = 'journal-'
const BOARD = 'board-'

export class Journal {
  readonly #journal: number
  readonly #board: number

  constructor(plan: DemoPlan, worker: string) {
    this.#journal = openSync(join(plan.storeDirectory, JOURNAL + worker), 'a')
    this.#board = openSync(join(plan.storeDirectory, BOARD + worker), 'w')
  }

  append(line: JournalLine): void {
    writeSync(this.#journal, `${JSON.stringify(line)}\n`)
  }

  post(board: Board): void {
    writeSync(this.#board, `${JSON.stringify(board)}\n`, 0)
  }
}

/** Every journal, by worker. */
export function readJournals(plan: DemoPlan): ReadonlyMap<string, readonly JournalLine[]> {
  const files = readdirSync(plan.storeDirectory).filter(name => name.startsWith(JOURNAL))
  return new Map(files.map(file => {
    const lines = readFileSync(join(plan.storeDirectory, file), 'utf8').split('\n').slice(0, -1)
    return [file.slice(JOURNAL.length), lines.map(line => JSON.parse(line) as JournalLine)]
  }))
}

/** Undefined: there is nothing on it yet, or it was being written. */
export function readBoard(plan: DemoPlan, worker: string): Board | undefined {
  try {
    const [line = ''] = readFileSync(join(plan.storeDirectory, BOARD + worker), 'utf8').split('\n')
    return JSON.parse(line) as Board
  } catch {
    return undefined
  }
}
