/**
 * zstd.ts: the only door to the zstd library: level 1, synchronous, so that worker threads can use it too.
 *
 * node:zlib has zstd from Node 22.15 on; for older ones there is @toondepauw/node-zstd (prebuilt for glibc and musl, x64 and
 * arm64, one context per object, so threads do not meet). Nothing reaches a decoder before zstd-frame.ts has measured it.
 *
 * MEASURED  MB/s, 128 MiB of a tar of /usr/lib in pieces of 4 MiB, one core, best of 4 (Intel Xeon, 2026-11-21)
 *                                     compress   decompress
 *   zstd -b1, the command             467        1 529
 *   node:zlib, Node 22                469        1 219    one output buffer of the right size; 417 and 679 with the default 16 KiB
 *   node:zlib, Node 24                489        1 161
 *   @toondepauw/node-zstd             459          875
 *   @oneidentity/zstd-js, wasm        326          916    65 MB installed
 *   @bokuweb/zstd-wasm                303          625
 *   @hpcc-js/wasm-zstd                 22           12
 * NOT TAKEN  @cloudpss/zstd: all threads share one context. zstd-napi, @mongodb-js/zstd: need a download or a compiler at installation.
 */
import { createRequire } from 'node:module'
import * as zlib from 'node:zlib'
import { FormatError } from './errors.js'
import { MAX_BLOB_BYTES } from './format.js'
import { type Frame, measureZstd, ZSTD_BLOCK_BYTES } from './zstd-frame.js'

interface Engine {
  readonly name: string
  compress(plain: Uint8Array): Buffer
  /** One frame of at most `maxBytes`. May throw anything. */
  decompress(raw: Uint8Array, maxBytes: number): Buffer
}

/** What node:zlib has from Node 22.15 on; the types are those of Node 20. */
interface ZlibWithZstd {
  readonly zstdCompressSync: (plain: Uint8Array, options: object) => Buffer
  readonly zstdDecompressSync: (raw: Uint8Array, options: object) => Buffer
}

/** What @toondepauw/node-zstd has; it is not loaded where it is not needed. */
interface ZstdPackage {
  readonly Encoder: new (level: number) => { encodeSync(plain: Buffer): Buffer }
  readonly Decoder: new () => { decodeSync(raw: Buffer): Buffer }
}

const LEVEL = 1
const ZSTD_C_COMPRESSION_LEVEL = 100

const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Most bytes that zstd makes of so many: ZSTD_COMPRESSBOUND. */
const compressBound = (bytes: number) => bytes + (bytes >>> 8) + (bytes < ZSTD_BLOCK_BYTES ? (ZSTD_BLOCK_BYTES - bytes) >>> 11 : 0) + 64

function builtIn({ zstdCompressSync, zstdDecompressSync }: ZlibWithZstd): Engine {
  return {
    name: 'node:zlib',
    compress: plain => zstdCompressSync(plain, { params: { [ZSTD_C_COMPRESSION_LEVEL]: LEVEL }, pledgedSrcSize: plain.length, chunkSize: compressBound(plain.length) }),
    // A byte more than needed, so that one round of the loop is enough.
    decompress: (raw, maxBytes) => zstdDecompressSync(raw, { maxOutputLength: Math.max(maxBytes, 1), chunkSize: Math.max(maxBytes + 1, 64) }),
  }
}

function fromPackage(): Engine {
  const { Encoder, Decoder } = createRequire(import.meta.url)('@toondepauw/node-zstd') as ZstdPackage
  const encoder = new Encoder(LEVEL)
  const decoder = new Decoder()
  return { name: '@toondepauw/node-zstd', compress: plain => encoder.encodeSync(asBuffer(plain)), decompress: raw => decoder.decodeSync(asBuffer(raw)) }
}

let loaded: Engine | undefined
function engine(): Engine {
  return (loaded ??= 'zstdCompressSync' in zlib ? builtIn(zlib as unknown as ZlibWithZstd) : fromPackage())
}

/** Compressed at level 1, or undefined if that is longer than `plain`. */
export function tryCompress(plain: Uint8Array): Buffer | undefined {
  const compressed = engine().compress(plain)
  return compressed.length <= plain.length ? compressed : undefined
}

export interface DecompressOptions {
  /** The file, for errors. */
  readonly where: string
  /** Where in that file the data begins. */
  readonly base: number
  /** Most plain bytes. */
  readonly maxBytes: number
}

function decodeFrame(raw: Uint8Array, { start, end, plainBytes, isExact }: Frame, { where, base }: DecompressOptions): Buffer {
  const refuse = (expected: string, found: string, cause?: unknown) => new FormatError('FORMAT_COMPRESSION', { path: where, offset: base + start, expected, found, cause })
  let plain: Buffer
  try {
    plain = engine().decompress(raw.subarray(start, end), plainBytes)
  } catch (cause) {
    throw refuse('well-formed zstd data', String(cause), cause)
  }
  if (plain.length > plainBytes || (isExact && plain.length !== plainBytes)) throw refuse(`${plainBytes} bytes, as the header says`, `${plain.length}`)
  return plain
}

/**
 * All frames, decoded. Data that does not say its size is also refused if it could become more than `maxBytes` and 128 MiB.
 *
 * @throws {FormatError} `FORMAT_COMPRESSION`, `FORMAT_TRUNCATED` or `FORMAT_TOO_LARGE`.
 */
export function decompress(raw: Uint8Array, options: DecompressOptions): Buffer {
  const { where, base, maxBytes } = options
  const frames = measureZstd(raw, where, base, maxBytes)
  const checkSize = (bytes: number, limit: number) => {
    if (bytes > limit) throw new FormatError('FORMAT_TOO_LARGE', { path: where, offset: base, expected: `at most ${maxBytes} bytes of plain data`, found: `up to ${bytes}` })
  }
  // The bound of what an encoder writes in one go is too high by less than a block.
  checkSize(frames.reduce((sum, { plainBytes }) => sum + plainBytes, 0), Math.max(maxBytes, MAX_BLOB_BYTES) + ZSTD_BLOCK_BYTES)
  const parts = frames.map(frame => decodeFrame(raw, frame, options))
  const plain = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  checkSize(plain.length, maxBytes)
  return plain
}
