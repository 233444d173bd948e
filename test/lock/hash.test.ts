/** The keyed hash of names: the published vectors, the two domains, the spread over slots. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashBytes, hashString, slotIndexOf } from '../../src/lock/hash.js'

/** HalfSipHash-2-4-64 under the key 00 … 07 of the first 0 … 63 of the bytes 00, 01, …: vectors_hsip64 of the reference implementation. */
const VECTORS = `
  218d1f59b9b83cc8 be552412f8387315 064f39ef7c50eb57 ce0f1a45f7060679 d5e78a175be52ea1 cb9d7c3f2f3db580 ce3e91358aa2bc25 ff202728b07bc684
  edfee820bce4858c 5b51cccc13888307 95b0469f06a6f2ee ae26333994ddcd48 7bc71f9faef5c799 5a2352d75a0c3744 3bb1a870eae8e658 217d0bcb4e81c902
  7336aad25f7bf3b5 37adc0641c4c4f6a c9b2db2b9a3e42f9 f910e48020ab363c 1bf52b0a6feea7db 00741dc269e8b3ef e20103fa1ba776ef 4c2210e54b681d73
  70741045ae3fa6f1 0c86403739714038 0d899ed8112923f0 226bf5fab81ee1b8 2d925ffb1e0016b5 361958d52cee10f1 291aaf864898179d 863c7f155c34117c
  28709d46d811626c 248477681d28f89c 8324e4d7528f9830 f9efd4e13aea6bd8 86d67a40ec4276dc 3f6292eccca97e35 cbd92ee724d42109 368df6808d403d79
  5b38c81c67c8ae4c 95ab7189d439acb3 a91a52c025327024 5b0087c69528acea 1e30f3ad27dcb15a 697f5c9a90324ed4 495c0f995557dc38 9427202a3c29f94d
  a9eaa8c04ba93e3e eea4c1737d011218 912d568fd8f65a49 56919596b0ff5c97 02445a7998f550e1 86ec466ce71d1fb2 359569e7d289e3bc 871b05ca62bb7c96
  a1a492f942f15f1d 12ec267ff6095b6e 5d1b5ea1b231d89d d8cfb4453f92ee54 d6762890bf26e460 313563a4b7ed5cf3 f90b3ab572d46693 2ea63c71bf326087
`.trim().split(/\s+/)

const KEY = [0x03020100, 0x07060504] as const

function hex({ name0, name1 }: { name0: number; name1: number }): string {
  const bytes = Buffer.alloc(8)
  bytes.writeInt32LE(name0)
  bytes.writeInt32LE(name1, 4)
  return bytes.toString('hex')
}

describe('bytes: the reference implementation’s vectors', () => {
  test('all of them', () => {
    expect(VECTORS).toHaveLength(64)
  })
  test.each(VECTORS.map((vector, length) => [length, vector] as const))('%i bytes: %s', (length, vector) => {
    expect(hex(hashBytes(Uint8Array.from({ length }, (_, i) => i), ...KEY))).toBe(vector)
  })
})

describe('strings', () => {
  test('are their UTF-16 code units, little end first, under a key of their own', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.integer(), fc.integer(), (name, seed0, seed1) => {
      expect(hashString(name, seed0, seed1)).toEqual(hashBytes(Buffer.from(name, 'utf16le'), seed0, seed1 ^ 0x55544631))
    }))
  })

  const DISTINCT: readonly (readonly [string, string, string])[] = [
    ['lone high surrogates', '\ud800', '\ud801'],
    ['a lone surrogate and the replacement character', '\ud800', '\ufffd'],
    ['a lone low surrogate and a high one', '\udc00', '\ud800'],
    ['composed and decomposed', '\u00e9', 'e\u0301'],
    ['nothing and NUL', '', '\0'],
    ['NULs of different number', '\0', '\0\0'],
    ['letters of one low byte', 'a', '\u0161'],
    ['128 units apart in length, the same low byte of it', 'x', `x${'\0'.repeat(128)}`],
    ['case', 'a', 'A'],
  ]
  test.each(DISTINCT)('%s differ', (_what, a, b) => {
    expect(hex(hashString(a, ...KEY))).not.toBe(hex(hashString(b, ...KEY)))
  })

  test.each(['utf8', 'utf16le', 'latin1'] as const)('differ from their own bytes in %s', encoding => {
    for (const name of ['', 'a', 'ab', 'abcd', 'vm/100']) {
      expect(hex(hashString(name, ...KEY))).not.toBe(hex(hashBytes(Buffer.from(name, encoding), ...KEY)))
    }
  })

  test('a view into other bytes is only what it shows', () => {
    const all = Uint8Array.from({ length: 64 }, (_, i) => i)
    expect(hashBytes(all.subarray(3, 20), ...KEY)).toEqual(hashBytes(all.slice(3, 20), ...KEY))
  })
})

describe('slots', () => {
  test('every index is in range, for every count', () => {
    fc.assert(fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 22 }), (name0, slotCount) => {
      const index = slotIndexOf(name0, slotCount)
      expect(Number.isInteger(index) && index >= 0 && index < slotCount).toBe(true)
    }))
  })

  test.each([
    ['numbered names', (i: number) => `vm/${i}`],
    ['dates', (i: number) => new Date(i * 3.6e6).toISOString()],
    ['long common beginnings', (i: number) => `${'/very/long/path'.repeat(20)}/${i}`],
  ])('%s spread evenly: chi square of 64 000 names over 64 slots within six deviations', (_what, name) => {
    const counts = new Array<number>(64).fill(0)
    for (let i = 0; i < 64_000; i++) {
      const index = slotIndexOf(hashString(name(i), 0x12345678, 0x9abcdef0 | 0).name0, 64)
      counts[index] = (counts[index] ?? 0) + 1
    }
    const chiSquare = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
    expect(Math.abs(chiSquare - 63)).toBeLessThan(6 * Math.sqrt(2 * 63))
  })

  test('each bit of the seed moves every name', () => {
    const slots = (seed0: number, seed1: number): string => Array.from({ length: 50 }, (_, i) => slotIndexOf(hashString(`n${i}`, seed0, seed1).name0, 16384)).join()
    const all = new Set([slots(0, 0)])
    for (let bit = 0; bit < 32; bit++) all.add(slots(1 << bit, 0)).add(slots(0, 1 << bit))
    expect(all.size).toBe(65)
  })
})
