/**
 * demo-store-worker.ts: one process of the demo's second act: changes its directory and backs it up, again and again, until it is told to
 * end, or killed.
 *
 * What the directory was is in the notes of the snapshot: its digest, taken before the backup. What was finished is in a journal.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { Datastore, DatastoreError, backUp, formatSnapshot, parseGroup } from '../datastore/index.js'
import { onEnd } from './demo-child.js'
import { changeSomething, digestOfTree } from './demo-store-tree.js'

/** Given to every worker as a JSON file. */
export interface StorePlan {
  readonly repository: string
  readonly tablePath: string
  readonly scratch: string
  /** By worker: its directory. */
  readonly trees: readonly string[]
}

/** What the parent is told. */
export interface Told {
  readonly kind: 'begin' | 'end' | 'busy'
  readonly bytesRead?: number
  readonly bytesStored?: number
}

export const groupNameOf = (worker: number): string => `host/demo-${worker}`
export const journalOf = (plan: StorePlan): string => `${plan.scratch}/journal`

/** One in so many goes to the group of the neighbour, who may be at it. */
const RIVAL = 5

export async function demoStoreWorker(planFile: string, id: string): Promise<void> {
  const plan = JSON.parse(readFileSync(planFile, 'utf8')) as StorePlan
  const worker = Number(id)
  let ending = false
  process.on('SIGINT', () => undefined) // ^C reaches the whole job; the parent tells us when to end
  onEnd(() => {
    ending = true
  })
  const tell = (message: Told): void => {
    if (process.connected) process.send?.(message)
  }
  const store = await Datastore.open(plan.repository, { table: plan.tablePath, syncLevel: 'none', label: `demo ${id}` })
  for (let round = 0; !ending; round++) {
    changeSomething(plan.trees[worker] ?? '')
    const other = round % RIVAL === RIVAL - 1 ? (worker + 1) % plan.trees.length : worker
    await backUpOnce(store, plan, worker, groupNameOf(other), tell)
  }
  await store.close()
  if (process.connected) process.disconnect()
}

async function backUpOnce(store: Datastore, plan: StorePlan, worker: number, groupName: string, tell: (message: Told) => void): Promise<void> {
  const group = parseGroup(groupName)
  const path = plan.trees[worker] ?? ''
  const notes = digestOfTree(path)
  const latest = (await store.snapshots(group)).at(-1)
  tell({ kind: 'begin' })
  try {
    // Several a second: by the clock they would have one name.
    const time = Math.max(Math.floor(Date.now() / 1000), (latest?.time ?? 0) + 1)
    const { snapshot, bytesRead, bytesStored } = await backUp(store, group, [{ kind: 'directory', name: 'tree.tar', path }], { owner: 'demo@pam', time, notes })
    appendFileSync(journalOf(plan), `${formatSnapshot(snapshot)}\n`)
    tell({ kind: 'end', bytesRead, bytesStored })
  } catch (error) {
    // The neighbour is at work on it, or was a moment faster.
    if (!(error instanceof DatastoreError) || !['LOCK_BUSY', 'SNAPSHOT_TOO_OLD'].includes(error.code)) throw error
    tell({ kind: 'busy' })
  }
}
