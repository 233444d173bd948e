/**
 * driver.ts: what a process does around the protocol's steps, as a state machine: the same sequence as src/lock/waiters.ts.
 *
 * Each place either runs one segment of protocol code, an operation a step, or waits for the bell.
 */
import { LIFE, MODE_EXCLUSIVE, MODE_SHARED, PARTICIPANT, participantWord } from '../../src/lock/layout.js'
import { ATTENDS, BUSY, DEFERS, ENTERED, LOST, OPEN, OWNER, type Protocol, SUCCEEDS, TAKES } from '../../src/lock/protocol.js'
import type { Machine } from './machine.js'

/** Names are one letter; slot 0 unless said otherwise. */
export type Action =
  | {
      readonly kind: 'lock'
      readonly mode: 'exclusive' | 'shared'
      readonly name: string
      readonly slot?: 0 | 1
      /** May give up whenever it sleeps. */
      readonly timeout?: boolean
      /** One try only. */
      readonly try?: boolean
      /** Asks for a hand-off: once it has slept, or from the start. */
      readonly urgent?: boolean | 'at once'
      /** What it does inside before it leaves. */
      readonly then?: 'upgrade' | 'downgrade' | 'succeed'
      /** Leaves by giving the slot to whoever waits: what a process does when its own tasks have had it often enough. */
      readonly give?: boolean
      /** So many further names of the same slot: p, q, … */
      readonly others?: number
      /** Keeps it until `unlock`. */
      readonly keep?: boolean
      /** One more task of a process that is inside by a kept shared hold; that one may be released first while this one sleeps. */
      readonly join?: boolean
      /** Takes it by force. */
      readonly steal?: boolean
      /** Attends the slot while it is the next in turn: what a blocking caller does (attendance.ts). */
      readonly attends?: boolean
    }
  | { readonly kind: 'unlock'; readonly slot: 0 | 1; readonly mode: 'exclusive' | 'shared' }
  | { readonly kind: 'evict'; readonly number: number }
  /** Without a lock: takes the version, reads what the slot protects, asks later whether that has changed. */
  | { readonly kind: 'watch' }
  /** Takes the number of a certified dead participant and scrubs it first. */
  | { readonly kind: 'rejoin' }

export type Place =
  | 'start' | 'try' | 'register' | 'attempt' | 'attend' | 'attending' | 'asleep' | 'draining' | 'drain' | 'told' | 'inside' | 'upgrade' | 'downgrade'
  | 'release' | 'giveup' | 'backout' | 'scrub0' | 'scrub1' | 'join' | 'evict' | 'seize' | 'leave' | 'succeed' | 'list' | 'unlist' | 'watch' | 'read' | 'ask'

export type Wish = 'go' | 'ring' | 'give up' | 'leave first' | 'look' | 'last look'

/** A hold that lasts beyond the action that took it. */
export interface Kept {
  readonly slot: number
  readonly mode: number
  readonly name: string
  /** Taken by force: its process does not know yet. */
  readonly lost: boolean
}

export interface DriverState {
  readonly number: number
  readonly generation: number
  readonly program: readonly Action[]
  readonly at: number
  readonly place: Place
  readonly log: readonly number[]
  readonly done: boolean
  readonly slept: boolean
  /** Set while it may have an exclusive hold of this name: from the first try to the end of the release. */
  readonly doorName: string | undefined
  readonly insideSlot: number
  readonly insideMode: number
  /** Certainly inside: has been told of its entry and has not begun to leave. */
  readonly certain: boolean
  readonly mode: number
  readonly evicted: boolean
  readonly invulnerable: boolean
  readonly belled: boolean
  readonly kept: readonly Kept[]
  /** It was robbed before it knew that it was inside: its process hears of it after it has entered. */
  readonly robbed: boolean
  /** How often others have entered since it fell asleep asking for a hand-off; -1: it does not. */
  readonly overtaken: number
  /** The records were too few for its further names. */
  readonly overflowed: boolean
  /** Of a watcher: the version, and the writes there were when it read, and when it asked. */
  readonly version: bigint
  readonly seen: number
  readonly asked: number
}

