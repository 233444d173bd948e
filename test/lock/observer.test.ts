/** Looking at a table without joining it. */
import { renameSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { LockTable } from '../../src/index.js'
import { Peer, cleanUp, codeOf, open, temporaryDirectory, until } from './support.js'

function observe(path: string): ReturnType<typeof LockTable.observe> {
  const observer = LockTable.observe(path)
  cleanUp(() => {
    observer.close()
  })
  return observer
}

describe('an observer', () => {
  test('needs no place among the participants, sees who has them, and makes room', async () => {
    const table = await open()
    for (let i = 2; i <= 127; i++) await open(table.path, { watch: false })
    expect(await codeOf(() => LockTable.open(table.path))).toBe('TABLE_FULL')
    const guard = await table.lock('a')
    const observer = observe(table.path)
    expect(observer.inspect().participants.filter(({ state }) => state === 'live')).toHaveLength(127)
    expect(observer.inspectName('a').holders).toMatchObject([{ participant: table.participantNumber, pid: process.pid, mode: 'exclusive' }])
    expect(await observer.check({ settleMs: 0 })).toEqual([])
    expect(observer.evict(table.participantNumber)).toBe(true)
    expect(observer.evict(table.participantNumber)).toBe(false)
    expect(guard.isHeld).toBe(false)
    await table.close()
    expect((await (await open(table.path)).lock('a')).abandoned?.pid).toBe(process.pid)
  })

  test('sees the same as a participant', async () => {
    const table = await open(undefined, { spaces: ['group', 'snapshot'] })
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock', name: 'vm/100' })
    const observer = observe(table.path)
    expect(observer.path).toBe(table.path)
    expect(observer.spaces.map(space => space.name)).toEqual(['group', 'snapshot'])
    const { participants, slots, ...rest } = observer.inspect()
    expect(rest).toEqual((({ participants: _p, slots: _s, ...others }) => others)(table.inspect()))
    expect(participants.map(({ pid, state }) => [pid, state])).toEqual([[process.pid, 'live'], [peer.pid, 'live']])
    expect(slots).toMatchObject([{ space: 'group', name: 'vm/100', holders: [{ pid: peer.pid }] }])
    expect(observer.inspectName('vm/100', 'snapshot').holders).toEqual([])
    expect(() => observer.inspectName('vm/100', 'chunk')).toThrow(RangeError)
    await peer.kill()
    await until(() => observer.inspectName('vm/100').holders[0]?.state === 'dead')
  })

  test('does not keep anybody from removing the table, and says that it is gone', async () => {
    const table = await open()
    const observer = observe(table.path)
    await table.close()
    await LockTable.remove(observer.path)
    expect(await codeOf(() => observer.inspect())).toBe('TABLE_GONE')
    expect(await codeOf(() => observer.check())).toBe('TABLE_GONE')
  })

  test('of a replaced table shows nothing', async () => {
    const table = await open()
    const observer = observe(table.path)
    renameSync((await open()).path, table.path)
    expect(await codeOf(() => observer.inspectName('a'))).toBe('TABLE_GONE')
  })

  test('closed, twice: everything is refused', async () => {
    const observer = observe((await open()).path)
    observer.close()
    observer.close()
    expect(await codeOf(() => observer.inspect())).toBe('TABLE_CLOSED')
    expect(await codeOf(() => observer.evict(1))).toBe('TABLE_CLOSED')
    expect(await codeOf(() => observer.check({ settleMs: 0 }))).toBe('TABLE_CLOSED')
  })

  test('wrong arguments, wrong files', async () => {
    const directory = temporaryDirectory()
    expect(await codeOf(() => LockTable.observe(`${directory}/none`))).toBe('TABLE_MISSING')
    writeFileSync(`${directory}/foreign`, 'something else', { mode: 0o600 })
    expect(await codeOf(() => LockTable.observe(`${directory}/foreign`))).toMatch(/^TABLE_/)
    const table = await open()
    expect(() => LockTable.observe(table.path, { label: 'x' } as object)).toThrow(TypeError)
    const observer = observe(table.path)
    expect(() => observer.evict(0)).toThrow(RangeError)
    expect(() => observer.inspectName(1 as unknown as string)).toThrow(TypeError)
    expect(() => observer.inspectName('x'.repeat(1025))).toThrow(RangeError)
    await expect(observer.check({ settle: 1 } as object)).rejects.toThrow(TypeError)
  })
})
