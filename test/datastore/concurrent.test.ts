/** Many processes at one thing: no edit of a manifest is lost, a chunk is stored once, and who only reads opens no file. */
import { readdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { digestToHex, type SnapshotName } from '../../src/datastore/index.js'
import { backUp, chunk, expectImage, later, makeStore, manifestOf, newGroup, openAgain, OWNER, Peer, type TestStore, watchedFiles, writeImage } from './store-support.js'

let store: TestStore
beforeAll(async () => {
  store = await makeStore()
})

async function newSnapshot(): Promise<SnapshotName> {
  const snapshot = newGroup()
  await backUp(store.datastore, snapshot, [1, 2])
  return snapshot
}

const EDITS = 10_000

test('two processes edit one manifest 10 000 times: no edit is lost', async () => {
  const snapshot = await newSnapshot()
  const peers = await Promise.all([Peer.start(store), Peer.start(store)])
  const reader = await openAgain(store)
  const seen: number[] = []
  let done = false
  const edits = Promise.all(peers.map(peer => peer.ask({ verb: 'count', snapshot, times: EDITS / peers.length }))).finally(() => done = true)
  while (!done) {
    const { unprotected } = await reader.loadManifest(snapshot)
    seen.push(Number(unprotected['count'] ?? 0))
    await new Promise(resolve => setImmediate(resolve))
  }
  expect(await edits).toEqual(['counted', 'counted'])
  expect((await reader.loadManifest(snapshot)).unprotected['count']).toBe(EDITS)
  expect(seen).toEqual(seen.toSorted((a, b) => a - b)) // who reads without a lock never sees an older one again
  expect(new Set(seen).size).toBeGreaterThan(1)
}, 180_000)

test('a manifest is read from the disk once, and again only after somebody has locked it, in whatever process', async () => {
  const snapshots: SnapshotName[] = []
  for (let number = 0; number < 20; number++) snapshots.push(await newSnapshot())
  const opened: string[] = []
  const counting = await openAgain(store, { files: watchedFiles((call, path) => {
    if (call === 'read') opened.push(path)
  }) })
  const loadAll = async (): Promise<number> => {
    opened.length = 0
    for (const snapshot of snapshots) await counting.loadManifest(snapshot)
    return opened.length
  }
  expect(await loadAll()).toBe(20)
  for (let time = 0; time < 100; time++) expect(await loadAll()).toBe(0)
  const peer = await Peer.start(store)
  expect(await peer.ask({ verb: 'count', snapshot: snapshots[7]!, times: 3 })).toBe('counted')
  expect(await loadAll()).toBeLessThanOrEqual(2) // names in one slot share a version: once in a thousand runs there are two
  expect(opened.filter(path => path.includes(`/${snapshots[7]!.id}/`)).length).toBe(1)
  expect((await counting.loadManifest(snapshots[7]!)).unprotected['count']).toBe(3)
  await store.datastore.setNotes(snapshots[8]!, 'new')
  expect(await loadAll()).toBeLessThanOrEqual(2)
  expect(opened.filter(path => path.includes(`/${snapshots[8]!.id}/`)).length).toBe(1)
  expect(await loadAll()).toBe(0)
})

test('four processes insert the same 200 chunks at a time: each is stored once', async () => {
  const [from, to] = [50_000, 50_200]
  const peers = await Promise.all(Array.from({ length: 4 }, () => Peer.start(store)))
  const stored = await Promise.all(peers.map(peer => peer.ask({ verb: 'insert', from, to })))
  expect(stored.reduce((sum, answer) => sum + Number(answer), 0)).toBe(to - from)
  for (let number = from; number < to; number++) {
    const { digest, encoded } = chunk(number)
    const path = store.datastore.chunks.pathOf(digest)
    expect(readdirSync(dirname(path)).filter(name => name.startsWith(digestToHex(digest)))).toEqual([digestToHex(digest)])
    expect(statSync(path).size).toBe(encoded.length)
  }
})

test('two sessions upload the same chunks: the store has them once, both snapshots restore, and the statistics say who was first', async () => {
  const numbers = [60_001, 60_002, 60_003]
  const [one, two] = [newGroup(), later(newGroup())]
  const sessions = await Promise.all([one, two].map(snapshot => store.datastore.startBackup(snapshot, { owner: OWNER })))
  const written = await Promise.all(sessions.map(session => writeImage(session, 'disk.img.fidx', numbers)))
  await Promise.all(sessions.map((session, index) => session.finish(manifestOf(session.snapshot, [written[index]!]))))
  for (const snapshot of [one, two]) await expectImage(store.datastore, snapshot, numbers)
  const statistics = await Promise.all([one, two].map(async snapshot => (await store.datastore.loadManifest(snapshot)).unprotected['chunk_upload_stats']))
  const duplicates = statistics.map(each => (each as { readonly duplicates: number }).duplicates)
  expect(duplicates.reduce((a, b) => a + b)).toBe(numbers.length)
})
