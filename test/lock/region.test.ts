/** Every file that is no usable lock table is refused by a typed error, and left as it is. */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LockError, LockTable } from '../../src/index.js'
import { HEADER, HEADER_WORDS, MAGIC, fileWords, layoutFingerprint } from '../../src/lock/layout.js'
import { codeOf, open, temporaryDirectory, temporaryTable, until } from './support.js'

const SMALL = { spaces: [{ name: 'default', slots: 4 }] }

/** A closed table's file, with some words changed. */
async function damaged(changes: Readonly<Record<number, number>>, directory = temporaryDirectory()): Promise<string> {
  const path = join(directory, 'locks')
  await (await LockTable.open(path, { ...SMALL, requireTmpfs: false })).close()
  const bytes = readFileSync(path)
  for (const [word, value] of Object.entries(changes)) bytes.writeInt32LE(value, Number(word) * 4)
  writeFileSync(path, bytes)
  return path
}

describe('a file that is refused, and untouched', () => {
  const rows: readonly (readonly [string, string, () => Promise<string> | string])[] = [
    ['an empty file', 'TABLE_FOREIGN', () => write('')],
    ['a text', 'TABLE_FOREIGN', () => write('hello '.repeat(2000))],
    ['zeros', 'TABLE_FOREIGN', () => write(Buffer.alloc(65536))],
    ['a size that is no whole number of words', 'TABLE_FOREIGN', () => write(Buffer.alloc(65537))],
    ['a directory', 'TABLE_FOREIGN', () => temporaryDirectory()],
    ['a symbolic link to a table', 'TABLE_FOREIGN', async () => {
      const path = await damaged({})
      symlinkSync(path, `${path}.link`)
      return `${path}.link`
    }],
    ['a FIFO', 'TABLE_FOREIGN', () => {
      const path = temporaryTable()
      execFileSync('mkfifo', [path])
      return path
    }],
    ['another layout', 'TABLE_LAYOUT', () => damaged({ [HEADER.FINGERPRINT]: layoutFingerprint() + 1 })],
    ['the other byte order', 'TABLE_LAYOUT', () => damaged({ [HEADER.BYTE_ORDER]: 0x04030201 })],
    ['the other byte order from its first word on', 'TABLE_LAYOUT', () => damaged({ [HEADER.MAGIC_0]: 0x4c4f434b })],
    ['no spaces', 'TABLE_DAMAGED', () => damaged({ [HEADER.SPACE_COUNT]: 0 })],
    ['too many spaces', 'TABLE_DAMAGED', () => damaged({ [HEADER.SPACE_COUNT]: 17 })],
    ['more slots than the file has', 'TABLE_DAMAGED', () => damaged({ [HEADER.SPACES]: 8 })],
    ['another size in its header', 'TABLE_DAMAGED', () => damaged({ [HEADER.SIZE_WORDS]: 1 })],
    ['made at no time', 'TABLE_DAMAGED', () => damaged({ [HEADER.CREATED_HIGH]: 0x7fffffff })],
    ['cut off', 'TABLE_DAMAGED', async () => {
      const path = await damaged({})
      truncateSync(path, 8192)
      return path
    }],
    ['grown', 'TABLE_DAMAGED', async () => {
      const path = await damaged({})
      truncateSync(path, fileWords([4]) * 4 + 4096)
      return path
    }],
    ['writable by everybody', 'TABLE_UNTRUSTED', async () => {
      const path = await damaged({})
      chmodSync(path, 0o666)
      return path
    }],
    ['another user’s', 'TABLE_UNTRUSTED', async () => {
      const path = await damaged({})
      if (process.getuid?.() === 0) chownSync(path, 12345, 12345)
      return path
    }],
  ]

  function write(content: string | Buffer): string {
    const path = temporaryTable()
    writeFileSync(path, content)
    return path
  }

  test.each(rows)('%s: %s', async (what, code, make) => {
    if (what === 'another user’s' && process.getuid?.() !== 0) return
    const path = await make()
    const before = what.startsWith('a directory') || what === 'a FIFO' ? undefined : readFileSync(path)
    expect(await codeOf(() => LockTable.open(path))).toBe(code)
    if (before !== undefined) expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('ownerUid accepts one other user', async () => {
    if (process.getuid?.() !== 0) return
    const path = await damaged({})
    chownSync(path, 12345, 12345)
    expect((await open(path, { ownerUid: 12345 })).failure).toBeUndefined()
  })

  test('random bytes in the header never crash: a typed error, or a table that works', async () => {
    const template = readFileSync(await damaged({}))
    const path = temporaryTable()
    const words = fc.array(fc.tuple(fc.oneof(fc.nat(HEADER_WORDS - 1), fc.nat(40), fc.integer({ min: 64, max: 90 })), fc.integer()), { minLength: 1, maxLength: 6 })
    await fc.assert(fc.asyncProperty(words, async changes => {
      const bytes = Buffer.from(template)
      for (const [word, value] of changes) bytes.writeInt32LE(value, word * 4)
      writeFileSync(path, bytes)
      try {
        const table = await LockTable.open(path, { watch: false })
        table.inspect()
        table.tryLock('a')?.release()
        await table.close()
      } catch (error) {
        expect(error).toBeInstanceOf(LockError)
        expect(readFileSync(path).equals(bytes)).toBe(true)
      }
    }), { numRuns: 300 })
  })

  test('random bytes behind the header never crash whoever looks', async () => {
    const template = readFileSync(await damaged({}))
    const path = temporaryTable()
    const words = fc.array(fc.tuple(fc.integer({ min: HEADER_WORDS, max: template.length / 4 - 1 }), fc.integer()), { minLength: 1, maxLength: 200 })
    await fc.assert(fc.asyncProperty(words, async changes => {
      const bytes = Buffer.from(template)
      for (const [word, value] of changes) bytes.writeInt32LE(value, word * 4)
      writeFileSync(path, bytes)
      const table = await LockTable.open(path, { watch: false })
      table.inspect()
      table.tryLock('a')?.release()
      table.tryLock('b', { mode: 'shared' })?.release()
      await table.close()
      unlinkSync(path)
    }), { numRuns: 200 })
  })
})

describe('places', () => {
  test('a disk is refused, unless asked for; then a file from before the last boot is stale', async () => {
    const directory = join(tmpdir(), `locktable-disk-${process.pid}`)
    mkdirSync(directory)
    const path = join(directory, 'locks')
    expect(await codeOf(() => LockTable.open(path))).toBe('TABLE_NOT_TMPFS')
    expect(readdirSync(directory)).toEqual([])
    const table = await open(path, { ...SMALL, requireTmpfs: false })
    await table.close()
    expect(await codeOf(() => LockTable.open(path))).toBe('TABLE_NOT_TMPFS')
    unlinkSync(path)
    const stale = await damaged({ [HEADER.BOOT_ID]: 1 }, directory)
    expect(await codeOf(() => LockTable.open(stale, { requireTmpfs: false }))).toBe('TABLE_STALE')
    execFileSync('rm', ['-r', directory])
  })

  test('a full tmpfs: a clear error, nothing half made', () => {
    const script = `
      import { LockTable } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)}
      import { readdirSync } from 'node:fs'
      await LockTable.open('/mnt/locks').then(() => console.log('made'), error => console.log(error.code))
      console.log(readdirSync('/mnt').length)`
    let output: string
    try {
      output = execFileSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs -o size=1m none /mnt && exec "$0" --input-type=module -e "$1"', process.execPath, script], { encoding: 'utf8' })
    } catch (error) {
      if (process.getuid?.() === 0) throw error
      console.log('not run: mounting needs root')
      return
    }
    expect(output).toBe('TABLE_NO_SPACE\n0\n')
  })

  test.each([
    ['no such file, create: false', 'TABLE_MISSING', { create: false }, 'missing'],
    ['no such directory', 'TABLE_MISSING', {}, 'no/such/directory'],
    ['there already, exclusive', 'TABLE_EXISTS', { exclusive: true }, 'locks'],
    ['other spaces', 'TABLE_LAYOUT', { spaces: ['other'] }, 'locks'],
    ['other slots', 'TABLE_LAYOUT', { spaces: [{ name: 'default', slots: 5 }] }, 'locks'],
  ] as const)('%s: %s', async (_what, code, options, name) => {
    const directory = temporaryDirectory()
    await open(join(directory, 'locks'), SMALL)
    expect(await codeOf(() => LockTable.open(join(directory, name), options))).toBe(code)
  })

  test('many openers at once make one table', async () => {
    const path = temporaryTable()
    const tables = await Promise.all(Array.from({ length: 20 }, () => open(path, SMALL)))
    expect(new Set(tables.map(table => table.epoch)).size).toBe(1)
    expect(new Set(tables.map(table => table.participantNumber)).size).toBe(20)
    expect(MAGIC).toHaveLength(2)
  })

  test('the file’s permissions are as asked for, whatever the umask', async () => {
    const path = temporaryTable()
    const before = process.umask(0o077)
    await open(path, { ...SMALL, fileMode: 0o660 })
    process.umask(before)
    expect(execFileSync('stat', ['-c', '%a', path], { encoding: 'utf8' }).trim()).toBe('660')
  })
})

describe('removal', () => {
  test('official: refused while somebody is in, then done', async () => {
    const table = await open(undefined, SMALL)
    expect(await codeOf(() => LockTable.remove(table.path))).toBe('TABLE_BUSY')
    await table.close()
    await LockTable.remove(table.path)
    expect(existsSync(table.path)).toBe(false)
    expect(await codeOf(() => LockTable.remove(table.path))).toBe('TABLE_MISSING')
  })

  test.each(['unlinked', 'replaced', 'moved'])('%s under us: guards hear of it, requests are refused', async how => {
    const table = await open(undefined, SMALL)
    const guard = await table.lock('a')
    const waiting = codeOf(() => table.lock('a'))
    const heard = new Promise(resolve => {
      guard.signal.addEventListener('abort', resolve)
    })
    if (how === 'unlinked') unlinkSync(table.path)
    else if (how === 'moved') renameSync(table.path, `${table.path}.old`)
    else {
      writeFileSync(`${table.path}.new`, 'other')
      renameSync(`${table.path}.new`, table.path)
    }
    await heard
    expect((guard.signal.reason as LockError).code).toBe('TABLE_GONE')
    expect(await waiting).toBe('TABLE_GONE')
    expect(guard.isHeld).toBe(false)
    expect(await codeOf(() => table.tryLock('b'))).toBe('TABLE_GONE')
    await until(() => table.failure?.code === 'TABLE_GONE')
  })
})
