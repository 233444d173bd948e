// A small run of each benchmark and of the report, so that none rots. The figures mean nothing here.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BASELINE_LOCKS, Baseline, RECOVERING_LOCKS, UNCONTENDED_CASES } from '../../bench/lib/baseline.js'
import { TSX_ARGS } from '../../bench/lib/tsx.js'

interface Question {
  readonly environment: Record<string, unknown>
  readonly skipped: readonly { readonly name: string; readonly why: string }[]
}

const QUESTIONS = ['uncontended', 'handover', 'readers', 'groups', 'collisions', 'waiters', 'event-loop', 'names', 'recovery', 'open']

/** All questions and the report, once, by the command that people use. */
const directory = mkdtempSync(join(tmpdir(), 'locktable-small-'))
let answers = new Map<string, Question>()
let failures: unknown[] = []

beforeAll(async () => {
  const program = fileURLToPath(new URL('../../bench/main.ts', import.meta.url))
  const { stderr } = await promisify(execFile)(process.execPath, [...TSX_ARGS, program, '--small', '--out', directory, '--docs', join(directory, 'docs')], { maxBuffer: 1 << 26 })
    .catch((error: unknown) => error as { stderr: string })
  const report = JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as {
    answers: { question: string; written: Question; failure?: string }[]
  }
  failures = report.answers.flatMap(({ question, failure }) => (failure === undefined ? [] : [{ question, failure, stderr }]))
  answers = new Map(report.answers.map(({ question, written }) => [question, written]))
}, 240_000)

afterAll(() => rmSync(directory, { recursive: true, force: true }))

function answerOf(question: string): Question {
  return answers.get(question)!
}

test('every question is answered', () => {
  expect(failures).toEqual([])
  expect([...answers.keys()]).toEqual(expect.arrayContaining(QUESTIONS))
})

test('the page has a plot for each figure, a row for each headline, and says where it comes from', () => {
  const html = readFileSync(join(directory, 'report.html'), 'utf8')
  const { environment, ratios, answers: all } = JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as {
    environment: { commit: string; kernel: string }
    ratios: { rows: { measure: string; cells: unknown[] }[]; columns: string[] }
    answers: { written: { figures: { id: string; points: unknown[]; isMain?: boolean }[]; headlines: unknown[] } }[]
  }
  const figures = all.flatMap(({ written }) => written.figures)
  expect(html.match(/<svg /g)).toHaveLength(figures.length)
  expect(new Set(figures.map(({ id }) => id)).size).toBe(figures.length)
  for (const { id, points } of figures) expect(points.length, id).toBeGreaterThan(0)
  expect(ratios.rows).toHaveLength(all.flatMap(({ written }) => written.headlines).length)
  for (const { measure, cells } of ratios.rows) {
    expect(cells, measure).toHaveLength(ratios.columns.length)
    expect(html).toContain(measure)
  }
  expect(html).toContain(environment.commit)
  expect(html).toContain(environment.kernel)
  expect(html).not.toMatch(/<(script|link|img)\b/)
  expect(readdirSync(join(directory, 'docs')).sort()).toEqual(figures.filter(({ isMain }) => isMain).map(({ id }) => `${id}.svg`).sort())
})

const baseline = Baseline.build()
const withBaseline = test.skipIf(typeof baseline === 'string')

