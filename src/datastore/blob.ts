/**
 * blob.ts: the container of every chunk and of every small file: raw, compressed, encrypted, or both. Pure.
 *
 * Compressed first, then encrypted. Compression is kept only where it does not make the data longer. The checksum is of the payload
 * as stored; it finds damage, not forgery.
 */
import { crc32 } from 'node:zlib'
import type { CryptKey } from './crypt.js'
import { DatastoreError, FormatError } from './errors.js'
import { BLOB, MAGIC, MAGIC_BYTES, MAX_BLOB_BYTES } from './format.js'
import { copyBytes } from './shared-bytes.js'
import { decompress, tryCompress } from './zstd.js'

export type BlobKind = 'raw' | 'zstd' | 'encrypted' | 'encrypted-zstd'

export interface BlobOptions {
  /** Compress where that does not make it longer. Default: true. */
  readonly compress?: boolean | undefined
  /** Encrypt with this. Default: not encrypted. */
  readonly key?: CryptKey | undefined
}

export interface DecodeBlobOptions {
  /** Needed for the encrypted kinds, not used for the others. */
  readonly key?: CryptKey | undefined
  /** Most plain bytes. Default and maximum: 128 MiB. */
  readonly maxBytes?: number | undefined
  /** What is encrypted is decrypted where it is: for who reads many blobs into the same memory, as fresh memory costs a page fault for every 4 KiB. Default: `raw` is left as it is. */
  readonly inPlace?: boolean | undefined
  /** The file, for errors. */
  readonly where: string
}

const MAGIC_OF: Readonly<Record<BlobKind, Buffer>> = {
  'raw': MAGIC.BLOB,
  'zstd': MAGIC.BLOB_ZSTD,
  'encrypted': MAGIC.BLOB_ENCRYPTED,
  'encrypted-zstd': MAGIC.BLOB_ENCRYPTED_ZSTD,
}
const KINDS = Object.entries(MAGIC_OF) as readonly (readonly [kind: BlobKind, magic: Buffer])[]

export const isEncryptedKind = (kind: BlobKind): boolean => kind === 'encrypted' || kind === 'encrypted-zstd'

/**
 * What the bytes are, by the first eight alone: enough of a file to tell whether it is encrypted.
 *
 * @throws {FormatError} `FORMAT_TRUNCATED` or `FORMAT_MAGIC`.
 */
export function blobKind(raw: Uint8Array, where = 'the blob'): BlobKind {
  if (raw.length < MAGIC_BYTES) throw new FormatError('FORMAT_TRUNCATED', { path: where, offset: raw.length, expected: `a magic of ${MAGIC_BYTES} bytes`, found: `${raw.length}` })
  for (const [kind, magic] of KINDS) if (magic.equals(raw.subarray(0, MAGIC_BYTES))) return kind
  const found = Buffer.from(raw.subarray(0, MAGIC_BYTES)).toString('hex')
  throw new FormatError('FORMAT_MAGIC', { path: where, offset: 0, expected: 'the magic of a blob', found })
}

const headerBytes = (kind: BlobKind) => (isEncryptedKind(kind) ? BLOB.CIPHERTEXT : BLOB.PAYLOAD)

/** Most bytes that the file of a blob has beside the plain ones. */
export const MAX_HEADER_BYTES = BLOB.CIPHERTEXT

/**
 * The file of a blob or chunk. Synchronous; 4 MiB take about 10 ms, nearly all of it zstd.
 *
 * @throws {RangeError} More than 128 MiB.
 */
export function encodeBlob(plain: Uint8Array, options: BlobOptions = {}): Buffer {
  const payload = payloadOf(plain, options)
  const raw = Buffer.allocUnsafe(payload.bytes.length + headerBytes(kindOf(payload, options)))
  write(raw, payload, options)
  return raw
}

/**
 * As encodeBlob(), into memory that there is: for who encodes many, as fresh memory costs a page fault for every 4 KiB.
 *
 * @param target  At least MAX_HEADER_BYTES longer than `plain`; may be shared.
 * @returns the length of the blob.
 */
export function encodeBlobInto(target: Buffer, plain: Uint8Array, options: BlobOptions = {}): number {
  return write(target, payloadOf(plain, options), options)
}

interface Payload {
  readonly bytes: Uint8Array
  readonly isCompressed: boolean
}

