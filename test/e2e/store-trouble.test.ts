/** `locktable store backup` and `restore` in trouble: wrong input, two at once, ^C, kill -9, a full disk. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { progressText } from '../../src/cli/store/progress.js'
import { MAIN, type Run, hasScript, onTerminal, start, until } from './support.js'
import { inShop, newGroup, shop, store, storeJson } from './store-support.js'

const MIB = 2 ** 20
const scratch = (): string => mkdtempSync(inShop('scratch-'))

/** A backup that has begun, and waits for the rest of its input. */
async function begun(group: string, ...args: string[]): Promise<Run> {
  const run = start(['store', 'backup', '-g', group, 'data.bin:-', ...args], {}, null)
  run.child.stdin?.write(randomBytes(10 * MIB))
  await until(() => shop.store.running().some(({ operation, target }) => operation === 'backup' && target.startsWith(`${group}/`)))
  return run
}

const snapshotsOf = (group: string): string[] => (existsSync(join(shop.base, group)) ? readdirSync(join(shop.base, group)).filter(name => /^\d/.test(name)) : [])

describe('two at once', () => {
  test('of one group: the second is refused, and told by whom; of another group it is not; with --wait it comes after', async () => {
    const [group, other] = [newGroup(), newGroup()]
    const first = await begun(group)
    const { status, err, out } = await start(['store', 'backup', '-g', group, 'data.bin:-'], {}, 'x').ended
    expect([status, out]).toEqual([75, ''])
    expect(err).toMatch(new RegExp(`^locktable: group ${group} is in use: backup of process ${first.pid} since 20\\d\\d-[^\n]+Z[^\n]*\n$`))
    expect(await start(['store', 'backup', '-g', other, 'data.bin:-'], {}, 'x').ended).toMatchObject({ status: 0, err: '' })
    const waiting = start(['store', 'backup', '-g', group, 'data.bin:-', '--wait', '60', '--time', '2099-01-01T00:00:00Z'], {}, 'x')
    await until(() => shop.store.running().some(({ target }) => target === `${group}/2099-01-01T00:00:00Z`))
    expect(snapshotsOf(group)).toHaveLength(1)
    first.child.stdin?.end()
    expect(await first.ended).toMatchObject({ status: 0, err: '' })
    expect(await waiting.ended).toMatchObject({ status: 0, err: '' })
    expect((await storeJson('list', group)).groups[0].snapshots).toMatchObject([{ state: 'finished' }, { state: 'finished' }])
  })

  test('the wait for a busy group ends with ^C', async () => {
    const group = newGroup()
    const first = await begun(group)
    const waiting = start(['store', 'backup', '-g', group, 'data.bin:-', '--wait', '600', '--time', '2099-01-01T00:00:00Z'], {}, 'x')
    await until(() => shop.store.running().some(({ target }) => target === `${group}/2099-01-01T00:00:00Z`))
    waiting.child.kill('SIGINT')
    expect(await waiting.ended).toEqual({ status: 'SIGINT', out: '', err: 'locktable: interrupted: no snapshot was made\n' })
    first.child.stdin?.end()
    expect(await first.ended).toMatchObject({ status: 0 })
  })
})

