/**
 * manage.ts: `locktable create` and `locktable remove`.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { LockTable, type SpaceOption } from '../index.js'
import { type TableOptions, addTableOptions, tablePath } from './common.js'
import { EXIT, UsageError, exitHelp } from './exit-codes.js'
import { print, visible } from './output.js'

interface CreateOptions extends TableOptions {
  readonly space: readonly SpaceOption[]
  readonly mode: number
  readonly allowAnyFileSystem?: boolean
}

const CREATE_HELP = `
A slot takes 256 bytes, reserved at once. A space without SLOTS gets 16384, or
fewer so that the file has at most 16 MiB. Whoever may write the file can
lock, and can break it: --mode 660 for programs that trust each other.

Examples:
  locktable create
  locktable --table /run/backup/locks create --space group \\
    --space snapshot:4096 --mode 660
`

const REMOVE_HELP = `
Only a table that nobody is in is removed: "locktable status" shows who is.

Example:
  locktable --table /run/backup/locks remove
`

const MAX_SPACES = 16
const MAX_SLOTS = 2 ** 22

export function addManage(program: Command): void {
  addTableOptions(program.command('create'))
    .summary('make a table')
    .description('Makes the table file, complete and reserved; fails if it is there already. Programs, and "run", make it themselves where they may.')
    .addOption(new Option('--space <name[:slots]>', 'a lockspace, in rank order; may be repeated').argParser(collectSpace).default([], 'one, "default"'))
    .addOption(new Option('--mode <octal>', 'permissions of the file, whatever the umask').argParser(parseMode).default(0o600, '600'))
    .option('--allow-any-file-system', 'also where it is not in memory')
    .addHelpText('after', CREATE_HELP + exitHelp({ [EXIT.MISSING]: 'there is no directory for the table', [EXIT.CREATE]: true }))
    .action(async (_options: CreateOptions, command: Command) => {
      await create(command.optsWithGlobals<CreateOptions>())
    })
  addTableOptions(program.command('remove'))
    .summary('remove a table that nobody uses')
    .description('Removes the table file. Refuses while participants live.')
    .addHelpText('after', REMOVE_HELP + exitHelp({ [EXIT.BUSY]: 'somebody is in the table: it stays' }))
    .action(async (_options: TableOptions, command: Command) => {
      const options = command.optsWithGlobals<TableOptions>()
      await LockTable.remove(tablePath(options), { ownerUid: options.trustOwner })
      print(`removed ${visible(tablePath(options))}`)
    })
}

async function create(options: CreateOptions): Promise<void> {
  const path = tablePath(options)
  const twice = options.space.find((space, i) => options.space.findIndex(other => other.name === space.name) < i)
  if (twice !== undefined) throw new UsageError(`--space ${twice.name} is named twice`)
  const table = await LockTable.open(path, {
    exclusive: true, fileMode: options.mode, requireTmpfs: options.allowAnyFileSystem !== true, watch: false, label: 'locktable create',
    spaces: options.space.length === 0 ? undefined : options.space,
  }).catch((error: unknown) => {
    throw error instanceof RangeError ? new UsageError(error.message.replace('options.spaces', 'the spaces')) : error
  })
  const { sizeBytes, spaces } = table.inspect()
  await table.close()
  print(`made ${visible(path)}: ${spaces.map(space => `${visible(space.name)} (${space.slotCount} slots)`).join(', ')}; ${(sizeBytes / 2 ** 20).toFixed(1)} MiB`)
}

function collectSpace(text: string, spaces: readonly SpaceOption[]): SpaceOption[] {
  const match = /^(.+?)(?::(\d+))?$/.exec(text)
  const [, name = '', slots] = match ?? []
  if (name === '' || Buffer.byteLength(name) > 48) throw new InvalidArgumentError('it must be NAME or NAME:SLOTS, the name of at most 48 bytes.')
  if (slots !== undefined && (Number(slots) < 1 || Number(slots) > MAX_SLOTS)) throw new InvalidArgumentError(`SLOTS must be from 1 to ${MAX_SLOTS}.`)
  if (spaces.length >= MAX_SPACES) throw new InvalidArgumentError(`there may be at most ${MAX_SPACES}.`)
  return [...spaces, { name, slots: slots === undefined ? undefined : Number(slots) }]
}

function parseMode(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text)) throw new InvalidArgumentError('it must be octal, like 660.')
  return parseInt(text, 8)
}
