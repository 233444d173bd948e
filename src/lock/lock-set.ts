/**
 * lock-set.ts: several names at once, all or nothing, without deadlock.
 *
 * Every caller takes the slots in one order (rank of the space, then slot), each slot once in the strongest mode asked for it; so no
 * cycle of waits can arise among callers that take all their locks in one call.
 */
import { checkOneOf, checkOptions } from '../check.js'
import { LockTimeoutError } from '../errors.js'
import { nowMs } from './clock.js'
import type { AbandonedNotice, LockMode, TableGuard } from './guard.js'
import type { LockHandle, LockOptions } from './handle.js'
import type { Session } from './session.js'
import type { LockName } from './space.js'

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
  exclusive: boolean
}

/** The slots to take, in order. */
export function planLocks(
  requests: readonly (LockName | NamedLock)[], fallback: LockMode, resolve: (space: string | undefined, name: LockName) => LockHandle,
): Member[] {
  if (!Array.isArray(requests)) throw new TypeError('names must be an array')
  const bySlot = new Map<number, Member>()
  for (const request of requests as readonly unknown[]) {
    const { name, space, mode } = named(request)
    const handle = resolve(space, name)
    const member = bySlot.get(handle.index)
    const exclusive = (mode ?? fallback) === 'exclusive'
    if (member === undefined) bySlot.set(handle.index, { handles: [handle], exclusive })
    else {
      member.exclusive ||= exclusive
      if (!member.handles.some(other => other.name0 === handle.name0 && other.name1 === handle.name1)) member.handles.push(handle)
    }
  }
  return [...bySlot.values()].sort((a, b) => rankOf(a) - rankOf(b))
}

/** Indexes of slots run on from space to space, in rank order. */
function rankOf(member: Member): number {
  return member.handles[0]?.index ?? 0
}

function named(request: unknown): NamedLock {
  if (typeof request === 'string' || request instanceof Uint8Array) return { name: request }
  const options = checkOptions(request as NamedLock | undefined, ['name', 'space', 'mode'], 'names[]')
  if (options.mode !== undefined) checkOneOf(options.mode, ['exclusive', 'shared'], 'names[].mode')
  return options
}

/** Takes the planned slots in order; on failure those already taken are released. */
export async function lockPlanned(session: Session, plan: readonly Member[], options: LockOptions): Promise<LockSet> {
  const began = nowMs()
  const guards: TableGuard[] = []
  const notices = new Map<LockName, AbandonedNotice>()
  const set = new LockSet(session, guards, plan, notices)
  try {
    for (const member of plan) {
      const [first] = member.handles
      if (first === undefined) continue
      const timeoutMs = options.timeoutMs === undefined ? undefined : Math.max(0, options.timeoutMs - (nowMs() - began))
      const guard = await first.lock({
        ...options, mode: member.exclusive ? 'exclusive' : 'shared', timeoutMs,
      })
      guards.push(guard)
      collectNotices(session, member, guard, notices)
    }
    return set
  } catch (error) {
    set.release()
    if (error instanceof LockTimeoutError) {
      throw new LockTimeoutError(error.message, { path: error.path, holderPids: error.holderPids, waitedMs: nowMs() - began })
    }
    throw error
  }
}

/** The slot's entry names the first name only: the others' notices are fetched, and theirs is left in case we die. */
function collectNotices(session: Session, member: Member, guard: TableGuard, notices: Map<LockName, AbandonedNotice>): void {
  if (guard.abandoned !== undefined) notices.set(guard.name, guard.abandoned)
  const { protocol } = session.participant
  for (const handle of member.handles.slice(1)) {
    const request = [handle.slot, handle.name0, handle.name1] as const
    const notice = member.exclusive ? protocol.takeNotice(...request) : protocol.peekNotice(...request)
    if (notice !== undefined) notices.set(handle.name, { pid: notice.pid || undefined, foundAt: notice.time ? new Date(notice.time * 1000) : undefined })
    if (member.exclusive) protocol.insure(...request)
  }
}

/** What lockAll() returns: one hold of many names. */
export class LockSet {
  readonly #session: Session
  readonly #guards: readonly TableGuard[]
  readonly #plan: readonly Member[]
  /** The notices of the names whose last holder died, by name as given. */
  readonly abandoned: ReadonlyMap<LockName, AbandonedNotice>

  /** @internal */
  constructor(session: Session, guards: readonly TableGuard[], plan: readonly Member[], abandoned: ReadonlyMap<LockName, AbandonedNotice>) {
    this.#session = session
    this.#guards = guards
    this.#plan = plan
    this.abandoned = abandoned
  }

  /** One guard a slot, in the order in which they were taken. Release the set, not these. */
  get guards(): readonly TableGuard[] {
    return this.#guards
  }

  /** True while every slot is held. */
  get isHeld(): boolean {
    return this.#guards.length > 0 && this.#guards.every(guard => guard.isHeld)
  }

  /** Releases in reverse order. @returns false if any was lost or released before */
  release(): boolean {
    let kept = true
    for (let i = this.#guards.length - 1; i >= 0; i--) {
      const guard = this.#guards[i]
      if (guard === undefined) continue
      if (this.#plan[i]?.exclusive && guard.isHeld) this.#uninsure(this.#plan[i]?.handles.slice(1) ?? [])
      kept = guard.release() && kept
    }
    return kept
  }

  #uninsure(handles: readonly LockHandle[]): void {
    for (const handle of handles) this.#session.participant.protocol.takeNotice(handle.slot, handle.name0, handle.name1)
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

