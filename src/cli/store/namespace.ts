/**
 * namespace.ts: `locktable store namespace`: the places below the root that keep groups of the same name apart.
 */
import type { Command } from 'commander'
import { type Datastore, DatastoreError, type DatastoreErrorCode, formatNamespace, parseNamespace } from '../../datastore/index.js'
import { EXIT, Refusal, UsageError, exitHelp } from '../exit-codes.js'
import { json, print, table as printTable } from '../output.js'
import { completeCommand } from './command.js'
import { checkNewNamespace, makeNamespaces, type StoreOptions, withStore } from './common.js'
import { typed } from './errors.js'
import { STORE_EXITS } from './exits.js'

interface NamespaceOptions extends StoreOptions {
  readonly parents?: boolean
  readonly json?: boolean
}

/** Groups of the namespace itself, not of those below it. */
interface NamespaceReport {
  readonly namespace: string
  readonly groups: number
}

const HELP = `
A namespace is named with those above it, like west/berlin, at most 7 of them;
a part of a new one has at most 32 characters. The root has no name and is
always there. Takes no lock.

Examples:
  locktable store namespace list
  locktable store namespace create --parents west/berlin
  locktable store backup --ns west/berlin etc.tar:/etc
  locktable store namespace remove west/berlin
`

const EXITS = { [EXIT.ABSENT]: 'no such namespace, or none above it (--parents)', [EXIT.CREATE]: 'it exists, or is to be removed and is not empty' } as const

export function addNamespace(store: Command): void {
  const parent = store.command('namespace').summary('list, make and remove namespaces').description('Lists, makes and removes namespaces.').addHelpText('after', HELP + exitHelp({ ...STORE_EXITS, ...EXITS }))
  const complete = (command: Command, action: (...argumentsAndOptions: never[]) => Promise<void>): void => {
    completeCommand(command.option('--json', 'for programs'), { help: HELP, exits: EXITS }, action)
  }
  complete(parent.command('list').description('Lists the namespaces below the root, or below another one.').argument('[namespace]', 'like a/b'), list)
  complete(parent.command('create').description('Makes a namespace.').argument('<namespace>', 'like a/b')
    .option('-p, --parents', 'make what is missing above it too, and do\nnot mind if it exists'), create)
  complete(parent.command('remove').description('Removes a namespace that is empty.').argument('<namespace>', 'like a/b'), remove)
}

async function list(text: string | undefined, options: NamespaceOptions): Promise<void> {
  const above = typed(() => parseNamespace(text ?? ''))
  await withStore(options, 'store namespace list', async store => {
    await store.groups(above) // it must be there
    const reports: NamespaceReport[] = []
    for await (const namespace of store.namespaces(above)) {
      const groups = namespace.length === above.length ? undefined : await groupCount(store, namespace)
      if (groups !== undefined) reports.push({ namespace: formatNamespace(namespace), groups })
    }
    if (options.json) print(json({ repository: store.path, namespaces: reports }))
    else print(reports.length === 0 ? 'there are no namespaces' : printTable(['NAMESPACE', 'GROUPS'], reports.map(({ namespace, groups }) => [namespace, String(groups)])))
  })
}

/** Undefined: it was removed meanwhile. */
async function groupCount(store: Datastore, namespace: readonly string[]): Promise<number | undefined> {
  try {
    return (await store.groups(namespace)).length
  } catch (error) {
    if (error instanceof DatastoreError && error.code === 'NAMESPACE_MISSING') return undefined
    throw error
  }
}

function namespaceNamed(text: string): readonly string[] {
  const namespace = typed(() => parseNamespace(text))
  if (namespace.length === 0) throw new UsageError('the root namespace is neither made nor removed: name one below it')
  return namespace
}

async function create(text: string, options: NamespaceOptions): Promise<void> {
  const namespace = checkNewNamespace(namespaceNamed(text))
  await withStore(options, 'store namespace create', async store => {
    if (options.parents) await makeNamespaces(store, namespace)
    else await store.createNamespace(namespace).catch(refuse('NAMESPACE_MISSING', ({ message }) => `${message} (--parents makes it)`, EXIT.ABSENT))
    tell('made', namespace, options)
  })
}

async function remove(text: string, options: NamespaceOptions): Promise<void> {
  const namespace = namespaceNamed(text)
  await withStore(options, 'store namespace remove', async store => {
    await store.removeNamespace(namespace).catch(refuse('NAMESPACE_NOT_EMPTY', async ({ message }) => `${message}: it has ${await contentOf(store, namespace)}`, EXIT.CREATE))
    tell('removed', namespace, options)
  })
}

/** For catch(): says more about one of the store's refusals. */
function refuse(code: DatastoreErrorCode, textOf: (error: DatastoreError) => string | Promise<string>, status: number): (error: unknown) => Promise<never> {
  return async error => {
    throw error instanceof DatastoreError && error.code === code ? new Refusal(await textOf(error), status) : error
  }
}

function tell(what: string, namespace: readonly string[], options: NamespaceOptions): void {
  const name = formatNamespace(namespace)
  print(options.json ? json({ namespace: name }) : `${what} namespace ${name}`)
}

/** "2 groups and 1 namespace" */
async function contentOf(store: Datastore, namespace: readonly string[]): Promise<string> {
  let below = -1 // the first is the namespace itself
  for await (const _each of store.namespaces(namespace, 1)) below++
  const counts = [[await groupCount(store, namespace) ?? 0, 'group'], [below, 'namespace']] as const
  return counts.filter(([count]) => count > 0).map(([count, noun]) => `${count} ${noun}${count === 1 ? '' : 's'}`).join(' and ') || 'files that are no backups'
}
