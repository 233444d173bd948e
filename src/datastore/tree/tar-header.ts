/**
 * tar-header.ts: what one file of a tree is, and how it stands in a tar archive: POSIX (pax) headers, with what only they can say: times
 * to the nanosecond, large numbers, long names; sparse files as GNU tar's format 1.0. Any tar of the last twenty years reads it.
 *
 * Names are byte strings (byte-path.ts). A name that is no UTF-8 cannot stand in a pax record; it stands in the header itself, or if it is
 * too long, in the entry that GNU tar has for it.
 *
 * Archives are read by tar-reader.ts. tar-stream cannot make these headers: it writes names as UTF-8 only, has a stream for an entry where
 * the contents here never come through JavaScript, and hands out a header only when the event loop has turned.
 *
 * NOT KEPT  Extended attributes, ACLs, names of users and groups; the holes of a file whose name is no UTF-8.
 */
import { isUtf8 } from 'node:buffer'
import { posix } from 'node:path'

export const TAR_BLOCK_BYTES = 512
/** What ends an archive. */
export const TAR_END = new Uint8Array(2 * TAR_BLOCK_BYTES)

export type TreeType = 'file' | 'directory' | 'symlink' | 'link' | 'fifo' | 'character-device' | 'block-device'

export interface FileTime {
  /** Since 1970; negative before. */
  readonly seconds: number
  /** 0 … 999 999 999, forwards also before 1970. */
  readonly nanoseconds: number
}

/** Some bytes of a file that are no hole. */
export interface Extent {
  readonly offset: number
  readonly length: number
}

export interface TreeEntry {
  /** Relative to the root, with slashes; `.` is the root itself. */
  readonly name: string
  readonly type: TreeType
  /** The twelve lower bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly time: FileTime
  /** Bytes of a file, holes included; 0 for all else. */
  readonly size: number
  /** Of a sparse file: its data. */
  readonly extents?: readonly Extent[] | undefined
  /** Where a symbolic link points; of which entry this is another link. */
  readonly target?: string | undefined
  readonly device?: { readonly major: number; readonly minor: number } | undefined
}

/** Bytes to the next full block. */
export const paddingOf = (bytes: number): number => -bytes & (TAR_BLOCK_BYTES - 1)

const TYPE_FLAGS: Readonly<Record<TreeType, string>> = {
  file: '0', link: '1', symlink: '2', 'character-device': '3', 'block-device': '4', directory: '5', fifo: '6',
}
const SPARSE_FOLDER = 'GNUSparseFile.0'
const MAX_NAME_BYTES = 100
/** The largest numbers of seven and of eleven octal digits. */
const MAX_SMALL = 0o7777777
const MAX_LARGE = 0o77777777777

const isText = (bytes: string): boolean => isUtf8(Buffer.from(bytes, 'latin1'))

/** Holes are only kept of what a pax record can name. */
export const canBeSparse = isText

