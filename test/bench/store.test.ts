// A small run of the datastore's benchmark by the command that people use, so that it does not rot. The figures mean nothing here.
// With LOCKTABLE_BENCH_PEERS=1 restic and borg run too, if they are here: that takes a minute more.
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { tmpfsRoot } from '../../bench/lib/scratch.js'
import { TSX_ARGS } from '../../bench/lib/tsx.js'

interface Report {
  readonly environment: Readonly<Record<string, unknown>>
  readonly bytes: number
  readonly versions: readonly { readonly name: string }[]
  readonly limits: readonly { readonly name: string; readonly bytesPerSecond?: number }[]
  readonly results: readonly { readonly contender: string; readonly clients: number; readonly step: string; readonly seconds: number }[]
  readonly skipped: readonly { readonly name: string; readonly why: string }[]
  readonly failed: readonly unknown[]
}

const directory = mkdtempSync(join(tmpfsRoot(), 'locktable-store-bench-'))
afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
})

const all = ['borg', 'locktable, encrypted', 'locktable, plain', 'restic']
const only = process.env['LOCKTABLE_BENCH_PEERS'] === '1' ? [] : ['--only', 'locktable']

test('every contender that is here does every step, and what it restores is the data', async () => {
  const out = join(directory, 'report.json')
  const program = fileURLToPath(new URL('../../bench/store/main.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [...TSX_ARGS, program, '--small', '--scratch', directory, '--out', out, ...only])
  const { environment, bytes, versions, limits, results, skipped, failed } = JSON.parse(readFileSync(out, 'utf8')) as Report
  expect(failed).toEqual([])
  const names = versions.map(({ name }) => name)
  const missing = skipped.map(({ name }) => name)
  expect([...names].sort()).toEqual(all.filter(name => !missing.includes(name) && (only.length === 0 || name.includes('locktable'))))
  for (const { name, why } of skipped) expect(why).toContain(`there is no ${name}`)
  const steps = ['first', 'second', 'changed', 'restore']
  expect(results.map(({ contender, clients, step }) => `${contender} ${clients} ${step}`).sort())
    .toEqual(names.flatMap(name => [1, 4].flatMap(clients => steps.map(step => `${name} ${clients} ${step}`))).sort())
  for (const { seconds } of results) expect(seconds).toBeGreaterThan(0)
  expect(bytes).toBeGreaterThan(8e6)
  expect(limits.find(({ name }) => name === 'writing to the disk')?.bytesPerSecond).toBeGreaterThan(0)
  expect(Object.keys(environment)).toEqual(expect.arrayContaining(['commit', 'date', 'cpu', 'command']))
  for (const name of names) expect(stdout).toContain(name)
  expect(readdirSync(directory)).toEqual(['report.json'])
}, 280_000)
