/** Nobody is kept out for ever: among the tasks of a process, and among processes. Openings of one process stand for processes. */
import { describe, expect, test } from 'vitest'
import type { LockMode, LockTable, TableGuard } from '../../src/index.js'
import { codeOf, open, until } from './support.js'

async function pair(): Promise<[LockTable, LockTable]> {
  const table = await open()
  return [table, await open(table.path)]
}

const waiterCount = (table: LockTable): number => table.inspect().slots[0]?.waiters.length ?? 0

describe('readers of one process and a writer of another', () => {
  test('overlapping readers let the writer in', async () => {
    const [table, other] = await pair()
    let reader = await table.lock('a', { mode: 'shared' })
    let written = false
    const writer = other.lock('a').then(guard => {
      written = true
      guard.release()
    })
    await until(() => waiterCount(table) === 1)
    for (let i = 0; i < 100 && !written; i++) { // each comes before the last has left
      const next = table.lock('a', { mode: 'shared' })
      const overlaps = await Promise.race([next, new Promise<undefined>(resolve => setImmediate(() => { resolve(undefined) }))])
      reader.release()
      reader = overlaps ?? await next
    }
    expect(written).toBe(true)
    await writer
    reader.release()
  })

  test('a try does not join readers while the writer waits', async () => {
    const [table, other] = await pair()
    const reader = await table.lock('a', { mode: 'shared' })
    const writer = other.lock('a')
    await until(() => waiterCount(table) === 1)
    expect(table.tryLock('a', { mode: 'shared' })).toBeUndefined()
    reader.release()
    expect((await writer).release()).toBe(true)
    expect(table.tryLock('a', { mode: 'shared' })).toBeDefined()
  })

  test.each(['times out', 'aborts', 'is evicted', 'closes'])('when the writer %s, a reader that came later joins those inside', async how => {
    const [table, other] = await pair()
    const reader = await table.lock('a', { mode: 'shared' })
    const controller = new AbortController()
    const writer = codeOf(() => other.lock('a', how === 'times out' ? { timeoutMs: 30 } : { signal: controller.signal }))
    const later = table.lock('a', { mode: 'shared' })
    // No time for a time-out to come before this is seen: whoever has to wait is registered when lock() returns.
    expect(table.inspectName('a').waiters).toMatchObject([{ participant: other.participantNumber, mode: 'exclusive' }, { participant: table.participantNumber, mode: 'shared' }])
    if (how === 'aborts') controller.abort()
    if (how === 'closes') await other.close()
    if (how === 'is evicted') table.evict(other.participantNumber)
    expect(await writer).toMatch(/LOCK_TIMEOUT|LOCK_ABORTED|TABLE_CLOSED|LOCK_LOST/)
    const guard = await later // while the first reader is still inside
    expect([reader.isHeld, guard.isHeld]).toEqual([true, true])
    expect(reader.release()).toBe(true)
    expect(guard.isHeld).toBe(true)
    const third = await open(table.path)
    expect(third.tryLock('a')).toBeUndefined()
    expect(guard.release()).toBe(true)
    expect(third.tryLock('a')).toBeDefined()
    expect(waiterCount(third)).toBe(0)
  })

  test('when the writer is let in and leaves, whoever waited behind it comes in', async () => {
    const [table, other] = await pair()
    const reader = await table.lock('a', { mode: 'shared' })
    const writer = other.lock('a')
    await until(() => waiterCount(table) === 1)
    const later = [table.lock('a', { mode: 'shared' }), table.lock('a', { mode: 'shared' }), table.lock('a')]
    reader.release()
    const inside = await writer
    expect(inside.isHeld).toBe(true)
    inside.release()
    const [first, second] = [await later[0], await later[1]]
    first?.release()
    second?.release()
    expect((await later[2])?.release()).toBe(true)
    expect(table.inspect().slots).toEqual([])
  })

  test('a reader that gives up behind the writer leaves nothing', async () => {
    const [table, other] = await pair()
    const reader = await table.lock('a', { mode: 'shared' })
    const writer = other.lock('a')
    await until(() => waiterCount(table) === 1)
    expect(await codeOf(() => table.lock('a', { mode: 'shared', timeoutMs: 1 }))).toBe('LOCK_TIMEOUT')
    expect(reader.isHeld).toBe(true)
    expect(table.inspect().slots[0]?.waiters).toMatchObject([{ mode: 'exclusive', participant: other.participantNumber }])
    reader.release()
    ;(await writer).release()
    expect(table.inspect().slots).toEqual([])
  })

  test('an upgrade beside a waiting reader of the own process', async () => {
    const [table, other] = await pair()
    const reader = await table.lock('a', { mode: 'shared' })
    const writer = other.lock('a', { timeoutMs: 1000 })
    await until(() => waiterCount(table) === 1)
    const later = table.lock('a', { mode: 'shared' })
    expect(reader.upgrade()).toBe(false)
    reader.release()
    ;(await writer).release()
    expect((await later).upgrade()).toBe(true)
  })
})

