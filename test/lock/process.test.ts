/** What only a process of its own shows: when it ends, what it keeps in memory, whom it holds up. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import type { LockMode, LockTable } from '../../src/index.js'
import { Peer, open, temporaryTable, until } from './support.js'

const FIXTURE = fileURLToPath(new URL('./fixtures/alone.ts', import.meta.url))

test.each([
  ['memory', 'flat', 'two hundred thousand names more take no memory'],
  ['waits-memory', 'flat', 'twenty thousand aborted waits leave none behind'],
  ['warnings', 'none', 'fifty waits under one signal are nothing to warn of'],
  ['trace', 'LockGuardWarning: true true', 'a dropped guard is named with the place where it was taken; others are not'],
  ['pool', 'files first', 'sixteen waits leave the thread pool to files'],
  ['idle', 'ended holding', 'an open table, a held lock and a listener let the process end'],
  ['waited', 'refused', 'after its waits the process may end'],
  ['awaiting', 'kept alive', 'a wait keeps the process'],
])('%s: %s: %s', async (verb, line) => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--import', 'tsx', FIXTURE, verb, temporaryTable()])
  expect(stdout.trim()).toBe(line)
})

describe('a worker thread', () => {
  /** Opens the table in a worker; `body` may use table and say(), and answers are awaited in order. */
  async function withWorker(path: string, body: string): Promise<{ answer: () => Promise<string>; worker: Worker }> {
    const module = JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)
    const source = `
      const { parentPort } = require('node:worker_threads')
      const say = text => parentPort.postMessage(text)
      parentPort.on('message', () => {}) // keeps the thread, and what it holds, until it is terminated
      import(${module}).then(async ({ LockTable }) => {
        const table = await LockTable.open(${JSON.stringify(path)})
        ${body}
      }).catch(error => say(String(error)))`
    const worker = new Worker(source, { eval: true })
    const answers: string[] = []
    worker.on('message', (text: string) => answers.push(text))
    await new Promise(resolve => worker.once('online', resolve))
    return {
      worker,
      answer: async () => {
        await until(() => answers.length > 0)
        return answers.shift() ?? ''
      },
    }
  }

  const MATRIX: readonly (readonly [LockMode, LockMode, boolean])[] = [
    ['exclusive', 'exclusive', false], ['exclusive', 'shared', false], ['shared', 'exclusive', false], ['shared', 'shared', true],
  ]
  test.each(MATRIX)('%s in the worker, %s here: together %s', async (theirs, mine, together) => {
    const table = await open()
    const { worker, answer } = await withWorker(table.path, `globalThis.guard = await table.lock('a', { mode: '${theirs}' }); say('held')`)
    expect(await answer()).toBe('held')
    expect(table.tryLock('a', { mode: mine }) !== undefined).toBe(together)
    await worker.terminate()
  })

  test('blocks by lockSync until the main thread releases, and the other way round', async () => {
    const table = await open()
    const guard = await table.lock('a')
    const { worker, answer } = await withWorker(table.path, `
      say('asks')
      const guard = table.lockSync('a')
      say(guard.isHeld ? 'held' : 'lost')
      while (table.inspectName('a').waiters.length === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1) // the main thread is blocked by now
      guard.release()`)
    expect(await answer()).toBe('asks')
    await until(() => table.inspect().slots[0]?.waiters.length === 1)
    guard.release()
    expect(await answer()).toBe('held')
    const mine = table.lockSync('a')
    expect(mine.isHeld).toBe(true)
    await worker.terminate()
  })

  test('that is terminated while it waits, holds nobody up', async () => {
    const table = await open()
    const guard = await table.lock('a')
    const waiting = await withWorker(table.path, `table.lock('a'); say('waits')`)
    expect(await waiting.answer()).toBe('waits')
    const third = await open(table.path)
    const next = third.lock('a')
    await until(() => table.inspect().slots[0]?.waiters.length === 2)
    await waiting.worker.terminate()
    guard.release()
    expect((await next).abandoned).toBeUndefined()
  })
})

describe('blocking', () => {
  test('joins the thread’s own readers though a writer waits for them', async () => {
    const table = await open()
    const other = await open(table.path)
    const reader = table.lockSync('a', { mode: 'shared' })
    const writer = other.lock('a')
    await until(() => table.inspect().slots[0]?.waiters.length === 1)
    const again = table.lockSync('a', { mode: 'shared' })
    expect([reader.release(), again.isHeld, again.release()]).toEqual([true, true, true])
    expect((await writer).isHeld).toBe(true)
  })

  test.each([0, 0.5, 5])('gives up after %s ms as if it had never waited', async timeoutMs => {
    const table = await open()
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock' })
    for (const mode of ['exclusive', 'shared'] as const) {
      expect(() => table.lockSync('a', { mode, timeoutMs })).toThrow(expect.objectContaining({ code: 'LOCK_TIMEOUT', holderPids: [peer.pid] }))
    }
    expect(table.inspect().slots[0]?.waiters).toEqual([])
    await peer.ask({ verb: 'release' })
    expect(table.inspect().slots).toEqual([])
  })

  test('is woken by the death of the holder', async () => {
    const table = await open()
    const peer = await Peer.start(table.path)
    await peer.ask({ verb: 'lock' })
    peer.process.kill('SIGKILL')
    const guard = table.lockSync('a')
    expect(guard.abandoned?.pid).toBe(peer.pid)
  })
})

describe('a number whose process was killed', () => {
  test('is scrubbed before it is used again: holds, shared holds and waits', async () => {
    const table = await open(undefined, { spaces: [{ name: 'default', slots: 256 }] })
    const peer = await Peer.start(table.path)
    const ask = async (name: string, mode: LockMode): Promise<void> => {
      expect(await peer.ask({ verb: 'lock', name, mode })).toBe('held')
    }
    await ask('x', 'exclusive')
    await ask('s', 'shared')
    await table.lock('w')
    peer.tell({ verb: 'lock', name: 'w' })
    await until(() => table.inspect().slots.some(slot => slot.waiters.length === 1))
    const number = table.inspect().participants.find(({ pid }) => pid === peer.pid)?.number ?? 0
    await peer.kill()
    const opened: LockTable[] = []
    while (opened.length < 126) opened.push(await open(table.path, { watch: false }))
    expect(opened.some(one => one.participantNumber === number)).toBe(true)
    const { slots } = table.inspect()
    expect(slots.find(slot => slot.name === 'x')).toMatchObject({ holders: [], waiters: [], abandonedByPids: [peer.pid] })
    expect(slots.find(slot => slot.name === 's')).toBeUndefined()
    expect(slots.find(slot => slot.name === 'w')).toMatchObject({ waiters: [], holders: [{ participant: table.participantNumber }] })
    const heir = opened.find(one => one.participantNumber === number)
    const guard = heir?.tryLock('x')
    expect(guard?.abandoned?.pid).toBe(peer.pid)
    expect(heir?.tryLock('s')).toBeDefined()
  }, 120_000) // 126 threads in one process, each woken by every join: half a second alone, 15 s beside six busy processes
})
