/** state.ts: a state of the exploration, and what must be true of it. */
import { MODE_EXCLUSIVE, MODE_SHARED } from '../../src/lock/layout.js'
import { type DriverState, initialState } from './driver.js'

export const ALIVE = 2
export const KILLED = 1
export const CERTIFIED = 0

export interface State {
  /** Values by place in the machine's list of words ever touched. */
  readonly memory: number[]
  readonly threads: DriverState[]
  readonly alive: number[]
  /** Rings that the reaper still has to do, a bit a thread. */
  rings: number
  bells: number
  deaths: number
  /** Ghosts: pids whose exclusive hold's death nobody has been told yet, by name. must: it was inside; may: it was at the door. */
  due: Record<string, 'must' | 'may'>
  /** Ghost: writes of exclusive holders, counted if anybody watches. */
  writes: number
}

/** With nothing left to happen but deaths: who has not come to its end. */
export function sleeper(state: State): string | undefined {
  const stuck = state.threads.findIndex((thread, i) => state.alive[i] === ALIVE && !thread.done && !thread.evicted && thread.place !== 'start')
  return stuck < 0 ? undefined : `participant ${stuck + 1} sleeps for ever (${state.threads[stuck]?.place})`
}

/** The number of a certified dead participant whose number nobody has taken, or 0. */
export function deadNumber(state: State, thread: number): number {
  for (let i = 0; i < state.alive.length; i++) {
    const number = state.threads[i]?.number ?? 0
    if (i === thread - 1 || state.alive[i] !== CERTIFIED) continue
    if (!state.threads.some((other, k) => k !== i && other.number === number)) return number
  }
  return 0
}

export function exclusion(state: State): string | undefined {
  for (const slot of [0, 1]) {
    const modes = state.threads.map((thread, i) => (state.alive[i] === CERTIFIED || thread.evicted ? 0 : modeIn(thread, slot)))
    const exclusive = modes.filter(mode => mode === MODE_EXCLUSIVE).length
    const shared = modes.filter(mode => mode === MODE_SHARED).length
    if (exclusive > 1 || (exclusive > 0 && shared > 0)) return `exclusion broken: ${exclusive} exclusive and ${shared} shared holders`
  }
  return undefined
}

/** How a thread holds a slot; 0: not at all. */
export function modeIn(thread: DriverState, slot: number): number {
  const modes = thread.kept.filter(hold => hold.slot === slot && !hold.lost).map(hold => hold.mode)
  if (thread.insideSlot === slot) modes.push(thread.insideMode)
  return modes.includes(MODE_EXCLUSIVE) ? MODE_EXCLUSIVE : Math.max(0, ...modes)
}

/** The further names under which it holds, or is about to hold, its slot. */
export function namesOf(thread: DriverState): string {
  const action = thread.program[thread.at]
  return action?.kind === 'lock' ? 'pqrstu'.slice(0, action.others ?? 0) : ''
}

/** Whoever died inside an exclusive hold must be reported to the next of that name; whoever died at its door may be. */
export function noteDeath(state: State, i: number): void {
  const thread = state.threads[i]
  if (thread !== undefined) {
    for (const name of namesOf(thread)) {
      if (thread.overflowed) state.due = { ...state.due, '*': 'may' } // the records were too few: every name may be told, for good
      if (thread.certain && thread.place === 'inside' && !thread.overflowed) state.due = { ...state.due, [name]: 'must' }
      else if (thread.place === 'list' || thread.place === 'unlist') state.due = { ...state.due, [name]: 'may' }
    }
  }
  for (const { name, mode, lost } of thread?.kept ?? []) if (mode === MODE_EXCLUSIVE && !lost) state.due = { ...state.due, [name]: 'must' }
  if (thread?.doorName === undefined) return
  const certain = thread.insideMode === MODE_EXCLUSIVE && thread.certain
  const known = state.due[thread.doorName]
  state.due = { ...state.due, [thread.doorName]: certain || known === 'must' ? 'must' : 'may' }
}

export function uncertain(due: State['due']): State['due'] {
  return Object.fromEntries(Object.keys(due).map(name => [name, 'may']))
}

/** Threads that a ring can still matter to. */
export function listeners(state: State): number {
  return state.alive.reduce((mask, life, i) => (life === ALIVE && !state.threads[i]?.done ? mask | (1 << i) : mask), 0)
}

/** Nobody cares any more how far a dead thread had come; until its certificate it may still be inside. */
export function corpse(thread: DriverState): DriverState {
  return { ...initialState(thread.number, []), generation: thread.generation, insideSlot: thread.insideSlot, insideMode: thread.insideMode, evicted: thread.evicted, kept: thread.kept }
}

export function copy(state: State): State {
  return { ...state, memory: [...state.memory], threads: [...state.threads], alive: [...state.alive] }
}
