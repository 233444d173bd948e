/** Every two operations, in one process and in two, against the matrix; who is registered, and for how long. */
import { beforeAll, describe, expect, test } from 'vitest'
import { MATRIX_ROWS, type MatrixRow, MATRIX, OPERATIONS, ROW_PLANS } from '../../src/datastore/lock-plan.js'
import { BusyError, type Hold, LockTable, StoreLocks, STORE_SPACES } from '../../src/datastore/locking.js'
import { codeOf, makeStore, openAgain, Peer, temporaryDirectory, type TestStore, until } from './store-support.js'

let store: TestStore
beforeAll(async () => {
  store = await makeStore()
})

const cells = MATRIX_ROWS.flatMap(running => MATRIX_ROWS.map(coming => [running, coming] as const))
/** All are about one snapshot and its group; a backup writes the next one, which builds on it. */
const namesOf = (row: MatrixRow) => ({ store: '.', group: 'vm/1', previous: 'vm/1/a', snapshot: ROW_PLANS[row].operation === 'backup' ? 'vm/1/b' : 'vm/1/a', manifest: 'vm/1/a' })

function take(locks: StoreLocks, row: MatrixRow): { readonly hold: Hold; readonly taken: Promise<unknown> } {
  const { operation, roles } = ROW_PLANS[row]
  const hold = locks.begin(operation, row)
  const names: Readonly<Record<string, string>> = namesOf(row)
  return { hold, taken: hold.take(Object.fromEntries(roles.map(role => [role, names[role]!]))) }
}

/** The manifest's lock is the only one that anybody waits for. */
const isWaitedFor = (): boolean => {
  const { locks } = store.datastore
  return locks.table.inspectName(locks.nameOf('vm/1/a'), 'manifest').waiters.length > 0
}

describe('every two operations', () => {
  test('have a cell, and it is symmetrical where nobody waits', () => {
    expect(Object.keys(MATRIX)).toEqual([...MATRIX_ROWS])
    for (const [running, coming] of cells) {
      expect(MATRIX[running][coming]).toBeDefined()
      const [there, back] = [MATRIX[running][coming][0], MATRIX[coming][running][0]]
      if (there === 'both' || back === 'both') expect(`${running}, ${coming}: ${there}`).toBe(`${running}, ${coming}: ${back}`)
    }
  })

  test('of one process', async () => {
    const other = await openAgain(store)
    const seen = []
    for (const [running, coming] of cells) {
      const first = take(store.datastore.locks, running)
      await first.taken
      const second = take(other.locks, coming)
      let outcome = ''
      second.taken.then(() => outcome ||= 'both', (error: unknown) => outcome = error instanceof BusyError ? 'busy' : String(error))
      await until(() => outcome !== '' || isWaitedFor())
      if (outcome === '') {
        outcome = 'waits'
        first.hold.release()
        await second.taken
      }
      seen.push(`${running}, then ${coming}: ${outcome}`)
      first.hold.release()
      second.hold.release()
    }
    expect(seen).toEqual(cells.map(([running, coming]) => `${running}, then ${coming}: ${MATRIX[running][coming][0]}`))
  })

  test('of two processes', async () => {
    const [one, two] = await Promise.all([Peer.start(store), Peer.start(store)])
    const seen = []
    for (const [running, coming] of cells) {
      expect(await one.ask({ verb: 'take', row: running, names: namesOf(running) })).toBe('held')
      two.tell({ verb: 'take', row: coming, names: namesOf(coming) })
      await until(() => two.hasAnswered || isWaitedFor())
      const waits = !two.hasAnswered
      expect(await one.ask({ verb: 'release' })).toBe('released')
      const answer = await two.answer()
      seen.push(`${running}, then ${coming}: ${waits ? `waits, ${answer}` : answer}`)
      await two.ask({ verb: 'release' })
    }
    const words = { both: 'held', busy: 'LOCK_BUSY', waits: 'waits, held' }
    expect(seen).toEqual(cells.map(([running, coming]) => `${running}, then ${coming}: ${words[MATRIX[running][coming][0]]}`))
  })
})

