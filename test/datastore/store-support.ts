/** What the tests of the store share: stores on tmpfs that go away, and other processes that do as they are told. */
import { fileURLToPath } from 'node:url'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect } from 'vitest'
import { Datastore, DatastoreError, type DatastoreOptions, type SnapshotName } from '../../src/datastore/index.js'
import { type Bundle, bundle } from '../../bench/lib/bundled.js'
import { Cleanups } from '../support/cleanups.js'
import { codesOf } from '../support/codes.js'
import { ObedientProcess } from '../support/obedient.js'
import { chunk } from './store-content.js'
import type { Order } from './fixtures/store-child.js'

export * from './store-content.js'
export { until } from '../support/until.js'

const cleanups = new Cleanups(afterAll)
export const afterAllTests = cleanups.add
/** On tmpfs, removed after the file's tests. */
export const { temporaryDirectory } = cleanups

export interface TestStore {
  readonly datastore: Datastore
  readonly base: string
  readonly table: string
}

/** One for a whole file of tests: its 65 536 directories take a second. */
export async function makeStore(options: DatastoreOptions = {}): Promise<TestStore> {
  const directory = temporaryDirectory()
  const [base, table] = [join(directory, 'store'), join(directory, 'locks')]
  const datastore = await Datastore.create(base, { table, syncLevel: 'none', ...options })
  afterAllTests(() => datastore.close())
  return { datastore, base, table }
}

/** Another opening of the store, as another process would have. */
export async function openAgain({ base, table }: TestStore, options: DatastoreOptions = {}): Promise<Datastore> {
  const datastore = await Datastore.open(base, { table, syncLevel: 'none', ...options })
  afterAllTests(() => datastore.close())
  return datastore
}

let groups = 0
/** A group that no other test has. */
export const newGroup = (): SnapshotName => ({ namespace: [], type: 'vm', id: `t${groups++}`, time: 1_700_000_000 })
/** The code of the DatastoreError that it ends with. */
export const codeOf = codesOf(DatastoreError)

/** Of all files below a directory, with their sizes; directories end in a slash. */
export function tree(directory: string, below = ''): readonly string[] {
  return readdirSync(join(directory, below), { withFileTypes: true }).flatMap(entry => {
    const path = join(below, entry.name)
    return entry.isDirectory() ? [`${path}/`, ...tree(directory, path)] : [path]
  }).sort()
}

export const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

/** The image that backUp() made is these chunks, every byte read through a reader. */
export async function expectImage(datastore: Datastore, snapshot: SnapshotName, numbers: readonly number[]): Promise<void> {
  using reader = await datastore.openReader(snapshot)
  const archive = await reader.openArchive('disk.img.fidx')
  expect((await archive.read(0, archive.size)).equals(Buffer.concat(numbers.map(number => chunk(number).plain)))).toBe(true)
}

let program: Promise<Bundle> | undefined

/** Another process with the store open (fixtures/store-child.ts). */
export class Peer extends ObedientProcess<Order> {
  private constructor(script: string, { base, table }: TestStore) {
    super(script, [base, table])
    afterAllTests(() => this.kill())
  }

  static async start(store: TestStore): Promise<Peer> {
    if (program === undefined) {
      program = bundle(new URL('fixtures/store-child.ts', import.meta.url))
      afterAllTests(async () => (await program)?.[Symbol.dispose]())
    }
    const peer = new Peer(fileURLToPath((await program).script), store)
    await peer.answer()
    return peer
  }
}
