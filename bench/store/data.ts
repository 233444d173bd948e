/**
 * data.ts: what is backed up: four parts, each a tree of this machine's own files and a disk image; and how 5 % of it change.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { closeSync, copyFileSync, type Dirent, existsSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync, statSync, symlinkSync, truncateSync, utimesSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PARTS = ['p0', 'p1', 'p2', 'p3'] as const

const MIB = 2 ** 20
/** Of a part's bytes; the rest is the image. */
const TREE_SHARE = 0.7
const BLOCK_BYTES = 4 * MIB
/** Files beyond this, or a quarter of a tree, are left out, so that no single one is a large share of the data. */
const MAX_FILE_BYTES = 32 * MIB
const SOURCES: readonly string[] = [fileURLToPath(new URL('../../node_modules', import.meta.url)), '/usr/share', '/usr/lib', '/usr/bin']

const byName = (directory: string): readonly Dirent[] => {
  try {
    return readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch {
    return [] // not for us
  }
}

/** Files and links below a directory, depth first, in the order of their names. */
function* walk(root: string, below = ''): Generator<{ readonly path: string; readonly kind: 'file' | 'link' }> {
  for (const entry of byName(join(root, below))) {
    const path = join(below, entry.name)
    if (entry.isDirectory()) yield* walk(root, path)
    else if (entry.isSymbolicLink()) yield { path, kind: 'link' }
    else if (entry.isFile()) yield { path, kind: 'file' }
  }
}

/** Copies files into the trees of the parts, dealt out in turn, until they are full. */
function fillTrees(root: string, treeBytes: number): void {
  const filled = PARTS.map(() => 0)
  let dealt = 0
  const perSource = treeBytes * PARTS.length / SOURCES.length
  for (const [index, source] of SOURCES.entries()) {
    let taken = 0
    for (const { path, kind } of walk(source)) {
      if (taken >= perSource * (index + 1) || filled.every(bytes => bytes >= treeBytes)) break
      const part = dealt++ % PARTS.length
      const target = join(root, PARTS[part]!, 'tree', String(index), path)
      const bytes = copy(join(source, path), target, kind, Math.min(MAX_FILE_BYTES, treeBytes / 4))
      taken += bytes
      filled[part]! += bytes
    }
  }
}

function copy(from: string, to: string, kind: 'file' | 'link', maxBytes: number): number {
  const { size, mtime } = lstatSync(from)
  if (size > maxBytes) return 0
  mkdirSync(dirname(to), { recursive: true })
  try {
    if (kind === 'link') symlinkSync(readlinkSync(from), to)
    else {
      copyFileSync(from, to)
      utimesSync(to, mtime, mtime)
    }
  } catch {
    return 0 // not for us
  }
  return kind === 'link' ? 0 : size
}

/** Bytes that nobody can compress, the same for the same name. */
function noise(name: string, bytes: number): Buffer {
  const key = createHash('sha256').update(name).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes))
}

/** Of a disk's kind: a quarter holes, a quarter noise, half the content of files. */
function makeImage(path: string, bytes: number, part: string): void {
  const fd = openSync(path, 'w')
  const content = walk(SOURCES.at(-1)!)
  for (let at = 0, block = 0; at < bytes; at += BLOCK_BYTES, block++) {
    if (block % 4 === 0) continue
    const data = block % 4 === 1 ? noise(`${part}.${block}`, BLOCK_BYTES) : fileContent(content, `${part}.${block}`)
    writeSync(fd, data, 0, Math.min(BLOCK_BYTES, bytes - at), at)
  }
  closeSync(fd)
  truncateSync(path, bytes)
}

function fileContent(files: ReturnType<typeof walk>, name: string): Buffer {
  const pieces: Buffer[] = [Buffer.from(name)]
  for (let bytes = 0; bytes < BLOCK_BYTES;) {
    const next = files.next()
    if (next.done === true) return Buffer.concat([...pieces, noise(name, BLOCK_BYTES - bytes)]).subarray(0, BLOCK_BYTES)
    const path = join(SOURCES.at(-1)!, next.value.path)
    if (next.value.kind === 'link' || !existsSync(path) || statSync(path).size > MAX_FILE_BYTES) continue
    const piece = readFileSync(path)
    pieces.push(piece)
    bytes += piece.length
  }
  return Buffer.concat(pieces).subarray(0, BLOCK_BYTES)
}

/** @param mib  of all parts together, about */
export function makeData(root: string, mib: number): void {
  const partBytes = mib * MIB / PARTS.length
  for (const part of PARTS) mkdirSync(join(root, part, 'tree'), { recursive: true })
  fillTrees(root, partBytes * TREE_SHARE)
  for (const part of PARTS) makeImage(join(root, part, 'disk.img'), Math.ceil(partBytes * (1 - TREE_SHARE) / MIB) * MIB, part)
}

/** Bytes of the regular files. Reads everything, which warms the cache. */
export function sizeOfData(root: string): { readonly bytes: number; readonly files: number } {
  let [bytes, files] = [0, 0]
  for (const { path, kind } of walk(root)) {
    if (kind === 'link') continue
    bytes += readFileSync(join(root, path)).length
    files++
  }
  return { bytes, files }
}

/** Every 20th file gets another middle and a longer end, and every 20th MiB of the images other bytes. */
export function changeData(root: string, round: number): void {
  let index = 0
  for (const { path, kind } of walk(root)) {
    if (kind === 'link' || path.endsWith('disk.img') || index++ % 20 !== round % 20) continue
    const bytes = statSync(join(root, path)).size
    const fd = openSync(join(root, path), 'r+')
    writeSync(fd, noise(`${path}.${round}`, 64), 0, 64, bytes >> 1)
    writeSync(fd, noise(`${path}.${round}`, 32), 0, 32, bytes)
    closeSync(fd)
  }
  for (const part of PARTS) {
    const path = join(root, part, 'disk.img')
    const fd = openSync(path, 'r+')
    for (let at = (round % 20) * MIB; at + MIB <= statSync(path).size; at += 20 * MIB) writeSync(fd, noise(`${part}.${at}.${round}`, MIB), 0, MIB, at)
    closeSync(fd)
  }
}

/** One digest of all names, modes, links and bytes of some parts. */
export function digestOf(root: string): string {
  const hash = createHash('sha256')
  for (const { path, kind } of walk(root)) {
    const whole = join(root, path)
    hash.update(`${path}\0${kind}\0`)
    if (kind === 'link') hash.update(`${readlinkSync(whole)}\0`)
    else {
      const { mode, size } = statSync(whole)
      hash.update(`${(mode & 0o7777).toString(8)} ${path.endsWith('disk.img') ? '' : size}\0`)
      hash.update(readFileSync(whole))
    }
  }
  return hash.digest('hex')
}
