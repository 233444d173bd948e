/**
 * lock-set.ts: several names at once, all or nothing, without deadlock.
 *
 * Every caller takes the slots in one order (rank of the space, then slot), each slot once in the strongest mode asked for it; so no
 * cycle of waits can arise among callers that take all their locks in one call.
 */
import { checkOneOf, checkOptions, checkString } from '../check.js'
import { LockAbortedError, LockTimeoutError } from '../errors.js'
import { nowMs } from './clock.js'
import { type AbandonedNotice, type LockMode, type TableGuard, abandonedNotice } from './guard.js'
import type { LockHandle } from './handle.js'
import type { LockName } from './hash.js'
import type { LockOptions } from './lock-options.js'
import type { Notice } from './notices.js'
import type { Session } from './session.js'

export interface NamedLock {
  readonly name: LockName
  /** Default: the table's first space. */
  readonly space?: string | undefined
  /** Default: `options.mode`, else `'exclusive'`. */
  readonly mode?: LockMode | undefined
}

/** A slot to take, and every name that asked for it. */
interface Member {
  readonly handles: LockHandle[]
  /** The handles' names as they were given: a handle has a copy of bytes. */
  readonly given: Map<LockHandle, LockName>
  exclusive: boolean
}

/** The slots to take, in order. */
export function planLocks(
  requests: readonly (LockName | NamedLock)[], fallback: LockMode, resolve: (space: string | undefined, name: LockName) => LockHandle,
): Member[] {
  if (!Array.isArray(requests)) throw new TypeError('names must be an array')
  const bySlot = new Map<number, Member>()
  for (const [i, request] of (requests as readonly unknown[]).entries()) {
    const { name, space, mode } = named(request, `names[${i}]`)
    const handle = resolve(space, name)
    const member = bySlot.get(handle.index)
    const exclusive = (mode ?? fallback) === 'exclusive'
    if (member === undefined) bySlot.set(handle.index, { handles: [handle], given: new Map([[handle, name]]), exclusive })
    else {
      member.exclusive ||= exclusive
      if (member.handles.some(other => other.name0 === handle.name0 && other.name1 === handle.name1)) continue
      member.handles.push(handle)
      member.given.set(handle, name)
    }
  }
  return [...bySlot.values()].sort((a, b) => rankOf(a) - rankOf(b))
}

/** Indexes of slots run on from space to space, in rank order. */
function rankOf(member: Member): number {
  return member.handles[0]?.index ?? 0
}

function named(request: unknown, what: string): NamedLock {
  if (typeof request === 'string' || request instanceof Uint8Array) return { name: request }
  if (request === undefined) throw new TypeError(`${what} must be a name or an object`)
  const options = checkOptions(request as NamedLock, ['name', 'space', 'mode'], what)
  if (typeof options.name !== 'string' && !(options.name instanceof Uint8Array)) throw new TypeError(`${what}.name must be a string or a Uint8Array`)
  if (options.space !== undefined) checkString(options.space, `${what}.space`)
  if (options.mode !== undefined) checkOneOf(options.mode, ['exclusive', 'shared'], `${what}.mode`)
  return options
}

/** Takes the planned slots in order; on failure those already taken are released, as if they had never been taken. */
export async function lockPlanned(session: Session, plan: readonly Member[], options: LockOptions): Promise<LockSet> {
  const began = nowMs()
  const held: HeldMember[] = []
  const undo = (): void => {
    for (let member = held.pop(); member !== undefined; member = held.pop()) member.undo()
  }
  session.unfinished.add(undo)
  try {
    for (const { handles, given, exclusive } of plan) {
      const [first] = handles
      if (first === undefined) continue
      const timeoutMs = options.timeoutMs === undefined ? undefined : Math.max(0, options.timeoutMs - (nowMs() - began))
      const guard = await first.lock({ ...options, mode: exclusive ? 'exclusive' : 'shared', timeoutMs })
      held.push(new HeldMember(session, guard, handles, given, exclusive))
    }
    return new LockSet(held)
  } catch (error) {
    undo()
    const waitedMs = nowMs() - began
    if (error instanceof LockTimeoutError) throw new LockTimeoutError(error.message, { path: error.path, holderPids: error.holderPids, waitedMs })
    if (error instanceof LockAbortedError) throw new LockAbortedError(error.message, { path: error.path, cause: error.cause, waitedMs })
    throw error
  } finally {
    session.unfinished.delete(undo)
  }
}

