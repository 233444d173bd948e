/** Several names at once: what is asked for, what is taken, and that nothing gets lost on the way. */
import { describe, expect, test } from 'vitest'
import type { LockTable } from '../../src/index.js'
import { SLOT } from '../../src/lock/layout.js'
import { codeOf, open, until } from './support.js'

const ONE_SLOT = { spaces: [{ name: 'default', slots: 1 }] }
const TWO_SPACES = { spaces: [{ name: 'group', slots: 1 }, { name: 'snapshot', slots: 4096 }] }

/** Another opening dies (as far as the table can tell) with holds of these names, one after the other. */
async function abandon(table: LockTable, ...names: string[]): Promise<void> {
  for (const name of names) {
    const other = await open(table.path)
    await other.lock(name)
    await other.close()
  }
}

/** Names that do not share a slot, in the order of their slots. */
function apart(table: LockTable, count: number): string[] {
  const bySlot = new Map<number, string>()
  for (let i = 0; bySlot.size < count; i++) bySlot.set(table.handle(`n${i}`).index, `n${i}`)
  return [...bySlot].sort(([a], [b]) => a - b).map(([, name]) => name)
}

describe('wrong arguments', () => {
  const ROWS: readonly (readonly [string, (table: LockTable) => unknown, RegExp])[] = [
    ['a mode for all', table => table.lockAll(['a'], { mode: 'exclusiv' as never }), /^RangeError: options.mode/],
    ['a mode that is no text', table => table.lockAll(['a'], { mode: 1 as never }), /^TypeError: options.mode/],
    ['a mode of one', table => table.lockAll([{ name: 'a', mode: 'read' as never }]), /^RangeError: names\[0\].mode/],
    ['negative milliseconds', table => table.lockAll(['a'], { timeoutMs: -1 }), /^RangeError: options.timeoutMs/],
    ['milliseconds as text', table => table.lockAll(['a'], { timeoutMs: '5' as never }), /^TypeError: options.timeoutMs/],
    ['milliseconds null', table => table.lockAll(['a'], { timeoutMs: null as never }), /^TypeError: options.timeoutMs/],
    ['milliseconds for no names', table => table.lockAll([], { timeoutMs: NaN }), /^RangeError: options.timeoutMs/],
    ['a signal for no names', table => table.lockAll([], { signal: {} as never }), /^TypeError: options.signal/],
    ['a misspelt option', table => table.lockAll(['a'], { timeout: 1 } as never), /^TypeError: options has no option "timeout"/],
    ['options that are none', table => table.lockAll(['a'], null as never), /^TypeError: options/],
    ['a misspelt part', table => table.lockAll(['b', { name: 'a', slot: 1 } as never]), /^TypeError: names\[1\] has no option "slot"/],
    ['no name', table => table.lockAll([{} as never]), /^TypeError: names\[0\].name/],
    ['null', table => table.lockAll([null as never]), /^TypeError: names\[0\]/],
    ['a number', table => table.lockAll([5 as never]), /^TypeError: names\[0\]/],
    ['a space that is no text', table => table.lockAll([{ name: 'a', space: 5 as never }]), /^TypeError: names\[0\].space/],
    ['a space that is not there', table => table.lockAll([{ name: 'a', space: 'none' }]), /^RangeError: .*no space "none"/],
    ['a wrong one behind a right one', table => table.lockAll(['a', { name: 'b', mode: 'x' as never }]), /^RangeError: names\[1\].mode/],
  ]
  test.each(ROWS)('%s', async (_what, action, message) => {
    const table = await open()
    expect(await codeOf(() => action(table))).toMatch(message)
    expect(table.inspect().slots).toEqual([])
  })
})

describe('what is taken', () => {
  test('each slot once, by rank and slot, in the strongest mode asked for', async () => {
    const table = await open(undefined, TWO_SPACES)
    const set = await table.lockAll([
      { name: 'x', space: 'snapshot', mode: 'shared' }, { name: 'a', mode: 'shared' }, 'b', { name: 'x', space: 'snapshot', mode: 'shared' },
    ])
    expect(set.guards.map(guard => [guard.handle.space.name, guard.mode])).toEqual([['group', 'exclusive'], ['snapshot', 'shared']])
    expect([set.isHeld, set.release(), set.isHeld, set.release()]).toEqual([true, true, false, false])
    expect(table.inspect().slots).toEqual([])
  })

  test('the slots in ascending order, whatever the order of the names', async () => {
    const table = await open()
    const names = apart(table, 12)
    const set = await table.lockAll([...names].reverse())
    expect(set.guards.map(guard => guard.name)).toEqual(names)
  })

  test('no names: nothing, and it is released well', async () => {
    const table = await open()
    const set = await table.lockAll([])
    expect([set.guards.length, set.release()]).toEqual([0, true])
  })

  test('callers with the same names in any order never wait for each other in a circle', async () => {
    const table = await open()
    const other = await open(table.path)
    const names = apart(table, 6)
    let count = 0
    await Promise.all(Array.from({ length: 60 }, async (_, i) => {
      const mine = names.map((_name, at) => names[(at * 5 + i) % names.length] ?? '').slice(0, 2 + i % 4)
      const set = await (i % 2 ? table : other).lockAll(mine)
      await new Promise(setImmediate)
      count++
      expect(set.release()).toBe(true)
    }))
    expect(count).toBe(60)
  })
})

