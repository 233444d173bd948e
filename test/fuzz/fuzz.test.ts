/** A short campaign with a new seed each time; `npm run fuzz -- --seconds 600` is a long one. */
import { expect, test } from 'vitest'
import { fuzz } from './fuzz.js'

test('damaged tables: no crash, no hang, a typed error or correct work', async () => {
  const seed = Date.now() % 2 ** 31
  const report = await fuzz({ seconds: 5, seed, workers: 2, leastExecutions: 100 })
  console.log(`seed ${seed}: ${JSON.stringify(report)}`)
  expect(report.faults).toEqual([])
  expect(report.opened).toBeGreaterThan(0)
  expect(report.live).toBeGreaterThan(0)
  expect(report.commands).toBeGreaterThan(0)
  expect(report.executions).toBeGreaterThan(report.opened) // some are refused
}, 90_000)
