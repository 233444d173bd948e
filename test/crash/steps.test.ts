/** kill -9 before every atomic operation that changes a word of a scenario: a survivor gets on, and is told exactly when there is something to tell. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { LockTable, type TableGuard } from '../../src/index.js'

const WORKER = fileURLToPath(new URL('./steps-worker.mjs', import.meta.url))

class Victim {
  readonly child: ChildProcessWithoutNullStreams
  readonly ended: Promise<string>
  #said = ''

  constructor(path: string, scenario: string, step: number) {
    this.child = spawn(process.execPath, [WORKER, path, scenario, String(step)])
    this.child.stdout.on('data', (data: Buffer) => { this.#said += data.toString() })
    this.child.stderr.on('data', (data: Buffer) => { this.#said += data.toString() })
    this.child.stdin.on('error', () => undefined)
    this.ended = new Promise(resolve => {
      this.child.on('close', (code, signal) => {
        resolve(signal ?? String(code))
      })
    })
  }

  get words(): string[] {
    return this.#said.split('\n').filter(word => word !== '')
  }

  async says(word: string): Promise<void> {
    while (!this.words.includes(word)) {
      await Promise.race([new Promise(resolve => this.child.stdout.once('data', resolve)), this.ended])
      if (this.child.exitCode !== null || this.child.signalCode !== null) return
    }
  }
}

/** What the survivor does meanwhile: nothing, wait for the lock, or hold it until the victim has come. */
type Meanwhile = 'nothing' | 'waits' | 'holds'

test.each([
  ['exclusive', 'nothing'], ['release to a waiter', 'waits'], ['shared', 'nothing'], ['shared release to a waiter', 'waits'], ['upgrade', 'nothing'],
  ['downgrade', 'waits'], ['waiting and giving up', 'holds'], ['leaving the table', 'nothing'],
] as const)('%s', async (scenario, meanwhile: Meanwhile) => {
  const directory = mkdtempSync('/dev/shm/locktable-steps-')
  let deaths = 0
  try {
    for (let step = 0, how = 'SIGKILL'; how === 'SIGKILL'; step++) {
      const table = await LockTable.open(join(directory, `locks${step}`), { spaces: [{ name: 'default', slots: 1 }] })
      const victim = new Victim(table.path, scenario, step)
      const guard = await survive(table, victim, meanwhile)
      how = await victim.ended
      if (how === 'SIGKILL') deaths++
      else expect(victim.words).toContain('done')
      const next = guard ?? await table.lock('a', { timeoutMs: 20_000 })
      const [wasIn, wasOut] = [victim.words.includes('in'), victim.words.includes('out')]
      const told = next.abandoned !== undefined
      const label = `step ${step}: ${victim.words.join(' ')} ${how}`
      if (how === 'SIGKILL' && wasIn && !wasOut) expect(told, label).toBe(true) // inside
      if (how !== 'SIGKILL') expect(told, label).toBe(false)
      if (told) expect(next.abandoned?.pid).toBe(victim.child.pid)
      expect(next.release()).toBe(true)
      const again = await table.lock('a', { timeoutMs: 20_000 })
      expect(again.abandoned).toBeUndefined()
      again.release()
      expect(await table.check({ settleMs: 5 }), label).toEqual([])
      await table.close()
    }
    expect(deaths).toBeGreaterThan(1)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}, 60_000)

/** @returns the survivor's guard, if it got one on the way */
async function survive(table: LockTable, victim: Victim, meanwhile: Meanwhile): Promise<TableGuard | undefined> {
  if (meanwhile === 'nothing') return undefined
  await victim.says('ready')
  if (meanwhile === 'waits') {
    const wait = table.lock('a', { timeoutMs: 20_000 })
    victim.child.stdin.write('go\n')
    return await wait
  }
  const held = await table.lock('a')
  victim.child.stdin.write('go\n')
  await victim.ended
  held.release()
  return undefined
}
