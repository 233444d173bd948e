/**
 * protocol.ts: who may hold a slot, and how they leave it. Long, because it is proved, and broken on purpose, as one text.
 *
 * Synchronous code over an Int32Array. It never blocks and never sleeps: a step that cannot go on says so, its caller
 * (waiters.ts) sleeps on its participant's bell and calls again. test/model runs this very file in every interleaving.
 *
 * WORDS (offsets and flags in layout.ts)         value, and who may write it
 *   S       SLOT.STATE                           0 | owner + generation | flags; anybody, by compare-and-swap only
 *   Q[p]    bit p of SLOT.READERS                p holds (or is about to look whether it may hold) the slot shared; p
 *                                                while it lives, its scrubber once it is dead, a thief (steal)
 *   WX[p]   bit p of SLOT.WAITERS_EXCLUSIVE      p sleeps, or is about to, until it may own the slot; p, its scrubber
 *   WS[p]   bit p of SLOT.WAITERS_SHARED         the same for a shared hold
 *   U[p]    bit p of SLOT.URGENT                 p has waited long and wants to be the next; p, its scrubber
 *   L[p]    PARTICIPANT.LIFE                     p at joining and leaving; DEAD by whoever saw p's byte lock free
 *   B[p]    PARTICIPANT.BELL                     anybody; "look again at everything you wait for"
 *   intent  PARTICIPANT.INTENT_…                 p, before the compare-and-swap that lets it enter
 *   notice  PARTICIPANT.INHERITED_…              p, before the compare-and-swap of a take-over
 *   version, name, notices of the slot           the owner that has entered or holds DRAINING; readers write name only
 *   All words named by a capital are accessed by Atomics alone. The others are plain: their writers are ordered by S.
 *
 * EXCLUSIVE, uncontended: x1 and r1 are the only atomic operations
 *   x1  CAS S 0 -> me                            inside
 *   x2  S unowned: CAS S -> me [+DRAINING if READERS]
 *   x3  S granted to me: CAS S -GRANTED          inside
 *   x4  owner dead, or its grant void: TAKE OVER, then x6
 *   x5  owner live: CAS S +WAITERS -ATTENDED [+HANDOFF]   asleep until the bell; then again from x2. With HANDOFF: U[me] was set before S was read
 *   x7  or CAS S +WAITERS +ATTENDED              awake, looks again (attendance.ts): S owned: x7 or x5; S unowned: leaves it to whoever comes, or x2 -ATTENDED
 *   x6  DRAINING: load Q; a live reader: asleep  until the bell; none: CAS S -DRAINING -READERS, inside
 * SHARED, uncontended: s1 s2 q1 q2
 *   s1  set Q[me]                                s2  S unowned: CAS S +READERS unless it is there, inside
 *   s3  owner live: clear Q[me]                  s4  if the owner drains, ring it: it may have seen the bit of s1
 *   s5  S granted to me: set Q[me], CAS S -> READERS, inside; wake the next: S is open to all
 *   s6  one more task of a process that is inside (Q[me] stands): S unowned: inside.  S owned: x5, for the owner waits for
 *       readers and would wait for ever if they kept coming; owner dead: TAKE OVER, r3 with READERS
 * RELEASE
 *   r1  CAS S me -> 0                            done
 *   r2  HANDOFF: choose the next live waiter w of U, CAS S -> w+GRANTED, ring w, look again whether w still waits and lives
 *   r3  CAS S -> unowned, flags kept             then, if WAITERS, and, unless I stay a reader, if not ATTENDED, WAKE NEXT
 *       ATTENDED is not believed one time in 64    it may be a dead one's, and nobody there to clear it
 *   q1  clear Q[me]                              q2  if the owner drains, ring it
 * WAKE NEXT (of a slot that I left unowned, or whose wake-up I may have swallowed)
 *   n1  scan WX and WS, in circular order from me, for a live participant; HANDOFF: of U first
 *   n2  none: CAS S -WAITERS -HANDOFF            if S is still unowned. None of U: CAS S -HANDOFF, likewise
 *   n3  one: ring it; a shared one: ring all shared ones. Whoever enters shared and had waited repeats n1
 * WAITING
 *   w1  set WX[me] (WS[me])                      before the first x2 (s1); the bit stays until w2
 *   w2  clear it and U[me]                       after x2 x3 x4 (s2 s5) succeeded
 *   g1  giving up: clear both                    g2  S granted to me: r3.  S unowned, dead or void: WAKE NEXT.
 *                                                    S owned: CAS S +WAITERS -ATTENDED if others wait
 *   g3  giving up at x6: r3
 * TAKE OVER
 *   t1  read what is known of the dead           t2  store it in my notice     t3  CAS S -> me+DRAINING+INHERITED
 *   t4  copy it to the slot's notices            t5  CAS S -INHERITED +NOTICES
 * VERSION         rises after x1 x3 x6 u3, before the owner's code runs
 *   v1  load it                                  v2  S entered: one less, for what that owner has still to write would otherwise be hidden
 *   v3  asked later: load it; not the same: changed
 * UPGRADE (a try) u1 CAS S unowned -> me+DRAINING; u2 another live reader: r3, refused; u3 clear Q[me], CAS as in x6
 * DOWNGRADE       d1 set Q[me]; d2 CAS S -> READERS; WAKE NEXT
 *
 * INVARIANTS
 *   I1  S names at most one participant, and only the CAS of x1, x2, x3, x4 (t3), u1, r2 names one.
 *   I2  A live reader is inside only if Q[p] is set and S was unowned with READERS after it was set. An owner enters only
 *       after DRAINING stood in S and then no live Q[p] was seen, or READERS was not set when it came: so never both
 *       (reader: Q then S; owner: S then Q; one of them sees the other, Dekker).
 *   I3  A registered live waiter that sleeps has seen S owned by a live participant, with WAITERS, after its bit was set;
 *       that owner's r2/r3 comes later and scans later, or its death rings everybody (native/sentinel.cc).
 *       Or it releases without a scan, because of ATTENDED. That was set (x7) after the sleeper's x5, which clears it, by a registered waiter that
 *       looks again, at last by x2 or x5: then I4 holds for it as if it had been rung. r2, t3 and its own x2 clear it; each look of another one does.
 *   I4  Whoever was rung, and does not end up as owner, passes it on (n3, g2). If it dies, its death rings everybody.
 *   I5  WAITERS is cleared by n2 alone, on an unowned word, after a scan that found nobody.
 *       HANDOFF likewise: so whoever sleeps with U set has seen S owned, with HANDOFF, after its bit was set, and that owner gives the slot
 *       to one of U, in circular order: each other participant goes before me at most once, unless somebody dies or gives up.
 *   I6  A grant to w is void when neither WX[w] nor WS[w] is set: w accepts (x3) before it clears its bit (w2) and looks
 *       at S after it clears its bit (g2), so nobody else can mistake an acceptance for a void grant.
 *   I7  hasEntered(S) iff the owner's code may have run. Only then its death is a notice; INHERITED carries the notice of
 *       an earlier death through the taker's own.
 *   I8  The notice of a name stands in exactly one place: the dead owner's S word, a taker's record with INHERITED in S,
 *       the slot's records, or the guard that was told. Only an exclusive holder of the same name takes it from there.
 *
 * DEATH at any step: a participant is dead once L[p] says so, and L[p] says so only after its process has no open file
 * left; after that its S word may be taken over, its bits do not count, and everybody alive is rung. Before x1/x2: nothing.
 *   After x1 x3 x6: notice with the name of its intent (if it names this slot) or of the slot: it died either before or
 *   after it wrote the latter. After x2 r2 t3: no notice of its own. After s1: the bit does not count. After r3 before n1,
 *   or rung and not yet awake: the ring after the certificate. A number's bits are cleared before its reuse (participant.ts).
 * EVICTION is a death by order: the evicted may run on for some time; its guards are told, its CAS of r1 fails. A notice that it
 * was just about to be told goes with it.
 *
 * WEAK MEMORY  Atomics are sequentially consistent (arm64: ldar, stlr, casal, which keep one order among themselves); plain accesses are not
 * ordered but by them. Each argument above needs one of these pairs, and no other order. A then B here, C then D there: B sees C or D sees A.
 *   reader / owner       s1 d1 set Q, s2 look at S           x2 t3 u1 CAS S +DRAINING, x6 u2 scan Q       I2
 *   reader / drainer     q1 s3 clear Q, q2 s4 look at S      x2 CAS S +DRAINING, x6 scan Q                I2: who drains is rung, or sees it gone
 *   waiter / releaser    w1 set W [U], x5 look at S          r3 CAS S unowned, n1 scan W [U]              I3
 *   sleeper / releaser   x5 CAS S -ATTENDED                  r3 CAS S, on the word seen               I3: a compare-and-swap: the release sees the flag only if set since
 *   waiter / clearer     w1 set W [U], x5 look at S          n1 scan W [U], n2 CAS S on the word seen     I5: a compare-and-swap, so only one of
 *                                                            them can come from the word without an owner
 *   quitter / giver      g1 clear W, g2 look at S            r2 CAS S +GRANTED, look at W                 I6
 *   sleeper / ringer     load B, look at S and L, sleep      change S or L, change B, wake                the kernel compares B under its own lock
 *   taker / the dead     t1 load L: dead                     its last operations, closing its files, L    A2: the byte lock is free only after them
 * Plain words travel on S. Name, notices, SINCE: stored between an acquiring CAS (x1 x2 x3 x6 t3) and a releasing one (r1 r2 r3 t5) of S by one
 * participant, read after an acquiring one. VERSION likewise, but others load it at any time: they see it once they see the release, or earlier.
 * Intent: stored before the CAS of x1 x2 x3 x6, read after a load of S that returned what that CAS wrote. Inherited notice: stored
 * before t3, read after a load of S with INHERITED. The CAS of t3 confirms that the word has not moved; a number is not reused while S names it, so
 * what was read was of that incarnation. Which words are which: access.ts, kept by test/lock/access.test.ts.
 *
 * ASSUMPTIONS (test/lock/assumptions.test.ts, test/native/death.test.ts)
 *   A1 Atomics on a mapped ArrayBuffer are machine atomics. A2 A process's byte lock goes when its last thread is gone.
 *   A3 The kernel wakes at least one watcher of a dead thread's robust word.
 *
 * NOT PROMISED  Order among processes. Progress while the holder, or the waiter that it was given to or that attends, is stopped. Anything across
 * hosts. A notice after a shared holder's death: it could not have changed what the lock protects. After an eviction or a theft: what the
 * loser still does in the few instructions after its entry (version, name, notices: plain stores) is not undone; it may be told of a death
 * in its successor's place, and a version may be set back by one.
 *
 * TRIED  A release by exchange instead of r1: one that was evicted would wipe out its successor. Clearing WAITERS with the
 * release (glibc does): a chain of a barger and two deaths strands a waiter unless every death rings everybody; kept both.
 * Clearing a dead reader's bit while draining: the number may have come back to life between the look and the clearing.
 * HANDOFF without U, cleared by an acceptor that had not waited long: two that took turns at barging and being chosen starved a third.
 */
