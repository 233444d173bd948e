/**
 * manage.ts: `locktable create`, `remove` and `evict`.
 */
import { createInterface } from 'node:readline/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { LockTable, type SpaceOption } from '../index.js'
import { type GlobalOptions, openTable, parseWhole } from './common.js'
import { EXIT } from './exit-codes.js'
import { complain, print } from './output.js'

export function addManage(program: Command): void {
  program.command('create')
    .summary('make a table')
    .description('Makes the table file, complete and reserved, and fails if it is there already.')
    .option('--space <name[:slots]>', 'a lockspace, in rank order; may be repeated (default: one, "default")', collectSpace, [])
    .option('--mode <octal>', 'permissions of the file', parseMode, 0o600)
    .option('--allow-any-file-system', 'accept a file system that is no tmpfs')
    .addHelpText('after', '\nExample:\n  locktable --table /run/backup/locks create --space group --space snapshot:4096 --mode 660\n')
    .action(async (options: { space: SpaceOption[]; mode: number; allowAnyFileSystem?: boolean }, command: Command) => {
      const path = command.optsWithGlobals<GlobalOptions>().table
      const table = await LockTable.open(path, {
        exclusive: true, fileMode: options.mode, requireTmpfs: !options.allowAnyFileSystem, watch: false, label: 'locktable create',
        spaces: options.space.length === 0 ? undefined : options.space,
      })
      const { sizeBytes, spaces } = table.inspect()
      await table.close()
      print(`made ${path}: ${spaces.map(space => `${space.name} (${space.slotCount} slots)`).join(', ')}; ${sizeBytes} bytes`)
    })
  program.command('remove')
    .summary('remove a table that nobody uses')
    .description('Removes the table file. Refuses while participants live.')
    .action(async (_options: object, command: Command) => {
      const path = command.optsWithGlobals<GlobalOptions>().table
      await LockTable.remove(path)
      print(`removed ${path}`)
    })
  program.command('evict')
    .summary("break a participant's locks by force")
    .description('Declares a participant dead: its locks go to the next, marked as abandoned. What it runs at this moment runs on: be sure that it is ' +
      'harmless, or stopped.')
    .argument('[participant]', 'its number, from status', parseWhole(1, 127))
    .option('--pid <pid>', 'every participant of this process instead', parseWhole(1, 2 ** 31 - 1))
    .option('-y, --yes', 'do not ask')
    .action(evict)
}

async function evict(number: number | undefined, options: { pid?: number; yes?: boolean }, command: Command): Promise<void> {
  if ((number === undefined) === (options.pid === undefined)) command.error('error: name either a participant or --pid', { exitCode: EXIT.USAGE })
  const table = await openTable(command.optsWithGlobals<GlobalOptions>().table, { create: false, watch: false })
  try {
    const chosen = table.inspect().participants.filter(p => p.state === 'live' && p.number !== table.participantNumber &&
      (number === undefined ? p.pid === options.pid : p.number === number))
    if (chosen.length === 0) {
      complain('there is no such live participant')
      process.exitCode = EXIT.CONFLICT
      return
    }
    const list = chosen.map(p => `${p.number} (pid ${p.pid}, ${p.label})`).join(', ')
    if (!options.yes && !(await confirm(`Break the locks of ${list}?`))) {
      process.exitCode = EXIT.CONFLICT
      return
    }
    for (const participant of chosen) table.evict(participant.number)
    print(`evicted ${list}`)
  } finally {
    await table.close()
  }
}

/** Asks on a terminal; without one the answer is no. */
async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    complain(`${question} (there is no terminal to ask: say --yes)`)
    return false
  }
  const reader = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await reader.question(`${question} [y/N] `)
  reader.close()
  return /^y(es)?$/i.test(answer.trim())
}

function collectSpace(text: string, spaces: SpaceOption[]): SpaceOption[] {
  const match = /^([^:]+)(?::(\d+))?$/.exec(text)
  if (match?.[1] === undefined) throw new InvalidArgumentError('it must be NAME or NAME:SLOTS.')
  return [...spaces, { name: match[1], slots: match[2] === undefined ? undefined : Number(match[2]) }]
}

function parseMode(text: string): number {
  if (!/^[0-7]{3,4}$/.test(text)) throw new InvalidArgumentError('it must be octal, like 660.')
  return parseInt(text, 8)
}
