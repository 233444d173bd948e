/** `locktable store` where things are not as usual: an ordinary user, devices and pipes, standard input and output that are none, a read-only or newer store. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Cleanups } from '../support/cleanups.js'
import { type End, MAIN, Run, start } from './support.js'
import { inShop, newGroup, shop, snapshot, store, storeJson } from './store-support.js'

const MIB = 2 ** 20
const cleanups = new Cleanups(afterEach)
const scratch = (): string => mkdtempSync(inShop('scratch-'))
/** One line, and this in it. */
const line = (text: string): string => expect.stringMatching(new RegExp(`^locktable: [^\\n]*${text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}[^\\n]*\\n$`)) as string

/** By a shell, with `store` as a command. */
function shell(script: string, variables: NodeJS.ProcessEnv = {}, wrapper: readonly string[] = []): { readonly status: number | null; readonly out: string; readonly err: string } {
  const text = `store() { "$NODE" "$MAIN" store "$@"; }\n${script}`
  const { status, stdout, stderr } = spawnSync('env', [...wrapper, 'sh', '-c', text], { env: { ...process.env, NODE: process.execPath, MAIN, ...variables }, encoding: 'latin1', maxBuffer: 64 * MIB })
  return { status, out: stdout, err: stderr }
}

describe('an ordinary user', () => {
  const NOBODY = 65534
  const isRoot = process.geteuid?.() === 0
  const wrapper = isRoot ? ['setpriv', '--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'] : []
  const me = isRoot ? NOBODY : process.geteuid?.() ?? 0
  const canRun = spawnSync('env', [...wrapper, process.execPath, MAIN, '--version']).status === 0

  /** Of the user, with a store in it. */
  let home = ''
  const environment = (): NodeJS.ProcessEnv => ({ LOCKTABLE_REPOSITORY: join(home, 'store'), LOCKTABLE_STORE_TABLE: join(home, 'table') })
  const run = (...words: string[]): Promise<End> => new Run('env', [...wrapper, process.execPath, MAIN, 'store', ...words], environment()).ended
  const asRoot = (...words: string[]): Promise<End> => start(['store', ...words, '--trust-owner', String(me)], environment()).ended

  beforeAll(async () => {
    if (!canRun) return
    home = mkdtempSync('/dev/shm/locktable-user-')
    chownSync(home, me, me)
    expect(await run('init')).toMatchObject({ status: 0, err: '' })
  }, 60_000)

  afterAll(() => {
    rmSync(home, { recursive: true, force: true })
  })

  /** Others may look into it. */
  function directory(): string {
    const path = mkdtempSync(join(home, 'work-'))
    chmodSync(path, 0o755)
    chownSync(path, me, me)
    return path
  }

  test.skipIf(!canRun)('what cannot be read is named and left out; what is restored is the user’s', async () => {
    const path = directory()
    const tree = join(path, 'tree')
    mkdirSync(join(tree, 'locked'), { recursive: true })
    for (const name of ['mine', 'secret', 'locked/inside']) writeFileSync(join(tree, name), name)
    symlinkSync('mine', join(tree, 'link'))
    chownSync(join(tree, 'mine'), me, me)
    chmodSync(join(tree, 'mine'), 0o640)
    chmodSync(join(tree, 'secret'), isRoot ? 0o600 : 0)
    chmodSync(join(tree, 'locked'), isRoot ? 0o700 : 0)
    const { status, out, err } = await run('backup', '-g', 'host/u', `tree.tar:${tree}`)
    expect([status, out]).toEqual([3, expect.stringContaining('tree.tar.didx')])
    expect(err.trimEnd().split('\n').sort()).toEqual(['locked', 'secret'].map(name => expect.stringMatching(new RegExp(`^locktable: ${tree}/${name}: EACCES`))))
    expect(await run('restore', 'host/u/latest', 'tree.tar', join(path, 'back'))).toMatchObject({ status: 0, err: '' })
    const back = readdirSync(join(path, 'back'))
    expect(back.sort()).toEqual(['link', 'locked', 'mine', 'secret'])
    expect(back.map(name => statSync(join(path, 'back', name)).uid)).toEqual(back.map(() => me))
    expect([readFileSync(join(path, 'back/mine'), 'utf8'), statSync(join(path, 'back/mine')).mode & 0o7777]).toEqual(['mine', 0o640])
    if (!isRoot) chmodSync(join(tree, 'locked'), 0o700)
  })

  test.skipIf(!canRun)('an archive that cannot be read at all is refused, and nothing is made', async () => {
    const path = directory()
    const secret = join(path, 'secret')
    writeFileSync(secret, 'secret')
    mkdirSync(join(path, 'locked'))
    for (const name of ['secret', 'locked']) chmodSync(join(path, name), 0)
    for (const archive of ['a.bin', 'a.img', 'a.conf', 'a.tar']) {
      const what = archive === 'a.tar' ? join(path, 'locked') : secret
      expect(await run('backup', '-g', 'host/none', `${archive}:${what}`)).toEqual({ status: 77, out: '', err: `locktable: not allowed to read ${what}\n` })
    }
    expect(existsSync(join(home, 'store/host/none'))).toBe(false)
    chmodSync(join(path, 'locked'), 0o700)
  })

  test.skipIf(!canRun || !isRoot)('set-id bits come back with their owner only', async () => {
    const path = directory()
    const tree = join(path, 'tree')
    mkdirSync(tree)
    for (const [name, uid, gid] of [['mine', me, me], ['theirs', 0, 0], ['half', me, 0]] as const) {
      writeFileSync(join(tree, name), '')
      chownSync(join(tree, name), uid, gid)
      chmodSync(join(tree, name), 0o6755)
    }
    expect(await asRoot('backup', '-qg', 'host/r', `tree.tar:${tree}`)).toMatchObject({ status: 0, err: '' })
    expect(await run('restore', '-q', 'host/r/latest', 'tree.tar', join(path, 'back'))).toMatchObject({ status: 0, err: '' })
    const modes = (root: string): unknown => Object.fromEntries(readdirSync(root).map(name => [name, (statSync(join(root, name)).mode & 0o7777).toString(8)]))
    expect(modes(join(path, 'back'))).toEqual({ mine: '6755', theirs: '755', half: '4755' })
    expect(await asRoot('restore', '-q', 'host/r/latest', 'tree.tar', join(path, 'again'))).toMatchObject({ status: 0, err: '' })
    expect(modes(join(path, 'again'))).toEqual({ mine: '6755', theirs: '6755', half: '6755' })
  })
})