import {
  ATTENDED, DRAINING, GENERATION_SHIFT, GRANTED, HANDOFF, INHERITED, MODE_EXCLUSIVE, MODE_SHARED, NOTICES, PARTICIPANT, READERS, SLOT, WAITERS, participantWord,
} from './layout.js'
import { carry, forget, noticeOfDead, peek, record, type Notice } from './notices.js'
import { clearBit, forEachSharedWaiter, hasBit, isOwnerLive, liveReader, nextWaiter, setBit } from './roster.js'
import {
  accepted, attended, awaited, calmed, claimed, disowned, drained, granted, hasEntered, identityWord, isOwned, isOwnedBy, ownerNumber, settled, takenOver,
  unattended, unawaited, wantsHandoff,
} from './word.js'

/** What a step came to. */
export const BUSY = 0 // not mine; a registered waiter may sleep until its bell rings, but after ATTENDS must look again
export const ENTERED = 1
export const OWNER = 2 // mine, but readers are still inside: sleep until the bell rings, then drain()
export const LOST = 3 // it was mine and was taken from me: eviction or theft
export const OPEN = 4 // nobody's, and left to whoever comes: look again, do not sleep
export type Outcome = typeof BUSY | typeof ENTERED | typeof OWNER | typeof LOST | typeof OPEN

