/** What the tests of `locktable store` share: a store on tmpfs for a file of tests, and the command with its environment. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { type CryptKey, createManifest, Datastore, encodeBlob, parseGroup, signManifest, type SnapshotName } from '../../src/datastore/index.js'
import { type End, locktable } from './support.js'

/** Making one takes a second: tests of one file share it, each with groups of its own. */
export const shop = { directory: '', base: '', table: '', environment: {} as NodeJS.ProcessEnv, store: undefined as unknown as Datastore }

beforeAll(async () => {
  shop.directory = mkdtempSync('/dev/shm/locktable-e2e-store-')
  shop.base = join(shop.directory, 'store')
  shop.table = join(shop.directory, 'table')
  mkdirSync(join(shop.directory, 'run'))
  // Nothing of the one who runs the tests: no key, no passphrase, no repository.
  shop.environment = {
    LOCKTABLE_REPOSITORY: shop.base, LOCKTABLE_STORE_TABLE: shop.table, XDG_RUNTIME_DIR: join(shop.directory, 'run'), TERM: 'xterm',
    LOCKTABLE_KEYFILE: '', LOCKTABLE_PASSPHRASE: '', LOCKTABLE_NEW_PASSPHRASE: '',
  }
  Object.assign(process.env, shop.environment)
  shop.store = await Datastore.create(shop.base, { table: shop.table, syncLevel: 'none' })
})

afterAll(async () => {
  await shop.store.close()
  rmSync(shop.directory, { recursive: true, force: true })
})

export const inShop = (...parts: string[]): string => join(shop.directory, ...parts)

export function store(...args: string[]): Promise<End> {
  return locktable('store', ...args)
}

/** What a command prints with --json. */
export async function storeJson(...args: string[]): Promise<any> {
  const end = await store(...args, '--json')
  if (end.err !== '') throw new Error(end.err)
  return JSON.parse(end.out)
}

let names = 0
/** A group that no other test has. */
export const newGroup = (): string => `host/t${++names}`

export const FIRST = Date.UTC(2026, 0, 1) / 1000

/** A snapshot with one small archive, by the library. */
export async function snapshot(group: string, options: { time?: number; key?: CryptKey; notes?: string; namespace?: string[] } = {}): Promise<SnapshotName> {
  const name: SnapshotName = { ...parseGroup(group, options.namespace), time: options.time ?? FIRST }
  await using session = await shop.store.startBackup(name, { owner: 'alice@pam' })
  const blob = await session.addBlob('vm.conf.blob', encodeBlob(Buffer.from(`memory: ${group}`)))
  const unprotected = options.notes === undefined ? {} : { notes: options.notes }
  const manifest = createManifest({ backupType: name.type, backupId: name.id, backupTime: name.time, files: [{ ...blob, cryptMode: 'none' }], unprotected })
  await session.finish(options.key ? signManifest(manifest, options.key) : manifest)
  return name
}
