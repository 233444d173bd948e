/**
 * A process or worker thread that comes to its end before the n-th atomic operation of a scenario that changes a word: PATH SCENARIO HOW N (an end
 * before a load is one before the change that follows). It says "in" and "out" when the scenario has entered and is about to leave, at once, so
 * that its end cannot swallow the word.
 *
 * HOW  SIGKILL, exit, terminate (of a thread, by the parent, which is told "here"): at step N. SIGSTOP: at every step, until continued.
 */
import { writeSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { LockTable } from '../../dist/index.js'

const [path, scenario, how, step] = parentPort === null ? process.argv.slice(2) : workerData
const table = await LockTable.open(path)
const say = parentPort === null ? text => writeSync(1, `${text}\n`) : text => parentPort.postMessage(text)
const heard = () => new Promise(resolve => {
  if (parentPort === null) process.stdin.once('data', resolve)
  else parentPort.once('message', resolve)
})
let isArmed = false
let operations = 0

/** From now on the operations are counted. */
function arm() {
  isArmed = true
}

const sleep = Atomics.wait
const never = new Int32Array(new SharedArrayBuffer(4))

function end() {
  if (how === 'terminate') {
    say('here')
    sleep(never, 0, 0)
  }
  if (how === 'exit') process.exit(77)
  process.kill(process.pid, how)
}

for (const name of ['store', 'compareExchange', 'or', 'and', 'add', 'exchange']) {
  const real = Atomics[name]
  Atomics[name] = (...args) => {
    if (isArmed && (operations++ === Number(step) || how === 'SIGSTOP')) {
      isArmed = false // what runs on the way out is not the scenario
      end()
      isArmed = how === 'SIGSTOP'
    }
    return real(...args)
  }
}

/** Waits until the parent says that it is registered as a waiter, or that it holds the lock. */
const told = async () => {
  say('ready')
  await heard()
}

function inside(guard) {
  say('in')
  return guard
}

function leave(guard) {
  say('out')
  guard.release()
}

const scenarios = {
  exclusive() {
    arm()
    leave(inside(table.tryLock('a')))
  },
  async 'release to a waiter'() {
    const guard = inside(table.tryLock('a'))
    await told()
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
    await told()
    arm()
    guard.release()
  },
  upgrade() {
    const guard = table.tryLock('a', { mode: 'shared' })
    arm()
    guard.upgrade()
    leave(inside(guard))
  },
  async downgrade() {
    const guard = inside(table.tryLock('a'))
    await told()
    say('out')
    arm()
    guard.downgrade()
    guard.release()
  },
  async 'waiting and giving up'() {
    await told()
    const controller = new AbortController()
    arm()
    const wait = table.lock('a', { signal: controller.signal }).catch(() => undefined)
    controller.abort()
    await wait
  },
  async 'waiting until it is free'() {
    await told()
    arm()
    leave(inside(await table.lock('a')))
  },
  async 'waiting for a shared hold until it is free'() {
    await told()
    arm()
    const guard = await table.lock('a', { mode: 'shared' })
    guard.release()
  },
  async 'taking over from the dead'() {
    const other = await LockTable.open(path)
    other.tryLock('a')
    await other.close() // with a hold: a death
    arm()
    leave(inside(table.tryLock('a')))
  },
  async 'joining with the number of a dead one'() {
    const number = table.participantNumber
    table.tryLock('a')
    await table.close()
    // Free numbers are taken first: here there are none.
    const keeper = await LockTable.open(path)
    for (let other = 1; other < 128; other++) if (other !== number) keeper.session.region.native.lockByte(other, true)
    arm()
    const again = await LockTable.open(path)
    if (again.participantNumber !== number) throw new Error('another number')
    await again.close()
  },
  async 'leaving the table'() {
    table.tryLock('b').release()
    arm()
    await table.close()
  },
}

await scenarios[scenario]()
isArmed = false
say('done')
if (parentPort === null) process.exit(0)
else parentPort.close()
