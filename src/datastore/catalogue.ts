/**
 * catalogue.ts: what an archive was made of, in a blob beside it in the snapshot, so that the group's next backup need not read what has not
 * changed. Pure.
 *
 * NAME      the archive's without the store's extension, and .catalog.blob: `etc.tar.didx` has `etc.tar.catalog.blob`. Listed in the manifest,
 *           encrypted as the archive is, covered by the same signature. Without it, or with one that cannot be used, all is read: nothing
 *           that is restored depends on it.
 * ENTRIES   in the order of the stream. Of a directory: each file, directory, link …, and what ends the archive. An image is one entry.
 *             bytes         in the stream: header, contents, padding
 *             fingerprint   the first 16 bytes of SHA-256 of all that stands in its header: path, type, mode, owner, size, time, target,
 *                           holes; and of what has contents, the time of the last change of status (ctime) in nanoseconds and the inode's
 *                           number (tree/fingerprint.ts). All zero: never equal to anything.
 * EQUAL     Two entries with one fingerprint have the same bytes. Because: what makes the header is part of it; the kernel sets ctime at each
 *           change of contents, and no program can set it (utimes sets it to now); another file in its place has another inode or ctime.
 * RACY      A change within one tick of the clock after the file was read leaves ctime as it was. So an entry whose ctime is not SETTLE_MS
 *           older than the beginning of its listing has no fingerprint: next time it is read. The same for what changed while
 *           it was read, or could not be read.
 * NOT SEEN  A clock that was set back across a change; writes through mmap(2) to a page that was dirty already when the file was read and
 *           was not yet written back (up to half a minute); changes below the file system. restic and borg do not see these either.
 *           Who cannot live with that reads everything: `changeDetection: 'data'`.
 *
 * LAYOUT    magic 8 | version 4 | count 4 | checksum of the archive's index 32 | bytes of the archive 8 | zero 8
 *           then, in columns, as that is what compresses: bytes 6 each | fingerprint 16 each. Little-endian.
 * TRIED     Columns for ctime, inode and the digest of the header: 14 bytes more an entry, and nobody ever asks which of them it was that
 *           changed.
 */
import { hash } from 'node:crypto'
import { DIGEST_BYTES, type Digest } from './digest.js'
import { FormatError, type FormatErrorCode } from './errors.js'
import { MAGIC_BYTES, MAX_BLOB_BYTES } from './format.js'

export const FINGERPRINT_BYTES = 16
/** Whoever changed less than this before the listing began is not trusted: more than the clock of any file system is coarse (FAT: 2 s). */
export const SETTLE_MS = 2000

const MAGIC = Buffer.from('7d2209d06a592549', 'hex')
const VERSION = 1
const LENGTH_BYTES = 6
const ENTRY_BYTES = LENGTH_BYTES + FINGERPRINT_BYTES
const MAX_LENGTH = 2 ** (8 * LENGTH_BYTES) - 1
/** Where the header's fields are. */
const AT = { VERSION: MAGIC_BYTES, COUNT: 12, CSUM: 16, SIZE: 16 + DIGEST_BYTES, ZERO: 24 + DIGEST_BYTES, ENTRIES: 32 + DIGEST_BYTES } as const
/** Beyond this many collisions an entry counts as absent: nobody can make a table slow. */
const MAX_PROBES = 64
const NO_ENTRY = 0
const MAX_NAME_LENGTH = 255

/** The blob's name; undefined if it would be too long for one. */
export function catalogueName(archive: string): string | undefined {
  const name = `${archive.replace(/\.[fd]idx$/, '')}.catalog.blob`
  return name.length > MAX_NAME_LENGTH ? undefined : name
}

/** Whether a file of a snapshot is a catalogue, by its name: it is of no use to who restores. */
export const isCatalogue = (filename: string): boolean => filename.endsWith('.catalog.blob')

