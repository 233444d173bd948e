/**
 * store.ts: `locktable store`: its help. The commands, and the datastore with them, are loaded when the word is on the command line:
 * `locktable run` starts as fast without them.
 */
import type { Command } from 'commander'
import { addTableOptions } from './common.js'
import { EXIT, exitHelp } from './exit-codes.js'
import { STORE_EXITS } from './store/exits.js'

const HELP = `
The repository is the directory of the datastore: --repository, else
$LOCKTABLE_REPOSITORY. On disk it is the same as Proxmox Backup Server's.

  group      host/NAME, vm/NUMBER, ct/NUMBER: what is backed up again and again
  snapshot   host/NAME/2026-11-21T08:00:00Z, or host/NAME/latest
  archive    etc.tar, disk.img …: a part of a snapshot

All who use a store must use one lock table, in memory: --table, else
$LOCKTABLE_STORE_TABLE, else /run/locktable-store (root; in /dev/shm where /run
is not in memory) or $XDG_RUNTIME_DIR/locktable-store (others).

Examples:
  locktable store init /srv/backup
  export LOCKTABLE_REPOSITORY=/srv/backup
  locktable store backup etc.tar:/etc home.tar:/home
  locktable store list
  locktable store restore host/$(hostname)/latest etc.tar /tmp/etc
`

export async function addStore(program: Command): Promise<void> {
  const store = addTableOptions(program.command('store'), 'see below')
    .configureHelp({ subcommandTerm: command => command.name() }) // with their arguments there would be no room for the rest
    .summary('back up to a datastore, look at it, restore')
    .description('A datastore with deduplication and encryption, for many processes at once.')
    .option('-r, --repository <directory>', 'the datastore (default: $LOCKTABLE_REPOSITORY)')
    .addHelpText('after', HELP + exitHelp({ ...STORE_EXITS, [EXIT.WARNINGS]: true, [EXIT.ABSENT]: true, [EXIT.CREATE]: 'the store, or a file, cannot be made: something is there' }))
  if (process.argv.includes('store')) (await import('./store/commands.js')).addStoreCommands(store)
}