function payloadOf(plain: Uint8Array, { compress = true }: BlobOptions): Payload {
  if (plain.length > MAX_BLOB_BYTES) throw new RangeError(`a blob must have at most ${MAX_BLOB_BYTES} bytes, not ${plain.length}`)
  const compressed = compress ? tryCompress(plain) : undefined
  return { bytes: compressed ?? plain, isCompressed: compressed !== undefined }
}

const kindOf = ({ isCompressed }: Payload, { key }: BlobOptions): BlobKind => (key === undefined ? (isCompressed ? 'zstd' : 'raw') : isCompressed ? 'encrypted-zstd' : 'encrypted')

function write(target: Buffer, payload: Payload, options: BlobOptions): number {
  const kind = kindOf(payload, options)
  const from = headerBytes(kind)
  const to = from + payload.bytes.length
  const stored = target.subarray(from, to)
  if (options.key === undefined) copyBytes(stored, 0, payload.bytes)
  else {
    const { iv, tag } = options.key.encryptInto(payload.bytes, stored)
    target.set(iv, BLOB.IV)
    target.set(tag, BLOB.TAG)
  }
  target.set(MAGIC_OF[kind])
  target.writeUInt32LE(crc32(stored), BLOB.CRC)
  return to
}

/**
 * Checks all that can be checked without a key: magic, length, checksum.
 *
 * @throws {FormatError} `FORMAT_TRUNCATED`, `FORMAT_MAGIC` or `FORMAT_CHECKSUM`.
 */
export function checkBlob(raw: Uint8Array, where: string): BlobKind {
  const kind = blobKind(raw, where)
  const from = headerBytes(kind)
  if (raw.length < from) throw new FormatError('FORMAT_TRUNCATED', { path: where, offset: raw.length, expected: `a header of ${from} bytes`, found: `${raw.length}` })
  const stored = new DataView(raw.buffer, raw.byteOffset).getUint32(BLOB.CRC, true)
  const actual = crc32(raw.subarray(from))
  if (stored === actual) return kind
  const hex = (value: number) => value.toString(16).padStart(8, '0')
  throw new FormatError('FORMAT_CHECKSUM', { path: where, offset: BLOB.CRC, expected: `the payload's CRC-32, ${hex(actual)}`, found: hex(stored) })
}

function decrypt(raw: Uint8Array, { key, where, inPlace = false }: DecodeBlobOptions): Buffer {
  if (key === undefined) throw new DatastoreError('KEY_MISSING', `${where} is encrypted, and no key was given`, { path: where })
  const stored = Buffer.from(raw.buffer, raw.byteOffset + BLOB.CIPHERTEXT, raw.byteLength - BLOB.CIPHERTEXT)
  const plain = key.tryDecrypt(raw.subarray(BLOB.IV, BLOB.TAG), raw.subarray(BLOB.TAG, BLOB.CIPHERTEXT), stored, inPlace ? stored : undefined)
  if (plain !== undefined) return plain
  throw new DatastoreError('KEY_WRONG', `${where} cannot be decrypted: it was encrypted with another key, or changed since`, { path: where })
}

/**
 * The plain bytes; of an unencrypted and uncompressed blob a view of `raw`, no copy.
 *
 * @throws {FormatError} `FORMAT_…`, see errors.ts.
 * @throws {DatastoreError} `KEY_MISSING` or `KEY_WRONG`.
 */
export function decodeBlob(raw: Uint8Array, options: DecodeBlobOptions): Buffer {
  const { where } = options
  const maxBytes = Math.min(options.maxBytes ?? MAX_BLOB_BYTES, MAX_BLOB_BYTES)
  const kind = checkBlob(raw, where)
  const base = headerBytes(kind)
  const payload = raw.subarray(base)
  if ((kind === 'raw' || kind === 'encrypted') && payload.length > maxBytes) {
    throw new FormatError('FORMAT_TOO_LARGE', { path: where, offset: base, expected: `at most ${maxBytes} bytes of plain data`, found: `${payload.length}` })
  }
  const open = isEncryptedKind(kind) ? decrypt(raw, options) : payload
  if (kind === 'zstd' || kind === 'encrypted-zstd') return decompress(open, { where, base, maxBytes })
  return Buffer.from(open.buffer, open.byteOffset, open.byteLength)
}
