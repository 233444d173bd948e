/** `locktable store backup` and `restore` as a user runs them: real directories, images, pipes; bit for bit. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { hostname, userInfo } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { until } from '../support/until.js'
import { MAIN, start } from './support.js'
import { inShop, newGroup, shop, store, storeJson } from './store-support.js'

const MIB = 2 ** 20
const image = inShop.bind(undefined, 'disk.img')

/** Some of everything that a directory can have and any user can make. */
function makeTree(path: string): void {
  mkdirSync(join(path, 'deep/er'), { recursive: true })
  writeFileSync(join(path, 'plain.txt'), 'text\n')
  writeFileSync(join(path, 'empty'), '')
  writeFileSync(join(path, 'big'), randomBytes(3 * MIB + 17))
  writeFileSync(join(path, 'deep/er/ünïcode and blanks'), randomBytes(1000))
  writeFileSync(join(path, 'tool'), '#!/bin/sh\n')
  chmodSync(join(path, 'tool'), 0o4755)
  symlinkSync('../nowhere', join(path, 'deep/link'))
  linkSync(join(path, 'plain.txt'), join(path, 'deep/same'))
  writeFileSync(join(path, 'sparse'), randomBytes(4096))
  truncateSync(join(path, 'sparse'), 64 * MIB)
  utimesSync(join(path, 'plain.txt'), 1_000_000_000, 1_000_000_000.25)
  utimesSync(join(path, 'deep'), 1_000_000_000, 999_999_999)
}

