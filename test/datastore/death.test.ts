/** A backup ends at every change that it makes to the file system: killed, by exit, or because the change is refused. What is left, and who cleans up. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Datastore, SnapshotName } from '../../src/datastore/index.js'
import {
  backUp, CHANGES, codeOf, expectImage, type FileCall, later, makeStore, newGroup, openAgain, Peer, refusal, type TestStore, tree, until, watchedFiles, writeHalf,
} from './store-support.js'

let store: TestStore
beforeAll(async () => {
  store = await makeStore()
})

/** Chunks with a number of their own for every try, so that they are new. */
let numbers = 1000
const someNumbers = (): readonly [number, number, number] => [numbers++, numbers++, numbers++]

const directoryOf = ({ type, id }: SnapshotName): string => join(store.base, type, id)

interface Step {
  readonly call: FileCall
  readonly name: string
}

/** The changes that a backup makes, in order; found by making one. */
async function stepsOf(prepare: (snapshot: SnapshotName) => Promise<readonly number[]>, snapshot: SnapshotName): Promise<readonly Step[]> {
  const content = await prepare(snapshot)
  const steps: Step[] = []
  const files = watchedFiles((call, path) => {
    if (CHANGES.has(call)) steps.push({ call, name: path.slice(store.base.length + 1).replace(/[0-9a-f]{64}/, 'chunk').replace(/tmp_[0-9a-f]{6}/, 'tmp').replace(/[0-9a-f]{4}\/chunk/, 'chunk').replaceAll(snapshot.id, 'id') })
  })
  const watched = await openAgain(store, { files, syncLevel: 'file' })
  await backUp(watched, later(snapshot), content)
  return steps
}

/** Every snapshot that lists restores; what does not, has no manifest. */
async function expectWhole(datastore: Datastore, expected: ReadonlyMap<number, readonly number[]>, group: SnapshotName): Promise<number> {
  let finished = 0
  for (const snapshot of await datastore.snapshots(group)) {
    if (!(await datastore.snapshotFiles(snapshot))?.finished) continue
    await expectImage(datastore, snapshot, expected.get(snapshot.time)!)
    finished++
  }
  return finished
}

/** How a backup ends at a change of the file system: before it, or with half of the file written. */
interface End extends Step {
  readonly index: number
  readonly half: boolean
  readonly exits: boolean
}

const nameOf = ({ call, name, half, exits }: End): string => `${exits ? 'exit at' : 'death at'} ${half ? 'half of ' : ''}${call} ${name}`

/** Ends a backup, looks at what it left, makes the next one. Returns the number of snapshots that were whole in between. */
async function endAndGoOn(peer: Peer, group: SnapshotName, before: readonly number[], content: readonly number[], { index, half, exits }: End): Promise<number> {
  const answer = await peer.ask({ verb: 'backup', snapshot: later(group), numbers: content, syncLevel: 'file', endAt: index + 1, half, exits })
  expect(answer).toBe(exits ? 'ended with 3' : 'ended with SIGKILL')
  const { datastore } = store
  const expected = new Map([[group.time, before], [group.time + 1, content], [group.time + 2, content]])
  const left = await expectWhole(datastore, expected, group)
  await until(() => datastore.locks.oldestWriter() === undefined)
  await backUp(datastore, later(group, 2), content, 30_000)
  expect(await expectWhole(datastore, expected, group)).toBe(left + 1)
  expect((await datastore.snapshots(group)).length).toBe(left + 1) // no unfinished one
  expect(tree(directoryOf(group)).filter(path => path.includes('tmp'))).toEqual([])
  return left
}

/** Processes are made ready while others die. */
async function withPeers(orders: readonly ((peer: Peer) => Promise<void>)[]): Promise<void> {
  let next = Peer.start(store)
  for (const [index, order] of orders.entries()) {
    const peer = await next
    if (index + 1 < orders.length) next = Peer.start(store)
    await order(peer)
  }
}

describe.each([
  { name: 'the second of its group', before: true, expected: 17 },
  { name: 'the first of its group', before: false, expected: 22 },
])('a backup that ends by SIGKILL or by exit, $name', ({ before, expected }) => {
  const prepare = async (snapshot: SnapshotName): Promise<readonly number[]> => {
    const [a, b, c] = someNumbers()
    if (before) await backUp(store.datastore, snapshot, [a, b])
    return before ? [a, c] : [a, b]
  }

  test('before every change, and in the middle of every file', async () => {
    const steps = await stepsOf(prepare, newGroup())
    expect(steps.length).toBe(expected)
    const manifest = steps.findIndex(({ call, name }) => call === 'rename' && name.includes('index.json.blob'))
    expect(manifest).toBeGreaterThan(10)
    const ends = steps.flatMap((step, index): End[] => [
      { index, half: false, exits: false, ...step },
      { index, half: false, exits: true, ...step },
      ...(step.call === 'create' ? [{ index, half: true, exits: false, ...step }] : []),
    ])
    const seen: string[] = []
    await withPeers(ends.map(end => async peer => {
      const group = newGroup()
      const content = await prepare(group)
      const left = await endAndGoOn(peer, group, before ? [content[0]!, content[0]! + 1] : [], content, end)
      seen.push(`${nameOf(end)}: ${left}`)
    }))
    const base = before ? 1 : 0
    expect(seen).toEqual(ends.map(end => `${nameOf(end)}: ${base + (end.index > manifest ? 1 : 0)}`))
  }, 280_000)
})

describe('the file system refuses every change in turn', () => {
  test.each([
    { errno: 'ENOSPC', half: false, code: 'DATASTORE_NO_SPACE' },
    { errno: 'ENOSPC', half: true, code: 'DATASTORE_NO_SPACE' },
    { errno: 'EIO', half: false, code: 'DATASTORE_IO' },
  ])('$errno, half of a file is written: $half: the backup fails or is whole, what it wrote goes, the next one succeeds', async ({ errno, half, code }) => {
    const prepare = async (snapshot: SnapshotName): Promise<readonly number[]> => {
      const [a, b, c] = someNumbers()
      await backUp(store.datastore, snapshot, [a, b])
      return [a, c]
    }
    const count = (await stepsOf(prepare, newGroup())).length
    const outcomes = new Set<string>()
    for (let failAt = 1; failAt <= count; failAt++) {
      const group = newGroup()
      const content = await prepare(group)
      let changes = 0
      const files = watchedFiles(async (call, path, args) => {
        if (!CHANGES.has(call) || ++changes !== failAt) return
        if (half && args[1] instanceof Uint8Array) await writeHalf(path, args[1])
        throw refusal(errno, call, path)
      })
      const failing = await openAgain(store, { files, syncLevel: 'file' })
      outcomes.add(await codeOf(() => backUp(failing, later(group), content)))
      const expected = new Map([[group.time, [content[0]!, content[0]! + 1]], [group.time + 1, content], [group.time + 2, content]])
      const left = await expectWhole(store.datastore, expected, group)
      expect((await store.datastore.snapshots(group)).length).toBe(left)
      expect(tree(directoryOf(group)).filter(path => path.includes('tmp'))).toEqual([])
      expect(store.datastore.running()).toEqual([])
      await backUp(store.datastore, later(group, 2), content)
      await failing.close()
    }
    expect([...outcomes]).toEqual([code])
  }, 120_000)
})

test('an aborted first backup leaves no group', async () => {
  const group = newGroup()
  const session = await store.datastore.startBackup(group, { owner: 'alice@pbs' })
  expect(readdirSync(directoryOf(group)).length).toBe(2)
  await session.abort()
  expect(existsSync(directoryOf(group))).toBe(false)
})
