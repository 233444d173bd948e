import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashBytes, hashString, slotIndexOf } from '../../src/lock/hash.js'

/** HalfSipHash-2-4 with 64 bits of output, key 00…07, of the inputs '', 00, 00 01, …: the reference implementation's vectors. */
const VECTORS = [
  '218d1f59b9b83cc8', 'be552412f8387315', '064f39ef7c50eb57', 'ce0f1a45f7060679', 'd5e78a175be52ea1', 'cb9d7c3f2f3db580', 'ce3e91358aa2bc25',
  'ff202728b07bc684', 'edfee820bce4858c', '5b51cccc13888307', '95b0469f06a6f2ee', 'ae26333994ddcd48', '7bc71f9faef5c799', '5a2352d75a0c3744',
  '3bb1a870eae8e658', '217d0bcb4e81c902', '7336aad25f7bf3b5', '37adc0641c4c4f6a', 'c9b2db2b9a3e42f9', 'f910e48020ab363c', '1bf52b0a6feea7db',
  '00741dc269e8b3ef', 'e20103fa1ba776ef', '4c2210e54b681d73', '70741045ae3fa6f1', '0c86403739714038', '0d899ed8112923f0',
]

function hex({ name0, name1 }: { name0: number; name1: number }): string {
  const bytes = Buffer.alloc(8)
  bytes.writeInt32LE(name0, 0)
  bytes.writeInt32LE(name1, 4)
  return bytes.toString('hex')
}

describe('fingerprints', () => {
  test.each(VECTORS.map((vector, length) => [length, vector] as const))('%i bytes', (length, vector) => {
    expect(hex(hashBytes(Uint8Array.from({ length }, (_, i) => i), 0x03020100, 0x07060504))).toBe(vector)
  })

  test('strings, their bytes, other seeds, lone surrogates: all different', () => {
    const all = [hashString('a', 1, 2), hashBytes(Buffer.from('a'), 1, 2), hashBytes(Buffer.from('a\0'), 1, 2), hashString('a\0', 1, 2), hashString('a', 2, 2),
      hashString('a', 1, 3), hashString('\ud800', 1, 2), hashString('\ud801', 1, 2), hashString('\ufffd', 1, 2), hashString('', 1, 2), hashBytes(new Uint8Array(), 1, 2)]
    expect(new Set(all.map(hex)).size).toBe(all.length)
  })

  test('equal names have equal fingerprints, different ones do not', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ unit: 'binary', maxLength: 40 }), (one, other) => {
      expect(hex(hashString(one, 5, 6)) === hex(hashString(other, 5, 6))).toBe(one === other)
    }))
  })

  test('slots are used evenly', () => {
    const counts = new Array<number>(1000).fill(0)
    for (let i = 0; i < 100_000; i++) {
      const slot = slotIndexOf(hashString(`vm/${i}`, 7, 8).name0, 1000)
      counts[slot] = (counts[slot] ?? 0) + 1
    }
    expect(Math.min(...counts)).toBeGreaterThan(50)
    expect(Math.max(...counts)).toBeLessThan(160)
  })
})
