/**
 * source.ts: one source of a backup into the archive of a session.
 */
import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, open, readFile, realpath, stat } from 'node:fs/promises'
import { addAbortSignal } from 'node:stream'
import type { BackupSession } from './backup.js'
import { encodeBlob } from './blob.js'
import { CatalogueBuilder, catalogueName, fingerprintOf, settledAt } from './catalogue.js'
import type { CryptKey } from './crypt.js'
import { blockDeviceBytes } from './device.js'
import { digestToHex } from './digest.js'
import { DatastoreError } from './errors.js'
import { FIXED_CHUNK_BYTES, MAX_BLOB_BYTES } from './format.js'
import type { DynamicIndexWriter, FixedIndexWriter, WrittenArchive } from './index-writer.js'
import type { Meter } from './meter.js'
import { packSteps, packStream } from './pipeline/dynamic.js'
import { packFixed } from './pipeline/fixed.js'
import type { FileProblem } from './pipeline/jobs.js'
import type { ChunkSink, PackedChunk, PackOptions } from './pipeline/pack.js'
import type { WorkerPool } from './pipeline/pool.js'
import { planReuse } from './pipeline/reuse.js'
import type { PreviousArchive } from './previous.js'
import type { Source } from './transfer.js'
import { treeEntries, type TreeStreamEntry } from './tree/read.js'

export interface SourceContext {
  readonly session: BackupSession
  readonly pool: WorkerPool
  readonly meter: Meter
  /** Encrypts with it. */
  readonly key: CryptKey | undefined
  readonly signal: AbortSignal | undefined
  /** What the previous snapshot has of an archive, if it is to be used. */
  readonly previousOf: (archive: string) => Promise<PreviousArchive | undefined>
}

const EXTENSIONS: Readonly<Record<Source['kind'], string>> = { image: 'fidx', stream: 'didx', directory: 'didx', blob: 'blob' }

/** What the archive is called in the snapshot. */
export const archiveNameOf = ({ name, kind }: Source): string => `${name}.${EXTENSIONS[kind]}`

/** What its catalogue is called, if it gets one. */
export const catalogueOf = (source: Source): string | undefined => (source.kind === 'image' || source.kind === 'directory' ? catalogueName(archiveNameOf(source)) : undefined)

/**
 * The archive, and its catalogue.
 *
 * @throws {DatastoreError} `SOURCE_…`, and what the session throws
 */
export async function backUpSource(source: Source, context: SourceContext): Promise<readonly WrittenArchive[]> {
  const name = archiveNameOf(source)
  switch (source.kind) {
    case 'image': return await backUpImage(source.path, name, context)
    case 'blob': return [await backUpBlob(source.path, name, context)]
    case 'stream': {
      const stream = context.signal === undefined ? source.stream : addAbortSignal(context.signal, source.stream)
      return [await writeDynamic(name, packStream(bytesOf(stream), packOptions(context)), context)]
    }
    case 'directory': return await backUpDirectory(source, name, context)
  }
}

/** Bytes of files and devices; undefined: not known before they are read. */
export async function sizeOf(source: Source): Promise<number | undefined> {
  if (source.kind !== 'image' && source.kind !== 'blob') return undefined
  return await imageBytes(source.path, await readingSource(source.path, () => stat(source.path, { bigint: true })))
}

async function backUpImage(path: string, name: string, context: SourceContext): Promise<readonly WrittenArchive[]> {
  const settledNs = settledAt(Date.now())
  const file = await openImage(path)
  try {
    const info = await file.stat({ bigint: true })
    const bytes = await imageBytes(path, info)
    if (bytes === 0) throw new DatastoreError('SOURCE_WRONG', `${path} is empty, which an image cannot be`, { path })
    const fingerprint = info.isFile() ? imageFingerprint(info) : undefined // a device has no time of change
    const unchanged = fingerprint && await unchangedImage(name, fingerprint, context)
    const writer = await context.session.createFixedIndex(name, bytes)
    const written = await write(writer, packFixed(file.fd, bytes, { ...packOptions(context), digestAt: unchanged && (chunk => unchanged.index.digestAt(chunk)) }), context)
    if (fingerprint === undefined) return [written]
    const isWhole = info.ctimeNs <= settledNs && (await file.stat({ bigint: true })).ctimeNs === info.ctimeNs
    const catalogue = new CatalogueBuilder()
    catalogue.add(bytes, isWhole ? fingerprint : undefined)
    return [written, ...await writeCatalogue(written, catalogue, context)]
  } finally {
    await file.close()
  }
}

const imageFingerprint = ({ size, mtimeNs, ctimeNs, ino }: BigIntStats): Buffer => fingerprintOf(Buffer.from(`image ${size} ${mtimeNs} ${ctimeNs} ${ino}`))

async function unchangedImage(name: string, fingerprint: Uint8Array, { previousOf }: SourceContext): Promise<PreviousArchive | undefined> {
  const previous = await previousOf(name)
  if (previous === undefined || !('chunkBytes' in previous.index) || previous.index.chunkBytes !== FIXED_CHUNK_BYTES) return undefined
  return previous.catalogue.count === 1 && previous.catalogue.isEqual(0, fingerprint) ? previous : undefined
}