/** The latest ctime, in nanoseconds, that is old enough in a listing that begins now. */
export const settledAt = (nowMs: number): bigint => (BigInt(Math.floor(nowMs)) - BigInt(SETTLE_MS)) * 1_000_000n

/** Of all that decides what an entry's bytes are. */
export const fingerprintOf = (facts: Uint8Array): Buffer => hash('sha256', facts, 'buffer').subarray(0, FINGERPRINT_BYTES)

/** Written while the archive is. */
export class CatalogueBuilder {
  #lengths = Buffer.alloc(1024 * LENGTH_BYTES)
  #fingerprints = Buffer.alloc(1024 * FINGERPRINT_BYTES)
  #count = 0
  #isTooLarge = false

  /**
   * @param fingerprint  undefined: never equal
   * @returns the entry's number
   */
  add(bytes: number, fingerprint: Uint8Array | undefined): number {
    if (this.#count * LENGTH_BYTES === this.#lengths.length) {
      this.#lengths = Buffer.concat([this.#lengths], 2 * this.#lengths.length)
      this.#fingerprints = Buffer.concat([this.#fingerprints], 2 * this.#fingerprints.length)
    }
    if (bytes > MAX_LENGTH) this.#isTooLarge = true
    else this.#lengths.writeUIntLE(bytes, this.#count * LENGTH_BYTES, LENGTH_BYTES)
    if (fingerprint !== undefined) this.#fingerprints.set(fingerprint, this.#count * FINGERPRINT_BYTES)
    return this.#count++
  }

  /** It is not what was listed: never equal. */
  doubt(entry: number): void {
    this.#fingerprints.fill(0, entry * FINGERPRINT_BYTES, (entry + 1) * FINGERPRINT_BYTES)
  }

