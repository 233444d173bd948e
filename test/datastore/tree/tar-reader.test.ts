/** Archives taken apart: beside tar-stream and GNU tar, cut anywhere, and damaged in every way. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { extract, type Header, pack } from 'tar-stream'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WorkerPool } from '../../../src/datastore/pipeline/pool.js'
import { restoreTree } from '../../../src/datastore/tree/restore.js'
import { encodeHeader, paddingOf, TAR_END, type TreeEntry } from '../../../src/datastore/tree/tar-header.js'
import type { ArchivedEntry } from '../../../src/datastore/tree/tar-entry.js'
import { TarReader } from '../../../src/datastore/tree/tar-reader.js'
import { inSlabs } from '../pipeline/support.js'
import { codeOf, temporaryDirectory } from '../store-support.js'
import { look, makeTree, type Seen } from './support.js'

interface Read {
  readonly entry: ArchivedEntry
  readonly content: string
}

/** What is in an archive that comes in pieces that end at some places. */
function readAll(archive: Buffer, cuts: readonly number[] = []): readonly Read[] {
  const reader = new TarReader()
  const all: { readonly entry: ArchivedEntry; content: string }[] = []
  const ends = [...new Set([...cuts.map(cut => cut % (archive.length + 1)), archive.length])].sort((a, b) => a - b)
  let from = 0
  for (const end of ends) {
    const piece = archive.subarray(from, end)
    reader.give(piece)
    for (let part = reader.next(); part !== undefined; part = reader.next()) {
      if (part.kind === 'entry') all.push({ entry: part.entry, content: '' })
      if (part.kind === 'content') all.at(-1)!.content += piece.toString('latin1', part.from, part.to)
    }
    from = end
  }
  reader.end()
  return all
}

const time = { seconds: 1_700_000_000, nanoseconds: 123 }
const ours = (name: string, content = '', more: Partial<TreeEntry> = {}): Buffer => {
  const header = encodeHeader({ name, type: 'file', mode: 0o644, uid: 1, gid: 2, time, size: content.length, ...more })
  return Buffer.concat([header, Buffer.from(content, 'latin1'), Buffer.alloc(paddingOf(content.length))])
}

describe('beside tar-stream', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'ü', '雪', '\\', '"', '.'), minLength: 1, maxLength: 120 }).map(name => `n${name}`)
  const entries = fc.array(fc.record({
    name: fc.array(text, { minLength: 1, maxLength: 3 }).map(parts => parts.join('/')),
    type: fc.constantFrom('file', 'file', 'directory', 'symlink', 'link', 'fifo', 'character-device'),
    // What it can write: a mode of 0 is another for it, and so are large numbers.
    mode: fc.integer({ min: 1, max: 0o7777 }), uid: fc.nat(0o777777), gid: fc.nat(0o777777),
    mtime: fc.nat(2 ** 31 - 1).map(seconds => new Date(seconds * 1000)),
    linkname: text, devmajor: fc.nat(200), devminor: fc.nat(200), content: fc.string({ maxLength: 1500 }),
  }), { maxLength: 8 })

  it('any archive that it makes has in it what it says, wherever it is cut', async () => {
    await fc.assert(fc.asyncProperty(entries, fc.array(fc.nat(), { maxLength: 12 }), async (list, cuts) => {
      const packing = pack()
      for (const { content, linkname, ...more } of list) packing.entry({ ...more, ...(more.type.endsWith('link') ? { linkname } : {}) } as Header, more.type === 'file' ? content : '')
      packing.finalize()
      const archive = await buffer(packing)
      const seen = readAll(archive, cuts).map(({ entry: { name, type, mode, uid, gid, time: { seconds }, size, target, device }, content }) => ({ name, type, mode, uid, gid, seconds, size, target, device, content }))
      const theirs: typeof seen = []
      const taking = extract()
      taking.end(archive)
      const bytes = (string: string): string => Buffer.from(string).toString('latin1')
      for await (const stream of taking) {
        const { name, type, mode, uid, gid, mtime, size, linkname, devmajor, devminor } = stream.header
        const content = (await buffer(stream)).toString('latin1')
        theirs.push({
          name: bytes(name.replace(/\/$/, '')), type: type as 'file', mode: mode!, uid: uid!, gid: gid!, seconds: mtime!.getTime() / 1000, size: size!,
          target: type?.endsWith('link') ? bytes(linkname!) : undefined, device: type === 'character-device' ? { major: devmajor!, minor: devminor! } : undefined, content,
        })
      }
      expect(seen).toEqual(theirs)
      expect(seen.length).toBe(list.length)
    }), { numRuns: 150 })
  })
})

