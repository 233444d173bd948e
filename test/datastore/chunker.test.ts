/** Content-defined chunking: the vector code against the formula, and what a chunker promises. */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Chunker, CHUNK_AVERAGE_BYTES, type ChunkerOptions, Cutter, findCandidates } from '../../src/datastore/chunker.js'

const MIB = 2 ** 20

/** A stream of bytes that looks random and is the same for the same seed. */
function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint32Array(Math.ceil(length / 4))
  let state = seed | 1
  for (let i = 0; i < bytes.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = Math.imul(state, 0x2545f491)
  }
  return new Uint8Array(bytes.buffer, 0, length)
}

/** The header of chunker.ts, word for word. */
function candidatesByFormula(bytes: Uint8Array, start = 0): { cut: number; isStrict: boolean }[] {
  const found = []
  let hash = 0
  for (let i = 0; i < bytes.length; i++) {
    hash = ((hash << 1) + bytes[i]!) | 0
    const mixed = (Math.imul(hash, 0x9e3779b1) + 0x6a09e667) | 0
    if (i >= start && (hash & 255) === 0xb5 && mixed < -(2 ** 31) + 2 ** 20) found.push({ cut: i + 1, isStrict: mixed < -(2 ** 31) + 2 ** 16 })
  }
  return found
}

function cutsOf(pieces: Iterable<Uint8Array>, options?: ChunkerOptions): number[] {
  const chunker = new Chunker(options)
  const cuts: number[] = []
  for (const piece of pieces) cuts.push(...chunker.push(piece))
  return [...cuts, ...chunker.finish()]
}

function* split(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  let from = 0
  for (let i = 0; from < bytes.length; i++) {
    const length = lengths.length === 0 ? bytes.length : lengths[i % lengths.length]!
    yield bytes.subarray(from, from + length)
    from += length
  }
}

/** 32 bytes after which there is a strict candidate, found by trying. */
const mark = ((): Uint8Array => {
  const bytes = noise(48 * MIB, 99)
  const { cut } = findCandidates(bytes).find(({ isStrict }) => isStrict)!
  return bytes.slice(cut - 32, cut)
})()

describe('candidates', () => {
  it('are those of the formula, wherever the vectors begin and end', () => {
    const bytes = noise(9 * MIB + 5, 7)
    const expected = candidatesByFormula(bytes)
    expect(expected.length).toBeGreaterThan(4)
    expect(findCandidates(bytes)).toEqual(expected)
    for (const start of [1, 15, 17, 4095, 65536, MIB + 3]) {
      expect(findCandidates(bytes, start)).toEqual(expected.filter(({ cut }) => cut > start))
      expect(findCandidates(bytes, 0, start)).toEqual(expected.filter(({ cut }) => cut <= start))
    }
  })

  it('depend on 32 bytes and no more: the mark is one at any place, in any surroundings', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (before, after) => {
        const bytes = Buffer.concat([before, mark, after])
        expect(findCandidates(bytes)).toContainEqual({ cut: before.length + mark.length, isStrict: true })
        expect(findCandidates(bytes)).toEqual(candidatesByFormula(bytes))
      }),
    )
  })

  it('are not lost where every second position is one', () => {
    // A pair of bytes, repeated, that the formula likes; found by trying all of them.
    const liked = Array.from({ length: 65536 }, (_, i) => Uint8Array.of(i >> 8, i & 255)).filter((pair) => {
      const h = (Math.imul(pair[0]!, 0xaaaaaaaa) + Math.imul(pair[1]!, 0x55555555)) | 0
      return (h & 255) === 0xb5 && ((Math.imul(h, 0x9e3779b1) + 0x6a09e667) | 0) < -(2 ** 31) + 2 ** 20
    })
    for (const pair of [...liked, Uint8Array.of(1, 2)]) {
      const bytes = new Uint8Array(200_000).map((_, i) => pair[i % 2]!)
      expect(findCandidates(bytes).length).toBe(candidatesByFormula(bytes).length)
    }
  })

  it('a run of any one byte has none', () => {
    for (let byte = 0; byte < 256; byte++) expect(findCandidates(new Uint8Array(200).fill(byte), 32)).toEqual([])
  })
})

