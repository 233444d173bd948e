/** The public objects: arguments, waiting and giving up, versions, closing. */
import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import type * as Package from '../../src/index.js'
import { LockAbortedError, LockTable, LockTimeoutError } from '../../src/index.js'
import { SLOT } from '../../src/lock/layout.js'
import { Peer, codeOf, open, temporaryTable } from './support.js'

const ONE_SLOT = { spaces: [{ name: 'default', slots: 1 }] }

describe('wrong arguments name themselves', () => {
  const rows: readonly (readonly [string, (table: LockTable) => unknown, RegExp])[] = [
    ['a name that is a number', table => table.lock(7 as never), /^TypeError: name/],
    ['a name that is too long', table => table.lock('x'.repeat(1025)), /^RangeError: name/],
    ['a misspelt option', table => table.lock('a', { timeout: 5 } as never), /^TypeError: options has no option "timeout"/],
    ['an option of lock for tryLock', table => table.tryLock('a', { timeoutMs: 5 } as never), /^TypeError: options has no option "timeoutMs"/],
    ['a mode', table => table.lock('a', { mode: 'both' as never }), /^RangeError: options.mode/],
    ['NaN milliseconds', table => table.lock('a', { timeoutMs: NaN }), /^RangeError: options.timeoutMs/],
    ['negative milliseconds', table => table.lock('a', { timeoutMs: -1 }), /^RangeError: options.timeoutMs/],
    ['too many milliseconds', table => table.lock('a', { timeoutMs: 2 ** 31 }), /^RangeError: options.timeoutMs/],
    ['milliseconds as text', table => table.lock('a', { timeoutMs: '5' as never }), /^TypeError: options.timeoutMs/],
    ['a signal', table => table.lock('a', { signal: {} as never }), /^TypeError: options.signal/],
    ['guards', table => table.lock('a', { holding: [{}] as never }), /^TypeError: options.holding/],
    ['options', table => table.lock('a', 5 as never), /^TypeError: options/],
    ['a space', table => table.space('none'), /^RangeError: .*no space "none"/],
    ['names', table => table.lockAll('a' as never), /^TypeError: names/],
    ['a version', table => table.handle('a').changedSince(1 as never), /^TypeError: version/],
    ['an open option', () => LockTable.open('/dev/shm/x', { slots: 5 } as never), /^TypeError: options has no option "slots"/],
    ['no spaces', () => LockTable.open('/dev/shm/x', { spaces: [] }), /^RangeError: options.spaces/],
    ['spaces of one name', () => LockTable.open('/dev/shm/x', { spaces: ['a', 'a'] }), /^RangeError: options.spaces/],
    ['slots', () => LockTable.open('/dev/shm/x', { spaces: [{ name: 'a', slots: 0 }] }), /^RangeError: options.spaces\[0\].slots/],
    ['an empty path', () => LockTable.open(''), /^RangeError: path/],
  ]
  test.each(rows)('%s', async (_what, action, message) => {
    const table = await open()
    expect(await codeOf(() => action(table))).toMatch(message)
    expect(table.inspect().slots).toEqual([])
  })
})

