/**
 * The doorbell in every interleaving: no ring is lost, however the one who is rung waits. Runs src/lock/doorbell.ts itself; the sentinel is
 * native/sentinel.cc retold, the kernel's futex is a set of sleepers.
 */
import { describe, expect, test } from 'vitest'
import { mute, ringBell, sequenceOf, sleepOnBell, unmute } from '../../src/lock/doorbell.js'
import { BELL_FLAGS, BELL_MUTED, BELL_SENTINEL, BELL_SYNC, PARTICIPANT, participantWord } from '../../src/lock/layout.js'
import { Machine } from './machine.js'

const RECORD = participantWord(1)
const BELL = RECORD + PARTICIPANT.BELL
const SYNC_BELL = RECORD + PARTICIPANT.SYNC_BELL
/** Not of the table: what there is to see, a bit a ringer; that the event loop has been told. */
const EVENTS = 1
const TOLD = 2

/** A thread's life in segments: what it remembers from one to the next is a number; it has ended when it says 'end'. */
type Life = (world: World, memory: number) => number | 'end'
type Threads = Readonly<Record<string, Life>>

interface Thread {
  readonly memory: number | 'end'
  /** Of the segment it is in. */
  readonly log: readonly number[]
  /** The word it sleeps on. */
  readonly place?: number
}

interface State {
  readonly cells: readonly number[]
  readonly threads: Readonly<Record<string, Thread>>
  readonly before: State | undefined
  readonly step: string
}

/** What the threads do to each other, an operation a step. */
class World {
  readonly machine = new Machine(() => false, index => ({ [BELL]: 'bell', [SYNC_BELL]: 'sync bell', [EVENTS]: 'events', [TOLD]: 'told' })[index] ?? String(index))
  /** Thread -> word. */
  sleeping = new Map<string, number>()
  current = ''

  constructor() {
    this.machine.answersWhole = true
  }

  get words(): Int32Array {
    return this.machine.words
  }

  futexWait(place: number, expected: number): void {
    this.machine.operation(`wait on ${place}`, () => {
      if (this.machine.read(place) === expected) this.sleeping.set(this.current, place)
      return 0
    })
  }

  wake(place: number): void {
    this.machine.operation(`wake ${place}`, () => {
      for (const [thread, at] of this.sleeping) if (at === place) this.sleeping.delete(thread)
      return 0
    })
  }

  ring(): void {
    ringBell(this.words, 1, (_, sleepers) => {
      if (sleepers & BELL_SYNC) {
        Atomics.add(this.words, SYNC_BELL, 1)
        this.wake(SYNC_BELL)
      }
      if (sleepers & BELL_SENTINEL) this.wake(BELL)
    })
  }

  /** One round of its loop. */
  sentinel(heard: number): number {
    const bell = Atomics.load(this.words, BELL)
    const sequence = bell & ~BELL_FLAGS
    if (sequence !== heard) {
      Atomics.store(this.words, TOLD, 1)
      this.wake(TOLD)
    }
    const asleep = bell & BELL_MUTED ? bell : bell | BELL_SENTINEL
    if (bell === asleep || Atomics.compareExchange(this.words, BELL, bell, asleep) === bell) this.futexWait(BELL, asleep)
    return sequence
  }

  /** @returns whether the event loop was told of a ring; if not, it has slept */
  hears(): boolean {
    if (Atomics.compareExchange(this.words, TOLD, 1, 0) === 1) return true
    this.futexWait(TOLD, 0)
    return false
  }
}

const ALL = 3
const OTHERS: Threads = {
  /** Twice: something to see, then the ring. */
  ringer: (world, memory) => {
    if (memory % 2 === 0) Atomics.or(world.words, EVENTS, memory === 0 ? 1 : 2)
    else world.ring()
    return memory === 3 ? 'end' : memory + 1
  },
  sentinel: (world, heard) => world.sentinel(heard),
}

/** Of the ringer's failed attempts to change the bell, each a load and an exchange, nothing remains: without this there would be no end of states. */
function forgetting(log: readonly number[]): readonly number[] {
  return log.length >= 2 && log[0] !== log[1] ? forgetting(log.slice(2)) : log
}

const look = ({ words }: World): boolean => Atomics.load(words, EVENTS) === ALL

const LOOKS = 0
const SLEEPS = 1

/** A look, Vigil.begin() and its turns, two at most; then the event loop. */
function keepsVigil(world: World, memory: number, isHeeded = true): number | 'end' {
  if (memory === SLEEPS) return world.hears() ? LOOKS : SLEEPS
  if (look(world)) return 'end'
  let seen = mute(world.words, BELL)
  for (let turn = 0; turn < 2; turn++) {
    const sequence = sequenceOf(world.words, BELL)
    if (sequence === seen) continue
    seen = sequence
    if (look(world)) return 'end'
  }
  return unmute(world.words, BELL) !== seen && isHeeded ? LOOKS : SLEEPS
}

