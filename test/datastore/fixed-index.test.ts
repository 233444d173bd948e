import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/datastore/digest.js'
import { FormatError } from '../../src/datastore/errors.js'
import { decodeFixedIndex, encodeFixedIndex } from '../../src/datastore/fixed-index.js'
import { refusal } from './support.js'

const MIB = 1024 * 1024
const uuid = Uint8Array.from({ length: 16 }, (_, i) => i)
const digests = Buffer.concat([1, 2, 3].map(value => Buffer.alloc(32, value)))
const parts = { uuid, ctime: 1795248000, size: 9 * MIB + 1, chunkBytes: 4 * MIB, digests }

// python3: struct.pack and hashlib, 2026-11-21T08:00:00Z, an image of 0x900001 bytes in chunks of 4 MiB.
const header = [
  '2f7f41ed91fd0fcd', '000102030405060708090a0b0c0d0e0f', '804f016b00000000',
  '8a2e491356cfdb05a1d13785e0794d7cd163f91af79a146c976b1d2ac643b679', '0100900000000000', '0000400000000000',
].join('')
const file = Buffer.concat([Buffer.from(header, 'hex'), Buffer.alloc(4096 - 80), digests])

function changed(change: (raw: Buffer) => unknown): Buffer {
  const raw = Buffer.from(file)
  change(raw)
  return raw
}

describe('a fixed index', () => {
  it('is written to the byte', () => {
    expect(encodeFixedIndex(parts).equals(file)).toBe(true)
    expect(sha256(file).toString('hex')).toBe('e6dd085e9710b99f65eda0aa72720fa35fd3597ecc88eacebdce7bf32190735e')
  })

  it('is read', () => {
    const index = decodeFixedIndex(file, 'file')
    expect(index).toMatchObject({ ctime: 1795248000, size: 0x900001, chunkBytes: 0x400000, count: 3 })
    expect([...index.uuid]).toEqual([...uuid])
    expect(index.csum.toString('hex')).toBe('8a2e491356cfdb05a1d13785e0794d7cd163f91af79a146c976b1d2ac643b679')
    expect([...index.entries()].map(({ start, end, digest }) => [start, end, digest[0], digest.length])).toEqual([[0, 0x400000, 1, 32], [0x400000, 0x800000, 2, 32], [0x800000, 0x900001, 3, 32]])
    expect([0, 0x3fffff, 0x400000, 0x900000, 0x900001, -1, NaN].map(offset => index.find(offset))).toEqual([0, 0, 1, 2, undefined, undefined, undefined])
    expect(() => index.digestAt(3)).toThrow(RangeError)
  })

  it('computes its checksum anew, whatever the header says', () => {
    const index = decodeFixedIndex(changed(raw => raw.fill(0xee, 32, 64)), 'file')
    expect(index.csum.equals(sha256(digests))).toBe(true)
    expect(index.headerCsum.equals(Buffer.alloc(32, 0xee))).toBe(true)
  })

  it('draws a uuid when it is given none', () => {
    const made = () => decodeFixedIndex(encodeFixedIndex({ ...parts, uuid: undefined }), 'file').uuid
    expect(made().equals(made())).toBe(false)
  })

  const bad: readonly (readonly [string, Buffer, string, number])[] = [
    ['nothing', Buffer.alloc(0), 'FORMAT_TRUNCATED', 0],
    ['a header that is cut off', file.subarray(0, 4095), 'FORMAT_TRUNCATED', 4095],
    ['a dynamic index', changed(raw => raw.set(Buffer.from('1c914ea519bab3cd', 'hex'))), 'FORMAT_MAGIC', 0],
    ['an empty image', changed(raw => raw.writeBigUInt64LE(0n, 64)).subarray(0, 4096), 'FORMAT_VALUE', 64],
    ['a size above 2^53', changed(raw => raw.writeBigUInt64LE(2n ** 53n, 64)), 'FORMAT_VALUE', 64],
    ['a time out of this world', changed(raw => raw.writeBigInt64LE(-(2n ** 60n), 24)), 'FORMAT_VALUE', 24],
    ['chunks of 0 bytes', changed(raw => raw.writeBigUInt64LE(0n, 72)), 'FORMAT_VALUE', 72],
    ['chunks of 3 MiB', changed(raw => raw.writeBigUInt64LE(0x300000n, 72)), 'FORMAT_VALUE', 72],
    ['chunks of 256 MiB', changed(raw => raw.writeBigUInt64LE(2n ** 28n, 72)), 'FORMAT_VALUE', 72],
    ['chunks of 2^40 + 4 MiB', changed(raw => raw.writeBigUInt64LE(2n ** 40n + 0x400000n, 72)), 'FORMAT_VALUE', 72],
    ['a digest too few', file.subarray(0, -32), 'FORMAT_LENGTH', 4160],
    ['a byte too few', file.subarray(0, -1), 'FORMAT_LENGTH', 4191],
    ['a byte too many', Buffer.concat([file, Buffer.alloc(1)]), 'FORMAT_LENGTH', 4192],
    ['a size of petabytes', changed(raw => raw.writeBigUInt64LE(2n ** 52n, 64)), 'FORMAT_LENGTH', 4192],
  ]
  it.each(bad)('is refused: %s', (_title, raw, code, offset) => {
    const error = refusal(() => decodeFixedIndex(raw, 'dir/drive.img.fidx'))
    expect(error).toBeInstanceOf(FormatError)
    expect(error).toMatchObject({ code, offset, path: 'dir/drive.img.fidx' })
  })

  it('is not made of parts that contradict each other', () => {
    for (const wrong of [{ size: 0 }, { size: 1.5 }, { size: 12 * MIB + 1 }, { size: 8 * MIB }, { chunkBytes: 3 }, { chunkBytes: 2 ** 28 }, { uuid: new Uint8Array(15) }, { ctime: NaN }]) {
      expect(() => encodeFixedIndex({ ...parts, ...wrong }), JSON.stringify(wrong)).toThrow(RangeError)
    }
  })

  it('of any bytes is refused or adds up', () => {
    const change = fc.array(fc.tuple(fc.nat(79), fc.nat(255)), { maxLength: 4 })
    fc.assert(fc.property(change, fc.nat(300), (changes, length) => {
      const raw = Buffer.concat([file.subarray(0, 4096), Buffer.alloc(length)])
      for (const [at, value] of changes) raw[at] = value
      try {
        const index = decodeFixedIndex(raw, 'file')
        expect(index.count * 32).toBe(length)
        expect([...index.entries()].at(-1)!.end).toBe(index.size)
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError)
      }
    }), { numRuns: 1000 })
  })

  it('gives back any image', () => {
    const chunkSizes = fc.integer({ min: 12, max: 24 }).map(bits => 2 ** bits)
    fc.assert(fc.property(chunkSizes, fc.integer({ min: 1, max: 50 }), fc.nat(), fc.nat(4e9), (chunkBytes, count, missing, ctime) => {
      const image = { ctime, chunkBytes, size: count * chunkBytes - (missing % chunkBytes), digests: Buffer.alloc(count * 32, sha256(Buffer.from([count]))) }
      const index = decodeFixedIndex(encodeFixedIndex(image), 'file')
      expect([index.ctime, index.size, index.count, index.csum.equals(index.headerCsum)]).toEqual([ctime, image.size, count, true])
      for (const { start, end } of index.entries()) expect([index.find(start), index.find(end - 1)]).toEqual([start / chunkBytes, start / chunkBytes])
    }))
  })
})
