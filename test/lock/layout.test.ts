/** Every offset as a literal: whoever moves a word must change this file, and sees that files of the field become foreign. */
import { describe, expect, test } from 'vitest'
import * as layout from '../../src/lock/layout.js'
import { loadNative } from '../../src/lock/native.js'

describe('offsets and numbers', () => {
  const TABLES: readonly (readonly [keyof typeof layout, unknown])[] = [
    ['MAGIC', [0x4b434f4c, 0x4c424154]],
    ['HEADER', {
      MAGIC_0: 0, MAGIC_1: 1, BYTE_ORDER: 2, FINGERPRINT: 3, SIZE_WORDS: 4, SPACE_COUNT: 5, SEED_0: 6, SEED_1: 7, EPOCH_0: 8, EPOCH_1: 9, BOOT_ID: 10,
      CREATED_LOW: 14, CREATED_HIGH: 15, ROSTER: 16, RETIRED: 17, SPACES: 64,
    }],
    ['SPACE', { SLOT_COUNT: 0, FIRST_WORD: 1, NAME_LENGTH: 2, NAME: 4 }],
    ['PARTICIPANT', {
      LIFE: 0, ROBUST: 1, PID: 2, PID_NAMESPACE_LOW: 3, PID_NAMESPACE_HIGH: 4, START_TIME_LOW: 5, START_TIME_HIGH: 6, JOINED_LOW: 7, JOINED_HIGH: 8,
      LABEL: 9, BELL: 16, SYNC_BELL: 17, INTENT_SLOT: 32, INTENT_NAME_0: 33, INTENT_NAME_1: 34, INHERITED_PID: 35, INHERITED_NAME_0: 36, INHERITED_NAME_1: 37,
      INHERITED_TIME: 38, WAITING_SLOT: 40, WAITING_MODE: 41, WAITING_SINCE_LOW: 42, WAITING_SINCE_HIGH: 43, WAITING_NAME_0: 44, WAITING_NAME_1: 45,
      WAITING_COUNT: 46, STOLEN: 48, WAITS: 49, HANDOFFS: 50, TAKEOVERS: 51,
    }],
    ['LIFE', { FREE: 0, SCRUBBING: 1, LIVE: 2, DEAD: 3, EVICTED: 4 }],
    ['SLOT', {
      STATE: 0, VERSION_LOW: 1, VERSION_HIGH: 2, NAME_0: 3, NAME_1: 4, READERS: 5, SINCE_LOW: 9, SINCE_HIGH: 10, CONTENDED: 11, HANDOFFS: 12, TAKEOVERS: 13,
      WAITERS_EXCLUSIVE: 16, WAITERS_SHARED: 20, NOTICES_LOST: 24, NAME_META: 25, URGENT: 26, NOTICES: 32, NAME: 48,
    }],
    ['NOTICE', { PID: 0, NAME_0: 1, NAME_1: 2, TIME: 3 }],
  ]
  test.each(TABLES)('%s', (name, expected) => {
    const table = layout[name]
    expect(table === layout.PARTICIPANT || table === layout.SLOT ? layout.offsetsOf(table) : table).toEqual(expected)
  })

  const NUMBERS: readonly (readonly [keyof typeof layout, number])[] = [
    ['WORD_BYTES', 4], ['FORMAT_VERSION', 1], ['BYTE_ORDER_MARK', 0x01020304], ['HEADER_WORDS', 1024],
    ['SPACE_LIMIT', 16], ['SPACE_WORDS', 16], ['SPACE_NAME_BYTES', 48],
    ['PARTICIPANT_LIMIT', 128], ['PARTICIPANT_WORDS', 64], ['PARTICIPANTS_WORD', 1024], ['PARTICIPANT_LABEL_BYTES', 28],
    ['LIFE_STATUS_MASK', 0xffff], ['GENERATION_SHIFT', 16], ['GENERATION_LIMIT', 0xffff],
    ['BELL_SENTINEL', 1], ['BELL_SYNC', 2], ['BELL_SLEEPERS', 3], ['BELL_MUTED', 4], ['BELL_FLAGS', 7], ['BELL_STEP', 8],
    ['SLOT_WORDS', 64], ['BITMAP_WORDS', 4], ['NOTICE_LIMIT', 4], ['NOTICE_WORDS', 4],
    ['SLOT_NAME_BYTES', 64], ['NAME_LENGTH_MASK', 0xff], ['NAME_IS_BYTES', 0x100], ['NAME_IS_CUT', 0x200],
    ['OWNER_MASK', 0x7f], ['WAITERS', 0x80], ['READERS', 0x100], ['DRAINING', 0x200], ['HANDOFF', 0x400], ['NOTICES', 0x800], ['INHERITED', 0x1000],
    ['GRANTED', 0x2000], ['ATTENDED', 0x4000], ['MODE_EXCLUSIVE', 1], ['MODE_SHARED', 2], ['ROSTER_LOCK_BYTE', 0],
    ['MAX_FILE_BYTES', 2147483648], ['DEFAULT_FILE_BYTES', 16777216], ['DEFAULT_SLOT_COUNT', 16384], ['SLOT_COUNT_LIMIT', 4194304],
  ]
  test.each(NUMBERS)('%s is %i', (name, expected) => {
    expect(layout[name]).toBe(expected)
  })
})

