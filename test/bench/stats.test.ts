import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jain, median, percentile, summarize, summarizeLatencies } from '../../bench/lib/stats.js'

const samples = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e12, max: 1e12 }), { minLength: 1, maxLength: 50 })
const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)

describe('median', () => {
  test.each([
    ['one sample', [7], 7],
    ['an odd number', [3, 1, 2], 2],
    ['an even number', [4, 1, 3, 2], 2.5],
    ['numbers that sort differently as text', [9, 10, 100], 10],
  ])('%s', (_name, values, expected) => {
    expect(median(values)).toBe(expected)
  })
})

describe('percentile', () => {
  test.each([
    [0, 1], [0.01, 1], [0.07, 7], [0.5, 50], [0.505, 51], [0.99, 99], [0.991, 100], [0.999, 100], [1, 100],
  ])('%d of 1 to 100 is %d', (share, expected) => {
    expect(percentile(hundred, share)).toBe(expected)
  })

  test('is a sample, with the promised share at or below it and no smaller sample with as much', () => {
    fc.assert(fc.property(samples, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
      const found = percentile(values, share)
      const atOrBelow = (limit: number): number => values.filter(value => value <= limit).length / values.length
      const below = values.filter(value => value < found)
      expect(values).toContain(found)
      expect(atOrBelow(found)).toBeGreaterThanOrEqual(share - 1e-9)
      if (below.length > 0) expect(atOrBelow(Math.max(...below))).toBeLessThan(share)
    }))
  })

  test.each([-0.1, 1.1, NaN])('refuses the share %d', share => {
    expect(() => percentile([1], share)).toThrow(RangeError)
  })
})

test('a summary has the middle, both ends and the spread of the middle half', () => {
  expect(summarize([10, 20, 30, 40])).toEqual({ count: 4, median: 25, min: 10, max: 40, spread: 0.4 })
  expect(summarize([0, 0]).spread).toBe(0)
})

test('latencies', () => {
  expect(summarizeLatencies(hundred)).toEqual({ count: 100, mean: 50.5, p50: 50, p90: 90, p99: 99, p999: 100, max: 100 })
  expect(summarizeLatencies([]).count).toBe(0)
})

describe('Jain\'s fairness index', () => {
  test.each([
    ['equal shares', [5, 5, 5, 5], 1],
    ['all for one of four', [0, 8, 0, 0], 0.25],
    ['two of four', [1, 1, 0, 0], 0.5],
    ['nothing for anybody', [0, 0], 1],
    ['one alone', [3], 1],
  ])('%s', (_name, shares, expected) => {
    expect(jain(shares)).toBeCloseTo(expected, 12)
  })

  test('lies between 1/n and 1, whatever the unit', () => {
    const shares = fc.array(fc.integer({ min: 0, max: 1e6 }), { minLength: 1, maxLength: 32 })
    fc.assert(fc.property(shares, fc.integer({ min: 1, max: 1000 }), (values, unit) => {
      const index = jain(values)
      expect(index).toBeGreaterThanOrEqual(1 / values.length - 1e-9)
      expect(index).toBeLessThanOrEqual(1 + 1e-9)
      expect(jain(values.map(value => value * unit))).toBeCloseTo(index, 9)
    }))
  })

  test('refuses what cannot be a share', () => {
    expect(() => jain([1, -1])).toThrow(RangeError)
    expect(() => jain([NaN])).toThrow(RangeError)
  })
})

test('no sample and NaN are refused, arguments stay as they are', () => {
  for (const figure of [median, summarize, jain, (values: number[]) => percentile(values, 0.5)]) expect(() => figure([])).toThrow(RangeError)
  expect(() => median([1, NaN])).toThrow(RangeError)
  const values = [3, 1, 2]
  median(values)
  percentile(values, 0.5)
  summarize(values)
  summarizeLatencies(values)
  expect(values).toEqual([3, 1, 2])
})
