/** When the sentinel is told that its participant waits. */
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Watchfulness } from '../../src/lock/watchfulness.js'

function watched(): { told: boolean[]; watchfulness: Watchfulness } {
  const told: boolean[] = []
  return { told, watchfulness: new Watchfulness({ setWaiting: waiting => told.push(waiting) }) }
}

test('of a wait at once, of its end when the event loop turns', async () => {
  const { told, watchfulness } = watched()
  watchfulness.begin()
  expect(told).toEqual([true])
  watchfulness.end()
  expect(told).toEqual([true])
  await setImmediate()
  expect(told).toEqual([true, false])
  watchfulness.begin()
  expect(told).toEqual([true, false, true])
})

test('of many waits within a turn once', async () => {
  const { told, watchfulness } = watched()
  for (let i = 0; i < 10; i++) {
    watchfulness.begin()
    watchfulness.begin()
    watchfulness.end()
  }
  expect(told).toEqual([true])
  await setImmediate()
  expect(told).toEqual([true, false])
})

test('not of an end that is none', async () => {
  const { told, watchfulness } = watched()
  watchfulness.begin()
  watchfulness.end()
  watchfulness.begin()
  await setImmediate()
  expect(told).toEqual([true])
  watchfulness.end()
  await setImmediate()
  expect(told).toEqual([true, false])
})

test('of the end for good at once, and of nothing after it', async () => {
  const { told, watchfulness } = watched()
  watchfulness.begin()
  watchfulness.end()
  watchfulness.stop()
  watchfulness.stop()
  expect(told).toEqual([true, false])
  await setImmediate()
  expect(told).toEqual([true, false])
})
