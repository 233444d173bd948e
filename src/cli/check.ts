/**
 * check.ts: `locktable check`: does the table keep its invariants?
 */
import { type Command, Option } from 'commander'
import type { Finding } from '../index.js'
import { type TableOptions, addTableOptions, observeTable, parseSeconds } from './common.js'
import { EXIT, exitHelp } from './exit-codes.js'
import { json, paint, print, table as printTable, visible } from './output.js'

interface CheckOptions extends TableOptions {
  readonly json?: boolean
  readonly settle: number
}

const HELP = `
Looks twice, and shows only what it finds both times:
  broken  cannot be so in a table that only locktable has written to: something
          else wrote to the file, or there is a defect; please report it
  stuck   passes by itself in microseconds; if it stays, the participant named
          is stopped, or busy without coming back to its event loop

Takes no lock and changes nothing. To start over with a broken table, end what
uses it and "locktable remove" it: locks are not worth repairing.

With --json: one object, with path and findings (rule, severity, space, slot,
participant, text).

Examples:
  locktable check
  locktable check --json | jq -e '.findings == []'
`

export function addCheck(program: Command): void {
  addTableOptions(program.command('check'))
    .summary('whether the table keeps its invariants')
    .description('Audits the whole table: the header, every participant, every slot.')
    .option('--json', 'for programs')
    .addOption(new Option('--settle <seconds>', 'between the two looks').argParser(parseSeconds).default(100, '0.1'))
    .addHelpText('after', HELP + exitHelp({ [EXIT.CONFLICT]: 'something was found' }))
    .action(async (_options: CheckOptions, command: Command) => {
      await check(command.optsWithGlobals<CheckOptions>())
    })
}

async function check(options: CheckOptions): Promise<void> {
  const table = observeTable(options)
  try {
    const findings = await table.check({ settleMs: options.settle })
    if (options.json) print(json({ path: table.path, findings }))
    else if (findings.length > 0) print(printTable(['', 'WHERE', 'PARTICIPANT', 'RULE', 'WHAT'], findings.map(row)))
    else print(`${visible(table.path)} keeps its invariants: ${table.spaces.reduce((sum, space) => sum + space.slotCount, 0)} slots`)
    if (findings.length > 0) process.exitCode = EXIT.CONFLICT
  } finally {
    table.close()
  }
}

function row({ rule, severity, space, slot, participant, text }: Finding): string[] {
  const where = space === undefined ? '-' : `${visible(space)} slot ${slot}`
  return [severity === 'broken' ? paint.red(severity) : paint.yellow(severity), where, participant ? String(participant) : '-', rule, text]
}