export interface Driver {
  readonly machine: Machine
  readonly slots: readonly number[]
  protocol(number: number, generation: number): Protocol
  consumeBell(): void
  findDead(thread: number): number
  ringAll(): void
  readonly sameGeneration: boolean
  /** An evicted participant that runs on may leave a notice, or take one with it, at any time: they are not checked. */
  readonly noNotices: boolean
  due: Record<string, 'must' | 'may'>
  /** Exclusive holders' writes so far, if anybody watches them. */
  writes: number
}

export function initialState(number: number, program: readonly Action[]): DriverState {
  return {
    number, generation: 1, program, at: 0, place: firstPlace(program[0]), log: [], done: program.length === 0, slept: false, doorName: undefined,
    insideSlot: -1, insideMode: 0, certain: false, mode: 0, evicted: false, invulnerable: program[0]?.kind === 'rejoin', belled: false, kept: [], robbed: false, overtaken: -1, overflowed: false, version: 0n, seen: 0, asked: -1,
  }
}

/** What the thread may do now; `findDead` gives a number to rejoin under, or 0. */
export function enabledByBell(thread: DriverState, rung: boolean, findDead: (thread: number) => number): Wish[] {
  const action = thread.program[thread.at]
  if (thread.place === 'start') return findDead(thread.number) === 0 ? [] : ['go']
  if (thread.place === 'attending' && thread.evicted) return ['give up']
  if (thread.place === 'attending') return action?.kind === 'lock' && action.timeout ? ['look', 'last look', 'give up'] : ['look', 'last look']
  if (thread.place !== 'asleep' && thread.place !== 'draining') return ['go']
  const wishes: Wish[] = rung ? ['ring'] : []
  if (action?.kind === 'lock' && action.timeout) wishes.push('give up')
  if (action?.kind === 'lock' && action.join && thread.kept.length > 0) wishes.push('leave first')
  return wishes
}

function firstPlace(action: Action | undefined): Place {
  switch (action?.kind) {
    case 'unlock': return 'release'
    case 'lock': return action.steal ? 'seize' : 'try'
    case 'rejoin': return 'start'
    case 'evict': return 'evict'
    case 'watch': return 'watch'
    default: return 'try'
  }
}

const fingerprint = (name: string): number => name.charCodeAt(0)

/** One step. @returns the new state, a label, and what is wrong, if anything */
export function advance(driver: Driver, thread: DriverState, wish: Wish): [DriverState, () => string, (string | undefined)?] {
  const action = thread.program[thread.at]
  if (action === undefined) throw new Error('past the end of the program')
  if (wish === 'give up') return [{ ...thread, place: thread.place === 'draining' ? 'backout' : 'giveup' }, () => 'gives up']
  if (wish === 'look') return [{ ...thread, place: 'attend' }, () => 'looks again']
  if (wish === 'last look') return [{ ...thread, place: 'attempt' }, () => 'attends no more']
  if (wish === 'leave first') return [{ ...thread, place: 'leave', kept: [] }, () => 'the one who came first leaves']
  if (wish === 'ring') {
    driver.consumeBell()
    return [{ ...thread, place: thread.place === 'draining' ? 'drain' : firstLook(action), slept: true }, () => 'wakes']
  }
  if (thread.place === 'start') return [adopt(driver, thread, driver.findDead(thread.number)), () => 'takes a dead number']
  const protocol = driver.protocol(thread.number, thread.generation)
  const segment = segmentOf(driver, protocol, thread, action)
  const asked = thread.place === 'ask' && thread.asked < 0 ? driver.writes : thread.asked
  const { finished, value, log, label } = driver.machine.stepSegment(segment, thread.log)
  const text = (): string => `${thread.place}: ${label()}`
  const begun: DriverState = { ...thread, log, asked, doorName: doorName(thread, action) }
  if (!finished) return [{ ...begun, ...leaving(thread, action) }, text]
  const [next, violation] = after(driver, { ...begun, log: [] }, action, value)
  return [next, text, violation]
}

/** From the first operation of a release on, its hold is not relied on any more. */
function leaving(thread: DriverState, action: Action): Partial<DriverState> {
  if (action.kind === 'unlock') return { kept: thread.kept.filter(hold => hold.slot !== action.slot) }
  if (thread.place === 'release') return { insideSlot: -1, insideMode: 0, certain: false }
  if (thread.place === 'downgrade') return { insideMode: thread.insideMode === 0 ? 0 : MODE_SHARED, certain: false }
  return {}
}

