/** Trees with everything that a directory can have, and what can be seen of one from outside. */
import { execFileSync } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import {
  chmodSync, closeSync, ftruncateSync, linkSync, lchownSync, lstatSync, mkdirSync, openSync, readFileSync, readdirSync, readlinkSync, symlinkSync, writeFileSync, writeSync,
} from 'node:fs'
import { setTime } from '../../../src/datastore/file-calls.js'
import { type TreeOptions, treeEntries } from '../../../src/datastore/tree/read.js'
import { collect } from '../pipeline/support.js'

export const isRoot = process.geteuid?.() === 0

export interface Seen {
  readonly type: number
  readonly mode: string
  readonly owner: string
  /** Nanoseconds. */
  readonly mtime: bigint
  readonly size: bigint
  readonly device: bigint
  readonly target: string | undefined
  /** The first of the names of the same file. */
  readonly sameAs: string | undefined
  readonly content: string | undefined
  /** Allocated, of files: what is a hole and what is not. */
  readonly blocks: bigint | undefined
}

const at = (root: string, name: string): Buffer => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, 'latin1')])

/** Of everything in a directory and itself, by name (in latin1). Sizes of directories are the file system's business. */
export function look(root: string, options: { readonly withBlocks?: boolean } = {}): Record<string, Seen> {
  const all: Record<string, Seen> = {}
  const first = new Map<string, string>()
  const shared = new Set<string>() // first names of those that have more in this tree
  const visit = (name: string): void => {
    const path = at(root, name)
    const stat = lstatSync(path, { bigint: true })
    const identity = `${stat.dev}:${stat.ino}`
    const isFile = stat.isFile()
    const known = first.get(identity)
    if (known === undefined) first.set(identity, name)
    else shared.add(known)
    all[name] = {
      type: Number(stat.mode) >> 12, mode: (Number(stat.mode) & 0o7777).toString(8), owner: `${stat.uid}:${stat.gid}`, mtime: stat.mtimeNs,
      size: stat.isDirectory() ? 0n : stat.size, device: stat.isBlockDevice() || stat.isCharacterDevice() ? stat.rdev : 0n,
      target: stat.isSymbolicLink() ? readlinkSync(path, 'latin1') : undefined,
      sameAs: first.get(identity),
      content: isFile ? createHash('sha256').update(readFileSync(path)).digest('hex') : undefined,
      blocks: isFile && options.withBlocks === true ? stat.blocks : undefined,
    }
    if (stat.isDirectory()) for (const entry of readdirSync(path, { encoding: 'latin1' }).sort()) visit(name === '.' ? entry : `${name}/${entry}`)
  }
  visit('.')
  return Object.fromEntries(Object.entries(all).map(([name, seen]) => [name, { ...seen, sameAs: shared.has(seen.sameAs ?? '') ? seen.sameAs : undefined }]))
}

/** A file of 3 MiB and a bit, with data in three places and a hole at its end. */
export function writeSparseFile(path: string | Buffer): void {
  const fd = openSync(path, 'w')
  for (const offset of [0, 1_048_576, 2_097_152]) writeSync(fd, Buffer.alloc(8192, `data ${offset}`), 0, 8192, offset)
  ftruncateSync(fd, 3 * 2 ** 20 + 17)
  closeSync(fd)
}

/** Everything at once. Devices and other people's files only where that is allowed. */
export function makeTree(root: string): void {
  mkdirSync(`${root}/directory/empty`, { recursive: true })
  writeFileSync(`${root}/text`, 'some text\n')
  writeFileSync(`${root}/nothing`, '')
  writeFileSync(`${root}/block`, Buffer.alloc(512, 1))
  writeFileSync(`${root}/large`, Buffer.alloc(9 * 2 ** 20 + 3, 'more than a slab '))
  writeSparseFile(`${root}/sparse`)
  closeSync(openSync(`${root}/all-hole`, 'w'))
  execFileSync('truncate', ['-s', '1000000', `${root}/all-hole`])
  writeFileSync(`${root}/directory/${'long'.repeat(40)}`, 'a long name')
  mkdirSync(`${root}/${'d'.repeat(120)}/${'e'.repeat(120)}`, { recursive: true })
  writeFileSync(`${root}/${'d'.repeat(120)}/${'e'.repeat(120)}/deep`, 'deep')
  writeSparseFile(`${root}/${'d'.repeat(120)}/sparse too`)
  writeFileSync(`${root}/Grüße aus Köln 雪`, 'a name in UTF-8')
  for (const name of ['caf\xe9', `long \xff${'x'.repeat(150)}`]) writeFileSync(at(root, name), 'a name that is not UTF-8')
  mkdirSync(at(root, 'dir\xfe'))
  writeFileSync(at(root, 'dir\xfe/in it'), 'below such a name')
  writeFileSync(`${root}/ new\nline and "quotes"\\ `, 'odd')
  symlinkSync('text', `${root}/link`)
  symlinkSync(`/nowhere/${'far/'.repeat(50)}`, `${root}/dangling`)
  symlinkSync(Buffer.from('to caf\xe9', 'latin1'), `${root}/link-to-bytes`)
  linkSync(`${root}/text`, `${root}/directory/same as text`)
  linkSync(`${root}/sparse`, `${root}/directory/same as sparse`)
  linkSync(`${root}/link`, `${root}/same link`)
  execFileSync('mkfifo', ['-m', '640', `${root}/fifo`])
  chmodSync(`${root}/text`, 0o4711)
  chmodSync(`${root}/nothing`, 0o000)
  chmodSync(`${root}/directory/empty`, 0o1777)
  if (isRoot) {
    lchownSync(`${root}/block`, 12345, 3_000_000)
    lchownSync(`${root}/dangling`, 1, 2)
    chmodSync(`${root}/block`, 0o2755)
  }
  setTime(`${root}/block`, { seconds: -12345, nanoseconds: 123456789 })
  setTime(`${root}/nothing`, { seconds: 0, nanoseconds: 0 })
  setTime(`${root}/large`, { seconds: 5_000_000_000, nanoseconds: 1 })
  setTime(`${root}/link`, { seconds: 1_600_000_000, nanoseconds: 999999999 })
  setTime(`${root}/directory/empty`, { seconds: 1_500_000_000, nanoseconds: 500 })
  setTime(`${root}/directory`, { seconds: 1_500_000_001, nanoseconds: 7 })
  setTime(root, { seconds: 1_400_000_000, nanoseconds: 14 })
}

/** Behind these bytes the chunker always cuts, if the chunk is large enough. */
const BOUNDARY = Buffer.from('e047a579169a30609e42d0ea53012a698f86582478ed58ef40b0843bbb9c9c53', 'hex')

/** The same for the same seed; a place to cut is at its end. */
export function noise(seed: number, bytes: number): Buffer {
  const content = createCipheriv('aes-128-ctr', createHash('sha256').update(String(seed)).digest().subarray(0, 16), Buffer.alloc(16)).update(Buffer.alloc(bytes))
  if (bytes >= BOUNDARY.length) content.set(BOUNDARY, bytes - BOUNDARY.length)
  return content
}

/** The archive of a directory, read with nothing of a store. */
export async function tarOf(root: string, options: Pick<TreeOptions, 'pool' | 'exclude'>): Promise<Buffer> {
  const entries = (await collect(treeEntries(root, { ...options, settledNs: 0n }))).flat()
  return Buffer.concat(entries.flatMap(entry => [...entry.pieces()].map(piece => (piece instanceof Uint8Array ? piece : readFileSync(Buffer.from(piece.path, 'latin1')).subarray(piece.offset, piece.offset + piece.length)))))
}
