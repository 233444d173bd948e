/**
 * zstd.ts: the only door to the zstd library: level 1, synchronous, so that worker threads can use it too.
 *
 * node:zlib has zstd from Node 22.15 on. For older ones there is @toondepauw/node-zstd (one context per object, so threads do not meet),
 * whose binaries are named one by one: its own list of them has some that the registry has not, and clean installs fail.
 * Those for x64 are there, glibc and musl. On arm64 only Node 22.15 and newer will do. Nothing reaches a decoder before zstd-frame.ts
 * has measured it.
 *
 * MEASURED  MB/s, 128 MiB of a tar of /usr/lib in pieces of 4 MiB, one core, best of 4, beside other work
 *           (AMD EPYC, 2026-11-21)
 *                                     compress   decompress
 *   zstd -b1, the command             467        1 529
 *   node:zlib, Node 22                469        1 219    one output buffer of the right size; 417 and 679 with the default 16 KiB
 *   node:zlib, Node 24                489        1 161
 *   @toondepauw/node-zstd, Node 20    459          572    875 in Node 22
 *   @oneidentity/zstd-js, wasm        326          916    Node 20 to 24, the best of each; 65 MB installed
 *   @bokuweb/zstd-wasm                303          625
 *   @hpcc-js/wasm-zstd                 22           12
 * NOT TAKEN  @cloudpss/zstd: all threads share one context. zstd-napi, @mongodb-js/zstd: need a download or a compiler at installation.
 */
import { createRequire } from 'node:module'
import * as zlib from 'node:zlib'
import { DatastoreError, FormatError } from './errors.js'
import { MAX_BLOB_BYTES } from './format.js'
import { type Frame, measureZstd, ZSTD_BLOCK_BYTES } from './zstd-frame.js'

interface Engine {
  compress(plain: Uint8Array): Buffer
  /** One frame of at most `maxBytes`. May throw anything. */
  decompress(raw: Uint8Array, maxBytes: number): Buffer
}

/** What node:zlib has from Node 22.15 on; the types are those of Node 20. */
interface ZlibWithZstd {
  readonly zstdCompressSync: (plain: Uint8Array, options: object) => Buffer
  readonly zstdDecompressSync: (raw: Uint8Array, options: object) => Buffer
}

/** What the packages have; none is loaded where it is not needed. */
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
    compress: plain => zstdCompressSync(plain, { params: { [ZSTD_C_COMPRESSION_LEVEL]: LEVEL }, pledgedSrcSize: plain.length, chunkSize: compressBound(plain.length) }),
    // A byte more than needed, so that one round of the loop is enough.
    decompress: (raw, maxBytes) => zstdDecompressSync(raw, { maxOutputLength: Math.max(maxBytes, 1), chunkSize: Math.max(maxBytes + 1, 64) }),
  }
}

/** Only the one for this machine's C library is installed. */
const PACKAGES = ['@toondepauw/node-zstd-linux-x64-gnu', '@toondepauw/node-zstd-linux-x64-musl'] as const

function loadPackage(): ZstdPackage {
  const load = createRequire(import.meta.url)
  const causes: unknown[] = []
  for (const name of PACKAGES) {
    try {
      return load(name) as ZstdPackage
    } catch (cause) {
      causes.push(cause)
    }
  }
  throw new DatastoreError('ZSTD_MISSING', `no zstd for Node ${process.version} on this machine: use Node 22.15 or newer, or install ${PACKAGES.join(' or ')}`, { cause: new AggregateError(causes) })
}

function fromPackage(): Engine {
  const { Encoder, Decoder } = loadPackage()
  const encoder = new Encoder(LEVEL)
  const decoder = new Decoder()
  return { compress: plain => encoder.encodeSync(asBuffer(plain)), decompress: raw => decoder.decodeSync(asBuffer(raw)) }
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
  const decoder = engine()
  let plain: Buffer
  try {
    plain = decoder.decompress(raw.subarray(start, end), plainBytes)
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
