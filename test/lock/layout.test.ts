/** The file's format as literals: whoever changes a place changes the format, and must say so here. */
import { expect, test } from 'vitest'
import * as layout from '../../src/lock/layout.js'
import { loadNative } from '../../src/lock/native.js'

test('every place', () => {
  expect(layout.HEADER).toEqual({
    MAGIC_0: 0, MAGIC_1: 1, BYTE_ORDER: 2, FINGERPRINT: 3, SIZE_WORDS: 4, SPACE_COUNT: 5, SEED_0: 6, SEED_1: 7, EPOCH_0: 8, EPOCH_1: 9, BOOT_ID: 10,
    CREATED_LOW: 14, CREATED_HIGH: 15, ROSTER: 16, RETIRED: 17, SPACES: 64,
  })
  expect(layout.PARTICIPANT).toEqual({
    LIFE: 0, ROBUST: 1, PID: 2, PID_NAMESPACE_LOW: 3, PID_NAMESPACE_HIGH: 4, START_TIME_LOW: 5, START_TIME_HIGH: 6, JOINED_LOW: 7, JOINED_HIGH: 8, LABEL: 9,
    BELL: 16, INTENT_SLOT: 32, INTENT_NAME_0: 33, INTENT_NAME_1: 34, INHERITED_PID: 35, INHERITED_NAME_0: 36, INHERITED_NAME_1: 37, INHERITED_TIME: 38,
    WAITING_SLOT: 40, WAITING_MODE: 41, WAITING_SINCE_LOW: 42, WAITING_SINCE_HIGH: 43, WAITING_NAME_0: 44, WAITING_NAME_1: 45, WAITING_COUNT: 46,
    STOLEN: 48, WAITS: 49, HANDOFFS: 50, TAKEOVERS: 51,
  })
  expect(layout.SLOT).toEqual({
    STATE: 0, VERSION_LOW: 1, VERSION_HIGH: 2, NAME_0: 3, NAME_1: 4, READERS: 5, SINCE_LOW: 9, SINCE_HIGH: 10, CONTENDED: 11, HANDOFFS: 12, TAKEOVERS: 13,
    WAITERS_EXCLUSIVE: 16, WAITERS_SHARED: 20, NOTICES_LOST: 24, NAME_META: 25, NOTICES: 32, NAME: 48,
  })
  expect([layout.participantWord(1), layout.participantWord(127), layout.fileWords([]), layout.slotWord(9216, 3)]).toEqual([1088, 9152, 9216, 9408])
})

test('a slot and a participant are whole cache lines', () => {
  expect([layout.SLOT_WORDS % 16, layout.PARTICIPANT_WORDS % 16, layout.PARTICIPANTS_WORD % 16, layout.HEADER_WORDS % 16]).toEqual([0, 0, 0, 0])
})

test('flags, owner and generation do not overlap', () => {
  const flags = [layout.WAITERS, layout.READERS, layout.DRAINING, layout.HANDOFF, layout.NOTICES, layout.INHERITED, layout.GRANTED]
  const all = [layout.OWNER_MASK, ...flags, layout.GENERATION_LIMIT << layout.GENERATION_SHIFT]
  for (const [i, one] of all.entries()) for (const other of all.slice(i + 1)) expect(one & other).toBe(0)
  expect(layout.PARTICIPANT_LIMIT - 1).toBe(layout.OWNER_MASK)
})

test.each([1, 2, 3, 7, 16])('the default file of %i spaces has at most 16 MiB', spaces => {
  const count = layout.defaultSlotCount(spaces)
  expect(layout.fileWords(new Array<number>(spaces).fill(count)) * 4).toBeLessThanOrEqual(16 * 2 ** 20)
  expect(count).toBeGreaterThanOrEqual(1024)
})

test('the fingerprint is of this format', () => {
  expect(layout.layoutFingerprint()).toBe(FINGERPRINT)
})

test('native code has the same layout', () => {
  expect({ ...loadNative().layout }).toEqual({ ...layout.NATIVE_LAYOUT })
})

/** Changes with the format; then the CHANGELOG says that tables must be made anew. */
const FINGERPRINT = 954643672
