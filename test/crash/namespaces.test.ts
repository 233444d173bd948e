/** Processes that cannot see each other's pids share a table; death is right all the same. And "dead" means the whole process. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LockTable } from '../../src/index.js'
import { directory, start } from './support.js'

function mayUnshare(): boolean {
  try {
    execFileSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    console.log('not run: PID namespaces are not permitted here')
    return false
  }
}

/** Of the only child of a process. */
function childPid(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim())
}

test('a holder in another PID namespace is killed', async () => {
  if (!mayUnshare()) return
  const table = await LockTable.open(join(directory, 'locks'))
  const hold = `const table = await LockTable.open(${JSON.stringify(table.path)})
    globalThis.guard = await table.lock('a')
    console.log('held by ' + process.pid)
    setInterval(() => {}, 1000)`
  const holder = start(hold, ['unshare', '--pid', '--fork', '--mount-proc'])
  await holder.said('held by 1\n')
  expect(table.tryLock('a')).toBeUndefined()
  const next = table.lock('a')
  process.kill(childPid(holder.child.pid ?? 0), 'SIGKILL')
  expect((await next).abandoned?.pid).toBe(1)
  await table.close()
})

test('a waiter in another PID namespace is woken, and finds out about a death outside', async () => {
  if (!mayUnshare()) return
  const table = await LockTable.open(join(directory, 'locks'))
  const holder = start(`const table = await LockTable.open(${JSON.stringify(table.path)})
    globalThis.guard = await table.lock('a')
    console.log('held')
    setInterval(() => {}, 1000)`)
  await holder.said('held')
  const waiter = start(`const table = await LockTable.open(${JSON.stringify(table.path)})
    console.log('waits')
    const guard = await table.lock('a')
    console.log('abandoned by ' + guard.abandoned.pid)`, ['unshare', '--pid', '--fork', '--mount-proc'])
  await waiter.said('waits')
  while (table.inspect().slots[0]?.waiters.length !== 1) await new Promise(setImmediate)
  holder.child.kill('SIGKILL')
  await waiter.said(`abandoned by ${holder.child.pid}`)
  await table.close()
})

test('nobody enters while the killed process is still inside a system call, or giving its memory back', async () => {
  const table = await LockTable.open(join(directory, 'locks'))
  for (let round = 0; round < 5; round++) {
    const marks = join(directory, `marks${round}`)
    // Worker threads rename a file to and fro without end; the process is fat, so that its end takes a while.
    const holder = start(`import { Worker } from 'node:worker_threads'
      import { mkdirSync, writeFileSync } from 'node:fs'
      const table = await LockTable.open(${JSON.stringify(table.path)})
      globalThis.fat = Buffer.alloc(256 * 2 ** 20, 1)
      globalThis.guard = await table.lock('a')
      mkdirSync(${JSON.stringify(marks)})
      writeFileSync(${JSON.stringify(`${marks}/mine`)}, '')
      let busy = 0
      for (let i = 0; i < 2; i++) new Worker(\`
        const { renameSync } = require('node:fs')
        for (let renames = 0;; renames++) {
          if (renames === 100) require('node:worker_threads').parentPort.postMessage('busy')
          try { renameSync('${marks}/mine', '${marks}/moved'); renameSync('${marks}/moved', '${marks}/mine') } catch {}
        }\`, { eval: true, execArgv: [] }).on('message', () => { if (++busy === 2) console.log('busy') })`)
    await holder.said('busy')
    const next = table.lock('a')
    holder.child.kill('SIGKILL')
    const guard = await next
    expect(guard.abandoned?.pid).toBe(holder.child.pid)
    // From here on the file stays where it is.
    const place = existsSync(`${marks}/mine`) ? 'mine' : 'moved'
    for (let look = 0; look < 2000; look++) expect(existsSync(`${marks}/${place}`)).toBe(true)
    guard.release()
  }
  await table.close()
})
