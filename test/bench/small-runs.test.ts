// A small run of each benchmark, so that none rots. The figures mean nothing here.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { BASELINE_LOCKS, Baseline, RECOVERING_LOCKS, UNCONTENDED_CASES } from '../../bench/lib/baseline.js'
import { TSX_ARGS } from '../../bench/lib/tsx.js'

interface Report {
  readonly environment: Record<string, unknown>
  readonly results: readonly { readonly name: string; readonly group: string; readonly median: number; readonly samples: readonly number[] }[]
  readonly skipped: readonly { readonly name: string; readonly why: string }[]
}

async function smallRun<T = Report>(benchmark: string): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'locktable-small-'))
  try {
    const json = join(directory, 'report.json')
    const program = fileURLToPath(new URL(`../../bench/${benchmark}.ts`, import.meta.url))
    await promisify(execFile)(process.execPath, [...TSX_ARGS, program, '--small', '--json', json])
    return JSON.parse(readFileSync(json, 'utf8')) as T
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const baseline = Baseline.build()
const withBaseline = test.skipIf(typeof baseline === 'string')

test('uncontended', async () => {
  const { environment, results, skipped } = await smallRun('uncontended')
  expect(Object.keys(environment)).toEqual(expect.arrayContaining(['commit', 'date', 'cpu', 'kernel', 'node', 'command']))
  for (const { name, median, samples } of results) {
    expect(samples, name).toHaveLength(3)
    expect(median, name).toBeGreaterThan(0)
  }
  const names = results.map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(['proper-lockfile', 'async-mutex', 'handle.tryLock, exclusive', 'await table.lock by name, exclusive']))
  if (typeof baseline === 'string') expect(skipped).toContainEqual({ name: 'the C baselines', why: baseline })
  else expect(names).toEqual(expect.arrayContaining([...UNCONTENDED_CASES]))
})

interface HandoverCase {
  readonly processes: number
  readonly results: readonly {
    readonly name: string
    readonly acquisitions: number
    readonly counter: number
    readonly jain: number
    readonly handoverNs: { readonly count: number; readonly p50: number; readonly max: number }
    readonly waitNs: { readonly count: number }
  }[]
}

test('hand-over', async () => {
  const { cases } = await smallRun<{ readonly cases: readonly HandoverCase[] }>('handover')
  expect(cases).toHaveLength(1)
  const [{ results, processes }] = cases as [HandoverCase]
  for (const { name, acquisitions, counter, jain, waitNs, handoverNs } of results) {
    expect(acquisitions, name).toBeGreaterThan(0)
    expect(counter, name).toBe(acquisitions)
    expect(waitNs.count, name).toBe(acquisitions)
    expect(handoverNs.count, name).toBeLessThan(acquisitions)
    expect(jain, name).toBeGreaterThanOrEqual(1 / processes - 1e-9)
    expect(jain, name).toBeLessThanOrEqual(1 + 1e-9)
  }
  const names = results.map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(['table, lockSync', 'table, await lock', 'lock files, lockSync', 'lock files, await lock']))
  if (typeof baseline !== 'string') expect(names).toEqual(expect.arrayContaining(['robust-mutex', 'rwlock', 'flock']))
}, 120_000)

interface RecoveryReport {
  readonly cases: readonly { readonly results: readonly { readonly name: string; readonly kills: number; readonly min: number }[] }[]
  readonly counters: readonly { readonly name: string; readonly holders: number; readonly counter: number }[]
}

test('recovery', async () => {
  const { cases: [found], counters } = await smallRun<RecoveryReport>('recovery')
  for (const { name, kills, min } of found!.results) {
    expect(kills, name).toBe(1)
    expect(min, name).toBeGreaterThan(0)
  }
  for (const { name, holders, counter } of counters) expect([holders, counter], name).toEqual([2, 2])
  expect(counters.map(({ name }) => name)).toEqual(expect.arrayContaining(['table, lockSync', 'table, await lock', 'lock files, lockSync']))
}, 120_000)

test('many names', async () => {
  interface Row { readonly name: string; readonly names: number; readonly pairs: number; readonly counted?: number; readonly fileBytes: number; readonly inodes: number }
  const { results } = await smallRun<{ readonly results: readonly Row[] }>('names')
  const rows = results.filter(({ name }) => name === 'table, tryLock by name')
  expect(rows.map(({ names }) => names)).toEqual([1, 1000])
  for (const { pairs, counted, inodes, fileBytes } of rows) {
    expect(counted).toBe(pairs)
    expect(inodes).toBe(1)
    expect(fileBytes).toBe(rows[0]!.fileBytes)
  }
  for (const { name, names, inodes } of results) if (name.startsWith('fs-ext')) expect(inodes).toBe(names)
}, 120_000)

test('opening', async () => {
  interface Row { readonly name: string; readonly ns: number; readonly closeNs: number; readonly held: number }
  const { results } = await smallRun<{ readonly results: readonly Row[] }>('open')
  expect(results.map(({ name }) => name)).toEqual(expect.arrayContaining(['table, a new file', 'table, one that is there', 'lock files']))
  for (const { name, ns, held, closeNs } of results) {
    expect(ns, name).toBeGreaterThan(0)
    expect(closeNs, name).toBeGreaterThan(0)
    expect(held, name).toBe(1)
  }
}, 120_000)

withBaseline.each(BASELINE_LOCKS)('the C baseline hands over its %s and loses no count', async lock => {
  if (typeof baseline === 'string') return
  const result = await baseline.handover(lock, { processes: 3, holdUs: 5, durationMs: 30 })
  expect(result).toMatchObject({ lock, processes: 3, holdUs: 5, sound: true, counter: result.acquisitions })
  expect(result.perProcess.reduce((sum, count) => sum + count, 0)).toBe(result.acquisitions)
  expect(result.waitNs.count).toBe(result.acquisitions)
  expect(result.waitNs.p50).toBeLessThanOrEqual(result.waitNs.max)
})

withBaseline.each(RECOVERING_LOCKS)('the C baseline gets its %s back from the dead', async lock => {
  if (typeof baseline === 'string') return
  const { recoveryNs, kills } = await baseline.recovery(lock, { kills: 3, residentMib: 1 })
  expect(kills).toBe(3)
  expect(recoveryNs.min).toBeGreaterThan(0)
  expect(recoveryNs.max).toBeGreaterThanOrEqual(recoveryNs.p50)
})

withBaseline('the C baseline refuses what it does not understand', async () => {
  if (typeof baseline === 'string') return
  await expect(baseline.recovery('mutex' as never, { kills: 1 })).rejects.toThrow('stays locked for ever')
  await expect(baseline.handover('flock', { processes: 0, durationMs: 1 })).rejects.toThrow('--processes must be from 1 to 1024')
  await expect(baseline.handover('flock', { processes: 1, durationMs: 1, directory: '/proc' })).rejects.toThrow('/proc is not on a tmpfs')
})
