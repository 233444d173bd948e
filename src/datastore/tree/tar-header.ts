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

/** All of a header but for its blocks. */
interface Content {
  readonly storedName: string
  readonly storedBytes: number
  /** What comes before all else. */
  readonly before: string
  readonly pax: string
  /** Of a sparse file's data. */
  readonly map: string
}

function contentOf({ name, type, uid, gid, time, extents, size, target }: TreeEntry): Content {
  const records: [string, string][] = [['mtime', formatTime(time)]]
  const map = extents && sparseMap(extents, size)
  const stored = map === undefined ? size : map.length + extents!.reduce((sum, { length }) => sum + length, 0)
  const storedName = map !== undefined ? posix.join(posix.dirname(name), SPARSE_FOLDER, posix.basename(name)) : type === 'directory' ? `${name}/` : name
  let before = ''
  if (map !== undefined) records.push(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'], ['GNU.sparse.name', name], ['GNU.sparse.realsize', String(size)])
  else if (!fits(storedName)) before += longName('path', 'L', storedName, records)
  if (target !== undefined && !fits(target)) before += longName('linkpath', 'K', target, records)
  if (uid > MAX_SMALL) records.push(['uid', String(uid)])
  if (gid > MAX_SMALL) records.push(['gid', String(gid)])
  if (stored > MAX_LARGE) records.push(['size', String(stored)])
  return { storedName, storedBytes: stored, before, pax: records.map(paxRecord).join(''), map: map ?? '' }
}

/** What stands before the contents: header blocks and, of a sparse file, the map of its data. */
export function encodeHeader(entry: TreeEntry): Buffer {
  const { name, type, mode, uid, gid, time, target, device } = entry
  const { storedName, storedBytes, before, pax, map } = contentOf(entry)
  const own = block({ name: storedName, flag: TYPE_FLAGS[type], mode, size: storedBytes, uid, gid, seconds: time.seconds, target, device })
  return Buffer.from(`${before}${block({ name: `PaxHeaders/${posix.basename(name)}`, flag: 'x', mode: 0o644, size: pax.length })}${padded(pax)}${own}${map}`, 'latin1')
}

/** Bytes of encodeHeader(), without making its blocks: a pax block, what is in it, and the header. */
export function headerBytes(entry: TreeEntry): number {
  const { name, type, uid, gid, size, extents, target } = entry
  const isPlain = extents === undefined && uid <= MAX_SMALL && gid <= MAX_SMALL && size <= MAX_LARGE &&
    fits(type === 'directory' ? `${name}/` : name) && (target === undefined || fits(target))
  if (isPlain) return 3 * TAR_BLOCK_BYTES
  const { before, pax, map } = contentOf(entry)
  return before.length + pax.length + paddingOf(pax.length) + 2 * TAR_BLOCK_BYTES + map.length
}

/** Names in ASCII mean the same everywhere; others get a record that says that they are UTF-8, or are bytes and no more. */
const fits = (name: string): boolean => name.length <= MAX_NAME_BYTES && (!/[^\0-\x7f]/.test(name) || !isText(name))  

/** @returns what comes before all else */
function longName(record: string, flag: string, name: string, records: [string, string][]): string {
  if (!isText(name)) return block({ name: '././@LongLink', flag, mode: 0o644, size: name.length + 1 }) + padded(`${name}\0`)
  records.push([record, name])
  return ''
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

/** A string with a character for each byte: one for a whole header, made into bytes at once, takes a third of the time of writing field by field. */
function block({ name, flag, mode, size, uid = 0, gid = 0, seconds = 0, target = '', device = NO_DEVICE }: BlockFields): string {
  const shortName = name.slice(0, MAX_NAME_BYTES)
  const shortTarget = target.slice(0, MAX_NAME_BYTES)
  const numbers = octal(mode, 7, MAX_SMALL) + octal(uid, 7, MAX_SMALL) + octal(gid, 7, MAX_SMALL) + octal(size, 11, MAX_LARGE) + octal(seconds, 11, MAX_LARGE)
  const numbersOfDevice = octal(device.major, 7, MAX_SMALL) + octal(device.minor, 7, MAX_SMALL)
  const sum = sumOf(shortName) + sumOf(numbers) + SUM_OF_BLANKS + sumOf(flag) + sumOf(shortTarget) + sumOf(MAGIC) + sumOf(numbersOfDevice)
  const checksum = `${sum.toString(8).padStart(6, '0')}\0 `
  return `${filled(shortName, MAX_NAME_BYTES)}${numbers}${checksum}${flag}${filled(shortTarget, MAX_NAME_BYTES)}${filled(MAGIC, MAGIC_FIELD_BYTES)}${filled(numbersOfDevice, REST_BYTES)}`
}

const MAGIC = 'ustar\x0000'
/** With the names of user and group, which are left out. */
const MAGIC_FIELD_BYTES = 8 + 32 + 32
/** The device's numbers, and what follows them, which is left out. */
const REST_BYTES = TAR_BLOCK_BYTES - 329
const NO_DEVICE = { major: 0, minor: 0 }
const ZEROS = '\0'.repeat(TAR_BLOCK_BYTES)
/** The checksum's own field counts as blanks. */
const SUM_OF_BLANKS = 8 * 0x20

const octal = (value: number, digits: number, max: number): string => `${Math.min(Math.max(value, 0), max).toString(8).padStart(digits, '0')}\0`
const filled = (text: string, bytes: number): string => text + ZEROS.slice(0, bytes - text.length)
const padded = (text: string): string => text + ZEROS.slice(0, paddingOf(text.length))

function sumOf(text: string): number {
  let sum = 0
  for (let i = 0; i < text.length; i++) sum += text.charCodeAt(i)
  return sum
}

/** Where the last data ends before the file does, GNU tar wants an empty extent there. */
function sparseMap(extents: readonly Extent[], size: number): string {
  const last = extents.at(-1)
  const all = last !== undefined && last.offset + last.length === size ? extents : [...extents, { offset: size, length: 0 }]
  return padded([all.length, ...all.flatMap(({ offset, length }) => [offset, length])].map(number => `${number}\n`).join(''))
}

export function formatTime({ seconds, nanoseconds }: FileTime): string {
  const isBefore = seconds < 0 && nanoseconds > 0
  const whole = isBefore ? -seconds - 1 : Math.abs(seconds)
  const fraction = String(isBefore ? 1e9 - nanoseconds : nanoseconds).padStart(9, '0')
  return `${seconds < 0 ? '-' : ''}${whole}.${fraction}`
}
