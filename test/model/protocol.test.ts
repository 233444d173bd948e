import { describe, expect, test } from 'vitest'
import { QUICK, programs } from './configurations.js'
import { explore, replay } from './explorer.js'
import { VARIANTS, configurationOf } from './variants.js'

describe('every interleaving of the shipped protocol', () => {
  test.each(QUICK.map(row => ({ text: row[0], deaths: row[1], detail: row[2] })))('$text with $deaths deaths', { timeout: 300_000 }, ({ text, deaths, detail }) => {
    const result = explore({ programs: programs(text), deaths, plainSteps: detail === 'plain' })
    expect({ violation: result.violation, schedule: result.schedule, complete: result.complete }).toEqual({
      violation: undefined, schedule: [], complete: true,
    })
  })
})

describe('every broken variant is caught', () => {
  test.each(VARIANTS.map(variant => [variant.name, variant] as const))('%s', { timeout: 300_000 }, (_name, variant) => {
    const result = explore(configurationOf(variant, programs(variant.programs)))
    expect(result.violation).toMatch(variant.breaks)
    expect(result.schedule.length).toBeGreaterThan(0)
    const again = replay(configurationOf(variant, programs(variant.programs)), result.choices)
    expect({ violation: again.violation, schedule: again.schedule }).toEqual({ violation: result.violation, schedule: result.schedule })
  })
})