describe('what GNU tar makes of a tree comes back', () => {
  const [pool, folder] = [new WorkerPool({ threads: 2 }), temporaryDirectory()]
  const [source, target] = [join(folder, 'source'), join(folder, 'target')]
  beforeAll(() => {
    mkdirSync(source)
    makeTree(source)
  })
  afterAll(() => pool.close())
  afterEach(() => {
    for (const path of [target, join(source, 'only')]) rmSync(path, { recursive: true, force: true })
  })

  const BILLION = 1_000_000_000n

  /** Without what the format cannot say. */
  const comparable = (tree: Record<string, Seen>, keepsNanoseconds: boolean): object =>
    Object.fromEntries(Object.entries(tree).map(([name, seen]) => [name, { ...seen, mtime: keepsNanoseconds ? seen.mtime : seen.mtime - (seen.mtime % BILLION + BILLION) % BILLION }]))

  it.each<[name: string, args: readonly string[], keepsNanoseconds: boolean]>([
    ['GNU format', ['--format=gnu'], false],
    ['GNU format, sparse', ['--format=gnu', '--sparse'], false],
    ['pax', ['--format=posix'], true],
    ['pax, sparse 0.0', ['--format=posix', '--sparse', '--sparse-version=0.0'], true],
    ['pax, sparse 0.1', ['--format=posix', '--sparse', '--sparse-version=0.1'], true],
    ['pax, sparse 1.0', ['--format=posix', '--sparse', '--sparse-version=1.0'], true],
  ])('%s', async (_name, args, keepsNanoseconds) => {
    const isSparse = args.includes('--sparse')
    const archive = execFileSync('tar', ['-c', '--sort=name', ...args, '-C', source, '.'], { maxBuffer: 2 ** 27, stdio: ['ignore', 'pipe', 'ignore'] })
    const problems: unknown[] = []
    const pieces = Array.from({ length: Math.ceil(archive.length / 1_000_003) }, (_, i) => archive.subarray(i * 1_000_003, (i + 1) * 1_000_003))
    await restoreTree(inSlabs(pieces), target, { pool, onProblem: problem => problems.push(problem) })
    expect(problems).toEqual([])
    expect(comparable(look(target, { withBlocks: isSparse }), keepsNanoseconds)).toEqual(comparable(look(source, { withBlocks: isSparse }), keepsNanoseconds))
  })

  it.each(['ustar', 'v7'])('%s: what it can say', async format => {
    mkdirSync(join(source, 'only'))
    execFileSync('cp', ['-a', join(source, 'text'), join(source, 'link'), join(source, 'large'), join(source, 'only')])
    const archive = execFileSync('tar', ['-c', `--format=${format}`, '-C', join(source, 'only'), '.'], { maxBuffer: 2 ** 27, stdio: ['ignore', 'pipe', 'ignore'] })
    await restoreTree(inSlabs([archive]), target, { pool })
    const without = (tree: Record<string, Seen>): object => Object.fromEntries(Object.entries(tree).map(([name, { type, mode, owner, target: to, content }]) => [name, { type, mode, owner, to, content }]))
    expect(without(look(target))).toEqual(without(look(join(source, 'only'))))
  })
})

