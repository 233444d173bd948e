/**
 * tar-entry.ts: from the header of an entry, as tar-stream reads it with names in latin1, back to what the entry is.
 */
import { posix } from 'node:path'
import type { Header } from 'tar-stream'
import { byteString } from './byte-path.js'
import { type Extent, type FileTime, paddingOf, type TreeEntry, type TreeType } from './tar-header.js'

export interface ArchivedEntry extends TreeEntry {
  /** The contents begin with a map of the data. */
  readonly isSparse: boolean
}

const TYPES: ReadonlySet<string> = new Set<TreeType>(['file', 'directory', 'symlink', 'link', 'fifo', 'character-device', 'block-device'])

/** Undefined: of no type that we know. `extents` of a sparse file are not known yet. */
export function decodeHeader(header: Header): ArchivedEntry | undefined {
  const pax = (header.pax ?? {}) as Readonly<Record<string, string>>
  const type = header.type === 'contiguous-file' ? 'file' : header.type
  if (type === null || !TYPES.has(type)) return undefined
  const isSparse = pax['GNU.sparse.major'] === '1'
  const textName = (isSparse ? pax['GNU.sparse.name'] : undefined) ?? pax['path']
  const textTarget = pax['linkpath']
  const stored = pax['mtime']
  return {
    name: normalized(textName === undefined ? header.name : byteString(textName)), type, mode: header.mode & 0o7777, isSparse,
    time: stored === undefined ? { seconds: Math.floor(header.mtime.getTime() / 1000), nanoseconds: 0 } : parseTime(stored),
    uid: Number(pax['uid'] ?? header.uid), gid: Number(pax['gid'] ?? header.gid),
    size: type === 'file' ? Number((isSparse ? pax['GNU.sparse.realsize'] : undefined) ?? header.size) : 0,
    target: textTarget === undefined ? header.linkname ?? undefined : byteString(textTarget),
    device: type.endsWith('device') ? { major: header.devmajor, minor: header.devminor } : undefined,
  }
}

/** Without `./` and the slash that ends directories. */
export function normalized(name: string): string {
  return posix.normalize(name).replace(/\/$/, '') || '.'
}

/** Undefined: the map does not end in these bytes. */
export function decodeSparseMap(bytes: Buffer): { readonly extents: readonly Extent[]; readonly mapBytes: number } | undefined {
  const numbers: number[] = []
  let at = 0
  while (numbers.length === 0 || numbers.length < 1 + 2 * numbers[0]!) {
    const end = bytes.indexOf(10, at)
    if (end < 0) return undefined
    numbers.push(Number(bytes.toString('latin1', at, end)))
    if (!Number.isSafeInteger(numbers.at(-1)) || numbers.at(-1)! < 0) throw new RangeError('the map of a sparse file is damaged')
    at = end + 1
  }
  const extents = Array.from({ length: numbers[0]! }, (_, i) => ({ offset: numbers[1 + 2 * i]!, length: numbers[2 + 2 * i]! }))
  return { extents, mapBytes: at + paddingOf(at) }
}

export function parseTime(text: string): FileTime {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)
  if (match === null) return { seconds: 0, nanoseconds: 0 }
  const whole = Number(match[2])
  const fraction = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'))
  if (match[1] === '') return { seconds: whole, nanoseconds: fraction }
  return fraction === 0 ? { seconds: 0 - whole, nanoseconds: 0 } : { seconds: -whole - 1, nanoseconds: 1e9 - fraction }
}