/** What stands before the contents: header blocks and, of a sparse file, the map of its data. */
export function encodeHeader(entry: TreeEntry): Buffer {
  const { name, type, uid, gid, time, extents, size, target } = entry
  const records: [string, string][] = [['mtime', formatTime(time)]]
  const parts: Buffer[] = []
  const map = extents && sparseMap(extents, size)
  const stored = map === undefined ? size : map.length + extents!.reduce((sum, { length }) => sum + length, 0)
  const storedName = map !== undefined ? posix.join(posix.dirname(name), SPARSE_FOLDER, posix.basename(name)) : type === 'directory' ? `${name}/` : name
  if (map !== undefined) records.push(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'], ['GNU.sparse.name', name], ['GNU.sparse.realsize', String(size)])
  else if (!fits(storedName)) longName('path', 'L', storedName, records, parts)
  if (target !== undefined && !fits(target)) longName('linkpath', 'K', target, records, parts)
  if (uid > MAX_SMALL) records.push(['uid', String(uid)])
  if (gid > MAX_SMALL) records.push(['gid', String(gid)])
  if (stored > MAX_LARGE) records.push(['size', String(stored)])
  const pax = Buffer.from(records.map(paxRecord).join(''), 'latin1')
  parts.push(block({ name: `PaxHeaders/${posix.basename(name)}`, flag: 'x', mode: 0o644, size: pax.length }), padded(pax))
  parts.push(block({ name: storedName, flag: TYPE_FLAGS[type], mode: entry.mode, size: stored, uid, gid, seconds: time.seconds, target, device: entry.device }))
  if (map !== undefined) parts.push(map)
  return Buffer.concat(parts)
}

/** Bytes of encodeHeader(). Of most entries they are known without making it: a pax block, what is in it, and the header. */
export function headerBytes(entry: TreeEntry): number {
  const { name, type, uid, gid, size, extents, target } = entry
  const isPlain = extents === undefined && uid <= MAX_SMALL && gid <= MAX_SMALL && size <= MAX_LARGE &&
    fits(type === 'directory' ? `${name}/` : name) && (target === undefined || fits(target))
  return isPlain ? 3 * TAR_BLOCK_BYTES : encodeHeader(entry).length
}

/** Names in ASCII mean the same everywhere; others get a record that says that they are UTF-8, or are bytes and no more. */
const fits = (name: string): boolean => name.length <= MAX_NAME_BYTES && (!/[^\0-\x7f]/.test(name) || !isText(name))  

function longName(record: string, flag: string, name: string, records: [string, string][], parts: Buffer[]): void {
  if (isText(name)) records.push([record, name])
  else parts.push(block({ name: '././@LongLink', flag, mode: 0o644, size: name.length + 1 }), padded(Buffer.from(`${name}\0`, 'latin1')))
}

/** A record says its own length, the digits of which count too. */
function paxRecord([key, value]: [string, string]): string {
  const rest = key.length + value.length + 3
  let length = rest + String(rest).length
  length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}

interface BlockFields {
  readonly name: string
  readonly flag: string
  readonly mode: number
  readonly size: number
  readonly uid?: number
  readonly gid?: number
  readonly seconds?: number
  readonly target?: string | undefined
  readonly device?: { readonly major: number; readonly minor: number } | undefined
}

/** Offset and digits of each number, as POSIX has them. */
function block({ name, flag, mode, size, uid = 0, gid = 0, seconds = 0, target = '', device = { major: 0, minor: 0 } }: BlockFields): Buffer {
  const bytes = Buffer.alloc(TAR_BLOCK_BYTES)
  const octal = (value: number, at: number, digits: number, max: number): void => {
    bytes.write(Math.min(Math.max(value, 0), max).toString(8).padStart(digits, '0'), at, 'latin1')
  }
  bytes.write(name.slice(0, MAX_NAME_BYTES), 0, 'latin1')
  octal(mode, 100, 7, MAX_SMALL)
  octal(uid, 108, 7, MAX_SMALL)
  octal(gid, 116, 7, MAX_SMALL)
  octal(size, 124, 11, MAX_LARGE)
  octal(seconds, 136, 11, MAX_LARGE)
  bytes.write(`        ${flag}`, 148, 'latin1')
  bytes.write(target.slice(0, MAX_NAME_BYTES), 157, 'latin1')
  bytes.write('ustar\x0000', 257, 'latin1')
  octal(device.major, 329, 7, MAX_SMALL)
  octal(device.minor, 337, 7, MAX_SMALL)
  let sum = 0
  for (const byte of bytes) sum += byte
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return bytes
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes], bytes.length + paddingOf(bytes.length))
}

/** Where the last data ends before the file does, GNU tar wants an empty extent there. */
function sparseMap(extents: readonly Extent[], size: number): Buffer {
  const last = extents.at(-1)
  const all = last !== undefined && last.offset + last.length === size ? extents : [...extents, { offset: size, length: 0 }]
  return padded(Buffer.from([all.length, ...all.flatMap(({ offset, length }) => [offset, length])].map(number => `${number}\n`).join('')))
}

export function formatTime({ seconds, nanoseconds }: FileTime): string {
  const isBefore = seconds < 0 && nanoseconds > 0
  const whole = isBefore ? -seconds - 1 : Math.abs(seconds)
  const fraction = String(isBefore ? 1e9 - nanoseconds : nanoseconds).padStart(9, '0')
  return `${seconds < 0 ? '-' : ''}${whole}.${fraction}`
}