describe('giving up', () => {
  test('a time-out: who holds it, how long it was', async () => {
    const table = await open()
    const guard = await table.lock('a')
    const error = await table.lock('a', { timeoutMs: 5 }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(LockTimeoutError)
    expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', holderPids: [process.pid] })
    expect((error as LockTimeoutError).waitedMs).toBeGreaterThanOrEqual(5)
    expect(await codeOf(() => table.lock('a', { timeoutMs: 0 }))).toBe('LOCK_TIMEOUT')
    guard.release()
    expect(await codeOf(async () => (await table.lock('a', { timeoutMs: 0 })).release())).toBe('no error')
    expect(table.inspect().slots).toEqual([])
  })

  test('abort: before, while waiting, after', async () => {
    const table = await open()
    expect(await codeOf(() => table.lock('a', { signal: AbortSignal.abort() }))).toBe('LOCK_ABORTED')
    const controller = new AbortController()
    const guard = await table.lock('a', { signal: controller.signal })
    const waiting = table.lock('a', { signal: controller.signal })
    controller.abort('because')
    const error = await waiting.catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(LockAbortedError)
    expect((error as LockAbortedError).cause).toBe('because')
    expect(guard.isHeld).toBe(true)
    guard.release()
    expect(table.tryLock('a')).toBeDefined()
  })

  test('whoever gives up in another process’s queue passes the wake-up on', async () => {
    const table = await open()
    const [first, second] = [await open(table.path), await open(table.path)]
    for (let round = 0; round < 50; round++) {
      const held = await table.lock('a')
      const controller = new AbortController()
      const gone = first.lock('a', { signal: controller.signal }).catch(() => undefined)
      const stays = second.lock('a')
      held.release()
      controller.abort()
      const [maybe, guard] = [await gone, stays]
      maybe?.release()
      expect((await guard).release()).toBe(true)
    }
    expect(table.inspect().slots).toEqual([])
  })

  test('a timed-out exclusive waiter lets readers in again', async () => {
    const table = await open()
    const other = await open(table.path)
    const reader = await table.lock('a', { mode: 'shared' })
    expect(await codeOf(() => other.lock('a', { timeoutMs: 5 }))).toBe('LOCK_TIMEOUT')
    expect(table.tryLock('a', { mode: 'shared' })).toBeDefined()
    expect((await open(table.path)).tryLock('a', { mode: 'shared' })).toBeDefined()
    expect(reader.isHeld).toBe(true)
  })
})

describe('closing', () => {
  test('waiting requests, later calls, twice', async () => {
    const table = await open()
    const other = await open(table.path)
    const held = await other.lock('a')
    const waiting = codeOf(() => table.lock('a'))
    await Promise.all([table.close(), table.close()])
    expect(await waiting).toBe('TABLE_CLOSED')
    for (const action of [() => table.lock('a'), () => table.tryLock('a'), () => table.lockSync('a'), () => table.inspect(), () => table.query(),
      () => table.evict(1), () => table.handle('a').version, () => table.lockAll(['a'])]) {
      expect(await codeOf(action)).toBe('TABLE_CLOSED')
    }
    expect(held.isHeld).toBe(true)
    expect(other.inspect().slots[0]?.waiters).toEqual([])
  })

  test('a process with an open table ends by itself; one that waits does not', () => {
    const script = `
      import { LockTable } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)}
      const table = await LockTable.open(${JSON.stringify(temporaryTable())})
      const other = await LockTable.open(table.path)
      const guard = await table.lock('a')
      other.lock('a').then(() => console.log('granted'))
      setTimeout(() => guard.release(), 50).unref() // goes off only if the wait keeps the process until then`
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })).toBe('granted\n')
  })

  test('two copies of the package in one process', async () => {
    const path = temporaryTable()
    const first = await open(path)
    const copy = await import('../../dist/index.js') as unknown as typeof Package
    const second = await copy.LockTable.open(path)
    const guard = await first.lock('a')
    expect(second.tryLock('a')).toBeUndefined()
    const next = second.lock('a')
    guard.release()
    expect((await next).isHeld).toBe(true)
    await second.close()
  })
})

