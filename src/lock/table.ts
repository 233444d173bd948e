/**
 * table.ts: the lock table as a program sees it.
 */
import { unlinkSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { checkBoolean, checkInteger, checkOneOf, checkOptions, checkPath, checkSignal, checkString, checkTimeoutMs } from '../check.js'
import { LockError } from '../errors.js'
import type { Finding } from './audit.js'
import type { TableGuard } from './guard.js'
import type { LockHandle } from './handle.js'
import type { LockName } from './hash.js'
import { type SlotReport, type TableReport, inspectRegion } from './inspect.js'
import { HEADER, PARTICIPANT_LIMIT, ROSTER_LOCK_BYTE, SLOT_COUNT_LIMIT, SPACE_LIMIT, SPACE_NAME_BYTES } from './layout.js'
import type { LockOptions, LockSyncOptions, TryLockOptions } from './lock-options.js'
import { type LockSet, type NamedLock, lockPlanned, planLocks } from './lock-set.js'
import { type CheckOptions, TableObserver, check, checkParticipantNumber, inspectName, spaceNamed } from './observer.js'
import { type Region, type RegionOptions, ioError, isStillNamed, openRegion } from './region.js'
import { Session } from './session.js'
import { LockSpace } from './space.js'
import { type WebLockCallback, type WebLockOptions, type WebLockSnapshot, WebLocks } from './web-locks.js'

export interface SpaceOption {
  readonly name: string
  /** Slots, 1 to 2^22; 256 bytes each. Default: 16384, or fewer so that the file has at most 16 MiB. */
  readonly slots?: number | undefined
}

export interface OpenOptions {
  /**
   * The lockspaces in rank order. A new file is made with these (default: one, `default`); an existing one must have just these, if
   * the option is given.
   */
  readonly spaces?: readonly (string | SpaceOption)[] | undefined
  /** Make the file if it is missing. Default true. */
  readonly create?: boolean | undefined
  /** Fail with `TABLE_EXISTS` if it is there. Default false. */
  readonly exclusive?: boolean | undefined
  /** Permissions of a new file, whatever the umask. Default 0o600. */
  readonly fileMode?: number | undefined
  /** Refuse a file system that outlives the boot and writes to disk. Default true. */
  readonly requireTmpfs?: boolean | undefined
  /** A user besides root and ourselves whose file is trusted: it could truncate the file under us, which kills the process. */
  readonly ownerUid?: number | undefined
  /** What `status` calls this process, at most 28 bytes. Default: the script's name. */
  readonly label?: string | undefined
  /** Watch the file (inotify) and fail loudly when it is removed or replaced. Default true. */
  readonly watch?: boolean | undefined
  /** Warn, with the place where it was taken, of every guard that is garbage-collected unreleased. Slow. Default false. */
  readonly traceGuards?: boolean | undefined
}

const OPEN_KEYS = ['spaces', 'create', 'exclusive', 'fileMode', 'requireTmpfs', 'ownerUid', 'label', 'watch', 'traceGuards'] as const

export class LockTable {
  readonly #session: Session
  readonly #spaces: readonly LockSpace[]
  readonly #webLocks: WebLocks

  private constructor(session: Session) {
    this.#session = session
    let firstIndex = 0
    this.#spaces = session.region.spaces.map((shape, rank) => {
      const space = new LockSpace(this, session, shape, rank, firstIndex)
      firstIndex += shape.slotCount
      return space
    })
    this.#webLocks = new WebLocks(session, this.#first)
  }

  /**
   * Opens the table at `path`, making it if need be, and joins it. Each opening is a participant of its own, in the same process or in
   * another: two openings exclude each other.
   *
   * @throws {LockError} `TABLE_…` (errors.ts says which), `NATIVE_MISSING`
   * Cost: about a millisecond, most of it for a new file; then one thread and one inotify watch until close().
   */
  static open(path: string, options?: OpenOptions): Promise<LockTable> {
    try {
      return Promise.resolve(LockTable.openSync(path, options))
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /** As open(), which does not wait for anything either. */
  static openSync(path: string, options?: OpenOptions): LockTable {
    const checked = checkOptions(options, OPEN_KEYS, 'options')
    const label = checkString(checked.label ?? basename(process.argv[1] ?? 'node'), 'options.label')
    const region = checkRegionOptions(checked)
    const watch = checkBoolean(checked.watch ?? true, 'options.watch')
    const trace = checkBoolean(checked.traceGuards ?? false, 'options.traceGuards')
    return new LockTable(new Session(resolve(checkPath(path, 'path')), region, label, watch, trace))
  }

  /**
   * Looks at a table from outside, without joining it: no lock can be taken, and no place among its participants is needed.
   * @throws {LockError} every refusal of open() but `TABLE_FULL`
   * Cost: maps the file, until close().
   */
  static observe(path: string, options?: Pick<OpenOptions, 'ownerUid' | 'requireTmpfs'>): TableObserver {
    return new TableObserver(openExisting(path, options))
  }

  /**
   * Removes a table that nobody uses.
   * @throws {LockError} `TABLE_BUSY` while participants live, and every refusal of open()
   */
  static async remove(path: string, options?: Pick<OpenOptions, 'ownerUid' | 'requireTmpfs'>): Promise<void> {
    await Promise.resolve()
    const region = openExisting(path, options)
    try {
      ensureDeserted(region) // twice: whoever joins is not disturbed by a removal that comes to nothing
      if (!region.native.lockByte(ROSTER_LOCK_BYTE, true)) throw new LockError('TABLE_BUSY', `somebody is joining or removing ${path}`, { path: region.path })
      ensureDeserted(region)
      if (!isStillNamed(region)) throw new LockError('TABLE_GONE', `${path} was replaced meanwhile`, { path: region.path })
      unlinkSync(region.path)
      Atomics.store(region.words, HEADER.RETIRED, 1)
    } catch (cause) {
      throw cause instanceof LockError ? cause : ioError(`cannot remove ${path}`, region.path, cause)
    } finally {
      region.native.close()
    }
  }

  get path(): string {
    return this.#session.region.path
  }

  /** Drawn when the file was made: with a guard's version it makes a fencing token that no other table repeats. */
  get epoch(): bigint {
    return this.#session.region.epoch
  }

  /** Our number among the participants. */
  get participantNumber(): number {
    return this.#session.participant.number
  }

  /** Why the table cannot be used any more, if so. */
  get failure(): LockError | undefined {
    return this.#session.failure
  }

  get spaces(): readonly LockSpace[] {
    return this.#spaces
  }

  /** @throws {RangeError} the table has no such space */
  space(name: string): LockSpace {
    return spaceNamed(this.#spaces, name, this.path)
  }

  get #first(): LockSpace {
    const [first] = this.#spaces
    if (first === undefined) throw new Error('a table has at least one space')
    return first
  }

  /** Names of the first space; see LockSpace for others. */
  handle(name: LockName): LockHandle {
    return this.#first.handle(name)
  }

  /** See LockHandle.lock. */
  lock(name: LockName, options?: LockOptions): Promise<TableGuard> {
    return this.#first.lock(name, options)
  }

  /** See LockHandle.tryLock. */
  tryLock(name: LockName, options?: TryLockOptions): TableGuard | undefined {
    return this.#first.tryLock(name, options)
  }

  /** See LockHandle.lockSync. */
  lockSync(name: LockName, options?: LockSyncOptions): TableGuard {
    return this.#first.lockSync(name, options)
  }

  /**
   * Locks several names, of one space or several, all or nothing: sorted by rank and slot, each slot once. Callers that take all
   * their locks in one such call cannot deadlock.
   *
   * @param names  names of the first space, or `{ name, space, mode }`
   * @param options.mode  for names without one; the time-out is for all together
   */
  async lockAll(names: readonly (LockName | NamedLock)[], options: LockOptions = {}): Promise<LockSet> {
    checkOptions(options, ['mode', 'timeoutMs', 'signal', 'holding'], 'options')
    if (options.mode !== undefined) checkOneOf(options.mode, ['exclusive', 'shared'], 'options.mode')
    if (options.timeoutMs !== undefined && options.timeoutMs !== Infinity) checkTimeoutMs(options.timeoutMs, 'options.timeoutMs')
    if (options.signal !== undefined) checkSignal(options.signal, 'options.signal')
    const plan = planLocks(names, options.mode ?? 'exclusive', (space, name) => (space === undefined ? this.#first : this.space(space)).handle(name))
    return await lockPlanned(this.#session, plan, options)
  }

  /**
   * The Web Locks API's request over the table's first space: the callback runs when the lock is granted, and holds it until what it
   * returns has settled. See web-locks.ts for what differs from a browser's.
   */
  request<T>(name: string, callback: WebLockCallback<T>): Promise<Awaited<T>>
  request<T>(name: string, options: WebLockOptions, callback: WebLockCallback<T>): Promise<Awaited<T>>
  request(...args: readonly unknown[]): Promise<unknown> {
    return this.#webLocks.request(args)
  }

  /** The Web Locks API's snapshot: who holds and waits for what, in all processes. */
  query(): Promise<WebLockSnapshot> {
    try {
      return Promise.resolve(this.#webLocks.query())
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /** The whole table: participants, holds, waits, who waits for whom. */
  inspect(): TableReport {
    this.#session.ensureUsable()
    return inspectRegion(this.#session.region)
  }

  /** The slot of one name of a space (default: the first), in use or not. */
  inspectName(name: LockName, space?: string): SlotReport {
    this.#session.ensureUsable()
    return inspectName(this.#session.region, name, space)
  }

  /**
   * Looks for invariants of the file that do not hold: damage, or somebody who has stopped in the middle of a step. Looks twice, and finds only
   * what stays. Takes no lock, changes nothing.
   *
   * @param options.settleMs  Milliseconds between the looks, 0 … 2^31-1. Default: 100.
   * @returns nothing, as a rule
   * Cost: 200 ns a slot, twice, on the event loop.
   */
  async check(options?: CheckOptions): Promise<Finding[]> {
    const { region, participant } = this.#session
    return await check(region, participant.number, options, () => {
      this.#session.ensureUsable()
    })
  }

  /**
   * An operator's forced break: the participant counts as dead from now on, its holds go to the next with a notice. It is told, and all
   * it does is refused; but code that it runs under a lock at this moment runs on.
   * @returns false if there is no such live participant
   */
  evict(participantNumber: number): boolean {
    return this.#session.evict(checkParticipantNumber(participantNumber))
  }

  /** True while a lock of this opening is held. */
  get holdsAnything(): boolean {
    return this.#session.waiters.holdsAnything
  }

  /**
   * Leaves the table. Waiting requests are refused with `TABLE_CLOSED`. Guards that were not released are lost: the next holder of each
   * finds it abandoned. Idempotent.
   */
  close(): Promise<void> {
    try {
      this.#session.close()
      return Promise.resolve()
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** For the parts of the library that stand on the table. @internal */
  get session(): Session {
    return this.#session
  }
}

function openExisting(path: string, options: Pick<OpenOptions, 'ownerUid' | 'requireTmpfs'> | undefined): Region {
  const checked = checkOptions(options, ['ownerUid', 'requireTmpfs'], 'options')
  return openRegion(resolve(checkPath(path, 'path')), checkRegionOptions({ requireTmpfs: false, ...checked, create: false }))
}

/** @throws {LockError} `TABLE_BUSY` while participants live */
function ensureDeserted({ native, path }: Region): void {
  let living = 0
  for (let number = 1; number < PARTICIPANT_LIMIT; number++) if (native.isByteHeld(number)) living++
  if (living > 0) throw new LockError('TABLE_BUSY', `${path} has ${living} live participants`, { path })
}

function checkRegionOptions(options: OpenOptions): RegionOptions {
  return {
    spaces: options.spaces === undefined ? undefined : checkSpaces(options.spaces),
    create: checkBoolean(options.create ?? true, 'options.create'),
    exclusive: checkBoolean(options.exclusive ?? false, 'options.exclusive'),
    fileMode: checkInteger(options.fileMode ?? 0o600, 'options.fileMode', 0, 0o777),
    requireTmpfs: checkBoolean(options.requireTmpfs ?? true, 'options.requireTmpfs'),
    ownerUid: options.ownerUid === undefined ? undefined : checkInteger(options.ownerUid, 'options.ownerUid', 0, 2 ** 32 - 2),
  }
}

function checkSpaces(spaces: readonly (string | SpaceOption)[]): { name: string; slots: number | undefined }[] {
  if (!Array.isArray(spaces)) throw new TypeError('options.spaces must be an array')
  if (spaces.length < 1 || spaces.length > SPACE_LIMIT) throw new RangeError(`options.spaces must name 1 to ${SPACE_LIMIT} spaces`)
  const checked = (spaces as readonly (string | SpaceOption)[]).map((space, i) => {
    const what = `options.spaces[${i}]`
    const { name, slots } = typeof space === 'string' ? { name: space, slots: undefined } : checkOptions(space, ['name', 'slots'], what)
    checkString(name, `${what}.name`)
    const bytes = Buffer.byteLength(name)
    if (bytes < 1 || bytes > SPACE_NAME_BYTES) throw new RangeError(`${what}.name must have 1 to ${SPACE_NAME_BYTES} bytes`)
    return { name, slots: slots === undefined ? undefined : checkInteger(slots, `${what}.slots`, 1, SLOT_COUNT_LIMIT) }
  })
  if (new Set(checked.map(space => space.name)).size !== checked.length) throw new RangeError('options.spaces must not name a space twice')
  return checked
}
