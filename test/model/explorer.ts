/**
 * explorer.ts: every interleaving of small programs over the shipped protocol, with deaths at every step.
 *
 * A state is the shared words, every thread's place in its driver and the results its current segment has seen. The adversary
 * chooses who runs, delays every wake-up (a rung bell is noticed any time later), kills at any step, delays the death certificate
 * and rings each survivor separately after it; a further kill takes the reaper's remaining rings with it.
 */
import { LIFE, MODE_EXCLUSIVE, MODE_SHARED, PARTICIPANT, PARTICIPANTS_WORD, PARTICIPANT_WORDS, SLOT, participantWord } from '../../src/lock/layout.js'
import { Protocol } from '../../src/lock/protocol.js'
import { ownerNumber } from '../../src/lock/word.js'
import { type Action, type Driver, type DriverState, type Wish, advance, enabledByBell, initialState } from './driver.js'
import { Machine } from './machine.js'
import {
  ALIVE, CERTIFIED, KILLED, type State, copy, corpse, deadNumber, exclusion, listeners, namesOf, noteDeath, sleeper, uncertain,
} from './state.js'
import { FIRST_SLOT, SLOTS, isHighBitmapWord, isStatistic, isUrgentWord, isVersion, wordName } from './words.js'

export interface Configuration {
  /** One program per participant: its actions in order. */
  readonly programs: readonly (readonly Action[])[]
  readonly deaths: number
  /** Makes the protocol under test; a broken variant for must-fail runs. */
  readonly makeProtocol?: ((machine: Machine, number: number, generation: number, ring: (n: number) => void) => Protocol) | undefined
  /** Broken surroundings: no ring after a certificate; a ring before it instead; numbers reused with their old generation. */
  readonly fault?: 'no-death-ring' | 'ring-before-certificate' | 'same-generation' | undefined
  readonly stateLimit?: number | undefined
  /** Plain accesses are steps of their own: a death may fall between two of them. */
  readonly plainSteps?: boolean | undefined
}

export interface Exploration {
  readonly states: number
  readonly transitions: number
  readonly violation: string | undefined
  /** The shortest way there, a label a step. */
  readonly schedule: readonly string[]
  /** The same way, as what replay() wants: which of the possible steps was taken. */
  readonly choices: readonly number[]
  readonly complete: boolean
}

export function explore(configuration: Configuration): Exploration {
  return new Explorer(configuration).run()
}

/** Walks one schedule, as an exploration reported it. */
export function replay(configuration: Configuration, choices: readonly number[]): Exploration {
  return new Explorer(configuration).walk(choices)
}

class Explorer {
  readonly #c: Configuration
  readonly #machine: Machine
  readonly #seen = new Map<string, number>()
  readonly #parents: number[] = []
  /** By state: which successor of its parent it is. */
  readonly #ordinals: number[] = []
  #transitions = 0
  #ringing: number[] = []
  readonly #evicts: boolean
  readonly #isWatched: boolean
  /** Nothing that excuses being overtaken can happen. */
  readonly #isFair: boolean
  /** Some program changes a LIFE word. */
  readonly #changesLife: boolean
  /** Thread states are few: each has a number, so that keys are short. */
  readonly #threadIds = new Map<string, number>()
  readonly #threadIdCache = new WeakMap<DriverState, number>()

  constructor(configuration: Configuration) {
    this.#c = configuration
    this.#isFair = configuration.deaths === 0 &&
      !configuration.programs.some(program => program.some(action => action.kind !== 'lock' || action.timeout || action.steal))
    this.#evicts = configuration.programs.some(program => program.some(action => action.kind === 'evict'))
    this.#changesLife = configuration.programs.some(program => program.some(action => action.kind === 'evict' || action.kind === 'rejoin'))
    this.#isWatched = configuration.programs.some(program => program.some(action => action.kind === 'watch'))
    this.#machine = new Machine(index => isStatistic(index) || (!this.#isWatched && isVersion(index)), wordName)
    const isHurried = configuration.programs.some(program => program.some(action => action.kind === 'lock' && action.urgent))
    this.#machine.isConstantWord = index => isHighBitmapWord(index) || (!isHurried && isUrgentWord(index))
    this.#machine.isLifeWord = index => index < FIRST_SLOT && (index - PARTICIPANTS_WORD) % PARTICIPANT_WORDS === PARTICIPANT.LIFE
    this.#machine.plainIsStep = configuration.plainSteps ?? false
  }

