/**
 * notes.ts: `locktable store notes`: what people write about a snapshot or a group.
 */
import { text as readAll } from 'node:stream/consumers'
import type { Command } from 'commander'
import { type Datastore, formatGroup, formatSnapshot } from '../../datastore/index.js'
import { EXIT, UsageError } from '../exit-codes.js'
import { isTerminal, json, print, visible } from '../output.js'
import { completeCommand } from './command.js'
import { groupOf, isGroupName, snapshotOf, type StoreOptions, waiting, type WaitOption, withStore } from './common.js'

interface NotesOptions extends StoreOptions, WaitOption {
  readonly json?: boolean
}

const HELP = `
Notes are text of any number of lines; an empty text removes them.

Examples:
  locktable store notes host/web1/latest 'before the upgrade'
  locktable store notes host/web1/latest
  locktable store notes host/web1 - < about-web1.md
`

const MAX_BYTES = 1024 * 1024

export function addNotes(store: Command): void {
  const command = store.command('notes')
    .summary('show or change the notes of a snapshot or group')
    .description('Prints the notes of a snapshot or a group, or replaces them.')
    .argument('<name>', 'host/NAME/TIME, host/NAME/latest, or a group: host/NAME')
    .argument('[text]', 'the new notes; -: from standard input')
    .option('--json', 'for programs')
  completeCommand(command, { help: HELP, exits: { [EXIT.ABSENT]: true }, inNamespace: true, canWait: true }, showOrChange)
}

async function showOrChange(name: string, typedText: string | undefined, options: NotesOptions): Promise<void> {
  const text = typedText === '-' ? (await readAll(process.stdin)).replace(/\n$/, '') : typedText
  if (text !== undefined && Buffer.byteLength(text) > MAX_BYTES) throw new UsageError(`the notes must have at most ${MAX_BYTES} bytes, not ${Buffer.byteLength(text)}`)
  await withStore(options, 'store notes', async store => {
    const [of, notes] = isGroupName(name) ? await ofGroup(store, name, text, options) : await ofSnapshot(store, name, text, options)
    if (options.json) print(json({ of, notes }))
    else if (text === undefined && notes !== '') print(isTerminal ? notes.split('\n').map(visible).join('\n') : notes)
  })
}

async function ofGroup(store: Datastore, name: string, text: string | undefined, options: NotesOptions): Promise<readonly [string, string]> {
  const group = groupOf(name, options)
  if (text !== undefined) await store.setGroupNotes(group, text, waiting(options))
  return [formatGroup(group), text ?? await store.groupNotes(group)]
}

async function ofSnapshot(store: Datastore, name: string, text: string | undefined, options: NotesOptions): Promise<readonly [string, string]> {
  const snapshot = await snapshotOf(store, name, options)
  if (text !== undefined) await store.setNotes(snapshot, text, waiting(options))
  return [formatSnapshot(snapshot), text ?? await store.notes(snapshot)]
}
