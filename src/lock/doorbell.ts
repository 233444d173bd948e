/**
 * doorbell.ts: one word per participant that means "look again at everything you wait for".
 *
 * sequence << 2 | who sleeps on it. A ringer raises the sequence and clears the sleeper bits; only if one was set there is
 * somebody to wake with a system call. A sleeper sets its bit only on the sequence it has seen, so a ring in between is never lost.
 */
import { BELL_SLEEPERS, BELL_STEP, LIFE, LIFE_STATUS_MASK, PARTICIPANT, PARTICIPANT_LIMIT, participantWord } from './layout.js'

/** @param wake  futex wake of the participant's bell */
export function ringBell(words: Int32Array, number: number, wake: (number: number) => void): void {
  const bell = participantWord(number) + PARTICIPANT.BELL
  for (;;) {
    const word = Atomics.load(words, bell)
    if (Atomics.compareExchange(words, bell, word, ((word & ~BELL_SLEEPERS) + BELL_STEP) | 0) !== word) continue
    if (word & BELL_SLEEPERS) wake(number)
    return
  }
}

/** Rings everybody alive but `except`. */
export function ringAll(words: Int32Array, except: number, wake: (number: number) => void): void {
  for (let number = 1; number < PARTICIPANT_LIMIT; number++) {
    if (number === except) continue
    const status = Atomics.load(words, participantWord(number) + PARTICIPANT.LIFE) & LIFE_STATUS_MASK
    if (status !== LIFE.FREE && status !== LIFE.DEAD) ringBell(words, number, wake)
  }
}
