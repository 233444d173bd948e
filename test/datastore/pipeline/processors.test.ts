/** How many threads are of use is told from what the processors have done. */
import { describe, expect, it, vi } from 'vitest'
import { idleMsOf, idleNowOf, Processors, type ProcessorTimes, processorTimes } from '../../../src/datastore/pipeline/processors.js'

/** What the count is, 100 ms after it began, if so many milliseconds of processors were idle and ours meanwhile. */
function countAfter(idleMs: number, ownMs: number): number {
  const clock = vi.spyOn(performance, 'now')
  try {
    const times: ProcessorTimes[] = [{ atMs: 5000, idleMs: 700, ownMs: 90, idleNow: 0 }, { atMs: 5100, idleMs: 700 + idleMs, ownMs: 90 + ownMs, idleNow: 0 }]
    const processors = new Processors(() => times.shift())
    clock.mockReturnValue(5100)
    return processors.count
  } finally {
    clock.mockRestore()
  }
}

describe('processors that are ours', () => {
  it.each([
    ['all of an idle machine with four', 400, 0, 4],
    ['two, both busy with our work', 0, 200, 2],
    ['two, one ours, one idle', 100, 100, 2],
    ['half of two that two of us share', 0, 100, 1],
    ['less than one, of which a thread gets what it can', 0, 30, 1],
    ['none at all', 0, 0, 1],
  ])('%s', (_what, idleMs, ownMs, expected) => {
    expect(countAfter(idleMs, ownMs)).toBe(expected)
  })

  it('are at first our own and those that are idle at that moment, and are not looked at all the time', () => {
    const clock = vi.spyOn(performance, 'now').mockReturnValue(1000)
    let looks = 0
    const processors = new Processors(() => ({ atMs: performance.now(), idleMs: 800 * looks++, ownMs: 0, idleNow: 1 }))
    expect([processors.count, processors.count, looks]).toEqual([2, 2, 1])
    clock.mockReturnValue(1200)
    expect([processors.count, processors.count, looks]).toEqual([4, 4, 2])
    clock.mockReturnValue(1220)
    expect([processors.count, looks]).toEqual([4, 2])
    clock.mockRestore()
  })

  it('are as many as anybody wants where nobody says', () => {
    expect(new Processors(() => undefined).count).toBe(Infinity)
  })
})

describe('processors that are idle at a moment', () => {
  const processors = 'cpu  1 1 1 1\ncpu0 1 1 1 1\ncpu1 1 1 1 1\ncpu12 1 1 1 1\n'
  it.each([
    ['all but that of who asks', `${processors}procs_running 1\nprocs_blocked 7\n`, 2],
    ['none where more want to run', `${processors}procs_running 31\n`, 0],
    ['none where nobody says', processors, 0],
  ])('%s', (_what, text, expected) => {
    expect(idleNowOf(text)).toBe(expected)
  })
})

describe('the first line of /proc/stat', () => {
  it.each([
    ['idle and iowait, in ticks', 'cpu  100 0 50 700 30 0 5 0 0 0\ncpu0 1 1 1 1 1\n', 7300],
    ['something else', 'intr 5 5 5 5 5 5\n', undefined],
    ['nothing', '', undefined],
  ])('%s', (_what, text, expected) => {
    expect(idleMsOf(text)).toBe(expected)
  })

  it('is here', () => {
    const first = processorTimes()!
    const second = processorTimes()!
    expect(second.idleMs).toBeGreaterThanOrEqual(first.idleMs)
    expect(second.ownMs).toBeGreaterThanOrEqual(first.ownMs)
  })
})