test('uncontended', () => {
  interface Row { readonly name: string; readonly median: number; readonly samples: readonly number[] }
  const { environment, results, skipped } = answerOf('uncontended') as Question & { readonly results: readonly Row[] }
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

test('hand-over', () => {
  const { cases } = answerOf('handover') as Question & { readonly cases: readonly HandoverCase[] }
  expect(cases).toHaveLength(2)
  const all = cases.flatMap(({ results, processes }) => results.map(result => ({ ...result, processes })))
  for (const { name, processes, acquisitions, counter, jain, waitNs, handoverNs } of all) {
    expect(acquisitions, name).toBeGreaterThan(0)
    expect(counter, name).toBe(acquisitions)
    expect(waitNs.count, name).toBe(acquisitions)
    expect(handoverNs.count, name).toBeLessThan(acquisitions)
    expect(jain, name).toBeGreaterThanOrEqual(1 / processes - 1e-9)
    expect(jain, name).toBeLessThanOrEqual(1 + 1e-9)
  }
  const names = all.map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(['table, lockSync', 'table, await lock', 'lock files, lockSync', 'lock files, await lock']))
  if (typeof baseline !== 'string') expect(names).toEqual(expect.arrayContaining(['robust-mutex', 'rwlock', 'flock']))
})

interface CrowdCase {
  readonly name: string
  readonly stage: { readonly sharedPercent: number; readonly holdUs: number }
  readonly waitNs: { readonly count: number }
  readonly rounds: readonly { readonly acquisitions: number; readonly exclusive: number; readonly counter: number; readonly torn: number }[]
}

test.each([
  ['readers', [[0, 100], [10, 100], [10, 99]], ['rwlock', 'flock', 'ofd'], ['proper-lockfile']],
  ['groups', [[0, 0], [50, 0]], ['robust-mutex', 'flock-double-stat-unlink'], []],
] as const)('%s', (question, stages, inC, excused) => {
  const { cases, skipped } = answerOf(question) as Question & { readonly cases: readonly CrowdCase[] }
  for (const { name, stage, waitNs, rounds } of cases) {
    expect(stages, name).toContainEqual([stage.holdUs, stage.sharedPercent])
    expect(waitNs.count, name).toBeGreaterThan(0)
    for (const { acquisitions, exclusive, counter, torn } of rounds) {
      expect(acquisitions, name).toBeGreaterThan(0)
      expect(counter, name).toBe(exclusive)
      expect(torn, name).toBe(0)
      if (stage.sharedPercent === 0) expect(exclusive, name).toBeGreaterThanOrEqual(acquisitions)
    }
  }
  const names = cases.map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(['table, lockSync', 'table, await lock', 'lock files, await lock']))
  if (typeof baseline !== 'string') expect(names).toEqual(expect.arrayContaining([...inC]))
  expect(skipped.map(({ name }) => name)).toEqual(expect.arrayContaining([...excused]))
})

test('collisions', () => {
  interface Row { readonly slots: number; readonly foundTaken: number; readonly rounds: readonly { readonly acquisitions: number; readonly counter: number }[] }
  const { results } = answerOf('collisions') as Question & { readonly results: readonly Row[] }
  expect(results.map(({ slots }) => slots)).toEqual([16, 1024, 0])
  for (const { slots, foundTaken, rounds } of results) {
    expect(foundTaken, `${slots}`).toBeLessThanOrEqual(1)
    for (const { acquisitions, counter } of rounds) expect(counter, `${slots}`).toBe(acquisitions)
  }
  expect(results[0]!.foundTaken).toBeGreaterThan(results[1]!.foundTaken)
})

test('waiters', () => {
  interface Row { readonly name: string; readonly waiters: number; readonly counter: number; readonly drainNs: number }
  const { results, skipped } = answerOf('waiters') as Question & { readonly results: readonly Row[] }
  expect(results.map(({ name }) => name)).toEqual(expect.arrayContaining(['async-mutex', 'proper-lockfile', 'table, await lock', 'table, request', 'lock files, await lock']))
  for (const { name, waiters, counter, drainNs } of results) {
    expect([waiters, counter], name).toEqual([100, 100])
    expect(drainNs, name).toBeGreaterThan(0)
  }
  expect(skipped).toContainEqual(expect.objectContaining({ name: 'table, lockSync' }))
})

test('event loop', () => {
  interface Row { readonly name: string; readonly isBlocking: boolean; readonly scene: string; readonly acquisitions: number; readonly counter: number; readonly readMax: number }
  const { results } = answerOf('event-loop') as Question & { readonly results: readonly Row[] }
  expect(results.map(({ name }) => name)).toEqual(expect.arrayContaining(['proper-lockfile', 'table, await lock', 'lock files, await lock', 'table, lockSync']))
  for (const { name, isBlocking, scene, acquisitions, counter, readMax } of results) {
    expect(scene, name).toBe(isBlocking ? 'busy' : 'waiting')
    expect(counter, name).toBe(acquisitions)
    expect(readMax, name).toBeGreaterThan(0)
  }
})

