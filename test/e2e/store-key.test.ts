/** `locktable store key` as a user runs it: with a file, the environment, a terminal. */
import { chmodSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { CryptKey } from '../../src/datastore/index.js'
import { hasScript, onTerminal, start } from './support.js'
import { inShop, newGroup, shop, snapshot, store, storeJson } from './store-support.js'

describe('key', () => {
  const mode = (path: string): string => (statSync(path).mode & 0o7777).toString(8)
  const key = async (path: string): Promise<Record<string, string>> => storeJson('key', 'show', path)

  test('with a passphrase from the environment, from a file; the file is for its owner alone', async () => {
    const [path, secret] = [inShop('a.key'), inShop('secret')]
    writeFileSync(secret, 'sesame opens\nnot this\n')
    expect(await store('key', 'create', path, '--passphrase-file', secret, '--hint', 'the cave')).toMatchObject({ status: 0, out: expect.stringMatching(/^made .*a\.key, key ([0-9a-f]{2}:){31}[0-9a-f]{2}\n$/) as string })
    expect(mode(path)).toBe('600')
    const before = await key(path)
    expect(before).toMatchObject({ kdf: 'scrypt', hint: 'the cave' })
    expect(await start(['store', 'key', 'change-passphrase', path], { LOCKTABLE_PASSPHRASE: 'wrong one', LOCKTABLE_NEW_PASSPHRASE: 'another' }).ended).toMatchObject({ status: 77, err: expect.stringContaining('does not fit') as string })
    expect(await start(['store', 'key', 'change-passphrase', path, '--kdf', 'pbkdf2'], { LOCKTABLE_PASSPHRASE: 'sesame opens', LOCKTABLE_NEW_PASSPHRASE: 'another' }).ended).toMatchObject({ status: 0 })
    expect(await key(path)).toMatchObject({ kdf: 'pbkdf2', hint: 'the cave', fingerprint: before['fingerprint'], created: before['created'] })
    expect(mode(path)).toBe('600')
    expect(await start(['store', 'key', 'change-passphrase', path, '--kdf', 'none'], { LOCKTABLE_PASSPHRASE: 'another' }).ended).toMatchObject({ status: 0 })
    expect(await key(path)).toMatchObject({ kdf: 'none', fingerprint: before['fingerprint'] })
    expect(readdirSync(shop.directory).filter(name => name.startsWith('a.key'))).toEqual(['a.key'])
  })

  test('a key is not overwritten', async () => {
    const path = inShop('b.key')
    expect(await store('key', 'create', '--kdf', 'none', path)).toMatchObject({ status: 0 })
    const content = readFileSync(path, 'utf8')
    expect(await store('key', 'create', '--kdf', 'none', path)).toMatchObject({ status: 73, err: expect.stringContaining('exists') as string })
    expect(readFileSync(path, 'utf8')).toBe(content)
  })

  test('an open one is warned of', async () => {
    const path = inShop('c.key')
    const group = newGroup()
    await store('key', 'create', '--kdf', 'none', path)
    await snapshot(group, { key: new CryptKey(Buffer.from(JSON.parse(readFileSync(path, 'utf8')).data, 'base64')) })
    chmodSync(path, 0o644)
    expect(await store('show', `${group}/latest`, '--keyfile', path)).toMatchObject({ status: 0, err: expect.stringContaining('chmod 600') as string })
  })

  test('what goes wrong with files and passphrases', async () => {
    const rows = [
      ['no passphrase from anywhere', ['create', 'x1.key'], {}, 64, 'no terminal'],
      ['one too short', ['create', 'x2.key'], { LOCKTABLE_PASSPHRASE: 'abcd' }, 64, 'at least 5 bytes'],
      ['another kind of protection', ['create', 'x3.key', '--kdf', 'rot13'], {}, 64, 'scrypt'],
      ['a passphrase file that is not there', ['create', 'x4.key', '--passphrase-file', '/no/such'], {}, 66, '/no/such'],
      ['an empty one', ['create', 'x5.key', '--passphrase-file', '/dev/null'], {}, 64, 'empty'],
      ['no file to show', ['show', 'x6.key'], {}, 66, 'x6.key'],
      ['a file that is no key', ['show', '/etc/passwd'], {}, 65, '/etc/passwd'],
      ['no place', ['create', 'no/such/place.key', '--kdf', 'none'], {}, 66, 'place.key'],
    ] as const
    const full = (path: string): string => (path.startsWith('/') ? path : inShop(path))
    // Without a terminal of their own: setsid.
    const ends = await Promise.all(rows.map(([, [verb, path, ...rest], env]) => start(['store', 'key', verb, full(path), ...rest], env, '', { detached: true }).ended))
    for (const [i, [what, [, path], , status, text]] of rows.entries()) {
      expect([what, ends[i]]).toEqual([what, { status, out: '', err: expect.stringMatching(/^locktable: [^\n]+\n$/) }])
      expect(ends[i]?.err).toContain(text)
      if (!path.startsWith('/')) expect(existsSync(full(path))).toBe(false)
    }
  })

  test.skipIf(!hasScript)('on a terminal: asked twice, not shown', async () => {
    const path = inShop('d.key')
    const run = onTerminal(['store', 'key', 'create', path], shop.environment)
    await run.said('New passphrase: ')
    run.child.stdin?.write('secretly\r')
    await run.said('Once more: ')
    run.child.stdin?.write('secretlx\x7fy\r')
    expect(await run.ended).toMatchObject({ status: 0 })
    expect(run.out).not.toContain('secret')
    const { fingerprint } = await key(path)
    expect(run.out).toContain(fingerprint)
    expect(await start(['store', 'key', 'change-passphrase', '--kdf', 'none', path], { LOCKTABLE_PASSPHRASE: 'secretly' }).ended).toMatchObject({ status: 0 })
  })

  test.skipIf(!hasScript)('on a terminal: two different ones, ^D, ^C', async () => {
    const path = inShop('e.key')
    const [different, ended, interrupted] = ['one', 'two', 'three'].map(() => onTerminal(['store', 'key', 'create', path], shop.environment))
    for (const run of [different!, ended!, interrupted!]) await run.said('New passphrase: ')
    different!.child.stdin?.write('secretly\r')
    await different!.said('Once more: ')
    different!.child.stdin?.write('secretlz\r')
    ended!.child.stdin?.write('\x04')
    interrupted!.child.stdin?.write('secret\x03')
    expect(await different!.ended).toMatchObject({ status: 64, out: expect.stringContaining('not the same') as string })
    expect(await ended!.ended).toMatchObject({ status: 64, out: expect.stringContaining('no passphrase was given') as string })
    expect((await interrupted!.ended).status).toBe(130)
    expect(existsSync(path)).toBe(false)
  })
})
