/** What the tests of the store write, and the door to the file system that they write through; for the test's process and for others. */
import {
  type BackupSession, createManifest, type Datastore, type Digest, digestToHex, encodeBlob, FileError, type Files, type Manifest, sha256, type SnapshotName,
  type WrittenArchive,
} from '../../src/datastore/index.js'
import { systemFiles } from '../../src/datastore/files.js'

export const OWNER = 'alice@pbs'
/** A fixed index's chunks in the tests: small, so that there are many. */
export const CHUNK_BYTES = 4096

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
export async function backUp(datastore: Datastore, snapshot: SnapshotName, numbers: readonly number[], waitMs?: number): Promise<Manifest> {
  await using session = await datastore.startBackup(snapshot, { owner: OWNER, waitMs })
  const image = await writeImage(session, 'disk.img.fidx', numbers)
  const blob = await session.addBlob('host.conf.blob', encodeBlob(Buffer.from('name: test\n')))
  const manifest = manifestOf(snapshot, [image, blob])
  await session.finish(manifest)
  return manifest
}

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
  return new FileError(call, path, Object.assign(new Error(`${errno}: made by the test`), { code: errno }))
}

/** What an interrupted write leaves. */
export async function writeHalf(path: string, bytes: Uint8Array): Promise<void> {
  await systemFiles.create(path, bytes.subarray(0, bytes.length >> 1), { owner: undefined, sync: false })
}

/** The chunks of a snapshot's image, some of them as in the one before; all that groups have in common is the first one. */
export function contentOf({ id, time }: SnapshotName): readonly number[] {
  const group = 1000 * (1 + Number(/\d+$/.exec(id)?.[0] ?? 0))
  return [1, ...Array.from({ length: 12 }, (_, index) => group + (index < 9 ? index : (time * 3 + index) % 500))]
}
