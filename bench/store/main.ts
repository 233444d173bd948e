/**
 * main.ts: how fast is a datastore beside restic and borg? The same data in one run: first backup, second of the same data, third with 5 % changed,
 * restore; as one client, and as four at once with a quarter each.
 *
 *   npm run bench:store [-- [--size MIB] [--rounds N] [--scratch DIRECTORY] [--only NAME] [--out FILE] [--small]]
 *
 * Runs of the contenders alternate; every round has new repositories; what is restored is compared with the data, byte for byte, or the contender
 * is out. Nothing is deleted before the end: ext4 looks long for an inode, up to minutes later, where many were deleted. It takes some 14 times --size of disk
 * for each round. Written to --out (default: bench/store/report.json); exit status 1 if anything failed.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cleanEnvironment } from '../lib/clean-environment.js'
import { environmentNow, printEnvironment } from '../lib/report.js'
import { makeScratch } from '../lib/scratch.js'
import { parseOrExit, wholeNumber } from '../lib/usage.js'
import { run } from './command.js'
import { findContenders } from './contenders.js'
import { changeData, digestOf, makeData, PARTS, sizeOfData } from './data.js'
import { measureLimits } from './limits.js'
import { printResults, type Result } from './results.js'
import { type Attempt, CLIENT_COUNTS, measure, STEPS } from './steps.js'

cleanEnvironment()
const USAGE = 'npm run bench:store [-- [--size MIB] [--rounds N] [--scratch DIRECTORY] [--only NAME]... [--out FILE] [--small]]'
const { values } = parseOrExit(USAGE, {
  options: {
    size: { type: 'string' }, rounds: { type: 'string' }, scratch: { type: 'string', default: '/var/tmp' }, only: { type: 'string', multiple: true, default: [] },
    out: { type: 'string', default: fileURLToPath(new URL('report.json', import.meta.url)) }, small: { type: 'boolean', default: false },
  },
})

const size = wholeNumber(USAGE, 'size', values.size ?? (values.small ? '16' : '1024'), 1)
const rounds = wholeNumber(USAGE, 'rounds', values.rounds ?? (values.small ? '1' : '3'), 1)
const environment = environmentNow()
const began = performance.now()
const found = findContenders()
const { skipped } = found
const contenders = found.contenders.filter(({ name }) => values.only.length === 0 || values.only.some(part => name.includes(part)))
for (const { name, why } of skipped) console.error(`skipped: ${name}: ${why}`)

const scratch = mkdtempSync(join(values.scratch, 'locktable-bench-store-'))
process.once('exit', () => {
  rmSync(scratch, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
const data = join(scratch, 'data')
makeData(data, size)
const { bytes, files } = sizeOfData(data)
const limits = measureLimits(scratch, join(data, PARTS[0], 'disk.img'), values.small)
const results: Result[] = []
const failed: { name: string; why: string }[] = []

/** One round: all contenders do one step, then all the next. */
async function playRound(round: number): Promise<void> {
  using memory = makeScratch()
  const attempts: Attempt[] = []
  for (const contender of contenders) for (const clients of CLIENT_COUNTS) {
    const directory = join(scratch, `${round}-${contenders.indexOf(contender)}-${clients}`)
    const own = join(memory.path, `${contenders.indexOf(contender)}-${clients}`)
    mkdirSync(own)
    attempts.push({ contender, clients, directory, repository: contender.repository(directory, own) })
  }
  await eachOf(attempts, round, async ({ repository }) => run(repository.init))
  for (const step of STEPS) {
    if (step === 'changed') changeData(data, round)
    const expected = step === 'restore' ? digestOf(data) : undefined
    await eachOf(attempts, round, async attempt => {
      const seconds = await measure(step, attempt, data, expected)
      results.push({ contender: attempt.contender.name, clients: attempt.clients, step, round, seconds, bytes })
      console.error(`round ${round + 1}, ${step}, ${attempt.clients} at once, ${attempt.contender.name}: ${seconds.toFixed(2)} s`)
    })
  }
}

/** Each round begins with another one. Who fails is out. */
async function eachOf(attempts: readonly Attempt[], round: number, action: (attempt: Attempt) => Promise<void>): Promise<void> {
  for (let turn = 0; turn < attempts.length; turn++) {
    const attempt = attempts[(turn + 2 * round) % attempts.length]!
    const { name } = attempt.contender
    if (failed.some(each => each.name === name)) continue
    try {
      await action(attempt)
    } catch (error) {
      failed.push({ name, why: String(error) })
    }
  }
}

for (let round = 0; round < rounds; round++) await playRound(round)
printEnvironment(environment)
const versions = contenders.map(({ name, version }) => ({ name, version }))
printResults({ bytes, files, rounds, versions, limits, results })
const seconds = (performance.now() - began) / 1000
writeFileSync(values.out, JSON.stringify({ environment, size, bytes, files, rounds, seconds, versions, limits, results, skipped, failed }, undefined, 1) + '\n')
console.log(`\nwritten: ${values.out}, after ${Math.round(seconds)} s`)
for (const { name, why } of failed) console.error(`failed: ${name}: ${why}`)
process.exitCode = failed.length > 0 ? 1 : 0
