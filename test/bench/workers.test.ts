import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Crew } from '../../bench/lib/workers.js'
import { until } from '../support/until.js'

const script = new URL('./fixtures/member.ts', import.meta.url)

interface Result {
  readonly startedAt: number
  readonly index: number
}

describe.each([['memory'], ['file']] as const)('a crew with its numbers in %s', memory => {
  test('starts together, counts, and hands back its results in order', async () => {
    using crew = Crew.start<object, Result>({ script, processes: 3, task: { turns: 50 }, counters: 3, memory })
    const results = await crew.run()
    expect(results.map(({ index }) => index)).toEqual([0, 1, 2])
    expect([0, 1, 2].map(counter => crew.counter(counter))).toEqual([100, 100, 100])
    const starts = results.map(({ startedAt }) => startedAt)
    expect(Math.max(...starts) - Math.min(...starts)).toBeLessThan(1e9) // a busy machine may be late, but nobody starts with another's end
  })

  test('says so when a member fails before the start', async () => {
    using crew = Crew.start<object, Result>({ script, processes: 2, task: { turns: 1, fail: true }, memory })
    await expect(crew.run()).rejects.toThrow('member 1 of the crew ended with status 3')
  })

  test('gives up members that hang', async () => {
    using crew = Crew.start<object, Result>({ script, processes: 2, task: { turns: 1, hang: true }, memory, patienceMs: 100 })
    await expect(crew.run()).rejects.toThrow('the crew is not done after 0.1 s')
  })

  test('a member that was killed has no result', async () => {
    using crew = Crew.start<object, Result>({ script, processes: 2, task: { turns: 1 }, counters: 2, memory })
    const [first] = crew.pids
    process.kill(first!, 'SIGKILL')
    const results = crew.results()
    await until(() => !existsSync(`/proc/${first}`)) // its death was noticed, and nobody minds
    crew.close()
    expect(await results).toEqual([undefined, undefined])
  })
})