/** Everything about a tree that a restore must bring back, but for what is in sparse files' holes. */
function describeTree(root: string, below = ''): readonly unknown[] {
  return readdirSync(join(root, below), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap(entry => {
    const name = join(below, entry.name)
    const { mode, mtimeMs, size, uid, gid, nlink } = lstatSync(join(root, name))
    const content = entry.isSymbolicLink() ? readlinkSync(join(root, name)) : entry.isFile() ? readFileSync(join(root, name)).toString('base64') : ''
    const own = [name, mode, entry.isSymbolicLink() ? 0 : mtimeMs, entry.isDirectory() ? 0 : size, uid, gid, entry.isDirectory() ? 0 : nlink, content]
    return entry.isDirectory() ? [own, ...describeTree(root, name)] : [own]
  })
}

/** 8 MiB of data in 40 MiB, the rest holes. */
function makeImage(path: string): void {
  writeFileSync(path, randomBytes(8 * MIB))
  truncateSync(path, 40 * MIB)
}

const scratch = (): string => mkdtempSync(inShop('scratch-'))
const blocksOf = (path: string): number => statSync(path).blocks * 512

describe('everything at once', () => {
  test('a directory, an image, a stream, a small file: restored bit for bit; the second time nothing is stored', async () => {
    const [group, work] = [newGroup(), scratch()]
    makeTree(join(work, 'tree'))
    makeImage(image())
    writeFileSync(join(work, 'vm.conf'), 'memory: 4096\n')
    const specs = [`tree.tar:${join(work, 'tree')}`, `disk.img:${image()}`, `vm.conf:${join(work, 'vm.conf')}`, 'dump.sql:-']
    const dump = randomBytes(5 * MIB)
    const first = await start(['store', 'backup', '-g', group, '--notes', 'all of it', ...specs], {}, dump).ended
    expect([first.status, first.err]).toEqual([0, ''])
    expect(first.out).toMatch(new RegExp(`^${group}/20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ\n`))
    expect(first.out).toMatch(/^ {2}disk\.img\.fidx +40\.0 MiB$/m)
    expect(first.out).toMatch(/^read [\d.]+ MiB in [\d.]+ m?s \([\d.]+ [KMG]iB\/s\), \d+ chunks.*; stored [\d.]+ MiB$/m)
    const shown = await storeJson('show', `${group}/latest`)
    expect(shown.files.map(({ filename }: { filename: string }) => filename).sort()).toEqual(['disk.img.catalog.blob', 'disk.img.fidx', 'dump.sql.didx', 'tree.tar.catalog.blob', 'tree.tar.didx', 'vm.conf.blob'])
    expect(shown).toMatchObject({ notes: 'all of it', owner: `${userInfo().username}@pam`, encrypted: false, state: 'finished' })

    const restore = async (archive: string, target: string): Promise<void> => {
      const end = await store('restore', `${group}/latest`, archive, target)
      expect(end).toMatchObject({ status: 0, err: '', out: expect.stringMatching(/^restored [\d.]+ [KM]?i?B( in \d+ files)? in /) as string })
    }
    await Promise.all([['tree.tar', 'tree2'], ['disk.img', 'disk2'], ['vm.conf', 'conf2'], ['dump.sql.didx', 'dump2']].map(([archive = '', target = '']) => restore(archive, join(work, target))))
    expect(describeTree(join(work, 'tree2'))).toEqual(describeTree(join(work, 'tree')))
    expect(lstatSync(join(work, 'tree2/deep/same')).ino).toBe(lstatSync(join(work, 'tree2/plain.txt')).ino)
    expect(blocksOf(join(work, 'tree2/sparse'))).toBeLessThan(MIB)
    expect(readFileSync(join(work, 'disk2')).equals(readFileSync(image()))).toBe(true)
    expect(blocksOf(join(work, 'disk2'))).toBeLessThan(9 * MIB)
    expect(readFileSync(join(work, 'conf2'), 'utf8')).toBe('memory: 4096\n')
    expect(readFileSync(join(work, 'dump2')).equals(dump)).toBe(true)

    const time = '2099-01-01T00:00:00Z'
    const second = await start(['store', 'backup', '-g', group, '--time', time, '--json', ...specs], {}, dump).ended
    expect(JSON.parse(second.out)).toMatchObject({ snapshot: `${group}/${time}`, warnings: [], namespace: '' })
    expect(JSON.parse(second.out).bytesStored).toBeLessThan(100) // the small file
    expect(await store('backup', '-g', group, '--time', '2098-01-01T00:00:00Z', `disk.img:${image()}`)).toMatchObject({ status: 73, err: expect.stringContaining(time) as string })
    rmSync(work, { recursive: true })
  })

  test('what has not changed is not read, unless everything is to be; the summary says so', async () => {
    const [group, work] = [newGroup(), scratch()]
    writeFileSync(join(work, 'disk.img'), randomBytes(5 * MIB))
    const old = statSync(join(work, 'disk.img')).ctimeMs + 2001
    await until(() => Date.now() > old)
    const spec = `disk.img:${join(work, 'disk.img')}`
    await store('backup', '-qg', group, '--time', '2026-01-01T00:00:00Z', spec)
    const second = await store('backup', '-g', group, '--time', '2026-01-01T00:00:01Z', spec)
    expect(second).toMatchObject({ status: 0, err: '', out: expect.stringMatching(/^read 0 B in [\d.]+ m?s, not 5\.0 MiB that have not changed, 2 chunks, of which 2 were there; stored 0 B$/m) as string })
    expect(second.out).not.toContain('catalog')
    const third = await store('backup', '-g', group, '--time', '2026-01-01T00:00:02Z', '--json', '--change-detection', 'data', spec)
    expect(JSON.parse(third.out)).toMatchObject({ bytesRead: 5 * MIB, skippedBytes: 0, remarks: [] })
    const snapshot = join(shop.base, group, '2026-01-01T00:00:02Z')
    rmSync(join(snapshot, 'disk.img.catalog.blob'))
    const fourth = await store('backup', '-g', group, '--time', '2026-01-01T00:00:03Z', spec)
    expect(fourth.out).toMatch(/^all of it was read: disk\.img\.fidx of .*: it has no catalogue$/m)
    expect(fourth.out).toMatch(/^read 5\.0 MiB in /m)
    rmSync(work, { recursive: true })
  })

  test('by default the group is this machine, and the owner who we are; tar understands what comes out', async () => {
    const work = scratch()
    writeFileSync(join(work, 'a'), 'aaa')
    const { status } = await store('backup', `work.tar:${work}`, '--quiet')
    expect(status).toBe(0)
    expect(await store('owner', `host/${hostname()}`)).toMatchObject({ out: `${userInfo().username}@pam\n` })
    const end = spawnSync('sh', ['-c', `"${process.execPath}" "${MAIN}" store restore host/$(hostname)/latest work.tar - | tar -xOf - a`])
    expect(end.stdout.toString()).toBe('aaa')
    const raw = join(work, 'raw.tar')
    expect(await store('restore', `host/${hostname()}/latest`, 'work.tar', raw, '--raw')).toMatchObject({ status: 0 })
    expect(spawnSync('tar', ['-tf', raw]).stdout.toString().split('\n')).toContain('a')
  })

  test('from one pipe to another, empty too; a reader that has seen enough', async () => {
    const group = newGroup()
    const content = randomBytes(6 * MIB)
    expect(await start(['store', 'backup', '-qg', group, 'data.bin:-', '--time', '2026-01-01T00:00:00Z'], {}, content).ended).toEqual({ status: 0, out: '', err: '' })
    const command = `"${process.execPath}" "${MAIN}" store restore ${group}/latest data.bin -`
    const whole = spawnSync('sh', ['-c', command], { maxBuffer: 16 * MIB })
    expect([whole.status, whole.stderr.toString(), whole.stdout.equals(content)]).toEqual([0, '', true])
    const some = spawnSync('sh', ['-c', `${command} | head -c 10`])
    expect([some.stderr.toString(), some.stdout.equals(content.subarray(0, 10))]).toEqual(['', true])
    expect(await start(['store', 'backup', '-qg', group, 'nothing.bin:-'], {}, '').ended).toEqual({ status: 0, out: '', err: '' })
    const nothing = spawnSync('sh', ['-c', `"${process.execPath}" "${MAIN}" store restore ${group}/latest nothing.bin -`])
    expect([nothing.status, nothing.stdout.length, nothing.stderr.toString()]).toEqual([0, 0, ''])
  })

  test('what cannot be backed up is named, and the status is 3; the rest is there', async () => {
    const [group, work] = [newGroup(), scratch()]
    writeFileSync(join(work, 'file'), 'here')
    const server = createServer().listen(join(work, 'socket'))
    await new Promise(resolve => server.once('listening', resolve))
    const { status, err } = await store('backup', '-g', group, `work.tar:${work}`)
    expect([status, err]).toEqual([3, expect.stringMatching(/^locktable: [^\n]*socket[^\n]*\n$/)])
    server.close()
    expect(await store('restore', `${group}/latest`, 'work.tar', join(work, 'back'))).toMatchObject({ status: 0 })
    expect(readdirSync(join(work, 'back'))).toEqual(['file'])
  })

  test('--exclude; a namespace that is made', async () => {
    const [group, work] = [newGroup(), scratch()]
    for (const name of ['a.o', 'b.c', 'sub/c.o']) {
      mkdirSync(join(work, 'src/sub'), { recursive: true })
      writeFileSync(join(work, 'src', name), name)
    }
    const args = ['backup', '-qg', group, '--ns', 'far/away', `src.tar:${join(work, 'src')}`, '--exclude', '*.o']
    expect(await store(...args)).toMatchObject({ status: 67, err: 'locktable: there is no namespace far/away\n' })
    for (let i = 0; i < 2; i++) expect(await store(...args, '--create-ns', '--time', `2026-01-0${i + 1}T00:00:00Z`)).toEqual({ status: 0, out: '', err: '' })
    expect(await store('restore', '--ns', 'far/away', `${group}/latest`, 'src.tar', join(work, 'back'))).toMatchObject({ status: 0 })
    expect(readdirSync(join(work, 'back'), { recursive: true }).sort()).toEqual(['b.c', 'sub'])
  })
})

describe('keys', () => {
  const marker = Buffer.from('the secret that must not be found'.repeat(100))

  /** Whether a snapshot's files, the chunks of its stream among them, have the marker in clear. It does not compress to less than one of it. */
  function isInClear(group: string): boolean {
    const [time = ''] = readdirSync(join(shop.base, group)).filter(name => /^\d/.test(name))
    const snapshot = join(shop.base, group, time)
    const digest = readFileSync(join(snapshot, 'data.bin.didx')).subarray(4096 + 8, 4096 + 40).toString('hex')
    const paths = [join(shop.base, '.chunks', digest.slice(0, 4), digest), ...readdirSync(snapshot).map(name => join(snapshot, name))]
    return paths.some(path => readFileSync(path).includes('the secret that must not be found'))
  }

  test('encrypted: not in the store in clear; not without the key, not with another; with it, from option and environment', async () => {
    const [group, work] = [newGroup(), scratch()]
    const [key, other] = [join(work, 'key'), join(work, 'other')]
    const passphrase = { LOCKTABLE_PASSPHRASE: 'sesame' }
    await start(['store', 'key', 'create', '--kdf', 'pbkdf2', key], passphrase).ended
    await store('key', 'create', '--kdf', 'none', other)
    const content = Buffer.concat([marker, randomBytes(2 * MIB)])
    writeFileSync(join(work, 'note.txt'), marker)
    const run = (env: NodeJS.ProcessEnv, ...args: string[]): Promise<unknown> => start(['store', ...args], env, content, { detached: true }).ended
    expect(await run({}, 'backup', '-g', group, '--keyfile', key, 'data.bin:-')).toMatchObject({ status: 64, err: expect.stringContaining('no terminal') as string })
    expect(await run({ LOCKTABLE_PASSPHRASE: 'simsim' }, 'backup', '-g', group, '--keyfile', key, 'data.bin:-')).toMatchObject({ status: 77, err: expect.stringContaining('does not fit') as string })
    expect(await run(passphrase, 'backup', '-g', group, '--keyfile', key, 'data.bin:-', `note.txt:${join(work, 'note.txt')}`)).toMatchObject({ status: 0, err: '', out: expect.stringMatching(/data\.bin\.didx .* encrypt$/m) as string })
    expect(await storeJson('show', `${group}/latest`)).toMatchObject({ encrypted: true, signed: true, files: [{ cryptMode: 'encrypt' }, { cryptMode: 'encrypt' }] })
    expect(isInClear(group)).toBe(false)
    expect(await run({}, 'backup', '-qg', group + 'c', 'data.bin:-')).toMatchObject({ status: 0 })
    expect(isInClear(group + 'c')).toBe(true)
    for (const [i, archive] of ['data.bin', 'note.txt'].entries()) {
      const restore = ['restore', `${group}/latest`, archive]
      expect(await run({}, ...restore, join(work, 'no'))).toMatchObject({ status: 77, err: expect.stringContaining('--keyfile') as string })
      expect(await run({}, ...restore, join(work, 'no'), '--keyfile', other)).toMatchObject({ status: 77, out: '' })
      expect(await run({ ...passphrase, LOCKTABLE_KEYFILE: key }, ...restore, join(work, archive + i))).toMatchObject({ status: 0 })
      expect(readFileSync(join(work, archive + i)).equals(i === 0 ? content : marker)).toBe(true)
    }
    expect(readdirSync(work).sort()).not.toContain('no')
  })

  test('signed only: in clear, restored without the key, checked with it; --no-encrypt', async () => {
    const [group, work] = [newGroup(), scratch()]
    const [key, other] = [join(work, 'key'), join(work, 'other')]
    for (const path of [key, other]) await store('key', 'create', '--kdf', 'none', path)
    writeFileSync(join(work, 'note.txt'), 'a note')
    const spec = `note.txt:${join(work, 'note.txt')}`
    expect(await store('backup', '-qg', group, '--keyfile', key, '--sign', spec, '--time', '2026-01-01T00:00:00Z')).toMatchObject({ status: 0 })
    expect(await storeJson('show', `${group}/latest`, '--keyfile', key)).toMatchObject({ encrypted: false, signed: true, signature: 'valid', files: [{ cryptMode: 'sign-only' }] })
    expect(await store('restore', `${group}/latest`, 'note.txt', join(work, 'a'))).toMatchObject({ status: 0 })
    expect(await store('restore', `${group}/latest`, 'note.txt', join(work, 'b'), '--keyfile', key)).toMatchObject({ status: 0 })
    expect(await store('restore', `${group}/latest`, 'note.txt', join(work, 'c'), '--keyfile', other)).toMatchObject({ status: 77 })
    expect(await start(['store', 'backup', '-qg', group, '--no-encrypt', spec, '--time', '2026-01-02T00:00:00Z'], { LOCKTABLE_KEYFILE: key }).ended).toMatchObject({ status: 0 })
    expect(await storeJson('show', `${group}/latest`)).toMatchObject({ encrypted: false, signed: false })
    expect(readdirSync(work).sort()).toEqual(['a', 'b', 'key', 'note.txt', 'other'])
  })
})
