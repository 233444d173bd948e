/**
 * init.ts: `locktable store init`: makes a datastore.
 */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { Datastore } from '../../datastore/index.js'
import { EXIT, UsageError } from '../exit-codes.js'
import { json, print, visible } from '../output.js'
import { completeCommand } from './command.js'
import { openStoreTable, repositoryOf, type StoreOptions } from './common.js'

interface InitOptions extends StoreOptions {
  readonly json?: boolean
}

const HELP = `
The directory is new, or empty but for files that begin with a dot and
lost+found. It gets .chunks with 65 536 directories. What is made in it belongs
to the owner of the directory.

Examples:
  locktable store init /srv/backup
  LOCKTABLE_REPOSITORY=/srv/backup locktable store init
`

export function addInit(store: Command): void {
  const command = store.command('init')
    .summary('make a datastore')
    .description('Makes a datastore in a directory.')
    .argument('[directory]', 'where (default: the repository)')
    .option('--json', 'for programs')
  completeCommand(command, { help: HELP, exits: { [EXIT.MISSING]: 'there is no directory for the store', [EXIT.CREATE]: 'there is something in the directory, or no place for the lock table' } }, init)
}

async function init(directory: string | undefined, options: InitOptions): Promise<void> {
  if (directory !== undefined && options.repository !== undefined) throw new UsageError('name the directory once: as an argument or by --repository')
  if (directory === '') throw new UsageError('the directory must not be empty')
  const path = directory === undefined ? repositoryOf(options) : resolve(directory)
  if (path === '/') throw new UsageError('the root of the file system cannot be a datastore')
  const table = await openStoreTable(options, 'store init')
  try {
    await (await Datastore.create(path, { table })).close()
    print(options.json ? json({ repository: path, table: table.path }) : `made a datastore in ${visible(path)}; its locks are in ${visible(table.path)}`)
  } finally {
    await table.close()
  }
}