describe('interrupted', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('%s in the middle of a backup: no snapshot, no group, no lock', async signal => {
    const group = newGroup()
    const run = await begun(group)
    run.child.kill(signal)
    expect(await run.ended).toEqual({ status: signal, out: '', err: 'locktable: interrupted: no snapshot was made\n' })
    expect(existsSync(join(shop.base, group))).toBe(false)
    expect(shop.store.running()).toEqual([])
  })

  test('an earlier snapshot stays, and the next backup goes on', async () => {
    const group = newGroup()
    expect(await start(['store', 'backup', '-qg', group, 'data.bin:-', '--time', '2026-01-01T00:00:00Z'], {}, 'x').ended).toMatchObject({ status: 0 })
    const run = await begun(group)
    run.child.kill('SIGINT')
    await run.ended
    expect(snapshotsOf(group)).toEqual(['2026-01-01T00:00:00Z'])
    expect(await start(['store', 'backup', '-qg', group, 'data.bin:-'], {}, 'y').ended).toMatchObject({ status: 0 })
  })

  test('kill -9: what is left is listed as unfinished, is not restored, and goes with the next backup', async () => {
    const group = newGroup()
    const run = await begun(group)
    await until(() => snapshotsOf(group).length === 1)
    run.child.kill('SIGKILL')
    await run.ended
    expect((await store('list', group)).out).toMatch(/ unfinished /)
    const [left = ''] = snapshotsOf(group)
    expect(await store('restore', `${group}/${left}`, 'data.bin', inShop('x'))).toMatchObject({ status: 67 })
    expect(await store('restore', `${group}/latest`, 'data.bin', inShop('x'))).toMatchObject({ status: 67 })
    expect(await start(['store', 'backup', '-qg', group, 'data.bin:-', '--time', '2099-01-01T00:00:00Z'], {}, 'y').ended).toMatchObject({ status: 0 })
    expect(snapshotsOf(group)).toEqual(['2099-01-01T00:00:00Z'])
    expect(existsSync(inShop('x'))).toBe(false)
  })

  test.skipIf(!hasScript)('on a terminal: a line that shows how far it is, ^C clears it', async () => {
    const [group, pipe] = [newGroup(), inShop('pipe')]
    spawnSync('mkfifo', [pipe])
    const run = onTerminal(['store', 'backup', '-g', group, `data.bin:${pipe}`], shop.environment)
    const feeder = spawnFeeder(pipe)
    await until(() => /\d [KMG]iB {2}[\d.]+ [KMG]iB\/s/.test(run.out))
    run.child.stdin?.write('\x03')
    expect((await run.ended).status).toBe(130)
    feeder.kill('SIGKILL')
    await feeder.ended
    expect(run.out).toContain('\x1b[?25h') // the cursor is there again
    expect(run.out).toMatch(/interrupted: no snapshot was made\r\n$/)
    expect(existsSync(join(shop.base, group))).toBe(false)
  })

  test('^C in a restore to a pipe that nobody reads', async () => {
    const group = newGroup()
    expect(await start(['store', 'backup', '-qg', group, 'data.bin:-'], {}, randomBytes(30 * MIB)).ended).toMatchObject({ status: 0 })
    const run = start(['store', 'restore', `${group}/latest`, 'data.bin', '-'])
    run.child.stdout?.pause()
    await until(() => shop.store.running().some(({ operation, pid }) => operation === 'read' && pid === run.pid))
    run.child.kill('SIGINT')
    const code = await new Promise(resolve => run.child.once('exit', (_code, signal) => {
      resolve(signal)
    }))
    expect(code).toBe('SIGINT')
    expect(shop.store.running()).toEqual([])
  })
})

/** Writes into a named pipe again and again. */
function spawnFeeder(pipe: string): { kill: (signal: NodeJS.Signals) => void; ended: Promise<unknown> } {
  const script = `const fs = require('fs'); const out = fs.createWriteStream(${JSON.stringify(pipe)}); const bytes = require('crypto').randomBytes(${MIB});
    out.on('error', () => process.exit()); (function more() { out.write(bytes, more) })()`
  const run = start(['run', `feeder-${process.pid}`, '--', process.execPath, '-e', script])
  return { kill: signal => void run.child.kill(signal === 'SIGKILL' ? 'SIGTERM' : signal), ended: run.ended }
}

