import { describe, expect, it } from 'vitest'
import { SlabMemory, SlabPool } from '../../../src/datastore/pipeline/slabs.js'

describe('memory that streams leave to those after them', () => {
  it('is the smallest that will do, of those the last one, and new where none will', () => {
    const memory = new SlabMemory()
    const [small, first, last, large] = [100, 200, 200, 300].map(bytes => memory.take(bytes)) as [SharedArrayBuffer, SharedArrayBuffer, SharedArrayBuffer, SharedArrayBuffer]
    for (const free of [large, first, small, last]) memory.give(free)
    expect([memory.take(150), memory.take(150), memory.take(150)]).toEqual([last, first, large])
    expect(memory.take(150).byteLength).toBe(150)
    expect(memory.take(1)).toBe(small)
  })

  it('is never two streams\' at a time', async () => {
    const memory = new SlabMemory()
    const [one, other] = [new SlabPool(() => 2, 100, memory), new SlabPool(() => 2, 50, memory)]
    const slabs = [await one.acquire(), await one.acquire(), await other.acquire(), await other.acquire()]
    expect(new Set(slabs.map(({ buffer }) => buffer)).size).toBe(4)
    slabs[0]!.release()
    slabs[2]!.release()
    const again = [await one.acquire(), await other.acquire()]
    expect(again.map(({ buffer }) => buffer)).toEqual([slabs[0]!.buffer, slabs[2]!.buffer])
  })
})

it('a pool with all its slabs in use gives the next one that is free to who waits longest', async () => {
  const pool = new SlabPool(() => 1, 100)
  const slab = (await pool.acquire()).retain()
  const order: string[] = []
  const waiting = ['first', 'second'].map(async who => {
    const next = await pool.acquire()
    order.push(who)
    next.release()
    return next.buffer
  })
  slab.release()
  await Promise.resolve()
  expect(order).toEqual([]) // it had two users
  slab.release()
  expect(await Promise.all(waiting)).toEqual([slab.buffer, slab.buffer])
  expect(order).toEqual(['first', 'second'])
})