function doorName(thread: DriverState, action: Action): string | undefined {
  if (action.kind === 'unlock') return thread.kept.find(hold => hold.slot === action.slot && hold.mode === MODE_EXCLUSIVE)?.name ?? thread.doorName
  return action.kind === 'lock' && (action.mode === 'exclusive' || action.then === 'upgrade') ? action.name : thread.doorName
}

/** Inside by a hold that is already there: nothing of the slot changes when this task leaves. */
function joins(thread: DriverState, action: Action & { kind: 'lock' }): boolean {
  return action.join === true && thread.kept.some(hold => hold.slot === (action.slot ?? 0))
}

type SegmentValue = number | bigint | boolean | { pid: number } | undefined

function segmentOf(driver: Driver, protocol: Protocol, thread: DriverState, action: Action): () => SegmentValue {
  const slot = driver.slots[action.kind === 'lock' || action.kind === 'unlock' ? (action.slot ?? 0) : 0] ?? 0
  if (action.kind === 'unlock') {
    return () => (action.mode === 'exclusive' ? protocol.releaseExclusive(slot) : protocol.releaseShared(slot))
  }
  if (action.kind === 'rejoin') return rejoinSegment(driver, protocol, thread)
  if (action.kind === 'evict') {
    const life = participantWord(action.number) + PARTICIPANT.LIFE
    return () => Atomics.compareExchange(driver.machine.words, life, (1 << 16) | LIFE.LIVE, (1 << 16) | LIFE.EVICTED)
  }
  if (action.kind === 'watch') {
    if (thread.place === 'watch') return () => protocol.version(slot)
    return thread.place === 'ask' ? () => protocol.changedSince(slot, thread.version) : () => 0
  }
  const name0 = fingerprint(action.name)
  const others = 'pqrstu'.slice(0, action.others ?? 0)
  const exclusive = action.mode === 'exclusive'
  const mode = exclusive ? MODE_EXCLUSIVE : MODE_SHARED
  const urgent = action.urgent === 'at once' || (action.urgent === true && thread.slept)
  switch (thread.place) {
    case 'seize': return () => { protocol.seize(slot); return 0 }
    case 'leave': return () => protocol.releaseShared(slot)
    case 'try':
      if (joins(thread, action)) return () => protocol.tryJoin(slot)
      return () => (exclusive ? protocol.tryExclusive(slot, name0, name0) : protocol.tryShared(slot))
    case 'register': return () => { protocol.register(slot, mode); return 0 }
    case 'attempt':
      if (joins(thread, action)) return () => protocol.attemptJoin(slot, urgent)
      return () => (exclusive ? protocol.attemptExclusive(slot, name0, name0, urgent, action.attends ? SUCCEEDS : TAKES) : protocol.attemptShared(slot, urgent))
    case 'attend': return () => attend(protocol, thread.number, slot, name0, urgent)
    case 'drain': return () => protocol.drain(slot, name0, name0)
    case 'giveup': return () => { protocol.giveUp(slot, mode); return 0 }
    case 'backout': return () => { protocol.backOut(slot); return 0 }
    case 'told': return () => (thread.mode === MODE_EXCLUSIVE ? protocol.takeNotice(slot, name0, name0) : protocol.peekNotice(slot, name0, name0))
    case 'upgrade': return () => protocol.tryUpgrade(slot, name0, name0)
    case 'downgrade': return () => protocol.downgrade(slot)
    case 'succeed': return () => { protocol.handOver(slot, name0, name0); return 0 }
    case 'list': return () => [...others].map(name => protocol.leaveNotice(slot, fingerprint(name), fingerprint(name))).includes(true)
    case 'unlist': return () => {
      if (thread.overflowed) protocol.forgetLost(slot)
      for (const name of others) protocol.takeNotice(slot, fingerprint(name), fingerprint(name))
      return 0
    }
    case 'release':
      if (action.give && thread.mode === MODE_EXCLUSIVE) return () => { protocol.isAwaited(slot); return protocol.releaseExclusive(slot, true) }
      return () => (thread.mode === MODE_EXCLUSIVE ? protocol.releaseExclusive(slot) : protocol.releaseShared(slot))
    default: return () => 0 // inside: the critical section is one step of its own
  }
}

