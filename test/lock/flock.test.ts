/** Lock files within one process. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, promises, readdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LockFiles } from '../../src/lock/flock.js'
import type { LockFileGuard } from '../../src/lock/flock-guard.js'
import type { NativeLockfile } from '../../src/lock/flock-queue.js'
import { loadNative } from '../../src/lock/native.js'
import { lockFileCount, temporaryDirectory, threadCount, until } from './flock-support.js'

const native = loadNative() as unknown as NativeLockfile

let directory: ReturnType<typeof temporaryDirectory>
let files: LockFiles

beforeEach(async () => {
  directory = temporaryDirectory()
  files = await LockFiles.open(directory.path)
})

afterEach(async () => {
  await files.close()
  expect(lockFileCount(directory.path)).toBe(0)
  directory[Symbol.dispose]()
})

const path = (name: string): string => join(directory.path, name)

/** Holds a name as another process would: past the queue of this thread. It waits for the moment that a withdrawn thread may hold it. */
function foreignHold(name: string): { release(): void } {
  const fd = native.lockfileOpen(path(name), 0o600)
  expect(native.lockfileWaitSync(fd, true, 4000)).toBe(true)
  return { release: () => native.lockfileClose(fd) }
}

describe('a guard', () => {
  it('tells what it holds, and releases once', async () => {
    const guard = await files.lock('vm/100', { mode: 'shared' })
    expect(guard).toMatchObject({ name: 'vm/100', mode: 'shared', isHeld: true, abandoned: undefined, version: undefined })
    expect(guard.signal.aborted).toBe(false)
    expect(existsSync(path('vm-100'))).toBe(true)
    expect([guard.release(), guard.release(), guard.isHeld]).toEqual([true, false, false])
    expect(guard.signal.aborted).toBe(false)
    expect(readdirSync(directory.path)).toEqual([])
  })

  it('is released by using', () => {
    {
      using guard = files.lockSync('a')
      expect(guard.isHeld).toBe(true)
    }
    files.tryLock('a')?.release()
    expect(readdirSync(directory.path)).toEqual([])
  })

  it('learns that its file was removed; newcomers lock the new one', async () => {
    const lost = await files.lock('a', { mode: 'shared' })
    const { signal } = lost
    unlinkSync(path('a'))
    const fresh = await files.lock('a', { mode: 'shared' })
    expect(fresh.isHeld).toBe(true)
    expect(lost.isHeld).toBe(false)
    expect(signal.reason).toMatchObject({ code: 'LOCK_LOST' })
    expect(lost.release()).toBe(false)
    expect(existsSync(path('a'))).toBe(true)
    fresh.release()
    expect(readdirSync(directory.path)).toEqual([])
  })
})

describe('the queue of one thread', () => {
  const modes = ['exclusive', 'shared'] as const
  it.each(modes.flatMap((held) => modes.map((wanted) => [held, wanted] as const)))('%s held, %s wanted', async (held, wanted) => {
    const other = await LockFiles.open(directory.path)
    using guard = await files.lock('a', { mode: held })
    const isFree = held === 'shared' && wanted === 'shared'
    const second = other.tryLock('a', { mode: wanted })
    expect(second !== undefined).toBe(isFree)
    second?.release()
    if (isFree) other.lockSync('a', { mode: wanted }).release()
    else expect(() => other.lockSync('a', { mode: wanted, timeoutMs: 1 })).toThrow(expect.objectContaining({ code: 'LOCK_DEADLOCK' }))
    expect(guard.isHeld).toBe(true)
    await other.close()
  })

  it('serves in order, neighbouring shared ones together, none past a queued exclusive one', async () => {
    const order: string[] = []
    const first = await files.lock('a', { mode: 'shared' })
    const run = async (label: string, mode: 'exclusive' | 'shared'): Promise<void> => {
      using _guard = await files.lock('a', { mode })
      order.push(`+${label}`)
      await Promise.resolve()
      await new Promise((resolve) => setImmediate(resolve))
      order.push(`-${label}`)
    }
    const all = [run('x1', 'exclusive'), run('s1', 'shared'), run('s2', 'shared'), run('x2', 'exclusive'), run('s3', 'shared')]
    expect(files.tryLock('a', { mode: 'shared' })).toBeUndefined()
    first.release()
    await Promise.all(all)
    expect(order).toEqual(['+x1', '-x1', '+s1', '+s2', '-s1', '-s2', '+x2', '-x2', '+s3', '-s3'])
  })

  it('takes no thread for ten thousand waiters of one name, and a file for the head', async () => {
    const held = foreignHold('a')
    const threads = threadCount()
    let running = 0
    const all = Array.from({ length: 10_000 }, async () => {
      using _guard = await files.lock('a')
      expect(++running).toBe(1)
      running--
    })
    expect(threadCount() - threads).toBeLessThanOrEqual(2)
    expect(lockFileCount(directory.path)).toBe(2)
    held.release()
    await Promise.all(all)
    expect(readdirSync(directory.path)).toEqual([])
  })

  it('waits for more names than it has threads, in any order of release', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `n${index}`)
    const holds = names.map((name) => foreignHold(name))
    const threads = threadCount()
    const waiting = names.map((name) => files.lock(name))
    expect(threadCount() - threads).toBeLessThanOrEqual(33)
    for (const index of [99, 50, 0]) {
      holds[index]?.release()
      ;(await waiting[index])?.release()
    }
    for (const [index, hold] of holds.entries()) if (![99, 50, 0].includes(index)) hold.release()
    for (const guard of await Promise.all(waiting)) guard.release()
    await until(() => threadCount() <= threads)
  })
})

