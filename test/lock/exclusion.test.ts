/** The same scenarios with both holders in one opening, in two openings of one process, and in two processes. */
import { describe, expect, test } from 'vitest'
import type { LockMode, LockTable, TableGuard } from '../../src/index.js'
import { Peer, open, until } from './support.js'

const MATRIX: readonly (readonly [LockMode, LockMode, boolean])[] = [
  ['exclusive', 'exclusive', false], ['exclusive', 'shared', false], ['shared', 'exclusive', false], ['shared', 'shared', true],
]

describe.each(['one opening', 'two openings'])('%s', where => {
  async function two(): Promise<[LockTable, LockTable]> {
    const first = await open()
    return [first, where === 'one opening' ? first : await open(first.path)]
  }

  test.each(MATRIX)('%s then %s: together %s', async (firstMode, secondMode, together) => {
    const [first, second] = await two()
    const held = first.tryLock('a', { mode: firstMode })
    expect(held?.isHeld).toBe(true)
    expect(second.tryLock('a', { mode: secondMode }) !== undefined).toBe(together)
    expect(second.tryLock('another name')).toBeDefined()
  })

  test.each(MATRIX)('waiting: %s then %s', async (firstMode, secondMode, together) => {
    const [first, second] = await two()
    const held = await first.lock('a', { mode: firstMode })
    let granted = false
    const wait = second.lock('a', { mode: secondMode }).then(guard => {
      granted = true
      return guard
    })
    if (!together && second !== first) await until(() => first.inspectName('a').waiters.length === 1) // within an opening it waits in the process's own queue
    for (const mode of ['exclusive', 'shared'] as const) (await second.lock('b', { mode })).release() // what came later was granted
    expect(granted).toBe(together)
    expect(held.release()).toBe(true)
    expect((await wait).isHeld).toBe(true)
  })

  test('order of service: shared ones wait behind an exclusive one that came first', async () => {
    const [first, second] = await two()
    const order: string[] = []
    const held = await first.lock('a', { mode: 'shared' })
    const run = async (label: string, mode: LockMode): Promise<void> => {
      const guard = await second.lock('a', { mode })
      order.push(label)
      await new Promise(setImmediate)
      guard.release()
    }
    const all = [run('x1', 'exclusive'), run('s1', 'shared'), run('s2', 'shared'), run('x2', 'exclusive')]
    held.release()
    await Promise.all(all)
    expect(order).toEqual(['x1', 's1', 's2', 'x2'])
  })

  test('a thousand tasks count under the lock', async () => {
    const tables = await two()
    let inside = 0
    let count = 0
    await Promise.all(Array.from({ length: 1000 }, async (_, i) => {
      const guard = await (tables[i % 2] as LockTable).lock('a')
      expect(++inside).toBe(1)
      const before = count
      if (i % 7 === 0) await new Promise(setImmediate)
      count = before + 1
      inside--
      guard.release()
    }))
    expect(count).toBe(1000)
  })
})

describe('two processes', () => {
  test.each(MATRIX)('%s then %s: together %s', async (firstMode, secondMode, together) => {
    const table = await open()
    const peer = await Peer.start(table.path)
    expect(await peer.ask({ verb: 'lock', mode: firstMode })).toBe('held')
    expect(table.tryLock('a', { mode: secondMode }) !== undefined).toBe(together)
  })

  test.each(['lock', 'sync'] as const)('%s waits for the other process', async verb => {
    const table = await open()
    const peer = await Peer.start(table.path)
    const held = await table.lock('a')
    peer.tell({ verb })
    await waitedFor(table)
    held.release()
    expect(await peer.answer()).toBe('held')
    const again = table.lock('a')
    await peer.ask({ verb: 'release' })
    expect((await again).isHeld).toBe(true)
  })

  test('readers and writers of three processes all get their turn', async () => {
    const table = await open()
    const peers = await Promise.all([Peer.start(table.path), Peer.start(table.path)])
    for (let round = 0; round < 30; round++) {
      const mode = round % 3 === 0 ? 'shared' : 'exclusive'
      const guards: Promise<TableGuard> = table.lock('a', { mode })
      const answers = peers.map(peer => peer.ask({ verb: 'lock', mode: round % 2 ? 'shared' : 'exclusive' }))
      const mine = guards.then(guard => guard.release())
      await Promise.all([mine, ...answers.map(async (answer, i) => {
        expect(await answer).toBe('held')
        expect(await peers[i]?.ask({ verb: 'release' })).toBe('true')
      })])
    }
  })
})

/** Somebody else is registered as a waiter. */
async function waitedFor(table: LockTable): Promise<void> {
  while (!table.inspect().slots.some(slot => slot.waiters.length > 0)) await new Promise(setImmediate)
}
