import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Distribution } from '../../bench/lib/distribution.js'
import { percentile } from '../../bench/lib/stats.js'

function of(values: readonly number[]): Distribution {
  const distribution = new Distribution()
  for (const value of values) distribution.note(value)
  return distribution
}

const latencies = fc.array(fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 2 ** 31 + 100 }), fc.integer({ min: 0, max: 2 ** 52 })), { minLength: 1, maxLength: 60 })

test('a quantile is the percentile of the samples, or up to 0.8 % above it', () => {
  fc.assert(fc.property(latencies, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
    const exact = percentile(values, share)
    const found = of(values).quantile(share)
    expect(found).toBeGreaterThanOrEqual(exact)
    expect(found).toBeLessThanOrEqual(exact * 1.008)
  }))
})

test('distributions add up, also as data from another process', () => {
  fc.assert(fc.property(latencies, latencies, (some, others) => {
    const sum = of(some)
    sum.add(structuredClone(of(others).data))
    const { mean, ...figures } = of([...some, ...others]).summary()
    expect(sum.summary()).toMatchObject(figures)
    expect(sum.summary().mean / Math.max(mean, 1)).toBeLessThan(1.000001)
  }))
})

test('nothing measured is all zero', () => {
  expect(new Distribution().summary()).toEqual({ count: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 })
})
