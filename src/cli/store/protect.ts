/**
 * protect.ts: `locktable store protect`: snapshots that are not to be removed.
 */
import type { Command } from 'commander'
import { formatSnapshot } from '../../datastore/index.js'
import { EXIT } from '../exit-codes.js'
import { json, print } from '../output.js'
import { completeCommand, SNAPSHOT_ARGUMENT } from './command.js'
import { snapshotOf, type StoreOptions, waiting, type WaitOption, withStore } from './common.js'

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
  const command = store.command('protect')
    .summary('keep a snapshot from being removed')
    .description('Protects a snapshot from being removed, or stops protecting it.')
    .argument('<snapshot>', SNAPSHOT_ARGUMENT)
    .option('--off', 'take the protection off')
    .option('--json', 'for programs')
  completeCommand(command, { help: HELP, exits: { [EXIT.ABSENT]: true }, inNamespace: true, canWait: true }, protect)
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
