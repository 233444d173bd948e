/**
 * tar-block.ts: what one header block of an archive says, and what a list of pax records says. Pure.
 *
 * Three kinds of header are read: of POSIX, of GNU tar (which has other things in the place of the name's prefix), and of the tar before
 * both. Numbers are octal, or binary where octal digits do not suffice. What an archive of today has right is demanded: the checksum,
 * digits where there are numbers, records that end where they say.
 */
import { DatastoreError } from '../errors.js'
import { TAR_BLOCK_BYTES } from './tar-header.js'

export interface TarBlock {
  /** A byte string: byte-path.ts. */
  readonly name: string
  readonly flag: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly seconds: number
  readonly target: string
  readonly device: { readonly major: number; readonly minor: number }
}

export function damaged(what: string): DatastoreError {
  return new DatastoreError('ARCHIVE_DAMAGED', `it is no tar archive, or a damaged one: ${what}`)
}

const CHECKSUM = 148
const CHECKSUM_END = 156
const SPACE = 32
const SEVEN = 55
const ZERO = 48

/** Undefined: a block of zeros, which ends archives. `at`: where in the archive it is, for errors. */
export function decodeBlock(bytes: Buffer, from: number, at: number): TarBlock | undefined {
  let sum = 0
  for (let i = from; i < from + TAR_BLOCK_BYTES; i++) sum += bytes[i]!
  if (sum === 0) return undefined
  for (let i = from + CHECKSUM; i < from + CHECKSUM_END; i++) sum += SPACE - bytes[i]!
  const number = (offset: number, length: number): number => decodeNumber(bytes, from + offset, from + offset + length)
  if (number(CHECKSUM, 8) !== sum) throw damaged(`the header at byte ${at} has a wrong checksum`)
  const text = (offset: number, length: number): string => textOf(bytes, from + offset, from + offset + length)
  const magic = bytes.toString('latin1', from + 257, from + 263)
  const prefix = magic === 'ustar\0' ? text(345, 155) : ''
  const name = text(0, 100)
  const flag = String.fromCharCode(bytes[from + 156]!)
  const isDevice = flag === '3' || flag === '4'
  return {
    name: prefix === '' ? name : `${prefix}/${name}`, flag,
    mode: number(100, 8), uid: number(108, 8), gid: number(116, 8), size: number(124, 12), seconds: number(136, 12),
    target: text(157, 100), device: isDevice && magic.startsWith('ustar') ? { major: number(329, 8), minor: number(337, 8) } : NO_DEVICE,
  }
}

const NO_DEVICE = { major: 0, minor: 0 } as const

/** To the first NUL. */
function textOf(bytes: Buffer, from: number, to: number): string {
  let end = from
  while (end < to && bytes[end] !== 0) end++
  return end === from ? '' : bytes.toString('latin1', from, end)
}

/** An empty field is 0. */
export function decodeNumber(bytes: Uint8Array, from: number, to: number): number {
  if (bytes[from]! >= 0x80) return decodeBinary(bytes, from, to)
  let i = from
  while (i < to && (bytes[i] === SPACE || bytes[i] === 0)) i++
  let value = 0
  for (; i < to && bytes[i]! >= ZERO && bytes[i]! <= SEVEN; i++) value = value * 8 + bytes[i]! - ZERO
  if (i < to && bytes[i] !== SPACE && bytes[i] !== 0) throw damaged('a header has something else where a number belongs')
  return value
}

/** Two's complement, with the highest bit set as a mark: the sign is the bit below it. */
function decodeBinary(bytes: Uint8Array, from: number, to: number): number {
  const first = bytes[from]! & 0x7f
  let value = first & 0x40 ? first - 0x80 : first
  for (let i = from + 1; i < to; i++) value = value * 256 + bytes[i]!
  if (!Number.isSafeInteger(value)) throw damaged('a header has a number that is too large')
  return value
}

/** In the order of the archive: a key may come more than once. An empty value takes away what came before. */
export function decodePax(body: string): readonly (readonly [key: string, value: string])[] {
  const records: (readonly [string, string])[] = []
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(' ', at)
    const digits = body.slice(at, space)
    const end = at + Number(digits)
    const equals = body.indexOf('=', space)
    const isWhole = space > at && /^\d{1,10}$/.test(digits) && end <= body.length && equals > space + 1 && equals < end - 1 && body[end - 1] === '\n'
    if (!isWhole) throw damaged('it has a pax record that does not end where it says')
    records.push([body.slice(space + 1, equals), body.slice(equals + 1, end - 1)])
    at = end
  }
  return records
}

/** A decimal number of a pax record. */
export function decodePositive(text: string, what: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw damaged(`${what} has ${JSON.stringify(text.slice(0, 40))} where a number belongs`)
  return value
}
