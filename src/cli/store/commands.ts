/**
 * commands.ts: the commands of `locktable store`, in the order of its help.
 */
import type { Command } from 'commander'
import { addBackup } from './backup.js'
import { addInit } from './init.js'
import { addKey } from './key.js'
import { addList } from './list.js'
import { addNamespace } from './namespace.js'
import { addNotes } from './notes.js'
import { addOwner } from './owner.js'
import { addProtect } from './protect.js'
import { addRestore } from './restore.js'
import { addShow } from './show.js'

export function addStoreCommands(store: Command): void {
  addInit(store)
  addBackup(store)
  addRestore(store)
  addList(store)
  addShow(store)
  addNotes(store)
  addProtect(store)
  addOwner(store)
  addNamespace(store)
  addKey(store)
}
