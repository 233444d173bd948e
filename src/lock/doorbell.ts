/**
 * doorbell.ts: one word per participant that means "look again at everything you wait for".
 *
 * sequence << 3 | MUTED | whom a ring must wake: the sentinel, a thread that tells the event loop; or a caller that blocks its own thread.
 * A ringer raises the sequence and clears these two bits; only if one was set is there somebody to wake with a system call. A sleeper sets
 * its bit only on the sequence that it has seen, so a ring in between is never lost.
 *
 * Who is awake and looks at the sequence by itself mutes its bell: rings then cost no system call, and wake no sentinel only for it to
 * tell what is known. The sentinel's bit is put back with unmute(), whose answer says whether a ring came meanwhile. The sentinel, asleep
 * all the while, does not notice; a ring that finds the bit wakes it, whatever sequence it went to sleep on. MUTED is for a sentinel that
 * was awake at that moment: it goes to sleep without its bit.
 */
import { BELL_FLAGS, BELL_MUTED, BELL_SENTINEL, BELL_SLEEPERS, BELL_STEP, BELL_SYNC, LIFE, LIFE_STATUS_MASK, PARTICIPANT, PARTICIPANT_LIMIT, participantWord } from './layout.js'

/** Wakes the sleepers of a participant's bell: BELL_… bits. */
export type Wake = (number: number, sleepers: number) => void

export function ringBell(words: Int32Array, number: number, wake: Wake): void {
  const sleepers = raise(words, number)
  if (sleepers !== 0) wake(number, sleepers)
}

/** Rings everybody alive but `except`; sentinels also behind muted bells, for who watches whom may have changed. */
export function ringAll(words: Int32Array, except: number, wake: Wake): void {
  for (let number = 1; number < PARTICIPANT_LIMIT; number++) {
    if (number === except) continue
    const status = Atomics.load(words, participantWord(number) + PARTICIPANT.LIFE) & LIFE_STATUS_MASK
    if (status !== LIFE.FREE && status !== LIFE.DEAD) wake(number, raise(words, number) | BELL_SENTINEL)
  }
}

/** @returns whom to wake */
function raise(words: Int32Array, number: number): number {
  const bell = participantWord(number) + PARTICIPANT.BELL
  for (;;) {
    const word = Atomics.load(words, bell)
    if (Atomics.compareExchange(words, bell, word, ((word & ~BELL_SLEEPERS) + BELL_STEP) | 0) === word) return word & BELL_SLEEPERS
  }
}

/** The sequence of a bell: another one means that it was rung. `bell`: a word index. */
export function sequenceOf(words: Int32Array, bell: number): number {
  return Atomics.load(words, bell) & ~BELL_FLAGS
}

/** @returns the sequence at that moment */
export function mute(words: Int32Array, bell: number): number {
  return change(words, bell, BELL_MUTED, BELL_SENTINEL)
}

/** @returns the sequence at that moment: if it is not the one last seen, a ring came that nobody else will tell of */
export function unmute(words: Int32Array, bell: number): number {
  return change(words, bell, BELL_SENTINEL, BELL_MUTED)
}

function change(words: Int32Array, bell: number, set: number, cleared: number): number {
  for (;;) {
    const word = Atomics.load(words, bell)
    const next = (word & ~cleared) | set
    if (next === word || Atomics.compareExchange(words, bell, word, next) === word) return word & ~BELL_FLAGS
  }
}

/**
 * Blocks until a ring after `sequence`, or the time is up; may return early. The bell stays muted.
 * @param record  word index of the participant's record
 */
export function sleepOnBell(words: Int32Array, record: number, sequence: number, wait: (calls: number) => void): void {
  const bell = record + PARTICIPANT.BELL
  const calls = Atomics.load(words, record + PARTICIPANT.SYNC_BELL)
  const word = Atomics.load(words, bell)
  if ((word & ~BELL_FLAGS) !== sequence) return
  const asleep = sequence | BELL_MUTED | BELL_SYNC
  if (word === asleep || Atomics.compareExchange(words, bell, word, asleep) === word) wait(calls)
}
