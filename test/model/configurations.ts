/**
 * configurations.ts: the small programs that are explored, by name, in the notation of the explorer's reports:
 *   X exclusive, S shared; b: under another name of the same slot; t: may give up when asleep; u: asks for a hand-off once it has slept, U: from the start;
 *   1: one try only; ^: upgrades; v: downgrades; ': in the second slot; k: keeps it, until -X or -S; J: one more task beside a kept shared hold;
 *   !: takes it by force; R: takes a dead participant's number first; E2: evicts participant 2.
 */
import type { Action } from './driver.js'

type Lock = Action & { kind: 'lock' }

function parse(text: string): Action[] {
  return text.split('+').map((word): Action => {
    if (word === 'R') return { kind: 'rejoin' }
    if (word.startsWith('E')) return { kind: 'evict', number: Number(word.slice(1)) }
    const has = (letter: string): boolean => word.includes(letter)
    const slot = has("'") ? 1 : 0
    if (word.startsWith('-')) return { kind: 'unlock', slot, mode: has('X') ? 'exclusive' : 'shared' }
    const change: Pick<Lock, 'then'> = has('^') ? { then: 'upgrade' } : has('v') ? { then: 'downgrade' } : {}
    return {
      kind: 'lock', mode: has('X') ? 'exclusive' : 'shared', name: 'abcd'.charAt(2 * slot + (has('b') ? 1 : 0)), slot,
      timeout: has('t'), urgent: has('U') ? 'at once' : has('u'), try: has('1'), keep: has('k'), join: has('J'), steal: has('!'), ...change,
    }
  })
}

/** "X Xt S": three participants; "X+X S": the first locks twice. */
export function programs(text: string): Action[][] {
  return text.split(' ').map(parse)
}

/** Explored in every test run: each completely, in seconds. */
export const QUICK: readonly (readonly [string, number])[] = [
  ['X X', 2], ['X S', 2], ['S S', 2], ['Xt X', 2], ['Xt St', 2], ['Xu Xu', 2], ['X1 S1', 2], ['S^ S^', 2], ['Xv S', 2], ['X Xb', 2],
  ['X+X X', 1], ['X+S S+X', 1], ['Xb+X X', 2], ['X E1+X', 0], ['S E1+X', 1],
  ['X X!', 1], ['S X!', 1], ['X+X X!', 1], ['S^ X!', 1], ['Xv X!', 1], ['X! X!', 1],
  ["Xk+X'+-X'+-X Xk+X'+-X'+-X", 1], ["Sk+X'+-X'+-S Xk+S'+-S'+-X", 1], ['Sk+J+-S X', 1], ['Sk+Jt+-S X', 1], ['Sk+J1+-S Xt', 1], ['Sk+JU+-S X', 1], ['Sk+J+-S X!+X', 0],
  ['X1+X1+X1 XU', 0], ['X+X+X XU', 0], ['X+X+X SU', 0], ['S+S+S XU', 0],
  ['X X X', 0], ['X X S', 0], ['X X X!', 0], ['Xu Xu Xu', 0], ['Xu Su Xu', 0], ['X R+X', 1], ['S R+S', 1], ['Xb R+X', 2],
]

/** On demand: minutes to hours. */
export const LONG: readonly (readonly [string, number])[] = [
  ['XUt X X', 0],   ['X X R+X', 1], ['X X X', 2], ['X X S', 2], ['X S S', 1], ['Xu Xu Xu', 2], ['Xu Su Xu', 2], ['Xb X X', 2], ['Xt X S', 1], ['Xut Xut X', 1], ['Xv S X', 1],
  ['S^ S X', 1], ['X Sut Xut', 1], ['X X R+X', 2], ['X S R+S', 2], ['S X R+Xb', 2],
]
