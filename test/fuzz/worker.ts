/** One process of the fuzzer: DIRECTORY SEED FIRST COUNT. Announces each execution before it begins; says what was wrong. A single one is told step by step. */
import { readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { randomFrom } from '../crash/soak.js'
import { CORPUS_FILES, type Report, seedOf } from './fuzz.js'
import { execute } from './execute.js'

const [directory = '', seed = '0', first = '0', count = '1'] = process.argv.slice(2)
const trace = count === '1' ? (text: string) => void writeSync(1, `${text}\n`) : () => undefined
const corpus = CORPUS_FILES.map(name => readFileSync(join(directory, name)))
const say = (report: Report): Promise<void> => new Promise(resolve => process.send?.(report, () => {
  resolve()
}))

process.on('uncaughtException', error => {
  void say({ fault: `nobody caught ${error.stack ?? String(error)}` })
})
for (let i = Number(first); i < Number(first) + Number(count); i++) {
  await say({ begins: i })
  const { kind, opened, fault } = await execute(join(directory, `table-${process.pid}`), corpus, randomFrom(seedOf(Number(seed), i)), trace)
  await say(fault === undefined ? { kind, opened } : { fault })
}
process.disconnect()
