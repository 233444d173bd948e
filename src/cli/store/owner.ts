/**
 * owner.ts: `locktable store owner`: whose a group is.
 */
import type { Command } from 'commander'
import { checkAuthId, formatGroup } from '../../datastore/index.js'
import { EXIT, Refusal } from '../exit-codes.js'
import { json, print } from '../output.js'
import { completeCommand } from './command.js'
import { groupOf, type StoreOptions, waiting, type WaitOption, withStore } from './common.js'
import { typed } from './errors.js'

interface OwnerOptions extends StoreOptions, WaitOption {
  readonly expected?: string
  readonly json?: boolean
}

const HELP = `
Backups of a group are made in the name of its owner, or in the name of a user
whose token the owner is.

Examples:
  locktable store owner host/web1
  locktable store owner host/web1 alice@pam
  locktable store owner host/web1 alice@pbs!laptop --expected alice@pam
`

export function addOwner(store: Command): void {
  const command = store.command('owner')
    .summary("show or change a group's owner")
    .description('Prints the owner of a group, or gives the group to another one.')
    .argument('<group>', 'host/NAME')
    .argument('[owner]', 'user@realm or user@realm!token')
    .option('--expected <owner>', 'only if it is this one now')
    .option('--json', 'for programs')
  completeCommand(command, { help: HELP, exits: { [EXIT.ABSENT]: 'no such group, or it has no owner' }, inNamespace: true, canWait: true }, showOrChange)
}

async function showOrChange(text: string, owner: string | undefined, options: OwnerOptions): Promise<void> {
  const group = groupOf(text, options)
  if (owner !== undefined) typed(() => checkAuthId(owner))
  await withStore(options, 'store owner', async store => {
    if (owner !== undefined) await store.setOwner(group, owner, { ...waiting(options), ...(options.expected === undefined ? {} : { expected: options.expected }) })
    const found = owner ?? await store.owner(group)
    if (found === undefined) throw new Refusal(`there is no group ${formatGroup(group)}, or it has no owner`, EXIT.ABSENT)
    if (options.json) print(json({ group: formatGroup(group), owner: found }))
    else print(owner === undefined ? found : `${formatGroup(group)} belongs to ${found}`)
  })
}