/** What a registered exclusive waiter does. */
export const TAKES = 0 // takes the slot if nobody has it
export const DEFERS = 1 // leaves it to whoever comes, an owner in the middle of its turn
export const ATTENDS = 2 // the same, and will look again without being rung; its last look is of another kind
export const SUCCEEDS = 3 // takes it, and begins a turn
export type Stance = typeof TAKES | typeof DEFERS | typeof ATTENDS | typeof SUCCEEDS

/** A release believes ATTENDED, but one time in 64: who attended may have died, and nobody else wait. (Not at version 0, which is all that the explorer knows.) */
const DOUBT_MASK = 63

/** What the protocol needs of the world beside memory. */
export interface Surroundings {
  /** Changes the participant's bell word and wakes who sleeps on it. */
  ring(number: number): void
  /** Seconds since 1970. */
  now(): number
}

/** One participant's hands on the slots. `slot` is always the word index of a slot. */
export class Protocol {
  readonly #words: Int32Array
  readonly #surroundings: Surroundings
  readonly #number: number
  readonly #identity: number
  readonly #record: number

  constructor(words: Int32Array, number: number, generation: number, surroundings: Surroundings) {
    this.#words = words
    this.#surroundings = surroundings
    this.#number = number
    this.#identity = identityWord(number, generation)
    this.#record = participantWord(number)
  }

  // ---- exclusive ------------------------------------------------------------------------------------------------------

