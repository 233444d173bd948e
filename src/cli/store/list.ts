/**
 * list.ts: `locktable store list`: what is in the store.
 */
import type { Command } from 'commander'
import { type Datastore, formatGroup, type GroupName } from '../../datastore/index.js'
import { EXIT, Refusal } from '../exit-codes.js'
import { duration, json, paint, print, size, table as printTable, visible } from '../output.js'
import { completeCommand } from './command.js'
import { groupOf, namespaceOf, type StoreOptions, withStore } from './common.js'
import { describeGroup, type GroupReport, type SnapshotReport } from './describe.js'

interface ListOptions extends StoreOptions {
  readonly all?: boolean
  readonly snapshots?: boolean
  readonly json?: boolean
}

const HELP = `
Columns:
  SIZE   of what was backed up; in the store, chunks that are the same take
         their place once
  STATE  running: a backup that is being made. unfinished: what a dead one left,
         which the next backup of the group removes. damaged: the manifest is
  KEY    encrypted or signed, with which key

Takes no lock. With --json: one object with repository, and groups with their
snapshots. The status is 65 if a manifest is damaged.

Examples:
  locktable store list
  locktable store list host/web1
  locktable store list --all --json | jq -r '.groups[].snapshots[].snapshot'
`

export function addList(store: Command): void {
  const command = store.command('list')
    .summary('the groups, or the snapshots of one')
    .description('Lists the groups of a namespace; the snapshots of GROUP.')
    .argument('[group]', 'host/NAME')
    .option('-a, --all', 'the namespaces below too')
    .option('-s, --snapshots', 'the snapshots of every group')
    .option('--json', 'for programs')
  completeCommand(command, { help: HELP, exits: { [EXIT.ABSENT]: true }, inNamespace: true }, list)
}

async function list(text: string | undefined, options: ListOptions): Promise<void> {
  const only = text === undefined ? undefined : groupOf(text, options)
  await withStore(options, 'store list', async store => {
    const running = store.running()
    const reports: GroupReport[] = []
    for (const group of await groupsOf(store, only, options)) reports.push(await describeGroup(store, group, running))
    if (options.json) print(json({ repository: store.path, groups: reports }))
    else if (only !== undefined || options.snapshots) print(snapshotTable(reports))
    else print(groupTable(reports))
    if (reports.some(({ snapshots }) => snapshots.some(({ state }) => state === 'damaged'))) process.exitCode = EXIT.DATA
  })
}

async function groupsOf(store: Datastore, only: GroupName | undefined, options: ListOptions): Promise<readonly GroupName[]> {
  const namespace = namespaceOf(options)
  if (only !== undefined) {
    const found = (await store.groups(namespace)).filter(group => formatGroup(group) === formatGroup(only))
    if (found.length === 0) throw new Refusal(`there is no group ${formatGroup(only)}`, EXIT.ABSENT)
    return found
  }
  const groups: GroupName[] = []
  for await (const each of store.namespaces(namespace, options.all ? undefined : 0)) groups.push(...await store.groups(each))
  return groups
}

const withNamespace = (name: string, namespace: string): string => (namespace === '' ? name : `${namespace}: ${name}`)

/** Notes in a table: their first line. */
export function firstLine(notes: string): string {
  const [line = '', ...more] = notes.split('\n')
  return visible(line.length > 40 ? `${line.slice(0, 39)}…` : line) + (more.length > 0 && line.length <= 40 ? ' …' : '')
}

function groupTable(reports: readonly GroupReport[]): string {
  if (reports.length === 0) return 'there are no backups'
  return printTable(['GROUP', 'OWNER', 'SNAPSHOTS', 'LATEST', 'AGE', 'SIZE', 'NOTES'], reports.map(({ namespace, group, owner, notes, snapshots }) => {
    const latest = snapshots.findLast(({ state }) => state === 'finished')
    const others = snapshots.filter(({ state }) => state !== 'finished')
    const count = [String(snapshots.length - others.length), ...new Set(others.map(({ state }) => `${others.filter(other => other.state === state).length} ${stateText(state)}`))]
    return [
      withNamespace(group, namespace), visible(owner ?? '-'), count.join(' + '), latest?.time ?? '-',
      latest === undefined ? '-' : duration(Math.max(0, Date.now() - Date.parse(latest.time))), latest === undefined ? '-' : size(latest.bytes), firstLine(notes),
    ]
  }))
}

export function stateText(state: SnapshotReport['state']): string {
  return state === 'finished' ? state : state === 'running' ? paint.green(state) : state === 'unfinished' ? paint.yellow(state) : paint.red(state)
}

function snapshotTable(reports: readonly GroupReport[]): string {
  const rows = reports.flatMap(({ namespace, snapshots }) => snapshots.map(each => {
    const { running, error } = each
    const state = running ? `${stateText(each.state)}, pid ${running.pid} since ${running.since.slice(0, 19)}Z` : stateText(each.state)
    const files = each.files.map(({ filename }) => filename).join(' ')
    return [
      withNamespace(each.snapshot, namespace), each.state === 'finished' ? size(each.bytes) : '-', each.protected ? `${state}, protected` : state,
      keyText(each), each.verification ?? '-', files || '-', error === undefined ? firstLine(each.notes) : visible(error),
    ]
  }))
  return rows.length === 0 ? 'there are no snapshots' : printTable(['SNAPSHOT', 'SIZE', 'STATE', 'KEY', 'VERIFIED', 'ARCHIVES', 'NOTES'], rows)
}

function keyText({ encrypted, signed, keyFingerprint }: SnapshotReport): string {
  if (!encrypted && !signed) return '-'
  return `${encrypted ? 'encrypted' : 'signed'}${keyFingerprint === undefined ? '' : ` ${visible(keyFingerprint.slice(0, 11))}`}`
}
