/**
 * A process that kills itself with -9 before the n-th atomic operation of a scenario that changes a word: PATH SCENARIO N (a death before a
 * load is one before the change that follows). It writes "in" and "out" when the
 * scenario has entered and is about to leave, synchronously, so that its death cannot swallow the word.
 */
import { writeSync } from 'node:fs'
import { LockTable } from '../../dist/index.js'

const [path, scenario, step] = process.argv.slice(2)
const table = await LockTable.open(path)
const say = text => writeSync(1, `${text}\n`)
let operations = Infinity

/** From now on the operations are counted. */
function arm() {
  operations = Number(step)
}

for (const name of ['store', 'compareExchange', 'or', 'and', 'add', 'exchange']) {
  const real = Atomics[name]
  Atomics[name] = (...args) => {
    if (operations-- === 0) process.kill(process.pid, 'SIGKILL')
    return real(...args)
  }
}

/** Waits until the parent says that it is registered as a waiter. */
const waitedFor = async () => {
  say('ready')
  await new Promise(resolve => process.stdin.once('data', resolve))
}

function inside(guard) {
  say('in')
  return guard
}

const scenarios = {
  exclusive() {
    arm()
    const guard = inside(table.tryLock('a'))
    say('out')
    guard.release()
  },
  async 'release to a waiter'() {
    const guard = inside(table.tryLock('a'))
    await waitedFor()
    say('out')
    arm()
    guard.release()
  },
  shared() {
    arm()
    table.tryLock('a', { mode: 'shared' }).release()
  },
  async 'shared release to a waiter'() {
    const guard = table.tryLock('a', { mode: 'shared' })
    await waitedFor()
    arm()
    guard.release()
  },
  upgrade() {
    const guard = table.tryLock('a', { mode: 'shared' })
    arm()
    guard.upgrade()
    say('in')
    say('out')
    guard.release()
  },
  async downgrade() {
    const guard = inside(table.tryLock('a'))
    await waitedFor()
    say('out')
    arm()
    guard.downgrade()
    guard.release()
  },
  async 'waiting and giving up'() {
    say('ready')
    await new Promise(resolve => process.stdin.once('data', resolve)) // the parent holds it now
    const controller = new AbortController()
    arm()
    const wait = table.lock('a', { signal: controller.signal }).catch(() => undefined)
    controller.abort()
    await wait
  },
  async 'leaving the table'() {
    table.tryLock('b').release()
    arm()
    await table.close()
  },
}

await scenarios[scenario]()
operations = Infinity
say('done')
process.exit(0)