  /** x1: enters a slot that has no owner, no readers, no waiters and no notices. */
  enterFree(slot: number, name0: number, name1: number): boolean {
    this.#intend(slot, name0, name1)
    if (Atomics.compareExchange(this.#words, slot, 0, this.#identity) !== 0) return false
    this.#noteEntry(slot, name0, name1)
    return true
  }

  /** One try, no registration: BUSY leaves nothing behind. */
  tryExclusive(slot: number, name0: number, name1: number): Outcome {
    if (this.enterFree(slot, name0, name1)) return ENTERED
    const words = this.#words
    for (;;) {
      const word = Atomics.load(words, slot)
      if (isOwned(word)) {
        if (!this.#isVacant(slot, word)) return BUSY
        if (!this.#takeOver(slot, word)) continue // x4
      } else {
        if (word & READERS && liveReader(words, slot, this.#number) !== 0) return BUSY
        if (Atomics.compareExchange(words, slot, word, claimed(word, this.#identity)) !== word) continue // x2
      }
      const outcome = this.drain(slot, name0, name1)
      if (outcome !== OWNER) return outcome
      this.#disown(slot, 0) // g3
      return BUSY
    }
  }

  /**
   * A registered exclusive waiter looks again. BUSY: sleep. OWNER: sleep, then drain(). The registration ends with any other
   * outcome than BUSY. `urgent`: it has waited long, ask for a hand-off.
   */
  attemptExclusive(slot: number, name0: number, name1: number, urgent: boolean, stance: Stance = TAKES): Outcome {
    const words = this.#words
    if (urgent) this.#hurry(slot)
    for (;;) {
      const word = Atomics.load(words, slot)
      if (isOwnedBy(word, this.#identity) && word & GRANTED) {
        this.#intend(slot, name0, name1)
        if (Atomics.compareExchange(words, slot, word, accepted(word)) !== word) continue // x3
        this.deregister(slot, MODE_EXCLUSIVE) // w2
        this.#noteEntry(slot, name0, name1)
        return ENTERED
      }
      if (!isOwned(word)) {
        if (stance === DEFERS || stance === ATTENDS) return OPEN
        this.#intend(slot, name0, name1)
        if (Atomics.compareExchange(words, slot, word, claimed(unattended(word), this.#identity)) !== word) continue // x2
        if (stance === SUCCEEDS) words[slot + SLOT.HANDOFFS]!++
      } else if (this.#isVacant(slot, word)) {
        if (!this.#takeOver(slot, word)) continue // x4
      } else {
        const next = stance === ATTENDS ? attended(word, urgent) : awaited(word, urgent)
        if (next === word || Atomics.compareExchange(words, slot, word, next) === word) return BUSY // x5
        continue
      }
      this.deregister(slot, MODE_EXCLUSIVE) // w2
      return this.drain(slot, name0, name1)
    }
  }

  /** The owner that has not entered looks for readers (x6). OWNER: one is inside. */
  drain(slot: number, name0: number, name1: number): Outcome {
    const word = Atomics.load(this.#words, slot)
    if (!isOwnedBy(word, this.#identity)) return LOST
    if (word & DRAINING && liveReader(this.#words, slot, this.#number) !== 0) return OWNER
    return this.#enterDrained(slot, name0, name1)
  }

  /** I own the slot and no reader is inside, nor can one come. */
  #enterDrained(slot: number, name0: number, name1: number): Outcome {
    const words = this.#words
    this.#intend(slot, name0, name1)
    for (;;) {
      const word = Atomics.load(words, slot)
      if (!isOwnedBy(word, this.#identity)) return LOST
      const next = drained(word)
      if (next !== word && Atomics.compareExchange(words, slot, word, next) !== word) continue // x6
      this.#noteEntry(slot, name0, name1)
      return ENTERED
    }
  }

  /** Leaves a slot held exclusively; `give`: by hand-off, if anybody waits. LOST: it was taken from us before. */
  releaseExclusive(slot: number, give = false): Outcome {
    if (Atomics.compareExchange(this.#words, slot, this.#identity, 0) === this.#identity) return ENTERED // r1
    return this.#disown(slot, 0, give)
  }

  /** r2 and r3, also for an owner that has not entered. `add`: READERS, if I stay inside as a reader. */
  #disown(slot: number, add: number, give = false): Outcome {
    const words = this.#words
    for (;;) {
      const word = Atomics.load(words, slot)
      if (!isOwnedBy(word, this.#identity)) return LOST
      if (add === 0 && wantsHandoff(word, give)) {
        const chosen = this.#nextInTurn(slot, word, give)
        if (chosen !== 0) {
          if (this.#grant(slot, word, chosen)) return ENTERED
          continue
        }
      }
      const isAttended = add === 0 && this.#isAttended(slot, word)
      if (Atomics.compareExchange(words, slot, word, disowned(word) | add) !== word) continue // r3
      if (word & WAITERS && !isAttended) this.#wakeNext(slot)
      return ENTERED
    }
  }

  /** Who releases the slot need ring nobody: one that waits looks at it again. */
  #isAttended(slot: number, word: number): boolean {
    return (word & ATTENDED) !== 0 && (this.#words[slot + SLOT.VERSION_LOW]! & DOUBT_MASK) !== DOUBT_MASK
  }

  /** Whom to give the slot to: one that asked for it, or, if the releaser wants it so, any waiter; 0: nobody. */
  #nextInTurn(slot: number, word: number, anybody: boolean): number {
    const urgent = word & HANDOFF ? nextWaiter(this.#words, slot, this.#number, true) : 0
    return urgent === 0 && anybody ? nextWaiter(this.#words, slot, this.#number) : urgent
  }

  /** r2. False: the word moved, nothing was done. */
  #grant(slot: number, word: number, chosen: number): boolean {
    const words = this.#words
    const generation = Atomics.load(words, participantWord(chosen) + PARTICIPANT.LIFE) >>> GENERATION_SHIFT
    const next = granted(word, identityWord(chosen, generation))
    if (Atomics.compareExchange(words, slot, word, next) !== word) return false
    words[slot + SLOT.HANDOFFS]!++
    this.#surroundings.ring(chosen)
    this.#revokeVoidGrant(slot) // it may have given up, or died, between the scan and the grant
    return true
  }

  #revokeVoidGrant(slot: number): void {
    const words = this.#words
    for (;;) {
      const word = Atomics.load(words, slot)
      if (!isOwned(word) || !(word & GRANTED) || !this.#isVacant(slot, word)) return
      if (Atomics.compareExchange(words, slot, word, disowned(word)) !== word) continue
      this.#wakeNext(slot)
      return
    }
  }

  // ---- shared ---------------------------------------------------------------------------------------------------------

  /** s1 and s2, when READERS is the only flag of an unowned slot. False: Q[me] stays set, go on with enterShared. */
  enterOpen(slot: number): boolean {
    setBit(this.#words, slot + SLOT.READERS, this.#number) // s1
    return Atomics.load(this.#words, slot) === READERS // s2
  }

  /** One try, no registration: BUSY leaves nothing behind. */
  tryShared(slot: number): Outcome {
    return this.enterOpen(slot) ? ENTERED : this.enterShared(slot)
  }

  /** After an enterOpen that returned false: inside, or the bit is cleared again. */
  enterShared(slot: number): Outcome {
    const words = this.#words
    for (;;) {
      const word = Atomics.load(words, slot)
      if (!isOwned(word)) {
        if (word & READERS || Atomics.compareExchange(words, slot, word, word | READERS) === word) return ENTERED // s2
      } else if (this.#isVacant(slot, word)) {
        if (this.#takeOver(slot, word)) return this.#disown(slot, READERS)
      } else {
        this.#retreat(slot)
        return BUSY
      }
    }
  }

  /** I set my bit, but may not stay. */
  #retreat(slot: number): void {
    clearBit(this.#words, slot + SLOT.READERS, this.#number) // s3
    this.#ringDrainer(slot) // s4
  }

  /** A registered shared waiter looks again. BUSY: sleep. The registration ends with ENTERED. */
  attemptShared(slot: number, urgent: boolean): Outcome {
    const words = this.#words
    if (urgent) this.#hurry(slot)
    for (;;) {
      const word = Atomics.load(words, slot)
      if (isOwnedBy(word, this.#identity) && word & GRANTED) {
        setBit(words, slot + SLOT.READERS, this.#number) // s5
        if (Atomics.compareExchange(words, slot, word, disowned(word) | READERS) !== word) {
          this.#retreat(slot) // a thief may have been here
          continue
        }
      } else if (!isOwned(word) || this.#isVacant(slot, word)) {
        setBit(words, slot + SLOT.READERS, this.#number) // s1
        if (this.enterShared(slot) !== ENTERED) continue
      } else {
        const next = awaited(word, urgent)
        if (next === word || Atomics.compareExchange(words, slot, word, next) === word) return BUSY // x5
        continue
      }
      this.deregister(slot, MODE_SHARED) // w2
      if (Atomics.load(words, slot) & WAITERS) this.#wakeNext(slot) // n3
      return ENTERED
    }
  }

  /** s6: one more task of a process that is inside. BUSY: an owner waits for the readers to leave. LOST: we are not inside any more. */
  tryJoin(slot: number): Outcome {
    return this.#join(slot, false, false)
  }

  /** s6 for a registered shared waiter. BUSY: sleep. The registration ends with any other outcome. */
  attemptJoin(slot: number, urgent: boolean): Outcome {
    const outcome = this.#join(slot, true, urgent)
    if (outcome === BUSY) return BUSY
    this.deregister(slot, MODE_SHARED) // w2
    if (Atomics.load(this.#words, slot) & WAITERS) this.#wakeNext(slot) // n3
    return outcome
  }

  #join(slot: number, waits: boolean, urgent: boolean): Outcome {
    const words = this.#words
    if (urgent) this.#hurry(slot)
    for (;;) {
      if (!hasBit(words, slot + SLOT.READERS, this.#number)) return LOST
      const word = Atomics.load(words, slot)
      if (!isOwned(word)) return ENTERED
      if (this.#isVacant(slot, word)) {
        if (this.#takeOver(slot, word)) this.#disown(slot, READERS)
        continue
      }
      const next = waits ? awaited(word, urgent) : word
      if (next === word || Atomics.compareExchange(words, slot, word, next) === word) return BUSY // x5
    }
  }

  /** Leaves a slot held shared. LOST: the hold was taken from us before. */
  releaseShared(slot: number): Outcome {
    const words = this.#words
    const held = clearBit(words, slot + SLOT.READERS, this.#number) // q1
    if (Atomics.load(words, slot) !== READERS) this.#ringDrainer(slot) // q2
    return held ? ENTERED : LOST
  }

  #ringDrainer(slot: number): void {
    const word = Atomics.load(this.#words, slot)
    if (word & DRAINING && isOwned(word)) this.#surroundings.ring(ownerNumber(word))
  }

  // ---- waiting --------------------------------------------------------------------------------------------------------

  /** w1: before the first attempt. */
  register(slot: number, mode: number): void {
    setBit(this.#words, waiterBitmap(slot, mode), this.#number)
  }

  /** w2 */
  deregister(slot: number, mode: number): void {
    clearBit(this.#words, waiterBitmap(slot, mode), this.#number)
    if (hasBit(this.#words, slot + SLOT.URGENT, this.#number)) clearBit(this.#words, slot + SLOT.URGENT, this.#number)
  }

  /** Before the look at S that may end in x5 with HANDOFF. */
  #hurry(slot: number): void {
    if (!hasBit(this.#words, slot + SLOT.URGENT, this.#number)) setBit(this.#words, slot + SLOT.URGENT, this.#number)
  }

  /** g1 and g2: a registered waiter stops waiting. Leaves the slot as if it had never waited. */
  giveUp(slot: number, mode: number): void {
    const words = this.#words
    this.deregister(slot, mode) // g1
    for (;;) {
      const word = Atomics.load(words, slot) // g2
      if (isOwnedBy(word, this.#identity) && word & GRANTED) {
        this.#disown(slot, 0)
        return
      }
      const open = !isOwned(word) || this.#isVacant(slot, word)
      if (open ? word & WAITERS : nextWaiter(words, slot, this.#number) !== 0) {
        if (open) this.#wakeNext(slot)
        else if (awaited(word, false) !== word && Atomics.compareExchange(words, slot, word, awaited(word, false)) !== word) continue
      }
      return
    }
  }

  /** The next in turn after the owner of this moment; 0: nobody waits, or nobody owns the slot. */
  nextAfterOwner(slot: number): number {
    const owner = ownerNumber(Atomics.load(this.#words, slot))
    return owner === 0 ? 0 : nextWaiter(this.#words, slot, owner)
  }

  /** Rings the next in turn after the owner of this moment, unless it is me. */
  rouse(slot: number): void {
    const next = this.nextAfterOwner(slot)
    if (next !== 0 && next !== this.#number) this.#surroundings.ring(next)
  }

  /** g3: an owner that has not entered stops waiting for readers. */
  backOut(slot: number): void {
    this.#disown(slot, 0)
  }

  /** n1-n3 */
  #wakeNext(slot: number): void {
    const words = this.#words
    const word = Atomics.load(words, slot)
    const next = this.#nextInTurn(slot, word, true) // n1
    if (next === 0) {
      if (!isOwned(word) && word & WAITERS) Atomics.compareExchange(words, slot, word, unawaited(word)) // n2
      return
    }
    if (!isOwned(word) && word & HANDOFF && !hasBit(words, slot + SLOT.URGENT, next)) Atomics.compareExchange(words, slot, word, calmed(word)) // n2
    if (hasBit(words, slot + SLOT.WAITERS_SHARED, next)) {
      forEachSharedWaiter(words, slot, this.#number, number => {
        this.#surroundings.ring(number) // n3
      })
    } else {
      this.#surroundings.ring(next) // n3
    }
  }

  // ---- change of mode -------------------------------------------------------------------------------------------------

  /** The only reader becomes the owner, or nothing changes (BUSY). */
  tryUpgrade(slot: number, name0: number, name1: number): Outcome {
    const words = this.#words
    for (;;) {
      const word = Atomics.load(words, slot)
      if (!hasBit(words, slot + SLOT.READERS, this.#number)) return LOST
      if (isOwned(word) || liveReader(words, slot, this.#number) !== 0) return BUSY
      if (Atomics.compareExchange(words, slot, word, claimed(word | READERS, this.#identity)) === word) break // u1
    }
    if (liveReader(words, slot, this.#number) !== 0) { // u2
      this.#disown(slot, READERS)
      return BUSY
    }
    clearBit(words, slot + SLOT.READERS, this.#number) // u3
    return this.#enterDrained(slot, name0, name1)
  }

  /** The owner becomes a reader; nobody else can own the slot in between. */
  downgrade(slot: number): Outcome {
    setBit(this.#words, slot + SLOT.READERS, this.#number) // d1
    const outcome = this.#disown(slot, READERS) // d2
    if (outcome === LOST) this.#retreat(slot)
    return outcome
  }

  // ---- succession -----------------------------------------------------------------------------------------------------

  /** The owner in `word` is dead, or was given the slot and does not want it. */
  #isVacant(slot: number, word: number): boolean {
    const words = this.#words
    if (!isOwnerLive(words, word)) return true
    if (!(word & GRANTED)) return false
    const number = ownerNumber(word)
    return !hasBit(words, slot + SLOT.WAITERS_EXCLUSIVE, number) && !hasBit(words, slot + SLOT.WAITERS_SHARED, number)
  }

  /** t1-t5: then I am the owner, with DRAINING. False: the word moved, nothing was done. `byForce`: from a living one, whose own death is no news. */
  #takeOver(slot: number, word: number, byForce = false): boolean {
    const words = this.#words
    const notice = byForce && !(word & INHERITED) ? undefined : noticeOfDead(words, slot, word, this.#surroundings.now()) // t1
    if (notice !== undefined) carry(words, this.#number, notice) // t2
    const next = takenOver(word, this.#identity, notice !== undefined)
    if (Atomics.compareExchange(words, slot, word, next) !== word) return false // t3
    words[slot + SLOT.TAKEOVERS]!++
    if (notice === undefined) return true
    record(words, slot, notice) // t4
    for (let now = Atomics.load(words, slot); ; now = Atomics.load(words, slot)) {
      if (!isOwnedBy(now, this.#identity) || Atomics.compareExchange(words, slot, now, settled(now)) === now) return true // t5
    }
  }

  /**
   * Clears what a dead incarnation of `number` left in the slot. The caller holds the byte lock of the number and is SCRUBBING
   * under it; `inheritedOnly`: the first of two rounds, because my record carries one notice at a time.
   */
  scrub(slot: number, number: number, inheritedOnly: boolean): void {
    const words = this.#words
    for (;;) {
      const word = Atomics.load(words, slot)
      if (ownerNumber(word) !== number || isOwnedBy(word, this.#identity)) break
      if (inheritedOnly && !(word & INHERITED)) return
      if (!this.#takeOver(slot, word)) continue
      this.#disown(slot, 0)
      break
    }
    if (inheritedOnly) return
    clearBit(words, slot + SLOT.READERS, number)
    clearBit(words, slot + SLOT.WAITERS_EXCLUSIVE, number)
    clearBit(words, slot + SLOT.WAITERS_SHARED, number)
    clearBit(words, slot + SLOT.URGENT, number)
  }

  /**
   * By order of the caller: takes the slot from whoever holds it, living or not, and tells them (STOLEN, bell). Then I am the
   * owner and must drain().
   */
  seize(slot: number): void {
    const words = this.#words
    for (;;) {
      const word = Atomics.load(words, slot)
      const isForced = isOwned(word) && !this.#isVacant(slot, word)
      if (!this.#takeOver(slot, word, isForced)) continue
      if (isForced) this.#dispossess(ownerNumber(word))
      break
    }
    for (let reader = liveReader(words, slot, this.#number); reader !== 0; reader = liveReader(words, slot, this.#number)) {
      clearBit(words, slot + SLOT.READERS, reader)
      this.#dispossess(reader)
    }
  }

  #dispossess(victim: number): void {
    Atomics.add(this.#words, participantWord(victim) + PARTICIPANT.STOLEN, 1)
    this.#surroundings.ring(victim)
  }

  /** True while nobody has taken the hold from us. */
  isHolding(slot: number, mode: number): boolean {
    const words = this.#words
    if (mode === MODE_SHARED) return hasBit(words, slot + SLOT.READERS, this.#number)
    return isOwnedBy(Atomics.load(words, slot), this.#identity)
  }

  // ---- version --------------------------------------------------------------------------------------------------------

  /** v1 and v2: what changedSince() is to be asked about whatever is read from now on. Takes no lock. */
  version(slot: number): bigint {
    const version = this.#latestVersion(slot) // v1
    return version > 0n && hasEntered(Atomics.load(this.#words, slot)) ? version - 1n : version // v2
  }

  /** v3: true if what the slot protects may have changed since that version. A holder of this moment has its own version already. */
  changedSince(slot: number, version: bigint): boolean {
    return this.#latestVersion(slot) !== version
  }

  #latestVersion(slot: number): bigint {
    const words = this.#words
    for (;;) {
      const high = Atomics.load(words, slot + SLOT.VERSION_HIGH)
      const low = Atomics.load(words, slot + SLOT.VERSION_LOW)
      if (high === Atomics.load(words, slot + SLOT.VERSION_HIGH)) return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
    }
  }

  /** Somebody in another process may be waiting for the slot. */
  isAwaited(slot: number): boolean {
    return (Atomics.load(this.#words, slot) & WAITERS) !== 0
  }

  /** Exclusive holder: the notice meant for this name, told now and never again. */
  takeNotice(slot: number, name0: number, name1: number): Notice | undefined {
    const words = this.#words
    const word = Atomics.load(words, slot)
    if (!(word & NOTICES) || !isOwnedBy(word, this.#identity)) return undefined
    const notice = peek(words, slot, name0, name1)
    if (forget(words, slot, name0, name1)) Atomics.and(words, slot, ~NOTICES)
    return notice
  }

  /**
   * Exclusive holder: leaves a notice for whoever comes next under this name. For one that was taken and not told; without `notice`, our own,
   * in case we die: a holder of several names of one slot has entered under the first only. Undone by takeNotice.
   * @returns true if the records were full: every unlisted name counts as abandoned from now on. Undone by forgetLost
   */
  leaveNotice(slot: number, name0: number, name1: number, notice?: Notice): boolean {
    const words = this.#words
    const wasLost = words[slot + SLOT.NOTICES_LOST] !== 0
    const { pid, time } = notice ?? { pid: words[this.#record + PARTICIPANT.PID]!, time: this.#surroundings.now() }
    record(words, slot, { pid, time, name0, name1 })
    Atomics.or(words, slot, NOTICES)
    return !wasLost && words[slot + SLOT.NOTICES_LOST] !== 0
  }

  /** Exclusive holder whose own leaveNotice said that the records were full, and that needs those notices no more. */
  forgetLost(slot: number): void {
    if (isOwnedBy(Atomics.load(this.#words, slot), this.#identity)) this.#words[slot + SLOT.NOTICES_LOST] = 0
  }

  /** Shared holder: the notice meant for this name. It stays: a reader cannot repair. */
  peekNotice(slot: number, name0: number, name1: number): Notice | undefined {
    return Atomics.load(this.#words, slot) & NOTICES ? peek(this.#words, slot, name0, name1) : undefined
  }

  // ---- entry ----------------------------------------------------------------------------------------------------------

  /** Before a compare-and-swap that lets me enter: if I die right after it, this is the name. */
  #intend(slot: number, name0: number, name1: number): void {
    const words = this.#words
    const own = this.#record
    words[own + PARTICIPANT.INTENT_SLOT] = slot
    words[own + PARTICIPANT.INTENT_NAME_0] = name0
    words[own + PARTICIPANT.INTENT_NAME_1] = name1
  }

  /** The exclusive holder is succeeded by another task of its process: as if it had left and entered again. */
  handOver(slot: number, name0: number, name1: number): void {
    this.#intend(slot, name0, name1)
    this.#noteEntry(slot, name0, name1)
  }

  /** The exclusive holder marks its entry: a new version, its name. */
  #noteEntry(slot: number, name0: number, name1: number): void {
    const words = this.#words
    const low = (words[slot + SLOT.VERSION_LOW]! + 1) | 0
    words[slot + SLOT.VERSION_LOW] = low
    if (low === 0) words[slot + SLOT.VERSION_HIGH]!++
    if (words[slot + SLOT.NAME_0] !== name0) words[slot + SLOT.NAME_0] = name0
    if (words[slot + SLOT.NAME_1] !== name1) words[slot + SLOT.NAME_1] = name1
  }
}

function waiterBitmap(slot: number, mode: number): number {
  return slot + (mode === MODE_EXCLUSIVE ? SLOT.WAITERS_EXCLUSIVE : SLOT.WAITERS_SHARED)
}
