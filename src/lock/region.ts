/**
 * region.ts: the table file: made complete before it has a name, or opened and believed only after every check.
 *
 * A file that fails a check is never changed. Where to look for each refusal: errors.ts lists the codes.
 */
import { randomFillSync } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { LockError, type LockErrorCode } from '../errors.js'
import {
  BYTE_ORDER_MARK, FORMAT_VERSION, HEADER, HEADER_WORDS, MAGIC, MAX_FILE_BYTES, SLOT_COUNT_LIMIT, SPACE, SPACE_LIMIT,
  SPACE_NAME_BYTES, SPACE_WORDS, WORD_BYTES, defaultSlotCount, fileWords, layoutFingerprint, SLOT_WORDS,
} from './layout.js'
import { type NativeRegion, type NativeStat, loadNative } from './native.js'

export interface SpaceShape {
  readonly name: string
  readonly slotCount: number
  /** Word index of slot 0. */
  readonly firstWord: number
}

export interface RegionOptions {
  /** Names and, where given, slot counts. Undefined: whatever the file has; one space `default` in a new file. */
  readonly spaces: readonly { readonly name: string; readonly slots: number | undefined }[] | undefined
  readonly create: boolean
  readonly exclusive: boolean
  readonly fileMode: number
  readonly requireTmpfs: boolean
  readonly ownerUid: number | undefined
}

export interface Region {
  readonly path: string
  readonly native: NativeRegion
  readonly words: Int32Array
  readonly bytes: Uint8Array
  readonly identity: string
  readonly spaces: readonly SpaceShape[]
  readonly seed: readonly [number, number]
  /** 64 bits, drawn when the file was made. */
  readonly epoch: bigint
  readonly createdAt: Date
}

/** Opens the table, making it first if it is missing and `create` says so. */
export function openRegion(path: string, options: RegionOptions): Region {
  for (let attempt = 0; attempt < 16; attempt++) {
    const native = options.exclusive ? undefined : openExisting(path, options)
    if (native !== undefined) return readRegion(path, native, options)
    const created = createRegion(path, options)
    if (created !== undefined) return created
    if (options.exclusive) throw new LockError('TABLE_EXISTS', `${path} exists already`, { path })
  }
  throw new LockError('TABLE_BUSY', `${path} is made and removed again and again by somebody else`, { path })
}

function openExisting(path: string, options: RegionOptions): NativeRegion | undefined {
  try {
    return loadNative().open(path)
  } catch (cause) {
    const code = errnoOf(cause)
    if (code === 'ENOENT' && options.create) return undefined
    if (code === 'ENOENT') throw new LockError('TABLE_MISSING', `there is no lock table at ${path}`, { path, cause })
    if (code === 'ELOOP' || code === 'EISDIR' || code === 'ENXIO' || code === 'ENODEV') {
      throw new LockError('TABLE_FOREIGN', `${path} is not a regular file`, { path, cause })
    }
    throw ioError(`cannot open ${path}`, path, cause)
  }
}

/** Every reason not to believe an open file, before it is mapped. */
function checkFile(path: string, stat: NativeStat, options: RegionOptions): void {
  const refuse = (code: LockErrorCode, why: string): never => {
    throw new LockError(code, `${path} ${why}`, { path })
  }
  if (!stat.isRegular) refuse('TABLE_FOREIGN', 'is not a regular file')
  const me = process.geteuid?.() ?? 0
  if (stat.uid !== me && stat.uid !== 0 && stat.uid !== options.ownerUid) {
    refuse('TABLE_UNTRUSTED', `belongs to user ${stat.uid}, who could damage it under us (option ownerUid accepts one user)`)
  }
  if (stat.mode & 0o002 && (options.fileMode & 0o002) === 0) refuse('TABLE_UNTRUSTED', 'may be written by everybody')
  if (options.requireTmpfs && !stat.isTmpfs) refuse('TABLE_NOT_TMPFS', 'is not on a tmpfs (option requireTmpfs: false accepts other file systems)')
  if (stat.sizeBytes < HEADER_WORDS * WORD_BYTES) refuse('TABLE_FOREIGN', `is too short to be a lock table (${stat.sizeBytes} bytes)`)
  if (stat.sizeBytes > MAX_FILE_BYTES || stat.sizeBytes % WORD_BYTES !== 0) refuse('TABLE_FOREIGN', `has a size no lock table has (${stat.sizeBytes} bytes)`)
}

