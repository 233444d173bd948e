import { expect, test } from 'vitest'
import { type Candidate, measure } from '../../bench/lib/harness.js'
import { Zipf } from '../../bench/lib/zipf.js'

const PLAN = { runs: 3, runMs: 1, warmUpMs: 0 }

test('whoever fails is out, and the others go on', async () => {
  const closed: string[] = []
  let runs = 0
  const steady = (name: string): Candidate => ({ group: 'test', name, sample: () => 5, close: () => void closed.push(name) })
  const failing: Candidate = {
    group: 'test', name: 'failing', close: () => void closed.push('failing'),
    sample() {
      if (++runs === 3) throw new Error('stuck')
      return 1
    },
  }
  const failures: string[] = []
  const results = await measure([steady('first'), failing, steady('last')], PLAN, ({ name }, error) => failures.push(`${name}: ${(error as Error).message}`))
  expect(results.map(({ name, samples }) => [name, samples])).toEqual([['first', [5, 5, 5]], ['last', [5, 5, 5]]])
  expect(failures).toEqual(['failing: stuck'])
  expect(runs).toBe(3)
  expect(closed).toEqual(['first', 'failing', 'last'])
})

test('the i-th name has a weight of 1/i', () => {
  const zipf = new Zipf(100, 7)
  const counts = new Array<number>(100).fill(0)
  for (let i = 0; i < 100_000; i++) counts[zipf.next()]!++
  const sum = Array.from({ length: 100 }, (_, i) => 1 / (i + 1)).reduce((total, weight) => total + weight, 0)
  for (const [i, count] of [[0, counts[0]!], [1, counts[1]!], [9, counts[9]!]] as const) expect(count / 100_000 * sum * (i + 1)).toBeCloseTo(1, 0)
  expect(counts.every(count => count > 0)).toBe(true)
})

test('one name is always the same, and percents are below 100', () => {
  const zipf = new Zipf(1, 0)
  const percents = Array.from({ length: 1000 }, () => zipf.percent())
  expect(zipf.next()).toBe(0)
  expect(Math.min(...percents)).toBe(0)
  expect(Math.max(...percents)).toBe(99)
})