/** A round of Waiters#block. */
function blocks(world: World, _memory: number, isTakenBefore = true): number | 'end' {
  const before = sequenceOf(world.words, BELL)
  if (look(world)) return 'end'
  const sequence = isTakenBefore ? before : sequenceOf(world.words, BELL)
  mute(world.words, BELL)
  sleepOnBell(world.words, RECORD, sequence, calls => {
    world.futexWait(SYNC_BELL, calls)
  })
  return LOOKS
}

/** Blocks for one event, then waits for the other in the event loop. */
function blocksThenWaits(world: World, memory: number): number | 'end' {
  if (memory === SLEEPS) {
    if (look(world)) return 'end'
    world.hears()
    return SLEEPS
  }
  const sequence = sequenceOf(world.words, BELL)
  if (Atomics.load(world.words, EVENTS) === 0) {
    sleepOnBell(world.words, RECORD, sequence, calls => {
      world.futexWait(SYNC_BELL, calls)
    })
    return LOOKS
  }
  return unmute(world.words, BELL) !== sequence && look(world) ? 'end' : SLEEPS
}

/** @returns the schedule that leaves an event unseen, if there is one, and how many states were seen */
function explore(lives: Threads): { readonly schedule: string[] | undefined; readonly states: number } {
  const world = new World()
  const names = Object.keys(lives)
  const key = ({ cells, threads }: State): string => JSON.stringify([cells, names.map(name => threads[name])])
  const first: State = { cells: [], threads: Object.fromEntries(names.map(name => [name, { memory: 0, log: [] }])), before: undefined, step: '' }
  const seen = new Set([key(first)])
  const queue = [first]
  for (const state of queue) {
    const able = names.filter(name => state.threads[name]!.memory !== 'end' && state.threads[name]!.place === undefined)
    if (able.length === 0 && state.threads['main']!.memory !== 'end') return { schedule: scheduleOf(state), states: seen.size }
    for (const name of able) {
      const next = advance(world, lives, state, name)
      const id = key(next)
      if (seen.has(id)) continue
      seen.add(id)
      queue.push(next)
    }
  }
  return { schedule: undefined, states: seen.size }
}

/** One operation further. */
function advance(world: World, lives: Threads, state: State, name: string): State {
  const { memory, log } = state.threads[name]!
  world.machine.cells = [...state.cells]
  world.sleeping = new Map(Object.entries(state.threads).flatMap(([thread, { place }]) => place === undefined ? [] : [[thread, place]]))
  world.current = name
  const result = world.machine.stepSegment(() => lives[name]!(world, Number(memory)), log)
  const moved: Thread = result.finished ? { memory: result.value ?? 'end', log: [] } : { memory, log: name === 'ringer' ? forgetting(result.log) : result.log }
  const threads = Object.fromEntries(Object.entries({ ...state.threads, [name]: moved }).map(([thread, { memory: kept, log: done }]): [string, Thread] => {
    const place = world.sleeping.get(thread)
    return [thread, place === undefined ? { memory: kept, log: done } : { memory: kept, log: done, place }]
  }))
  return { cells: world.machine.cells, threads, before: state, step: `${name}: ${result.label()}` }
}

function scheduleOf(end: State): string[] {
  const steps: string[] = []
  for (let state: State | undefined = end; state?.before !== undefined; state = state.before) steps.unshift(state.step)
  return steps
}

describe('no ring is lost', () => {
  test.each<[string, Life]>([
    ['by one who keeps a vigil, then sleeps in the event loop', (world, memory) => keepsVigil(world, memory)],
    ['by one who blocks its thread', (world, memory) => blocks(world, memory)],
    ['by one who blocks its thread, then sleeps in the event loop', blocksThenWaits],
  ])('%s', (_, main) => {
    const { schedule, states } = explore({ ...OTHERS, main })
    expect(schedule).toBeUndefined()
    expect(states).toBeGreaterThan(1000)
  })
})

describe('a wrong doorbell is found out', () => {
  test.each<[string, Life]>([
    ['the answer of unmute() is not heeded', (world, memory) => keepsVigil(world, memory, false)],
    ['the sequence is taken after the look', (world, memory) => blocks(world, memory, false)],
  ])('%s', (_, main) => {
    expect(explore({ ...OTHERS, main }).schedule).toContainEqual(expect.stringContaining('main'))
  })

  test('a ring wakes the sentinel only', () => {
    const ringer: Life = world => {
      Atomics.or(world.words, EVENTS, ALL)
      ringBell(world.words, 1, () => {
        world.wake(BELL)
      })
      return 'end'
    }
    expect(explore({ ringer, sentinel: OTHERS['sentinel']!, main: (world, memory) => blocks(world, memory) }).schedule).toBeDefined()
  })
})
