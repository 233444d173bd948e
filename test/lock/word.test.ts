/** State x event: what each transition keeps, sets and clears. */
import { expect, test } from 'vitest'
import { DRAINING, GRANTED, HANDOFF, INHERITED, NOTICES, READERS, WAITERS } from '../../src/lock/layout.js'
import * as word from '../../src/lock/word.js'

const ME = word.identityWord(5, 0xfedc)
const OTHER = word.identityWord(127, 1)
const LASTING = WAITERS | READERS | HANDOFF | NOTICES

test.each([
  ['claim a free slot', word.claimed(0, ME), ME],
  ['claim with readers: drain first', word.claimed(READERS, ME), ME | READERS | DRAINING],
  ['claim keeps what is known of others', word.claimed(WAITERS | HANDOFF | NOTICES, ME), ME | WAITERS | HANDOFF | NOTICES],
  ['take over with a notice', word.takenOver(OTHER | LASTING, ME, true), ME | LASTING | DRAINING | INHERITED],
  ['take over without', word.takenOver(OTHER | GRANTED, ME, false), ME | DRAINING],
  ['settle', word.settled(ME | INHERITED | DRAINING), ME | NOTICES | DRAINING],
  ['drained', word.drained(ME | DRAINING | READERS | WAITERS), ME | WAITERS],
  ['grant', word.granted(ME | WAITERS | HANDOFF, OTHER), OTHER | WAITERS | HANDOFF | GRANTED],
  ['accept', word.accepted(ME | GRANTED | WAITERS), ME | WAITERS],
  ['disown', word.disowned(ME | LASTING | DRAINING), LASTING],
  ['await', word.awaited(OTHER, false), OTHER | WAITERS],
  ['await, urgently', word.awaited(OTHER, true), OTHER | WAITERS | HANDOFF],
  ['nobody waits', word.unawaited(LASTING), READERS | NOTICES],
  ['calm', word.calmed(WAITERS | HANDOFF), WAITERS],
])('%s', (_event, got, expected) => {
  expect(got).toBe(expected)
})

test('who owns it, whether it has entered', () => {
  expect([word.isOwned(LASTING), word.isOwned(ME), word.ownerNumber(OTHER | LASTING)]).toEqual([false, true, 127])
  expect([word.isOwnedBy(ME | LASTING, ME), word.isOwnedBy(OTHER, ME), word.isOwnedBy(word.identityWord(5, 1), ME)]).toEqual([true, false, false])
  for (const flag of [DRAINING, GRANTED, INHERITED]) expect(word.hasEntered(ME | flag)).toBe(false)
  expect([word.hasEntered(ME | LASTING), word.hasEntered(LASTING)]).toEqual([true, false])
})

test.each([
  [0, false, false], [HANDOFF, false, true], [HANDOFF | READERS, false, false], [WAITERS, false, false], [WAITERS, true, true], [0, true, false],
])('hand-off with flags %i, by choice %s: %s', (flags, give, expected) => {
  expect(word.wantsHandoff(ME | flags, give)).toBe(expected)
})