describe('who is registered', () => {
  test('a writer, from its begin to its end, in every process; the oldest is known', async () => {
    const { locks } = store.datastore
    expect(locks.oldestWriter()).toBeUndefined()
    const peer = await Peer.start(store)
    const before = Math.floor(Date.now() / 1000) * 1000
    await peer.ask({ verb: 'begin' })
    expect(locks.running()).toMatchObject([{ pid: peer.pid, operation: 'backup', target: 'vm/1' }])
    const oldest = locks.oldestWriter()!
    expect(oldest.getTime()).toBeGreaterThanOrEqual(before)
    await until(() => Date.now() >= oldest.getTime() + 1000) // the clock of registrations ticks in seconds
    using later = locks.begin('backup', 'vm/2')
    using reading = locks.begin('read', 'vm/3')
    expect(locks.running().length).toBe(3)
    expect(locks.oldestWriter()).toEqual(oldest)
    await peer.kill()
    await until(() => locks.running().length === 2)
    expect(locks.oldestWriter()!.getTime()).toBeGreaterThan(oldest.getTime())
    later.release()
    expect(locks.oldestWriter()).toBeUndefined()
    expect(reading.isHeld).toBe(true)
  })

  test('a dead one leaves nothing in the table', async () => {
    const { locks } = store.datastore
    const peer = await Peer.start(store)
    await peer.ask({ verb: 'begin' })
    await peer.kill()
    await until(() => locks.running().length === 0)
    expect(locks.table.inspect().slots.filter(({ space }) => space === 'operation')).toEqual([])
  })

  test('hundreds at once, each under a slot of its own', () => {
    const { locks } = store.datastore
    const holds = Array.from({ length: 300 }, (_, index) => locks.begin('backup', `vm/${index}`))
    expect(locks.running().map(({ target }) => target).sort()).toEqual(holds.map(({ target }) => target).sort())
    for (const hold of holds) hold.release()
    expect(locks.running()).toEqual([])
  })

  test('a target that is longer than what a slot shows', () => {
    const { locks } = store.datastore
    using hold = locks.begin('verify', `ns/${'x'.repeat(300)}/vm/1`)
    expect(locks.running()).toMatchObject([{ operation: 'verify', target: expect.stringMatching(/^ns\/x+/) }])
    expect(hold.isHeld).toBe(true)
  })
})

describe('names of locks', () => {
  test('two stores in one table do not meet, two paths to one store do', async () => {
    const table = await LockTable.open(`${temporaryDirectory()}/locks`, { spaces: STORE_SPACES })
    const [one, same, other] = [{ device: 1, inode: 2 }, { device: 1, inode: 2 }, { device: 1, inode: 3 }].map(root => new StoreLocks(table, root))
    using first = one!.begin('change-group', 'vm/1')
    await first.take({ group: 'vm/1' })
    using second = other!.begin('change-group', 'vm/1')
    await second.take({ group: 'vm/1' })
    using third = same!.begin('change-group', 'vm/1')
    expect(await codeOf(() => third.take({ group: 'vm/1' }))).toBe('LOCK_BUSY')
    expect(other!.running().length).toBe(1)
    expect(same!.running().length).toBe(2)
    await table.close()
  })

  test('an operation takes what its plan has, nothing else, and all or nothing', async () => {
    const { locks } = store.datastore
    using hold = locks.begin('protect', 'vm/1/a')
    expect(await codeOf(() => hold.take({ group: 'vm/1' }))).toMatch(/plan of protect has no lock of a group/)
    using reader = locks.begin('verify', 'vm/1/b')
    await reader.take({ snapshot: 'vm/1/b' })
    using forget = locks.begin('forget-group', 'vm/1')
    expect(await codeOf(() => forget.take({ group: 'vm/1', snapshot: ['vm/1/a', 'vm/1/b'] }))).toBe('LOCK_BUSY')
    await hold.take({ snapshot: 'vm/1/a' }) // was given back
    forget.release()
    expect(await codeOf(() => forget.take({ group: 'vm/1' }))).toBe('SESSION_ENDED')
    using again = locks.begin('change-group', 'vm/1')
    await again.take({ group: 'vm/1' }) // was given back too
    expect(Object.keys(OPERATIONS)).toContain('gc')
  })

  test('a wait is bounded and says who is in the way', async () => {
    const { locks } = store.datastore
    using update = locks.begin('update', 'vm/1/a')
    await update.take({ manifest: 'vm/1/a' })
    using second = locks.begin('forget', 'vm/1/a')
    const error = await second.take({ manifest: 'vm/1/a' }, { waitMs: 20 }).catch((failure: unknown) => failure)
    expect(error).toMatchObject({ code: 'LOCK_BUSY', holders: [{ pid: process.pid, operation: 'update' }] })
    expect((error as BusyError).waitedMs).toBeGreaterThanOrEqual(20)
    const abort = new AbortController()
    const waiting = second.take({ manifest: 'vm/1/a' }, { signal: abort.signal })
    abort.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'LOCK_ABORTED' })
  })
})
