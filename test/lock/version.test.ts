/** Versions: fencing tokens that only rise, and a way to see changes without locking that never hides one. */
import { describe, expect, test } from 'vitest'
import type { LockTable } from '../../src/index.js'
import { LIFE, PARTICIPANT, SLOT, participantWord } from '../../src/lock/layout.js'
import { Peer, open } from './support.js'

async function pair(): Promise<[LockTable, LockTable]> {
  const table = await open()
  return [table, await open(table.path)]
}

describe('a cache that was filled', () => {
  test.each(['another opening', 'the same opening'])('while %s was inside is not taken for good afterwards', async who => {
    const [table, other] = await pair()
    const reader = table.handle('a')
    const writer = await (who === 'another opening' ? other : table).lock('a')
    const cached = reader.version // what the writer has half done is read now
    expect(reader.changedSince(cached)).toBe(true)
    writer.release() // having finished it
    expect(reader.changedSince(cached)).toBe(true)
  })

  test('while a dead writer’s hold stood is not taken for good after the repair', async () => {
    const [table, other] = await pair()
    await other.lock('a')
    await other.close()
    const handle = table.handle('a')
    const cached = handle.version
    ;(await table.lock('a')).release()
    expect(handle.changedSince(cached)).toBe(true)
  })

  test('under a shared lock stays good until the next exclusive one', async () => {
    const [table, other] = await pair()
    const guard = await table.lock('a', { mode: 'shared' })
    const cached = guard.version
    guard.release()
    const handle = table.handle('a')
    expect(handle.changedSince(cached)).toBe(false)
    ;(await other.lock('a', { mode: 'shared' })).release()
    expect(other.tryLock('b')?.release()).toBe(true)
    expect(handle.changedSince(cached)).toBe(false)
    expect(handle.version).toBe(cached)
    const writer = await other.lock('a')
    expect(handle.changedSince(cached)).toBe(true)
    writer.release()
    expect(handle.changedSince(cached)).toBe(true)
  })

  test('by the writer under its own lock stays good', async () => {
    const [table, other] = await pair()
    const guard = await table.lock('a')
    const cached = guard.version
    expect(table.handle('a').changedSince(cached)).toBe(false)
    guard.release()
    expect(table.handle('a').changedSince(cached)).toBe(false)
    expect(other.handle('a').changedSince(cached)).toBe(false)
  })

  test('a manifest cached by many is never older than the file', async () => {
    const [table, other] = await pair()
    let file = 0
    let written = 0
    const write = async (from: LockTable): Promise<void> => {
      for (let i = 0; i < 200; i++) {
        const guard = await from.lock('manifest')
        file = -1 // half written
        if (i % 3 === 0) await new Promise(setImmediate)
        file = ++written
        guard.release()
        if (i % 5 === 0) await new Promise(setImmediate)
      }
    }
    const read = async (from: LockTable): Promise<void> => {
      const handle = from.handle('manifest')
      let cache = { data: -2, version: -1n }
      while (written < 400) {
        if (handle.changedSince(cache.version)) cache = { version: handle.version, data: file } // in this order, without a lock
        else expect(cache.data).toBe(file)
        await new Promise(setImmediate)
      }
    }
    await Promise.all([write(table), write(other), read(table), read(other)])
  })
})

describe('fencing tokens', () => {
  test('rise with every exclusive hold, whoever takes it and however', async () => {
    const [table, other] = await pair()
    const peer = await Peer.start(table.path)
    const tokens: bigint[] = []
    const note = (version: bigint | undefined): void => {
      tokens.push(version ?? -1n)
    }
    for (let i = 0; i < 5; i++) {
      const guard = await (i % 2 ? table : other).lock('a')
      note(guard.version)
      const queued = table.lock('a') // handed over within the process, or between two
      guard.release()
      const next = await queued
      note(next.version)
      next.downgrade()
      expect(next.upgrade()).toBe(true)
      note(next.version)
      next.release()
      await peer.ask({ verb: 'lock' })
      await peer.ask({ verb: 'release' })
    }
    expect(tokens).toEqual([...tokens].sort((a, b) => (a < b ? -1 : 1)))
    expect(new Set(tokens).size).toBe(tokens.length)
  })

  test.each([
    ['2^32', 0, -1, 1n << 32n],
    ['2^31', 0, 0x7fffffff, 1n << 31n],
    ['2^63', 0x7fffffff, -1, 1n << 63n],
  ])('pass %s', async (_what, high, low, expected) => {
    const table = await open()
    const handle = table.handle('a')
    const { words } = table.session.region
    words[handle.slot + SLOT.VERSION_HIGH] = high
    words[handle.slot + SLOT.VERSION_LOW] = low
    const before = handle.version
    const guard = await handle.lock()
    expect(guard.version).toBe(expected)
    expect(handle.changedSince(before)).toBe(true)
    expect(handle.changedSince(guard.version)).toBe(false)
    expect(guard.release()).toBe(true)
  })

  test('of two tables differ by the epoch', async () => {
    expect((await open()).epoch).not.toBe((await open()).epoch)
  })
})

describe('generations', () => {
  test.each([[0, 1], [1, 2], [0x7ffe, 0x7fff], [0x7fff, 0x8000], [0xfffe, 0xffff], [0xffff, 1]])('after %i comes %i, and locks work', async (last, next) => {
    const table = await open()
    const { words } = table.session.region
    Atomics.store(words, participantWord(2) + PARTICIPANT.LIFE, (last << 16) | LIFE.FREE)
    const other = await open(table.path)
    expect(other.participantNumber).toBe(2)
    expect(other.inspect().participants.find(({ number }) => number === 2)?.generation).toBe(next)
    const guard = await other.lock('a')
    expect([guard.isHeld, table.tryLock('a')]).toEqual([true, undefined])
    const waiting = table.lock('a')
    expect(guard.release()).toBe(true)
    const mine = await waiting
    const back = other.lock('a')
    mine.release()
    expect((await back).isHeld).toBe(true)
    expect(table.evict(2)).toBe(true)
    expect((await table.lock('a')).abandoned?.pid).toBe(process.pid)
  })
})