describe('guards', () => {
  test('release once', async () => {
    const table = await open()
    const guard = await table.lock('a')
    expect([guard.release(), guard.release(), guard.isHeld]).toEqual([true, false, false])
    const again = await table.lock('a')
    guard.release()
    expect(again.isHeld).toBe(true)
    again[Symbol.dispose]()
    expect(again.isHeld).toBe(false)
  })

  test('upgrade: only alone', async () => {
    const table = await open()
    const other = await open(table.path)
    const [mine, theirs] = [await table.lock('a', { mode: 'shared' }), await other.lock('a', { mode: 'shared' })]
    expect(mine.upgrade()).toBe(false)
    expect([mine.mode, mine.isHeld]).toEqual(['shared', true])
    theirs.release()
    const local = await table.lock('a', { mode: 'shared' })
    expect(mine.upgrade()).toBe(false)
    local.release()
    expect(mine.upgrade()).toBe(true)
    expect(mine.mode).toBe('exclusive')
    expect(other.tryLock('a', { mode: 'shared' })).toBeUndefined()
    mine.release()
    expect(other.tryLock('a')).toBeDefined()
  })

  test('downgrade: readers come in, writers do not', async () => {
    const table = await open()
    const other = await open(table.path)
    const guard = await table.lock('a')
    const reader = other.lock('a', { mode: 'shared' })
    guard.downgrade()
    expect((await reader).isHeld).toBe(true)
    expect(other.tryLock('a')).toBeUndefined()
    expect(guard.release()).toBe(true)
  })

  test('versions: rise with every exclusive hold, in 64 bits', async () => {
    const table = await open(undefined, ONE_SLOT)
    const handle = table.handle('a')
    const before = handle.version
    const guard = await handle.lock()
    expect(guard.version).toBe(before + 1n)
    expect(handle.changedSince(guard.version)).toBe(false)
    expect(table.handle('a').changedSince(before)).toBe(true)
    const other = await open(table.path)
    expect(other.handle('a').changedSince(guard.version)).toBe(false) // it stands for what this hold leaves behind
    expect(other.handle('a').changedSince(other.handle('a').version)).toBe(true) // and this for what was there before
    guard.release()
    expect(other.handle('a').changedSince(guard.version)).toBe(false)
    ;(await other.lock('a', { mode: 'shared' })).release()
    expect(handle.changedSince(guard.version)).toBe(false)
    const words = table.session.region.words
    words[handle.slot + SLOT.VERSION_LOW] = -1
    const wrapped = await handle.lock()
    expect(wrapped.version).toBe(1n << 32n)
    expect(handle.changedSince(0xffffffffn)).toBe(true)
  })

  test('holding: what can never be granted is refused, so is what is out of order', async () => {
    const table = await open(undefined, { spaces: [{ name: 'group', slots: 1 }, { name: 'snapshot', slots: 1 }] })
    const group = await table.space('group').lock('a')
    expect(await codeOf(() => table.space('group').lock('b', { holding: [group] }))).toBe('LOCK_DEADLOCK')
    const snapshot = await table.space('snapshot').lock('b', { holding: [group] })
    group.release()
    expect(await codeOf(() => table.space('group').lock('a', { holding: [snapshot] }))).toBe('LOCK_ORDER')
    expect(await codeOf(() => table.space('group').lock('a', { holding: [group] }))).toBe('no error')
    expect(await codeOf(() => table.space('snapshot').lockSync('c'))).toBe('LOCK_DEADLOCK')
  })

  test('lockAll: one slot once, all or nothing', async () => {
    const table = await open(undefined, { spaces: [{ name: 'group', slots: 1 }, { name: 'snapshot', slots: 64 }] })
    const other = await open(table.path)
    const set = await table.lockAll([{ name: 'x', space: 'snapshot' }, 'a', 'b', { name: 'x', space: 'snapshot', mode: 'shared' }])
    expect(set.guards.map(guard => [guard.handle.space.name, guard.mode])).toEqual([['group', 'exclusive'], ['snapshot', 'exclusive']])
    expect(await codeOf(() => other.lockAll(['a', { name: 'y', space: 'snapshot' }], { timeoutMs: 5 }))).toBe('LOCK_TIMEOUT')
    expect(set.isHeld).toBe(true)
    expect(set.release()).toBe(true)
    const blocked = await other.space('snapshot').lock('x')
    expect(await codeOf(() => table.lockAll(['a', { name: 'x', space: 'snapshot' }], { timeoutMs: 5 }))).toBe('LOCK_TIMEOUT')
    expect(table.tryLock('a')).toBeDefined()
    blocked.release()
  })
})

describe('looking', () => {
  test('holders, waiters, names, a deadlock of two processes', async () => {
    const table = await open()
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock', name: 'left' })
    await table.lock('right')
    peer.tell({ verb: 'lock', name: 'right' })
    const waiting = table.lock('left', { timeoutMs: 2000 }).catch(() => undefined)
    while (table.inspect().cycles.length === 0) await new Promise(setImmediate)
    const report = table.inspect()
    expect(report.slots.map(slot => slot.name).sort()).toEqual(['left', 'right'])
    const left = report.slots.find(slot => slot.name === 'left')
    expect(left?.holders).toMatchObject([{ pid: peer.pid, mode: 'exclusive', state: 'live' }])
    expect(left?.waiters).toMatchObject([{ pid: process.pid, mode: 'exclusive' }])
    expect(report.cycles).toEqual([[table.participantNumber, 3 - table.participantNumber]])
    await peer.kill()
    await waiting
  })

  test('names: strings and bytes differ, lone surrogates differ', async () => {
    const table = await open()
    const names = ['a', 'é', '\ud800', '\ud801', '', 'x'.repeat(1024)]
    for (const name of names) expect(table.tryLock(name), name).toBeDefined()
    expect(table.tryLock(Buffer.from('a'))).toBeDefined()
    expect(table.tryLock('a')).toBeUndefined()
    expect(table.inspectName('x'.repeat(1024))).toMatchObject({ nameIsCut: true, name: 'x'.repeat(64) })
    expect(table.inspectName(Buffer.from('a')).name).toBe('0x61')
  })
})
