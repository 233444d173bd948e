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
const FLAG = 156
const MAGIC = 257
/** GNU tar and others before POSIX have a space behind it. */
const USTAR = [...Buffer.from('ustar')]
const SPACE = 32
const SEVEN = 55
const ZERO = 48

/**
 * The type of what a header is of: a digit or letter. `at`: where in the archive it is, for errors.
 *
 * @returns undefined: a block of zeros, which ends archives.
 */
export function checkBlock(bytes: Buffer, from: number, at: number): string | undefined {
  let sum = 0
  for (let i = from; i < from + TAR_BLOCK_BYTES; i++) sum += bytes[i]!
  if (sum === 0) return undefined
  for (let i = from + CHECKSUM; i < from + CHECKSUM_END; i++) sum += SPACE - bytes[i]!
  if (decodeNumber(bytes, from + CHECKSUM, from + CHECKSUM_END) !== sum) throw damaged(`the header at byte ${at} has a wrong checksum`)
  return String.fromCharCode(bytes[from + FLAG]!)
}

/** Of what stands behind the header. */
export const sizeOfBlock = (bytes: Buffer, from: number): number => decodeNumber(bytes, from + 124, from + 136)

/** All of a header, the type of which is known. */
export function decodeBlock(bytes: Buffer, from: number, flag: string): TarBlock {
  const number = (offset: number, length: number): number => decodeNumber(bytes, from + offset, from + offset + length)
  const text = (offset: number, length: number): string => textOf(bytes, from + offset, from + offset + length)
  const isUstar = USTAR.every((byte, i) => bytes[from + MAGIC + i] === byte)
  const prefix = isUstar && bytes[from + MAGIC + USTAR.length] === 0 ? text(345, 155) : ''
  const name = text(0, 100)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`, flag,
    mode: number(100, 8), uid: number(108, 8), gid: number(116, 8), size: sizeOfBlock(bytes, from), seconds: number(136, 12),
    target: text(157, 100), device: isUstar && (flag === '3' || flag === '4') ? { major: number(329, 8), minor: number(337, 8) } : NO_DEVICE,
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
export function decodePax(body: string, take: (key: string, value: string) => void): void {
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(' ', at)
    const end = at + lengthOf(body, at, space)
    const equals = body.indexOf('=', space)
    const isWhole = end <= body.length && equals > space + 1 && equals < end - 1 && body[end - 1] === '\n'
    if (!isWhole) throw damaged('it has a pax record that does not end where it says')
    take(body.slice(space + 1, equals), body.slice(equals + 1, end - 1))
    at = end
  }
}

/** Of a record: one to ten digits; Infinity: there is something else. */
function lengthOf(body: string, from: number, to: number): number {
  if (to <= from || to > from + 10) return Infinity
  let value = 0
  for (let i = from; i < to; i++) {
    const digit = body.charCodeAt(i) - ZERO
    if (digit < 0 || digit > 9) return Infinity
    value = value * 10 + digit
  }
  return value
}

/** A decimal number of a pax record. */
export function decodePositive(text: string, what: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw damaged(`${what} has ${JSON.stringify(text.slice(0, 40))} where a number belongs`)
  return value
}
