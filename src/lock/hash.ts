/**
 * hash.ts: a name becomes a 64-bit fingerprint, and the fingerprint a slot.
 *
 * HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein; the 32-bit member of the SipHash family), keyed with a seed that
 * every table draws at its creation: nobody who chooses names can aim at a slot without having read the file. Strings
 * are hashed as their UTF-16 code units, so lone surrogates stay distinct, and in a domain of their own, so the string "a" and the bytes
 * of any encoding of it are different names.
 */

/** Code units of a string, or bytes. */
export const NAME_LIMIT = 1024

/** A name's fingerprint: two signed 32-bit halves, never both zero. */
export interface Fingerprint {
  readonly name0: number
  readonly name1: number
}

const STRING_DOMAIN = 0x55544631 // "UTF1"

/** The four words of the state between rounds: one at a time, the hash is synchronous. */
let v0 = 0
let v1 = 0
let v2 = 0
let v3 = 0

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function round(): void {
  v0 = (v0 + v1) | 0
  v1 = rotate(v1, 5) ^ v0
  v0 = rotate(v0, 16)
  v2 = (v2 + v3) | 0
  v3 = rotate(v3, 8) ^ v2
  v0 = (v0 + v3) | 0
  v3 = rotate(v3, 7) ^ v0
  v2 = (v2 + v1) | 0
  v1 = rotate(v1, 13) ^ v2
  v2 = rotate(v2, 16)
}

function start(seed0: number, seed1: number): void {
  v0 = seed0
  v1 = seed1 ^ 0xee
  v2 = 0x6c796765 ^ seed0
  v3 = 0x74656462 ^ seed1
}

function absorb(word: number): void {
  v3 ^= word
  round()
  round()
  v0 ^= word
}

function finish(): Fingerprint {
  v2 ^= 0xee
  for (let i = 0; i < 4; i++) round()
  const name0 = v1 ^ v3
  v1 ^= 0xdd
  for (let i = 0; i < 4; i++) round()
  const name1 = v1 ^ v3
  return name0 === 0 && name1 === 0 ? { name0: 1, name1 } : { name0, name1 }
}

/** HalfSipHash-2-4-64 of the bytes. */
export function hashBytes(bytes: Uint8Array, seed0: number, seed1: number): Fingerprint {
  start(seed0, seed1)
  const length = bytes.length
  const whole = length & ~3
  for (let i = 0; i < whole; i += 4) {
    absorb((bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24))
  }
  let last = length << 24
  for (let i = whole; i < length; i++) last |= (bytes[i] ?? 0) << (8 * (i - whole))
  absorb(last)
  return finish()
}

/** The same over the string's UTF-16 code units, little end first, in the domain of strings. */
export function hashString(name: string, seed0: number, seed1: number): Fingerprint {
  start(seed0, seed1 ^ STRING_DOMAIN)
  const length = name.length
  const whole = length & ~1
  for (let i = 0; i < whole; i += 2) absorb(name.charCodeAt(i) | (name.charCodeAt(i + 1) << 16))
  absorb((length << 25) | (length & 1 ? name.charCodeAt(whole) : 0))
  return finish()
}

/** A name: a string (hashed as its UTF-16 code units) or bytes, at most 1024 of either. */
export type LockName = string | Uint8Array

/** @throws {TypeError} neither string nor bytes  @throws {RangeError} longer than 1024 code units or bytes */
export function fingerprintOf(name: LockName, [seed0, seed1]: readonly [number, number]): Fingerprint {
  if (typeof name !== 'string' && !(name instanceof Uint8Array)) throw new TypeError('name must be a string or a Uint8Array')
  if (name.length > NAME_LIMIT) throw new RangeError(`name must not be longer than ${NAME_LIMIT}, it has ${name.length}`)
  return typeof name === 'string' ? hashString(name, seed0, seed1) : hashBytes(name, seed0, seed1)
}

/** Index of the slot that a name shares with others. */
export function slotIndexOf(name0: number, slotCount: number): number {
  return (name0 >>> 0) % slotCount
}