/** A header that says something else, with the right checksum. */
function changed(header: Buffer, offset: number, bytes: string): Buffer {
  const copy = Buffer.from(header)
  copy.write(bytes, offset, 'latin1')
  copy.write(' '.repeat(8), 148, 'latin1')
  copy.write(`${copy.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return copy
}

/** The last block of what stands before the contents. */
const header = (name: string, more: Partial<TreeEntry> = {}): Buffer => ours(name, '', more).subarray(-512)
const pax = (body: string, flag = 'x'): Buffer => {
  const before = changed(changed(header('pax'), 156, flag), 124, body.length.toString(8).padStart(11, '0'))
  return Buffer.concat([before, Buffer.from(body, 'latin1'), Buffer.alloc(paddingOf(body.length))])
}

describe('refused', () => {
  const NEGATIVE = '\xff'.repeat(12)
  it.each<[name: string, parts: readonly Uint8Array[]]>([
    ['a wrong checksum', [Buffer.from(header('x')).fill('y', 0, 1)]],
    ['a size that is no number', [changed(header('x'), 124, '0000000x000')]],
    ['a negative size', [changed(header('x'), 124, NEGATIVE)]],
    ['a size beyond all numbers', [changed(header('x'), 124, `\x80${'\xff'.repeat(11)}`)]],
    ['a negative owner', [changed(header('x'), 108, '\xff'.repeat(8))]],
    ['an owner that means nobody', [changed(header('x'), 108, `\x80\0\0\0${'\xff'.repeat(4)}`)]],
    ['a negative size of something unknown', [changed(changed(header('x'), 156, 'Z'), 124, NEGATIVE)]],
    ['a name of a gigabyte', [changed(changed(header('x'), 156, 'L'), 124, '10000000000')]],
    ['records of a negative length', [changed(changed(header('x'), 156, 'x'), 124, NEGATIVE)]],
    ['a record without its length', [pax('path=x\n'), header('x')]],
    ['a record that is longer than all of them', [pax('99 path=x\n'), header('x')]],
    ['a record of no length', [pax('0 path=x\n'), header('x')]],
    ['a record that does not end with its line', [pax('9 path=xy'), header('x')]],
    ['a record without a key', [pax('6 =xy\n'), header('x')]],
    ['records that end in NULs', [pax('10 path=x\n\0\0'), header('x')]],
    ['a size that is no number, in a record', [pax('10 size=x\n'), header('x')]],
    ['a negative size, in a record', [pax('11 size=-1\n'), header('x')]],
    ['a time that is none', [pax('11 mtime=x\n'), header('x')]],
    ['an owner that is none', [pax('12 uid=1e30\n'), header('x')]],
    ['a link to a NUL', [pax('16 linkpath=a\0b\n'), header('x', { type: 'symlink', target: 'x' })]],
    ['records without an entry', [pax('10 path=x\n')]],
    ['records before the end', [pax('10 path=x\n'), TAR_END]],
    ['something behind one block of zeros', [header('x'), Buffer.alloc(512), header('y')]],
    ['half a header', [header('x').subarray(0, 300)]],
    ['half a padding', [ours('x', 'content').subarray(0, -1)]],
    ['a sparse file of version 2', [pax('22 GNU.sparse.major=2\n'), header('x')]],
    ['a sparse file without its size', [pax('22 GNU.sparse.map=0,0\n'), header('x')]],
    ['a map with a number too few', [pax('20 GNU.sparse.map=0\n21 GNU.sparse.size=5\n'), header('x')]],
    ['a map that goes back', [pax('30 GNU.sparse.map=512,0,0,512\n23 GNU.sparse.size=999\n'), ours('x', 'z'.repeat(512)).subarray(-1024)]],
    ['a map of more than there is', [pax('24 GNU.sparse.map=0,512\n23 GNU.sparse.size=999\n'), header('x')]],
    ['a map with a word in it', [pax('24 GNU.sparse.map=0,one\n23 GNU.sparse.size=999\n'), header('x')]],
    ['a map of 2^40 pieces', [ours('x', '', { size: 10, extents: [] }).subarray(0, -512), Buffer.from('1099511627776\n'.padEnd(512, '\0'))]],
    ['a map that has no end', [ours('x', '', { size: 10, extents: [] }).subarray(0, -512), Buffer.from('3\n0\n'.padEnd(512, '0'))]],
    ['a map in a file of GNU tar with a negative number', [changed(changed(changed(header('x'), 156, 'S'), 386, NEGATIVE), 398, NEGATIVE)]],
  ])('%s', async (_name, parts) => {
    expect(await codeOf(async () => readAll(Buffer.concat(parts)))).toBe('ARCHIVE_DAMAGED')
  })
})

describe('understood', () => {
  const names = (...parts: readonly Uint8Array[]): readonly string[] => readAll(Buffer.concat(parts)).map(({ entry: { name } }) => name)

  it.each<[name: string, parts: readonly Uint8Array[], expected: readonly string[]]>([
    ['nothing', [], []],
    ['an archive without an end', [ours('x', 'content')], ['x']],
    ['an archive with half an end', [ours('x'), Buffer.alloc(512)], ['x']],
    ['what is behind the end is nothing', [ours('x'), TAR_END, Buffer.alloc(700, 'rubbish')], ['x']],
    ['records for all that follow, and one that takes them away', [pax('13 path=same\n', 'g'), header('x'), pax('8 path=\n'), header('y'), header('z')], ['same', 'y', 'same']],
    ['a prefix', [changed(header('name'), 345, 'some/where')], ['some/where/name']],
    ['a directory of old', [changed(header('old/'), 257, '\0'.repeat(8))], ['old']],
    ['a link that says a size has no contents', [changed(header('x', { type: 'link', target: 'y' }), 124, '00000001000'), header('z')], ['x', 'z']],
    ['a volume has a name, and that is all', [changed(header('volume'), 156, 'V'), header('z')], ['z']],
  ])('%s', (_name, parts, expected) => {
    expect(names(...parts)).toEqual(expected)
  })

  it('an entry of a type that nobody knows is named, and left out with its contents', () => {
    const reader = new TarReader()
    reader.give(Buffer.concat([changed(changed(header('strange'), 156, 'Z'), 124, '00000000003'), Buffer.alloc(512, 'abc'), header('z')]))
    expect(reader.next()).toEqual({ kind: 'unknown', name: 'strange', flag: 'Z' })
    expect(reader.next()).toMatchObject({ kind: 'entry', entry: { name: 'z' } })
    expect(reader.next()).toBe(undefined)
  })
})

describe('damaged anywhere', () => {
  const sparse = Buffer.concat([encodeHeader({ name: 'sparse', type: 'file', mode: 0o600, uid: 1, gid: 2, time, size: 5000, extents: [{ offset: 1024, length: 512 }, { offset: 4096, length: 100 }] }), Buffer.alloc(612, 's'), Buffer.alloc(paddingOf(612))])
  const archive = Buffer.concat([
    ours('plain', 'some content'), ours('d', '', { type: 'directory' }), sparse, ours(`d/${'long'.repeat(60)}`, 'x'.repeat(600)), ours(`caf\xe9${'\xff'.repeat(150)}`, 'bytes'),
    ours('link', '', { type: 'symlink', target: 'plain' }), pax('21 comment=for them all\n'.replace('21', '25'), 'g'), TAR_END,
  ])

  it('it is read or refused, whatever was changed, taken out or put in', () => {
    const change = fc.record({ at: fc.nat(archive.length - 1), bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }), cut: fc.nat(30), fixes: fc.boolean() })
    fc.assert(fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), fc.array(fc.nat(), { maxLength: 5 }), (changes, cuts) => {
      let bytes = Buffer.from(archive)
      for (const { at, bytes: more, cut, fixes } of changes) {
        bytes = Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at + (cut > 20 ? more.length : cut))])
        // With a right checksum more of it is looked at.
        const block = at - at % 512
        if (fixes && block + 512 <= bytes.length) bytes = Buffer.concat([bytes.subarray(0, block), changed(bytes.subarray(block, block + 512), 148, ''), bytes.subarray(block + 512)])
      }
      let read: readonly Read[] = []
      try {
        read = readAll(bytes, cuts)
      } catch (error) {
        expect(error).toMatchObject({ name: 'DatastoreError', code: 'ARCHIVE_DAMAGED' })
      }
      // Contents are bytes of the archive, never more.
      expect(read.reduce((sum, { content }) => sum + content.length, 0)).toBeLessThanOrEqual(bytes.length)
      for (const { entry, content } of read) expect(content.length).toBe(entry.dataBytes)
    }), { numRuns: 3000 })
  })
})