/** A block device over a file; undefined: this machine has none to give. */
function loop(file: string): string | undefined {
  const { status, stdout } = spawnSync('losetup', ['--find', '--show', file], { encoding: 'utf8' })
  if (status !== 0) return undefined
  const device = stdout.trim()
  cleanups.add(() => spawnSync('losetup', ['--detach', device]))
  return device
}

function sparseFile(path: string, bytes: number): string {
  writeFileSync(path, '')
  truncateSync(path, bytes)
  return path
}

describe('devices and pipes', () => {
  test('a block device: source, standard input and target; one that is too small is left as it was', async context => {
    const work = scratch()
    const [device, small] = [loop(sparseFile(join(work, 'disk'), 24 * MIB)), loop(sparseFile(join(work, 'small'), 8 * MIB))]
    if (device === undefined || small === undefined) return context.skip('losetup gives no block device: not root, or no loop driver')
    const content = Buffer.concat([randomBytes(9 * MIB), Buffer.alloc(15 * MIB)])
    writeFileSync(device, content)
    const group = newGroup()
    expect(shell(`store backup -qg ${group} disk.img:${device} disk.bin:- < ${device}`)).toEqual({ status: 0, out: '', err: '' })
    expect((await storeJson('show', `${group}/latest`)).files.map(({ size }: { size: number }) => size)).toEqual([24 * MIB, 24 * MIB])
    for (const archive of ['disk.img', 'disk.bin']) {
      writeFileSync(device, randomBytes(24 * MIB))
      expect(await store('restore', '-q', `${group}/latest`, archive, device)).toEqual({ status: 0, out: '', err: '' })
      expect(readFileSync(device).equals(content)).toBe(true)
      expect(await store('restore', '-q', `${group}/latest`, archive, small)).toEqual({ status: 74, out: '', err: `locktable: ${small} has ${8 * MIB} bytes, the archive ${24 * MIB}\n` })
    }
    expect(readFileSync(small).equals(Buffer.alloc(8 * MIB))).toBe(true)
  })

  test('a named pipe and /dev/stdout as targets; /dev/full', async () => {
    const [group, work] = [newGroup(), scratch()]
    const content = randomBytes(3 * MIB)
    expect(await start(['store', 'backup', '-qg', group, 'a.bin:-', `b.conf:${MAIN}`], {}, content).ended).toMatchObject({ status: 0 })
    writeFileSync(join(work, 'expected'), content)
    const end = shell(`cd ${work}
      store restore -q ${group}/latest a.bin /dev/stdout | cmp - expected && echo same
      mkfifo pipe
      store restore -q ${group}/latest a.bin pipe & cmp pipe expected && wait $! && echo same
      store restore -q ${group}/latest b.conf pipe & cmp pipe "$MAIN" && wait $! && echo same`)
    expect(end).toEqual({ status: 0, out: 'same\nsame\nsame\n', err: '' })
    expect(await store('restore', `${group}/latest`, 'a.bin', '/dev/full')).toEqual({ status: 74, out: '', err: line('ENOSPC') })
  })
})

