/**
 * inspect.ts: the table as people want to see it. Takes no lock and changes nothing; what it reads may be a moment old, and two lines of it
 * may be of two moments.
 */
import { nowMs } from './clock.js'
import { liveNumbers, holdersOf } from './holders.js'
import {
  LIFE, LIFE_STATUS_MASK, MODE_EXCLUSIVE, NAME_IS_BYTES, NAME_IS_CUT, NAME_LENGTH_MASK, NOTICE, NOTICE_LIMIT, NOTICE_WORDS,
  PARTICIPANT, PARTICIPANT_LABEL_BYTES, PARTICIPANT_LIMIT, SLOT, SLOT_NAME_BYTES, WORD_BYTES, participantWord, slotWord,
} from './layout.js'
import { pidNamespace } from './participant.js'
import type { Region } from './region.js'
import { hasBit } from './roster.js'

export type ParticipantState = 'joining' | 'live' | 'dead' | 'evicted'

export interface ParticipantReport {
  readonly number: number
  readonly generation: number
  readonly state: ParticipantState
  readonly pid: number
  /** Inode number of its PID namespace: pids of another namespace than the reader's mean other processes. */
  readonly pidNamespace: number
  readonly label: string
  readonly ageMs: number
  /** Its tasks that wait. */
  readonly waitingCount: number
  readonly counters: { readonly waits: number; readonly stolen: number }
}

export interface HolderReport {
  readonly participant: number
  readonly pid: number
  readonly mode: 'exclusive' | 'shared'
  readonly state: ParticipantState
}

export interface WaiterReport {
  readonly participant: number
  readonly pid: number
  readonly mode: 'exclusive' | 'shared'
  /** Milliseconds; known for the slot a participant began to wait for last. */
  readonly waitingMs: number | undefined
}

export interface SlotReport {
  readonly space: string
  readonly slot: number
  /** The name of the latest holder: others may share the slot. Bytes are shown in hexadecimal behind `0x`. */
  readonly name: string
  readonly nameIsCut: boolean
  readonly holders: readonly HolderReport[]
  readonly waiters: readonly WaiterReport[]
  /** Milliseconds since the latest hold began. */
  readonly heldMs: number | undefined
  readonly version: bigint
  /** Pids of dead holders whose names have not been locked exclusively since. */
  readonly abandonedByPids: readonly number[]
  readonly contended: number
}

export interface TableReport {
  readonly path: string
  readonly sizeBytes: number
  readonly createdAt: Date
  readonly epoch: bigint
  readonly spaces: readonly { readonly name: string; readonly rank: number; readonly slotCount: number }[]
  /** Of who looks: process ids of participants in other PID namespaces mean nothing here. 0 where /proc is not to be had. */
  readonly pidNamespace: number
  readonly participants: readonly ParticipantReport[]
  /** Slots that are held, waited for or abandoned. */
  readonly slots: readonly SlotReport[]
  /** Who waits for whom, by participant number. */
  readonly waitsFor: readonly (readonly [waiter: number, holder: number])[]
  /** Cycles among them: deadlocks, unless somebody has a time-out, or different tasks of a process hold and wait. */
  readonly cycles: readonly (readonly number[])[]
}

/** Reads the whole table: about 20 ns a slot, more for those in use. */
export function inspectRegion(region: Region): TableReport {
  const participants = reportParticipants(region)
  const slots = region.spaces.flatMap(space => {
    const found: SlotReport[] = []
    for (let i = 0; i < space.slotCount; i++) {
      const report = reportSlot(region, space.name, i, slotWord(space.firstWord, i), participants, false)
      if (report !== undefined) found.push(report)
    }
    return found
  })
  const waitsFor = slots.flatMap(edges)
  return {
    path: region.path,
    sizeBytes: region.words.byteLength,
    createdAt: region.createdAt,
    epoch: region.epoch,
    spaces: region.spaces.map((space, rank) => ({ name: space.name, rank, slotCount: space.slotCount })),
    pidNamespace: pidNamespace(),
    participants: [...participants.values()],
    slots,
    waitsFor,
    cycles: findCycles(waitsFor),
  }
}

/** One slot, in use or not. */
export function inspectSlot(region: Region, spaceName: string, slotIndex: number, slot: number): SlotReport {
  const report = reportSlot(region, spaceName, slotIndex, slot, reportParticipants(region), true)
  if (report === undefined) throw new Error('a forced report is always made')
  return report
}

