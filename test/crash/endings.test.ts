/** Ends of a holder that are not the end of all that came of it. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LockTable } from '../../src/index.js'
import { directory, start } from './support.js'

const isAlive = (pid: number): boolean => process.kill(pid, 0)

/** Node has it from 22.15 on. */
const canExec = 'execve' in process

test.skipIf(!canExec)('exec: the process goes on as another program, its locks do not', async () => {
  const table = await LockTable.open(join(directory, 'locks'))
  const holder = start(`import { writeSync } from 'node:fs'
    const table = await LockTable.open(${JSON.stringify(table.path)})
    globalThis.guard = await table.lock('a')
    writeSync(1, 'held')
    process.execve('/bin/sleep', ['sleep', '60'])`)
  await holder.said('held')
  const guard = await table.lock('a')
  const pid = holder.child.pid ?? 0
  expect(guard.abandoned?.pid).toBe(pid)
  expect(isAlive(pid)).toBe(true)
  await table.close()
})

test('a child that outlives the killed holder has nothing of its locks', async () => {
  const table = await LockTable.open(join(directory, 'locks'))
  const holder = start(`import { spawn } from 'node:child_process'
    const table = await LockTable.open(${JSON.stringify(table.path)})
    globalThis.guard = await table.lock('a')
    const child = spawn('sleep', ['60'], { stdio: 'ignore', detached: true })
    console.log('held, child ' + child.pid + '.')
    setInterval(() => {}, 1000)`)
  await holder.said('.')
  const child = Number(/child (\d+)/.exec(holder.text())?.[1])
  holder.child.kill('SIGKILL')
  try {
    expect((await table.lock('a')).abandoned?.pid).toBe(holder.child.pid)
    expect(isAlive(child)).toBe(true)
  } finally {
    process.kill(child, 'SIGKILL')
  }
  await table.close()
})

test('a holder that is stopped keeps its lock, whatever it holds up, and has it when it goes on', async () => {
  const table = await LockTable.open(join(directory, 'locks'))
  const holder = start(`const table = await LockTable.open(${JSON.stringify(table.path)})
    const guard = await table.lock('a')
    console.log('held')
    process.stdin.once('data', () => console.log('still ' + guard.isHeld + ' ' + guard.release()))`)
  await holder.said('held')
  holder.child.kill('SIGSTOP')
  await expect(table.lock('a', { timeoutMs: 1500 })).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' }) // longer than a look at the byte locks takes to come
  const next = table.lock('a')
  holder.child.kill('SIGCONT')
  holder.child.stdin?.write('go')
  await holder.said('still true true')
  expect((await next).abandoned).toBeUndefined()
  await table.close()
})
