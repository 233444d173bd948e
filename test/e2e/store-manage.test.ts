/** `locktable store init, list, show, notes, protect, owner` as a user runs them. */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CryptKey, createManifest, encodeManifest, type GroupName, parseGroup, snapshotPath } from '../../src/datastore/index.js'
import { MAIN, Run, hasUserNamespaces, locktable, open, place, start, until } from './support.js'
import { FIRST, inShop, newGroup, shop, snapshot, store, storeJson } from './store-support.js'

const groupOf = (text: string): GroupName => parseGroup(text)

describe('init', () => {
  test('makes a store, which is there then', async () => {
    const path = inShop('made')
    const { status, out, err } = await store('init', path)
    expect([status, err]).toEqual([0, ''])
    expect(out).toBe(`made a datastore in ${path}; its locks are in ${shop.table}\n`)
    expect(readdirSync(join(path, '.chunks'))).toHaveLength(65_536)
    expect(await store('list', '-r', path)).toEqual({ status: 0, out: 'there are no backups\n', err: '' })
    expect(await store('init', path)).toMatchObject({ status: 73, out: '', err: expect.stringContaining('is not empty') as string })
    rmSync(path, { recursive: true })
  })

  test('what it is refused', async () => {
    mkdirSync(inShop('full'))
    writeFileSync(inShop('full', 'photo.jpg'), '')
    expect(await store('init', inShop('full'))).toMatchObject({ status: 73, err: expect.stringContaining('photo.jpg') as string })
    expect(readdirSync(inShop('full'))).toEqual(['photo.jpg'])
    expect(await store('init', inShop('no', 'such', 'place'))).toMatchObject({ status: expect.toBeOneOf([66, 74]) as number })
    expect(await store('init', inShop('full', 'photo.jpg'))).toMatchObject({ status: expect.not.toBeOneOf([0, 70]) as number })
    expect(await store('init', '/')).toMatchObject({ status: 64 })
    expect(await store('init', '')).toMatchObject({ status: 64 })
    expect(await store('init', '/x', '-r', '/y')).toMatchObject({ status: 64 })
    const nowhere = { LOCKTABLE_REPOSITORY: '' }
    expect(await start(['store', 'init'], nowhere).ended).toMatchObject({ status: 64, err: expect.stringContaining('LOCKTABLE_REPOSITORY') as string })
  })
})

describe('which store, which table', () => {
  test('none, and what is none', async () => {
    expect(await start(['store', 'list'], { LOCKTABLE_REPOSITORY: '' }).ended).toMatchObject({ status: 64, err: expect.stringContaining('--repository') as string })
    expect(await store('list', '-r', inShop('nothing'))).toMatchObject({ status: 66, err: expect.stringContaining('store init') as string })
    mkdirSync(inShop('plain'))
    expect(await store('list', '-r', inShop('plain'))).toMatchObject({ status: 66, err: expect.stringContaining('no datastore') as string })
    expect(await store('list', '-r', '/etc/passwd')).toMatchObject({ status: 66 })
  })

  test('--repository before and behind the command’s name, relative too', async () => {
    for (const args of [['store', '-r', shop.base, 'list'], ['store', 'list', `--repository=${shop.base}`]]) {
      expect(await start(args, { LOCKTABLE_REPOSITORY: '/nowhere' }).ended).toMatchObject({ status: 0 })
    }
  })

  test('the table of `locktable run` around us is not the store’s', async () => {
    expect(await locktable('run', 'nightly', '-c', `"${process.execPath}" dist/cli/main.js store list`)).toMatchObject({ status: 0, err: '' })
  })

  test('a table with other spaces, one that is none, one that is not in memory', async () => {
    await open({ spaces: ['group'] })
    expect(await store('list', '-t', place.path)).toMatchObject({ status: 65, err: expect.stringContaining(place.path) as string })
    writeFileSync(inShop('nonsense'), 'nonsense')
    expect(await store('list', '-t', inShop('nonsense'))).toMatchObject({ status: 65 })
    expect(await store('list', '-t', '')).toMatchObject({ status: 64 })
    expect(await store('list', '-t', '/sys/locks')).toMatchObject({ status: expect.not.toBeOneOf([0, 70]) as number })
  })

  test.skipIf(!hasUserNamespaces)('a user without a place for the table is told', async () => {
    const asNobody = new Run('unshare', ['--user', process.execPath, MAIN, 'store', 'list'], { LOCKTABLE_STORE_TABLE: '', XDG_RUNTIME_DIR: '' })
    expect(await asNobody.ended).toMatchObject({ status: 64, out: '', err: expect.stringMatching(/LOCKTABLE_STORE_TABLE|--table/) as string })
  })
})

