/** When a waiter asks for a hand-off. */
import { describe, expect, test } from 'vitest'
import { PATIENCE_MS, Turn, TURN_MS } from '../../src/lock/turn.js'

/** Looks [when, counter of hand-offs] of a waiter that came at 0, and whether the last one makes it ask. */
describe.each<[what: string, looks: [number, number][], asks: boolean]>([
  ['at once', [[0, 5]], false],
  ['a turn later, nobody was given the slot', [[0, 5], [TURN_MS + 0.1, 5]], true],
  ['at its end', [[0, 5], [TURN_MS, 5]], false],
  ['its first look comes late', [[3 * TURN_MS, 5]], false],
  ['somebody was given the slot meanwhile', [[0, 5], [1.5 * TURN_MS, 6]], false],
  ['and has had it for less than a turn', [[0, 5], [1.5 * TURN_MS, 6], [2 * TURN_MS, 6]], false],
  ['and has had it for a turn', [[0, 5], [1.5 * TURN_MS, 6], [2.6 * TURN_MS, 6]], true],
  ['hand-offs come just before every look', Array.from({ length: 50 }, (_, i) => [i * TURN_MS, i]), false],
  ['until its patience ends', [...Array.from({ length: 50 }, (_, i): [number, number] => [i * TURN_MS, i]), [PATIENCE_MS + 1, 51]], true],
])('%s', (_, looks, asks) => {
  test(asks ? 'asks' : 'waits', () => {
    const turn = new Turn()
    expect(looks.map(([when, handoffs]) => turn.isOver(handoffs, when, 0)).at(-1)).toBe(asks)
  })
})
