/**
 * protect.ts: `locktable store protect`: snapshots that are not to be removed.
 */
import type { Command } from 'commander'
import { formatSnapshot } from '../../datastore/index.js'
import { EXIT, exitHelp } from '../exit-codes.js'
import { json, print } from '../output.js'
import { addNamespaceOption, addStoreOptions, addWaitOption, snapshotOf, type StoreOptions, waiting, type WaitOption, withStore } from './common.js'
import { told } from './errors.js'
import { STORE_EXITS } from './exits.js'

interface ProtectOptions extends StoreOptions, WaitOption {
  readonly off?: boolean
  readonly json?: boolean
}

const HELP = `
A protected snapshot is not removed, by nobody, until the protection is taken
off. Whoever reads the snapshot at this moment makes this command busy.

Examples:
  locktable store protect host/web1/latest
  locktable store protect --off host/web1/2026-11-21T08:00:00Z
`

export function addProtect(store: Command): void {
  addWaitOption(addNamespaceOption(addStoreOptions(store.command('protect')
    .summary('keep a snapshot from being removed')
    .description('Protects a snapshot from being removed, or stops protecting it.')
    .argument('<snapshot>', 'host/NAME/TIME or host/NAME/latest')
    .option('--off', 'take the protection off')
    .option('--json', 'for programs'))))
    .addHelpText('after', HELP + exitHelp({ ...STORE_EXITS, [EXIT.ABSENT]: true }))
    .action(told(async (text: string, _options: ProtectOptions, command: Command) => {
      await protect(text, command.optsWithGlobals<ProtectOptions>())
    }))
}

async function protect(text: string, options: ProtectOptions): Promise<void> {
  await withStore(options, 'store protect', async store => {
    const snapshot = await snapshotOf(store, text, options)
    const value = options.off !== true
    await store.setProtected(snapshot, value, waiting(options))
    const name = formatSnapshot(snapshot)
    print(options.json ? json({ snapshot: name, protected: value }) : `${name} is ${value ? '' : 'not '}protected${value ? '' : ' any more'}`)
  })
}
