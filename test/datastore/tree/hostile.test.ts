/** Archives that nobody should have made: nothing is written outside of the target, and the error says that it is the archive. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WorkerPool } from '../../../src/datastore/pipeline/pool.js'
import { restoreTree } from '../../../src/datastore/tree/restore.js'
import { encodeHeader, paddingOf, TAR_END, type TreeEntry } from '../../../src/datastore/tree/tar-header.js'
import { inSlabs } from '../pipeline/support.js'
import { codeOf, temporaryDirectory } from '../store-support.js'

const pool = new WorkerPool({ threads: 2 })
afterAll(() => pool.close())

const folder = temporaryDirectory()
const outside = join(folder, 'outside')
const target = join(folder, 'target')
beforeEach(() => {
  mkdirSync(outside)
  writeFileSync(join(outside, 'victim'), 'unharmed')
})
afterEach(() => {
  rmSync(outside, { recursive: true })
  rmSync(target, { recursive: true, force: true })
})

const time = { seconds: 1, nanoseconds: 0 }
const entry = (name: string, type: TreeEntry['type'], more: Partial<TreeEntry> = {}): Buffer => encodeHeader({ name, type, mode: 0o755, uid: process.getuid!(), gid: process.getgid!(), time, size: 0, ...more })
const file = (name: string, content = 'evil'): Buffer => Buffer.concat([entry(name, 'file', { size: content.length }), Buffer.from(content), Buffer.alloc(paddingOf(content.length))])
const symlink = (name: string, to: string): Buffer => entry(name, 'symlink', { target: to })
const link = (name: string, to: string): Buffer => entry(name, 'link', { target: to })

async function restored(...parts: readonly Uint8Array[]): Promise<{ readonly code: string; readonly problems: readonly string[] }> {
  const problems: string[] = []
  const code = await codeOf(() => restoreTree(inSlabs(parts), target, { pool, onProblem: ({ path }) => problems.push(path) }))
  return { code, problems }
}

describe('refused', () => {
  it.each<[name: string, parts: readonly Uint8Array[]]>([
    ['a name with ..', [file('../outside/new')]],
    ['a name with .. in it', [entry('a', 'directory'), file('a/../../outside/new')]],
    ['an absolute name', [file(join(outside, 'new'))]],
    ['.. alone, as a directory', [entry('..', 'directory')]],
    ['a file below a symbolic link', [symlink('way', outside), file('way/new')]],
    ['a file below a symbolic link, two deep', [entry('a', 'directory'), symlink('a/way', '../../outside'), file('a/way/deep/new')]],
    ['a directory in the place of a symbolic link', [symlink('way', outside), entry('way', 'directory', { mode: 0o777 }), file('way/new')]],
    ['a file in the place of a symbolic link', [symlink('way', join(outside, 'victim')), file('way')]],
    ['a directory in the place of a file', [file('way'), entry('way', 'directory')]],
    ['a file below a file', [file('way'), file('way/new')]],
    ['two files of one name', [file('same', 'one'), file('same', 'two')]],
    ['a link to something outside', [link('mine', '../outside/victim')]],
    ['a link to an absolute name', [link('mine', join(outside, 'victim'))]],
    ['a link below a symbolic link', [symlink('way', outside), link('mine', 'way/victim')]],
    ['a name with a NUL', [entry(`${'n'.repeat(120)}\0x`, 'file')]],
    ['a name longer than a file system can have', [file('n'.repeat(300))]],
    ['a sparse file with data beyond its end', [entry('sparse', 'file', { size: 10, extents: [{ offset: 100, length: 512 }] }), Buffer.alloc(512)]],
    ['a sparse file without its map', [Buffer.from(entry('sparse', 'file', { size: 10, extents: [] }).map((byte, i, all) => (i >= all.length - 512 ? 49 : byte)))]],
    ['bytes that are no archive', [Buffer.alloc(2048, 'no archive')]],
    ['an archive that ends in a file', [file('short', 'x'.repeat(2000)).subarray(0, 2000)]],
  ])('%s', async (_name, parts) => {
    const { code } = await restored(...parts, TAR_END)
    expect(code).toBe('ARCHIVE_DAMAGED')
    expect(readdirSync(outside)).toEqual(['victim'])
    expect(readFileSync(join(outside, 'victim'), 'utf8')).toBe('unharmed')
  })
})

it('what goes into a directory that the archive does not have gets one', async () => {
  expect(await restored(file('a/b/c'), TAR_END)).toEqual({ code: 'no error', problems: [] })
  expect(readFileSync(join(target, 'a/b/c'), 'utf8')).toBe('evil')
})

it('a symbolic link to outside is made, and not followed', async () => {
  expect(await restored(symlink('way', join(outside, 'victim')), link('same', 'way'), TAR_END)).toEqual({ code: 'no error', problems: [] })
  expect(readdirSync(target).sort()).toEqual(['same', 'way'])
  expect(readFileSync(join(outside, 'victim'), 'utf8')).toBe('unharmed')
})

it('a link to what is missing is a problem, the rest is restored', async () => {
  expect(await restored(link('broken', 'nowhere'), file('after'), TAR_END)).toEqual({ code: 'no error', problems: [join(target, 'broken')] })
  expect(readdirSync(target)).toEqual(['after'])
})

it('nothing is restored into a directory that is not empty, or that is none', async () => {
  mkdirSync(target)
  writeFileSync(join(target, 'mine'), '')
  expect((await restored(file('new'), TAR_END)).code).toBe('TARGET_NOT_EMPTY')
  rmSync(target, { recursive: true })
  writeFileSync(target, '')
  expect((await restored(file('new'), TAR_END)).code).toBe('TARGET_IO')
  expect(existsSync(join(target, 'new'))).toBe(false)
})

it('a source that fails is the error, not the archive', async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(file('first'))
    throw new TypeError('the source failed')
  }
  await expect(restoreTree(inSlabs(failing()), target, { pool })).rejects.toThrow('the source failed')
})
