import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../../src/datastore/errors.js'
import { measureZstd } from '../../src/datastore/zstd-frame.js'
import { decompress, tryCompress } from '../../src/datastore/zstd.js'

const commandIsThere = spawnSync('zstd', ['--version']).status === 0

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const limits = { where: 'file', base: 12, maxBytes: 1000 }

function refusal(raw: Uint8Array, maxBytes = limits.maxBytes): FormatError {
  try {
    decompress(raw, { ...limits, maxBytes })
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError)
    return error as FormatError
  }
  throw new Error('it was taken')
}

// Frames written out by hand after RFC 8878; "hello " x 8 as `printf … | zstd -1` made it.
const hello = 'hello hello hello hello hello hello hello hello'
const frames: readonly (readonly [string, string, string])[] = [
  ['no bytes, the size said', '28b52ffd 20 00 010000', ''],
  ['a raw block', '28b52ffd 20 03 190000 616263', 'abc'],
  ['a repeated byte', '28b52ffd 20 05 2b0000 61', 'aaaaa'],
  ['two blocks', '28b52ffd 20 04 180000 616263 0b0000 64', 'abcd'],
  ['no size said', '28b52ffd 00 48 190000 616263', 'abc'],
  ['a window of a kilobyte', '28b52ffd 00 00 190000 616263', 'abc'],
  ['a size of two bytes', `28b52ffd 60 0000 030800 61`, 'a'.repeat(256)],
  ['a size of four bytes', '28b52ffd a0 03000000 190000 616263', 'abc'],
  ['a size of eight bytes', '28b52ffd e0 0300000000000000 190000 616263', 'abc'],
  ['a dictionary id of 0', '28b52ffd 21 00 03 190000 616263', 'abc'],
  ['two frames', '28b52ffd 20 01 090000 61 28b52ffd 20 01 090000 62', 'ab'],
  ['two frames, no size said', '28b52ffd 00 48 090000 61 28b52ffd 00 48 090000 62', 'ab'],
  ['frames to skip alone', '502a4d18 02000000 ffff 5f2a4d18 00000000', ''],
  ['a frame to skip', '502a4d18 02000000 ffff 28b52ffd 20 01 090000 61', 'a'],
  ['from the zstd command', '28b52ffd 04 48 650000 3068656c6c6f2001000295225a b1761b', hello],
]