describe('places', () => {
  test.each([
    ['participant 1', layout.participantWord(1), 1088],
    ['participant 127', layout.participantWord(127), 9152],
    ['the first slot', layout.fileWords([]), 9216],
    ['slot 3 of the first space', layout.slotWord(9216, 3), 9408],
    ['a file of 16 384 slots', layout.fileWords([16384]), 1057792],
  ])('%s: word %i', (_what, word, expected) => {
    expect(word).toBe(expected)
  })

  test.each([[1, 16384], [2, 16384], [3, 16384], [4, 8192], [8, 4096], [16, 2048]])('%i spaces have %i slots each by default, at most 16 MiB', (spaces, slots) => {
    expect(layout.defaultSlotCount(spaces)).toBe(slots)
    expect(layout.fileWords(new Array<number>(spaces).fill(slots)) * 4).toBeLessThanOrEqual(16 * 1024 * 1024)
  })

  const RECORDS: readonly (readonly [string, Readonly<Record<string, number>>, Readonly<Record<string, number>>, number])[] = [
    ['the header', layout.HEADER, { BOOT_ID: 4, SPACES: layout.SPACE_LIMIT * layout.SPACE_WORDS }, layout.HEADER_WORDS],
    ['a space', layout.SPACE, { NAME: layout.SPACE_NAME_BYTES / 4 }, layout.SPACE_WORDS],
    ['a participant', layout.offsetsOf(layout.PARTICIPANT), { LABEL: layout.PARTICIPANT_LABEL_BYTES / 4 }, layout.PARTICIPANT_WORDS],
    ['a slot', layout.offsetsOf(layout.SLOT), {
      READERS: 4, WAITERS_EXCLUSIVE: 4, WAITERS_SHARED: 4, URGENT: 4, NOTICES: layout.NOTICE_LIMIT * layout.NOTICE_WORDS, NAME: layout.SLOT_NAME_BYTES / 4,
    }, layout.SLOT_WORDS],
  ]
  test.each(RECORDS)('%s: no two words overlap, none lies outside', (_what, offsets, lengths, size) => {
    const taken = new Set<number>()
    for (const [name, offset] of Object.entries(offsets)) {
      for (let word = offset; word < offset + (lengths[name] ?? 1); word++) {
        expect(taken.has(word), `${name} at ${word}`).toBe(false)
        expect(word).toBeLessThan(size)
        taken.add(word)
      }
    }
  })

  test('a participant’s bell, intent and counters have cache lines of their own', () => {
    const { LIFE, ROBUST, BELL, INTENT_SLOT, STOLEN } = layout.PARTICIPANT
    const lines = [LIFE, BELL, INTENT_SLOT, STOLEN].map(word => word >> 4)
    expect(new Set(lines).size).toBe(4)
    expect(ROBUST >> 4).toBe(LIFE >> 4)
  })

  test('every participant has a bit, and every number fits the owner’s place', () => {
    expect(layout.BITMAP_WORDS * 32).toBeGreaterThanOrEqual(layout.PARTICIPANT_LIMIT)
    expect(layout.PARTICIPANT_LIMIT - 1).toBeLessThanOrEqual(layout.OWNER_MASK)
  })
})

describe('agreement', () => {
  test('the fingerprint changes only when this line does', () => {
    expect(layout.layoutFingerprint()).toBe(1670450581)
  })

  test('the binary part knows the same layout', () => {
    expect(loadNative().layout).toEqual({
      participantsWord: 1024, participantWords: 64, participantLimit: 128, lifeWord: 0, robustWord: 1, bellWord: 16, syncBellWord: 17, rosterWord: 16,
      lifeStatusMask: 0xffff, lifeScrubbing: 1, lifeLive: 2, lifeDead: 3, bellSentinel: 1, bellSync: 2, bellSleepers: 3, bellMuted: 4, bellFlags: 7, bellStep: 8,
    })
    expect(layout.NATIVE_LAYOUT).toEqual(loadNative().layout)
  })
})
