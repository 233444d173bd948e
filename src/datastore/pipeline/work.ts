/**
 * work.ts: what a thread of the pool does for each job. Synchronous: a thread has nothing else to do, and a synchronous read of a
 * small file costs a tenth of an asynchronous one.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { blobKind, decodeBlob, encodeBlobInto, isEncryptedKind } from '../blob.js'
import { findCandidates, WINDOW_BYTES } from '../chunker.js'
import { CryptKey } from '../crypt.js'
import { type Digest, sha256 } from '../digest.js'
import { DatastoreError, FormatError } from '../errors.js'
import { type PartRead, tryReadPart } from '../file-calls.js'
import { copyBytes } from '../shared-bytes.js'
import { onDisk, readable } from '../tree/byte-path.js'
import { list } from '../tree/list.js'
import { writeFiles } from '../tree/write.js'
import { isZero, writeFully, writeSparse } from './sparse.js'
import { DigestSet } from './digest-set.js'
import type { FilePiece, FileProblem, FileRange, FillJob, FillResult, Job, PackJob, PackResult, Part, Results, UnpackJob } from './jobs.js'

/** Reused from job to job: fresh memory costs a page fault for every 4 KiB. */
let scratch = Buffer.alloc(0)
function scratchOf(length: number): Buffer {
  if (scratch.length < length) scratch = Buffer.allocUnsafeSlow(length)
  return scratch.subarray(0, length)
}

let lastKey: CryptKey | undefined
function keyOf(bytes: Uint8Array | undefined): CryptKey | undefined {
  if (bytes === undefined) return undefined
  if (lastKey === undefined || !lastKey.exportKey().equals(bytes)) lastKey = new CryptKey(bytes)
  return lastKey
}

let lastKnown: DigestSet | undefined
function knownOf(buffer: SharedArrayBuffer): DigestSet {
  if (lastKnown?.buffer !== buffer) lastKnown = new DigestSet({ buffer })
  return lastKnown
}

export function work(job: Job): Results[keyof Results] {
  switch (job.kind) {
    case 'pack': return pack(job)
    case 'fill': return fill(job)
    case 'unpack':
      unpack(job)
      return undefined
    case 'list': return list(job)
    case 'write':
      writeFiles(job)
      return undefined
  }
}

const bytesOf = (part: Part): Buffer => Buffer.from(part.buffer, part.from, part.to - part.from)

function pack({ data, context, output }: PackJob): PackResult {
  const parts = 'offset' in data ? [readRange(data)] : data.map(bytesOf)
  const key = keyOf(context.key)
  const digest = digestOf(parts, key)
  if (!knownOf(context.known).claim(digest)) return { digest, encodedBytes: undefined }
  return { digest, encodedBytes: encodeBlobInto(Buffer.from(output), parts.length === 1 ? parts[0]! : join(parts), { key }) }
}

let lastZeros: { readonly length: number; readonly key: CryptKey | undefined; readonly digest: Digest } | undefined

function digestOf(parts: readonly Buffer[], key: CryptKey | undefined): Digest {
  const hash = (): Digest => (key === undefined ? sha256(...parts) : sha256(...parts, key.idKey))
  if (parts.length !== 1 || !isZero(parts[0]!)) return hash()
  // To see that bytes are zeros takes a fifth of the time of hashing them.
  const { length } = parts[0]!
  if (lastZeros?.length !== length || lastZeros.key !== key) lastZeros = { length, key, digest: hash() }
  return lastZeros.digest
}

function join(parts: readonly Buffer[]): Buffer {
  const joined = scratchOf(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    copyBytes(joined, at, part)
    at += part.length
  }
  return joined
}

function readRange({ fd, offset, length }: FileRange): Buffer {
  const bytes = scratchOf(length)
  if (fd === undefined) return bytes.fill(0)
  const read = readFully(fd, bytes, offset)
  if (read < length) throw new DatastoreError('SOURCE_CHANGED', `the image ended at byte ${offset + read}: it was made shorter while it was read`)
  return bytes
}

/** How many bytes there were. */
function readFully(fd: number, bytes: Uint8Array, offset: number): number {
  let read = 0
  while (read < bytes.length) {
    const count = readSync(fd, bytes, read, bytes.length - read, offset + read)
    if (count === 0) break
    read += count
  }
  return read
}

function fill({ target, pieces, between }: FillJob): FillResult {
  const bytes = bytesOf(target)
  const problems: FileProblem[] = []
  let at = 0
  let used = 0 // of what is between files
  for (const piece of pieces) {
    const length = typeof piece === 'number' ? piece : piece.length
    if (typeof piece === 'number') copyBytes(bytes, at, between.subarray(used, (used += piece)))
    else readPiece(piece, bytes.subarray(at, at + length), problems)
    at += length
  }
  return { candidates: findCandidates(bytes, Math.min(bytes.length, WINDOW_BYTES - 1)), problems }
}

function readPiece({ path: bytes, offset, changed, entry }: FilePiece, target: Buffer, problems: FileProblem[]): void {
  const report = (message: string): unknown => problems.push({ path: readable(bytes), message, entry })
  let read = 0
  try {
    const part = tryReadPart(onDisk(bytes), target, offset)
    if (part === undefined) report('it was replaced by something that is no file')
    else {
      read = part.bytes
      if (read < target.length) report('it was made shorter while it was read')
      else if (changed !== undefined && changedNs(part) !== changed) report('it changed while it was read')
    }
  } catch (error) {
    report((error as Error).message)
  }
  if (read < target.length) target.fill(0, read)
}

const changedNs = ({ changedSeconds, changedNanoseconds }: PartRead): bigint => BigInt(changedSeconds) * 1_000_000_000n + BigInt(changedNanoseconds)

function unpack({ path, digest, length, key: keyBytes, target, keepHoles }: UnpackJob): void {
  const key = keyOf(keyBytes)
  const raw = readChunk(path)
  const plain = decodeBlob(raw, { key, where: path, maxBytes: length, inPlace: true })
  const actual = key !== undefined && isEncryptedKind(blobKind(raw)) ? key.chunkDigest(plain) : sha256(plain)
  if (plain.length !== length || !actual.equals(digest)) {
    const expected = `${length} bytes with the digest ${Buffer.from(digest).toString('hex')}`
    throw new FormatError('FORMAT_CHECKSUM', { path, offset: 0, expected, found: `${plain.length} bytes with ${actual.toString('hex')}` })
  }
  if ('buffer' in target) copyBytes(bytesOf(target), 0, plain)
  else if (target.fd !== undefined) (keepHoles ? writeSparse : writeFully)(target.fd, plain, target.offset)
}

/** All of a chunk's file, until the next one is read. */
function readChunk(path: string): Buffer {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new DatastoreError('CHUNK_MISSING', `the chunk ${path} is missing`, { path, cause })
  }
  try {
    const bytes = scratchOf(fstatSync(fd).size)
    return bytes.subarray(0, readFully(fd, bytes, 0))
  } finally {
    closeSync(fd)
  }
}