  /** Undefined: there are more entries than a blob can hold, or one of more than 256 TiB. */
  encode(archive: { readonly csum: Digest; readonly size: number }): Buffer | undefined {
    const count = this.#count
    const bytes = AT.ENTRIES + count * ENTRY_BYTES
    if (this.#isTooLarge || bytes > MAX_BLOB_BYTES) return undefined
    const encoded = Buffer.alloc(bytes)
    encoded.set(MAGIC)
    encoded.writeUInt32LE(VERSION, AT.VERSION)
    encoded.writeUInt32LE(count, AT.COUNT)
    encoded.set(archive.csum, AT.CSUM)
    encoded.writeBigUInt64LE(BigInt(archive.size), AT.SIZE)
    encoded.set(this.#lengths.subarray(0, count * LENGTH_BYTES), AT.ENTRIES)
    encoded.set(this.#fingerprints.subarray(0, count * FINGERPRINT_BYTES), AT.ENTRIES + count * LENGTH_BYTES)
    return encoded
  }
}

/** A catalogue that was read. It reads the bytes it was made of, which must not change. */
export class Catalogue {
  /** Of the archive's index. */
  readonly csum: Digest
  /** Bytes of the archive. */
  readonly size: number
  readonly count: number
  readonly #fingerprints: Buffer
  /** Where in the stream each entry begins, and where the last one ends. */
  readonly #starts: Float64Array
  #table: Uint32Array | undefined

  /** @internal */
  constructor(parts: { readonly csum: Digest; readonly starts: Float64Array; readonly fingerprints: Buffer }) {
    this.csum = parts.csum
    this.count = parts.starts.length - 1
    this.size = parts.starts[this.count]!
    this.#starts = parts.starts
    this.#fingerprints = parts.fingerprints
  }

  startOf(entry: number): number {
    return this.#starts[entry]!
  }

  endOf(entry: number): number {
    return this.#starts[entry + 1]!
  }

  /** False for an entry that is never equal, and behind the last one. */
  isEqual(entry: number, fingerprint: Uint8Array): boolean {
    const at = entry * FINGERPRINT_BYTES
    return entry < this.count && this.#fingerprints.compare(fingerprint, 0, FINGERPRINT_BYTES, at, at + FINGERPRINT_BYTES) === 0 && !isNever(fingerprint)
  }

  /** The number of the entry that is equal. A table of all is made at the first call: 8 to 16 bytes an entry. */
  find(fingerprint: Uint8Array): number | undefined {
    const table = (this.#table ??= this.#makeTable())
    const mask = table.length - 1
    for (let probe = 0, slot = wordOf(fingerprint, 0) & mask; probe < MAX_PROBES; probe++, slot = (slot + 1) & mask) {
      const found = table[slot]!
      if (found === NO_ENTRY) return undefined
      if (this.isEqual(found - 1, fingerprint)) return found - 1
    }
    return undefined
  }

  #makeTable(): Uint32Array {
    let slots = 16
    while (slots < 2 * this.count) slots *= 2
    const table = new Uint32Array(slots)
    for (let entry = 0; entry < this.count; entry++) {
      const at = entry * FINGERPRINT_BYTES
      if (isNever(this.#fingerprints.subarray(at, at + FINGERPRINT_BYTES))) continue
      let slot = wordOf(this.#fingerprints, at) & (slots - 1)
      for (let probe = 0; probe < MAX_PROBES && table[slot] !== NO_ENTRY; probe++) slot = (slot + 1) & (slots - 1)
      if (table[slot] === NO_ENTRY) table[slot] = entry + 1
    }
    return table
  }
}

const wordOf = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
const isNever = (fingerprint: Uint8Array): boolean => fingerprint.every(byte => byte === 0)

/**
 * @param plain  The blob's content.
 * @throws {FormatError} `FORMAT_TRUNCATED`, `FORMAT_MAGIC`, `FORMAT_VALUE` (of another version, for instance) or `FORMAT_LENGTH`.
 */
export function decodeCatalogue(plain: Uint8Array, where: string): Catalogue {
  const bytes = Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength)
  const refuse = (code: FormatErrorCode, offset: number, expected: string, found: string | number | bigint): never => {
    throw new FormatError(code, { path: where, offset, expected, found: String(found) })
  }
  if (bytes.length < AT.ENTRIES) refuse('FORMAT_TRUNCATED', bytes.length, `a header of ${AT.ENTRIES} bytes`, bytes.length)
  const magic = bytes.subarray(0, MAGIC_BYTES)
  if (!magic.equals(MAGIC)) refuse('FORMAT_MAGIC', 0, 'the magic of a catalogue', magic.toString('hex'))
  const version = bytes.readUInt32LE(AT.VERSION)
  if (version !== VERSION) refuse('FORMAT_VALUE', AT.VERSION, `version ${VERSION}`, version)
  const count = bytes.readUInt32LE(AT.COUNT)
  const expected = AT.ENTRIES + count * ENTRY_BYTES
  if (bytes.length !== expected) refuse('FORMAT_LENGTH', AT.COUNT, `${expected} bytes for ${count} entries`, bytes.length)
  const zero = bytes.readBigUInt64LE(AT.ZERO)
  if (zero !== 0n) refuse('FORMAT_VALUE', AT.ZERO, 'zeros', zero)
  const starts = new Float64Array(count + 1)
  for (let entry = 0; entry < count; entry++) {
    const at = AT.ENTRIES + entry * LENGTH_BYTES
    const length = bytes.readUIntLE(at, LENGTH_BYTES)
    const end = starts[entry]! + length
    if (length === 0 || end > Number.MAX_SAFE_INTEGER) refuse('FORMAT_VALUE', at, 'from 1 to 2^53 bytes with those before', length)
    starts[entry + 1] = end
  }
  const size = bytes.readBigUInt64LE(AT.SIZE)
  if (size !== BigInt(starts[count]!)) refuse('FORMAT_VALUE', AT.SIZE, `${starts[count]} bytes, the sum of the entries`, size)
  return new Catalogue({ csum: bytes.subarray(AT.CSUM, AT.SIZE), starts, fingerprints: bytes.subarray(AT.ENTRIES + count * LENGTH_BYTES) })
}