describe('giving up', () => {
  const reason = new Error('enough')
  const ways: readonly (readonly [string, (name: string) => Promise<LockFileGuard>, object])[] = [
    ['timeout 0', (name) => files.lock(name, { timeoutMs: 0 }), { code: 'LOCK_TIMEOUT', waitedMs: 0, holderPids: [process.pid] }],
    ['timeout', (name) => files.lock(name, { timeoutMs: 3 }), { code: 'LOCK_TIMEOUT', holderPids: [process.pid] }],
    ['abort before', (name) => files.lock(name, { signal: AbortSignal.abort(reason) }), { code: 'LOCK_ABORTED', cause: reason }],
    ['abort while', (name) => {
      const controller = new AbortController()
      setImmediate(() => controller.abort(reason))
      return files.lock(name, { signal: controller.signal })
    }, { code: 'LOCK_ABORTED', cause: reason }],
    ['close', (name) => {
      setImmediate(() => void files.close())
      return files.lock(name)
    }, { code: 'TABLE_CLOSED' }],
  ]
  it.each(ways)('by %s leaves the queue as it was', async (_way, give, error) => {
    const other = await LockFiles.open(directory.path)
    const held = foreignHold('a')
    const leaving = expect(give('a')).rejects.toMatchObject(error)
    const staying = other.lock('a', { mode: 'shared' })
    await leaving
    held.release()
    ;(await staying).release()
    await other.close()
    await until(() => lockFileCount(directory.path) === 0)
  })

  it('after the lock was got changes nothing', async () => {
    const controller = new AbortController()
    const guard = await files.lock('a', { signal: controller.signal, timeoutMs: 1 })
    controller.abort()
    // Whoever came later and has more time has given up: our own time-out would have come before.
    await expect(files.lock('a', { timeoutMs: 2 })).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' })
    expect([guard.isHeld, guard.signal.aborted]).toEqual([true, false])
    guard.release()
  })

  it('a thousand times leaves no thread, no file, and a free lock', async () => {
    const threads = threadCount()
    for (let round = 0; round < 1000; round++) {
      const held = foreignHold('a')
      const controller = new AbortController()
      const waiting = files.lock('a', { signal: controller.signal })
      if (round % 3 === 0) held.release()
      if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
      controller.abort()
      await waiting.then((guard) => guard.release(), () => undefined)
      if (round % 3 !== 0) held.release()
    }
    // What was withdrawn may be locked for the moment until its thread has let go.
    await until(() => lockFileCount(directory.path) === 0)
    files.lockSync('a').release()
    await until(() => threadCount() <= threads)
  })
})

