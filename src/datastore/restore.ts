/**
 * restore.ts: an archive of a snapshot back into a file, a device, a stream or a directory. Every chunk is checked on the way.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import type { ChunkIndex } from './chunk-index.js'
import type { CryptKey } from './crypt.js'
import type { Datastore } from './datastore.js'
import { blockDeviceBytes } from './device.js'
import { DatastoreError } from './errors.js'
import { checkSignature } from './manifest.js'
import { Meter } from './meter.js'
import { archiveKind, formatSnapshot, type SnapshotName } from './names.js'
import type { WorkerPool } from './pipeline/pool.js'
import { withSharedPool } from './pipeline/shared-pool.js'
import { unpackSlabs, unpackStream, unpackToFile } from './pipeline/unpack.js'
import type { ReaderSession } from './reader.js'
import { checkTransfer, type RestoreReport, type Target, TRANSFER_KEYS, type TransferOptions } from './transfer.js'
import { restoreTree } from './tree/restore.js'

interface Context {
  readonly store: Datastore
  readonly reader: ReaderSession
  readonly meter: Meter
  readonly options: TransferOptions
  readonly pool: WorkerPool
}

/**
 * Restores one archive; nobody can remove the snapshot meanwhile.
 *
 * A file is replaced when all of it is there, and is sparse where the data is zeros. Where the file is a pipe or a terminal, it gets the bytes one
 * after the other, as a stream does. A directory gets what is in a .tar archive; set-id bits only with the owner that they are of. After an error, or `signal`, a file is as it was before; a directory, device or stream has what was restored until then.
 *
 * @param archive  With its extension, as `etc.tar.didx`.
 * @throws {DatastoreError} `SNAPSHOT_MISSING`, `ARCHIVE_…`, `CHUNK_…`, `KEY_…`, `SIGNATURE_WRONG`, `FORMAT_…`, `TARGET_…`, `LOCK_BUSY`
 */
export async function restore(store: Datastore, snapshot: SnapshotName, archive: string, target: Target, options: TransferOptions = {}): Promise<RestoreReport> {
  const { key, signal, onProgress } = checkTransfer(options, TRANSFER_KEYS)
  signal?.throwIfAborted()
  const meter = new Meter(onProgress)
  await withSharedPool(async pool => {
    if (!archive.endsWith('.blob')) pool.begin() // while we wait for locks and the index
    const reader = await store.openReader(snapshot, key === undefined ? {} : { key })
    try {
      checkListed(archive, reader, key)
      const context = { store, reader, meter, options, pool }
      if (target.kind === 'file' && await isSequential(target.path)) await restoreSequentially(archive, target.path, context)
      else await restoreArchive(archive, target, context)
    } finally {
      reader.close()
    }
  })
  return { bytes: meter.bytesRead, ...(target.kind === 'directory' ? { files: meter.files } : {}), seconds: meter.seconds, warnings: meter.warnings }
}

function checkListed(archive: string, { manifest, snapshot }: ReaderSession, key: CryptKey | undefined): void {
  if (key !== undefined) checkSignature(manifest, key, formatSnapshot(snapshot))
  const listed = manifest.files.find(({ filename }) => filename === archive)
  if (listed === undefined) throw new DatastoreError('ARCHIVE_MISSING', `${formatSnapshot(snapshot)} has no ${archive}`, { path: archive })
  if (listed.cryptMode === 'encrypt' && key === undefined) throw new DatastoreError('KEY_MISSING', `${archive} is encrypted, and no key was given`, { path: archive })
}

const isSequential = (path: string): Promise<boolean> => stat(path).then(info => info.isFIFO() || info.isCharacterDevice(), () => false)

/** Into something that has no positions. */
async function restoreSequentially(archive: string, path: string, context: Context): Promise<void> {
  const file = await open(path, constants.O_WRONLY).catch((error: unknown) => {
    throw targetError(error, path)
  })
  const stream = file.createWriteStream()
  stream.on('error', () => undefined) // whoever writes is told, too
  try {
    await restoreArchive(archive, { kind: 'stream', stream }, context)
    await new Promise<void>(resolve => stream.end(resolve))
  } finally {
    stream.destroy()
  }
}