describe('list', () => {
  test('groups: owner, number, latest, notes', async () => {
    const group = newGroup()
    await snapshot(group)
    await snapshot(group, { time: FIRST + 86_400 })
    await shop.store.setGroupNotes(groupOf(group), 'the web shop\nand more')
    const { out, status } = await store('list')
    expect(status).toBe(0)
    expect(out).toMatch(/^GROUP +OWNER +SNAPSHOTS +LATEST +AGE +SIZE +NOTES$/m)
    expect(out).toMatch(new RegExp(`^${group} +alice@pam +2 +2026-01-02T00:00:00Z +\\d.* +\\d+ B +the web shop …$`, 'm'))
  })

  test('the snapshots of a group', async () => {
    const group = newGroup()
    const key = CryptKey.generate()
    await snapshot(group, { notes: 'first\x1b[31m' })
    await snapshot(group, { time: FIRST + 60, key })
    await shop.store.setProtected({ ...groupOf(group), time: FIRST }, true)
    await shop.store.setVerifyState({ ...groupOf(group), time: FIRST }, { state: 'failed', upid: 'UPID:x' })
    const { out } = await store('list', group)
    const [head, first, second] = out.split('\n')
    expect(head).toMatch(/^SNAPSHOT +SIZE +STATE +KEY +VERIFIED +ARCHIVES +NOTES$/)
    expect(first).toMatch(/^host\/t\d+\/2026-01-01T00:00:00Z +\d+ B +finished, protected +- +failed +vm\.conf\.blob +first\\u001b\[31m$/)
    expect(second).toMatch(new RegExp(`^${group}/2026-01-01T00:01:00Z .*finished +signed ${key.fingerprint.slice(0, 11)} +- +vm.conf.blob`))
    expect(await store('list', '-s')).toMatchObject({ status: 0, out: expect.stringContaining(`${group}/2026-01-01T00:01:00Z`) as string })
  })

  test('--json: one document with everything', async () => {
    const group = newGroup()
    await snapshot(group, { notes: 'äöü "quoted"' })
    const { repository, groups } = await storeJson('list', group)
    expect(repository).toBe(shop.base)
    expect(groups).toEqual([{
      namespace: '', group, owner: 'alice@pam', notes: '',
      snapshots: [expect.objectContaining({
        snapshot: `${group}/2026-01-01T00:00:00Z`, time: '2026-01-01T00:00:00Z', state: 'finished', protected: false, encrypted: false, signed: false, notes: 'äöü "quoted"',
        files: [{ filename: 'vm.conf.blob', size: expect.any(Number), cryptMode: 'none', csum: expect.stringMatching(/^[0-9a-f]{64}$/) }],
      })],
    }])
  })

  test('namespaces: one, and with --all those below', async () => {
    await shop.store.createNamespace(['west'])
    await shop.store.createNamespace(['west', 'one'])
    const group = newGroup()
    await snapshot(group, { namespace: ['west', 'one'] })
    expect((await store('list', '--ns', 'west')).out).toBe('there are no backups\n')
    expect((await store('list', '--ns', 'west/one')).out).toContain(`${group} `)
    expect((await store('list', '--all')).out).toContain(`west/one: ${group} `)
    expect((await storeJson('list', '--all', '--ns', 'west')).groups).toMatchObject([{ namespace: 'west/one', group }])
    expect(await store('list', '--ns', 'east')).toMatchObject({ status: 67, err: 'locktable: there is no namespace east\n' })
    expect(await store('list', group)).toMatchObject({ status: 67, err: `locktable: there is no group ${group}\n` })
  })

  test('a backup that runs, one that died, a damaged manifest', async () => {
    const [alive, damaged] = [newGroup(), newGroup()]
    const session = await shop.store.startBackup({ ...groupOf(alive), time: FIRST }, { owner: 'alice@pam' })
    expect((await store('list', alive)).out).toMatch(new RegExp(`running, pid ${process.pid} since 20`))
    expect((await store('list')).out).toMatch(new RegExp(`^${alive} +alice@pam +0 \\+ 1 running`, 'm'))
    expect((await storeJson('list', alive)).groups[0].snapshots).toMatchObject([{ state: 'running', running: { pid: process.pid } }])
    await session.abort()
    const broken = await snapshot(damaged)
    mkdirSync(join(shop.base, damaged, '2026-01-02T00:00:00Z'))
    writeFileSync(join(shop.base, snapshotPath(broken), 'index.json.blob'), 'nonsense')
    const { status, out } = await store('list', damaged)
    expect(out).toMatch(/damaged .*index\.json\.blob, byte 0/)
    expect(out).toMatch(/2026-01-02T00:00:00Z +- +unfinished/)
    expect(status).toBe(65)
    expect(await store('show', `${damaged}/2026-01-01T00:00:00Z`)).toMatchObject({ status: 65, out: '', err: expect.stringContaining('index.json.blob') as string })
    expect(await store('show', `${damaged}/2026-01-02T00:00:00Z`)).toMatchObject({ status: 0, out: expect.stringContaining('unfinished') as string })
    rmSync(join(shop.base, damaged), { recursive: true })
  })
})

describe('show', () => {
  test('the latest one', async () => {
    const group = newGroup()
    await snapshot(group)
    await snapshot(group, { time: FIRST + 3600, notes: 'two\nlines' })
    const { out, status } = await store('show', `${group}/latest`)
    expect(status).toBe(0)
    expect(out).toMatch(new RegExp(`^snapshot +${group}/2026-01-01T01:00:00Z$`, 'm'))
    for (const line of [/^owner +alice@pam$/m, /^state +finished$/m, /^verified +never$/m, /^signature +none$/m, /^uploaded +0 chunks, 0 B, 0 B in the store$/m, /^notes +two\n +lines$/m, /^vm\.conf\.blob +blob +\d+ B +none +[0-9a-f]{16}…$/m]) {
      expect(out).toMatch(line)
    }
    expect(await storeJson('show', `${group}/latest`)).toMatchObject({ repository: shop.base, snapshot: `${group}/2026-01-01T01:00:00Z`, owner: 'alice@pam', signature: 'none', files: [{ filename: 'vm.conf.blob' }] })
  })

  test('the latest is not the one that is being made', async () => {
    const group = newGroup()
    expect(await store('show', `${group}/latest`)).toMatchObject({ status: 67, err: `locktable: there is no snapshot of ${group}\n` })
    await snapshot(group)
    await using _session = await shop.store.startBackup({ ...groupOf(group), time: FIRST + 60 }, { owner: 'alice@pam' })
    expect((await storeJson('show', `${group}/latest`)).snapshot).toBe(`${group}/2026-01-01T00:00:00Z`)
  })

  test('the signature, with the right key, another one, and after a change', async () => {
    const group = newGroup()
    const [keyfile, other] = [inShop('sign.key'), inShop('other.key')]
    for (const path of [keyfile, other]) expect(await store('key', 'create', '--kdf', 'none', path)).toMatchObject({ status: 0 })
    const key = new CryptKey(Buffer.from(JSON.parse(readFileSync(keyfile, 'utf8')).data, 'base64'))
    const name = await snapshot(group, { key })
    expect((await storeJson('show', `${group}/latest`)).signature).toBe('not checked')
    expect((await storeJson('show', `${group}/latest`, '--keyfile', keyfile)).signature).toBe('valid')
    expect(await store('show', `${group}/latest`, '--keyfile', other)).toMatchObject({ status: 77, out: '', err: expect.stringContaining(key.fingerprint) as string })
    const path = join(shop.base, snapshotPath(name), 'index.json.blob')
    const manifest = await shop.store.loadManifest(name)
    const forged = createManifest({ ...manifest, files: [{ ...manifest.files[0]!, size: 1 }] })
    writeFileSync(path, encodeManifest({ ...forged, unprotected: manifest.unprotected, signature: manifest.signature }))
    expect(await store('show', `${group}/latest`, '--keyfile', keyfile)).toMatchObject({ status: 65, err: expect.stringContaining('changed after it was signed') as string })
  })

  test('names that are none, and of nobody', async () => {
    const rows = [
      ['host/x', 64, 'type/id/time'],
      ['host/x/yesterday', 64, '2026-11-21T08:00:00Z'],
      ['host/x/2026-02-30T00:00:00Z', 64, 'must be like'],
      ['host/x/latest/latest', 64, 'type/id'],
      ['lxc/x/latest', 64, '"vm"'],
      ['host/../latest', 64, 'must be made of'],
      ['/latest', 64, 'type/id'],
      ['', 64, 'type/id/time'],
      ['host/nobody/latest', 67, 'no snapshot of host/nobody'],
      ['host/nobody/2026-01-01T00:00:00Z', 67, 'no snapshot host/nobody/2026-01-01T00:00:00Z'],
    ] as const
    const ends = await Promise.all(rows.map(([name]) => store('show', name)))
    for (const [i, [name, status, text]] of rows.entries()) {
      expect([name, ends[i]]).toEqual([name, { status, out: '', err: expect.stringMatching(/^locktable: [^\n]+\n$/) }])
      expect(ends[i]?.err).toContain(text)
    }
  })
})

describe('notes, protection, owner', () => {
  test('notes of a snapshot and of a group: set, shown, from standard input, removed', async () => {
    const group = newGroup()
    await snapshot(group)
    for (const name of [group, `${group}/latest`]) {
      expect(await store('notes', name)).toEqual({ status: 0, out: '', err: '' })
      expect(await store('notes', name, 'before the upgrade')).toEqual({ status: 0, out: '', err: '' })
      expect(await store('notes', name)).toEqual({ status: 0, out: 'before the upgrade\n', err: '' })
      const piped = start(['store', 'notes', name, '-'], {}, 'several\nlines ü\n')
      expect(await piped.ended).toMatchObject({ status: 0 })
      expect((await storeJson('notes', name)).notes).toBe('several\nlines ü')
      expect(await store('notes', name, '')).toMatchObject({ status: 0 })
      expect((await storeJson('notes', name)).notes).toBe('')
    }
    expect(await store('notes', 'host/nobody', 'x')).toMatchObject({ status: 67 })
    expect(await store('notes', 'host/nobody')).toMatchObject({ status: 67 })
    expect(await store('notes', `${group}/2026-05-05T00:00:00Z`, 'x')).toMatchObject({ status: 67 })
  })

  test('eight processes change the notes of one snapshot at once: one of them wins, the manifest stays whole', async () => {
    const group = newGroup()
    await snapshot(group)
    const ends = await Promise.all(Array.from({ length: 8 }, (_, i) => store('notes', `${group}/latest`, `by ${i}`, '--wait', '60')))
    expect(ends.map(({ status, err }) => [status, err])).toEqual(ends.map(() => [0, '']))
    expect((await storeJson('show', `${group}/latest`)).notes).toMatch(/^by \d+$/)
  })

  test('protected, twice, and not any more', async () => {
    const group = newGroup()
    const name = await snapshot(group)
    const isProtected = async (): Promise<boolean> => (await shop.store.snapshotFiles(name))?.protected === true
    for (let i = 0; i < 2; i++) expect(await store('protect', `${group}/latest`)).toMatchObject({ status: 0, out: `${group}/2026-01-01T00:00:00Z is protected\n` })
    expect(await isProtected()).toBe(true)
    expect(await storeJson('protect', '--off', `${group}/latest`)).toEqual({ snapshot: `${group}/2026-01-01T00:00:00Z`, protected: false })
    expect(await isProtected()).toBe(false)
    expect(await store('protect', `${group}/2027-01-01T00:00:00Z`)).toMatchObject({ status: 67 })
  })

  test('a reader is in the way: busy, by whom; with --wait it comes after', async () => {
    const group = newGroup()
    const name = await snapshot(group)
    const reader = await shop.store.openReader(name)
    const { status, err } = await store('protect', `${group}/latest`)
    expect(status).toBe(75)
    expect(err).toMatch(new RegExp(`^locktable: snapshot ${group}/2026-01-01T00:00:00Z is in use: read of process ${process.pid} since 20[-0-9T:.]+Z\n$`)) // and not that it waited
    expect(await store('protect', `${group}/latest`, '--wait', '0.05')).toMatchObject({ status: 75, err: expect.stringMatching(/waited \d+ ms/) as string })
    const waiting = start(['store', 'protect', `${group}/latest`, '--wait', '60'])
    await until(() => shop.store.running().some(({ operation }) => operation === 'protect'))
    reader.close()
    expect(await waiting.ended).toMatchObject({ status: 0 })
  })

  test('the owner', async () => {
    const group = newGroup()
    await snapshot(group)
    expect(await store('owner', group)).toEqual({ status: 0, out: 'alice@pam\n', err: '' })
    expect(await store('owner', group, 'bob@pbs!laptop')).toMatchObject({ status: 0, out: `${group} belongs to bob@pbs!laptop\n` })
    expect(await store('owner', group, 'carol@pam', '--expected', 'alice@pam')).toMatchObject({ status: 77, err: expect.stringContaining('bob@pbs!laptop') as string })
    expect(await storeJson('owner', group)).toEqual({ group, owner: 'bob@pbs!laptop' })
    expect(await store('owner', group, 'carol')).toMatchObject({ status: 64 })
    expect(await store('owner', 'host/nobody')).toMatchObject({ status: 67 })
    expect(await store('owner', 'host/nobody', 'carol@pam')).toMatchObject({ status: 67 })
    await using _session = await shop.store.startBackup({ ...groupOf(group), time: FIRST + 60 }, { owner: 'bob@pbs!laptop' })
    expect(await store('owner', group, 'carol@pam')).toMatchObject({ status: 75, err: expect.stringContaining(`backup of process ${process.pid} since `) as string })
  })
})
