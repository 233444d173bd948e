/** What the table shows of itself: who waits for whom, and when that is a deadlock. Openings of one process stand for processes. */
import { describe, expect, test } from 'vitest'
import type { LockTable } from '../../src/index.js'
import { open, until } from './support.js'

async function openings(count: number, options = {}): Promise<LockTable[]> {
  const first = await open(undefined, options)
  const tables = [first]
  while (tables.length < count) tables.push(await open(first.path, { watch: false }))
  return tables
}

const NAMES = Array.from({ length: 24 }, (_, i) => `name ${i}`)

describe('deadlocks', () => {
  test.each([2, 3, 9, 20])('a ring of %i is found, once', async count => {
    const tables = await openings(count)
    for (const [i, table] of tables.entries()) await table.lock(NAMES[i] ?? '')
    for (const [i, table] of tables.entries()) table.lock(NAMES[(i + 1) % count] ?? '').catch(() => undefined)
    const report = tables[0]?.inspect()
    expect(report?.waitsFor).toHaveLength(count)
    expect(report?.cycles).toHaveLength(1)
    expect([...report?.cycles[0] ?? []].sort((a, b) => a - b)).toEqual(tables.map(table => table.participantNumber))
  })

  test('a chain is none', async () => {
    const tables = await openings(5)
    for (const [i, table] of tables.entries()) await table.lock(NAMES[i] ?? '')
    for (const [i, table] of tables.slice(1).entries()) table.lock(NAMES[i] ?? '').catch(() => undefined)
    expect(tables[0]?.inspect()).toMatchObject({ cycles: [], waitsFor: { length: 4 } })
  })

  test('many readers that wait for each other crosswise: found without looking at every way round', async () => {
    const tables = await openings(60)
    for (const [i, table] of tables.entries()) await table.lock(i % 2 ? 'odd' : 'even', { mode: 'shared' })
    for (const [i, table] of tables.entries()) table.lock(i % 2 ? 'even' : 'odd').catch(() => undefined)
    const { cycles } = tables[0]?.inspect() ?? { cycles: [] }
    expect(cycles.length).toBeGreaterThan(0)
    expect(cycles.length).toBeLessThanOrEqual(60)
  })

  test('readers of two processes behind a writer of a third: none', async () => {
    const [first, second, third] = await openings(3) as [LockTable, LockTable, LockTable]
    const readers = [await first.lock('a', { mode: 'shared' }), await second.lock('a', { mode: 'shared' })]
    const writer = third.lock('a')
    await until(() => first.inspect().slots[0]?.waiters.length === 1)
    const later = [first.lock('a', { mode: 'shared' }), second.lock('a', { mode: 'shared' })]
    const report = first.inspect()
    expect(report.slots[0]?.waiters).toHaveLength(3)
    expect(report.cycles).toEqual([])
    for (const reader of readers) reader.release()
    ;(await writer).release()
    await Promise.all(later)
    expect(first.inspect().waitsFor).toEqual([])
  })
})

describe('a slot', () => {
  test('free, held, awaited, abandoned', async () => {
    const [table, other] = await openings(2) as [LockTable, LockTable]
    expect(table.inspectName('vm/100')).toMatchObject({ holders: [], waiters: [], heldMs: undefined, version: 0n, abandonedByPids: [] })
    await other.lock('vm/100')
    const waiting = table.lock('vm/100')
    const report = table.inspectName('vm/100')
    expect(report).toMatchObject({
      space: 'default', name: 'vm/100', nameIsCut: false, version: 1n, contended: 1,
      holders: [{ participant: other.participantNumber, pid: process.pid, mode: 'exclusive', state: 'live' }],
      waiters: [{ participant: table.participantNumber, pid: process.pid, mode: 'exclusive' }],
    })
    expect(report.heldMs).toBeGreaterThanOrEqual(0)
    expect(report.waiters[0]?.waitingMs).toBeGreaterThanOrEqual(0)
    expect(table.inspect().waitsFor).toEqual([[table.participantNumber, other.participantNumber]])
    await other.close()
    const guard = await waiting
    expect(table.inspectName('vm/100').abandonedByPids).toEqual([])
    guard.release()
    expect(table.inspect().slots).toEqual([])
  })

  test('abandoned under another name than the one that was locked since', async () => {
    const [table, other] = await openings(2, { spaces: [{ name: 'default', slots: 1 }] }) as [LockTable, LockTable]
    await other.lock('a')
    await other.close()
    ;(await table.lock('b')).release()
    expect(table.inspect().slots).toMatchObject([{ name: 'b', holders: [], abandonedByPids: [process.pid] }])
  })
})

describe('participants', () => {
  test.each([['worker', 'worker'], ['x'.repeat(40), 'x'.repeat(28)], ['ü'.repeat(20), 'ü'.repeat(14)], ['', '']])('label %j is shown as %j', async (label, shown) => {
    const table = await open(undefined, { label })
    expect(table.inspect().participants).toMatchObject([{ number: 1, generation: 1, state: 'live', pid: process.pid, label: shown, waitingCount: 0 }])
  })

  test('their waits are counted while they last', async () => {
    const [table, other] = await openings(2) as [LockTable, LockTable]
    const held = [await other.lock('a'), await other.lock('b')]
    const waits = [table.lock('a'), table.lock('b'), table.lock('b')]
    const mine = (): unknown => other.inspect().participants.find(({ number }) => number === table.participantNumber)
    expect(mine()).toMatchObject({ waitingCount: 3, counters: { waits: 3 } })
    for (const guard of held) guard.release()
    ;(await waits[1])?.release()
    await Promise.all(waits)
    expect(mine()).toMatchObject({ waitingCount: 0 })
  })
})
