/**
 * common.ts: which store, which lock table, and the names of groups and snapshots as they are typed.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { LockTable } from '../../index.js'
import { checkNewComponent, Datastore, DatastoreError, formatGroup, type GroupName, parseGroup, parseNamespace, parseSnapshot, type SnapshotName, STORE_SPACES, type SyncLevel } from '../../datastore/index.js'
import { type TableOptions, addTableOptions, parseSeconds } from '../common.js'
import { EXIT, Refusal, UsageError } from '../exit-codes.js'
import { typed } from './errors.js'

export interface StoreOptions extends TableOptions {
  readonly repository?: string
  readonly allowAnyFileSystem?: boolean
  readonly ns?: string
}

export interface WaitOption {
  /** Milliseconds. */
  readonly wait?: number
}

/** What every command understands that opens a store. */
export function addStoreOptions(command: Command): Command {
  return addTableOptions(command
    .option('-r, --repository <directory>', 'the datastore (default: $LOCKTABLE_REPOSITORY)'), 'see locktable store --help')
    .option('--allow-any-file-system', 'make a missing lock table also where it is not in memory')
}

export function addNamespaceOption(command: Command): Command {
  return command.option('--ns <namespace>', 'a namespace, like a/b (default: the root)')
}

export function addWaitOption(command: Command): Command {
  return command.addOption(new Option('-w, --wait <seconds>', 'wait for whoever is at work on it (default: not at all)').argParser(parseSeconds))
}

/** For the library, where undefined means that nothing was said. */
export const waiting = ({ wait }: WaitOption): { readonly waitMs?: number } => (wait === undefined ? {} : { waitMs: wait })

export function repositoryOf({ repository = process.env['LOCKTABLE_REPOSITORY'] }: StoreOptions): string {
  if (!repository) throw new UsageError('say which datastore, by --repository or $LOCKTABLE_REPOSITORY')
  return resolve(repository)
}

export const namespaceOf = ({ ns = '' }: StoreOptions): readonly string[] => typed(() => parseNamespace(ns))

/** Of a namespace that is to be made, or of which a part may be. */
export function checkNewNamespace(namespace: readonly string[]): readonly string[] {
  return typed(() => namespace.map(part => checkNewComponent(part)))
}

/** Makes what is missing of it, those above it first. */
export async function makeNamespaces(store: Datastore, namespace: readonly string[]): Promise<void> {
  for (let depth = 1; depth <= checkNewNamespace(namespace).length; depth++) {
    await store.createNamespace(namespace.slice(0, depth)).catch((error: unknown) => {
      if (!(error instanceof DatastoreError && error.code === 'NAMESPACE_EXISTS')) throw error
    })
  }
}

/** Not $LOCKTABLE: that is what `locktable run` tells its command of its own table, which has other spaces. */
function storeTablePath({ table }: TableOptions): string {
  if (table === '') throw new UsageError('--table must not be empty')
  const named = table ?? process.env['LOCKTABLE_STORE_TABLE']
  if (named) return named
  // cron gives ordinary users no XDG_RUNTIME_DIR.
  const runtime = `/run/user/${process.geteuid?.() ?? 0}`
  if (!process.env['XDG_RUNTIME_DIR'] && existsSync(runtime)) process.env['XDG_RUNTIME_DIR'] = runtime
  try {
    return Datastore.defaultTablePath()
  } catch {
    throw new UsageError('say where the lock table of the store is, by --table or $LOCKTABLE_STORE_TABLE: there is no $XDG_RUNTIME_DIR')
  }
}

/** @param label  what `locktable status` calls us */
export function openStoreTable(options: StoreOptions, label: string): Promise<LockTable> {
  const requireTmpfs = options.allowAnyFileSystem !== true
  return LockTable.open(storeTablePath(options), { spaces: STORE_SPACES, ownerUid: options.trustOwner, requireTmpfs, label })
}

export async function withStore<T>(options: StoreOptions & { readonly sync?: SyncLevel }, label: string, action: (store: Datastore) => Promise<T>): Promise<T> {
  const path = repositoryOf(options)
  if (!existsSync(path)) throw new Refusal(`there is no ${path} (locktable store init makes a datastore)`, EXIT.MISSING) // and no table for it either
  const table = await openStoreTable(options, label)
  try {
    return await action(await Datastore.open(path, { table, syncLevel: options.sync }))
  } finally {
    await table.close()
  }
}

export const groupOf = (text: string, options: StoreOptions): GroupName => typed(() => parseGroup(text, namespaceOf(options)))

/** Finished ones, oldest first. */
export async function finishedSnapshots(store: Datastore, group: GroupName): Promise<readonly SnapshotName[]> {
  const all = await store.snapshots(group)
  const files = await Promise.all(all.map(snapshot => store.snapshotFiles(snapshot)))
  return all.filter((_, i) => files[i]?.finished)
}

/** "host/NAME/TIME", or "host/NAME/latest": the newest that is finished. */
export async function snapshotOf(store: Datastore, text: string, options: StoreOptions): Promise<SnapshotName> {
  const [, latestOf] = /^(.*)\/latest$/.exec(text) ?? []
  if (latestOf === undefined) return typed(() => parseSnapshot(text, namespaceOf(options)))
  const group = groupOf(latestOf, options)
  const latest = (await finishedSnapshots(store, group)).at(-1)
  if (latest === undefined) throw new Refusal(`there is no snapshot of ${formatGroup(group)}`, EXIT.ABSENT)
  return latest
}

/** What has a name with two parts is a group. */
export const isGroupName = (text: string): boolean => text.split('/').length === 2