interface RecoveryReport {
  readonly cases: readonly { readonly results: readonly { readonly name: string; readonly kills: number; readonly min: number }[] }[]
  readonly counters: readonly { readonly name: string; readonly holders: number; readonly counter: number }[]
}

test('recovery', () => {
  const { cases: [found], counters } = answerOf('recovery') as Question & RecoveryReport
  for (const { name, kills, min } of found!.results) {
    expect(kills, name).toBe(1)
    expect(min, name).toBeGreaterThan(0)
  }
  for (const { name, holders, counter } of counters) expect([holders, counter], name).toEqual([2, 2])
  expect(counters.map(({ name }) => name)).toEqual(expect.arrayContaining(['table, lockSync', 'table, await lock', 'lock files, lockSync']))
})

test('many names', () => {
  interface Row { readonly name: string; readonly names: number; readonly pairs: number; readonly counted?: number; readonly fileBytes: number; readonly inodes: number }
  const { results } = answerOf('names') as Question & { readonly results: readonly Row[] }
  const rows = results.filter(({ name }) => name === 'table, tryLock by name')
  expect(rows.map(({ names }) => names)).toEqual([100, 1000])
  for (const { pairs, counted, inodes, fileBytes } of rows) {
    expect(counted).toBe(pairs)
    expect(inodes).toBe(1)
    expect(fileBytes).toBe(rows[0]!.fileBytes)
  }
  for (const { name, names, inodes } of results) if (name.startsWith('fs-ext')) expect(inodes).toBe(names)
})

test('opening', () => {
  interface Row { readonly name: string; readonly ns: number; readonly closeNs: number; readonly held: number }
  const { results } = answerOf('open') as Question & { readonly results: readonly Row[] }
  expect(results.map(({ name }) => name)).toEqual(expect.arrayContaining(['table, a new file', 'table, one that is there', 'lock files']))
  for (const { name, ns, held, closeNs } of results) {
    expect(ns, name).toBeGreaterThan(0)
    expect(closeNs, name).toBeGreaterThan(0)
    expect(held, name).toBe(1)
  }
})

withBaseline.each(BASELINE_LOCKS)('the C baseline hands over its %s and loses no count', async lock => {
  if (typeof baseline === 'string') return
  const result = await baseline.handover(lock, { processes: 3, holdUs: 5, durationMs: 30 })
  expect(result).toMatchObject({ lock, processes: 3, holdUs: 5, sound: true, counter: result.acquisitions })
  expect(result.perProcess.reduce((sum, count) => sum + count, 0)).toBe(result.acquisitions)
  expect(result.waitNs.count).toBe(result.acquisitions)
  expect(result.waitNs.p50).toBeLessThanOrEqual(result.waitNs.max)
})

withBaseline.each(BASELINE_LOCKS)('the C baseline takes many names by its %s and loses no count', async lock => {
  if (typeof baseline === 'string') return
  const result = await baseline.crowd(lock, { processes: 3, names: 20, sharedPercent: 0, holdUs: 5, durationMs: 20, sampleEvery: 1 })
  expect(result).toMatchObject({ torn: 0, counter: result.exclusive })
  expect(result.waitNs.count).toBe(result.acquisitions)
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
  await expect(baseline.crowd('mutex', { processes: 1, names: 1, sharedPercent: 50, holdUs: 0, durationMs: 1, sampleEvery: 1 })).rejects.toThrow('has no shared mode')
  await expect(baseline.handover('flock', { processes: 0, durationMs: 1 })).rejects.toThrow('--processes must be from 1 to 1024')
  await expect(baseline.handover('flock', { processes: 1, durationMs: 1, directory: '/proc' })).rejects.toThrow('/proc is not on a tmpfs')
})
