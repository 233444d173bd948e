/** Whoever dies, and however: the lock goes on, with a notice, once, to the right name. */
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { type LockError, LockTable } from '../../src/index.js'
import { Peer, codeOf, open, until } from './support.js'

const ONE_SLOT = { spaces: [{ name: 'default', slots: 1 }] }

describe('a holder dies', () => {
  test.each(['SIGKILL', 'exit', 'throw'] as const)('%s: the next is told who it was', async how => {
    const table = await open()
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock' })
    const next = table.lock('a')
    if (how === 'SIGKILL') await peer.kill()
    else peer.tell({ verb: how })
    const guard = await next
    expect(guard.abandoned?.pid).toBe(peer.pid)
    expect(guard.abandoned?.foundAt).toBeInstanceOf(Date)
    guard.release()
    expect((await table.lock('a')).abandoned).toBeUndefined()
  })

  test('nobody waited: whoever comes later finds out', async () => {
    const table = await open()
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock' })
    await peer.kill()
    expect((await table.lock('a')).abandoned?.pid).toBe(peer.pid)
  })

  test('a terminated worker thread', async () => {
    const table = await open()
    const worker = new Worker(
      `import(${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)}).then(async ({ LockTable }) => {
         const table = await LockTable.open(${JSON.stringify(table.path)})
         globalThis.guard = await table.lock('a')
         setInterval(() => {}, 1000) // an open table alone does not keep a thread alive: it would be gone before we look
         require('node:worker_threads').parentPort.postMessage('held')
       })`, { eval: true })
    await new Promise(resolve => worker.once('message', resolve))
    expect(table.tryLock('a')).toBeUndefined()
    const next = table.lock('a')
    await worker.terminate()
    expect((await next).abandoned?.pid).toBe(process.pid)
  })

  test('close with a hold counts as a death', async () => {
    const table = await open()
    const other = await LockTable.open(table.path)
    const guard = await other.lock('a')
    await other.close()
    expect(guard.isHeld).toBe(false)
    expect(guard.release()).toBe(false)
    expect((await table.lock('a')).abandoned?.pid).toBe(process.pid)
  })

  test('a shared holder dies silently, a waiter gets on', async () => {
    const table = await open()
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock', mode: 'shared' })
    const next = table.lock('a')
    await peer.kill()
    expect((await next).abandoned).toBeUndefined()
  })

  test('a waiter dies: nobody is held up', async () => {
    const table = await open()
    const [first, second] = await Promise.all([Peer.start(table.path), Peer.start(table.path)])
    const held = await table.lock('a')
    first.tell({ verb: 'lock' })
    second.tell({ verb: 'lock' })
    await until(() => table.inspect().slots[0]?.waiters.length === 2)
    await first.kill()
    held.release()
    expect(await second.answer()).toBe('held')
  })

  test('a stopped process delays nobody else’s recovery', async () => {
    const table = await open()
    const peers = await Promise.all([Peer.start(table.path), Peer.start(table.path), Peer.start(table.path)])
    await peers[1].ask({ verb: 'lock' })
    peers[0].process.kill('SIGSTOP')
    peers[2].process.kill('SIGSTOP')
    const next = table.lock('a')
    await peers[1].kill()
    expect((await next).abandoned?.pid).toBe(peers[1].pid)
  })
})