describe('all or nothing', () => {
  test.each([
    ['the time is up', 'LOCK_TIMEOUT', { timeoutMs: 5 }],
    ['at once', 'LOCK_TIMEOUT', { timeoutMs: 0 }],
    ['the signal', 'LOCK_ABORTED', 'signal'],
    ['the table is closed', 'TABLE_CLOSED', 'close'],
  ] as const)('%s: %s, and what it had is free again', async (_what, code, how) => {
    const table = await open()
    const other = await open(table.path)
    const [first = '', second = '', third = ''] = apart(table, 3)
    const held = await other.lock(second)
    const controller = new AbortController()
    const options = typeof how === 'string' ? (how === 'signal' ? { signal: controller.signal } : {}) : how
    const outcome = codeOf(() => table.lockAll([third, second, first], options))
    if (typeof how === 'string') await until(() => other.inspect().slots.some(slot => slot.waiters.length > 0))
    if (how === 'signal') controller.abort()
    if (how === 'close') await table.close()
    expect(await outcome).toBe(code)
    for (const name of [first, third]) expect(other.tryLock(name)?.abandoned, name).toBeUndefined()
    expect(other.inspect().slots.flatMap(slot => slot.waiters)).toEqual([])
    expect(held.release()).toBe(true)
  })

  test('the notice of a death is not lost with an attempt that fails', async () => {
    const table = await open()
    const other = await open(table.path)
    const [first = '', second = ''] = apart(table, 2)
    await abandon(table, first)
    const held = await other.lock(second)
    expect(await codeOf(() => table.lockAll([first, second], { timeoutMs: 0 }))).toBe('LOCK_TIMEOUT')
    held.release()
    const set = await table.lockAll([first, second])
    expect([...set.abandoned]).toMatchObject([[first, { pid: process.pid }]])
    set.release()
    expect((await table.lock(first)).abandoned).toBeUndefined()
  })

  test('nor are the notices of several names of one slot', async () => {
    const table = await open(undefined, TWO_SPACES)
    const other = await open(table.path)
    await abandon(table, 'a', 'b')
    const held = await other.space('snapshot').lock('x')
    expect(await codeOf(() => table.lockAll(['a', 'b', 'c', { name: 'x', space: 'snapshot' }], { timeoutMs: 0 }))).toBe('LOCK_TIMEOUT')
    held.release()
    const set = await table.lockAll(['a', 'b', 'c'])
    expect([...set.abandoned.keys()].sort()).toEqual(['a', 'b'])
    set.release()
    expect((await table.lockAll(['a', 'b', 'c'])).abandoned.size).toBe(0)
  })
})

describe('more names than the slot has records for', () => {
  const MANY = Array.from({ length: 12 }, (_, i) => `name ${i}`)

  test('leave nothing behind that looks like a death', async () => {
    const table = await open(undefined, ONE_SLOT)
    const set = await table.lockAll(MANY)
    expect(set.release()).toBe(true)
    const again = await table.lockAll([...MANY, 'another'])
    expect(again.abandoned.size).toBe(0)
    again.release()
    expect((await table.lock('yet another')).abandoned).toBeUndefined()
    expect(table.inspect().slots[0]?.abandonedByPids).toEqual([])
    expect(table.session.region.words[table.handle('x').slot + SLOT.NOTICES_LOST]).toBe(0)
  })

  test('are all abandoned by the death of their holder', async () => {
    const table = await open(undefined, ONE_SLOT)
    const other = await open(table.path)
    await other.lockAll(MANY)
    await other.close()
    for (const name of MANY) {
      const guard = await table.lock(name)
      expect(guard.abandoned, name).toBeDefined()
      guard.release()
    }
  })
})

describe('names', () => {
  test('are reported abandoned as they were given', async () => {
    const table = await open(undefined, ONE_SLOT)
    const bytes = Uint8Array.of(1, 2, 3)
    const other = await open(table.path)
    await other.lockAll([bytes, 'a'])
    await other.close()
    const set = await table.lockAll([bytes, 'a'])
    expect(set.abandoned.get(bytes)).toMatchObject({ pid: process.pid })
    expect(set.abandoned.get('a')).toMatchObject({ pid: process.pid })
  })

  test('that are a Buffer are copied: what becomes of it later changes nothing', async () => {
    const table = await open()
    const buffer = Buffer.from('abc')
    const guard = await table.lock(buffer)
    buffer.fill(0)
    expect(Buffer.from(guard.name as Uint8Array).toString()).toBe('abc')
  })
})