function wide(words: Int32Array, low: number, high: number): number {
  return ((words[low] ?? 0) >>> 0) + ((words[high] ?? 0) >>> 0) * 2 ** 32
}

function reportParticipants(region: Region): Map<number, ParticipantReport> {
  const { words, bytes } = region
  const reports = new Map<number, ParticipantReport>()
  for (let number = 1; number < PARTICIPANT_LIMIT; number++) {
    const record = participantWord(number)
    const life = Atomics.load(words, record + PARTICIPANT.LIFE)
    const state = stateOf(life & LIFE_STATUS_MASK)
    if (state === undefined) continue
    const label = bytes.slice((record + PARTICIPANT.LABEL) * WORD_BYTES, (record + PARTICIPANT.LABEL) * WORD_BYTES + PARTICIPANT_LABEL_BYTES)
    reports.set(number, {
      number,
      generation: life >>> 16,
      state,
      pid: words[record + PARTICIPANT.PID] ?? 0,
      pidNamespace: wide(words, record + PARTICIPANT.PID_NAMESPACE_LOW, record + PARTICIPANT.PID_NAMESPACE_HIGH),
      label: Buffer.from(label).toString('utf8').replace(/\0.*$/s, ''),
      ageMs: Math.max(0, nowMs() - wide(words, record + PARTICIPANT.JOINED_LOW, record + PARTICIPANT.JOINED_HIGH)),
      waitingCount: words[record + PARTICIPANT.WAITING_COUNT] ?? 0,
      counters: { waits: (words[record + PARTICIPANT.WAITS] ?? 0) >>> 0, stolen: Atomics.load(words, record + PARTICIPANT.STOLEN) >>> 0 },
    })
  }
  return reports
}

function stateOf(status: number): ParticipantState | undefined {
  switch (status) {
    case LIFE.SCRUBBING: return 'joining'
    case LIFE.LIVE: return 'live'
    case LIFE.DEAD: return 'dead'
    case LIFE.EVICTED: return 'evicted'
    default: return undefined
  }
}

function reportSlot(
  region: Region, space: string, slotIndex: number, slot: number, participants: ReadonlyMap<number, ParticipantReport>, forced: boolean,
): SlotReport | undefined {
  const { words } = region
  const { owner, ownerEntered, ownerIsDead, readers } = holdersOf(words, slot)
  const holders: HolderReport[] = []
  const about = (participant: number): { participant: number; pid: number; state: ParticipantState } => ({
    participant, pid: participants.get(participant)?.pid ?? 0, state: participants.get(participant)?.state ?? 'dead',
  })
  if (owner !== 0 && (ownerEntered || ownerIsDead)) holders.push({ ...about(owner), ...(ownerIsDead ? { state: 'dead' as const } : {}), mode: 'exclusive' })
  if (!ownerEntered) for (const reader of readers) holders.push({ ...about(reader), mode: 'shared' }) // beside an owner they are backing off
  // An owner that has not entered waits for readers to leave; one that was just given the slot is still registered as a waiter.
  const entering = owner !== 0 && !ownerEntered && !ownerIsDead && !isWaiting(words, slot, owner)
  const waiters = [
    ...(entering ? [reportWaiter(words, slot, owner, 'exclusive', participants)] : []),
    ...liveNumbers(words, slot + SLOT.WAITERS_EXCLUSIVE).map(number => reportWaiter(words, slot, number, 'exclusive', participants)),
    ...liveNumbers(words, slot + SLOT.WAITERS_SHARED).map(number => reportWaiter(words, slot, number, 'shared', participants)),
  ]
  const abandonedByPids = noticePids(words, slot)
  if (!forced && holders.length === 0 && waiters.length === 0 && abandonedByPids.length === 0) return undefined
  const meta = words[slot + SLOT.NAME_META] ?? 0
  return {
    space,
    slot: slotIndex,
    name: nameOf(region, slot, meta),
    nameIsCut: (meta & NAME_IS_CUT) !== 0,
    holders,
    waiters,
    heldMs: holders.length === 0 ? undefined : Math.max(0, nowMs() - wide(words, slot + SLOT.SINCE_LOW, slot + SLOT.SINCE_HIGH)),
    version: (BigInt((words[slot + SLOT.VERSION_HIGH] ?? 0) >>> 0) << 32n) | BigInt((words[slot + SLOT.VERSION_LOW] ?? 0) >>> 0),
    abandonedByPids,
    contended: (words[slot + SLOT.CONTENDED] ?? 0) >>> 0,
  }
}