function readRegion(path: string, native: NativeRegion, options: RegionOptions): Region {
  try {
    const stat = native.stat()
    checkFile(path, stat, options)
    const buffer = native.map(stat.sizeBytes)
    const words = new Int32Array(buffer)
    const spaces = checkHeader(path, words, stat, options)
    return face(path, native, buffer, stat.identity, spaces)
  } catch (cause) {
    native.close()
    throw cause instanceof LockError ? cause : ioError(`cannot map ${path}`, path, cause)
  }
}

/** Every reason not to believe a header. @returns the spaces it describes */
function checkHeader(path: string, words: Int32Array, stat: NativeStat, options: RegionOptions): SpaceShape[] {
  const refuse = (code: LockErrorCode, why: string): never => {
    throw new LockError(code, `${path} ${why}`, { path })
  }
  if (words[HEADER.MAGIC_0] !== MAGIC[0] || words[HEADER.MAGIC_1] !== MAGIC[1]) {
    if (swapped(words[HEADER.MAGIC_0]) === MAGIC[0]) refuse('TABLE_LAYOUT', 'was made on a machine of the other byte order')
    refuse('TABLE_FOREIGN', 'is not a lock table')
  }
  if (words[HEADER.BYTE_ORDER] !== BYTE_ORDER_MARK) refuse('TABLE_LAYOUT', 'was made on a machine of the other byte order')
  if (words[HEADER.FINGERPRINT] !== layoutFingerprint()) {
    refuse('TABLE_LAYOUT', `was made by a version with another layout than this one's (format ${FORMAT_VERSION}): end the processes of that version, then remove the file`)
  }
  const spaces = readSpaces(words)
  if (spaces === undefined || (words[HEADER.SIZE_WORDS] ?? 0) * WORD_BYTES !== stat.sizeBytes) {
    return refuse('TABLE_DAMAGED', `contradicts itself: its header does not fit its ${stat.sizeBytes} bytes`)
  }
  if (Number.isNaN(creationTime(words).getTime())) refuse('TABLE_DAMAGED', 'contradicts itself: it was made at no time that there is')
  if (!stat.isTmpfs && bootId().some((word, i) => word !== words[HEADER.BOOT_ID + i])) refuse('TABLE_STALE', 'was made before the last boot, so nobody uses it: remove the file')
  checkSpaces(path, spaces, options)
  return spaces
}

function checkSpaces(path: string, spaces: readonly SpaceShape[], options: RegionOptions): void {
  const wanted = options.spaces
  if (wanted === undefined) return
  const same = wanted.length === spaces.length &&
    wanted.every((space, i) => space.name === spaces[i]?.name && (space.slots === undefined || space.slots === spaces[i].slotCount))
  if (same) return
  const list = spaces.map(space => `${space.name} (${space.slotCount} slots)`).join(', ')
  throw new LockError('TABLE_LAYOUT', `${path} has other spaces than asked for: ${list}`, { path })
}

/** The spaces of the header, or undefined if they do not fit together. */
function readSpaces(words: Int32Array): SpaceShape[] | undefined {
  const count = words[HEADER.SPACE_COUNT] ?? 0
  if (count < 1 || count > SPACE_LIMIT) return undefined
  const spaces: SpaceShape[] = []
  let firstWord = fileWords([])
  for (let i = 0; i < count; i++) {
    const at = HEADER.SPACES + i * SPACE_WORDS
    const slotCount = words[at + SPACE.SLOT_COUNT] ?? 0
    const nameLength = words[at + SPACE.NAME_LENGTH] ?? 0
    if (slotCount < 1 || slotCount > SLOT_COUNT_LIMIT || words[at + SPACE.FIRST_WORD] !== firstWord) return undefined
    if (nameLength < 1 || nameLength > SPACE_NAME_BYTES) return undefined
    const start = (at + SPACE.NAME) * WORD_BYTES
    spaces.push({ name: Buffer.from(new Uint8Array(words.buffer, start, nameLength)).toString('utf8'), slotCount, firstWord })
    firstWord += slotCount * SLOT_WORDS
  }
  return firstWord === words[HEADER.SIZE_WORDS] ? spaces : undefined
}

/** A complete new file under `path`; undefined if the name was taken meanwhile. */
function createRegion(path: string, options: RegionOptions): Region | undefined {
  const wanted = options.spaces ?? [{ name: 'default', slots: undefined }]
  const fallback = defaultSlotCount(wanted.length)
  const counts = wanted.map(space => space.slots ?? fallback)
  const sizeBytes = fileWords(counts) * WORD_BYTES
  if (sizeBytes > MAX_FILE_BYTES) throw new RangeError(`options.spaces add up to ${sizeBytes} bytes, more than ${MAX_FILE_BYTES}`)
  const native = createUnnamed(path, sizeBytes, options)
  try {
    if (options.requireTmpfs && !native.stat().isTmpfs) {
      throw new LockError('TABLE_NOT_TMPFS', `${dirname(path)} is not on a tmpfs (option requireTmpfs: false accepts other file systems)`, { path })
    }
    const buffer = native.map(sizeBytes)
    const words = new Int32Array(buffer)
    const spaces = writeHeader(words, wanted.map((space, i) => ({ name: space.name, slotCount: counts[i] ?? fallback })))
    if (!native.link(join(dirname(path), basename(path)))) {
      native.close()
      return undefined
    }
    return face(path, native, buffer, native.stat().identity, spaces)
  } catch (cause) {
    native.close()
    throw cause instanceof LockError ? cause : ioError(`cannot make ${path}`, path, cause)
  }
}

