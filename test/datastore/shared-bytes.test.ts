/** Bytes into and out of shared memory, whatever their alignment, and what is refused; memory that is used again. */
import { describe, expect, it } from 'vitest'
import { loadNative } from '../../src/lock/native.js'
import { garbageCollector } from '../../src/datastore/pipeline/garbage.js'
import { copyBytes, keepFreedMemory } from '../../src/datastore/shared-bytes.js'

const shared = (length: number): Buffer => Buffer.from(new SharedArrayBuffer(length))

describe('a copy', () => {
  it.each([
    ['aligned alike', 8, 0, 100], ['aligned otherwise', 3, 4, 100], ['of no bytes', 3, 7, 0], ['up to the ends', 100, 28, 100],
  ])('%s', (_, at, from, length) => {
    const source = shared(128)
    for (let i = 0; i < source.length; i++) source[i] = i + 1
    for (const target of [shared(200), Buffer.alloc(200)]) {
      copyBytes(target, at, source.subarray(from, from + length))
      expect(target).toEqual(Buffer.concat([Buffer.alloc(at), source.subarray(from, from + length)], 200))
    }
  })

  it('within one memory, over itself', () => {
    const bytes = Buffer.from('0123456789')
    copyBytes(bytes, 2, bytes.subarray(0, 8))
    expect(bytes.toString()).toBe('0101234567')
  })
})

describe('wrong arguments', () => {
  const native = loadNative() as unknown as { bytesCopy: (...values: unknown[]) => unknown }
  const [target, source] = [Buffer.alloc(4), Buffer.alloc(2)]
  it.each([
    ['no target', TypeError, [undefined, 0, source]], ['no source', TypeError, [target, 0]], ['memory itself', TypeError, [new ArrayBuffer(4), 0, source]],
    ['a place before the target', RangeError, [target, -1, source]], ['one behind it', RangeError, [target, 5, source]], ['a fraction', RangeError, [target, 0.5, source]],
    ['a source that is too long', RangeError, [target, 3, source]], ['no place', TypeError, [target, undefined, source]],
  ])('%s', (_, kind, values) => {
    expect(() => native.bytesCopy(...values)).toThrow(kind)
  })
})

/** By glibc's rules: with musl, or with thresholds in GLIBC_TUNABLES or MALLOC_*, nothing changes and the test fails. */
describe('freed memory', () => {
  const collect = garbageCollector()

  /** Of 32 MiB that are allocated, written and freed, again and again. */
  const faultsOf = (rounds: number): number => {
    const before = process.resourceUsage().minorPageFault
    for (let i = 0; i < rounds; i++) {
      Array.from({ length: 8 }, () => Buffer.allocUnsafeSlow(4 * 2 ** 20).fill(1))
      collect()
    }
    return process.resourceUsage().minorPageFault - before
  }

  it('is used again instead of being given back', () => {
    keepFreedMemory()
    faultsOf(5) // until there is some to keep
    // Of 8192 pages a round. Without it, and by chance of what was freed before, 19 000 to 130 000.
    expect(faultsOf(20)).toBeLessThan(2 * 8192)
  })
})