/** None where it would be too large, or its name too long. */
async function writeCatalogue(archive: WrittenArchive, catalogue: CatalogueBuilder, { session, key }: SourceContext): Promise<readonly WrittenArchive[]> {
  const name = catalogueName(archive.filename)
  const encoded = catalogue.encode(archive)
  return name === undefined || encoded === undefined ? [] : [await session.addBlob(name, encodeBlob(encoded, { key }))]
}

async function openImage(path: string): Promise<FileHandle> {
  return await readingSource(path, () => open(path, constants.O_RDONLY | constants.O_NONBLOCK))
}

async function imageBytes(path: string, info: BigIntStats): Promise<number> {
  if (info.isFile()) return Number(info.size)
  if (!info.isBlockDevice()) throw new DatastoreError('SOURCE_WRONG', `${path} is neither a file nor a block device`, { path })
  return await readingSource(path, () => blockDeviceBytes({ rdev: Number(info.rdev) }))
}

async function backUpBlob(path: string, name: string, { session, key, meter }: SourceContext): Promise<WrittenArchive> {
  const bytes = await readingSource(path, async () => {
    const { size } = await stat(path)
    return size > MAX_BLOB_BYTES ? undefined : await readFile(path)
  })
  if (bytes === undefined || bytes.length > MAX_BLOB_BYTES) throw new DatastoreError('SOURCE_WRONG', `${path} is larger than the ${MAX_BLOB_BYTES} bytes of a blob`, { path })
  const encoded = encodeBlob(bytes, { key })
  const written = await session.addBlob(name, encoded)
  meter.countBytes(bytes.length)
  return written
}

async function backUpDirectory({ path, exclude, oneFileSystem }: Source & { readonly kind: 'directory' }, name: string, context: SourceContext): Promise<readonly WrittenArchive[]> {
  const info = await readingSource(path, () => stat(path))
  if (!info.isDirectory()) throw new DatastoreError('SOURCE_WRONG', `${path} is no directory`, { path })
  const { pool, meter, previousOf } = context
  const root = await readingSource(path, () => realpath(path))
  const previous = await previousOf(name)
  const catalogue = new CatalogueBuilder()
  const entries = treeEntries(root, { pool, exclude, oneFileSystem, settledNs: settledAt(Date.now()), onProblem: meter.onProblem, onEntry: meter.onEntry })
  const options = packOptions(context)
  const steps = planReuse(catalogued(entries, catalogue), previous, digest => options.sink.reuseChunk(digest))
  const onProblem = (problem: FileProblem): void => {
    meter.onProblem(problem)
    if (problem.entry !== undefined) catalogue.doubt(problem.entry)
  }
  const written = await writeDynamic(name, packSteps(steps, { ...options, onProblem }), context)
  return [written, ...await writeCatalogue(written, catalogue, context)]
}

async function* catalogued(batches: AsyncIterable<readonly TreeStreamEntry[]>, catalogue: CatalogueBuilder): AsyncGenerator<readonly TreeStreamEntry[], void, undefined> {
  for await (const batch of batches) {
    for (const { bytes, fingerprint, isSettled } of batch) catalogue.add(bytes, isSettled ? fingerprint : undefined)
    yield batch
  }
}

const packOptions = ({ session, pool, key, signal, meter }: SourceContext): PackOptions => ({ pool, sink: sinkOf(session, meter), key, signal })

/** The chunks were made in this process a moment ago: to decode each again would find nothing. */
function sinkOf(session: BackupSession, meter: Meter): ChunkSink {
  const missingChunks = new Set<string>()
  return {
    knownChunks: session.knownChunks,
    missingChunks,
    reuseChunk: async digest => {
      const bytes = await session.reuseChunk(digest)
      if (bytes === undefined) missingChunks.add(digestToHex(digest))
      return bytes
    },
    insertChunk: async (digest, plainBytes, encoded) => {
      const { duplicate, storedBytes } = await session.insertChunk(digest, plainBytes, encoded, { verify: false })
      if (!duplicate) meter.countStored(storedBytes)
    },
  }
}

async function writeDynamic(name: string, chunks: AsyncIterable<PackedChunk>, context: SourceContext): Promise<WrittenArchive> {
  return await write(context.session.createDynamicIndex(name), chunks, context)
}

async function write(writer: FixedIndexWriter | DynamicIndexWriter, chunks: AsyncIterable<PackedChunk>, { meter }: SourceContext): Promise<WrittenArchive> {
  for await (const { digest, length, isRead } of chunks) {
    meter.enter('data')
    await writer.append(digest, length)
    meter.countChunk(length, isRead)
  }
  return await writer.close()
}

async function* bytesOf(stream: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of stream) {
    if (typeof piece === 'string') yield Buffer.from(piece)
    else if (piece instanceof Uint8Array) yield piece
    else throw new TypeError('a stream that is backed up must be one of bytes')
  }
}

async function readingSource<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (error instanceof DatastoreError) throw error
    throw new DatastoreError('SOURCE_IO', `cannot read ${path}: ${(error as Error).message}`, { path, cause: error })
  }
}