describe('chunks', () => {
  const bytes = noise(96 * MIB, 3)
  const whole = cutsOf([bytes])
  const lengths = whole.map((cut, i) => cut - (whole[i - 1] ?? 0))

  it('cover the stream and keep the limits; only the last may be short', () => {
    expect(whole.at(-1)).toBe(bytes.length)
    for (const length of lengths.slice(0, -1)) expect(length).toBeGreaterThanOrEqual(MIB)
    for (const length of lengths) expect(length).toBeLessThanOrEqual(16 * MIB)
  })

  it('have the average size that is promised, within a quarter', () => {
    const many = [bytes, noise(96 * MIB, 4), noise(96 * MIB, 5)].flatMap((part) => cutsOf([part]).length)
    const mean = (3 * 96 * MIB) / many.reduce((a, b) => a + b)
    expect(mean / CHUNK_AVERAGE_BYTES).toBeGreaterThan(0.75)
    expect(mean / CHUNK_AVERAGE_BYTES).toBeLessThan(1.25)
  })

  it('are the same whatever pieces the stream comes in', () => {
    const part = bytes.subarray(0, 24 * MIB)
    const expected = cutsOf([part])
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.integer({ min: 20_000, max: 300_000 }), fc.integer({ min: MIB, max: 9 * MIB })), { minLength: 1, maxLength: 9 }), (pieces) => {
        expect(cutsOf(split(part, pieces))).toEqual(expected)
      }),
      { numRuns: 30 },
    )
  })

  it('are the same even byte by byte', () => {
    const options = { minBytes: 64, maxBytes: 1000 }
    const part = Buffer.concat([noise(777, 1), mark, noise(500, 2), mark, mark, noise(40, 3)])
    const expected = cutsOf([part], options)
    expect(expected).toContain(777 + mark.length)
    for (const pieces of [[1], [2, 1, 30], [31], [33, 64]]) expect(cutsOf(split(part, pieces), options)).toEqual(expected)
  })

  it('after an insertion or a removal only the nearby ones are new', () => {
    const old = new Set(contents(bytes, whole))
    for (const [at, length] of [[0, 1], [10 * MIB, 100], [40 * MIB, 3 * MIB]] as const) {
      const inserted = Buffer.concat([bytes.subarray(0, at), noise(length, 77), bytes.subarray(at)])
      const removed = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
      for (const changed of [inserted, removed]) {
        const fresh = contents(changed, cutsOf([changed])).filter((chunk) => !old.has(chunk))
        expect(fresh.length).toBeLessThanOrEqual(5)
      }
    }
  })

  it('of a run of zeros are the largest possible', () => {
    expect(cutsOf([new Uint8Array(40 * MIB)])).toEqual([16 * MIB, 32 * MIB, 40 * MIB])
  })

  it.each([
    ['nothing', 0, []],
    ['one byte', 1, [1]],
    ['exactly the greatest size', 16 * MIB, [16 * MIB]],
  ] as const)('of %s', (_what, length, cuts) => {
    expect(cutsOf([new Uint8Array(length)])).toEqual(cuts)
  })
})

describe('the cutter', () => {
  /** [what, candidates, cuts] with sizes 100, 200, 400 */
  const choices: [string, [cut: number, isStrict: boolean][], number[]][] = [
    ['a strict one from the least size on', [[99, true], [100, true], [150, true]], [100, 500, 900]],
    ['a loose one from the normal size on', [[150, false], [199, false], [200, false]], [200, 600, 900]],
    ['a loose one never before it', [[150, false]], [400, 800, 900]],
    ['one that was passed over counts for the next chunk', [[100, true], [190, true], [305, false]], [100, 305, 705, 900]],
    ['one at the greatest size', [[400, true], [800, false]], [400, 800, 900]],
  ]
  it.each(choices)('takes %s', (_what, candidates, cuts) => {
    const cutter = new Cutter({ minBytes: 100, normalBytes: 200, maxBytes: 400 })
    cutter.add(candidates.map(([cut, isStrict]) => ({ cut, isStrict })))
    const found: number[] = []
    for (let cut; (cut = cutter.next(900, true)) !== undefined; ) found.push(cut)
    expect(found).toEqual(cuts)
  })

  it('refuses sizes that make no sense', () => {
    expect(() => new Cutter({ minBytes: 10 })).toThrow(RangeError)
    expect(() => new Cutter({ minBytes: 100, normalBytes: 50 })).toThrow(RangeError)
    expect(() => new Cutter({ minBytes: 100, normalBytes: 500, maxBytes: 400 })).toThrow(RangeError)
  })
})

it('the embedded bytes are those of chunker-scan.wat', () => {
  const script = resolve(import.meta.dirname, '../../scripts/build-chunker.mjs')
  expect(spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
})

function contents(bytes: Uint8Array, cuts: readonly number[]): string[] {
  return cuts.map((cut, i) => Buffer.from(bytes.buffer, bytes.byteOffset + (cuts[i - 1] ?? 0), cut - (cuts[i - 1] ?? 0)).toString('latin1').slice(0, 4096) + String(cut - (cuts[i - 1] ?? 0)))
}
