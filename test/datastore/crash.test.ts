/**
 * Four clients of one store back up at the same time, each its own group, and die at random moments by SIGKILL. Afterwards every snapshot that
 * lists restores, byte for byte, nothing is locked, and the next backup of each group leaves nothing behind of the dead ones.
 *
 * Ten seconds; LOCKTABLE_CRASH_SECONDS is for longer runs, LOCKTABLE_CRASH_SEED for the moments of an earlier one.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { digestToHex, type SnapshotName } from '../../src/datastore/index.js'
import { type Bundle, bundle } from '../../bench/lib/bundled.js'
import { afterAllTests, backUp, contentOf, expectImage, later, makeStore, type TestStore, tree, until } from './store-support.js'

const SECONDS = Number(process.env['LOCKTABLE_CRASH_SECONDS'] ?? 10)
const SEED = Number(process.env['LOCKTABLE_CRASH_SEED'] ?? Date.now() % 1_000_000)
const IDS = ['t0', 't1', 't2', 't3']

let store: TestStore
let program: Bundle
beforeAll(async () => {
  store = await makeStore()
  program = await bundle(new URL('fixtures/backup-child.ts', import.meta.url))
})
afterAll(() => {
  program[Symbol.dispose]()
})

/** From 0 to 1; the same for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

class Client {
  readonly process: ChildProcess
  readonly ended: Promise<string>
  /** Snapshots that it said it finished. */
  readonly finished: number[] = []
  #said = ''

  constructor(id: string) {
    this.process = fork(fileURLToPath(program.script), [store.base, store.table, id], { silent: true })
    this.process.on('message', (time: number) => this.finished.push(time))
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => this.#said += text)
    this.ended = new Promise(resolve => this.process.once('close', (code, signal) => {
      resolve(signal ?? `${code}: ${this.#said}`)
    }))
    afterAllTests(() => {
      this.process.kill('SIGKILL')
    })
  }
}

/** Clients of one group, one after the other, until the time is up. Returns how many died, and what they had finished. */
async function killInTurn(id: string, end: number, random: () => number): Promise<{ readonly deaths: number; readonly finished: readonly number[] }> {
  const finished: number[] = []
  let deaths = 0
  while (performance.now() < end) {
    const client = new Client(id)
    const wanted = Math.floor(random() * 8)
    const rest = random() * 25
    await until(() => client.finished.length >= wanted || client.process.exitCode !== null)
    await new Promise(resolve => setTimeout(resolve, rest)) // the moment of its death is what is random here
    client.process.kill('SIGKILL')
    expect(await client.ended, `seed ${SEED}`).toBe('SIGKILL')
    finished.push(...client.finished)
    deaths++
  }
  return { deaths, finished }
}

async function expectAllWhole(id: string): Promise<readonly number[]> {
  const { datastore } = store
  const times: number[] = []
  for (const snapshot of await datastore.snapshots({ namespace: [], type: 'vm', id })) {
    if (!(await datastore.snapshotFiles(snapshot))?.finished) continue
    await expectImage(datastore, snapshot, contentOf(snapshot))
    using reader = await datastore.openReader(snapshot)
    expect((await reader.readBlob('host.conf.blob')).toString()).toBe('name: test\n')
    times.push(snapshot.time)
  }
  return times
}

test(`four clients are killed at random for ${SECONDS} s (seed ${SEED})`, async () => {
  console.log(`seed ${SEED}`)
  const end = performance.now() + SECONDS * 1000
  const outcomes = await Promise.all(IDS.map((id, index) => killInTurn(id, end, randomNumbers(SEED + index))))
  const { datastore } = store
  await until(() => datastore.running().length === 0)
  for (const [index, id] of IDS.entries()) {
    const { deaths, finished } = outcomes[index]!
    expect(deaths).toBeGreaterThan(0)
    const whole = await expectAllWhole(id)
    expect(whole).toEqual(expect.arrayContaining([...finished])) // what was said to be finished is there
    const last: SnapshotName = { namespace: [], type: 'vm', id, time: Math.max(1_700_000_000, ...whole) }
    await backUp(datastore, later(last, 1000), contentOf(later(last, 1000)), 10_000)
    expect(await expectAllWhole(id)).toEqual([...whole, last.time + 1000])
    expect((await datastore.snapshots(last)).length).toBe(whole.length + 1)
    expect(tree(join(store.base, 'vm', id)).filter(path => path.includes('tmp'))).toEqual([])
  }
  expect(outcomes.flatMap(({ finished }) => finished).length).toBeGreaterThan(0)
  for await (const { digest, kind } of datastore.chunks.iterate()) {
    if (kind === 'chunk') expect((await datastore.chunks.read(digest)).length, digestToHex(digest)).toBeGreaterThan(0)
  }
}, SECONDS * 1000 + 240_000)
