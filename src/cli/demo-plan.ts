/**
 * demo-plan.ts: what the demo's processes share: the groups found in a real directory tree, and the files of the small store about them.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** The demo's lockspaces, in rank order. */
export const SPACES = ['group', 'snapshot', 'manifest'] as const
export type SpaceName = (typeof SPACES)[number]

/** Given to every worker as a JSON file. */
export interface DemoPlan {
  readonly tablePath: string
  readonly storeDirectory: string
  readonly groups: readonly DemoGroup[]
  /** To see that the proof fails without locks. */
  readonly withoutLocks: boolean
}

/** A directory of the tree, for instance a package of node_modules, backed up as a group. */
export interface DemoGroup {
  readonly name: string
  readonly snapshots: readonly DemoSnapshot[]
}

/** Some of its files, which are read and hashed for real. */
export interface DemoSnapshot {
  readonly name: string
  readonly files: readonly string[]
}

const GROUP_LIMIT = 120
const SNAPSHOT_LIMIT = 4
const SNAPSHOT_FILES = 4
const FILE_BYTES_LIMIT = 64 * 1024
const DEPTH_LIMIT = 3

/** Every directory of the tree's first level (`@scope/name` counts as one) that has files somewhere. */
export function findGroups(root: string): DemoGroup[] {
  const groups: DemoGroup[] = []
  const add = (directory: string, name: string): void => {
    const files = findFiles(directory, DEPTH_LIMIT, SNAPSHOT_LIMIT * SNAPSHOT_FILES)
    if (files.length === 0 || groups.length >= GROUP_LIMIT) return
    const snapshots: DemoSnapshot[] = []
    for (let i = 0; i < files.length; i += SNAPSHOT_FILES) snapshots.push({ name: `${name}/${snapshots.length}`, files: files.slice(i, i + SNAPSHOT_FILES) })
    groups.push({ name, snapshots })
  }
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    const path = join(root, entry.name)
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue
    if (!entry.name.startsWith('@')) add(path, entry.name)
    else for (const inner of directoriesOf(path)) add(join(path, inner), `${entry.name}/${inner}`)
  }
  if (groups.length === 0) add(root, '.')
  return groups
}

function directoriesOf(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).filter(entry => entry.isDirectory()).map(entry => entry.name)
}

/** Small regular files, those of the directory itself first. What may not be read is left out. */
function findFiles(directory: string, depth: number, limit: number): string[] {
  const files: string[] = []
  const below: string[] = []
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name)
      if (entry.isDirectory()) below.push(path)
      else if (entry.isFile() && files.length < limit && statSync(path).size <= FILE_BYTES_LIMIT) files.push(path)
    }
  } catch {
    return files
  }
  for (const path of depth > 0 ? below : []) {
    if (files.length >= limit) break
    files.push(...findFiles(path, depth - 1, limit - files.length))
  }
  return files
}

/** The small file that is rewritten under the locks. */
export interface DemoManifest {
  readonly group: string
  /** Rewrites so far: what must add up. */
  readonly edits: number
  /** The latest rewrite of each worker, by its number: tells whether a killed worker's last one took place. */
  readonly writers: Readonly<Record<string, number>>
  /** SHA-256 of files, as the latest backup found them. */
  readonly digests: Readonly<Record<string, string>>
}

export function manifestPath(plan: DemoPlan, group: string): string {
  return join(plan.storeDirectory, `manifest-${encodeURIComponent(group)}.json`)
}

export function readManifest(plan: DemoPlan, group: string): DemoManifest {
  return JSON.parse(readFileSync(manifestPath(plan, group), 'utf8')) as DemoManifest
}
