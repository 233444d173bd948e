/** The format of catalogues, and what is refused. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { CatalogueBuilder, catalogueName, decodeCatalogue, fingerprintOf, isCatalogue, SETTLE_MS, settledAt } from '../../src/datastore/catalogue.js'
import { FormatError } from '../../src/datastore/errors.js'

const CSUM = Buffer.alloc(32, 0xc5)
const print = (number: number): Buffer => fingerprintOf(Buffer.from(`entry ${number}`))

/** Lengths; what has no fingerprint is never equal. */
function encoded(entries: readonly (readonly [bytes: number, fingerprint?: Uint8Array])[]): Buffer {
  const builder = new CatalogueBuilder()
  for (const [bytes, fingerprint] of entries) builder.add(bytes, fingerprint)
  return builder.encode({ csum: CSUM, size: entries.reduce((sum, [bytes]) => sum + bytes, 0) })!
}

test('the bytes of a catalogue', () => {
  const bytes = encoded([[512, print(1)], [0x123456, print(2)], [1024]])
  expect(bytes.length).toBe(64 + 3 * 22)
  expect(bytes.toString('hex', 0, 8)).toBe(createHash('sha256').update('locktable archive catalogue').digest('hex').slice(0, 16))
  expect([bytes.readUInt32LE(8), bytes.readUInt32LE(12), bytes.readBigUInt64LE(48), bytes.readBigUInt64LE(56)]).toEqual([1, 3, 0x123456n + 1536n, 0n])
  expect(bytes.subarray(16, 48).equals(CSUM)).toBe(true)
  expect(bytes.toString('hex', 64, 82)).toBe('000200000000563412000000000400000000')
  expect(bytes.subarray(82).equals(Buffer.concat([print(1), print(2), Buffer.alloc(16)]))).toBe(true)
})

test('a fingerprint is the first half of a SHA-256', () => {
  expect(fingerprintOf(Buffer.from('facts')).equals(createHash('sha256').update('facts').digest().subarray(0, 16))).toBe(true)
})

test('entries are found by their fingerprints, but for those that have none or were doubted', () => {
  const builder = new CatalogueBuilder()
  for (let i = 0; i < 3000; i++) expect(builder.add(i + 1, i % 7 === 0 ? undefined : print(i))).toBe(i)
  builder.doubt(5)
  const catalogue = decodeCatalogue(builder.encode({ csum: CSUM, size: 3000 * 3001 / 2 })!, 'here')
  expect([catalogue.count, catalogue.size, catalogue.csum.equals(CSUM)]).toEqual([3000, 3000 * 3001 / 2, true])
  for (let i = 0; i < 3000; i++) {
    const isThere = i % 7 !== 0 && i !== 5
    expect([i, catalogue.find(print(i)), catalogue.isEqual(i, print(i))]).toEqual([i, isThere ? i : undefined, isThere])
    expect([catalogue.startOf(i), catalogue.endOf(i)]).toEqual([i * (i + 1) / 2, (i + 1) * (i + 2) / 2])
  }
  expect([catalogue.find(print(3001)), catalogue.find(Buffer.alloc(16)), catalogue.isEqual(0, Buffer.alloc(16)), catalogue.isEqual(3000, print(1))]).toEqual([undefined, undefined, false, false])
})

test('a table in which everything collides is not slow, and finds nothing that is not there', () => {
  const collide = (i: number): Buffer => Buffer.concat([Buffer.alloc(4, 1), print(i).subarray(4)])
  const catalogue = decodeCatalogue(encoded(Array.from({ length: 5000 }, (_, i) => [1, collide(i)] as const)), 'here')
  const found = Array.from({ length: 5000 }, (_, i) => catalogue.find(collide(i)))
  expect(found.every((at, i) => at === undefined || at === i)).toBe(true)
  expect(found.filter(at => at !== undefined).length).toBe(64)
})

test('what a blob or six bytes cannot hold has no catalogue', () => {
  expect(encoded([[2 ** 48 - 1, print(1)]])).toBeInstanceOf(Buffer)
  expect(encoded([[2 ** 48, print(1)]])).toBeUndefined()
  const builder = new CatalogueBuilder()
  for (let i = 0; i * 22 + 64 <= 128 * 2 ** 20; i++) builder.add(1, undefined)
  expect(builder.encode({ csum: CSUM, size: 1 })).toBeUndefined()
})

test('names', () => {
  expect([catalogueName('etc.tar.didx'), catalogueName('disk.img.fidx'), catalogueName(`${'x'.repeat(242)}.didx`)]).toEqual(['etc.tar.catalog.blob', 'disk.img.catalog.blob', `${'x'.repeat(242)}.catalog.blob`])
  expect(catalogueName(`${'x'.repeat(243)}.didx`)).toBeUndefined()
  expect([isCatalogue('etc.tar.catalog.blob'), isCatalogue('vm.conf.blob')]).toEqual([true, false])
  expect(settledAt(10_000.7)).toBe(BigInt(10_000 - SETTLE_MS) * 1_000_000n)
})

describe('refused', () => {
  const sound = encoded([[512, print(1)], [1024, print(2)]])
  const changed = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(sound)
    change(bytes)
    return bytes
  }
  it.each<[name: string, bytes: Uint8Array, code: string, offset: number]>([
    ['nothing', Buffer.alloc(0), 'FORMAT_TRUNCATED', 0],
    ['half a header', sound.subarray(0, 63), 'FORMAT_TRUNCATED', 63],
    ['another magic', changed(bytes => bytes.writeUInt8(0, 0)), 'FORMAT_MAGIC', 0],
    ['a later version', changed(bytes => bytes.writeUInt32LE(2, 8)), 'FORMAT_VALUE', 8],
    ['an entry too many', changed(bytes => bytes.writeUInt32LE(3, 12)), 'FORMAT_LENGTH', 12],
    ['four thousand million entries', changed(bytes => bytes.writeUInt32LE(2 ** 32 - 1, 12)), 'FORMAT_LENGTH', 12],
    ['a byte too many', Buffer.concat([sound, Buffer.alloc(1)]), 'FORMAT_LENGTH', 12],
    ['something where zeros are', changed(bytes => bytes.writeUInt8(1, 60)), 'FORMAT_VALUE', 56],
    ['an entry without a byte', changed(bytes => bytes.writeUIntLE(0, 70, 6)), 'FORMAT_VALUE', 70],
    ['another sum', changed(bytes => bytes.writeUInt8(1, 48)), 'FORMAT_VALUE', 48],
  ])('%s', (_name, bytes, code, offset) => {
    expect(() => decodeCatalogue(bytes, 'a.catalog.blob')).toThrow(expect.objectContaining({ code, offset, path: 'a.catalog.blob' }) as Error)
  })

  test('random and mutated bytes: a typed error, or something that can be used', () => {
    const use = (bytes: Uint8Array): void => {
      try {
        const catalogue = decodeCatalogue(bytes, 'here')
        for (let i = 0; i < catalogue.count; i++) expect(catalogue.endOf(i)).toBeGreaterThan(catalogue.startOf(i))
        catalogue.find(print(1))
        catalogue.find(print(99))
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError)
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), use))
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }), changes => {
      use(changed(bytes => {
        for (const [at, value] of changes) bytes[at] = value
      }))
    }), { numRuns: 1000 })
  })
})
