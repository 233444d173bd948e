/**
 * web-locks.ts: the Web Locks API (https://w3c.github.io/web-locks/) over a lock table: `request` and `query` as `navigator.locks` has them,
 * between the processes that share the table.
 *
 * The same: arguments and the order in which they are checked, the kinds of errors, order of service within a process, `ifAvailable`,
 * `steal`, `signal`, the lock's lifetime (until the callback's promise settles), snapshots.
 * Not the same, because a table is not one browser: between processes there is no first come, first served, only bounded overtaking; names
 * that share a slot share a lock (an `ifAvailable` request may miss because of one, a snapshot shows the slot's latest name for other
 * processes); names longer than 1024 code units are refused with a QuotaExceededError; `steal` takes a lock of the same
 * name wherever it is, but waits, in front of the queue, for the holder of another name in its slot. A lost table rejects requests
 * with its LockError.
 */
import { LockError } from '../errors.js'
import type { AbandonedNotice, LockMode, TableGuard } from './guard.js'
import { NAME_LIMIT } from './hash.js'
import { MODE_EXCLUSIVE, SLOT } from './layout.js'
import { inspectRegion } from './inspect.js'
import type { LockSpace } from './space.js'
import type { Session } from './session.js'

export interface WebLock {
  readonly name: string
  readonly mode: LockMode
  /** Not of the Web Locks API: the last exclusive holder died. Only there if it did. */
  readonly abandoned?: AbandonedNotice
}

export interface WebLockOptions {
  readonly mode?: LockMode
  readonly ifAvailable?: boolean
  readonly steal?: boolean
  readonly signal?: AbortSignal
}

export type WebLockCallback<T> = (lock: WebLock | null) => T

export interface WebLockInfo {
  readonly name: string
  readonly mode: LockMode
  /** `pid-participant`: one for each opening of the table. */
  readonly clientId: string
}

export interface WebLockSnapshot {
  readonly held: WebLockInfo[]
  readonly pending: WebLockInfo[]
}

interface Checked {
  readonly mode: LockMode
  readonly ifAvailable: boolean
  readonly steal: boolean
  readonly signal: AbortSignal | undefined
}

/** What one opening of the table has granted and queued through this API. */
export class WebLocks {
  readonly #session: Session
  readonly #space: LockSpace
  readonly #held = new Set<WebLockInfo>()
  readonly #pending = new Set<WebLockInfo>()

  constructor(session: Session, space: LockSpace) {
    this.#session = session
    this.#space = space
  }

  async request<T>(args: readonly unknown[]): Promise<Awaited<T>> {
    const { name, options, callback } = readArguments<T>(args)
    if (name.startsWith('-')) throw new DOMException('names must not begin with "-"', 'NotSupportedError')
    checkCombination(options)
    if (name.length > NAME_LIMIT) throw new DOMException(`names must not be longer than ${NAME_LIMIT}`, 'QuotaExceededError')
    options.signal?.throwIfAborted()
    this.#session.ensureUsable()
    const guard = await this.#acquire(name, options)
    return await this.#hold(name, options.mode, guard, callback)
  }