  run(): Exploration {
    const start = this.#start()
    this.#seen.set(this.#key(start), 0)
    this.#parents.push(-1)
    this.#ordinals.push(0)
    let frontier: [number, State][] = [[0, start]]
    const limit = this.#c.stateLimit ?? 5_000_000
    while (frontier.length > 0) {
      const next: [number, State][] = []
      for (const [id, state] of frontier) {
        let quiet = true
        let ordinal = -1
        for (const [, successor, violation] of this.#successors(state)) {
          this.#transitions++
          ordinal++
          if (successor.deaths === state.deaths) quiet = false
          if (violation !== undefined) return this.#report(violation, id, ordinal)
          const text = this.#key(successor)
          if (this.#seen.has(text)) continue
          this.#seen.set(text, this.#parents.length)
          next.push([this.#parents.length, successor])
          this.#parents.push(id)
          this.#ordinals.push(ordinal)
          if (this.#parents.length > limit) return this.#result(undefined, [], false)
        }
        const asleep = quiet ? sleeper(state) : undefined
        if (asleep !== undefined) return this.#report(asleep, id, undefined)
      }
      frontier = next
    }
    return this.#result(undefined, [], true)
  }

  #result(violation: string | undefined, choices: readonly number[], complete: boolean): Exploration {
    const { schedule } = violation === undefined ? { schedule: [] } : this.#walk(choices)
    return { states: this.#parents.length, transitions: this.#transitions, violation, schedule, choices, complete }
  }

  #report(violation: string, id: number, last: number | undefined): Exploration {
    const choices = last === undefined ? [] : [last]
    for (let at = id; at > 0; at = this.#parents[at] ?? 0) choices.unshift(this.#ordinals[at] ?? 0)
    return this.#result(violation, choices, true)
  }

  walk(choices: readonly number[]): Exploration {
    const { schedule, violation } = this.#walk(choices)
    return { states: choices.length + 1, transitions: choices.length, violation, schedule, choices, complete: false }
  }

  #walk(choices: readonly number[]): { schedule: string[]; violation: string | undefined } {
    this.#machine.cells = []
    let state = this.#start()
    const schedule: string[] = []
    for (const choice of choices) {
      const step = [...this.#successors(state)][choice]
      if (step === undefined) throw new Error(`after ${schedule.length} steps there is no step number ${choice}`)
      schedule.push(step[0]())
      if (step[2] !== undefined) return { schedule, violation: step[2] }
      state = step[1]
    }
    const isQuiet = [...this.#successors(state)].every(([, successor]) => successor.deaths !== state.deaths)
    return { schedule, violation: isQuiet ? sleeper(state) : undefined }
  }

  #start(): State {
    const memory = this.#machine.cells
    this.#c.programs.forEach((program, i) => {
      const reuses = program[0]?.kind === 'rejoin'
      if (reuses) return
      this.#machine.write(participantWord(i + 1) + PARTICIPANT.LIFE, (1 << 16) | LIFE.LIVE)
      this.#machine.write(participantWord(i + 1) + PARTICIPANT.PID, 100 + i + 1)
    })
    if (this.#isWatched) this.#machine.write(SLOTS[0] + SLOT.VERSION_LOW, -1) // about to wrap
    return {
      memory,
      threads: this.#c.programs.map((program, i) => initialState(i + 1, program)),
      alive: this.#c.programs.map(() => ALIVE),
      rings: 0, bells: 0, deaths: this.#c.deaths, due: {}, writes: 0,
    }
  }

  *#successors(state: State): Generator<[() => string, State, (string | undefined)?]> {
    for (let i = 0; i < state.threads.length; i++) {
      const thread = state.threads[i]
      if (thread === undefined || thread.done || state.alive[i] !== ALIVE) continue
      for (const choice of this.#choices(state, thread, i)) {
        const successor = copy(state)
        const [label, violation] = this.#stepThread(successor, i, choice)
        yield [() => `${i + 1} ${label()}`, successor, violation ?? exclusion(successor)]
      }
      if (state.deaths > 0 && !thread.invulnerable) {
        const successor = copy(state)
        successor.alive[i] = KILLED
        successor.deaths--
        successor.rings = 0
        successor.bells &= ~(1 << i)
        noteDeath(successor, i)
        successor.threads[i] = corpse(thread)
        yield [() => `kill ${i + 1} at ${thread.place}`, successor]
      }
    }
    yield* this.#environment(state)
  }

  *#environment(state: State): Generator<[() => string, State, (string | undefined)?]> {
    const everybody = listeners(state)
    for (let i = 0; i < state.alive.length; i++) {
      if (state.alive[i] === KILLED) {
        const successor = copy(state)
        successor.alive[i] = CERTIFIED
        const dead = state.threads[i]
        if (dead !== undefined) successor.threads[i] = { ...corpse(dead), insideSlot: -1, insideMode: 0, kept: [] }
        const life = participantWord(dead?.number ?? 0) + PARTICIPANT.LIFE
        this.#machine.cells = successor.memory
        this.#machine.write(life, (this.#machine.read(life) & ~0xffff) | LIFE.DEAD)
        if (this.#c.fault === undefined || this.#c.fault === 'same-generation') successor.rings |= everybody
        yield [() => `certify ${i + 1}`, successor]
        if (this.#c.fault === 'ring-before-certificate' && (state.bells & everybody) !== everybody && !state.threads[i]?.belled) {
          const early = copy(state)
          early.bells |= everybody
          const thread = early.threads[i]
          if (thread !== undefined) early.threads[i] = { ...thread, belled: true }
          yield [() => `early ring for ${i + 1}`, early]
        }
      }
      if (state.rings & (1 << i)) {
        const successor = copy(state)
        successor.rings &= ~(1 << i)
        successor.bells |= 1 << i
        yield [() => `death ring ${i + 1}`, successor]
      }
    }
  }

  #choices(state: State, thread: DriverState, i: number): Wish[] {
    return enabledByBell(thread, (state.bells & (1 << i)) !== 0, number => deadNumber(state, number))
  }

  #stepThread(state: State, i: number, wish: Wish): [() => string, string | undefined] {
    const machine = this.#machine
    machine.cells = state.memory
    machine.lifeIsConstant = state.deaths === 0 && !this.#changesLife && !state.alive.includes(KILLED)
    this.#ringing = []
    const thread = state.threads[i]
    if (thread === undefined) throw new Error('no such thread')
    const driver: Driver = {
      machine,
      protocol: (number, generation) => this.#protocol(number, generation),
      slots: SLOTS,
      consumeBell: () => {
        state.bells &= ~(1 << i)
      },
      findDead: number => deadNumber(state, number),
      ringAll: () => {
        state.rings |= listeners(state)
      },
      sameGeneration: this.#c.fault === 'same-generation',
      noNotices: this.#evicts,
      due: state.due,
      writes: state.writes,
    }
    const owner = ownerNumber(machine.read(SLOTS[0]))
    const readers = thread.place === 'seize' ? state.threads.map(other => this.#holdsAnyhow(other)) : []
    const [next, label, violation] = advance(driver, thread, wish)
    state.threads[i] = next
    state.due = driver.due
    if (this.#isWatched) state.writes = driver.writes
    this.#noteEvictions(state)
    if (thread.place === 'seize') {
      this.#noteRobberies(state, i, readers)
      // A hold that was taken by force, from a dying holder even, is no notice.
      if (owner !== ownerNumber(machine.read(SLOTS[0])) && state.alive[state.threads.findIndex(other => other.number === owner)] !== ALIVE) state.due = uncertain(state.due)
    }
    if (next.robbed && next.place === 'told' && thread.place !== 'told' && !this.#holds(next, SLOTS[next.insideSlot] ?? 0, next.insideMode)) {
      state.threads[i] = { ...next, insideSlot: -1, insideMode: 0 }
    }
    const unfair = next.place === 'told' && thread.place !== 'told' ? this.#noteOvertaking(state, i) : undefined
    for (const number of this.#ringing) {
      const rung = state.threads.findIndex((other, k) => other.number === number && state.alive[k] === ALIVE)
      if (rung >= 0 && !state.threads[rung]?.done) state.bells |= 1 << rung
    }
    if (next.done) {
      state.bells &= ~(1 << i)
      state.rings &= ~(1 << i)
    }
    return [label, violation ?? unfair]
  }

  /**
   * An evicted participant runs on, but its holds do not count any more.
   */
  #noteEvictions(state: State): void {
    state.threads.forEach((thread, i) => {
      const life = this.#machine.read(participantWord(thread.number) + PARTICIPANT.LIFE)
      if (thread.evicted || (life & 0xffff) !== LIFE.EVICTED || life >>> 16 !== thread.generation) return
      state.threads[i] = { ...thread, evicted: true }
    })
  }

  /** A thief's step may have taken holds: their threads will find out. */
  #noteRobberies(state: State, thief: number, before: readonly boolean[]): void {
    state.threads.forEach((thread, i) => {
      if (i === thief) return
      const keeps = (slot: number, mode: number): boolean => mode === 0 || this.#holds(thread, SLOTS[slot] ?? 0, mode)
      const kept = thread.kept.map(hold => (hold.lost || keeps(hold.slot, hold.mode) ? hold : { ...hold, lost: true }))
      const robbed = thread.robbed || (before[i] === true && thread.log.length > 0 && !this.#holdsAnyhow(thread))
      if (keeps(thread.insideSlot, thread.insideMode)) {
        if (kept.some((hold, k) => hold !== thread.kept[k])) state.threads[i] = { ...thread, kept, robbed }
        else if (robbed !== thread.robbed) state.threads[i] = { ...thread, robbed }
        return
      }
      state.threads[i] = { ...thread, kept, robbed, insideSlot: -1, insideMode: 0, certain: false }
      // It may have learned of a death that whoever robs it now is not told of.
      if (thread.place === 'told') state.due = uncertain(state.due)
      // What it listed in case it died is told, though it lives.
      if (namesOf(thread) !== '') state.due = { ...state.due, '*': 'may' }
    })
  }

  #holdsAnyhow(thread: DriverState): boolean {
    return this.#holds(thread, SLOTS[0], MODE_SHARED) || this.#holds(thread, SLOTS[0], MODE_EXCLUSIVE)
  }

