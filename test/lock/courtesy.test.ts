/** A blocking caller that lets others run, against a clock and a slot that the test moves. */
import { expect, test } from 'vitest'
import { Courtesy } from '../../src/lock/courtesy.js'

const YIELD_MS = 0.001
const SLOT = 64
const OTHER = 128

/** A slot whose owner holds it for `holdMs` and leaves it free for `gapMs`, again and again. */
class Scene {
  now = 1000
  holdMs = 0.01
  gapMs = 0.0015
  awaited = false
  clear = true
  looks = 0
  readonly courtesy = new Courtesy(() => this.now, () => {
    this.looks++
    this.now += YIELD_MS
  })

  get #phase(): number {
    return this.now % (this.holdMs + this.gapMs)
  }

  /** @returns whether it got the slot, and after how many milliseconds */
  wait(slot = SLOT, { timeoutMs = Infinity, isLucky = true, isShared = false } = {}): { got: boolean; tookMs: number } {
    const since = this.now
    const got = this.courtesy.wait({
      slot, isShared,
      isClear: () => this.clear,
      isOwned: () => this.#phase < this.holdMs,
      isAwaited: () => this.awaited,
      version: () => Math.floor(this.now / (this.holdMs + this.gapMs)),
      tryLock: () => isLucky,
    }, since, since + timeoutMs)
    return { got, tookMs: this.now - since }
  }

  /** It has the slot for so long, in however many holds. */
  keep(ms: number): void {
    this.now += ms
  }
}

test('the first gap is taken', () => {
  const scene = new Scene()
  const { got, tookMs } = scene.wait()
  expect(got).toBe(true)
  expect(tookMs).toBeLessThanOrEqual(scene.holdMs + scene.gapMs)
})

test.each([
  { hadMs: 0.4, leavesMs: 0.4 },
  { hadMs: 50, leavesMs: 1 },
])('who has had a turn of $hadMs ms takes no gap for $leavesMs ms, as long as its own, a millisecond at most', ({ hadMs, leavesMs }) => {
  const scene = new Scene()
  scene.wait()
  scene.keep(hadMs)
  const { got, tookMs } = scene.wait()
  expect(got).toBe(true)
  expect(tookMs).toBeGreaterThanOrEqual(leavesMs)
  expect(tookMs).toBeLessThan(leavesMs + 2 * (scene.holdMs + scene.gapMs))
})

test('but takes at once what stays free', () => {
  const scene = new Scene()
  scene.wait()
  scene.keep(50)
  scene.holdMs = 0.005
  scene.gapMs = 10
  scene.now = Math.ceil(scene.now / 10.005) * 10.005
  const { got, tookMs } = scene.wait()
  expect(got).toBe(true)
  expect(tookMs).toBeLessThan(0.03)
})

test('a turn that came out of the queue counts as well', () => {
  const scene = new Scene()
  scene.courtesy.noteQueued(SLOT, true)
  scene.keep(0.4)
  expect(scene.wait().tookMs).toBeGreaterThanOrEqual(0.4)
})

test('a wait in the queue that came to nothing is no turn, nor is one of another slot', () => {
  const scene = new Scene()
  scene.courtesy.noteQueued(SLOT, false)
  scene.keep(0.4)
  expect(scene.wait().tookMs).toBeLessThanOrEqual(scene.holdMs + scene.gapMs)
  scene.keep(0.4)
  expect(scene.wait(OTHER).tookMs).toBeLessThanOrEqual(scene.holdMs + scene.gapMs)
})

test('where others are queued each queues once in ten milliseconds', () => {
  const scene = new Scene()
  scene.awaited = true
  expect(scene.wait()).toEqual({ got: false, tookMs: 0 })
  scene.courtesy.noteQueued(SLOT, true)
  scene.keep(9)
  expect(scene.wait().got).toBe(true)
  scene.keep(9)
  expect(scene.wait()).toEqual({ got: false, tookMs: 0 })
  scene.awaited = false
  expect(scene.wait().got).toBe(true)
})

test('it looks for five milliseconds at most', () => {
  const scene = new Scene()
  const { got, tookMs } = scene.wait(SLOT, { isLucky: false })
  expect(got).toBe(false)
  expect(tookMs).toBeGreaterThanOrEqual(5)
  expect(tookMs).toBeLessThan(5 + 2 * YIELD_MS)
})

test('and no less the next time, if the slot went from hand to hand', () => {
  const scene = new Scene()
  scene.wait(SLOT, { isLucky: false })
  expect(scene.wait(SLOT, { isLucky: false }).tookMs).toBeGreaterThanOrEqual(5)
})

test('but half as long each time behind one long hold, down to a tenth of a millisecond, and now and then in full', () => {
  const scene = new Scene()
  scene.holdMs = 1e9
  const took = Array.from({ length: 20 }, () => scene.wait().tookMs)
  const rounded = took.map(ms => Math.round(ms * 100) / 100)
  expect(rounded.slice(0, 4)).toEqual([5, 2.5, 1.25, 0.63])
  expect(rounded.slice(6, 16)).toEqual([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
  expect(Math.max(...rounded.slice(16))).toBe(5)
  expect(scene.wait(OTHER).tookMs).toBeGreaterThanOrEqual(5) // another slot is another matter
})

test('a slot that goes from hand to hand again is looked at in full again, although it was never got', () => {
  const scene = new Scene()
  scene.holdMs = 1e9
  for (let i = 0; i < 8; i++) scene.wait()
  scene.holdMs = 0.01
  expect(scene.wait(SLOT, { isLucky: false }).tookMs).toBeLessThan(0.2)
  expect(scene.wait(SLOT, { isLucky: false }).tookMs).toBeGreaterThanOrEqual(5)
})

test('a hold that ends makes it look in full again', () => {
  const scene = new Scene()
  scene.holdMs = 1e9
  for (let i = 0; i < 8; i++) scene.wait()
  scene.holdMs = 0.01
  scene.wait()
  scene.holdMs = 1e9
  scene.keep(2)
  expect(scene.wait().tookMs).toBeGreaterThanOrEqual(5)
})

test('the time given to the request ends it, and a time-out of zero is no look at all', () => {
  const scene = new Scene()
  scene.holdMs = 1e9
  const { got, tookMs } = scene.wait(SLOT, { timeoutMs: 0.5 })
  expect(got).toBe(false)
  expect(tookMs).toBeGreaterThanOrEqual(0.5)
  expect(tookMs).toBeLessThan(0.5 + 2 * YIELD_MS)
  scene.looks = 0
  expect(scene.wait(SLOT, { timeoutMs: 0 })).toEqual({ got: false, tookMs: 0 })
  expect(scene.looks).toBe(0)
  expect(scene.wait().tookMs).toBeGreaterThanOrEqual(5) // it says nothing of the slot
})

test('who may not go straight to the slot queues at once', () => {
  const scene = new Scene()
  scene.clear = false
  expect(scene.wait()).toEqual({ got: false, tookMs: 0 })
})

test('a reader takes the first gap, whatever it had before, and looks 250 times', () => {
  const scene = new Scene()
  scene.wait()
  scene.keep(50)
  expect(scene.wait(SLOT, { isShared: true }).tookMs).toBeLessThanOrEqual(scene.holdMs + scene.gapMs)
  scene.holdMs = 1e9
  scene.looks = 0
  expect(scene.wait(SLOT, { isShared: true }).got).toBe(false)
  expect(scene.looks).toBe(250)
})
