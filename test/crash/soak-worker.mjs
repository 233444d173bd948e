/** One process of the soak: DIRECTORY ID NAMES SEED. Three tasks lock, count and look at random until told to end. */
import { openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { LockTable } from '../../dist/index.js'

const [directory, id, nameCount, seed] = process.argv.slice(2)
const CELL_BYTES = 16
const JOURNAL_BYTES = 64
const table = await LockTable.open(join(directory, 'locks'), { label: `soak ${id}` })
const cells = openSync(join(directory, 'cells'), 'r+')
const journal = openSync(join(directory, 'journal'), 'r+')
const counts = { begun: 0n, completed: 0n, shared: 0n, notices: 0n }
let ending = false
let state = Number(seed) >>> 0

function random() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 2 ** 32
}

function read(cell) {
  const bytes = Buffer.alloc(CELL_BYTES)
  readSync(cells, bytes, 0, CELL_BYTES, cell * CELL_BYTES)
  return [bytes.readBigInt64LE(0), bytes.readBigInt64LE(8)]
}

function writeHalf(cell, half, value) {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(value)
  writeSync(cells, bytes, 0, 8, cell * CELL_BYTES + half * 8)
}

function note(field, offset) {
  counts[field]++
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(counts[field])
  writeSync(journal, bytes, 0, 8, Number(id) * JOURNAL_BYTES + offset)
}

function fault(text) {
  ending = true
  process.send(text)
}

const turn = () => new Promise(resolve => setImmediate(resolve))

/** Under an exclusive hold: repair what a dead holder has torn, count, and see that nobody came in between. */
async function count(cell, guard) {
  const [first, second] = read(cell)
  if (guard.abandoned) note('notices', 24)
  if (first !== second && !guard.abandoned) return fault(`n${cell} is torn (${first}, ${second}) and nobody said so`)
  const value = (first > second ? first : second) + 1n
  note('begun', 0)
  writeHalf(cell, 0, value)
  if (random() < 0.3) await turn()
  writeHalf(cell, 1, value)
  if (random() < 0.1) await turn()
  const after = read(cell)
  if (guard.isHeld && (after[0] !== value || after[1] !== value)) return fault(`n${cell} changed under an exclusive lock: ${after} is not ${value}`)
  note('completed', 8)
}

async function look(cell, guard) {
  const before = read(cell)
  if (before[0] !== before[1] && !guard.abandoned) return fault(`n${cell} is torn (${before}) and the reader was not told`)
  if (random() < 0.3) await turn()
  const after = read(cell)
  if (before[0] !== after[0] || before[1] !== after[1]) return fault(`n${cell} changed under a shared lock`)
  note('shared', 16)
  if (random() < 0.1 && guard.upgrade()) await count(cell, guard)
}

async function take(name, mode) {
  const dice = random()
  if (dice < 0.2) return table.tryLock(name, { mode })
  if (dice < 0.4) return table.lockSync(name, { mode, timeoutMs: 20 })
  if (dice < 0.55) return await table.lock(name, { mode, timeoutMs: random() * 5 })
  if (dice < 0.65) return await table.lock(name, { mode, signal: AbortSignal.timeout(Math.floor(random() * 5)) })
  return await table.lock(name, { mode })
}

async function several() {
  const chosen = [0, 1, 2].map(() => Math.floor(random() * Number(nameCount)))
  const set = await table.lockAll(chosen.map(cell => `n${cell}`), { timeoutMs: 50 })
  for (const cell of new Set(chosen)) await count(cell, { abandoned: set.abandoned.get(`n${cell}`), isHeld: set.isHeld })
  set.release()
}

async function task() {
  while (!ending) {
    const cell = Math.floor(random() ** 2 * Number(nameCount))
    const mode = random() < 0.5 ? 'shared' : 'exclusive'
    try {
      if (random() < 0.05) {
        await several()
        continue
      }
      const guard = await take(`n${cell}`, mode)
      if (guard === undefined) {
        await turn()
        continue
      }
      if (mode === 'shared') await look(cell, guard)
      else await count(cell, guard)
      if (random() < 0.05 && guard.mode === 'exclusive') {
        guard.downgrade()
        await turn()
      }
      guard.release()
      if (random() < 0.05) await turn()
    } catch (error) {
      if (!['LOCK_TIMEOUT', 'LOCK_ABORTED', 'LOCK_DEADLOCK'].includes(error.code)) fault(error.stack)
    }
  }
}

process.on('message', order => {
  if (order === 'exit') process.exit(0)
  if (order === 'throw') throw new Error('as ordered')
  ending = true
})
process.on('disconnect', () => process.exit()) // nobody is left to end it
if (!process.connected) process.exit()
process.send('working')
await Promise.all([task(), task(), task()])
await table.close()
process.disconnect()