async function restoreArchive(archive: string, target: Target, context: Context): Promise<void> {
  const { reader, meter } = context
  if (target.kind === 'directory' && !archive.endsWith('.tar.didx')) throw new RangeError(`${archive} is no directory's archive`)
  if (archiveKind(archive) === 'blob') {
    const bytes = await reader.readBlob(archive)
    meter.totalBytes = bytes.length
    if (target.kind === 'stream') await writeTo(target.stream, [bytes])
    else await replacing(target.path, file => file.writeFile(bytes))
    meter.countBytes(bytes.length)
    return
  }
  const index = await reader.readIndex(archive)
  meter.totalBytes = index.size
  meter.enter('data')
  await restoreIndex(index, target, context)
}

async function restoreIndex(index: ChunkIndex, target: Target, { store, meter, options, pool }: Context): Promise<void> {
  const unpackOptions = { pool, chunkPath: (digest: Uint8Array) => store.chunks.pathOf(digest), key: options.key, signal: options.signal }
  if (target.kind === 'file') {
    await replacing(target.path, async (file, isDevice) => {
      if (isDevice) await checkRoom(file, target.path, index.size)
      else await file.truncate(index.size)
      for await (const length of unpackToFile(index.entries(), file.fd, { ...unpackOptions, keepHoles: !isDevice })) meter.countChunk(length)
    })
    return
  }
  if (target.kind === 'stream') await writeTo(target.stream, counted(unpackStream(index.entries(), unpackOptions), meter), options.signal)
  else await restoreTree(counted(unpackSlabs(index.entries(), unpackOptions), meter), target.path, { pool, onProblem: meter.onProblem, onEntry: meter.onEntry })
}

/** Before the first byte: half an image on a device is worth nothing, and what was there is gone. */
async function checkRoom(file: FileHandle, path: string, neededBytes: number): Promise<void> {
  const bytes = await blockDeviceBytes(await file.stat())
  if (bytes < neededBytes) throw new DatastoreError('TARGET_TOO_SMALL', `${path} has ${bytes} bytes, the archive ${neededBytes}`, { path })
}

async function* counted<T extends { readonly length: number }>(source: AsyncIterable<T>, meter: Meter): AsyncGenerator<T, void, undefined> {
  for await (const part of source) {
    yield part
    meter.countChunk(part.length)
  }
}

/** Fills a device, or makes a new file that takes the place of the old one at the end. */
async function replacing(path: string, fill: (file: FileHandle, isDevice: boolean) => Promise<void>): Promise<void> {
  const isDevice = await stat(path).then(info => info.isBlockDevice(), () => false)
  const made = isDevice ? path : `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const file = await open(made, isDevice ? constants.O_WRONLY : 'wx')
    try {
      await fill(file, isDevice)
    } finally {
      await file.close()
    }
    if (!isDevice) await rename(made, path)
  } catch (error) {
    if (!isDevice) await unlink(made).catch(() => undefined)
    throw targetError(error, path)
  }
}

function targetError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (error instanceof DatastoreError || typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return error
  return new DatastoreError('TARGET_IO', `cannot write ${path}: ${(error as Error).message}`, { path, cause: error })
}

/** What is written is a copy: the memory is used again, and nobody knows how long a stream keeps what it is given. */
async function writeTo(stream: Writable, source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
  let fail = (_error: unknown): void => undefined
  const failure = new Promise<never>((_resolve, reject) => (fail = reject))
  failure.catch(() => undefined)
  const abort = (): void => fail(signal?.reason)
  const close = (): void => fail(new Error('the stream was closed'))
  stream.on('error', fail).on('close', close)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    for await (const bytes of source) {
      const written = new Promise<void>((resolve, reject) => stream.write(Buffer.from(bytes), error => (error ? reject(error) : resolve())))
      await Promise.race([written, failure])
    }
  } catch (error) {
    throw targetError(error, 'the stream')
  } finally {
    stream.off('error', fail).off('close', close)
    signal?.removeEventListener('abort', abort)
  }
}
