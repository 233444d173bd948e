/** What the addon says of files is what the kernel says; what is told of a file by its fingerprint; how long its header is. */
import { execFileSync } from 'node:child_process'
import { type BigIntStats, linkSync, lstatSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { listRaw, setTime, statRaw } from '../../../src/datastore/file-calls.js'
import { checkFields, Files, FileTableBuilder, listDirectory, statFile } from '../../../src/datastore/tree/file-table.js'
import { fingerprintOfFile } from '../../../src/datastore/tree/fingerprint.js'
import { encodeHeader, headerBytes, type TreeEntry } from '../../../src/datastore/tree/tar-header.js'
import { temporaryDirectory } from '../store-support.js'

const onDisk = (path: string): Buffer => Buffer.from(path, 'latin1')
const NANOSECONDS = 1_000_000_000n

/** All that a table says of a file but what it was before the archive was. */
function told(files: Files, file: number): unknown {
  const type = files.typeOf(file)!
  const { mode, uid, gid, time, size, target, device } = files.entryOf(file, type, 'x', undefined)
  return { type, mode, uid, gid, time: BigInt(time.seconds) * NANOSECONDS + BigInt(time.nanoseconds), size, target, device, changed: files.changedOf(file) }
}

/** The same from Node. */
function known(path: string): unknown {
  const stat = lstatSync(onDisk(path), { bigint: true })
  const device = stat.isCharacterDevice() || stat.isBlockDevice() ? deviceOf(path) : undefined
  const target = stat.isSymbolicLink() ? readlinkSync(onDisk(path), 'latin1') : undefined
  return { type: typeOf(stat), mode: Number(stat.mode & 0o7777n), uid: Number(stat.uid), gid: Number(stat.gid), time: stat.mtimeNs, size: stat.isFile() ? Number(stat.size) : 0, target, device, changed: stat.ctimeNs }
}

function deviceOf(path: string): { readonly major: number; readonly minor: number } {
  const [major, minor] = execFileSync('stat', ['-c', '%t %T', path], { encoding: 'latin1' }).trim().split(' ').map(hex => Number.parseInt(hex, 16))
  return { major: major!, minor: minor! }
}

function typeOf(stat: BigIntStats): string {
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  if (stat.isSymbolicLink()) return 'symlink'
  return stat.isFIFO() ? 'fifo' : stat.isCharacterDevice() ? 'character-device' : 'block-device'
}

/** A directory with one of each. */
function mixture(): string {
  const root = temporaryDirectory()
  for (const name of ['b', 'a', 'a.b', 'B', '\xff\xfe', 'ä'.repeat(100)]) writeFileSync(onDisk(join(root, name)), name)
  setTime(join(root, 'b'), { seconds: -(2 ** 31), nanoseconds: 999_999_999 })
  mkdirSync(join(root, 'd'), { mode: 0o2711 })
  symlinkSync('/nowhere/at all', join(root, 'link'))
  symlinkSync(onDisk('\xc3\x28'), join(root, 'odd link'))
  symlinkSync('x'.repeat(4095), join(root, 'long link'))
  linkSync(join(root, 'b'), join(root, 'b again'))
  execFileSync('mkfifo', ['-m', '600', join(root, 'fifo')])
  return root
}

describe('a directory', () => {
  it('as Node sees it, by the bytes of the names', () => {
    const root = mixture()
    const { files, failed } = listDirectory(root)
    const names = Array.from({ length: files.count }, (_, file) => files.nameOf(file))
    expect(failed).toEqual([])
    expect(names).toEqual(['B', 'a', 'a.b', 'b', 'b again', 'd', 'fifo', 'link', 'long link', 'odd link', 'ä'.repeat(100), '\xff\xfe'])
    for (const [file, name] of names.entries()) expect([name, told(files, file)]).toEqual([name, known(join(root, name))])
  })

  it('one by one', () => {
    const root = mixture()
    for (const path of [root, ...['a', '\xff\xfe', 'd', 'link', 'long link', 'fifo'].map(name => join(root, name)), '/dev/null', '/proc/self/exe']) {
      expect([path, told(statFile(path), 0)]).toEqual([path, known(path)])
    }
  })

  it('that is empty', () => {
    const { files, failed } = listDirectory(temporaryDirectory())
    expect([files.count, failed]).toEqual([0, []])
  })

  it('names of one file are told from those of others', () => {
    const root = mixture()
    const { files } = listDirectory(root)
    const shared = new Map(Array.from({ length: files.count }, (_, file) => [files.nameOf(file), files.sharedIdOf(file)]))
    expect(shared.get('b')).toBe(shared.get('b again'))
    expect([...shared.values()].filter(id => id !== undefined).length).toBe(2) // not of `d`, which has several links, too
    const [high, low] = shared.get('b')!.split(':').slice(2).map(BigInt)
    expect((high! << 32n) | low!).toBe(lstatSync(join(root, 'b'), { bigint: true }).ino)
  })

  it('a socket has no type', async () => {
    const path = join(temporaryDirectory(), 'socket')
    const server = createServer()
    await new Promise<void>(resolve => server.listen(path, resolve))
    expect(statFile(path).typeOf(0)).toBeUndefined()
    await new Promise(resolve => server.close(resolve))
  })

  it.each([
    ['that is not there', () => listDirectory('/nowhere'), 'ENOENT'],
    ['that is a file', () => listDirectory('/etc/passwd'), 'ENOTDIR'],
    ['that is a link to one', () => listDirectory('/proc/self/cwd'), 'ENOTDIR'],
    ['a file that is not there', () => statFile('/nowhere'), 'ENOENT'],
    ['a path through a file', () => statFile('/etc/passwd/x'), 'ENOTDIR'],
    ['a path that is too long', () => statFile(`/${'x/'.repeat(3000)}`), 'ENAMETOOLONG'],
  ])('%s', (_, action, code) => {
    expect(action).toThrow(expect.objectContaining({ code }))
  })

  it('says so in the words of node:fs', () => {
    for (const [own, nodes] of [[statFile, lstatSync], [listDirectory, readdirSync]] as const) {
      for (const path of ['/nowhere', `/${'x/'.repeat(3000)}`]) {
        let expected = ''
        try {
          nodes(path)
        } catch (error) {
          expected = (error as Error).message
        }
        expect(() => own(path)).toThrow(expected)
        expect(expected).toMatch(/^E\w+: .*, /)
      }
    }
  })

  it.each([[undefined], [1], [''], ['a\0b'], [Buffer.from('a\0b')], [Buffer.alloc(0)]])('%o is no path', path => {
    for (const call of [statRaw, listRaw]) expect(() => call(path as string)).toThrow(TypeError)
  })

  it('in /proc: whoever goes while we look is reported, and no more', () => {
    checkFields()
    const { files, failed } = listDirectory('/proc/self/fd')
    const names = Array.from({ length: files.count }, (_, file) => files.nameOf(file))
    // The descriptor that it is read through is a link to /proc/self/fd itself while it is listed.
    expect(names).toEqual(expect.arrayContaining(['0', '1', '2']))
    expect(failed.every(({ message }) => /^E[A-Z]+: /.test(message))).toBe(true)
  })
})

test('a table that grows keeps what is in it', () => {
  const root = mixture()
  const { files } = listDirectory(root)
  const builder = new FileTableBuilder()
  const names: string[] = []
  for (let round = 0; round < 200; round++) {
    for (let file = 0; file < files.count; file++) {
      names.push(`${round}/${files.nameOf(file)}`)
      expect(builder.add(files, file, names.at(-1)!)).toBe(names.length - 1)
    }
  }
  const all = new Files(structuredClone(builder.finish()))
  expect(all.count).toBe(names.length)
  for (const [file, name] of names.entries()) expect([all.nameOf(file), told(all, file)]).toEqual([name, told(files, file % files.count)])
})

describe('a fingerprint', () => {
  const of = (path: string, name = 'name', extents?: readonly { offset: number; length: number }[]): string => fingerprintOfFile(statFile(path), 0, name, extents).toString('hex')
  /** A file, changed in one way. */
  const changed = (change: string): string => {
    const path = join(temporaryDirectory(), 'file')
    writeFileSync(path, 'x')
    setTime(path, { seconds: 1, nanoseconds: 1 })
    execFileSync('sh', ['-c', change], { cwd: join(path, '..') })
    return path
  }

  /** The same to who looks at it, but the kernel has noted it: at the next tick of its clock at the latest. */
  const touch = (path: string): void => {
    const before = lstatSync(path, { bigint: true }).ctimeNs
    while (lstatSync(path, { bigint: true }).ctimeNs === before) setTime(path, { seconds: 1, nanoseconds: 1 })
  }

  it('is another one after each change', () => {
    const path = changed('true')
    const first = of(path)
    expect(of(path)).toBe(first)
    expect([of(path, 'other'), of(path, 'name', []), of(path, 'name', [{ offset: 0, length: 1 }]), of(path, 'name', [{ offset: 1, length: 0 }])]).not.toContain(first)
    touch(path)
    expect(of(path)).not.toBe(first)
  })

  it('of what has no contents is of what is seen alone', () => {
    const root = temporaryDirectory()
    mkdirSync(join(root, 'd'))
    const [link, otherLink] = [join(root, 'link'), join(root, 'd', 'link')]
    for (const path of [link, otherLink]) symlinkSync('target', path)
    for (const path of [link, otherLink]) setTime(path, { seconds: 1, nanoseconds: 2 })
    expect(of(link)).toBe(of(otherLink)) // other inodes, other times of change
    symlinkSync('targets', join(root, 'third'))
    setTime(join(root, 'third'), { seconds: 1, nanoseconds: 2 })
    expect(of(join(root, 'third'))).not.toBe(of(link))
    const [empty, full] = [changed(': > file'), changed('true')]
    for (const path of [empty, full]) touch(path)
    const before = [of(empty), of(full)]
    for (const path of [empty, full]) touch(path)
    expect([of(empty) === before[0], of(full) === before[1]]).toEqual([true, false])
  })

  it('of names and targets that are longer than most', () => {
    const path = changed('true')
    const long = 'x/'.repeat(2500)
    expect(of(path, `${long}a`)).not.toBe(of(path, `${long}b`))
  })
})

it('the length of a header is told without making it', () => {
  const name = fc.oneof(fc.constantFrom('.', 'a', 'ä', '\xc3\xa4'), fc.stringMatching(/^[a-z/]{90,110}$/), fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 300 }))
    .map(text => text.replaceAll('\0', '') || 'x')
  const number = fc.oneof(fc.nat(70_000), fc.constantFrom(0o7777777, 0o10000000, 2 ** 32 - 1))
  const time = fc.record({ seconds: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), nanoseconds: fc.nat(999_999_999) })
  const entry: fc.Arbitrary<TreeEntry> = fc.oneof(
    fc.record({ name, type: fc.constantFrom('file' as const), mode: fc.nat(0o7777), uid: number, gid: number, time, size: fc.oneof(fc.nat(), fc.constantFrom(0o77777777777, 0o100000000000)) }),
    fc.record({ name, type: fc.constantFrom('directory' as const, 'fifo' as const), mode: fc.nat(0o7777), uid: number, gid: number, time, size: fc.constant(0) }),
    fc.record({ name, type: fc.constantFrom('symlink' as const, 'link' as const), mode: fc.nat(0o7777), uid: number, gid: number, time, size: fc.constant(0), target: name }),
    fc.record({ name: fc.constantFrom('a', 'b'.repeat(120)), type: fc.constant('file' as const), mode: fc.constant(0), uid: number, gid: number, time, size: fc.constant(9000), extents: fc.constantFrom([], [{ offset: 4096, length: 4096 }]) }),
  )
  fc.assert(fc.property(entry, each => headerBytes(each) === encodeHeader(each).length), { numRuns: 2000 })
})
