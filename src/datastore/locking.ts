/**
 * locking.ts: the store's locks. All of the datastore reaches the lock table through here.
 *
 * A Hold is one running operation: it has registered itself, takes what its plan (lock-plan.ts) has, and lets go of everything at once.
 * Names begin with device and inode of the store's root: two paths to one store meet, two stores in one table do not.
 *
 * REGISTRATION. A lock of the space `operation`, named `<store>|<operation>|<start>|<nonce>|<target>`, is taken exclusively, under another
 * nonce if the slot is in use, and then kept shared. So a slot has at most one holder, and its name is that holder's; it ends with its
 * process, and the death of a shared holder leaves no notice. Who scans the slots may miss one that is just being taken, or see a
 * garbled name there. That is harmless for the oldest writer: whoever asks for it has read the clock before, and a writer touches chunks
 * only when it is registered, so all it does is younger than that.
 */
import { existsSync, statfsSync } from 'node:fs'
import { type AbandonedNotice, type LockMode, type TableGuard } from '../lock/guard.js'
import { holdersOf } from '../lock/holders.js'
import { inspectSlot, type SlotReport } from '../lock/inspect.js'
import { slotWord } from '../lock/layout.js'
import type { LockSet } from '../lock/lock-set.js'
import { LockTable, type SpaceOption } from '../lock/table.js'
import { LockTimeoutError } from '../errors.js'
import { digestToHex } from './digest.js'
import { DatastoreError } from './errors.js'
import { CHUNK_WAIT_MS, LOCK_SPACES, type LockRole, OPERATIONS, type OperationName, OPERATION_NAMES, type OperationPlan, type PlannedLock } from './lock-plan.js'

export { LockTable }

const SLOTS: Readonly<Record<(typeof LOCK_SPACES)[number], number>> = { operation: 1024, datastore: 1024, group: 16_384, snapshot: 24_576, manifest: 16_384, chunk: 4096 }

/** The spaces of a store's table: open it with these. 15.5 MiB. */
export const STORE_SPACES: readonly SpaceOption[] = LOCK_SPACES.map(name => ({ name, slots: SLOTS[name] }))

/** Slots that are tried for a registration: with half of all slots in use, one of 64 is free but for one case in 10^19. */
const REGISTRATION_ATTEMPTS = 64

const TMPFS_MAGIC = 0x01021994

const isInMemory = (directory: string): boolean => existsSync(directory) && statfsSync(directory).type === TMPFS_MAGIC

/** Who is in the way. */
export interface LockHolder {
  readonly pid: number
  readonly mode: LockMode
  /** What it does, if that is known. */
  readonly operation: OperationName | undefined
  /** Since when it has the lock. */
  readonly since: Date | undefined
}

/** Something that runs in the store, in whatever process. */
export interface RunningOperation {
  readonly pid: number
  readonly operation: OperationName
  /** To the second. */
  readonly since: Date
  /** A path below the store's root, perhaps cut short. */
  readonly target: string
  /** Its process's number in the table. */
  readonly participant: number
}

/** `LOCK_BUSY`: somebody holds a lock that is needed. */
export class BusyError extends DatastoreError {
  override readonly name: string = 'BusyError'
  readonly holders: readonly LockHolder[]
  /** 0 if it was refused at once, as most operations are unless they are told to wait. */
  readonly waitedMs: number

  constructor(what: string, holders: readonly LockHolder[], waitedMs: number, cause: unknown) {
    const who = holders.map(({ pid, operation, since }) => `${operation ?? 'another operation'} of process ${pid}${since ? ` since ${since.toISOString()}` : ''}`)
    super('LOCK_BUSY', `${what} is in use${who.length > 0 ? `: ${who.join(', ')}` : ''}${waitedMs > 0 ? ` (waited ${waitedMs} ms)` : ''}`, { cause })
    this.holders = holders
    this.waitedMs = waitedMs
  }
}

export interface HoldOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds, in place of the plan's. */
  readonly waitMs?: number | undefined
}

/** What is locked: for each role of the plan the name, a path below the store's root. */
export type RoleNames = Partial<Readonly<Record<LockRole, string | readonly string[]>>>

interface Wanted {
  readonly name: string
  readonly plan: PlannedLock
}

interface Named {
  readonly name: string
  readonly space: string
  readonly mode: LockMode
}

export class StoreLocks {
  readonly table: LockTable
  readonly #prefix: string
  #nonce = 0

