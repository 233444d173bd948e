/**
 * waiters.ts: what one process holds and waits for, slot by slot, and its sleep. One class, though long: every part of it changes #holds and
 * the queues together, and that order is what matters.
 *
 * Shared memory knows a process as one holder or one waiter of a slot. Here its tasks share that: only the first in and the
 * last out touch the slot, and tasks queue in strict order, a shared one behind an exclusive one that came before it.
 *
 * #holds[index] is QUEUED | EXCLUSIVE | n x SHARED_STEP. 0 lets a lock go straight to the slot.
 * A hold passes from task to task without touching the slot, at most LOCAL_HANDOVERS times while another process waits. A shared
 * one is joined by more tasks unless the owner of the slot waits for its readers: then they wait behind it, as they would behind an
 * exclusive request of their own process.
 *
 * A caller that blocks its thread, and whose process has nothing else on the slot, does not queue: exclusive, attendance.ts; shared, not before it has let others run
 * and looked again SHARED_LOOKS times.
 *
 * Whoever is queued stays awake for a while (vigil.ts): where all want the lock for themselves, to sleep at once costs a sixth of the throughput. But it must not keep a core
 * from readers that have lost theirs inside, for whom an owner waits, and everybody behind it. So that owner sleeps at once, and so does who comes behind
 * more readers than there are cores: 1.5 times as many locks a second with sixteen processes and one lock in a hundred exclusive.
 *
 * TRIED, of no use to readers among whom one in a hundred writes: a writer that lets readers pass, up to 20 ms, while more of them are inside than there are cores,
 * and is rung by those that leave (explored with two participants only): fewer locks a second, as each reader that leaves has the way of a release with waiters; one that
 * looks again every 0.1 ms for 4 ms.
 */
import { availableParallelism } from 'node:os'
import { LockError } from '../errors.js'
import { Attendance, EVICTED, HELD } from './attendance.js'
import { nowMs } from './clock.js'
import { sequenceOf, sleepOnBell, unmute } from './doorbell.js'
import { sharedWaiterCount } from './holders.js'
import { MODE_EXCLUSIVE, MODE_SHARED, PARTICIPANT, SLOT, slotWord } from './layout.js'
import { loadNative } from './native.js'
import type { Notice } from './notices.js'
import type { Participant } from './participant.js'
import { BUSY, ENTERED, LOST, OWNER, type Protocol } from './protocol.js'
import { type SlotQueue, SlotQueue as Queue, type WaitEntry } from './queue.js'
import type { Region } from './region.js'
import { PATIENCE_MS } from './turn.js'
import { Vigil } from './vigil.js'
import { Watchfulness } from './watchfulness.js'
import { isOwned } from './word.js'

const QUEUED = 1
const EXCLUSIVE = 2
const SHARED_STEP = 4
const LOCAL_HANDOVERS = 16
/** Where nobody else wants to run, each takes about 1 us. */
const SHARED_LOOKS = 250
const CORES = availableParallelism()

export interface LockRequest {
  readonly slot: number
  readonly index: number
  readonly mode: number
  readonly name0: number
  readonly name1: number
}

export class Waiters {
  readonly #region: Region
  readonly #participant: Participant
  readonly #words: Int32Array
  readonly #protocol: Protocol
  readonly #lifeWord: number
  readonly #lifeWhileLive: number
  readonly #holds: Int32Array
  readonly #vigil: Vigil
  readonly #watchfulness: Watchfulness
  readonly #onRing: () => void
  readonly #letOthersRun: () => void
  readonly #attendance: Attendance
  readonly #queues = new Map<number, SlotQueue>()
  readonly #handovers = new Map<number, number>()
  /** By slot: the count of thefts when its holds were taken. */
  readonly #stolenAt = new Map<number, number>()
  #failure: LockError | undefined
  #pending = 0
  #isBlocking = false
  #stolenWord = 0
  /** Rises when holds of this process are taken by force. A guard older than its slot's last theft is lost. */
  thefts = 0

