/** An operator's forced break, and what the evicted can still do: nothing. */
import { describe, expect, test } from 'vitest'
import type { LockError, LockTable } from '../../src/index.js'
import { codeOf, open, until } from './support.js'

async function pair(): Promise<[LockTable, LockTable]> {
  const table = await open()
  return [table, await open(table.path)]
}

describe('in the very turn of the event loop', () => {
  const ROWS: readonly (readonly [string, (table: LockTable) => unknown])[] = [
    ['tryLock', table => table.tryLock('b')],
    ['tryLock with options', table => table.tryLock('b', { mode: 'exclusive' })],
    ['tryLock, shared', table => table.tryLock('b', { mode: 'shared' })],
    ['lock', table => table.lock('b')],
    ['lock, shared', table => table.lock('b', { mode: 'shared' })],
    ['lockSync', table => table.lockSync('b')],
    ['lockSync, shared', table => table.lockSync('b', { mode: 'shared' })],
    ['lockAll', table => table.lockAll(['b', 'c'])],
    ['request', table => table.request('b', () => undefined)],
  ]
  test.each(ROWS)('%s is refused, and leaves no notice of a death', async (_what, action) => {
    const [table, other] = await pair()
    for (const name of ['seen', 'b']) other.tryLock(name, { mode: 'shared' })?.release() // READERS stands in one slot, not in the other's
    expect(table.evict(other.participantNumber)).toBe(true)
    expect(await codeOf(() => action(other))).toBe('LOCK_LOST')
    const guard = table.tryLock('b')
    expect(guard).toBeDefined()
    expect(guard?.abandoned).toBeUndefined()
  })

  test.each(ROWS)('%s is refused on a slot nobody has used', async (_what, action) => {
    const [table, other] = await pair()
    table.evict(other.participantNumber)
    expect(await codeOf(() => action(other))).toBe('LOCK_LOST')
    expect(table.tryLock('b')?.abandoned).toBeUndefined()
  })

  test('its guards are lost at once', async () => {
    const [table, other] = await pair()
    const exclusive = await other.lock('a')
    const shared = await other.lock('s', { mode: 'shared' })
    const { signal } = shared
    table.evict(other.participantNumber)
    expect([exclusive.isHeld, shared.isHeld, exclusive.signal.aborted]).toEqual([false, false, true])
    expect(await codeOf(() => shared.upgrade())).toBe('LOCK_LOST')
    expect(await codeOf(() => { exclusive.downgrade() })).toBe('LOCK_LOST')
    await until(() => signal.aborted)
    expect((signal.reason as LockError).code).toBe('LOCK_LOST')
    const next = table.tryLock('a')
    expect(next?.abandoned?.pid).toBe(process.pid)
    expect(exclusive.release()).toBe(false)
    expect(next?.isHeld).toBe(true)
    expect(table.tryLock('s')?.abandoned).toBeUndefined()
  })
})

describe('of somebody who waits', () => {
  test.each(['exclusive', 'shared'] as const)('%s: refused, and the next in line goes on', async mode => {
    const [table, other] = await pair()
    const third = await open(table.path)
    const held = await table.lock('a')
    const refused = codeOf(() => other.lock('a', { mode }))
    const next = third.lock('a')
    await until(() => table.inspect().slots[0]?.waiters.length === 2)
    table.evict(other.participantNumber)
    expect(await refused).toBe('LOCK_LOST')
    held.release()
    expect((await next).isHeld).toBe(true)
  })

  test('an owner that waits for readers: they come in again', async () => {
    const [table, other] = await pair()
    const reader = await table.lock('a', { mode: 'shared' })
    const refused = codeOf(() => other.lock('a'))
    await until(() => table.inspect().slots[0]?.waiters.length === 1)
    table.evict(other.participantNumber)
    expect(await refused).toBe('LOCK_LOST')
    const third = await open(table.path)
    expect(third.tryLock('a', { mode: 'shared' })?.abandoned).toBeUndefined()
    expect(reader.isHeld).toBe(true)
  })
})

describe('whom', () => {
  test.each([0, 128, -1, 1.5, NaN, Infinity])('%s: RangeError', async number => {
    const table = await open()
    expect(() => table.evict(number)).toThrow(RangeError)
  })
  test.each(['1', null, undefined, 1n])('%s as no number: TypeError', async number => {
    const table = await open()
    expect(() => table.evict(number as never)).toThrow(TypeError)
  })
  test('nobody, the left, the evicted: false', async () => {
    const [table, other] = await pair()
    const number = other.participantNumber
    expect(table.evict(100)).toBe(false)
    expect([table.evict(number), table.evict(number)]).toEqual([true, false])
    await other.close()
    expect(table.evict(number)).toBe(false)
  })
  test('a number that was evicted and left is used again, in good order', async () => {
    const [table, other] = await pair()
    await other.lock('a')
    const number = other.participantNumber
    table.evict(number)
    await other.close()
    const opened: LockTable[] = []
    for (let i = 0; i < 126; i++) opened.push(await open(table.path, { watch: false }))
    expect(opened.map(one => one.participantNumber)).toContain(number)
    expect(await codeOf(() => open(table.path))).toBe('TABLE_FULL')
    expect((await table.lock('a')).abandoned?.pid).toBe(process.pid)
  })
})
