/** What the tests of the store share: stores on tmpfs, small backups, a door to the file system that counts and fails. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect } from 'vitest'
import {
  type BackupSession, createManifest, Datastore, DatastoreError, type DatastoreOptions, type Digest, digestToHex, encodeBlob, type Files, type FileError,
  type Manifest, sha256, type SnapshotName, type WrittenArchive,
} from '../../src/datastore/index.js'
import { FileError as SystemFileError, systemFiles } from '../../src/datastore/files.js'

export const OWNER = 'alice@pbs'
/** A fixed index's chunks in the tests: small, so that there are many. */
export const CHUNK_BYTES = 4096

const cleanups: (() => Promise<void> | void)[] = []

afterAll(async () => {
  for (let cleanup = cleanups.pop(); cleanup !== undefined; cleanup = cleanups.pop()) await cleanup()
})

export function afterAllTests(cleanup: () => Promise<void> | void): void {
  cleanups.push(cleanup)
}

/** On tmpfs, removed after the file's tests. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync('/dev/shm/locktable-store-')
  afterAllTests(() => {
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}

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
export const later = (snapshot: SnapshotName, seconds = 1): SnapshotName => ({ ...snapshot, time: snapshot.time + seconds })

/** Chunk `number` of the tests: bytes that do not compress to nothing. */
export function chunk(number: number, bytes = CHUNK_BYTES): { readonly plain: Buffer; readonly digest: Digest; readonly encoded: Buffer } {
  const plain = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at += 32) sha256(Buffer.from(`${number}.${at}`)).copy(plain, at)
  return { plain, digest: sha256(plain), encoded: encodeBlob(plain) }
}

export const asFiles = (archives: readonly WrittenArchive[]): Manifest['files'] => archives.map(archive => ({ ...archive, cryptMode: 'none' as const }))

export function manifestOf({ type, id, time }: SnapshotName, archives: readonly WrittenArchive[], unprotected = {}): Manifest {
  return createManifest({ backupType: type, backupId: id, backupTime: time, files: asFiles(archives), unprotected })
}

/** Uploads what the session does not know, and writes the index of an image of these chunks. */
export async function writeImage(session: BackupSession, filename: string, numbers: readonly number[]): Promise<WrittenArchive> {
  const writer = await session.createFixedIndex(filename, numbers.length * CHUNK_BYTES, { chunkBytes: CHUNK_BYTES })
  for (const number of numbers) {
    const { plain, digest, encoded } = chunk(number)
    if (!session.knownChunks.has(digestToHex(digest))) await session.insertChunk(digest, plain.length, encoded)
    await writer.append(digest, plain.length)
  }
  return await writer.close()
}

/** A whole backup of one image of these chunks and a blob. */
export async function backUp(datastore: Datastore, snapshot: SnapshotName, numbers: readonly number[]): Promise<Manifest> {
  await using session = await datastore.startBackup(snapshot, { owner: OWNER })
  const image = await writeImage(session, 'disk.img.fidx', numbers)
  const blob = await session.addBlob('host.conf.blob', encodeBlob(Buffer.from('name: test\n')))
  const manifest = manifestOf(snapshot, [image, blob])
  await session.finish(manifest)
  return manifest
}

/** The image that backUp() made is these chunks, every byte read through a reader. */
export async function expectImage(datastore: Datastore, snapshot: SnapshotName, numbers: readonly number[]): Promise<void> {
  using reader = await datastore.openReader(snapshot)
  const archive = await reader.openArchive('disk.img.fidx')
  expect((await archive.read(0, archive.size)).equals(Buffer.concat(numbers.map(number => chunk(number).plain)))).toBe(true)
}

/** The code of the DatastoreError that it ends with. */
export async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action()
    return 'no error'
  } catch (error) {
    return error instanceof DatastoreError ? error.code : `${(error as Error).name}: ${(error as Error).message}`
  }
}

/** Of all files below a directory, with their sizes; directories end in a slash. */
export function tree(directory: string, below = ''): readonly string[] {
  return readdirSync(join(directory, below), { withFileTypes: true }).flatMap(entry => {
    const path = join(below, entry.name)
    return entry.isDirectory() ? [`${path}/`, ...tree(directory, path)] : [path]
  }).sort()
}

export const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

export type FileCall = keyof Files
/** What changes the file system; the others only look. */
export const CHANGES: ReadonlySet<FileCall> = new Set<FileCall>(['create', 'link', 'rename', 'unlink', 'makeDirectory', 'makeDirectories', 'removeDirectory', 'touch', 'syncDirectory', 'syncFilesystem'])

/** The real door, with somebody who is told of each call before it is made, and may throw. */
export function watchedFiles(before: (call: FileCall, path: string, args: readonly unknown[]) => Promise<void> | void): Files {
  return new Proxy(systemFiles, {
    get: (files, call: FileCall) => async (...args: readonly unknown[]) => {
      await before(call, args[0] as string, args)
      return await (files[call] as (...args: readonly unknown[]) => Promise<unknown>)(...args)
    },
  })
}

/** The refusal of the operating system that a full disk gives. */
export function refusal(errno: string, call: string, path: string): FileError {
  return new SystemFileError(call, path, Object.assign(new Error(`${errno}: made by the test`), { code: errno }))
}