describe('waiting', () => {
  it('blocks neither the event loop nor the pool of libuv', async () => {
    const holds = Array.from({ length: 8 }, (_, index) => foreignHold(`n${index}`))
    const order: string[] = []
    const waiting = holds.map(async (_, index) => {
      using _guard = await files.lock(`n${index}`)
      order.push('lock')
    })
    for (let turn = 0; turn < 8; turn++) await promises.readFile(new URL(import.meta.url))
    order.push('read')
    for (const hold of holds) hold.release()
    await Promise.all(waiting)
    expect(order).toEqual(['read', ...holds.map(() => 'lock')])
  })

  it('in lockSync takes over what the queue had already got, unseen', async () => {
    const held = foreignHold('a')
    const waiting = files.lock('a')
    held.release()
    // The waiting thread gets the lock while this one looks away: only it can make the next try fail.
    const isFree = (): boolean => {
      const probe = native.lockfileOpen(path('a'), 0o600)
      const got = native.lockfileTry(probe, true)
      native.lockfileClose(probe)
      return got
    }
    while (isFree()) continue
    files.lockSync('a', { timeoutMs: 1000 }).release()
    ;(await waiting).release()
  })

  it('ends with a terminated worker, and so do its locks', async () => {
    const held = foreignHold('b')
    const source = `import('tsx/esm/api').then(async ({ tsImport }) => {
      const { LockFiles } = await tsImport(${JSON.stringify(new URL('../../src/lock/flock.ts', import.meta.url).href)}, ${JSON.stringify(import.meta.url)})
      const files = await LockFiles.open(${JSON.stringify(directory.path)})
      await files.lock('a')
      for (let i = 0; i < 9; i++) void files.lock('b')
      require('node:worker_threads').parentPort.postMessage('held')
    })`
    const worker = new Worker(source, { eval: true })
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    expect(files.tryLock('a')).toBeUndefined()
    await worker.terminate()
    files.lockSync('a', { timeoutMs: 1000 }).release()
    held.release()
  })
})

describe('what is refused', () => {
  it('by the state of the directory', async () => {
    writeFileSync(path('file'), '')
    mkdirSync(path('open'))
    execFileSync('chmod', ['777', path('open')])
    await expect(LockFiles.open(path('file'))).rejects.toMatchObject({ code: 'TABLE_FOREIGN' })
    await expect(LockFiles.open(path('file/below'))).rejects.toMatchObject({ code: 'TABLE_FOREIGN' })
    await expect(LockFiles.open(path('none'), { create: false })).rejects.toMatchObject({ code: 'TABLE_MISSING' })
    await expect(LockFiles.open(path('open'))).rejects.toMatchObject({ code: 'TABLE_UNTRUSTED' })
    await expect(LockFiles.open('/proc/self')).rejects.toMatchObject({ code: 'TABLE_NOT_TMPFS' })
    await (await LockFiles.open(path('new/one'))).close()
    rmSync(directory.path, { recursive: true })
    await expect(files.lock('a')).rejects.toMatchObject({ code: 'TABLE_GONE' })
    await expect(files.lock('a'.repeat(300))).rejects.toMatchObject({ code: 'TABLE_GONE' })
  })

  it.each([
    ['a symlink', () => symlinkSync('/dev/shm/nowhere', path('a'))],
    ['a FIFO', () => execFileSync('mkfifo', [path('a')])],
    ['a directory', () => mkdirSync(path('a'))],
  ])('by %s at the place of the file', async (_title, plant) => {
    plant()
    const refused = expect.objectContaining({ code: 'TABLE_FOREIGN', path: path('a') })
    await expect(files.lock('a')).rejects.toEqual(refused)
    expect(() => files.tryLock('a')).toThrow(refused)
    expect(() => files.lockSync('a')).toThrow(refused)
  })

  it('after close, which is idempotent and ends the guards', async () => {
    const guard = await files.lock('a')
    const { signal } = guard
    await Promise.all([files.close(), files.close()])
    expect([guard.isHeld, signal.aborted, guard.release()]).toEqual([false, true, false])
    expect(signal.reason).toMatchObject({ code: 'TABLE_CLOSED' })
    await expect(files.lock('a')).rejects.toMatchObject({ code: 'TABLE_CLOSED' })
    expect(() => files.tryLock('a')).toThrow(expect.objectContaining({ code: 'TABLE_CLOSED' }))
  })

  it.each<readonly [string, unknown, unknown, typeof TypeError | typeof RangeError]>([
    ['an empty name', '', {}, RangeError],
    ['empty bytes', new Uint8Array(), {}, RangeError],
    ['a long name', 'a'.repeat(1025), {}, RangeError],
    ['a number', 5, {}, TypeError],
    ['a misspelt option', 'a', { timeout: 5 }, TypeError],
    ['NaN', 'a', { timeoutMs: NaN }, RangeError],
    ['a wrong mode', 'a', { mode: 'write' }, RangeError],
    ['no signal', 'a', { signal: {} }, TypeError],
  ])('%s', async (_title, name, options, type) => {
    await expect(files.lock(name as string, options as object)).rejects.toThrow(type)
  })

  it('long names have their directory, and are locks as others', async () => {
    const name = `${'a'.repeat(300)}\ud800`
    const guard = await files.lock(name)
    expect(files.tryLock(name)).toBeUndefined()
    expect(readdirSync(path('hashed'))).toHaveLength(1)
    guard.release()
    expect(readdirSync(path('hashed'))).toEqual([])
  })
})
