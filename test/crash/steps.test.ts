/**
 * Before every atomic operation of a scenario that changes a word, its process is killed with -9, exits, is stopped and continued, or its thread is
 * terminated: a survivor gets on, and is told exactly when there is something to tell.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LockTable, type TableGuard } from '../../src/index.js'
import { ProcessVictim, ThreadVictim, type Victim } from './victims.js'

/** What the survivor does meanwhile: nothing, wait for the lock, hold it until the victim is dead, or until it waits. */
type Meanwhile = 'nothing' | 'waits' | 'holds' | 'lets it in'

interface Scenario {
  readonly meanwhile: Meanwhile
  /** Somebody was dead before: as long as the victim has not left in good order, the next is told. */
  readonly hasHeritage?: boolean
  /** Nobody else can join. */
  readonly isFull?: boolean
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'exclusive': { meanwhile: 'nothing' },
  'release to a waiter': { meanwhile: 'waits' },
  'shared': { meanwhile: 'nothing' },
  'shared release to a waiter': { meanwhile: 'waits' },
  'upgrade': { meanwhile: 'nothing' },
  'downgrade': { meanwhile: 'waits' },
  'waiting and giving up': { meanwhile: 'holds' },
  'waiting until it is free': { meanwhile: 'lets it in' },
  'waiting for a shared hold until it is free': { meanwhile: 'lets it in' },
  'taking over from the dead': { meanwhile: 'nothing', hasHeritage: true },
  'joining with the number of a dead one': { meanwhile: 'nothing', hasHeritage: true, isFull: true },
  'leaving the table': { meanwhile: 'nothing' },
}

/** How it ends, and what `ended` then says. */
const ENDS = { 'SIGKILL': 'SIGKILL', 'exit': '77', 'terminate': '1' } as const

async function withTables(use: (open: () => Promise<LockTable>) => Promise<void>): Promise<void> {
  const directory = mkdtempSync('/dev/shm/locktable-steps-')
  const tables: LockTable[] = []
  try {
    await use(async () => {
      const table = await LockTable.open(join(directory, `locks${tables.length}`), { spaces: [{ name: 'default', slots: 1 }] })
      tables.push(table)
      return table
    })
  } finally {
    for (const table of tables) await table.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** An exit tidies up as the end of a thread does: what is the process's own part is seen in a few. */
const EXITING = ['exclusive', 'release to a waiter', 'taking over from the dead', 'leaving the table']

describe.each(Object.keys(ENDS) as (keyof typeof ENDS)[])('%s', how => {
  test.each(how === 'exit' ? EXITING : Object.keys(SCENARIOS))('%s', async name => {
    const { meanwhile, hasHeritage = false } = SCENARIOS[name]!
    let deaths = 0
    await withTables(async open => {
      for (let step = 0, isOver = false; !isOver; step++) {
        const table = await open()
        const args = [table.path, name, how, String(step)]
        const victim = how === 'terminate' ? new ThreadVictim(args) : new ProcessVictim(args)
        const guard = await survive(table, victim, meanwhile)
        const ended = await victim.ended
        isOver = victim.words.includes('done')
        if (!isOver) deaths++
        const label = `step ${step}: ${victim.words.join(' ')} ${ended}`
        if (!isOver) expect(ended, label).toBe(ENDS[how])
        const next = guard ?? await table.lock('a', { timeoutMs: 20_000 })
        const [wasIn, wasOut] = [victim.words.includes('in'), victim.words.includes('out')]
        const told = next.abandoned !== undefined
        if (!isOver && (wasIn || hasHeritage) && !wasOut) expect(told, label).toBe(true)
        if (isOver) expect(told, label).toBe(name === 'joining with the number of a dead one')
        if (told) expect(next.abandoned?.pid).toBe(victim.pid)
        expect(next.release()).toBe(true)
        const again = await table.lock('a', { timeoutMs: 20_000 })
        expect(again.abandoned).toBeUndefined()
        again.release()
        expect(await table.check({ settleMs: 5 }), label).toEqual([])
      }
    })
    expect(deaths).toBeGreaterThan(1)
  }, 60_000)
})

/** @returns the survivor's guard, if it got one on the way */
async function survive(table: LockTable, victim: Victim, meanwhile: Meanwhile): Promise<TableGuard | undefined> {
  if (meanwhile === 'nothing') return undefined
  await victim.says('ready')
  if (meanwhile === 'waits') {
    const wait = table.lock('a', { timeoutMs: 20_000 })
    victim.tell('go')
    return await wait
  }
  const held = await table.lock('a')
  victim.tell('go')
  if (meanwhile === 'holds') await victim.ended
  else while (!victim.hasEnded && table.inspect().slots[0]?.waiters.length !== 1) await new Promise(setImmediate)
  held.release()
  return undefined
}

describe('SIGSTOP and SIGCONT', () => {
  test.each(Object.keys(SCENARIOS))('%s', async name => {
    const { meanwhile, isFull = false } = SCENARIOS[name]!
    let stops = 0
    await withTables(async open => {
      const table = await open()
      const victim = new ProcessVictim([table.path, name, 'SIGSTOP', '-1'])
      const stopping = (async () => {
        while (await victim.isStopped()) {
          stops++
          const isInside = victim.words.includes('in') && !victim.words.includes('out')
          expect((await table.check({ settleMs: 1 })).filter(({ severity }) => severity === 'broken')).toEqual([])
          if (isInside) expect(table.tryLock('a'), 'stopped inside').toBeUndefined()
          // A stopped one keeps nobody from joining and leaving. Not every time: each changes the bells, and its ring would never come to an end.
          if (!isFull && stops % 5 === 1) await (await LockTable.open(table.path)).close()
          victim.signal('SIGCONT')
        }
      })()
      const guard = await survive(table, victim, meanwhile)
      expect(await victim.ended).toBe('0')
      await stopping
      expect(victim.words).toContain('done')
      const next = guard ?? await table.lock('a', { timeoutMs: 20_000 })
      expect(next.abandoned !== undefined).toBe(name === 'joining with the number of a dead one')
      next.release()
    })
    expect(stops).toBeGreaterThan(1)
  }, 60_000)
})