describe('the notice', () => {
  test('shared holders see it and leave it; the first exclusive one takes it', async () => {
    const table = await open()
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock' })
    await peer.kill()
    for (let i = 0; i < 3; i++) {
      const guard = await table.lock('a', { mode: 'shared' })
      expect(guard.abandoned?.pid).toBe(peer.pid)
      guard.release()
    }
    const guard = await table.lock('a')
    expect(guard.abandoned?.pid).toBe(peer.pid)
    guard.release()
    expect((await table.lock('a', { mode: 'shared' })).abandoned).toBeUndefined()
  })

  test('names that collide do not use up each other’s', async () => {
    const table = await open(undefined, ONE_SLOT)
    const names = ['a', 'b', 'c', 'd']
    const pids: number[] = []
    for (const name of names) {
      const peer = await Peer.start(table.path)
      await peer.ask({ verb: 'lock', name })
      await peer.kill()
      pids.push(peer.pid)
      const other = await table.lock('e')
      expect(other.abandoned).toBeUndefined()
      other.release()
    }
    for (const [i, name] of [...names.entries()].reverse()) {
      const guard = await table.lock(name)
      expect(guard.abandoned?.pid).toBe(pids[i])
      guard.release()
      const again = await table.lock(name)
      expect(again.abandoned).toBeUndefined()
      again.release()
    }
  })

  test('more abandoned names than a slot has records for: the others are told that it may be them', async () => {
    const table = await open(undefined, ONE_SLOT)
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const other = await LockTable.open(table.path)
      await other.lock(name)
      await other.close()
    }
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const guard = await table.lock(name)
      expect(guard.abandoned).toBeDefined()
      guard.release()
    }
    expect((await table.lock('e')).abandoned).toEqual({ pid: undefined, foundAt: undefined })
  })

  test('lockAll: every name of a shared slot', async () => {
    const table = await open(undefined, ONE_SLOT)
    const other = await LockTable.open(table.path)
    await other.lockAll(['a', 'b'])
    await other.close()
    const set = await table.lockAll(['b', 'a', 'c'])
    expect([...set.abandoned.keys()].sort()).toEqual(['a', 'b'])
    expect(set.release()).toBe(true)
    const again = await table.lockAll(['a', 'b', 'c'])
    expect(again.abandoned.size).toBe(0)
  })
})

test('a lockAll that fails takes no notice with it', async () => {
  const table = await open(undefined, { spaces: [{ name: 'first', slots: 1 }, { name: 'second', slots: 1 }] })
  const other = await LockTable.open(table.path)
  await other.lockAll(['a', 'b'])
  await other.close()
  const held = await (await open(table.path)).space('second').lock('x')
  await expect(table.lockAll(['c', 'a', 'b', { name: 'y', space: 'second' }], { timeoutMs: 5 })).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' })
  held.release()
  const set = await table.lockAll(['b', 'a', 'c'])
  expect([...set.abandoned].map(([name, notice]) => [name, notice.pid]).sort()).toEqual([['a', process.pid], ['b', process.pid]])
})

describe('a blocked caller is told, although others of its process are served before it goes on', () => {
  test('behind it in the queue of the same slot', async () => {
    const table = await open(undefined, ONE_SLOT)
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock' })
    const other = table.lock('b', { mode: 'shared' })
    peer.process.kill('SIGKILL')
    expect(table.lockSync('a', { mode: 'shared' }).abandoned?.pid).toBe(peer.pid)
    expect((await other).abandoned).toBeUndefined()
  })

  test('in another slot', async () => {
    const table = await open()
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock' })
    await peer.ask({ verb: 'lock', name: 'b', mode: 'shared' })
    const other = table.lock('b')
    peer.process.kill('SIGKILL')
    expect(table.lockSync('a').abandoned?.pid).toBe(peer.pid)
    expect((await other).abandoned).toBeUndefined()
  })
})

test('a ring while a caller blocks is passed on to the tasks of its process, at once or by the event loop', async () => {
  const table = await open()
  const peer = await Peer.start(table.path)
  for (const name of ['a', 'b']) await peer.ask({ verb: 'lock', name })
  const other = table.lock('b')
  peer.process.kill('SIGKILL')
  let isServed = false
  void other.then(() => {
    isServed = true
  })
  table.lockSync('a')
  await until(() => isServed)
})

test('a theft while a caller blocks is told to the guard, at once or by the event loop', async () => {
  const table = await open()
  const [holder, thief] = [await Peer.start(table.path), await Peer.start(table.path)]
  const { signal } = table.lockSync('b')
  await holder.ask({ verb: 'lock', name: 'a' })
  holder.tell({ verb: 'sync', name: 'b' }) // blocked until the thief has been there
  holder.tell({ verb: 'release', name: 'a' })
  const stolen = thief.ask({ verb: 'steal', name: 'b' })
  expect(table.lockSync('a').isHeld).toBe(true)
  await until(() => signal.aborted)
  expect(await stolen).toBe('stolen')
})