  /** @param root  device and inode of the store's root */
  constructor(table: LockTable, root: { readonly device: number; readonly inode: number }) {
    for (const space of LOCK_SPACES) table.space(space) // a RangeError names the one that is missing
    this.table = table
    this.#prefix = `${root.device.toString(16)}:${root.inode.toString(16)}`
  }

  /** The table's default place: one for all stores of a user. In a container /run may be a directory of the disk; root's is in /dev/shm then. */
  static defaultTablePath(): string {
    const isRoot = process.geteuid?.() === 0
    const runtime = isRoot ? ['/run', '/dev/shm'].find(isInMemory) ?? '/run' : process.env['XDG_RUNTIME_DIR']
    if (runtime === undefined || runtime === '') throw new RangeError('options.table must say where the lock table is: there is no $XDG_RUNTIME_DIR')
    return `${runtime}/locktable-store`
  }

  /** Starts an operation: it is registered from now on, and holds nothing yet. */
  begin(operation: OperationName, target: string): Hold {
    return new Hold(this, operation, target, this.#register(operation, target))
  }

  #register(operation: OperationName, target: string): TableGuard {
    const start = Math.floor(Date.now() / 1000).toString(16)
    for (let attempt = 0; attempt < REGISTRATION_ATTEMPTS; attempt++) {
      const nonce = `${this.table.participantNumber.toString(36)}.${(this.#nonce++).toString(36)}`
      const guard = this.table.space('operation').tryLock([this.#prefix, operation, start, nonce, target].join('|').slice(0, 1024))
      if (guard === undefined) continue
      guard.downgrade()
      return guard
    }
    throw new BusyError('the list of running operations', [], 0, undefined)
  }

  /** Everything that runs in this store now, in any process. Takes no lock. Cost: looks at the 1024 slots of one space, not at the whole table. */
  running(): RunningOperation[] {
    this.table.session.ensureUsable()
    const { region } = this.table.session
    const rank = this.table.space('operation').rank
    const shape = region.spaces[rank]
    const found: RunningOperation[] = []
    for (let index = 0; shape !== undefined && index < shape.slotCount; index++) {
      const slot = slotWord(shape.firstWord, index)
      if (holdersOf(region.words, slot).readers.length > 0) found.push(...this.#registered(inspectSlot(region, shape.name, index, slot)))
    }
    return found
  }

  #registered({ name, holders: [holder] }: SlotReport): RunningOperation[] {
    const [prefix, operation, start, , target] = name.split('|')
    if (holder?.state !== 'live' || prefix !== this.#prefix || target === undefined) return []
    if (!(OPERATION_NAMES as readonly string[]).includes(operation ?? '')) return []
    return [{ pid: holder.pid, participant: holder.participant, operation: operation as OperationName, since: new Date(Number.parseInt(start ?? '', 16) * 1000), target }]
  }

  /**
   * When the oldest operation began that inserts chunks, in any process; undefined if there is none. Read the clock before you ask:
   * what is registered after the question is younger than that.
   */
  oldestWriter(): Date | undefined {
    const starts = this.running().filter(({ operation }) => OPERATIONS[operation].isWriter).map(({ since }) => since.getTime())
    return starts.length === 0 ? undefined : new Date(Math.min(...starts))
  }

  /** The lock of the moment in which a chunk is looked at and touched (shared) or removed (exclusive). */
  async lockChunk(digest: Uint8Array, mode: LockMode): Promise<TableGuard> {
    const name = this.nameOf(digestToHex(digest.subarray(0, 2)))
    const handle = this.table.space('chunk').handle(name)
    return handle.tryLock({ mode }) ?? await this.#explained(handle.lock({ mode, timeoutMs: CHUNK_WAIT_MS }), CHUNK_WAIT_MS, [{ space: 'chunk', name, mode }])
  }

  nameOf(path: string): string {
    return `${this.#prefix}/${path}`
  }

  /** Several locks of one space, all or nothing, each slot once, for an operation of ours. @internal */
  async take(asker: Hold, wanted: readonly Wanted[], { signal, waitMs }: HoldOptions): Promise<LockSet> {
    const names = wanted.map(({ name, plan }) => ({ name: this.nameOf(name), space: plan.space, mode: plan.mode }))
    const timeoutMs = waitMs ?? Math.max(...wanted.map(({ plan }) => plan.waitMs))
    return await this.#explained(this.table.lockAll(names, { timeoutMs, signal }), timeoutMs, names, asker)
  }

  async #explained<T>(attempt: Promise<T>, timeoutMs: number, names: readonly Named[], asker?: Hold): Promise<T> {
    try {
      return await attempt
    } catch (error) {
      if (!(error instanceof LockTimeoutError)) throw error
      throw this.#busy(names, timeoutMs === 0 ? 0 : Math.round(error.waitedMs ?? 0), error, asker) // what a try takes is no wait
    }
  }

  #busy(names: readonly Named[], waitedMs: number, cause: LockTimeoutError, asker: Hold | undefined): BusyError {
    const running = this.running()
    const own = running.findIndex(({ participant, operation, target }) =>
      participant === this.table.participantNumber && operation === asker?.operation && target === asker.target)
    if (own >= 0) running.splice(own, 1) // who asks is not in its own way
    for (const { name, space, mode } of names) {
      const { holders, heldMs } = this.table.inspectName(name, space)
      const inTheWay = holders.filter(holder => mode === 'exclusive' || holder.mode === 'exclusive')
      if (inTheWay.length === 0) continue
      const path = name.slice(this.#prefix.length + 1)
      const since = heldMs === undefined ? undefined : new Date(Date.now() - heldMs)
      const explained = inTheWay.map(holder => ({ pid: holder.pid, mode: holder.mode, operation: operationOf(running, holder.participant, path), since }))
      return new BusyError(`${space} ${path}`, explained, waitedMs, cause)
    }
    return new BusyError(names.map(({ name, space }) => `${space} ${name.slice(this.#prefix.length + 1)}`).join(', '), [], waitedMs, cause)
  }
}

/** What a participant does about `path`: the operation whose target it is, or is above or below of. */
function operationOf(running: readonly RunningOperation[], participant: number, path: string): OperationName | undefined {
  const own = running.filter(operation => operation.participant === participant)
  const related = own.find(({ target }) => target.startsWith(path) || path.startsWith(target))
  return (related ?? (own.length === 1 ? own[0] : undefined))?.operation
}

/** One running operation and all its locks. */
export class Hold {
  readonly operation: OperationName
  readonly target: string
  readonly #locks: StoreLocks
  readonly #registration: TableGuard
  readonly #sets: LockSet[] = []
  #released = false

  /** @internal */
  constructor(locks: StoreLocks, operation: OperationName, target: string, registration: TableGuard) {
    this.#locks = locks
    this.operation = operation
    this.target = target
    this.#registration = registration
  }

  /**
   * Takes locks of the operation's plan, all or nothing, in rank order, in addition to those it has.
   *
   * @throws {BusyError} `LOCK_BUSY`: who holds it.
   */
  async take(names: RoleNames, options: HoldOptions = {}): Promise<readonly LockSet[]> {
    const wanted = this.#planned(names)
    const taken: LockSet[] = []
    try {
      for (const space of LOCK_SPACES) {
        const ofSpace = wanted.filter(({ plan }) => plan.space === space)
        if (ofSpace.length > 0) taken.push(await this.#locks.take(this, ofSpace, options))
      }
      if (this.#released) throw new DatastoreError('SESSION_ENDED', `${this.operation} of ${this.target} has ended`)
    } catch (error) {
      for (const set of taken.reverse()) set.release()
      throw error
    }
    this.#sets.push(...taken)
    return taken
  }

  #planned(names: RoleNames): Wanted[] {
    const plan: OperationPlan = OPERATIONS[this.operation]
    return (Object.entries(names) as [LockRole, string | readonly string[]][]).flatMap(([role, name]) => {
      const planned = plan.locks[role]
      if (planned === undefined) throw new Error(`the plan of ${this.operation} has no lock of a ${role}`)
      return [name].flat().map(one => ({ name: one, plan: planned }))
    })
  }

  /** Gives back what one take() took, before the rest. */
  drop(sets: readonly LockSet[]): void {
    for (const set of [...sets].reverse()) {
      const index = this.#sets.indexOf(set)
      if (index >= 0) this.#sets.splice(index, 1)
      set.release()
    }
  }

  /** False once released, or if any lock was broken by force. */
  get isHeld(): boolean {
    return !this.#released && this.#registration.isHeld && this.#sets.every(set => set.isHeld)
  }

  /** What was found of dead predecessors. */
  get abandoned(): readonly AbandonedNotice[] {
    return this.#sets.flatMap(set => [...set.abandoned.values()])
  }

  /** Idempotent. In reverse order, the registration last. */
  release(): void {
    if (this.#released) return
    this.#released = true
    for (const set of this.#sets.reverse()) set.release()
    this.#registration.release()
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