describe('wrong input', () => {
  test('of backup: one line, nothing in the store', async () => {
    const work = scratch()
    writeFileSync(join(work, 'file'), 'x')
    writeFileSync(join(work, 'empty'), '')
    writeFileSync(join(work, 'large.conf'), 'x')
    truncateSync(join(work, 'large.conf'), 129 * MIB)
    const file = `a.bin:${join(work, 'file')}`
    const rows: readonly (readonly [args: readonly string[], status: number, text: string])[] = [
      [[], 64, "missing required argument 'archive:path'"],
      [['etc'], 64, 'ARCHIVE:PATH'],
      [[':/etc'], 64, 'cannot be an archive'],
      [['etc.tar:'], 64, 'ARCHIVE:PATH'],
      [['../etc.tar:/etc'], 64, 'cannot be an archive'],
      [['a b.bin:/etc/passwd'], 64, 'cannot be an archive'],
      [['etc.tar.didx:/etc'], 64, 'without the store'],
      [['etc:/etc'], 64, 'call its archive etc.tar'],
      [['etc.img:/etc'], 64, 'is a directory'],
      [[`empty.img:${join(work, 'empty')}`], 64, 'is empty'],
      [[`x.conf:${join(work, 'large.conf')}`], 64, 'x.conf.bin'],
      [['x.bin:/no/such/file'], 66, 'there is no /no/such/file'],
      [[file, file], 64, 'two archives a.bin'],
      [['a.bin:-', 'b.bin:-'], 64, 'read once'],
      [[file, '--exclude', '*.o'], 64, '--exclude is of directories'],
      [[file, '--one-file-system'], 64, '--one-file-system is of directories'],
      [[file, '--group', 'x'], 64, 'type/id'],
      [[file, '--group', 'host/..'], 64, 'must be made of'],
      [[file, '--owner', 'me'], 64, 'user@realm'],
      [[file, '--time', 'yesterday'], 64, 'must be like'],
      [[file, '--ns', 'a//b'], 64, 'must be made of'],
      [[file, '--ns', 'no/such'], 67, 'no namespace no/such'],
      [[file, '--wait', 'long'], 64, 'number of seconds'],
      [[file, '--sync', 'maybe'], 64, 'filesystem'],
      [[file, '--encrypt'], 64, 'needs a key'],
      [[file, '--sign'], 64, 'needs a key'],
      [[file, '--keyfile', '/no/such/key'], 66, '/no/such/key'],
      [[file, '--keyfile', '/etc/passwd'], 65, '/etc/passwd'],
      [[file, '-r', '/no/such/store'], 66, 'there is no /no/such/store'],
    ]
    const ends = await Promise.all(rows.map(([args]) => store('backup', ...args)))
    for (const [i, [args, status, text]] of rows.entries()) {
      expect([args, ends[i]]).toEqual([args, { status, out: '', err: expect.stringMatching(/^locktable: [^\n]+\n$/) }])
      expect(ends[i]?.err).toContain(text)
    }
    expect((await storeJson('list', '--all')).groups.filter(({ group }: { group: string }) => !/^host\/t\d+$/.test(group))).toEqual([])
  })

  test('of restore: one line, nothing is made or changed', async () => {
    const [group, work] = [newGroup(), scratch()]
    writeFileSync(join(work, 'file'), 'mine')
    mkdirSync(join(work, 'full'))
    writeFileSync(join(work, 'full/x'), 'mine')
    expect(await store('backup', '-qg', group, `t.tar:${join(work, 'full')}`, `f.bin:${join(work, 'file')}`)).toMatchObject({ status: 0 })
    const latest = `${group}/latest`
    const rows: readonly (readonly [args: readonly string[], status: number, text: string])[] = [
      [[latest, 'f.bin'], 64, "missing required argument 'target'"],
      [[latest, 'g.bin', join(work, 'new')], 67, 'it has t.tar.didx, f.bin.didx'],
      [[latest, 'f', join(work, 'new')], 67, 'has no f;'],
      [[`${group}/2020-01-01T00:00:00Z`, 'f.bin', join(work, 'new')], 67, 'no finished snapshot'],
      [['host/nobody/latest', 'f.bin', join(work, 'new')], 67, 'no snapshot of host/nobody'],
      [[latest, 'f.bin', join(work, 'file')], 73, '--overwrite'],
      [[latest, 'f.bin', work], 73, 'is a directory'],
      [[latest, 'f.bin', join(work, 'no/such/new')], 66, 'no directory'],
      [[latest, 'f.bin', ''], 64, 'must not be empty'],
      [[latest, 'f.bin', join(work, 'new'), '--raw'], 64, '--raw is for .tar'],
      [[latest, 'f.bin', '-', '--json'], 64, 'standard output'],
      [[latest, 't.tar', join(work, 'file')], 73, 'no directory'],
      [[latest, 't.tar', join(work, 'full')], 73, 'not empty'],
    ]
    const ends = await Promise.all(rows.map(([args]) => store('restore', ...args)))
    for (const [i, [args, status, text]] of rows.entries()) {
      expect([args, ends[i]]).toEqual([args, { status, out: '', err: expect.stringMatching(/^locktable: [^\n]+\n$/) }])
      expect(ends[i]?.err).toContain(text)
    }
    expect(readdirSync(work).sort()).toEqual(['file', 'full'])
    expect(readFileSync(join(work, 'file'), 'utf8')).toBe('mine')
    expect(await store('restore', latest, 'f.bin', join(work, 'file'), '--overwrite')).toMatchObject({ status: 0 })
  })

  test('a backup of somebody else’s group is not made', async () => {
    const group = newGroup()
    expect(await start(['store', 'backup', '-qg', group, '--owner', 'alice@pam', 'a.bin:-'], {}, 'x').ended).toMatchObject({ status: 0 })
    expect(await start(['store', 'backup', '-qg', group, '--owner', 'bob@pam', 'a.bin:-'], {}, 'x').ended).toMatchObject({ status: 77, err: expect.stringContaining('belongs to alice@pam') as string })
    expect(snapshotsOf(group)).toHaveLength(1)
  })

  test('damage is found: a chunk changed, a chunk gone, an index changed', async () => {
    const [group, work] = [newGroup(), scratch()]
    expect(await start(['store', 'backup', '-qg', group, 'a.bin:-'], {}, randomBytes(2 * MIB)).ended).toMatchObject({ status: 0 })
    const restore = (): Promise<unknown> => store('restore', `${group}/latest`, 'a.bin', join(work, 'new'), '--overwrite')
    expect(await restore()).toMatchObject({ status: 0 })
    const [time = ''] = snapshotsOf(group)
    const index = join(shop.base, group, time, 'a.bin.didx')
    const digest = readFileSync(index).subarray(4096 + 8, 4096 + 40).toString('hex')
    const chunk = join(shop.base, '.chunks', digest.slice(0, 4), digest)
    const whole = readFileSync(chunk)
    const changed = Buffer.from(whole)
    changed[1000]! ^= 1
    rmSync(chunk)
    expect(await restore()).toMatchObject({ status: 65, err: expect.stringContaining(digest) as string })
    writeFileSync(chunk, changed)
    expect(await restore()).toMatchObject({ status: 65, err: expect.stringContaining(digest) as string })
    writeFileSync(chunk, whole)
    const entries = readFileSync(index)
    entries[4096 + 20]! ^= 1
    writeFileSync(index, entries)
    expect(await restore()).toMatchObject({ status: 65, err: expect.stringContaining('a.bin.didx') as string })
  })
})