/** A slot that is held, with the notices of all its names. */
class HeldMember {
  readonly guard: TableGuard
  readonly notices = new Map<LockHandle, Notice>()
  readonly given: ReadonlyMap<LockHandle, LockName>
  readonly #session: Session
  readonly #others: readonly LockHandle[]
  readonly #exclusive: boolean
  /** Our own notices were more than the slot has records for. */
  readonly #overflowed: boolean = false

  /** The slot's entry names the first name only: the others' notices are read, and ours is left in their place in case we die. */
  constructor(session: Session, guard: TableGuard, handles: readonly LockHandle[], given: ReadonlyMap<LockHandle, LockName>, exclusive: boolean) {
    this.#session = session
    this.guard = guard
    this.given = given
    this.#others = handles.slice(1)
    this.#exclusive = exclusive
    if (guard.notice !== undefined) this.notices.set(guard.handle, guard.notice)
    const { protocol } = session.participant
    for (const handle of this.#others) {
      const notice = protocol.peekNotice(handle.slot, handle.name0, handle.name1)
      if (notice !== undefined) this.notices.set(handle, notice)
    }
    if (!exclusive) return
    for (const { slot, name0, name1 } of this.#others) if (protocol.leaveNotice(slot, name0, name1)) this.#overflowed = true
  }

  release(): boolean {
    this.#tidy(true)
    return this.guard.release()
  }

  /** Nobody was told: the notices go back to where they were. */
  undo(): void {
    this.#tidy(false)
    this.guard.release()
  }

  /** Takes our own notices away. What stood in their place comes back in the same write: a death in between loses none. */
  #tidy(wasTold: boolean): void {
    if (!this.#exclusive || !this.guard.isHeld) return
    const { protocol } = this.#session.participant
    if (this.#overflowed) protocol.forgetLost(this.guard.handle.slot)
    for (const handle of [...this.#others, this.guard.handle]) { // the first at the end: if we die before, our death is its notice
      const { slot, name0, name1 } = handle
      const notice = wasTold ? undefined : this.notices.get(handle)
      if (notice !== undefined) protocol.leaveNotice(slot, name0, name1, notice)
      else if (handle !== this.guard.handle) protocol.takeNotice(slot, name0, name1)
    }
  }
}

/** What lockAll() returns: one hold of many names. */
export class LockSet {
  readonly #members: readonly HeldMember[]
  /** The notices of the names whose last holder died, by name as given. */
  readonly abandoned: ReadonlyMap<LockName, AbandonedNotice>

  /** @internal */
  constructor(members: readonly HeldMember[]) {
    this.#members = members
    this.abandoned = new Map(members.flatMap(member => [...member.notices].map(([handle, notice]) => [member.given.get(handle) ?? handle.name, abandonedNotice(notice)] as const)))
  }

  /** One guard a slot, in the order in which they were taken. Release the set, not these. */
  get guards(): readonly TableGuard[] {
    return this.#members.map(member => member.guard)
  }

  /** True while every slot is held. */
  get isHeld(): boolean {
    return this.#members.length > 0 && this.#members.every(member => member.guard.isHeld)
  }

  /** Releases in reverse order. @returns false if any was lost or released before */
  release(): boolean {
    let kept = true
    for (const member of [...this.#members].reverse()) kept = member.release() && kept
    return kept
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