/** What it came to for who attends: it goes on attending. */
const STAYS = -1

/** @returns an outcome of the protocol, or STAYS; BUSY: it is not the next in turn, and may sleep */
function attend(protocol: Protocol, number: number, slot: number, name0: number, urgent: boolean): number {
  const isNext = protocol.nextAfterOwner(slot) === number
  const outcome = protocol.attemptExclusive(slot, name0, name0, urgent, isNext ? ATTENDS : DEFERS)
  if (outcome === OPEN || (outcome === BUSY && isNext)) return STAYS
  if (outcome === BUSY) protocol.rouse(slot)
  return outcome
}

function firstLook(action: Action): Place {
  return action.kind === 'lock' && action.attends ? 'attend' : 'attempt'
}

function rejoinSegment(driver: Driver, protocol: Protocol, thread: DriverState): () => SegmentValue {
  const words = driver.machine.words
  const life = participantWord(thread.number) + PARTICIPANT.LIFE
  switch (thread.place) {
    case 'scrub0': return () => { for (const slot of driver.slots) protocol.scrub(slot, thread.number, true); return 0 }
    case 'scrub1': return () => { for (const slot of driver.slots) protocol.scrub(slot, thread.number, false); return 0 }
    case 'join': return () => Atomics.store(words, life, (thread.generation << 16) | LIFE.LIVE)
    default: return () => 0
  }
}

/** The segment is over: where to go. */
function after(driver: Driver, thread: DriverState, action: Action, value: SegmentValue): [DriverState, (string | undefined)?] {
  if (action.kind === 'unlock') return [finish(thread)]
  if (action.kind === 'rejoin') return [afterRejoin(driver, thread)]
  if (action.kind === 'evict') {
    driver.ringAll()
    return [finish(thread)]
  }
  if (action.kind === 'watch') return afterWatch(driver, thread, value)
  const mode = action.mode === 'exclusive' ? MODE_EXCLUSIVE : MODE_SHARED
  const enter = (entered: number): DriverState =>
    ({ ...thread, place: 'told', mode: entered, insideSlot: action.slot ?? 0, insideMode: entered, overtaken: -1 })
  const isUrgent = action.urgent === 'at once' || (action.urgent === true && thread.slept)
  switch (thread.place) {
    case 'seize': return [{ ...thread, place: 'drain' }]
    case 'leave': return [{ ...thread, place: 'attempt' }]
    case 'try':
      if (value === ENTERED) return [enter(mode)]
      if (value === LOST) return [finish(thread)]
      return [action.try ? finish(thread) : { ...thread, place: 'register' }]
    case 'register': return [{ ...thread, place: firstLook(action) }]
    case 'attend':
    case 'attempt':
    case 'drain':
      if (value === STAYS) return [{ ...thread, place: 'attending', slept: true }]
      if (value === ENTERED) return [enter(mode)]
      if (value === OWNER) return [{ ...thread, place: 'draining', overtaken: -1 }]
      if (value === LOST) return [joins(thread, action) ? finish(thread) : { ...thread, place: 'register' }]
      return [{ ...thread, place: value === BUSY ? 'asleep' : 'register', overtaken: isUrgent ? Math.max(thread.overtaken, 0) : -1 }]
    case 'giveup':
    case 'backout': return [finish(thread)]
    case 'told': return told(driver, thread, action, value)
    case 'list': return [{ ...thread, place: 'inside', overflowed: value === true }]
    case 'unlist': return [{ ...thread, place: 'release' }]
    case 'succeed':
      driver.writes++
      return [{ ...thread, place: 'release' }]
    case 'inside':
      if (thread.mode === MODE_EXCLUSIVE) driver.writes++
      if (action.others) return [{ ...thread, place: 'unlist' }]
      if (action.keep) return [keep(thread, action)]
      return [joins(thread, action) ? finish(thread) : { ...thread, place: action.then ?? 'release' }, undefined]
    case 'upgrade':
      if (value === ENTERED) {
        const isRobbed = thread.insideMode === 0 // since: by somebody who saw the upgrade
        return [{ ...thread, place: 'told', mode: MODE_EXCLUSIVE, insideMode: isRobbed ? 0 : MODE_EXCLUSIVE, certain: !isRobbed }]
      }
      return [{ ...thread, place: 'release' }]
    case 'downgrade':
      if (value === LOST) return [{ ...thread, insideSlot: -1, insideMode: 0, certain: false, place: 'release' }]
      return [{ ...thread, mode: MODE_SHARED, insideMode: MODE_SHARED, place: 'release' }]
    case 'release': return [finish(thread)]
    default: throw new Error(`no way on from ${thread.place}`)
  }
}

