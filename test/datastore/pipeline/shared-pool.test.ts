/** Backups and restores of a process share their threads, for as long as somebody needs them and a moment longer. */
import { expect, test } from 'vitest'
import type { WorkerPool } from '../../../src/datastore/pipeline/pool.js'
import { withSharedPool } from '../../../src/datastore/pipeline/shared-pool.js'
import { until } from '../../support/until.js'

const poolNow = (): Promise<WorkerPool> => withSharedPool(pool => Promise.resolve(pool))

test('one for all, at once and one after the other', async () => {
  const [outer, inner] = await withSharedPool(async pool => [pool, await poolNow()] as const)
  expect(inner).toBe(outer)
  expect(await poolNow()).toBe(outer)
  await expect(withSharedPool(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await poolNow()).toBe(outer)
})

test('it is closed when nobody has used it for a while, and not while somebody does', async () => {
  const first = await poolNow()
  await withSharedPool(async pool => {
    expect(pool).toBe(first)
    await new Promise(resolve => setTimeout(resolve, 1500)) // longer than an unused one stays
    expect(pool.hasFailed).toBe(false)
  })
  await until(() => first.hasFailed)
  expect(await poolNow()).not.toBe(first)
})

test('one that has failed is for nobody any more', async () => {
  const failed = await withSharedPool(async pool => {
    await pool.close()
    expect(await poolNow()).not.toBe(pool)
    return pool
  })
  const next = await poolNow()
  expect(next).not.toBe(failed)
  expect(next.hasFailed).toBe(false)
})
