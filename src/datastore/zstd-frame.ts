/**
 * zstd-frame.ts: how much zstd data may become, told from its frames and blocks alone (RFC 8878), without decoding. Pure.
 *
 * A few bytes of zstd can ask for any amount of memory: by a large content size, a large window, or many small blocks. Everything
 * is measured here before a decoder sees it. It also finds data that was cut off or has something behind it, and says where;
 * not all decoders do.
 */
import { FormatError, type FormatErrorCode } from './errors.js'

/** One frame of data. Not all decoders go on to the second, so they are given one at a time. */
export interface Frame {
  /** Where it is in the data. */
  readonly start: number
  readonly end: number
  /** Decoded bytes: at most this, and exactly this if `isExact`. */
  readonly plainBytes: number
  readonly isExact: boolean
}

/** Largest block, compressed or not. */
export const ZSTD_BLOCK_BYTES = 128 * 1024
/** A window that every decoder should take, whatever the size of the data. */
const WINDOW_ALWAYS_ALLOWED_BYTES = 8 * 1024 * 1024

const FRAME_MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50 // and the fifteen after it
const CHECKSUM_BYTES = 4

class Walk {
  offset = 0
  readonly #view: DataView
  readonly #length: number
  readonly #where: string
  readonly #base: number

  constructor(raw: Uint8Array, where: string, base: number) {
    this.#view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
    this.#length = raw.byteLength
    this.#where = where
    this.#base = base
  }

  get isAtEnd(): boolean {
    return this.offset === this.#length
  }

  refuse(expected: string, found?: string, code: FormatErrorCode = 'FORMAT_COMPRESSION', offset = this.offset): never {
    throw new FormatError(code, { path: this.#where, offset: this.#base + offset, expected, found })
  }

  skip(bytes: number, what: string): void {
    const left = this.#length - this.offset
    if (bytes > left) this.refuse(`${bytes} bytes of zstd data (${what})`, `${left}`, 'FORMAT_TRUNCATED')
    this.offset += bytes
  }

  /** A little-endian number of 0 to 8 bytes; above 2^53 it is inexact, and too large for everything. */
  take(bytes: number, what: string): number {
    const from = this.offset
    this.skip(bytes, what)
    let value = 0
    for (let i = bytes - 1; i >= 0; i--) value = value * 256 + this.#view.getUint8(from + i)
    return value
  }
}

interface FrameHeader {
  readonly windowBytes: number
  readonly contentBytes: number | undefined
  readonly hasChecksum: boolean
}

function takeHeader(walk: Walk): FrameHeader {
  const at = walk.offset
  const descriptor = walk.take(1, 'frame descriptor')
  if ((descriptor & 0x08) !== 0) walk.refuse('a frame descriptor whose reserved bit is 0', `0x${descriptor.toString(16)}`, 'FORMAT_COMPRESSION', at)
  const isSingleSegment = (descriptor & 0x20) !== 0
  const window = isSingleSegment ? 0 : walk.take(1, 'window descriptor')
  if (walk.take([0, 1, 2, 4][descriptor & 3]!, 'dictionary id') !== 0) walk.refuse('data that needs no dictionary', 'a dictionary id', 'FORMAT_COMPRESSION', at)
  const sizeFlag = descriptor >> 6
  const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeFlag
  const size = walk.take(sizeBytes, 'content size') + (sizeFlag === 1 ? 256 : 0)
  const windowBase = 2 ** (10 + (window >> 3))
  return {
    windowBytes: isSingleSegment ? size : windowBase + (windowBase / 8) * (window & 7),
    contentBytes: sizeBytes === 0 ? undefined : size,
    hasChecksum: (descriptor & 0x04) !== 0,
  }
}

/** Upper bound of what the blocks up to the last become. */
function takeBlocks(walk: Walk, blockLimit: number): number {
  let plainBytes = 0
  for (;;) {
    const at = walk.offset
    const header = walk.take(3, 'block header')
    const size = header >> 3
    const type = (header >> 1) & 3
    if (type === 3) walk.refuse('a block of type 0, 1 or 2', '3', 'FORMAT_COMPRESSION', at)
    if (size > blockLimit) walk.refuse(`a block of at most ${blockLimit} bytes`, `${size}`, 'FORMAT_COMPRESSION', at)
    walk.skip(type === 1 ? 1 : size, 'block')
    plainBytes += type === 2 ? blockLimit : size
    if ((header & 1) !== 0) return plainBytes
  }
}

function takeFrame(walk: Walk, start: number, maxBytes: number): Frame {
  const { windowBytes, contentBytes, hasChecksum } = takeHeader(walk)
  if (contentBytes !== undefined && contentBytes > maxBytes) walk.refuse(`at most ${maxBytes} bytes of plain data`, `${contentBytes}`, 'FORMAT_TOO_LARGE', start)
  const windowLimit = Math.max(maxBytes, WINDOW_ALWAYS_ALLOWED_BYTES)
  if (windowBytes > windowLimit) walk.refuse(`a window of at most ${windowLimit} bytes`, `${windowBytes}`, 'FORMAT_TOO_LARGE', start)
  const blockBytes = takeBlocks(walk, Math.min(windowBytes, ZSTD_BLOCK_BYTES))
  if (contentBytes !== undefined && contentBytes > blockBytes) walk.refuse(`blocks for ${contentBytes} bytes`, `blocks for at most ${blockBytes}`, 'FORMAT_COMPRESSION', start)
  if (hasChecksum) walk.skip(CHECKSUM_BYTES, 'checksum')
  return { start, end: walk.offset, plainBytes: contentBytes ?? blockBytes, isExact: contentBytes !== undefined }
}

/**
 * The frames, without those to be skipped.
 *
 * @param where  The file, for errors.
 * @param base  Where in that file `raw` begins.
 * @param maxBytes  Content sizes and windows above this are refused.
 * @throws {FormatError} `FORMAT_COMPRESSION`, `FORMAT_TRUNCATED` or `FORMAT_TOO_LARGE`.
 */
export function measureZstd(raw: Uint8Array, where: string, base: number, maxBytes: number): readonly Frame[] {
  const walk = new Walk(raw, where, base)
  const frames: Frame[] = []
  let exactBytes = 0
  do {
    const start = walk.offset
    const frameMagic = walk.take(4, 'frame magic')
    if (frameMagic >>> 4 === SKIPPABLE_MAGIC >>> 4) {
      walk.skip(walk.take(4, 'length of a skippable frame'), 'skippable frame')
      continue
    }
    if (frameMagic !== FRAME_MAGIC) walk.refuse('the magic of a zstd frame, 28 b5 2f fd', undefined, 'FORMAT_COMPRESSION', start)
    const frame = takeFrame(walk, start, maxBytes)
    if (frame.isExact) exactBytes += frame.plainBytes
    if (exactBytes > maxBytes) walk.refuse(`at most ${maxBytes} bytes of plain data`, `${exactBytes}`, 'FORMAT_TOO_LARGE', start)
    frames.push(frame)
  } while (!walk.isAtEnd)
  return frames
}