/** Entered and asked for the notice: exactly the deaths that nobody was told of must be in it. */
function told(driver: Driver, thread: DriverState, action: Action & { kind: 'lock' }, value: SegmentValue): [DriverState, (string | undefined)?] {
  const upgraded = action.mode === 'shared' && thread.mode === MODE_EXCLUSIVE
  const onward: DriverState = { ...thread, certain: thread.insideMode !== 0, place: upgraded ? 'release' : action.others ? 'list' : 'inside' }
  if (driver.noNotices || thread.insideMode === 0) return [onward] // robbed meanwhile: the thief is told
  const due = driver.due[action.name]
  const notice = typeof value === 'object'
  let violation: string | undefined
  if (due === 'must' && !notice) violation = `a death under the name ${action.name} was not reported`
  if (due === undefined && notice && driver.due['*'] === undefined) violation = `a death under the name ${action.name} was reported that was none, or twice`
  if (thread.mode === MODE_EXCLUSIVE && due !== undefined) {
    const { [action.name]: _, ...rest } = driver.due
    driver.due = rest
  }
  return [onward, violation]
}

/** What was read counts as unchanged only if nobody has written between the reading and the question. */
function afterWatch(driver: Driver, thread: DriverState, value: SegmentValue): [DriverState, (string | undefined)?] {
  switch (thread.place) {
    case 'watch': return [{ ...thread, place: 'read', version: value as bigint }]
    case 'read': return [{ ...thread, place: 'ask', seen: driver.writes }]
    default: return [finish(thread), value === false && thread.asked !== thread.seen ? 'a change was hidden' : undefined]
  }
}

function afterRejoin(driver: Driver, thread: DriverState): DriverState {
  const words = driver.machine
  const life = participantWord(thread.number) + PARTICIPANT.LIFE
  switch (thread.place) {
    case 'scrub0': return { ...thread, place: 'scrub1' }
    case 'scrub1': return { ...thread, place: 'join' }
    case 'join':
      words.write(participantWord(thread.number) + PARTICIPANT.PID, 200 + thread.number)
      driver.ringAll()
      return finish(thread)
    default: throw new Error(`no way on from ${thread.place}; life ${words.read(life)}`)
  }
}

/** Takes the dead number and declares itself joining under the next generation. */
export function adopt(driver: Driver, thread: DriverState, number: number): DriverState {
  const life = participantWord(number) + PARTICIPANT.LIFE
  const generation = (driver.machine.read(life) >>> 16) + (driver.sameGeneration ? 0 : 1)
  driver.machine.write(life, (generation << 16) | LIFE.SCRUBBING)
  return { ...thread, number, generation, place: 'scrub0', invulnerable: false }
}

function finish(thread: DriverState): DriverState {
  const at = thread.at + 1
  return {
    ...thread, at, place: firstPlace(thread.program[at]), done: at >= thread.program.length, slept: false, doorName: undefined, insideSlot: -1, insideMode: 0,
    certain: false, robbed: false, overtaken: -1, overflowed: false, version: 0n, seen: 0, asked: -1, kept: leaving(thread, thread.program[thread.at] ?? NOTHING).kept ?? thread.kept,
  }
}

const NOTHING: Action = { kind: 'rejoin' }

function keep(thread: DriverState, action: Action & { kind: 'lock' }): DriverState {
  const hold: Kept = { slot: thread.insideSlot, mode: thread.insideMode, name: action.name, lost: false }
  return { ...finish(thread), kept: thread.insideMode === 0 ? thread.kept : [...thread.kept, hold] }
}