const hasUnshare = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt']).status === 0

test.skipIf(!hasUnshare)('a full disk: it says so, no snapshot is made, and what was there before is whole', () => {
  const work = scratch()
  mkdirSync(join(work, 'small'))
  writeFileSync(join(work, 'large'), randomBytes(40 * MIB))
  writeFileSync(join(work, 'tiny'), randomBytes(MIB))
  const end = spawnSync('unshare', ['-rm', 'sh', '-c', `
    mount -t tmpfs -o size=24m tmpfs "$WORK/small" || exit 99
    store() { "$NODE" "$MAIN" store "$@"; }
    export LOCKTABLE_REPOSITORY="$WORK/small/store" LOCKTABLE_STORE_TABLE="$WORK/table"
    store init >&2 || exit 98
    store backup -qg host/a tiny.bin:"$WORK/tiny" --time 2026-01-01T00:00:00Z || exit 97
    store backup -qg host/a large.bin:"$WORK/large"; echo "large $?"
    store list host/a --json
    store restore host/a/latest tiny.bin - | cmp - "$WORK/tiny"; echo "restored $?"
    ls "$LOCKTABLE_REPOSITORY/host/a"
  `], { env: { ...process.env, WORK: work, NODE: process.execPath, MAIN }, encoding: 'utf8' })
  expect(end.stderr).toMatch(/^made a datastore.*\nlocktable: [^\n]*(full|no space)[^\n]*\n$/i)
  expect(end.stdout).toMatch(/^large 74$/m)
  expect(end.stdout).toMatch(/^restored 0$/m)
  expect(end.stdout.match(/"state": "finished"/g)).toHaveLength(1)
  expect(end.stdout.trimEnd().split('\n').slice(-2).sort()).toEqual(['2026-01-01T00:00:00Z', 'owner'])
})

