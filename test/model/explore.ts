/**
 * explore.ts: runs the explorer on demand and prints a table.
 *
 * usage: npx tsx test/model/explore.ts [quick|long|"X X S"] [deaths] [plain]
 */
import { LONG, QUICK, type Row, programs } from './configurations.js'
import { explore } from './explorer.js'

const [what = 'quick', deaths = '1', plain] = process.argv.slice(2)
const chosen: readonly Row[] = what === 'quick' ? QUICK : what === 'long' ? LONG : [plain === 'plain' ? [what, Number(deaths), plain] : [what, Number(deaths)]]
for (const [text, count, detail] of chosen) {
  const began = performance.now()
  const result = explore({ programs: programs(text), deaths: count, stateLimit: 12_000_000, plainSteps: detail === 'plain' })
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(`${text.padEnd(14)} ${count} deaths  ${String(result.states).padStart(9)} states  ${String(result.transitions).padStart(9)} steps  ${seconds} s  ${
    result.violation ?? (result.complete ? 'every interleaving holds' : 'stopped at the limit of states')}`)
  if (result.violation !== undefined) {
    console.log(result.schedule.map(step => `    ${step}`).join('\n'))
    process.exitCode = 1
  }
}