describe('decompress', () => {
  it.each(frames)('takes %s', (_title, raw, text) => {
    expect(decompress(hex(raw), limits).toString()).toBe(text)
  })

  const bad: readonly (readonly [string, string, string, number])[] = [
    ['nothing', '', 'FORMAT_TRUNCATED', 0],
    ['half a magic', '28b52f', 'FORMAT_TRUNCATED', 0],
    ['another magic', '28b52ffe 20 00 010000', 'FORMAT_COMPRESSION', 0],
    ['no descriptor', '28b52ffd', 'FORMAT_TRUNCATED', 4],
    ['a reserved bit', '28b52ffd 28 00 010000', 'FORMAT_COMPRESSION', 4],
    ['a dictionary', '28b52ffd 21 07 03 190000 616263', 'FORMAT_COMPRESSION', 4],
    ['half a size', '28b52ffd a0 0300', 'FORMAT_TRUNCATED', 5],
    ['no block', '28b52ffd 20 03', 'FORMAT_TRUNCATED', 6],
    ['half a block', '28b52ffd 20 03 190000 6162', 'FORMAT_TRUNCATED', 9],
    ['no last block', '28b52ffd 20 03 180000 616263', 'FORMAT_TRUNCATED', 12],
    ['a block of type 3', '28b52ffd 20 03 1f0000 616263', 'FORMAT_COMPRESSION', 6],
    ['a block larger than the window', '28b52ffd 20 02 190000 616263', 'FORMAT_COMPRESSION', 6],
    ['no checksum', '28b52ffd 24 03 190000 616263', 'FORMAT_TRUNCATED', 12],
    ['something behind', '28b52ffd 20 03 190000 616263 00', 'FORMAT_TRUNCATED', 12],
    ['another magic behind', '28b52ffd 20 03 190000 616263 00000000', 'FORMAT_COMPRESSION', 12],
    ['a frame to skip that is cut off', '502a4d18 ffffffff 00', 'FORMAT_TRUNCATED', 8],
    ['fewer bytes than said', '28b52ffd 20 04 190000 616263', 'FORMAT_COMPRESSION', 0],
    ['a wrong checksum', '28b52ffd 04 48 650000 3068656c6c6f2001000295225a b1761c', 'FORMAT_COMPRESSION', 0],
    ['a block that cannot be decoded', '28b52ffd 20 09 2d0000 ffffffffff', 'FORMAT_COMPRESSION', 0],
    ['more than allowed, said', '28b52ffd 60 0003 190000 616263', 'FORMAT_TOO_LARGE', 0],
    ['a petabyte, said', '28b52ffd e0 0000000000000400 190000 616263', 'FORMAT_TOO_LARGE', 0],
    ['a window of terabytes', '28b52ffd 00 ff 190000 616263', 'FORMAT_TOO_LARGE', 0],
    ['more than allowed in two frames', '28b52ffd 60 9001 831400 61 28b52ffd 60 9001 831400 61', 'FORMAT_TOO_LARGE', 11],
  ]
  it.each(bad)('refuses %s', (_title, raw, code, offset) => {
    expect(refusal(hex(raw))).toMatchObject({ code, path: 'file', offset: 12 + offset })
  })

  it('refuses more than allowed where no size is said', () => {
    expect(refusal(hex(`28b52ffd 00 48 4b1f00 61`), 1000)).toMatchObject({ code: 'FORMAT_TOO_LARGE' }) // 1 001 times a
    expect(decompress(hex(`28b52ffd 00 48 431f00 61`), limits)).toHaveLength(1000)
  })

  it('refuses a bomb before anything of its size exists', () => {
    // 1 600 blocks that repeat one byte 131 072 times, no size said; the same with the size, 200 MiB, in four bytes.
    const blocks = [...Array.from({ length: 1600 }, () => hex('020010 00')), hex('010000')]
    for (const raw of [Buffer.concat([hex('28b52ffd 00 78'), ...blocks]), Buffer.concat([hex('28b52ffd 80 38 0000800c'), ...blocks])]) {
      const before = process.memoryUsage.rss()
      expect(refusal(raw, 128 * 1024 * 1024)).toMatchObject({ code: 'FORMAT_TOO_LARGE' })
      expect(process.memoryUsage.rss() - before).toBeLessThan(50 * 1024 * 1024)
    }
  })

  it.runIf(commandIsThere)('gives back what the zstd command compressed, at any level', () => {
    const plain = Buffer.concat([randomBytes(200_000), Buffer.alloc(700_000, 'abc'), randomBytes(1000)])
    for (const level of ['-1', '-3', '-19', '--fast=5']) {
      for (const checksum of ['--check', '--no-check']) {
        const { stdout } = spawnSync('zstd', [level, checksum, '-c'], { input: plain, maxBuffer: 1e8 })
        expect(decompress(stdout, { ...limits, maxBytes: plain.length }).equals(plain)).toBe(true)
      }
    }
  })

  it('answers any bytes with data within the limit or a refusal', () => {
    const start = fc.constantFrom(...frames.map(([, raw]) => hex(raw)))
    const changed = fc.tuple(start, fc.array(fc.tuple(fc.nat(40), fc.nat(255)), { minLength: 1, maxLength: 4 })).map(([raw, changes]) => {
      const copy = Buffer.from(raw)
      for (const [at, value] of changes) copy[at % copy.length] = value
      return copy
    })
    const withMagic = fc.uint8Array({ maxLength: 60 }).map(bytes => Buffer.concat([hex('28b52ffd'), bytes]))
    fc.assert(fc.property(fc.oneof(changed, withMagic, fc.uint8Array()), (raw) => {
      try {
        const plainBytes = measureZstd(raw, 'file', 0, 1000).reduce((sum, frame) => sum + frame.plainBytes, 0)
        const plain = decompress(raw, limits)
        expect(plain.length).toBeLessThanOrEqual(Math.min(1000, plainBytes))
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError)
      }
    }), { numRuns: 3000 })
  })
})

describe('tryCompress', () => {
  it('gives what decompress and the zstd command give back', () => {
    for (const bytes of [1000, 131_072, 131_073, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1]) {
      const plain = Buffer.alloc(bytes, randomBytes(64).toString('hex'))
      const raw = tryCompress(plain)!
      expect(raw.length).toBeLessThan(plain.length)
      expect(decompress(raw, { ...limits, maxBytes: bytes }).equals(plain)).toBe(true)
      expect(refusal(raw, bytes - 1).code).toBe('FORMAT_TOO_LARGE')
      if (commandIsThere) expect(spawnSync('zstd', ['-d', '-c'], { input: raw, maxBuffer: 1e8 }).stdout.equals(plain)).toBe(true)
    }
  })

  it.each([['no bytes', Buffer.alloc(0)], ['one byte', Buffer.from('a')], ['noise', randomBytes(300_000)]])('gives nothing for %s: it would be longer', (_title, plain) => {
    expect(tryCompress(plain)).toBeUndefined()
  })

  it('takes views of larger and of shared memory', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(8192), 100, 5000).fill(7)
    expect(decompress(tryCompress(shared)!, { ...limits, maxBytes: 5000 }).equals(Buffer.alloc(5000, 7))).toBe(true)
  })
})
