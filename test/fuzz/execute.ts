/**
 * execute.ts: one execution: a damaged file, opened twice, and everything done to it that the library offers.
 *
 * ORACLES  Whatever is refused is refused by a LockError. While the file is not changed under its users (kind `rest`), two of them never
 * hold a name at once. No crash and no hang: the parent watches for those.
 */
import { closeSync, openSync, unlinkSync, writeFileSync, writeSync } from 'node:fs'
import { inspect } from 'node:util'
import { LockError, type LockMode, type LockSpace, LockTable } from '../../src/index.js'
import { TableGuard } from '../../src/lock/guard.js'
import { NAMES } from './corpus.js'
import { type Part, type Random, below, mutate, pick, resize } from './mutate.js'

export interface Outcome {
  /** `rest`: changed before it was opened; `live`: while it was in use. */
  readonly kind: 'rest' | 'live'
  readonly opened: boolean
  readonly fault: string | undefined
}

const PARTS: readonly Part[] = ['header', 'participants', 'slots', 'slots', 'anything']

/** Operations take part in this: what came of the last one, so that a fault can say where it was. */
class Run {
  readonly random: Random
  readonly guards = new Set<TableGuard>()
  readonly trace: (text: string) => void
  fault: string | undefined
  #doing = ''

  constructor(random: Random, trace: (text: string) => void) {
    this.random = random
    this.trace = trace
  }

  async attempt<T>(what: string, action: () => T | Promise<T>): Promise<T | undefined> {
    this.#doing = what
    this.trace(what)
    try {
      return await action()
    } catch (error) {
      this.trace(String(error))
      if (!(error instanceof LockError)) this.blame(inspect(error))
      return undefined
    }
  }

  blame(what: string): void {
    this.fault ??= `${this.#doing}: ${what}`
  }
}

export async function execute(path: string, corpus: readonly Buffer[], random: Random, trace: (text: string) => void): Promise<Outcome> {
  const kind = random() < 0.6 ? 'rest' : 'live'
  const image = Buffer.from(pick(random, corpus))
  if (kind === 'rest') {
    const part = pick(random, PARTS)
    for (let count = 1 + below(random, pick(random, [1, 3, 20])); count > 0; count--) {
      const { offset, bytes } = mutate(random, part, image)
      bytes.copy(image, offset)
      trace(`word ${offset / 4}: ${bytes.toString('hex')}`)
    }
  }
  writeFileSync(path, kind === 'rest' && random() < 0.05 ? resize(random, image) : image, { mode: 0o600 })
  const run = new Run(random, trace)
  const file = openSync(path, 'r+')
  const tables: LockTable[] = []
  try {
    for (const label of ['one', 'two']) {
      const table = await run.attempt('open', () => LockTable.open(path, { create: false, watch: random() < 0.2, label }))
      if (table !== undefined) tables.push(table)
    }
    for (let count = 12; count > 0 && tables.length > 0 && run.fault === undefined; count--) {
      if (kind === 'live' && random() < 0.7) {
        const { offset, bytes } = mutate(random, pick(random, PARTS), image)
        trace(`word ${offset / 4}: ${bytes.toString('hex')}`)
        writeSync(file, bytes, 0, bytes.length, offset)
      }
      await operate(run, pick(random, tables))
      if (kind === 'rest') checkExclusion(run)
    }
  } finally {
    closeSync(file)
    for (const guard of run.guards) await run.attempt('release', () => guard.release())
    for (const table of tables) await run.attempt('close', () => table.close())
    await run.attempt('remove', () => LockTable.remove(path))
    unlinkQuietly(path)
  }
  return { kind, opened: tables.length > 0, fault: run.fault }
}

interface Call {
  readonly table: LockTable
  readonly space: LockSpace
  readonly name: string
  readonly mode: LockMode
  readonly timeoutMs: number
  /** One of the guards, if there are any. */
  readonly held: TableGuard | undefined
}

/** The public interface. A guard that is returned is kept. */
const OPERATIONS: Readonly<Record<string, (call: Call) => unknown>> = {
  inspect: ({ table }) => {
    const report = table.inspect()
    return report.createdAt.toISOString() + JSON.stringify(report, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
  },
  inspectName: ({ table, name, space }) => table.inspectName(name, space.name),
  tryLock: ({ space, name, mode }) => space.tryLock(name, { mode }),
  lock: ({ space, name, mode, timeoutMs }) => space.lock(name, { mode, timeoutMs }),
  lockSync: ({ space, name, mode, timeoutMs }) => space.lockSync(name, { mode, timeoutMs }),
  lockAll: async ({ table, space, mode, timeoutMs }) => {
    const set = await table.lockAll(NAMES.map(name => ({ name, space: space.name })), { mode, timeoutMs })
    return set.release()
  },
  check: async ({ table }) => JSON.stringify(await table.check({ settleMs: 1 })),
  query: ({ table }) => table.query(),
  version: ({ space, name }) => space.handle(name).changedSince(space.handle(name).version),
  request: ({ table, name, mode }) => table.request(name, { ifAvailable: true, mode }, () => undefined),
  evict: ({ table, name }) => table.evict(1 + name.length * 2),
  'what the guard says': ({ held }) => [held?.abandoned?.foundAt?.getTime(), held?.version, held?.isHeld, held?.signal.aborted],
  upgrade: ({ held }) => held?.isHeld && held.upgrade(),
  downgrade: ({ held }) => {
    if (held?.isHeld) held.downgrade()
  },
  release: ({ held }) => held?.release(),
}

async function operate(run: Run, table: LockTable): Promise<void> {
  const { random } = run
  const what = pick(random, [...Object.keys(OPERATIONS), 'tryLock', 'lock', 'lock'])
  const call = {
    table, space: pick(random, table.spaces), name: pick(random, NAMES), mode: pick(random, ['exclusive', 'shared'] as const), timeoutMs: pick(random, [0, 1, 2, 5]),
    held: pick(random, [...run.guards, undefined]),
  }
  const result = await run.attempt(what, () => OPERATIONS[what]!(call))
  if (result instanceof TableGuard) run.guards.add(result)
  if (what === 'release' && call.held !== undefined) run.guards.delete(call.held)
}

function checkExclusion({ guards, blame }: Run): void {
  const inside = [...guards].filter(guard => guard.isHeld)
  for (const guard of inside) {
    const beside = inside.find(other => other !== guard && other.handle.slot === guard.handle.slot && (other.mode === 'exclusive' || guard.mode === 'exclusive'))
    if (beside !== undefined) blame(`${guard.mode} and ${beside.mode} holders of ${String(guard.name)} and ${String(beside.name)} at once`)
  }
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Removed in good order.
  }
}