test('a request of the Web Locks face is told, too', async () => {
  const table = await open()
  const peer = await Peer.start(table.path)
  await peer.ask({ verb: 'lock' })
  await peer.kill()
  expect(await table.request('a', lock => lock?.abandoned?.pid)).toBe(peer.pid)
})

describe('a time-out is not for who is gone', () => {
  test.each([['exclusive', 'exclusive'], ['exclusive', 'shared'], ['shared', 'exclusive']] as const)('held %s, wanted %s', async (held, mode) => {
    const table = await open(undefined, ONE_SLOT)
    for (const take of [() => table.lock('a', { mode, timeoutMs: 0 }), () => Promise.resolve(table.lockSync('a', { mode, timeoutMs: 0 }))]) {
      const peer = await Peer.start(table.path)
      await peer.ask({ verb: 'lock', mode: held })
      expect(await codeOf(take)).toBe('LOCK_TIMEOUT')
      await peer.kill() // its files are closed by now; whether a sentinel has noticed is not our business
      const guard = await take()
      expect(guard.abandoned?.pid).toBe(held === 'exclusive' ? peer.pid : undefined)
      guard.release()
      if (mode === 'shared') (await table.lock('a')).release() // takes the notice
    }
  })

  test('of a wait that has a time-out', async () => {
    const table = await open(undefined, ONE_SLOT)
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock' })
    const wait = table.lock('a', { timeoutMs: 1 })
    const end = Promise.allSettled([wait])
    peer.process.kill('SIGKILL')
    await peer.exited
    const [result] = await end
    if (result.status === 'rejected') expect((result.reason as LockError).code).toBe('LOCK_TIMEOUT') // it was still dying
    expect((await table.lock('a', { timeoutMs: 0 })).isHeld).toBe(true)
  })
})

describe('numbers', () => {
  test('127 participants, not 128; a crashed number is scrubbed and used again', async () => {
    const table = await open(undefined, ONE_SLOT)
    const tables: LockTable[] = []
    for (let i = 2; i <= 127; i++) tables.push(await LockTable.open(table.path, { watch: false }))
    expect(await codeOf(() => LockTable.open(table.path))).toBe('TABLE_FULL')
    const reader = tables[60]
    await reader?.lock('a', { mode: 'shared' })
    await reader?.close()
    const writerNumber = tables[61]?.participantNumber
    const shared = table.tryLock('a', { mode: 'shared' })
    expect(shared).toBeDefined()
    const waiting = tables[61]?.lock('a')
    waiting?.catch(() => undefined)
    await until(() => table.inspect().slots[0]?.waiters.some(waiter => waiter.participant === writerNumber) === true)
    await tables[61]?.close()
    shared?.release()
    const reused = await open(table.path)
    expect(reused.inspect().slots).toEqual([])
    const guard = await reused.lock('a')
    expect(guard.isHeld).toBe(true)
    for (const opened of tables) await opened.close()
  })
})

describe('eviction', () => {
  test('the loser is told, and its lock goes on', async () => {
    const table = await open()
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock' })
    const heard = peer.ask({ verb: 'evicted' })
    const number = table.inspect().participants.find(participant => participant.pid === peer.pid)?.number ?? 0
    const next = table.lock('a')
    expect(table.evict(number)).toBe(true)
    expect(table.evict(number)).toBe(false)
    expect((await next).abandoned?.pid).toBe(peer.pid)
    expect(await heard).toBe('LOCK_LOST')
    expect(await peer.ask({ verb: 'lock', name: 'b' })).toBe('LOCK_LOST')
    expect(await peer.ask({ verb: 'release' })).toBe('false')
  })

  test('oneself', async () => {
    const table = await open()
    const guard = await table.lock('a')
    table.evict(table.participantNumber)
    expect(guard.isHeld).toBe(false)
    expect(await codeOf(() => table.tryLock('b'))).toBe('LOCK_LOST')
  })

  test.each([0, 128, -1, 1.5])('%s is no participant number', async number => {
    const table = await open()
    expect(() => table.evict(number)).toThrow(RangeError)
  })
})