function createUnnamed(path: string, sizeBytes: number, options: RegionOptions): NativeRegion {
  try {
    return loadNative().createUnnamed(dirname(path), sizeBytes, options.fileMode)
  } catch (cause) {
    if (cause instanceof LockError) throw cause
    const code = errnoOf(cause)
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new LockError('TABLE_NO_SPACE', `no room for a lock table of ${sizeBytes} bytes in ${dirname(path)}`, { path, cause })
    }
    if (code === 'ENOENT') throw new LockError('TABLE_MISSING', `there is no directory ${dirname(path)}`, { path, cause })
    throw ioError(`cannot make a file in ${dirname(path)}`, path, cause)
  }
}

function writeHeader(words: Int32Array, spaces: readonly { name: string; slotCount: number }[]): SpaceShape[] {
  const random = randomFillSync(new Int32Array(4))
  const seconds = Math.floor(Date.now() / 1000)
  words[HEADER.MAGIC_0] = MAGIC[0]
  words[HEADER.MAGIC_1] = MAGIC[1]
  words[HEADER.BYTE_ORDER] = BYTE_ORDER_MARK
  words[HEADER.FINGERPRINT] = layoutFingerprint()
  words[HEADER.SIZE_WORDS] = words.length
  words[HEADER.SPACE_COUNT] = spaces.length
  words.subarray(HEADER.SEED_0, HEADER.BOOT_ID).set(random)
  words.subarray(HEADER.BOOT_ID, HEADER.CREATED_LOW).set(bootId())
  words[HEADER.CREATED_LOW] = seconds | 0
  words[HEADER.CREATED_HIGH] = Math.floor(seconds / 2 ** 32)
  let firstWord = fileWords([])
  return spaces.map((space, i) => {
    const at = HEADER.SPACES + i * SPACE_WORDS
    const name = Buffer.from(space.name, 'utf8')
    words[at + SPACE.SLOT_COUNT] = space.slotCount
    words[at + SPACE.FIRST_WORD] = firstWord
    words[at + SPACE.NAME_LENGTH] = name.length
    new Uint8Array(words.buffer, (at + SPACE.NAME) * WORD_BYTES, name.length).set(name)
    const shape = { ...space, firstWord }
    firstWord += space.slotCount * SLOT_WORDS
    return shape
  })
}

function face(path: string, native: NativeRegion, buffer: ArrayBuffer, identity: string, spaces: SpaceShape[]): Region {
  const words = new Int32Array(buffer)
  const word = (index: number): number => words[index] ?? 0
  return {
    path, native, words, bytes: new Uint8Array(buffer), identity, spaces,
    seed: [word(HEADER.SEED_0), word(HEADER.SEED_1)],
    epoch: (BigInt(word(HEADER.EPOCH_1) >>> 0) << 32n) | BigInt(word(HEADER.EPOCH_0) >>> 0),
    createdAt: creationTime(words),
  }
}

function creationTime(words: Int32Array): Date {
  return new Date((((words[HEADER.CREATED_LOW] ?? 0) >>> 0) + (words[HEADER.CREATED_HIGH] ?? 0) * 2 ** 32) * 1000)
}

/** False once the path names another file than the one that is open, or none. */
export function isStillNamed(region: Region): boolean {
  try {
    const stat = statSync(region.path, { bigint: true })
    return `${stat.dev}:${stat.ino}` === region.identity
  } catch {
    return false
  }
}

let knownBootId: number[] | undefined
function bootId(): number[] {
  if (knownBootId === undefined) {
    const hex = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').replaceAll('-', '').trim()
    knownBootId = [0, 8, 16, 24].map(at => parseInt(hex.slice(at, at + 8), 16) | 0)
  }
  return knownBootId
}

function swapped(word: number | undefined): number {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(word ?? 0)
  return bytes.readInt32BE()
}

function errnoOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
}

export function ioError(what: string, path: string, cause: unknown): LockError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new LockError('TABLE_IO', `${what}: ${why}`, { path, cause })
}
