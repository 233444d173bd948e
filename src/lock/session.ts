/**
 * session.ts: one opening of a table: the mapped file, our number in it, what we hold and wait for, and whether all that is
 * still good. Shared by the public objects of the table.
 */
import { type FSWatcher, watch } from 'node:fs'
import { LockError } from '../errors.js'
import { holdersOf } from './holders.js'
import { type Participant, certifyGone, expel, join, leave } from './participant.js'
import { type Region, type RegionOptions, ioError, isStillNamed, openRegion } from './region.js'
import { Waiters } from './waiters.js'

/** A guard whose holder wants to hear when it is lost. */
export interface Watched {
  readonly isHeld: boolean
  lose(error: LockError): void
}

/** A millisecond each. */
const JOIN_ATTEMPTS = 50

export class Session {
  readonly region: Region
  readonly participant: Participant
  readonly waiters: Waiters
  /** Names where each guard was taken, if asked to. */
  readonly tracer: GuardTracer | undefined
  /** Attempts at several locks that have not come to an end: how to give back what they hold already, which nobody has seen. */
  readonly unfinished = new Set<() => void>()
  readonly #watched = new Set<Watched>()
  #watcher: FSWatcher | undefined
  #failure: LockError | undefined
  #closed = false

  constructor(path: string, options: RegionOptions, label: string, watchFile: boolean, traceGuards: boolean) {
    const [region, participant] = openAndJoin(path, options, label, () => {
      this.#onRing()
    })
    this.region = region
    this.participant = participant
    this.waiters = new Waiters(region, this.participant, () => {
      this.#onRing()
    })
    this.tracer = traceGuards ? new GuardTracer() : undefined
    if (watchFile) this.#watchFile()
  }

  /** Throws what made the session unusable, if anything did. */
  ensureUsable(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Throws if this participant was evicted, and says so to all its guards. */
  ensureLive(): void {
    this.#onRing()
    this.ensureUsable()
  }

  /** The mapping is gone. */
  get isClosed(): boolean {
    return this.#closed
  }

  get failure(): LockError | undefined {
    return this.#failure
  }

  #onRing(): void {
    if (this.#failure !== undefined) return
    if (!this.waiters.isLive) {
      this.lose(new LockError('LOCK_LOST', `this participant was evicted from ${this.region.path}`, { path: this.region.path }))
      return
    }
    const before = this.waiters.thefts
    this.waiters.pumpAll()
    if (this.waiters.thefts !== before) this.checkWatched()
  }

  /** Tells the watched guards that are no longer held. */
  checkWatched(): void {
    for (const guard of [...this.#watched]) {
      if (!guard.isHeld) guard.lose(new LockError('LOCK_LOST', 'the lock was taken by force', { path: this.region.path }))
    }
  }

  watchGuard(guard: Watched): void {
    this.#watched.add(guard)
  }

  unwatchGuard(guard: Watched): void {
    this.#watched.delete(guard)
  }

  /** From now on nothing is granted, and nothing held counts. Idempotent; the first reason stays. */
  lose(failure: LockError): void {
    if (this.#failure !== undefined) return
    for (const undo of this.unfinished) undo()
    this.#failure = failure
    this.waiters.fail(failure, this.waiters.isLive)
    for (const guard of [...this.#watched]) guard.lose(failure)
    this.#watched.clear()
    this.#watcher?.close()
  }

  /** Somebody removed or replaced the file: two tables would be in use at once, so this one fails loudly. */
  #watchFile(): void {
    const check = (): void => {
      if (this.#failure === undefined && !isStillNamed(this.region)) {
        this.lose(new LockError('TABLE_GONE', `${this.region.path} was removed or replaced`, { path: this.region.path }))
      }
    }
    try {
      this.#watcher = watch(this.region.path, { persistent: false }, check)
      this.#watcher.on('error', check)
    } catch {
      // No inotify instance to be had (128 a user by default): the check when the table is opened must do.
    }
    check()
  }

  /** Whoever has a slot, but whose process is gone, is not in the way any more. */
  findGone(slot: number): void {
    const { owner, readers } = holdersOf(this.region.words, slot)
    certifyGone(this.region, this.participant.number, owner === 0 ? readers : [owner, ...readers])
  }

  evict(number: number): boolean {
    this.ensureUsable()
    return expel(this.region, number)
  }

  /** Idempotent. Holds that were not released count as a death of their holder: the next is told. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.lose(new LockError('TABLE_CLOSED', `${this.region.path} was closed`, { path: this.region.path }))
    this.#watcher?.close()
    leave(this.region, this.participant, !this.waiters.holdsAnything)
  }
}

/** A removal of the table at the same moment is no reason to fail: it takes less than a millisecond, and then there is another table, or none. */
function openAndJoin(path: string, options: RegionOptions, label: string, onRing: () => void): [Region, Participant] {
  for (let attempt = 1; ; attempt++) {
    const region = openRegion(path, options)
    try {
      return [region, join(region, onRing, label)]
    } catch (error) {
      region.native.close()
      if (!(error instanceof LockError)) throw ioError(`cannot join ${path}`, path, error)
      if (attempt >= JOIN_ATTEMPTS || (error.code !== 'TABLE_BUSY' && error.code !== 'TABLE_GONE')) throw error
      if (error.code === 'TABLE_BUSY') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}

/** Warns of guards that were dropped without release, with the place where they were taken. For debugging: costs a stack trace a lock. */
export class GuardTracer {
  readonly #registry = new FinalizationRegistry<{ text: string; released: boolean }>(trace => {
    if (!trace.released) process.emitWarning(trace.text, { type: 'LockGuardWarning', code: 'LOCK_GUARD_DROPPED' })
  })

  trace(guard: object, name: string): { released: boolean } {
    const where = new Error().stack?.split('\n').slice(3).join('\n') ?? ''
    const trace = { text: `a guard of ${JSON.stringify(name)} was dropped without release; it was taken\n${where}`, released: false }
    this.#registry.register(guard, trace)
    return trace
  }
}
