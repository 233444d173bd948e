/**
 * demo-worker.ts: one process of the demo: backs up, verifies and prunes groups under the locks, until it is told to end, or killed.
 */
import { createHash } from 'node:crypto'
import { openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { LockTable, type TableGuard } from '../index.js'
import { type DemoGroup, type DemoManifest, type DemoPlan, type JournalLine, type WorkerNews, groupFile, readManifest } from './demo-plan.js'

export async function demoWorker(planFile: string, worker: string): Promise<void> {
  const plan = JSON.parse(readFileSync(planFile, 'utf8')) as DemoPlan
  const table = await LockTable.open(plan.tablePath, { create: false, requireTmpfs: false, label: `demo ${worker}` })
  const work = new Work(plan, table, worker)
  process.on('message', () => {
    work.ending = true
  })
  while (!work.ending) {
    await work.once()
    await new Promise(setImmediate) // locks that are free at once would never let the event loop turn
  }
  work.report(undefined)
  await table.close()
  process.disconnect?.()
}

class Work {
  ending = false
  readonly #plan: DemoPlan
  readonly #table: LockTable
  readonly #worker: string
  readonly #journal: number
  #locks = 0
  #edits = 0
  #takeovers = 0

  constructor(plan: DemoPlan, table: LockTable, worker: string) {
    this.#plan = plan
    this.#table = table
    this.#worker = worker
    this.#journal = openSync(join(plan.storeDirectory, `journal-${worker}`), 'a')
  }

  /** One operation of a backup server on a group; a few groups get most of them. */
  async once(): Promise<void> {
    const group = this.#plan.groups[Math.floor(Math.random() ** 3 * this.#plan.groups.length)]
    if (group === undefined) throw new Error('the plan has no groups')
    const dice = Math.random()
    if (dice < 0.6) await this.#backup(group)
    else if (dice < 0.9) await this.#verify(group)
    else await this.#prune(group)
  }

  async #backup(group: DemoGroup): Promise<void> {
    const shared = await this.#lock('group', group.name, 'shared')
    const snapshot = await this.#lock('snapshot', `${group.name}/${Math.floor(Math.random() * 4)}`, 'exclusive')
    const file = group.files[Math.floor(Math.random() * group.files.length)] ?? ''
    const digest = createHash('sha256').update(readFileSync(file)).digest('hex')
    const manifest = await this.#lock('manifest', group.name, 'exclusive')
    this.#edit(group, manifest, before => ({ ...before.digests, [file]: digest }))
    manifest.release()
    snapshot.release()
    shared.release()
  }

  async #verify(group: DemoGroup): Promise<void> {
    const shared = await this.#lock('group', group.name, 'shared')
    const manifest = await this.#lock('manifest', group.name, 'shared')
    const path = groupFile(this.#plan, group, 'manifest.json')
    const [first, second] = [readManifest(path), readManifest(path)]
    if (first.edits !== second.edits) this.#write({ kind: 'violation', text: 'the manifest changed under a shared lock', edit: 0, group: group.name })
    manifest.release()
    shared.release()
  }

  async #prune(group: DemoGroup): Promise<void> {
    const exclusive = await this.#lock('group', group.name, 'exclusive')
    const manifest = await this.#lock('manifest', group.name, 'exclusive')
    this.#edit(group, manifest, before => Object.fromEntries(Object.entries(before.digests).slice(1)))
    manifest.release()
    exclusive.release()
  }

  async #lock(space: string, name: string, mode: 'shared' | 'exclusive'): Promise<TableGuard> {
    const guard = await this.#table.space(space).lock(name, { mode })
    this.#locks++
    if (guard.abandoned !== undefined) this.#takeovers++
    return guard
  }

  /** Rewrites the manifest, with a stamp that shows any second holder, and a line in the journal before and after. */
  #edit(group: DemoGroup, guard: TableGuard, change: (before: DemoManifest) => Readonly<Record<string, string>>): void {
    const edit = ++this.#edits
    const stamp = groupFile(this.#plan, group, 'holder')
    const token = `${this.#worker} ${edit}`
    const found = readFileSync(stamp, 'utf8')
    if (found !== '' && guard.abandoned === undefined) this.#write({ kind: 'violation', text: `entered beside ${found}`, edit, group: group.name })
    writeFileSync(stamp, token)
    this.report(group.name)
    this.#write({ kind: 'begin', edit, group: group.name })
    const path = groupFile(this.#plan, group, 'manifest.json')
    const before = readManifest(path)
    const after: DemoManifest = {
      group: group.name, edits: before.edits + 1, writers: { ...before.writers, [this.#worker]: edit }, digests: change(before),
    }
    writeFileSync(`${path}.new`, JSON.stringify(after))
    renameSync(`${path}.new`, path)
    this.#write({ kind: 'end', edit, group: group.name })
    if (readFileSync(stamp, 'utf8') !== token) this.#write({ kind: 'violation', text: 'another holder came in', edit, group: group.name })
    writeFileSync(stamp, '')
  }

  #write(line: Omit<JournalLine, 'worker'>): void {
    writeSync(this.#journal, `${JSON.stringify({ ...line, worker: this.#worker })}\n`)
  }

  report(holding: string | undefined): void {
    const news: WorkerNews = { locks: this.#locks, edits: this.#edits, takeovers: this.#takeovers, holding }
    process.send?.(news)
  }
}

