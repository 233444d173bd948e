/** check(): every rule finds what it is for, and nothing in a table in use. */
import { describe, expect, test } from 'vitest'
import { openSync, readSync, writeSync, closeSync } from 'node:fs'
import {
  DRAINING, GRANTED, HANDOFF, INHERITED, LIFE, NOTICE, PARTICIPANT, SLOT, WAITERS, participantWord, slotWord, fileWords,
} from '../../src/lock/layout.js'
import type { LockTable } from '../../src/index.js'
import { open, until } from './support.js'

const SLOT_0 = slotWord(fileWords([]), 0)
/** Far from what the test's own participants, 1 and 2, use. */
const GHOST = 77

/** Writes words behind the table's back. */
function poke(table: LockTable, words: Readonly<Record<number, number>>): void {
  const file = openSync(table.path, 'r+')
  for (const [word, value] of Object.entries(words)) {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32LE(value | 0)
    writeSync(file, bytes, 0, 4, Number(word) * 4)
  }
  closeSync(file)
}

function peekWord(table: LockTable, word: number): number {
  const file = openSync(table.path, 'r')
  const bytes = Buffer.alloc(4)
  readSync(file, bytes, 0, 4, word * 4)
  closeSync(file)
  return bytes.readInt32LE()
}

const bit = (number: number): number => 1 << (number & 31)
const life = (status: number, generation = 1): number => (generation << 16) | status
const owner = (number: number, generation = 1): number => number | (generation << 16)
const lifeOf = (number: number): number => participantWord(number) + PARTICIPANT.LIFE

describe('finds', () => {
  test.each<readonly [string, string, Readonly<Record<number, number>>]>([
    ['STATE_BITS', 'broken', { [SLOT_0]: 1 << 15 }],
    ['STATE_UNOWNED', 'broken', { [SLOT_0]: DRAINING }],
    ['STATE_UNOWNED', 'broken', { [SLOT_0]: 5 << 16 }],
    ['STATE_CONTRADICTION', 'broken', { [SLOT_0]: owner(1) | GRANTED | DRAINING, [SLOT_0 + SLOT.WAITERS_EXCLUSIVE]: bit(1) }],
    ['STATE_CONTRADICTION', 'broken', { [SLOT_0]: owner(1) | INHERITED }],
    ['OWNER_UNKNOWN', 'broken', { [SLOT_0]: owner(GHOST) }],
    ['OWNER_UNKNOWN', 'broken', { [SLOT_0]: owner(1, 99) }],
    ['BIT_UNKNOWN', 'broken', { [SLOT_0 + SLOT.READERS + 2]: bit(GHOST) }],
    ['BIT_UNKNOWN', 'broken', { [SLOT_0 + SLOT.WAITERS_SHARED + 2]: bit(GHOST) }],
    ['BIT_UNKNOWN', 'broken', { [SLOT_0 + SLOT.URGENT]: 1 }],
    ['NOTICE_UNMARKED', 'broken', { [SLOT_0 + SLOT.NOTICES + NOTICE.PID]: 4711 }],
    ['NOTICE_UNMARKED', 'broken', { [SLOT_0 + SLOT.NOTICES_LOST]: 1 }],
    ['NAME_LENGTH', 'broken', { [SLOT_0 + SLOT.NAME_META]: 65 }],
    ['LIFE_UNKNOWN', 'broken', { [lifeOf(GHOST)]: life(9) }],
    ['DEATH_UNNOTICED', 'stuck', { [lifeOf(GHOST)]: life(LIFE.LIVE), [participantWord(2) + PARTICIPANT.WAITING_COUNT]: 1 }],
    ['WAITER_STRANDED', 'stuck', { [SLOT_0]: WAITERS, [SLOT_0 + SLOT.WAITERS_EXCLUSIVE]: bit(2) }],
    ['WAITER_UNMARKED', 'stuck', { [SLOT_0]: owner(1), [SLOT_0 + SLOT.WAITERS_EXCLUSIVE]: bit(2) }],
    ['URGENT_UNMARKED', 'stuck', { [SLOT_0]: owner(1) | WAITERS, [SLOT_0 + SLOT.WAITERS_EXCLUSIVE]: bit(2), [SLOT_0 + SLOT.URGENT]: bit(2) }],
    ['GRANT_UNACCEPTED', 'stuck', { [SLOT_0]: owner(1) | GRANTED, [SLOT_0 + SLOT.WAITERS_EXCLUSIVE]: bit(1) }],
    ['DRAIN_STALLED', 'stuck', { [SLOT_0]: owner(1) | DRAINING }],
    ['READER_BESIDE_OWNER', 'stuck', { [SLOT_0]: owner(1), [SLOT_0 + SLOT.READERS]: bit(2) }],
  ])('%s (%s)', async (rule, severity, words) => {
    const table = await open()
    await open(table.path) // participant 2
    poke(table, words)
    const found = await table.check({ settleMs: 0 })
    expect(found.map(finding => [finding.rule, finding.severity])).toContainEqual([rule, severity])
    for (const word of Object.keys(words)) poke(table, { [word]: Number(word) === lifeOf(GHOST) ? life(LIFE.FREE) : 0 })
    expect(await table.check({ settleMs: 0 })).toEqual([])
  })

  test('only what stays', async () => {
    const table = await open()
    poke(table, { [SLOT_0]: DRAINING })
    const check = table.check({ settleMs: 50 })
    poke(table, { [SLOT_0]: 0 })
    expect(await check).toEqual([])
  })
})

describe('finds nothing', () => {
  test('in a table in use: holds, waits, hand-offs, readers', async () => {
    const table = await open()
    const other = await open(table.path)
    const held = await table.lock('a')
    const shared = await other.lock('b', { mode: 'shared' })
    const waiting = other.lock('a')
    const draining = table.lock('b')
    await until(() => table.inspect().slots.filter(slot => slot.waiters.length > 0).length === 2)
    expect(await table.check({ settleMs: 5 })).toEqual([])
    held.release()
    shared.release()
    for (const guard of await Promise.all([waiting, draining])) guard.release()
    expect(await table.check({ settleMs: 5 })).toEqual([])
    expect(peekWord(table, SLOT_0) & HANDOFF).toBe(0)
  })

  test.each([[-1, RangeError], [NaN, RangeError], ['1', TypeError], [2 ** 31, RangeError]])('settleMs %j is refused', async (settleMs, error) => {
    const table = await open()
    await expect(table.check({ settleMs: settleMs as number })).rejects.toThrow(error)
  })

  test('options of nobody are refused', async () => {
    const table = await open()
    await expect(table.check({ settle: 1 } as object)).rejects.toThrow(/settle/)
  })
})
