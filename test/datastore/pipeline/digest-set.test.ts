/** The set of known chunks, in one thread and as several threads see it. */
import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { DigestSet } from '../../../src/datastore/pipeline/digest-set.js'
import { WorkerPool } from '../../../src/datastore/pipeline/pool.js'

it('gives each digest to one claimant', () => {
  const set = new DigestSet(5000)
  const digests = Array.from({ length: 5000 }, () => randomBytes(32))
  expect(digests.filter((digest) => set.claim(digest)).length).toBe(5000)
  const other = new DigestSet({ buffer: set.buffer })
  expect(digests.filter((digest) => other.claim(digest)).length).toBe(0)
})

it('tells digests apart that begin alike', () => {
  const set = new DigestSet(10)
  const digest = randomBytes(32)
  const twin = Buffer.from(digest)
  twin[31]! ^= 1
  expect([digest, twin, digest, twin].map((each) => set.claim(each))).toEqual([true, true, false, false])
})

it.each([['with room for none', 0, 3], ['that is full', 1, 3]])('%s it claims to know nothing', (_what, expected, times) => {
  const set = new DigestSet(expected)
  if (expected > 0) for (let i = 0; i < 4096; i++) set.claim(randomBytes(32))
  const digest = randomBytes(32)
  expect(Array.from({ length: times }, () => set.claim(digest))).toEqual([true, true, true])
})

it('gives a digest to one of several threads', async () => {
  const pool = new WorkerPool({ threads: 3 })
  const known = new DigestSet(100).buffer
  const results = await Promise.all(Array.from({ length: 300 }, (_, i) => pool.run({
    kind: 'pack', context: { known, key: undefined }, data: { fd: undefined, offset: 0, length: 1 + (i % 20) }, output: new SharedArrayBuffer(100),
  })))
  expect(results.filter(({ encodedBytes }) => encodedBytes !== undefined).length).toBe(20)
  await pool.close()
})
