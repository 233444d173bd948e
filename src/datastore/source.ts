/**
 * source.ts: one source of a backup into the archive of a session.
 */
import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, readFile, realpath, stat } from 'node:fs/promises'
import { addAbortSignal } from 'node:stream'
import type { BackupSession } from './backup.js'
import { encodeBlob } from './blob.js'
import type { CryptKey } from './crypt.js'
import { blockDeviceBytes } from './device.js'
import { DatastoreError } from './errors.js'
import { MAX_BLOB_BYTES } from './format.js'
import type { DynamicIndexWriter, FixedIndexWriter, WrittenArchive } from './index-writer.js'
import type { Meter } from './meter.js'
import { packPieces, packStream } from './pipeline/dynamic.js'
import { packFixed } from './pipeline/fixed.js'
import type { ChunkSink, PackedChunk, PackOptions } from './pipeline/pack.js'
import type { WorkerPool } from './pipeline/pool.js'
import type { Source } from './transfer.js'
import { treePieces } from './tree/read.js'

export interface SourceContext {
  readonly session: BackupSession
  readonly pool: WorkerPool
  readonly meter: Meter
  /** Encrypts with it. */
  readonly key: CryptKey | undefined
  readonly signal: AbortSignal | undefined
}

const EXTENSIONS: Readonly<Record<Source['kind'], string>> = { image: 'fidx', stream: 'didx', directory: 'didx', blob: 'blob' }

/** What the archive is called in the snapshot. */
export const archiveNameOf = ({ name, kind }: Source): string => `${name}.${EXTENSIONS[kind]}`

/** @throws {DatastoreError} `SOURCE_…`, and what the session throws */
export async function backUpSource(source: Source, context: SourceContext): Promise<WrittenArchive> {
  const name = archiveNameOf(source)
  switch (source.kind) {
    case 'image': return await backUpImage(source.path, name, context)
    case 'blob': return await backUpBlob(source.path, name, context)
    case 'stream': {
      const stream = context.signal === undefined ? source.stream : addAbortSignal(context.signal, source.stream)
      return await writeDynamic(name, packStream(bytesOf(stream), packOptions(context)), context)
    }
    case 'directory': return await backUpDirectory(source, name, context)
  }
}

/** Bytes of files and devices; undefined: not known before they are read. */
export async function sizeOf(source: Source): Promise<number | undefined> {
  if (source.kind !== 'image' && source.kind !== 'blob') return undefined
  return await imageBytes(source.path, await readingSource(source.path, () => stat(source.path)))
}

async function backUpImage(path: string, name: string, context: SourceContext): Promise<WrittenArchive> {
  const file = await openImage(path)
  try {
    const bytes = await imageBytes(path, await file.stat())
    if (bytes === 0) throw new DatastoreError('SOURCE_WRONG', `${path} is empty, which an image cannot be`, { path })
    const writer = await context.session.createFixedIndex(name, bytes)
    return await write(writer, packFixed(file.fd, bytes, packOptions(context)), context)
  } finally {
    await file.close()
  }
}

async function openImage(path: string): Promise<FileHandle> {
  return await readingSource(path, () => open(path, constants.O_RDONLY | constants.O_NONBLOCK))
}

async function imageBytes(path: string, info: Stats): Promise<number> {
  if (info.isFile()) return info.size
  if (!info.isBlockDevice()) throw new DatastoreError('SOURCE_WRONG', `${path} is neither a file nor a block device`, { path })
  return await readingSource(path, () => blockDeviceBytes(info))
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

async function backUpDirectory({ path, exclude, oneFileSystem }: Source & { readonly kind: 'directory' }, name: string, context: SourceContext): Promise<WrittenArchive> {
  const info = await readingSource(path, () => stat(path))
  if (!info.isDirectory()) throw new DatastoreError('SOURCE_WRONG', `${path} is no directory`, { path })
  const { pool, meter } = context
  const root = await readingSource(path, () => realpath(path))
  const pieces = treePieces(root, { pool, exclude, oneFileSystem, onProblem: meter.onProblem, onEntry: meter.onEntry })
  return await writeDynamic(name, packPieces(pieces, { ...packOptions(context), onProblem: meter.onProblem }), context)
}

const packOptions = ({ session, pool, key, signal, meter }: SourceContext): PackOptions => ({ pool, sink: sinkOf(session, meter), key, signal })

/** The chunks were made in this process a moment ago: to decode each again would find nothing. */
function sinkOf(session: BackupSession, meter: Meter): ChunkSink {
  return {
    knownChunks: session.knownChunks,
    reuseChunk: digest => session.reuseChunk(digest),
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
  for await (const { digest, length } of chunks) {
    meter.enter('data')
    await writer.append(digest, length)
    meter.countChunk(length)
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