describe('standard input and output', () => {
  test('standard input that is closed, or a directory, is refused; /dev/null is empty', async () => {
    const group = newGroup()
    expect(shell(`store backup -g ${group} a.bin:- <&-`)).toEqual({ status: 64, out: '', err: line('a.bin is to come from standard input, which is closed') })
    expect(shell(`store backup -g ${group} a.bin:- < /`)).toEqual({ status: 64, out: '', err: line('which is a directory') })
    expect(existsSync(join(shop.base, group))).toBe(false)
    expect(shell(`store backup -qg ${group} a.bin:- < /dev/null`)).toEqual({ status: 0, out: '', err: '' })
    expect(shell(`store restore ${group}/latest a.bin - <&-`)).toEqual({ status: 0, out: '', err: '' })
  })

  describe('standard output that takes nothing: one line, status 74; what was asked for is done', () => {
    const group = newGroup()
    beforeAll(async () => {
      await snapshot(group)
    })

    test.each([
      'list', 'list --json', 'show GROUP/latest --json', 'notes GROUP text --json', 'protect GROUP/latest', 'owner GROUP --json', 'namespace list --json', '--help',
      'restore GROUP/latest vm.conf -', 'backup -g GROUP --owner alice@pam --json a.conf:/etc/hostname', 'restore GROUP/latest a.conf TARGET --json',
    ])('%s', command => {
      const words = command.replace('GROUP', group).replace('TARGET', inShop('restored'))
      expect(shell(`store ${words} > /dev/full`)).toEqual({ status: 74, out: '', err: line('ENOSPC') })
    })

    test('the notes, the backup, the restored file are there, and no lock', async () => {
      expect(await storeJson('notes', group)).toMatchObject({ notes: 'text' })
      expect(await store('restore', '-q', `${group}/latest`, 'a.conf', '-')).toMatchObject({ status: 0, out: readFileSync('/etc/hostname', 'utf8') })
      expect(existsSync(inShop('restored'))).toBe(true)
      expect(shop.store.running()).toEqual([])
    })
  })

  test('closed ones, and errors that can be told to nobody', () => {
    expect(shell('store list --json >&-')).toEqual({ status: 0, out: '', err: '' })
    for (const nowhere of ['2>&-', '2>/dev/full']) {
      expect(shell(`store list host/nobody ${nowhere}`)).toEqual({ status: 67, out: '', err: '' })
      expect(shell(`store backup ${nowhere}`)).toEqual({ status: 64, out: '', err: '' })
    }
  })
})

const canRemount = spawnSync('unshare', ['-rm', 'sh', '-c', `mount --bind /usr /usr && mount -o remount,bind,ro /usr`]).status === 0

test.skipIf(!canRemount)('a read-only store is listed and restored from; what would change it is refused, and changes nothing', async () => {
  const [group, work] = [newGroup(), scratch()]
  await snapshot(group)
  const before = readdirSync(join(shop.base, group), { recursive: true })
  const end = shell(`mount --bind "$BASE" "$BASE" && mount -o remount,bind,ro "$BASE" || exit 99
    store list ${group} > /dev/null && store show ${group}/latest > /dev/null && store restore -q ${group}/latest vm.conf "$WORK/conf" && echo read
    store backup -g ${group} --owner alice@pam a.conf:/etc/hostname; echo $?
    store backup -g ${newGroup()} a.conf:/etc/hostname; echo $?
    store notes ${group}/latest x; echo $?
    store notes ${group} x; echo $?
    store owner ${group} bob@pam; echo $?
    store protect ${group}/latest; echo $?
    store namespace create x; echo $?`, { BASE: shop.base, WORK: work }, ['unshare', '-rm'])
  expect(end.out).toBe(`read\n${'77\n'.repeat(7)}`)
  expect(end.err).toMatch(/^(locktable: cannot [^\n]*EROFS[^\n]*\n){7}$/)
  expect(readdirSync(join(shop.base, group), { recursive: true })).toEqual(before)
  expect(shop.store.running()).toEqual([])
})

test('files of a format that is not known: which, in one line; the group is backed up further', async () => {
  const group = newGroup()
  const backUp = (time: string): Promise<End> => start(['store', 'backup', '-qg', group, '--time', time, 'a.bin:-'], {}, randomBytes(MIB)).ended
  expect(await backUp('2026-01-01T00:00:00Z')).toMatchObject({ status: 0 })
  const directory = join(shop.base, group, '2026-01-01T00:00:00Z')
  const digest = readFileSync(join(directory, 'a.bin.didx')).subarray(4096 + 8, 4096 + 40).toString('hex')
  for (const path of [join(shop.base, '.chunks', digest.slice(0, 4), digest), join(directory, 'a.bin.didx'), join(directory, 'index.json.blob')]) {
    const bytes = readFileSync(path)
    rmSync(path)
    writeFileSync(path, Buffer.concat([Buffer.from('version2'), bytes.subarray(8)]))
    expect(await store('restore', `${group}/latest`, 'a.bin', inShop('never'))).toEqual({ status: 65, out: '', err: line(`${path}, byte 0: expected the magic`) })
  }
  expect(await store('list', group)).toMatchObject({ status: 65, out: expect.stringMatching(/damaged .*index\.json\.blob, byte 0/) as string })
  expect(await backUp('2026-01-02T00:00:00Z')).toMatchObject({ status: 0, err: '' })
  expect(await store('restore', '-q', `${group}/latest`, 'a.bin', inShop('whole'))).toMatchObject({ status: 0, err: '' })
  expect(existsSync(inShop('never'))).toBe(false)
  rmSync(join(shop.base, group), { recursive: true })
})
