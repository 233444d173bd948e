/** The slot's state word: every state by every event. */
import { describe, expect, test } from 'vitest'
import { ATTENDED, DRAINING, GRANTED, HANDOFF, INHERITED, NOTICES, OWNER_MASK, READERS, WAITERS } from '../../src/lock/layout.js'
import * as word from '../../src/lock/word.js'

const ME = word.identityWord(5, 7)
const OTHER = word.identityWord(127, 0xffff)

/** Letters: W waiters, R readers, H hand-off, N notices; D draining, I inherited, G granted, A attended; `me`, `other`: the owner. */
const FLAGS = { W: WAITERS, R: READERS, D: DRAINING, H: HANDOFF, N: NOTICES, I: INHERITED, G: GRANTED, A: ATTENDED } as const

function parse(text: string): number {
  const [owner, flags = ''] = text.split(' ')
  let value = owner === 'me' ? ME : owner === 'other' ? OTHER : 0
  for (const letter of flags) value |= FLAGS[letter as keyof typeof FLAGS]
  return value
}

function show(value: number): string {
  const owner = word.isOwnedBy(value, ME) ? 'me' : word.isOwnedBy(value, OTHER) ? 'other' : word.isOwned(value) ? 'stranger' : 'free'
  const letters = Object.entries(FLAGS).filter(([, flag]) => value & flag).map(([letter]) => letter).join('')
  return letters === '' ? owner : `${owner} ${letters}`
}

const EVENTS: Readonly<Record<string, (state: number) => number>> = {
  claimed: state => word.claimed(state, ME),
  takenOver: state => word.takenOver(state, ME, false),
  inherits: state => word.takenOver(state, ME, true),
  settled: word.settled,
  drained: word.drained,
  accepted: word.accepted,
  granted: state => word.granted(state, ME),
  disowned: word.disowned,
  awaited: state => word.awaited(state, false),
  urgent: state => word.awaited(state, true),
  attended: state => word.attended(state, false),
  urgentlyAttended: state => word.attended(state, true),
  unattended: word.unattended,
  unawaited: word.unawaited,
  calmed: word.calmed,
}

/** What comes of each event in each state in which the protocol lets it happen. */
const MATRIX: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'free': { claimed: 'me' },
  'free R': { claimed: 'me RD' },
  'free W': { claimed: 'me W', unawaited: 'free', calmed: 'free W' },
  'free WRHN': { claimed: 'me WRDHN', unawaited: 'free RN', calmed: 'free WRN' },
  'free N': { claimed: 'me N' },
  'free WA': { claimed: 'me WA', unattended: 'free W', unawaited: 'free', calmed: 'free WA' },
  'other': { awaited: 'other W', urgent: 'other WH', disowned: 'free', takenOver: 'me D', inherits: 'me DI', granted: 'me G' },
  'other W': { attended: 'other WA', urgentlyAttended: 'other WHA', awaited: 'other W', urgent: 'other WH', disowned: 'free W', granted: 'me WG', inherits: 'me WDI' },
  'other WHN': { disowned: 'free WHN', granted: 'me WHNG', takenOver: 'me WDHN', calmed: 'other WN' },
  'other RD': { awaited: 'other WRD', disowned: 'free R', takenOver: 'me RD', drained: 'other' },
  'other WRDHN': { drained: 'other WHN', disowned: 'free WRHN', takenOver: 'me WRDHN' },
  'other WA': {
    awaited: 'other W', urgent: 'other WH', attended: 'other WA', urgentlyAttended: 'other WHA', disowned: 'free WA', granted: 'me WG', takenOver: 'me WD', inherits: 'me WDI',
  },
  'other WG': { accepted: 'other W', disowned: 'free W', takenOver: 'me WD' },
  'other WHNG': { accepted: 'other WHN', disowned: 'free WHN' },
  'me DI': { settled: 'me DN', inherits: 'me DI', takenOver: 'me D' },
  'me WRDHNI': { settled: 'me WRDHN', disowned: 'free WRHN', inherits: 'me WRDHNI' },
  'me DN': { drained: 'me N', disowned: 'free N' },
}

describe.each(Object.entries(MATRIX))('%s', (state, row) => {
  test.each(Object.entries(row))(`${state} -> %s -> %s`, (event, next) => {
    expect(show(EVENTS[event]?.(parse(state)) ?? 0)).toBe(next)
  })
})

describe('the owner has entered', () => {
  test.each([
    ['free', false], ['free WRHN', false], ['me', true], ['me WHN', true], ['me R', true], ['me D', false], ['me G', false], ['me DI', false], ['other WRHN', true],
  ] as const)('%s: %s', (state, entered) => {
    expect(word.hasEntered(parse(state))).toBe(entered)
  })
})

describe('a release gives the slot away', () => {
  test.each([
    ['me', false, false], ['me', true, false], ['me W', false, false], ['me W', true, true], ['me WH', false, true], ['me H', false, true],
    ['me WRH', true, false], ['me RDH', false, false],
  ] as const)('%s, asked to: %s: %s', (state, give, gives) => {
    expect(word.wantsHandoff(parse(state), give)).toBe(gives)
  })
})

describe('identity', () => {
  const everyone = [1, 2, 63, 64, 126, 127].flatMap(number => [1, 2, 0x7fff, 0x8000, 0xfffe, 0xffff].map(generation => [number, generation] as const))

  test.each(everyone)('number %i of generation %i: none of the flags changes it', (number, generation) => {
    const identity = word.identityWord(number, generation)
    const all = Object.values(FLAGS).reduce((sum, flag) => sum | flag, identity)
    expect(all | 0).toBe(all)
    expect([word.ownerNumber(all), word.isOwnedBy(all, identity), (all >>> 16)]).toEqual([number, true, generation])
  })

  test('no two participants look alike', () => {
    expect(new Set(everyone.map(([number, generation]) => word.identityWord(number, generation))).size).toBe(everyone.length)
  })

  test('the masks do not overlap, and leave no bit below the generation unused but one', () => {
    const flags = Object.values(FLAGS)
    expect(flags.reduce((sum, flag) => sum + flag, OWNER_MASK)).toBe(flags.reduce((sum, flag) => sum | flag, OWNER_MASK))
    expect(flags.reduce((sum, flag) => sum | flag, OWNER_MASK)).toBe(0x7fff)
  })
})
