/**
 * configurations.ts: the small programs that are explored, by name, in the notation of the explorer's reports:
 *   X exclusive, S shared; b: under another name of the same slot; t: may give up when asleep; u: asks for a hand-off once it has slept, U: from the start;
 *   1: one try only; ^: upgrades; v: downgrades; ': in the second slot; k: keeps it, until -X or -S; J: one more task beside a kept shared hold;
 *   g: leaves by giving it away; h: is succeeded by another task of its process; l2: holds two more names of the slot, p and q; V: watches the version;
 *   a: attends it while it is the next in turn; !: takes it by force; R: takes a dead participant's number first; E2: evicts participant 2.
 */
import type { Action } from './driver.js'

type Lock = Action & { kind: 'lock' }

function parse(text: string): Action[] {
  return text.split('+').map((word): Action => {
    if (word === 'R') return { kind: 'rejoin' }
    if (word === 'V') return { kind: 'watch' }
    if (word.startsWith('E')) return { kind: 'evict', number: Number(word.slice(1)) }
    const has = (letter: string): boolean => word.includes(letter)
    const slot = has("'") ? 1 : 0
    if (word.startsWith('-')) return { kind: 'unlock', slot, mode: has('X') ? 'exclusive' : 'shared' }
    const change: Pick<Lock, 'then'> = has('^') ? { then: 'upgrade' } : has('v') ? { then: 'downgrade' } : has('h') ? { then: 'succeed' } : {}
    return {
      kind: 'lock', mode: has('X') ? 'exclusive' : 'shared', name: has('p') ? 'p' : 'abcd'.charAt(2 * slot + (has('b') ? 1 : 0)), slot, give: has('g'), others: Number(/l(\d)/.exec(word)?.[1] ?? 0),
      timeout: has('t'), urgent: has('U') ? 'at once' : has('u'), try: has('1'), keep: has('k'), join: has('J'), steal: has('!'), attends: has('a'), ...change,
    }
  })
}

/** "X Xt S": three participants; "X+X S": the first locks twice. */
export function programs(text: string): Action[][] {
  return text.split(' ').map(parse)
}

/** Programs, deaths; 'plain': every plain access is a step of its own. */
export type Row = readonly [programs: string, deaths: number, detail?: 'plain']

/** Explored in every test run: each completely, in seconds. */
export const QUICK: readonly Row[] = [
  ['X X', 2], ['X S', 2], ['S S', 2], ['Xt X', 2], ['Xt St', 2], ['Xu Xu', 2], ['X1 S1', 2], ['S^ S^', 2], ['Xv S', 2], ['X Xb', 2],
  ['X+X X', 1], ['X+S S+X', 1], ['Xb+X X', 2], ['X E1+X', 0], ['S E1+X', 1],
  ['X X!', 1], ['S X!', 1], ['X+X X!', 1], ['S^ X!', 1], ['Xv X!', 1], ['X! X!', 1],
  ["Xk+X'+-X'+-X Xk+X'+-X'+-X", 1], ["Sk+X'+-X'+-S Xk+S'+-S'+-X", 1], ['Sk+J+-S X', 1], ['Sk+Jt+-S X', 1], ['Sk+J1+-S Xt', 1], ['Sk+JU+-S X', 1], ['Sk+J+-S X!+X', 0],
  ['V X', 1, 'plain'], ['V X+Xh', 0, 'plain'], ['V X V', 0], ['V Xt X', 0], ['Xl2 Xp', 1], ['Xl2 Xl2', 1], ['Xl5 Xp', 0], ['Xg X', 1], ['Xg S', 1],
  ['X XUt', 1], ['SU X+X!', 0], ['XU X1+Xt', 1],
  ['X1+X1+X1 XU', 0], ['X+X+X XU', 0], ['X+X+X SU', 0], ['S+S+S XU', 0],
  ['X Xa', 1], ['Xa Xa', 2], ['S Xa', 1], ['Xa S', 1], ['Xat X', 1], ['Xat Xat', 1], ['Xa X!', 1], ['XaU X+X', 0], ['Xa E1+X', 0], ['Xa X E1', 0], ['Xv Xa', 0], ['X X Xa', 0],
  ['X1 X1 X1', 2], ['X1 X1 R+X', 1], ['Xl5 X', 1], ['X+X! XU', 0], ['Xg X X!', 0], ['X Xt X', 0], ['Xl5 X!', 0], ['Xl2 X!', 1], ['X X X', 0], ['X X S', 0], ['X X X!', 0], ['X1 X Xg', 0], ['Xu Xu Xu', 0], ['Xu Su Xu', 0], ['X R+X', 1], ['S R+S', 1], ['Xb R+X', 2],
]

/** On demand: minutes to hours. */
export const LONG: readonly Row[] = [
  ['X X1 R+X', 1], ['X XU X', 0],
  ['X X X', 2], ['X X S', 2], ['X S S', 1], ['Xu Xu Xu', 2], ['Xb X X', 2], ['X X R+X', 2], ['X S R+S', 2], ['S X R+Xb', 2],
  ['XUt X X', 0], ['Xt X S', 1], ['Xv S X', 1], ['S^ S X', 1], ['X X X!', 1], ['S X X!', 0], ['SU X X!', 0],
  ['X X Xa', 1], ['X1 X Xa', 1], ['X Xa Xa', 0], ['X X Xat', 0], ['X S Xa', 0], ['X Xa X!', 0], ['Xa X R+X', 1], ['Xa X X+E1', 0],
  ['Sk+J+-S X X', 0], ['Sk+J+-S S X', 0], ['Xu Su Xu', 2], ['Xut Xut X', 1], ['X Sut Xut', 1], ['XU X1+X1 X+X', 0],
]