function isWaiting(words: Int32Array, slot: number, number: number): boolean {
  return hasBit(words, slot + SLOT.WAITERS_EXCLUSIVE, number) || hasBit(words, slot + SLOT.WAITERS_SHARED, number)
}

function reportWaiter(
  words: Int32Array, slot: number, number: number, mode: 'exclusive' | 'shared', participants: ReadonlyMap<number, ParticipantReport>,
): WaiterReport {
  const record = participantWord(number)
  const known = words[record + PARTICIPANT.WAITING_SLOT] === slot && words[record + PARTICIPANT.WAITING_MODE] === (mode === 'exclusive' ? MODE_EXCLUSIVE : 2)
  const since = wide(words, record + PARTICIPANT.WAITING_SINCE_LOW, record + PARTICIPANT.WAITING_SINCE_HIGH)
  return { participant: number, pid: participants.get(number)?.pid ?? 0, mode, waitingMs: known ? Math.max(0, nowMs() - since) : undefined }
}

function noticePids(words: Int32Array, slot: number): number[] {
  const pids: number[] = []
  for (let i = 0; i < NOTICE_LIMIT; i++) {
    const pid = words[slot + SLOT.NOTICES + i * NOTICE_WORDS + NOTICE.PID] ?? 0
    if (pid !== 0) pids.push(pid)
  }
  return pids
}

function nameOf(region: Region, slot: number, meta: number): string {
  const length = Math.min(meta & NAME_LENGTH_MASK, SLOT_NAME_BYTES)
  const start = (slot + SLOT.NAME) * WORD_BYTES
  const text = Buffer.from(region.bytes.slice(start, start + length))
  return meta & NAME_IS_BYTES ? `0x${text.toString('hex')}` : text.toString('utf8')
}

/**
 * Everybody waits for an exclusive holder. Shared holders are waited for by exclusive waiters; a shared one waits for the first of
 * those, but not if its process is inside already: it goes on when its own readers leave.
 */
function edges(slot: SlotReport): [number, number][] {
  const isExclusive = ({ mode }: { readonly mode: string }): boolean => mode === 'exclusive'
  const writer = slot.waiters.find(isExclusive)
  const isShared = slot.holders.length > 0 && !slot.holders.some(isExclusive)
  return slot.waiters.flatMap(waiter => {
    const isInside = slot.holders.some(({ participant }) => participant === waiter.participant)
    const ahead = !isShared || isExclusive(waiter) ? slot.holders : isInside || writer === undefined ? [] : [writer]
    return ahead.filter(({ participant }) => participant !== waiter.participant).map(({ participant }): [number, number] => [waiter.participant, participant])
  })
}

/**
 * For everybody who waits in a circle a shortest one, each once, its smallest number first. Not every circle there is: among readers that
 * wait for each other crosswise those are beyond number.
 */
function findCycles(graph: readonly (readonly [number, number])[]): number[][] {
  const next = new Map<number, Set<number>>()
  for (const [from, to] of graph) next.set(from, (next.get(from) ?? new Set()).add(to))
  const cycles = new Map<string, number[]>()
  const covered = new Set<number>()
  for (const start of [...next.keys()].sort((a, b) => a - b)) {
    if (covered.has(start)) continue
    const cycle = shortestWayBack(next, start)
    for (const number of cycle) covered.add(number)
    const first = cycle.indexOf(Math.min(...cycle))
    const turned = [...cycle.slice(first), ...cycle.slice(0, first)]
    if (cycle.length > 0) cycles.set(turned.join(), turned)
  }
  return [...cycles.values()]
}

/** Breadth first from `start` back to it; empty: there is no way. */
function shortestWayBack(next: ReadonlyMap<number, ReadonlySet<number>>, start: number): number[] {
  const cameFrom = new Map<number, number>()
  const queue = [start]
  for (const from of queue) {
    for (const to of next.get(from) ?? []) {
      if (to === start) {
        const way = [from]
        for (let at = from; at !== start; way.unshift(at)) at = cameFrom.get(at) ?? start
        return way
      }
      if (cameFrom.has(to)) continue
      cameFrom.set(to, from)
      queue.push(to)
    }
  }
  return []
}