  /** Undefined: not available. */
  async #acquire(name: string, options: Checked): Promise<TableGuard | undefined> {
    const { mode, signal } = options
    const handle = this.#space.handle(name)
    if (options.ifAvailable) return handle.tryLock({ mode })
    const info = this.#info(name, mode)
    this.#pending.add(info)
    try {
      if (options.steal) return await this.#steal(name)
      return await handle.lock(signal === undefined ? { mode } : { mode, signal })
    } catch (error) {
      if (signal?.aborted && error instanceof LockError && error.code === 'LOCK_ABORTED') throw signal.reason
      throw error
    } finally {
      this.#pending.delete(info)
    }
  }

  #steal(name: string): Promise<TableGuard> {
    const { waiters, region } = this.#session
    const handle = this.#space.handle(name)
    const request = handle.request(MODE_EXCLUSIVE)
    return new Promise((resolve, reject) => {
      const grant = (notice: Parameters<typeof handle.guardOf>[1]): void => {
        resolve(handle.guardOf(MODE_EXCLUSIVE, notice))
      }
      const { words } = region
      const isSameName = words[handle.slot + SLOT.NAME_0] === handle.name0 && words[handle.slot + SLOT.NAME_1] === handle.name1
      if (isSameName) {
        waiters.steal(request, grant, reject)
        this.#session.checkWatched()
      } else {
        waiters.enqueue(request, grant, reject, true)
      }
    })
  }

  async #hold<T>(name: string, mode: LockMode, guard: TableGuard | undefined, callback: WebLockCallback<T>): Promise<Awaited<T>> {
    if (guard === undefined) return await callback(null)
    const info = this.#info(name, mode)
    this.#held.add(info)
    let onLost: (() => void) | undefined
    const lost = new Promise<never>((_resolve, reject) => {
      onLost = () => {
        this.#held.delete(info)
        reject(new DOMException('the lock was stolen', 'AbortError'))
      }
      if (guard.signal.aborted) onLost()
      else guard.signal.addEventListener('abort', onLost)
    })
    lost.catch(() => undefined) // nobody may be listening any more
    try {
      return await Promise.race([lost, new Promise<T>(resolve => {
        resolve(callback(guard.abandoned === undefined ? { name, mode } : { name, mode, abandoned: guard.abandoned }))
      })]) as Awaited<T>
    } finally {
      // The lock lives as long as the callback: race() settled early only if it is lost already.
      this.#held.delete(info)
      if (onLost !== undefined) guard.signal.removeEventListener('abort', onLost)
      guard.release()
    }
  }

  #info(name: string, mode: LockMode): WebLockInfo {
    return { name, mode, clientId: clientId(process.pid, this.#session.participant.number) }
  }

  /** Ours by name; other openings' as the table shows them. */
  query(): WebLockSnapshot {
    this.#session.ensureUsable()
    const own = this.#session.participant.number
    const report = inspectRegion(this.#session.region)
    const slots = report.slots.filter(slot => slot.space === this.#space.name)
    const others = (list: 'holders' | 'waiters'): WebLockInfo[] => slots.flatMap(slot => slot[list]
      .filter(one => one.participant !== own && !('state' in one && one.state !== 'live'))
      .map(one => ({ name: slot.name, mode: one.mode, clientId: clientId(one.pid, one.participant) })))
    return { held: [...this.#held, ...others('holders')], pending: [...this.#pending, ...others('waiters')] }
  }
}

function clientId(pid: number, participant: number): string {
  return `${pid}-${participant}`
}

/** Web IDL: the number of arguments, then the name, then the options, then the callback. */
function readArguments<T>(args: readonly unknown[]): { name: string; options: Checked; callback: WebLockCallback<T> } {
  if (args.length < 2) throw new TypeError(`2 arguments required, but only ${args.length} present`)
  const name = toDomString(args[0])
  if (args.length === 2) {
    if (typeof args[1] !== 'function') throw new TypeError('the callback must be a function')
    return { name, options: readOptions(undefined), callback: args[1] as WebLockCallback<T> }
  }
  const options = readOptions(args[1])
  if (typeof args[2] !== 'function') throw new TypeError('the callback must be a function')
  return { name, options, callback: args[2] as WebLockCallback<T> }
}

function toDomString(value: unknown): string {
  if (typeof value === 'symbol') throw new TypeError('a symbol cannot be a name')
  return typeof value === 'string' ? value : String(value as number)
}

/** The members are read in the order of their names, as Web IDL converts a dictionary. */
function readOptions(value: unknown): Checked {
  if (value === undefined || value === null) return { ifAvailable: false, mode: 'exclusive', signal: undefined, steal: false }
  if (typeof value !== 'object' && typeof value !== 'function') throw new TypeError('the options must be an object')
  const given = value as Record<string, unknown>
  const ifAvailable = Boolean(given['ifAvailable'])
  const { mode: rawMode } = given
  const mode = rawMode === undefined ? 'exclusive' : toDomString(rawMode)
  if (mode !== 'exclusive' && mode !== 'shared') throw new TypeError(`"${mode}" is not a lock mode`)
  const { signal } = given
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new TypeError('the signal must be an AbortSignal')
  return { ifAvailable, mode, signal, steal: Boolean(given['steal']) }
}

function checkCombination({ steal, ifAvailable, mode, signal }: Checked): void {
  const refuse = (why: string): never => {
    throw new DOMException(why, 'NotSupportedError')
  }
  if (steal && ifAvailable) refuse('steal and ifAvailable exclude each other')
  if (steal && mode !== 'exclusive') refuse('only an exclusive lock can be stolen')
  if (signal !== undefined && (steal || ifAvailable)) refuse('a signal goes neither with steal nor with ifAvailable')
}
