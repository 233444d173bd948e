/**
 * tar-entry.ts: from the header of an entry, and from what stood before it in the archive, back to what the entry is. Pure.
 */
import { posix } from 'node:path'
import { checkMap, mapOfRecords, type SparseMap } from './sparse-map.js'
import { damaged, decodePositive, type TarBlock } from './tar-block.js'
import type { FileTime, TreeEntry, TreeType } from './tar-header.js'

export interface ArchivedEntry extends Omit<TreeEntry, 'extents'> {
  /** Bytes that follow in the archive, without a map before them; a type that has none has 0. */
  readonly dataBytes: number
  /** Where in the file they belong; undefined: all of them at its beginning. */
  readonly map: SparseMap | undefined
}

/** What the entries before a header say about the one that has it. */
export interface Extras {
  readonly pax: ReadonlyMap<string, string>
  /** The values of records of sparse maps, which repeat: offset and length in turn. */
  readonly pieces: readonly string[]
  readonly name: string | undefined
  readonly target: string | undefined
}

const TYPES: ReadonlyMap<string, TreeType> = new Map([
  ['0', 'file'], ['\0', 'file'], ['7', 'file'], ['S', 'file'], ['1', 'link'], ['2', 'symlink'],
  ['3', 'character-device'], ['4', 'block-device'], ['5', 'directory'], ['6', 'fifo'],
])
/** The highest is none: it means that nothing is to be changed. */
const MAX_ID = 2 ** 32 - 2

/** What a header and its extras say, before the map of a sparse file is known that stands with the contents. */
export interface DecodedEntry {
  readonly entry: ArchivedEntry
  /** Bytes until the next header, without padding. */
  readonly storedBytes: number
  /** The contents begin with a map. */
  readonly beginsWithMap: boolean
}

/** Undefined: of no type that we know. `gnuMap`: of a sparse file in GNU tar's own format. */
export function decodeEntry(block: TarBlock, extras: Extras, gnuMap: { readonly map: SparseMap; readonly size: number } | undefined): DecodedEntry | undefined {
  const { pax } = extras
  const version = pax.get('GNU.sparse.major')
  if (version !== undefined && version !== '0' && (version !== '1' || pax.get('GNU.sparse.minor') !== '0')) throw damaged('it has a sparse file of a format that is not known')
  const rawName = pax.get('GNU.sparse.name') ?? pax.get('path') ?? extras.name ?? block.name
  const declared = TYPES.get(block.flag)
  if (declared === undefined) return undefined
  const type = declared === 'file' && rawName.endsWith('/') ? 'directory' : declared
  const storedBytes = storedBytesOf(type, block, pax)
  const beginsWithMap = version === '1' && type === 'file'
  const map = type === 'file' && !beginsWithMap ? mapOf(extras, gnuMap?.map) : undefined
  const dataBytes = type === 'file' ? storedBytes : 0
  const size = type === 'file' ? sizeOf(pax, gnuMap?.size, map, dataBytes, beginsWithMap) : 0
  const target = pax.get('linkpath') ?? extras.target ?? block.target
  const time = pax.get('mtime')
  if (target.includes('\0')) throw damaged('it has a link to a name with a NUL')
  return {
    storedBytes, beginsWithMap,
    entry: {
      name: normalized(rawName), type, mode: block.mode & 0o7777, uid: idOf(pax.get('uid'), block.uid), gid: idOf(pax.get('gid'), block.gid),
      time: time === undefined ? { seconds: block.seconds, nanoseconds: 0 } : parseTime(time),
      size, dataBytes, map, target: type === 'link' || type === 'symlink' ? target : undefined, device: type.endsWith('device') ? block.device : undefined,
    },
  }
}

/** With the map that was read from the contents. */
export function withMap(entry: ArchivedEntry, map: SparseMap, dataBytes: number): ArchivedEntry {
  return { ...entry, dataBytes, map: checkMap(map, entry.size, dataBytes) }
}

/** Links and directories have no contents, whatever their headers say: the size is that of something else. */
function storedBytesOf(type: TreeType, block: TarBlock, pax: Extras['pax']): number {
  if (type === 'link' || type === 'directory') return 0
  const text = pax.get('size')
  const size = text === undefined ? block.size : decodePositive(text, 'the size of a file')
  if (size < 0) throw damaged('it has a file of a negative size')
  return size
}

function mapOf({ pax, pieces }: Extras, gnuMap: SparseMap | undefined): SparseMap | undefined {
  const text = pax.get('GNU.sparse.map')
  if (text !== undefined) return mapOfRecords(text.split(','))
  return pieces.length > 0 ? mapOfRecords(pieces) : gnuMap
}

function sizeOf(pax: Extras['pax'], gnuSize: number | undefined, map: SparseMap | undefined, dataBytes: number, beginsWithMap: boolean): number {
  if (map === undefined && !beginsWithMap) return dataBytes
  const text = pax.get('GNU.sparse.realsize') ?? pax.get('GNU.sparse.size')
  const size = text === undefined ? gnuSize : decodePositive(text, 'the size of a sparse file')
  if (size === undefined || size < 0) throw damaged('it has a sparse file without its size')
  if (map !== undefined) checkMap(map, size, dataBytes)
  return size
}

function idOf(text: string | undefined, id: number): number {
  const value = text === undefined ? id : decodePositive(text, 'the owner of a file')
  if (value < 0 || value > MAX_ID) throw damaged('it has an owner that is none')
  return value
}

/** Something that stands for no name: nothing, `.` or `..` between slashes or at an end. */
const ODD_PART = /(?:^|\/)\.{0,2}(?:\/|$)/

/** Without `./` and the slash that ends directories. */
export function normalized(name: string): string {
  const bare = name.endsWith('/') ? name.slice(0, -1) : name
  return ODD_PART.test(bare) ? posix.normalize(name).replace(/\/$/, '') || '.' : bare
}

export function parseTime(text: string): FileTime {
  const dot = text.indexOf('.')
  const whole = Number(dot < 0 ? text : text.slice(0, dot))
  if (!/^-?\d+(?:\.\d*)?$/.test(text) || !Number.isSafeInteger(whole)) throw damaged(`it has ${JSON.stringify(text.slice(0, 40))} where a time belongs`)
  const fraction = dot < 0 ? 0 : Number(text.slice(dot + 1, dot + 10).padEnd(9, '0'))
  if (!text.startsWith('-')) return { seconds: whole, nanoseconds: fraction }
  return fraction === 0 ? { seconds: 0 + whole, nanoseconds: 0 } : { seconds: whole - 1, nanoseconds: 1e9 - fraction }
}
