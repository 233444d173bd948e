/**
 * escape.ts: a lock's name becomes the name of its file, as Proxmox Backup Server names its lock files (pure).
 *
 *   bytes of the name      leading slashes dropped; then '/' -> '-', A-Z a-z 0-9 _ . kept (but not a leading '.'), any other
 *                          byte -> \xNN, two lowercase hexadecimal digits: "vm/100" -> vm-100, "ct/1-2" -> ct-1\x2d2
 *   nothing left           "-" ("/" is a name, "" is not)
 *   255 bytes or more      hashed/<first 80>...<last 80>-<SHA-256 of the bytes, hexadecimal>
 *
 * Two names have one file only if they differ in leading slashes alone, or are a string and its UTF-8 bytes: one lock,
 * coarser, never wrong. Strings are encoded as UTF-8; a lone surrogate, which UTF-8 has no code for, as its code point's three
 * bytes (WTF-8), so that it does not collapse into U+FFFD and share a lock with every other one.
 *
 * NOT AS THERE  The name "hashed" would be the directory of the long names: its file is \x68ashed, which no other name gives.
 */
import { createHash } from 'node:crypto'

/** What a lock may be called: text, or bytes. */
export type LockFileName = string | Uint8Array

/** From this length of the escaped name on, the file is in the directory `HASHED`. */
const HASHED_FROM = 255
const READABLE = 80

/** The subdirectory of the files with long names. */
export const HASHED = 'hashed'

const SLASH = 0x2f
const DOT = 0x2e

const LONE_SURROGATE = /\p{Surrogate}/gu
const PLAIN = /^(?!\.)[A-Za-z0-9_.]+$/

/** UTF-8, lone surrogates as three bytes each. */
function encodeName(name: string): Uint8Array {
  const parts: Buffer[] = []
  let from = 0
  for (const match of name.matchAll(LONE_SURROGATE)) {
    const unit = name.charCodeAt(match.index)
    parts.push(Buffer.from(name.slice(from, match.index)), Buffer.from([0xed, 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)]))
    from = match.index + 1
  }
  return Buffer.concat([...parts, Buffer.from(name.slice(from))])
}

function isKept(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x5f || byte === DOT
}

function escapeBytes(bytes: Uint8Array): string {
  let text = ''
  for (const [index, byte] of bytes.entries()) {
    if (byte === SLASH) text += '-'
    else if (isKept(byte) && !(byte === DOT && index === 0)) text += String.fromCharCode(byte)
    else text += `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return text
}

/** The path of a name's lock file, relative to the directory. The name is not empty. */
export function lockFilePath(name: LockFileName): string {
  if (typeof name === 'string' && name.length < HASHED_FROM && name !== HASHED && PLAIN.test(name)) return name
  let bytes = typeof name === 'string' ? encodeName(name) : name
  while (bytes[0] === SLASH) bytes = bytes.subarray(1)
  if (bytes.length === 0) return '-'
  const text = escapeBytes(bytes)
  if (text === HASHED) return '\\x68ashed'
  if (text.length < HASHED_FROM) return text
  return `${HASHED}/${text.slice(0, READABLE)}...${text.slice(-READABLE)}-${createHash('sha256').update(bytes).digest('hex')}`
}
