import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/datastore/digest.js'
import { decodeDynamicIndex, encodeDynamicIndex } from '../../src/datastore/dynamic-index.js'
import { FormatError } from '../../src/datastore/errors.js'
import { refusal } from './support.js'

const uuid = Uint8Array.from({ length: 16 }, (_, i) => i)
const entries = [0x100000, 0x100001, 0x500001].map((end, i) => ({ end, digest: Buffer.alloc(32, i + 1) }))

// python3: struct.pack and hashlib, 2026-11-21T08:00:00Z.
const header = '1c914ea519bab3cd' + '000102030405060708090a0b0c0d0e0f' + '804f016b00000000' + '95e458de3138ab7190692b70ee33305af7d3e81fa8c49c4f3b550e0737ff7d72'
const body = `0000100000000000${'01'.repeat(32)}0100100000000000${'02'.repeat(32)}0100500000000000${'03'.repeat(32)}`
const file = Buffer.concat([Buffer.from(header, 'hex'), Buffer.alloc(4096 - 64), Buffer.from(body, 'hex')])

function changed(change: (raw: Buffer) => unknown): Buffer {
  const raw = Buffer.from(file)
  change(raw)
  return raw
}

describe('a dynamic index', () => {
  it('is written to the byte', () => {
    expect(encodeDynamicIndex({ uuid, ctime: 1795248000, entries }).equals(file)).toBe(true)
    expect(sha256(file).toString('hex')).toBe('f8f0646990e3f16bc98075d35d73e6bacf6875c43e4b032f5cbf2e2896f5a99e')
  })

  it('is read', () => {
    const index = decodeDynamicIndex(file, 'file')
    expect(index).toMatchObject({ ctime: 1795248000, size: 0x500001, count: 3 })
    expect(index.csum.toString('hex')).toBe('95e458de3138ab7190692b70ee33305af7d3e81fa8c49c4f3b550e0737ff7d72')
    expect([...index.entries()].map(({ start, end, digest }) => [start, end, digest[0], digest.length])).toEqual([[0, 0x100000, 1, 32], [0x100000, 0x100001, 2, 32], [0x100001, 0x500001, 3, 32]])
    expect([0, 0xfffff, 0x100000, 0x100001, 0x500000, 0x500001, -1, NaN].map(offset => index.find(offset))).toEqual([0, 0, 1, 2, 2, undefined, undefined, undefined])
    expect(() => index.entryAt(-1)).toThrow(RangeError)
  })

  it('computes its checksum anew, whatever the header says', () => {
    const index = decodeDynamicIndex(changed(raw => raw.fill(0xee, 32, 64)), 'file')
    expect(index.csum.equals(sha256(file.subarray(4096)))).toBe(true)
    expect(index.headerCsum.equals(Buffer.alloc(32, 0xee))).toBe(true)
  })

  it('of no bytes has no entries', () => {
    const index = decodeDynamicIndex(encodeDynamicIndex({ ctime: 1, entries: [] }), 'file')
    expect([index.size, index.count, [...index.entries()], index.find(0)]).toEqual([0, 0, [], undefined])
  })

  it('counts beyond 2^32', () => {
    // Each chunk has 128 MiB; the 33rd ends at 2^32 + 2^27.
    const many = Array.from({ length: 40 }, (_, i) => ({ end: (i + 1) * 2 ** 27, digest: Buffer.alloc(32, i) }))
    const raw = encodeDynamicIndex({ ctime: 1, entries: many })
    expect(raw.subarray(4096 + 32 * 40, 4096 + 32 * 40 + 8).toString('hex')).toBe('0000000801000000')
    const index = decodeDynamicIndex(raw, 'file')
    expect(index.size).toBe(40 * 2 ** 27)
    expect(index.entryAt(32)).toMatchObject({ start: 2 ** 32, end: 2 ** 32 + 2 ** 27 })
    expect(index.find(2 ** 32)).toBe(32)
  })

  const bad: readonly (readonly [string, Buffer, string, number])[] = [
    ['nothing', Buffer.alloc(0), 'FORMAT_TRUNCATED', 0],
    ['a header that is cut off', file.subarray(0, 4000), 'FORMAT_TRUNCATED', 4000],
    ['a fixed index', changed(raw => raw.set(Buffer.from('2f7f41ed91fd0fcd', 'hex'))), 'FORMAT_MAGIC', 0],
    ['a byte too few', file.subarray(0, -1), 'FORMAT_LENGTH', 4176],
    ['a byte too many', Buffer.concat([file, Buffer.alloc(1)]), 'FORMAT_LENGTH', 4216],
    ['a chunk of no bytes', changed(raw => raw.writeBigUInt64LE(0x100000n, 4136)), 'FORMAT_VALUE', 4136],
    ['an end before its start', changed(raw => raw.writeBigUInt64LE(0x0fffffn, 4136)), 'FORMAT_VALUE', 4136],
    ['a first end of 0', changed(raw => raw.writeBigUInt64LE(0n, 4096)), 'FORMAT_VALUE', 4096],
    ['a chunk above 128 MiB', changed(raw => raw.writeBigUInt64LE(0x100001n + 2n ** 27n + 1n, 4176)), 'FORMAT_VALUE', 4176],
    ['an end above 2^53', changed(raw => raw.writeBigUInt64LE(2n ** 63n, 4176)), 'FORMAT_VALUE', 4176],
    ['a time out of this world', changed(raw => raw.writeBigInt64LE(2n ** 62n, 24)), 'FORMAT_VALUE', 24],
  ]
  it.each(bad)('is refused: %s', (_title, raw, code, offset) => {
    const error = refusal(() => decodeDynamicIndex(raw, 'dir/root.pxar.didx'))
    expect(error).toBeInstanceOf(FormatError)
    expect(error).toMatchObject({ code, offset, path: 'dir/root.pxar.didx' })
  })

  it('is not made of entries that are in no order', () => {
    const digest = Buffer.alloc(32)
    for (const wrong of [[{ end: 0, digest }], [{ end: 5, digest }, { end: 5, digest }], [{ end: 2 ** 27 + 1, digest }], [{ end: 1.5, digest }], [{ end: 1, digest: Buffer.alloc(31) }]]) {
      expect(() => encodeDynamicIndex({ ctime: 1, entries: wrong })).toThrow(RangeError)
    }
  })

  it('of any bytes is refused or goes upwards', () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(30), { maxLength: 4 }).map(ends => Buffer.concat(ends.map(end => Buffer.concat([Buffer.from([end, 0, 0, 0, 0, 0, 0, 0]), Buffer.alloc(32)])))))
    fc.assert(fc.property(bytes, (tail) => {
      try {
        const index = decodeDynamicIndex(Buffer.concat([file.subarray(0, 4096), tail]), 'file')
        for (const { start, end } of index.entries()) expect(end).toBeGreaterThan(start)
        expect(index.count * 40).toBe(tail.length)
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError)
      }
    }), { numRuns: 1000 })
  })

  it('gives back any stream', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 2 ** 27 })), (lengths) => {
      let end = 0
      const given = lengths.map(length => ({ end: (end += length), digest: sha256(Buffer.from(String(end))) }))
      const index = decodeDynamicIndex(encodeDynamicIndex({ ctime: 7, entries: given }), 'file')
      expect([...index.entries()].map(entry => ({ end: entry.end, digest: entry.digest }))).toEqual(given)
      for (const [chunk, { start, end: last }] of [...index.entries()].entries()) expect([index.find(start), index.find(last - 1)]).toEqual([chunk, chunk])
      expect(index.csum.equals(index.headerCsum)).toBe(true)
    }))
  })
})
