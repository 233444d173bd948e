import { expect, test } from 'vitest'
import { soak } from './soak.js'

/** Slots fewer than names (everything collides), about as many, and far more. */
test.each([[40, 4], [300, 64], [1000, 16384]])('%i names in %i slots, 8 processes, kill -9', async (names, slots) => {
  const seed = Date.now() % 2 ** 31
  const report = await soak({ seconds: 8, workers: 8, names, slots, seed, leastKills: 5 })
  console.log(`seed ${seed}: ${JSON.stringify(report)}`)
  expect(report.faults).toEqual([])
  expect(report.kills).toBeGreaterThan(0)
  expect(report.notices).toBeGreaterThan(0)
}, 90_000)
