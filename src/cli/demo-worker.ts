/**
 * demo-worker.ts: one process of the demo: backs up, verifies and prunes groups under the locks, until it is told to end, or killed.
 *
 *                group       snapshot     manifest
 *   backup       shared      exclusive    exclusive, while it is rewritten
 *   verify       shared      shared       shared
 *   prune        exclusive   -            exclusive
 */
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { LockTable } from '../index.js'
import { onEnd } from './demo-child.js'
import { Journal, type Wish } from './demo-journal.js'
import { type DemoGroup, type DemoManifest, type DemoPlan, type DemoSnapshot, manifestPath, readManifest } from './demo-plan.js'
import { Seal } from './demo-seal.js'

export async function demoWorker(planFile: string, worker: string): Promise<void> {
  const plan = JSON.parse(readFileSync(planFile, 'utf8')) as DemoPlan
  const table = await LockTable.open(plan.tablePath, { create: false, requireTmpfs: false, label: `demo ${worker}` })
  const work = new Work(plan, table, worker)
  process.on('SIGINT', () => undefined) // ^C reaches the whole job; the parent tells us when to end
  onEnd(() => {
    work.ending = true
  })
  while (!work.ending) {
    await work.once()
    await new Promise(setImmediate) // locks that are free at once would never let the event loop turn
  }
  work.post(true)
  await table.close()
  if (process.connected) process.disconnect()
}

/** A lock that is held, and its seal. */
interface Hold {
  readonly wish: Wish
  readonly seal: Seal
  release(): boolean
}

class Work {
  ending = false
  readonly #plan: DemoPlan
  readonly #table: LockTable
  readonly #worker: string
  readonly #journal: Journal
  readonly #holds: Hold[] = []
  #wish: Wish | undefined
  #locks = 0
  #edits = 0
  #verified = 0

  constructor(plan: DemoPlan, table: LockTable, worker: string) {
    this.#plan = plan
    this.#table = table
    this.#worker = worker
    this.#journal = new Journal(plan, worker)
  }

  /** One operation of a backup server; a few groups get most of them. */
  async once(): Promise<void> {
    const group = pick(this.#plan.groups, Math.random() ** 3)
    const snapshot = pick(group.snapshots, Math.random())
    const dice = Math.random()
    if (dice < 0.6) await this.#backup(group, snapshot)
    else if (dice < 0.9) await this.#verify(group, snapshot)
    else await this.#prune(group)
    while (this.#holds.length > 0) this.#unlock()
  }

  async #backup(group: DemoGroup, snapshot: DemoSnapshot): Promise<void> {
    await this.#lock({ space: 'group', name: group.name, exclusive: false })
    await this.#lock({ space: 'snapshot', name: snapshot.name, exclusive: true })
    const digests = Object.fromEntries(snapshot.files.map(file => [file, digestOf(file)]))
    await this.#lock({ space: 'manifest', name: group.name, exclusive: true })
    this.#rewrite(group, before => ({ ...before.digests, ...digests }))
  }

  async #verify(group: DemoGroup, snapshot: DemoSnapshot): Promise<void> {
    await this.#lock({ space: 'group', name: group.name, exclusive: false })
    await this.#lock({ space: 'snapshot', name: snapshot.name, exclusive: false })
    await this.#lock({ space: 'manifest', name: group.name, exclusive: false })
    const { digests } = readManifest(this.#plan, group.name)
    for (const file of snapshot.files) {
      if (digests[file] !== undefined && digests[file] !== digestOf(file)) this.#violation(`the digest of ${file} is wrong`)
    }
    this.#verified++
  }

  async #prune(group: DemoGroup): Promise<void> {
    await this.#lock({ space: 'group', name: group.name, exclusive: true })
    await this.#lock({ space: 'manifest', name: group.name, exclusive: true })
    this.#rewrite(group, before => Object.fromEntries(Object.entries(before.digests).slice(1)))
  }

  /** A read-modify-write of a real file, put in place by rename. */
  #rewrite(group: DemoGroup, change: (before: DemoManifest) => DemoManifest['digests']): void {
    const edit = ++this.#edits
    const path = manifestPath(this.#plan, group.name)
    this.#journal.append({ kind: 'begin', edit, group: group.name })
    const before = readManifest(this.#plan, group.name)
    const after: DemoManifest = {
      group: group.name, edits: before.edits + 1, writers: { ...before.writers, [this.#worker]: edit }, digests: change(before),
    }
    // Under the lock one name for the unfinished file would do. Without it, one of each worker's own keeps the failure to the counters.
    const unfinished = `${path}.${this.#plan.withoutLocks ? this.#worker : 'new'}`
    writeFileSync(unfinished, JSON.stringify(after))
    renameSync(unfinished, path)
    this.#journal.append({ kind: 'end', edit, group: group.name })
  }

  async #lock(wish: Wish): Promise<void> {
    this.#wish = wish
    this.post(false)
    const guard = await this.#acquire(wish)
    if (guard.abandoned !== undefined) {
      const { pid = 0 } = guard.abandoned
      if (wish.exclusive) this.#journal.append({ kind: 'takeover', pid, space: wish.space, name: wish.name, at: process.hrtime.bigint().toString() })
    }
    const token = `${this.#worker} #${++this.#locks} ${wish.space} ${wish.name}`
    const seal = Seal.enter(this.#plan, wish, token, guard.abandoned !== undefined, this.#violation)
    this.#holds.push({ wish, seal, release: () => guard.release() })
    this.#wish = undefined
    this.post(true)
  }

  async #acquire({ space, name, exclusive }: Wish): Promise<{ readonly abandoned: { readonly pid: number | undefined } | undefined; release(): boolean }> {
    if (this.#plan.withoutLocks) return { abandoned: undefined, release: () => true }
    return await this.#table.space(space).lock(name, { mode: exclusive ? 'exclusive' : 'shared' })
  }

  #unlock(): void {
    const hold = this.#holds.pop()
    hold?.seal.leave(this.#violation)
    if (hold?.release() === false) this.#violation(`${hold.wish.space} ${hold.wish.name} was lost while it was held`)
    this.post(true)
  }

  readonly #violation = (text: string): void => {
    this.#journal.append({ kind: 'violation', text })
  }

  post(inside: boolean): void {
    const wishes = this.#holds.map(hold => hold.wish)
    if (this.#wish !== undefined) wishes.push(this.#wish)
    this.#journal.post({ locks: this.#locks, edits: this.#edits, verified: this.#verified, wishes, inside })
  }
}

function pick<T>(from: readonly T[], where: number): T {
  const found = from[Math.floor(where * from.length)]
  if (found === undefined) throw new Error('there is nothing to pick from')
  return found
}

export function digestOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}