  /** @param onRing  what the participant does when its bell has rung; it calls pumpAll() */
  constructor(region: Region, participant: Participant, onRing: () => void) {
    this.#region = region
    this.#participant = participant
    this.#words = region.words
    this.#protocol = participant.protocol
    this.#lifeWord = participant.record + PARTICIPANT.LIFE
    this.#lifeWhileLive = participant.lifeWhileLive
    this.#onRing = onRing
    this.#letOthersRun = loadNative().yieldProcessor
    this.#attendance = new Attendance(region.words, participant.number, participant.record, participant.protocol, {
      letOthersRun: this.#letOthersRun,
      isLive: () => this.isLive,
      sleep: (sequence, ms) => {
        this.#watchfulness.begin()
        sleepOnBell(region.words, participant.record, sequence, calls => {
          region.native.waitBell(participant.number, calls, ms)
        })
        if (this.#pending === 0) this.#watchfulness.end()
      },
    })
    this.#vigil = new Vigil(region.words, participant.record, onRing, () => this.#pending > 0)
    this.#watchfulness = new Watchfulness(region.native)
    this.#holds = new Int32Array(region.spaces.reduce((sum, space) => sum + space.slotCount, 0))
  }

  /** True if nothing of this process is on the slot: the way to the slot is open. */
  isClear(index: number): boolean {
    return this.#holds[index] === 0
  }

  /** True if nothing but shared holds of this process are on the slot. */
  isJoinable(index: number): boolean {
    const hold = this.#holds[index] ?? 0
    return hold >= SHARED_STEP && (hold & (QUEUED | EXCLUSIVE)) === 0
  }

  noteExclusive(index: number): void {
    this.#holds[index] = (this.#holds[index] ?? 0) | EXCLUSIVE
  }

  noteShared(index: number): void {
    this.#holds[index] = (this.#holds[index] ?? 0) + SHARED_STEP
  }

  /** MODE_… in which this process holds the slot; 0: it does not. */
  heldMode(index: number): number {
    const hold = this.#holds[index] ?? 0
    return hold & EXCLUSIVE ? MODE_EXCLUSIVE : hold >= SHARED_STEP ? MODE_SHARED : 0
  }

  /** Tasks of this process that hold the slot shared. */
  sharedCount(index: number): number {
    return Math.floor((this.#holds[index] ?? 0) / SHARED_STEP)
  }

  get holdsAnything(): boolean {
    return this.#holds.some(hold => hold >= EXCLUSIVE)
  }

  get pendingCount(): number {
    return this.#pending
  }

  // ---- trying and waiting ---------------------------------------------------------------------------------------------

  /** One try. True: the hold is the caller's; the notice, if any, is in `lastNotice`. */
  tryLock(request: LockRequest): boolean {
    this.lastNotice = undefined
    const { slot, index, mode, name0, name1 } = request
    const { protocol } = this.#participant
    if (mode === MODE_SHARED && this.isJoinable(index)) {
      if (protocol.tryJoin(slot) !== ENTERED) return false
      this.noteShared(index)
      this.lastNotice = protocol.peekNotice(slot, name0, name1)
      return true
    }
    if (!this.isClear(index)) return false
    const outcome = mode === MODE_EXCLUSIVE ? protocol.tryExclusive(slot, name0, name1) : protocol.tryShared(slot)
    if (outcome !== ENTERED) return false
    this.#entered(request)
    return true
  }

  /** What tryLock or lockSync learned of a dead holder: set before they return, read at once. */
  lastNotice: Notice | undefined

  #entered(request: { readonly slot: number; readonly index: number; readonly mode: number; readonly name0: number; readonly name1: number }): void {
    const { protocol } = this.#participant
    if (request.mode === MODE_EXCLUSIVE) {
      this.noteExclusive(request.index)
      this.lastNotice = protocol.takeNotice(request.slot, request.name0, request.name1)
    } else {
      this.noteShared(request.index)
      this.lastNotice = protocol.peekNotice(request.slot, request.name0, request.name1)
    }
  }

  /**
   * Queues a request behind this process's others. Exactly one of grant and fail is called, unless withdraw comes first; grant may be
   * called before this returns.
   */
  enqueue(request: LockRequest, grant: (notice: Notice | undefined) => void, fail: (error: Error) => void, inFront = false, since = nowMs()): WaitEntry {
    if (this.#failure !== undefined) throw this.#failure
    const queue = this.#queueAt(request)
    const entry: WaitEntry = {
      mode: request.mode, name0: request.name0, name1: request.name1, since, grant, fail, previous: undefined, next: undefined, queued: false,
    }
    if (inFront) queue.unshift(entry)
    else queue.push(entry)
    this.#holds[request.index] = (this.#holds[request.index] ?? 0) | QUEUED
    this.#count(1)
    this.#bump(PARTICIPANT.WAITS)
    if (queue.head === entry) this.#pump(queue)
    return entry
  }

  #queueAt(request: LockRequest): SlotQueue {
    let queue = this.#queues.get(request.slot)
    if (queue === undefined) {
      queue = new Queue(request.slot, request.index)
      this.#queues.set(request.slot, queue)
    }
    return queue
  }

  /** Takes a request back: a time-out, an abort. The slot is left as if it had never waited. */
  withdraw(slot: number, entry: WaitEntry): void {
    const queue = this.#queues.get(slot)
    if (queue === undefined || !entry.queued) return
    const wasHead = queue.head === entry
    this.#remove(queue, entry)
    if (wasHead) this.#pump(queue)
  }

  /** Looks once more on behalf of a slot's queue: before a time-out is final. */
  retry(slot: number): void {
    const queue = this.#queues.get(slot)
    if (queue !== undefined) this.#pump(queue)
  }

  /** As isLive, by a plain load that follows an atomic operation: may be a moment late. */
  get isLivePlain(): boolean {
    return this.#words[this.#lifeWord] === this.#lifeWhileLive
  }

  /** False once this participant was evicted. */
  get isLive(): boolean {
    const { record, lifeWhileLive } = this.#participant
    return Atomics.load(this.#region.words, record + PARTICIPANT.LIFE) === lifeWhileLive
  }

  /** The bell rang: every slot that is waited for is looked at. */
  pumpAll(): void {
    this.noteThefts()
    for (const queue of [...this.#queues.values()]) this.#pump(queue)
  }

  /** Blocks the thread until the request is granted or `timeoutMs` are over. @returns true if it holds the slot */
  waitSync(request: LockRequest, timeoutMs: number): boolean {
    if (request.mode === MODE_SHARED && this.heldMode(request.index) === MODE_SHARED) {
      this.#entered(request) // whoever waits for this thread's readers to leave waits for this one too: it cannot wait for them
      return true
    }
    const since = nowMs()
    const deadline = since + timeoutMs
    if (request.mode === MODE_EXCLUSIVE && this.isClear(request.index)) return this.#attend(request, since, deadline)
    if (request.mode === MODE_SHARED && this.#waitCourteously(request, since, deadline)) return true
    let granted = false
    let told: Notice | undefined
    let failure: Error | undefined
    const entry = this.enqueue(request, notice => {
      granted = true
      told = notice
    }, error => {
      failure = error
    }, true, since)
    this.#isBlocking = true
    try {
      this.#block(request.slot, entry, deadline)
    } finally {
      this.#isBlocking = false
    }
    if (failure !== undefined) throw failure
    this.lastNotice = told // only now: others of this process may have been served since
    return granted
  }

  /** A reader lets others run and looks again before it queues. bench/readers.ts, one lock in a hundred exclusive: a third more locks with eight and sixteen processes. */
  #waitCourteously(request: LockRequest, since: number, deadline: number): boolean {
    const { slot, index } = request
    const until = Math.min(since + PATIENCE_MS, deadline)
    for (let i = 0; i < SHARED_LOOKS && this.isClear(index) && this.isLive && nowMs() < until; i++) {
      if (!isOwned(Atomics.load(this.#words, slot)) && this.tryLock(request)) return true
      this.#letOthersRun()
    }
    return false
  }

  /** An exclusive request of a process that has nothing else on the slot: no queue, for nobody else of this thread can run. */
  #attend(request: LockRequest, since: number, deadline: number): boolean {
    if (this.#failure !== undefined) throw this.#failure
    const { slot, mode, name0, name1 } = request
    const bell = this.#participant.record + PARTICIPANT.BELL
    const heard = sequenceOf(this.#words, bell)
    this.#noteWaiting(slot, { mode, since, name0, name1 })
    this.#showCount(this.#pending + 1)
    this.#bump(PARTICIPANT.WAITS)
    const ending = this.#attendance.wait(slot, name0, name1, since, deadline)
    this.#showCount(this.#pending)
    if (ending === EVICTED) {
      const failure = new LockError('LOCK_LOST', 'this participant was evicted from the lock table')
      this.fail(failure, false)
      throw failure
    }
    this.lastNotice = undefined
    if (ending === HELD) this.#entered(request)
    const told = this.lastNotice
    if (unmute(this.#words, bell) !== heard && this.#concernsMore()) this.#onRing() // nobody else will tell
    this.lastNotice = told
    return ending === HELD
  }

  /** Whether this process has had the slot for a turn while others want it: it should wait for it. */
  owesTurn(slot: number, index: number): boolean {
    return this.isClear(index) && this.#attendance.owesTurn(slot) && this.isLive
  }

  /** Sleeps until the entry has left the queue, or the time is up. */
  #block(slot: number, entry: WaitEntry, deadline: number): void {
    const { words, native } = this.#region
    const { number, record } = this.#participant
    const bell = record + PARTICIPANT.BELL
    const heard = sequenceOf(words, bell)
    while (entry.queued) {
      if (!this.isLive) this.fail(new LockError('LOCK_LOST', 'this participant was evicted from the lock table'), false)
      const remaining = deadline - nowMs()
      if (remaining <= 0) {
        this.retry(slot) // the sleep may have ended later than the lock
        this.withdraw(slot, entry)
        break
      }
      const sequence = sequenceOf(words, bell)
      this.retry(slot)
      if (!entry.queued || (this.#staysAwake(slot) && this.#vigil.watch(sequence))) continue
      sleepOnBell(words, record, sequence, calls => {
        native.waitBell(number, calls, Math.max(0, deadline - nowMs()))
      })
    }
    if (this.#failure === undefined && unmute(words, bell) !== heard && this.#concernsMore()) this.#onRing() // nobody else will tell
  }

  /** Whether a ring may have been for more than the slot that a blocked caller has looked at: another one, a theft, an eviction. */
  #concernsMore(): boolean {
    return this.#queues.size !== 0 || !this.isLive || this.#stolenCount() !== this.#stolenWord
  }

  /** Not who waits for readers: a vigil would keep a core from those who have lost theirs. */
  #staysAwake(slot: number): boolean {
    return this.#queues.get(slot)?.owning !== true && !this.#isCrowded(slot)
  }

  #isCrowded(slot: number): boolean {
    return sharedWaiterCount(this.#words, slot) > CORES
  }

  /** Goes on with the first entries of a queue as far as it can. Runs no code of the caller's but grant and fail. */
  #pump(queue: SlotQueue): void {
    for (;;) {
      const head = queue.head
      if (head === undefined) {
        this.#standDown(queue)
        this.#queues.delete(queue.slot)
        this.#holds[queue.index] = (this.#holds[queue.index] ?? 0) & ~QUEUED
        return
      }
      const hold = this.#holds[queue.index] ?? 0
      if (hold & EXCLUSIVE) return
      if (hold >= SHARED_STEP && head.mode === MODE_EXCLUSIVE) {
        this.#standDown(queue) // a reader that would have joined has gone
        return
      }
      if (hold >= SHARED_STEP ? !this.#join(queue, head) : !this.#advance(queue, head)) {
        if (!this.#isBlocking && !this.#isCrowded(queue.slot)) this.#vigil.begin()
        return
      }
      this.#remove(queue, head)
      this.#entered({ slot: queue.slot, index: queue.index, mode: head.mode, name0: head.name0, name1: head.name1 })
      head.grant(this.lastNotice)
    }
  }

  /** One look at the slot for the head of the queue. False: sleep until the bell. */
  #advance(queue: SlotQueue, head: WaitEntry): boolean {
    const { protocol } = this.#participant
    const { slot } = queue
    const urgent = this.#isUrgent(queue, head)
    if (queue.owning && head.mode === MODE_EXCLUSIVE) {
      const outcome = protocol.drain(slot, head.name0, head.name1)
      if (outcome === OWNER) return false
      queue.owning = false
      if (outcome === ENTERED) return true
    }
    if (queue.owning || (queue.registered !== 0 && queue.registered !== head.mode)) this.#standDown(queue)
    this.#register(queue, head)
    const outcome = head.mode === MODE_EXCLUSIVE
      ? protocol.attemptExclusive(slot, head.name0, head.name1, urgent)
      : protocol.attemptShared(slot, urgent)
    if (outcome === BUSY) return false
    queue.registered = 0
    queue.owning = outcome === OWNER
    return outcome === ENTERED
  }

  /** The head of the queue, a reader, comes in beside others of this process. False: sleep until the bell. */
  #join(queue: SlotQueue, head: WaitEntry): boolean {
    const { protocol } = this.#participant
    const { slot } = queue
    if (queue.registered === 0) {
      const outcome = protocol.tryJoin(slot)
      if (outcome === ENTERED) return true
      if (outcome === LOST) return false // noteThefts is on the way
      this.#register(queue, head)
    }
    const outcome = protocol.attemptJoin(slot, this.#isUrgent(queue, head))
    if (outcome !== BUSY) queue.registered = 0
    return outcome === ENTERED
  }

  /** Whether to ask for a hand-off. */
  #isUrgent({ slot, turn }: SlotQueue, { since }: WaitEntry): boolean {
    return turn.isOver(this.#words[slot + SLOT.HANDOFFS]!, nowMs(), since) // the counter by a plain load: it may be a moment late
  }

  #register(queue: SlotQueue, head: WaitEntry): void {
    if (queue.registered !== 0) return
    queue.registered = head.mode
    this.#participant.protocol.register(queue.slot, head.mode)
    this.#noteWaiting(queue.slot, head)
  }

  /** Leaves the slot as if this process had never waited for it. */
  #standDown(queue: SlotQueue): void {
    const { protocol } = this.#participant
    if (queue.owning) protocol.backOut(queue.slot)
    if (queue.registered !== 0) protocol.giveUp(queue.slot, queue.registered)
    queue.owning = false
    queue.registered = 0
  }

  #remove(queue: SlotQueue, entry: WaitEntry): void {
    queue.remove(entry)
    this.#count(-1)
  }

  #count(change: number): void {
    this.#pending += change
    if (this.#pending === 0) this.#watchfulness.end()
    else this.#watchfulness.begin()
    this.#showCount(this.#pending)
  }

  // ---- leaving --------------------------------------------------------------------------------------------------------

  /** One task's hold ends. False: it had been taken from us before. */
  release(slot: number, index: number, mode: number): boolean {
    const hold = this.#holds[index] ?? 0
    if (mode === MODE_EXCLUSIVE) {
      if (hold === EXCLUSIVE) {
        this.#holds[index] = 0
        return this.#protocol.releaseExclusive(slot) !== LOST
      }
      return this.#releaseToQueue(slot, index)
    }
    this.#holds[index] = hold - SHARED_STEP
    if (hold >= 2 * SHARED_STEP) return this.#participant.protocol.isHolding(slot, MODE_SHARED)
    const kept = this.#participant.protocol.releaseShared(slot) !== LOST
    if (hold & QUEUED) this.retry(slot)
    return kept
  }

  /** The next task of this process gets the hold, unless other processes have waited through enough of that. */
  #releaseToQueue(slot: number, index: number): boolean {
    const { protocol } = this.#participant
    const queue = this.#queues.get(slot)
    const head = queue?.head
    const given = this.#handovers.get(slot) ?? 0
    const awaited = protocol.isAwaited(slot)
    this.#holds[index] = (this.#holds[index] ?? 0) & ~EXCLUSIVE
    if (queue === undefined || head === undefined || !protocol.isHolding(slot, MODE_EXCLUSIVE) || (awaited && given >= LOCAL_HANDOVERS)) {
      this.#handovers.delete(slot)
      const kept = protocol.releaseExclusive(slot, true) !== LOST
      if (queue !== undefined) this.#pump(queue)
      return kept
    }
    if (awaited) this.#handovers.set(slot, given + 1)
    if (head.mode === MODE_EXCLUSIVE) protocol.handOver(slot, head.name0, head.name1)
    else protocol.downgrade(slot)
    this.#remove(queue, head)
    this.#entered({ slot, index, mode: head.mode, name0: head.name0, name1: head.name1 })
    head.grant(this.lastNotice)
    this.#pump(queue)
    return true
  }

  /** A shared hold becomes exclusive (true), or stays. */
  upgrade(request: LockRequest): boolean {
    const hold = this.#holds[request.index] ?? 0
    if (hold >= 2 * SHARED_STEP) return false
    if (this.#participant.protocol.tryUpgrade(request.slot, request.name0, request.name1) !== ENTERED) return false
    this.#holds[request.index] = (hold & QUEUED) | EXCLUSIVE
    this.lastNotice = this.#participant.protocol.takeNotice(request.slot, request.name0, request.name1)
    return true
  }

  downgrade(slot: number, index: number): boolean {
    if (this.#participant.protocol.downgrade(slot) === LOST) return false
    this.#holds[index] = ((this.#holds[index] ?? 0) & QUEUED) + SHARED_STEP
    this.retry(slot)
    return true
  }

  // ---- force ----------------------------------------------------------------------------------------------------------

  /** True if the holds that this process had on a slot when `thefts` was `epoch` were taken since. */
  wasStolen(index: number, epoch: number): boolean {
    return this.thefts !== epoch && (this.#stolenAt.get(index) ?? -1) > epoch
  }

  /** Finds out which holds other participants have taken by force. */
  noteThefts(): void {
    const word = this.#stolenCount()
    if (word === this.#stolenWord) return
    this.#stolenWord = word
    let first = 0
    for (const space of this.#region.spaces) {
      for (let i = 0; i < space.slotCount; i++) {
        const mode = this.heldMode(first + i)
        if (mode !== 0 && !this.#participant.protocol.isHolding(slotWord(space.firstWord, i), mode)) this.#markStolen(first + i)
      }
      first += space.slotCount
    }
  }

  #stolenCount(): number {
    return Atomics.load(this.#words, this.#participant.record + PARTICIPANT.STOLEN)
  }

  #markStolen(index: number): void {
    this.#stolenAt.set(index, ++this.thefts)
    this.#holds[index] = (this.#holds[index] ?? 0) & QUEUED
  }

  /** Takes a slot from whoever holds it and queues the request in front of all others. */
  steal(request: LockRequest, grant: (notice: Notice | undefined) => void, fail: (error: Error) => void): void {
    if (this.#failure !== undefined) throw this.#failure
    const { slot, index, name0, name1 } = request
    const { protocol } = this.#participant
    const mine = this.heldMode(index)
    if (mine !== 0) this.#markStolen(index)
    if (mine === MODE_EXCLUSIVE && protocol.isHolding(slot, MODE_EXCLUSIVE)) {
      protocol.handOver(slot, name0, name1)
      this.#entered(request)
      grant(this.lastNotice)
      return
    }
    if (mine === MODE_SHARED) protocol.releaseShared(slot)
    protocol.seize(slot)
    this.#queueAt(request).owning = true
    this.enqueue(request, grant, fail, true)
  }

  /** Every waiting request is refused with `failure`, and so is every later one. The slots are left in order if `orderly`. */
  fail(failure: LockError, orderly: boolean): void {
    this.#failure ??= failure
    this.#vigil.cancel()
    for (const queue of [...this.#queues.values()]) {
      for (let entry = queue.head; entry !== undefined; entry = queue.head) {
        this.#remove(queue, entry)
        entry.fail(failure)
      }
      if (orderly) this.#standDown(queue)
      this.#queues.delete(queue.slot)
      this.#holds[queue.index] = (this.#holds[queue.index] ?? 0) & ~QUEUED
    }
    this.#watchfulness.stop()
  }

  // ---- for people -----------------------------------------------------------------------------------------------------

  #noteWaiting(slot: number, head: Pick<WaitEntry, 'mode' | 'since' | 'name0' | 'name1'>): void {
    const { words } = this.#region
    const { record } = this.#participant
    words[record + PARTICIPANT.WAITING_SLOT] = slot
    words[record + PARTICIPANT.WAITING_MODE] = head.mode
    words[record + PARTICIPANT.WAITING_SINCE_LOW] = Math.floor(head.since) | 0
    words[record + PARTICIPANT.WAITING_SINCE_HIGH] = Math.floor(head.since / 2 ** 32)
    words[record + PARTICIPANT.WAITING_NAME_0] = head.name0
    words[record + PARTICIPANT.WAITING_NAME_1] = head.name1
    words[slot + SLOT.CONTENDED] = ((words[slot + SLOT.CONTENDED] ?? 0) + 1) | 0
  }

  #showCount(count: number): void {
    const { record } = this.#participant
    this.#region.words[record + PARTICIPANT.WAITING_COUNT] = count
    if (count === 0) this.#region.words[record + PARTICIPANT.WAITING_SLOT] = 0
  }

  #bump(counter: number): void {
    const at = this.#participant.record + counter
    const { words } = this.#region
    words[at] = ((words[at] ?? 0) + 1) | 0
  }
}
