/**
 * demo-plan.ts: what the demo's processes share: the groups found in a real directory tree, the files of its small store, the journal.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Given to every worker as a JSON file. */
export interface DemoPlan {
  readonly tablePath: string
  readonly storeDirectory: string
  readonly groups: readonly DemoGroup[]
}

/** A directory of the tree, backed up as a group; its files are read and hashed for real. */
export interface DemoGroup {
  readonly name: string
  readonly files: readonly string[]
}

/** The small file that is rewritten under the locks. */
export interface DemoManifest {
  readonly group: string
  /** Completed rewrites: what must add up. */
  readonly edits: number
  /** The latest rewrite of each worker, by number: tells whether a killed worker's last one took place. */
  readonly writers: Readonly<Record<string, number>>
  readonly digests: Readonly<Record<string, string>>
}

/** One line of a worker's journal, written before (`begin`) and after (`end`) every rewrite. */
export interface JournalLine {
  readonly kind: 'begin' | 'end' | 'violation'
  readonly worker: string
  readonly edit: number
  readonly group: string
  readonly text?: string
}

/** What a worker tells its parent, now and then and before it works under a lock. */
export interface WorkerNews {
  readonly locks: number
  readonly edits: number
  readonly takeovers: number
  readonly holding: string | undefined
}

const GROUP_LIMIT = 200
const FILES_PER_GROUP = 12
const FILE_BYTES_LIMIT = 256 * 1024

/** Every directory of the first two levels that has files, as a group. */
export function findGroups(root: string): DemoGroup[] {
  const groups: DemoGroup[] = []
  const visit = (directory: string, name: string, depth: number): void => {
    if (groups.length >= GROUP_LIMIT) return
    const entries = readdirSync(directory, { withFileTypes: true })
    const files = entries.filter(entry => entry.isFile()).map(entry => join(directory, entry.name))
      .filter(file => statSync(file).size <= FILE_BYTES_LIMIT).slice(0, FILES_PER_GROUP)
    if (files.length > 0) groups.push({ name: name === '' ? '.' : name, files })
    if (depth === 0) return
    for (const entry of entries) if (entry.isDirectory()) visit(join(directory, entry.name), name === '' ? entry.name : `${name}/${entry.name}`, depth - 1)
  }
  visit(root, '', 2)
  return groups
}

export function groupDirectory(plan: DemoPlan, group: DemoGroup): string {
  return join(plan.storeDirectory, `group-${encodeURIComponent(group.name)}`)
}

/** Where a group's manifest and holder stamp are. */
export function groupFile(plan: DemoPlan, group: DemoGroup, what: 'manifest.json' | 'holder'): string {
  return join(groupDirectory(plan, group), what)
}

export function readManifest(path: string): DemoManifest {
  return JSON.parse(readFileSync(path, 'utf8')) as DemoManifest
}

/** A journal's lines; the last may be cut by the kill that ended it. */
export function readJournal(path: string): JournalLine[] {
  const whole = readFileSync(path, 'utf8').split('\n')
  whole.pop()
  return whole.map(line => JSON.parse(line) as JournalLine)
}