describe('the queue of a process', () => {
  const ORDERS: readonly (readonly [string, string])[] = [
    ['xxx', 'x x x'], ['sxs', 's x s'], ['ssxss', 'ss x ss'], ['xssxs', 'x ss x s'], ['sss', 'sss'],
  ]
  test.each(ORDERS)('%s behind a writer: %s', async (requests, groups) => {
    const table = await open()
    const held = await table.lock('a')
    const together: string[] = []
    let inside: TableGuard[] = []
    let batch = ''
    const all = [...requests].map(async letter => {
      const guard = await table.lock('a', { mode: letter === 'x' ? 'exclusive' : 'shared' })
      inside.push(guard)
      batch += letter
    })
    held.release()
    while (together.join('').length < requests.length) {
      await new Promise(setImmediate)
      together.push(batch)
      const leaving = inside
      inside = []
      batch = ''
      for (const guard of leaving) expect(guard.release()).toBe(true)
    }
    await Promise.all(all)
    expect(together.filter(text => text !== '').join(' ')).toBe(groups)
  })

  test('a try does not overtake it', async () => {
    const table = await open()
    const held = await table.lock('a', { mode: 'shared' })
    const writer = table.lock('a')
    expect(table.tryLock('a', { mode: 'shared' })).toBeUndefined()
    held.release()
    ;(await writer).release()
  })

  test('its first gives up: those behind go on at once', async () => {
    const table = await open()
    const held = await table.lock('a', { mode: 'shared' })
    const controller = new AbortController()
    const writer = codeOf(() => table.lock('a', { signal: controller.signal }))
    const reader = table.lock('a', { mode: 'shared' })
    controller.abort()
    expect(await writer).toBe('LOCK_ABORTED')
    expect((await reader).isHeld).toBe(true)
    expect(held.isHeld).toBe(true)
  })

  test('ten thousand waiters that give up in a wild order', async () => {
    const table = await open()
    const held = await table.lock('a')
    const controllers = Array.from({ length: 10_000 }, () => new AbortController())
    const outcomes = controllers.map(({ signal }) => codeOf(() => table.lock('a', { signal })))
    for (let i = 0; i < controllers.length; i++) controllers[(i * 7919) % controllers.length]?.abort()
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['LOCK_ABORTED']))
    held.release()
    expect(table.inspect().slots).toEqual([])
  })
})

describe('between processes', () => {
  test.each([['exclusive', 'exclusive'], ['exclusive', 'shared']] as const)('the tasks of one (%s) hand over at most 16 times while another waits (%s)', async (mine, theirs: LockMode) => {
    const [table, other] = await pair()
    const held = await table.lock('a', { mode: mine })
    let served = 0
    let servedBefore = -1
    const waiting = other.lock('a', { mode: theirs }).then(guard => {
      servedBefore = served
      guard.release()
    })
    await until(() => waiterCount(table) === 1)
    const tasks = Array.from({ length: 100 }, async () => {
      const guard = await table.lock('a', { mode: mine })
      served++
      guard.release()
    })
    held.release()
    await waiting
    await Promise.all(tasks)
    expect(servedBefore).toBeGreaterThanOrEqual(0)
    expect(servedBefore).toBeLessThanOrEqual(17)
  })
})