  #holds(thread: DriverState, slot: number, mode: number): boolean {
    return this.#machine.look(() => this.#protocol(thread.number, thread.generation).isHolding(slot, mode))
  }

  /** Somebody entered: how often has that happened to those who asked for a hand-off? With no deaths and no giving up, each other goes first once. */
  #noteOvertaking(state: State, entered: number): string | undefined {
    let unfair: string | undefined
    const slot = state.threads[entered]?.insideSlot
    state.threads.forEach((thread, i) => {
      const action = thread.program[thread.at]
      if (i === entered || thread.overtaken < 0 || action?.kind !== 'lock' || (action.slot ?? 0) !== slot || state.alive[i] !== ALIVE) return
      state.threads[i] = { ...thread, overtaken: thread.overtaken + 1 }
      if (this.#isFair && thread.overtaken + 1 >= state.threads.length) unfair = `participant ${i + 1} was overtaken ${thread.overtaken + 1} times`
    })
    return unfair
  }

  #key(state: State): string {
    const codes: number[] = []
    for (const value of state.memory) codes.push(value & 0xffff, value >>> 16)
    while (codes.length > 0 && codes[codes.length - 1] === 0) codes.pop() // words first touched later were zero here
    codes.push(0xffff, state.rings, state.bells, state.deaths, state.writes)
    state.threads.forEach((thread, i) => {
      const id = this.#threadId(thread)
      codes.push(id & 0xffff, id >>> 16, state.alive[i] ?? 0)
    })
    for (const name of Object.keys(state.due).sort()) codes.push(name.charCodeAt(0), state.due[name] === 'must' ? 1 : 2)
    return String.fromCharCode(...codes)
  }

  #threadId(thread: DriverState): number {
    let id = this.#threadIdCache.get(thread)
    if (id === undefined) {
      const t = thread
      const text = `${t.number} ${t.generation} ${t.at} ${t.place} ${t.log.join()} ${t.doorName} ${t.insideSlot} ${t.insideMode} ${t.mode} ${t.overtaken} ${t.version} ${t.seen} ${t.asked} ${
        [t.done, t.slept, t.certain, t.evicted, t.invulnerable, t.belled, t.robbed, t.overflowed].map(Number).join('')} ${t.kept.map(hold => Object.values(hold).join()).join(';')}`
      id = this.#threadIds.get(text) ?? this.#threadIds.size
      this.#threadIds.set(text, id)
      this.#threadIdCache.set(thread, id)
    }
    return id
  }

  #protocol(number: number, generation: number): Protocol {
    const ring = (rung: number): void => {
      this.#machine.operation(`ring ${rung}`, () => {
        this.#ringing.push(rung)
        return 0
      })
    }
    const make = this.#c.makeProtocol
    if (make !== undefined) return make(this.#machine, number, generation, ring)
    return new Protocol(this.#machine.words, number, generation, { ring, now: () => 1 })
  }
}
