/** Lock files between processes: kill -9, waiting, exits, what the operating system refuses. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LockFiles } from '../../src/lock/flock.js'
import { Child, temporaryDirectory, until } from './flock-support.js'

describe('lock files between processes', () => {
  it('exclude, whoever is killed when, and the counter adds up', async () => {
    using directory = temporaryDirectory()
    const locks = join(directory.path, 'locks')
    const data = join(directory.path, 'data')
    mkdirSync(data)
    const children = [0, 1, 2].map(() => new Child([locks, 'count', 'vm/100']))
    const all = [...children]
    await Promise.all(children.map((child) => child.said('ready')))
    for (let kill = 0; kill < 6; kill++) {
      const victim = children.shift()
      const heard = victim?.lines.length ?? 0
      await until(() => (victim?.lines.length ?? 0) > heard + 5 + kill)
      await victim?.kill()
      if (kill < 3) {
        const child = new Child([locks, 'count', 'vm/100'])
        children.push(child)
        all.push(child)
        await child.said('ready')
      }
    }
    expect(children).toHaveLength(0)
    expect(all.flatMap((child) => child.lines.filter((line) => line.startsWith('violation')))).toEqual([])
    const journal = statSync(join(data, 'journal')).size
    const reported = all.flatMap((child) => child.lines.filter((line) => line === 'counted')).length
    expect(journal - reported).toBeGreaterThanOrEqual(0)
    expect(journal - reported).toBeLessThanOrEqual(all.length)
    const files = await LockFiles.open(locks)
    files.tryLock('vm/100')?.release()
    expect(readdirSync(locks)).toEqual([])
  })

  it('waits for another process, and gets on when that is killed', async () => {
    using directory = temporaryDirectory()
    await using holder = new Child([directory.path, 'hold', 'a'])
    await holder.said('held')
    await using files = await LockFiles.open(directory.path)
    expect(files.tryLock('a')).toBeUndefined()
    expect(files.tryLock('a', { mode: 'shared' })).toBeUndefined()
    await expect(files.lock('a', { timeoutMs: 5 })).rejects.toMatchObject({ code: 'LOCK_TIMEOUT', holderPids: [holder.process.pid] })
    expect(() => files.lockSync('a', { timeoutMs: 5 })).toThrow(expect.objectContaining({ code: 'LOCK_TIMEOUT', holderPids: [holder.process.pid] }))
    const waiting = files.lock('a')
    await holder.kill()
    using guard = await waiting
    expect(guard.isHeld).toBe(true)
  })

  it('shares between processes, and the last one out removes the file', async () => {
    using directory = temporaryDirectory()
    await using holder = new Child([directory.path, 'share', 'a'])
    await holder.said('held')
    await using files = await LockFiles.open(directory.path)
    files.lockSync('a', { mode: 'shared' }).release()
    expect(existsSync(join(directory.path, 'a'))).toBe(true)
    expect(files.tryLock('a')).toBeUndefined()
    const guard = await files.lock('a', { mode: 'shared' })
    await holder.kill()
    guard.release()
    expect(existsSync(join(directory.path, 'a'))).toBe(false)
  })

  it('keeps the event loop alive while it waits, and lets the process exit', async () => {
    using directory = temporaryDirectory()
    await using files = await LockFiles.open(directory.path)
    const guard = await files.lock('a')
    await using waiter = new Child([directory.path, 'wait', 'a'])
    await using leaver = new Child([directory.path, 'exit', 'a'])
    expect(await leaver.exited).toBe(0)
    await waiter.said('waiting')
    guard.release()
    await waiter.said('held')
    expect(await waiter.exited).toBe(0) // it had nothing else to do
  })

  it('says what the system refuses', async () => {
    if (process.getuid?.() !== 0) return // only root can become somebody else
    using directory = temporaryDirectory()
    chmodSync(directory.path, 0o755)
    await using child = new Child([directory.path, 'open', 'a'], { uid: 65534, gid: 65534 })
    expect(await child.exited).toBe(0)
    expect(child.lines).toEqual(['opened', 'TABLE_IO EACCES'])
  })

  it('does not remove the file that others have put in place of its own', async () => {
    using directory = temporaryDirectory()
    await using files = await LockFiles.open(directory.path)
    const guard = await files.lock('a')
    unlinkSync(join(directory.path, 'a'))
    await using other = new Child([directory.path, 'hold', 'a'])
    await other.said('held')
    expect(guard.isHeld).toBe(false)
    expect(guard.signal.reason).toMatchObject({ code: 'LOCK_LOST' })
    expect(guard.release()).toBe(false)
    expect(readFileSync(join(directory.path, 'a'), 'utf8')).toBe('')
    expect(files.tryLock('a')).toBeUndefined()
  })
})
