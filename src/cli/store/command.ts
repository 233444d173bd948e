/**
 * command.ts: what the definitions of all commands that open a store have in common.
 */
import type { Command } from 'commander'
import { exitHelp } from '../exit-codes.js'
import { addNamespaceOption, addStoreOptions, addWaitOption } from './common.js'
import { told } from './errors.js'
import { STORE_EXITS } from './exits.js'

/** How a snapshot is typed, for help. */
export const SNAPSHOT_ARGUMENT = 'host/NAME/TIME or host/NAME/latest'

export interface CommonParts {
  /** Behind the list of options: what else there is to know, and examples. */
  readonly help: string
  /** Exit statuses beside STORE_EXITS; see exitHelp. */
  readonly exits?: Readonly<Partial<Record<number, string | true>>>
  /** With --ns. */
  readonly inNamespace?: boolean
  /** With --wait. */
  readonly canWait?: boolean
}

/**
 * Gives a command, behind its own arguments and options, the common options and the end of its help.
 *
 * @param action  gets the arguments, then all options, those from before the command's name among them
 */
export function completeCommand(command: Command, { help, exits, inNamespace, canWait }: CommonParts, action: (...argumentsAndOptions: never[]) => Promise<void>): void {
  addStoreOptions(command)
  if (inNamespace) addNamespaceOption(command)
  if (canWait) addWaitOption(command)
  command
    .addHelpText('after', help + exitHelp({ ...STORE_EXITS, ...exits }))
    .action(told(async (...all: unknown[]) => {
      const own = all.slice(0, -2) // behind the arguments come the command's own options and the command itself
      await action(...[...own, command.optsWithGlobals()] as never[])
    }))
}
