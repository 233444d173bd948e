/**
 * explore.ts: runs the explorer on demand.
 *
 * usage: npx tsx test/model/explore.ts [quick | long]             every configuration of the list, a line each
 *        npx tsx test/model/explore.ts "X X S" [deaths] [plain]   one
 *        npx tsx test/model/explore.ts variants [long]            the broken versions, and how each was caught; long: with its schedule
 *        npx tsx test/model/explore.ts replay VARIANT "X X S" DEATHS DETAIL 0,1,0,…
 *                                                                 walks one schedule; VARIANT - is the shipped protocol
 */
import { LONG, QUICK, type Row, programs } from './configurations.js'
import { type Configuration, type Exploration, explore, replay } from './explorer.js'
import { VARIANTS, configurationOf } from './variants.js'

const STATE_LIMIT = 12_000_000

function printSchedule({ schedule }: Exploration): void {
  for (const step of schedule) console.log(`    ${step}`)
}

function quoted(words: readonly (string | number)[]): string {
  return words.map(word => (/^[\w,-]+$/.test(String(word)) ? word : `"${word}"`)).join(' ')
}

function exploreRows(rows: readonly Row[]): void {
  for (const [text, deaths, detail] of rows) {
    const began = performance.now()
    const result = explore({ programs: programs(text), deaths, stateLimit: STATE_LIMIT, plainSteps: detail === 'plain' })
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    console.log(`${text.padEnd(30)} ${deaths} deaths  ${String(result.states).padStart(9)} states  ${String(result.transitions).padStart(9)} steps  ${
      seconds.padStart(6)} s  ${result.violation ?? (result.complete ? 'every interleaving holds' : 'stopped at the limit of states')}`)
    if (result.violation === undefined) continue
    printSchedule(result)
    console.log(`replay it: npx tsx test/model/explore.ts ${quoted(['replay', '-', text, deaths, detail ?? '-', result.choices.join()])}`)
    process.exitCode = 1
  }
}

function exploreVariants(withSchedules: boolean): void {
  for (const variant of VARIANTS) {
    const result = explore(configurationOf(variant, programs(variant.programs)))
    const caught = variant.breaks.test(result.violation ?? '')
    if (!caught) process.exitCode = 1
    console.log(`${variant.name.padEnd(56)} ${variant.programs.padEnd(26)} ${variant.deaths} deaths  ${String(result.states).padStart(7)} states  ${
      caught ? `caught in ${result.schedule.length} steps: ${result.violation}` : 'MISSED'}`)
    if (!withSchedules) continue
    printSchedule(result)
    console.log(`    npx tsx test/model/explore.ts ${quoted(['replay', variant.name, variant.programs, variant.deaths, variant.detail ?? '-', result.choices.join()])}`)
  }
}

function configurationFor(variantName: string, text: string, deaths: number, detail: string): Configuration {
  if (variantName === '-') return { programs: programs(text), deaths, plainSteps: detail === 'plain' }
  const variant = VARIANTS.find(({ name }) => name === variantName)
  if (variant === undefined) throw new Error(`there is no variant "${variantName}"`)
  return configurationOf(variant, programs(text))
}

const [what = 'quick', ...rest] = process.argv.slice(2)
if (what === 'variants') exploreVariants(rest[0] === 'long')
else if (what === 'replay') {
  const [variant = '-', text = '', deaths = '0', detail = '-', choices = ''] = rest
  const result = replay(configurationFor(variant, text, Number(deaths), detail), choices.split(',').filter(Boolean).map(Number))
  printSchedule(result)
  console.log(result.violation ?? 'no violation')
} else if (what === 'quick') exploreRows(QUICK)
else if (what === 'long') exploreRows(LONG)
else exploreRows([rest[1] === 'plain' ? [what, Number(rest[0] ?? 1), 'plain'] : [what, Number(rest[0] ?? 1)]])