describe('the line of progress', () => {
  const progress = { bytesRead: 300 * MIB, skippedBytes: 0, totalBytes: 1200 * MIB, bytesStored: 12 * MIB, chunks: 75, reusedChunks: 60, phase: 'data' as const }
  test.each([
    ['nothing yet', undefined, {}, 'starting'],
    ['everything is known', progress, {}, '[===---]  25 %  300 MiB of 1.2 GiB  50.0 MiB/s  18 s left  new 12.0 MiB'],
    ['no rate yet', progress, { rate: 0, eta: 'INF' }, '[===---]  25 %  300 MiB of 1.2 GiB  new 12.0 MiB'],
    ['it stands still', progress, { eta: 'INF' }, '[===---]  25 %  300 MiB of 1.2 GiB  50.0 MiB/s  new 12.0 MiB'],
    ['no end is known', { ...progress, totalBytes: undefined }, {}, '300 MiB  50.0 MiB/s  new 12.0 MiB'],
    ['nothing is new', { ...progress, bytesStored: 0 }, {}, '[===---]  25 %  300 MiB of 1.2 GiB  50.0 MiB/s  18 s left'],
    ['some is not read', { ...progress, skippedBytes: 100 * MIB }, {}, '[===---]  25 %  300 MiB of 1.2 GiB  50.0 MiB/s  18 s left  unchanged 100 MiB  new 12.0 MiB'],
    ['nothing to read', { ...progress, bytesRead: 0, totalBytes: 0, bytesStored: 0 }, { rate: 0 }, '[===---]  0 %  0 B of 0 B'],
    ['a file', { ...progress, totalBytes: undefined, path: `a/very/long/path/to/\x1b[31mfile-${'x'.repeat(20)}` }, {}, `300 MiB  50.0 MiB/s  new 12.0 MiB  …[31mfile-${'x'.repeat(20)}`],
    ['listing', { ...progress, phase: 'list' as const, path: 'usr/lib' }, {}, 'listing  usr/lib'],
    ['the end', { ...progress, phase: 'finish' as const }, {}, 'writing everything to the disk'],
  ])('%s', (_what, each, pace, text) => {
    expect(progressText(each, { rate: 50 * MIB, eta: 18, bar: '===---', ...pace })).toBe(text)
  })
})

test('`locktable run` does not load the datastore', () => {
  const seen = new Set<string>()
  const visit = (path: string): void => {
    if (seen.has(path)) return
    seen.add(path)
    for (const [, next = ''] of readFileSync(path, 'utf8').matchAll(/^(?:import|export)[^'"]*["'](\.[^"']+)["']/gm)) visit(join(dirname(path), next))
  }
  visit(MAIN)
  expect(seen.size).toBeGreaterThan(1)
  for (const path of seen) expect([path, readFileSync(path, 'utf8').includes('index.json.blob')]).toEqual([path, false])
})
