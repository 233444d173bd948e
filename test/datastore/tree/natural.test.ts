/** Modes and owners are those of the archive, whatever new files get where it is restored: a umask, the group of the directory. */
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, expect, it } from 'vitest'
import { WorkerPool } from '../../../src/datastore/pipeline/pool.js'
import { restoreTree } from '../../../src/datastore/tree/restore.js'
import { encodeHeader, TAR_END, type TreeEntry } from '../../../src/datastore/tree/tar-header.js'
import { inSlabs } from '../pipeline/support.js'
import { temporaryDirectory } from '../store-support.js'
import { isRoot } from './support.js'

const pool = new WorkerPool({ threads: 2 })
const target = join(temporaryDirectory(), 'target')
const umask = process.umask(0o022)
afterAll(() => pool.close())
afterEach(() => {
  process.umask(umask)
  rmSync(target, { recursive: true, force: true })
})

const [uid, gid] = [process.getuid!(), process.getgid!()]
const entry = (name: string, type: TreeEntry['type'], mode: number, owner = { uid, gid }): Buffer =>
  encodeHeader({ name, type, mode, ...owner, time: { seconds: 1, nanoseconds: 5 }, size: 0, target: type === 'symlink' ? 'x' : undefined })
const seen = (name: string): string => {
  const stat = lstatSync(join(target, name), { bigint: true })
  return `${(stat.mode & 0o7777n).toString(8)} ${stat.uid}:${stat.gid} ${stat.mtimeNs}`
}

it.each([0o000, 0o022, 0o027, 0o077, 0o777])('with a umask of %o', async mask => {
  const modes = [0o000, 0o400, 0o600, 0o644, 0o664, 0o666, 0o711, 0o755, 0o777, 0o1777, 0o2755, 0o4711]
  process.umask(mask)
  await restoreTree(inSlabs([entry('d', 'directory', 0o751), ...modes.map(mode => entry(`d/${mode}`, 'file', mode)), TAR_END]), target, { pool })
  expect(modes.map(mode => seen(`d/${mode}`))).toEqual(modes.map(mode => `${mode.toString(8)} ${uid}:${gid} 1000000005`))
  expect(seen('d')).toBe(`751 ${uid}:${gid} 1000000005`)
  expect(readdirSync(target)).toEqual(['d']) // nothing is left of finding out
})

it.runIf(isRoot)('in a directory of somebody else, the group of which is passed on', async () => {
  mkdirSync(target)
  chownSync(target, 4242, 4343)
  chmodSync(target, 0o2777)
  const owners = [{ uid: 0, gid: 0 }, { uid: 0, gid: 4343 }, { uid: 4242, gid: 4343 }, { uid: 7, gid: 8 }]
  const types = ['file', 'directory', 'symlink', 'fifo'] as const
  const parts = owners.flatMap(owner => types.map(type => entry(`${type} ${owner.uid}:${owner.gid}`, type, 0o644, owner)))
  await restoreTree(inSlabs([entry('.', 'directory', 0o755, { uid: 0, gid: 0 }), ...parts, TAR_END]), target, { pool })
  for (const owner of owners) for (const type of types) {
    expect(seen(`${type} ${owner.uid}:${owner.gid}`)).toBe(`${type === 'symlink' ? '777' : '644'} ${owner.uid}:${owner.gid} 1000000005`)
  }
  expect(seen('.')).toBe('755 0:0 1000000005')
})
