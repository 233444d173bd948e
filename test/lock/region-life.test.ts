/** The file's life: made, moved about, removed, by several processes at once; and by a user who may not. */
import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, statSync, symlinkSync, watch, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { type LockError, LockTable } from '../../src/index.js'
import { HEADER } from '../../src/lock/layout.js'
import { Peer, codeOf, open, temporaryDirectory, temporaryTable } from './support.js'

const SMALL = { spaces: [{ name: 'default', slots: 4 }] }
const isRoot = process.getuid?.() === 0
const FIXTURE = fileURLToPath(new URL('./fixtures/open-and-remove.ts', import.meta.url))

/** Runs the fixture in a process of its own; what it prints. */
async function runFixture(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', FIXTURE, ...args])
  return stdout.trim()
}

describe('paths', () => {
  test('a relative one means the same file after a change of directory', async () => {
    const path = temporaryTable()
    const before = process.cwd()
    process.chdir(dirname(path))
    const table = await open(basename(path), SMALL)
    process.chdir('/')
    try {
      expect(table.path).toBe(path)
      const seen = once(watch(path, { persistent: false }), 'change') // behind the table's own watch
      chmodSync(path, 0o600) // an event that is no removal
      await seen
      expect(table.failure).toBeUndefined()
      expect(table.tryLock('a')).toBeDefined()
      expect((await open(relative('/', path))).epoch).toBe(table.epoch)
    } finally {
      process.chdir(before)
    }
  })

  test('slashes behind it', async () => {
    const path = temporaryTable()
    const table = await open(`${path}/`, SMALL)
    expect([table.failure, table.tryLock('a') !== undefined, statSync(path).isFile()]).toEqual([undefined, true, true])
  })

  test('by way of a linked directory', async () => {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'real'))
    symlinkSync('real', join(directory, 'link'))
    const [one, two] = [await open(join(directory, 'link', 'locks'), SMALL), await open(join(directory, 'real', 'locks'))]
    expect(one.epoch).toBe(two.epoch)
    expect(one.tryLock('a') !== undefined && two.tryLock('a') === undefined).toBe(true)
  })

  test.each([
    ['a socket’s place', 'TABLE_FOREIGN', '/dev/null'],
    ['a file as directory', 'TABLE_IO', '/proc/self/status/locks'],
    ['the root', 'TABLE_FOREIGN', '/'],
    ['a name too long', 'TABLE_IO', `/dev/shm/${'x'.repeat(300)}`],
  ])('%s: %s', async (_what, code, path) => {
    expect(await codeOf(() => LockTable.open(path))).toBe(code)
  })
})

describe('another user', () => {
  const ROWS: readonly (readonly [string, string, (path: string) => void])[] = [
    ['a file that may not be read', 'TABLE_IO EACCES', path => { chmodSync(path, 0o600) }],
    ['a file that may be read only', 'TABLE_IO EACCES', path => { chmodSync(path, 0o644) }],
    ['a directory that may not be searched', 'TABLE_IO EACCES', path => { chmodSync(dirname(path), 0o700) }],
    ['a directory that may not be written to', 'TABLE_IO EACCES', path => { renameSync(path, `${path}.old`) }],
  ]
  test.skipIf(!isRoot).each(ROWS)('%s: %s', async (_what, expected, prepare) => {
    const path = temporaryTable()
    await (await open(path, SMALL)).close()
    chmodSync(dirname(path), 0o755)
    prepare(path)
    const files = readdirSync(dirname(path))
    expect(await runFixture('open-as', '12345', path)).toBe(expected)
    expect(readdirSync(dirname(path))).toEqual(files)
  })

  test.skipIf(!isRoot)('who may open it but not remove it: the table is good afterwards', async () => {
    const path = temporaryTable()
    await (await open(path, { ...SMALL, fileMode: 0o660 })).close()
    execFileSync('chgrp', ['12345', path])
    chmodSync(dirname(path), 0o755)
    expect(await runFixture('remove-as', '12345', path)).toBe('TABLE_IO EACCES')
    const table = await open(path, { create: false })
    expect(table.session.region.words[HEADER.RETIRED]).toBe(0)
    expect(table.tryLock('a')).toBeDefined()
  })
})

describe('several processes at once', () => {
  test('make one table, and all are in it', async () => {
    const path = temporaryTable()
    const peers = await Promise.all(Array.from({ length: 6 }, () => Peer.start(path)))
    const table = await open(path, { create: false })
    expect(table.inspect().participants.map(({ pid }) => pid).sort()).toEqual([...peers.map(({ pid }) => pid), process.pid].sort())
    expect(readdirSync(dirname(path))).toEqual(['locks'])
    const answers = await Promise.all(peers.map(peer => peer.ask({ verb: 'try' })))
    expect(answers.filter(answer => answer === 'held')).toHaveLength(1)
  })

  test('open and remove again and again: no error but those that say so, never two tables that both live', async () => {
    const path = temporaryTable()
    const reports = await Promise.all(Array.from({ length: 3 }, () => runFixture('race', path, '60')))
    for (const report of reports) expect(report).toMatch(/^ok \d+$/)
  })

  test('an opening is not refused because of a removal that comes to nothing', async () => {
    const path = temporaryTable()
    const table = await open(path, SMALL)
    const remover = runFixture('remove-loop', path, '500')
    const codes = new Set<string>()
    let done = false
    const ended = remover.finally(() => { done = true })
    while (!done) {
      for (let i = 0; i < 20; i++) codes.add(await codeOf(async () => { await (await LockTable.open(path, { watch: false })).close() }))
      await new Promise(setImmediate)
    }
    expect(await ended).toBe('TABLE_BUSY')
    expect([...codes]).toEqual(['no error'])
    expect(table.failure).toBeUndefined()
  })
})

describe('removal', () => {
  test.each([
    ['a text', (path: string) => { writeFileSync(path, 'hello') }, 'TABLE_FOREIGN'],
    ['nothing', () => undefined, 'TABLE_MISSING'],
    ['a directory', (path: string) => { mkdirSync(path) }, 'TABLE_FOREIGN'],
  ] as const)('of %s', async (_what, make, code) => {
    const path = temporaryTable()
    make(path)
    const before = existsSync(path) && statSync(path).isFile() ? readFileSync(path) : undefined
    expect(await codeOf(() => LockTable.remove(path))).toBe(code)
    if (before !== undefined) expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('is refused for a misspelt option', async () => {
    expect(await codeOf(() => LockTable.remove('/dev/shm/x', { force: true } as never))).toMatch(/^TypeError: options has no option "force"/)
  })

  test('after it a new table has another epoch', async () => {
    const table = await open(undefined, SMALL)
    await table.close()
    await LockTable.remove(table.path)
    expect((await open(table.path, SMALL)).epoch).not.toBe(table.epoch)
  })

  test('of the file by hand is heard of without a guard’s signal, and by every opening', async () => {
    const table = await open(undefined, SMALL)
    const other = await open(table.path)
    const heard = [table, other].map(async one => await codeOf(async () => {
      const held = await one.lock(`held by ${one.participantNumber}`)
      await one.lock(held.name)
    }))
    execFileSync('rm', [table.path])
    expect(await Promise.all(heard)).toEqual(['TABLE_GONE', 'TABLE_GONE'])
    expect((table.failure as LockError).path).toBe(table.path)
    await Promise.all([table.close(), other.close()])
  })
})
