/**
 * evict.ts: `locktable evict`: an operator's forced break.
 */
import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import type { ParticipantReport, TableObserver } from '../index.js'
import { type TableOptions, addTableOptions, observeTable, parseWhole } from './common.js'
import { EXIT, Refusal, UsageError, exitHelp } from './exit-codes.js'
import { duration, print, visible } from './output.js'

interface EvictOptions extends TableOptions {
  readonly pid?: number
  readonly yes?: boolean
}

const HELP = `
Its locks go to the next, marked as abandoned, and what it asks of the table
from now on is refused. But what its process does at this moment goes on: be
sure that it is harmless, stopped or on its way out. A process that has died
needs no eviction.

Examples:
  locktable status
  locktable evict 17
  locktable evict --yes --pid 4711
`

export function addEvict(program: Command): void {
  addTableOptions(program.command('evict'))
    .summary("break a participant's locks by force")
    .description('Declares a live participant dead. Asks first, on a terminal.')
    .argument('[participant]', 'its number, as status shows it', parseWhole(1, 127))
    .option('--pid <pid>', 'every participant of this process instead', parseWhole(1, 2 ** 31 - 1))
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', HELP + exitHelp({ [EXIT.CONFLICT]: 'there is no such live participant, or the answer was no' }))
    .action(async (number: number | undefined, _options: EvictOptions, command: Command) => {
      await evict(number, command.optsWithGlobals<EvictOptions>())
    })
}

async function evict(number: number | undefined, options: EvictOptions): Promise<void> {
  if ((number === undefined) === (options.pid === undefined)) throw new UsageError('name either a participant or --pid')
  const table = observeTable(options)
  try {
    const chosen = choose(table, number, options.pid)
    if (chosen.length === 0) throw new Refusal(`there is no live participant ${number ?? `of process ${options.pid}`}`, EXIT.CONFLICT)
    const list = chosen.map(p => `${p.number} (pid ${p.pid}, ${visible(p.label)}, here for ${duration(p.ageMs)})`).join(', ')
    if (!options.yes && !(await confirm(`${describeHolds(table, chosen)}Break the locks of ${list}?`))) throw new Refusal('nobody was evicted', EXIT.CONFLICT)
    for (const { number: other, generation } of chosen) {
      // It may have left, and somebody else may have got its number, while we asked.
      if (table.inspect().participants.some(p => p.number === other && p.generation === generation)) table.evict(other)
    }
    print(`evicted ${list}`)
  } finally {
    table.close()
  }
}

function choose(table: TableObserver, number: number | undefined, pid: number | undefined): ParticipantReport[] {
  const { participants, pidNamespace } = table.inspect()
  return participants.filter(p => p.state === 'live' && (number === undefined ? p.pid === pid && p.pidNamespace === pidNamespace : p.number === number))
}

function describeHolds(table: TableObserver, chosen: readonly ParticipantReport[]): string {
  const held = table.inspect().slots.filter(slot => slot.holders.some(holder => chosen.some(p => p.number === holder.participant)))
  if (held.length === 0) return ''
  const names = held.slice(0, 8).map(slot => `${visible(slot.space)} ${visible(slot.name)}`)
  return `Held: ${names.join(', ')}${held.length > 8 ? ` and ${held.length - 8} more` : ''}.\n`
}

/** Asks on a terminal; without one, it takes --yes. */
async function confirm(question: string): Promise<boolean> {
  if (process.stdin.isTTY !== true) throw new UsageError('there is no terminal to ask: say --yes')
  const reader = createInterface({ input: process.stdin, output: process.stderr })
  const ended = new Promise<string>(resolve => reader.once('close', () => {
    resolve('')
  }))
  const answer = await Promise.race([reader.question(`${question} [y/N] `), ended]) // ^D closes without an answer
  reader.close()
  return /^y(es)?$/i.test(answer.trim())
}
