/**
 * demo-store-proof.ts: every snapshot that the store lists is restored, and compared with what its directory was; and every backup that had
 * ended is listed.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Datastore, formatSnapshot, restore, type SnapshotName } from '../datastore/index.js'
import { digestOfTree } from './demo-store-tree.js'
import { journalOf, type StorePlan } from './demo-store-worker.js'

export interface StoreProof {
  /** Snapshots that the store lists as finished. */
  readonly listed: number
  readonly restoredBytes: number
  /** Listed, but not what was backed up: in words. */
  readonly wrong: readonly string[]
  /** Their backup had ended, and they are not listed. */
  readonly lost: readonly string[]
  /** Parts of backups that died. */
  readonly unfinished: number
}

const AT_ONCE = 2

export async function proveStore(store: Datastore, plan: StorePlan, show: (done: number, of: number) => void): Promise<StoreProof> {
  const all: SnapshotName[] = []
  let unfinished = 0
  for (const group of await store.groups()) {
    for (const snapshot of await store.snapshots(group)) {
      if ((await store.snapshotFiles(snapshot))?.finished) all.push(snapshot)
      else unfinished++
    }
  }
  const wrong: string[] = []
  let [restoredBytes, done] = [0, 0]
  const queue = [...all]
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let snapshot = queue.shift(); snapshot !== undefined; snapshot = queue.shift()) {
      const [bytes, fault] = await check(store, plan, snapshot)
      restoredBytes += bytes
      if (fault !== undefined) wrong.push(fault)
      show(++done, all.length)
    }
  }))
  const listed = new Set(all.map(formatSnapshot))
  const journal = existsSync(journalOf(plan)) ? readFileSync(journalOf(plan), 'utf8').split('\n').filter(Boolean) : []
  return { listed: all.length, restoredBytes, wrong, lost: journal.filter(name => !listed.has(name)), unfinished }
}

async function check(store: Datastore, plan: StorePlan, snapshot: SnapshotName): Promise<readonly [bytes: number, fault?: string]> {
  const name = formatSnapshot(snapshot)
  const path = join(plan.scratch, 'restored', name)
  mkdirSync(path, { recursive: true })
  try {
    const { bytes, warnings } = await restore(store, snapshot, 'tree.tar.didx', { kind: 'directory', path }, {})
    if (warnings.length > 0) return [bytes, `${name}: ${warnings[0] ?? ''}`]
    return digestOfTree(path) === await store.notes(snapshot) ? [bytes] : [bytes, `${name} is not what was backed up`]
  } catch (error) {
    return [0, `${name} cannot be restored: ${error instanceof Error ? error.message : String(error)}`]
  } finally {
    rmSync(path, { recursive: true, force: true })
  }
}
