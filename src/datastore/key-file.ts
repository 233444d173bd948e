/**
 * key-file.ts: the file that a client keeps its encryption key in, protected by a passphrase or not. Pure but for the time and randomness.
 *
 * JSON: kdf, created, modified, data, fingerprint, hint. Without a passphrase `kdf` is null and `data` the key; with one `data` is
 * IV 16 | tag 16 | AES-256-GCM of the key under what scrypt or PBKDF2-HMAC-SHA256 make of the passphrase. Everything binary is
 * base64. Whoever can read an unprotected one can read all backups: it is written with mode 0600 (KEY_FILE_MODE).
 */
import { pbkdf2, randomBytes, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { checkInteger, checkOneOf, checkOptions, checkString } from '../check.js'
import { isJsonObject, type Json, type JsonObject, parseJson } from './canonical-json.js'
import { CryptKey, sealBytes, tryOpenBytes } from './crypt.js'
import { DatastoreError, FormatError } from './errors.js'
import { IV_BYTES, KEY_BYTES, TAG_BYTES } from './format.js'

export type Kdf =
  | { readonly kind: 'scrypt'; readonly n: number; readonly r: number; readonly p: number; readonly salt: Buffer }
  | { readonly kind: 'pbkdf2'; readonly iter: number; readonly salt: Buffer }

export interface KeyFile {
  /** How the passphrase becomes a key; null: the key is not protected. */
  readonly kdf: Kdf | null
  /** Seconds since 1970. */
  readonly created: number
  readonly modified: number
  /** The key, or IV, tag and ciphertext of it. */
  readonly data: Buffer
  readonly fingerprint: string | undefined
  /** What reminds its owner of the passphrase. */
  readonly hint: string | undefined
}

export interface EncodeKeyFileOptions {
  /** At least 5 bytes of UTF-8. Default: none, the key is not protected. */
  readonly passphrase?: string | undefined
  /** Default: scrypt. */
  readonly kdf?: 'scrypt' | 'pbkdf2' | undefined
  readonly hint?: string | undefined
  /** Seconds since 1970. Default: now. */
  readonly created?: number | undefined
}

export const KEY_FILE_MODE = 0o600
export const MIN_PASSPHRASE_BYTES = 5

const SCRYPT = { n: 65536, r: 8, p: 1 } as const
const PBKDF2_ROUNDS = 65535
const SALT_BYTES = 32
const MAX_FILE_BYTES = 64 * 1024
/** Of a foreign file: a gibibyte of memory, sixteen times the work of ours. */
const MAX_SCRYPT_MEMORY_BYTES = 2 ** 30
const MAX_SCRYPT_WORK = 16 * SCRYPT.n * SCRYPT.r * SCRYPT.p
const MAX_PBKDF2_ROUNDS = 10_000_000
const MAX_SALT_BYTES = 1024

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const RFC_3339 = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})$/

const scryptAsync = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt)
const pbkdf2Async = promisify(pbkdf2)

/** Takes the fields out of the JSON; every refusal names the field. */
class Fields {
  readonly #where: string
  readonly #object: JsonObject
  readonly #place: string

  constructor(value: Json | undefined, where: string, place: string) {
    this.#where = where
    this.#place = place
    this.#object = isJsonObject(value) ? value : this.refuse('', 'an object')
  }

  refuse(name: string, expected: string): never {
    throw new FormatError('FORMAT_JSON', { path: this.#where, offset: 0, expected: `${[this.#place, name].filter(Boolean).join('.')} to be ${expected}` })
  }

  get(name: string): Json | undefined {
    return this.#object[name]
  }

  whole(name: string, min: number, max: number): number {
    const value = this.#object[name]
    return typeof value === 'number' && value >= min && value <= max ? value : this.refuse(name, `a whole number from ${min} to ${max}`)
  }

  base64(name: string, minBytes: number, maxBytes: number): Buffer {
    const text = this.#object[name]
    const bytes = typeof text === 'string' && BASE64.test(text) ? Buffer.from(text, 'base64') : undefined
    if (bytes !== undefined && bytes.length >= minBytes && bytes.length <= maxBytes) return bytes
    return this.refuse(name, minBytes === maxBytes ? `${minBytes} bytes in base64` : `${minBytes} to ${maxBytes} bytes in base64`)
  }

  time(name: string): number {
    const text = this.#object[name]
    const time = typeof text === 'string' && RFC_3339.test(text) ? Date.parse(text) : NaN
    return Number.isNaN(time) ? this.refuse(name, 'a time like 2026-11-21T08:00:00Z') : Math.floor(time / 1000)
  }

  text(name: string): string | undefined {
    const value = this.#object[name]
    return value === undefined || value === null ? undefined : typeof value === 'string' ? value : this.refuse(name, 'text')
  }
}

function decodeScrypt(value: Json, where: string): Kdf {
  const fields = new Fields(value, where, 'kdf.Scrypt')
  const kdf = { kind: 'scrypt', n: fields.whole('n', 2, 2 ** 30), r: fields.whole('r', 1, 2 ** 20), p: fields.whole('p', 1, 2 ** 20), salt: fields.base64('salt', 0, MAX_SALT_BYTES) } as const
  if ((kdf.n & (kdf.n - 1)) !== 0) fields.refuse('n', 'a power of two')
  if (kdf.n * kdf.r * kdf.p > MAX_SCRYPT_WORK || scryptMemoryBytes(kdf) > MAX_SCRYPT_MEMORY_BYTES) fields.refuse('n', `at most ${MAX_SCRYPT_WORK} together with r and p`)
  return kdf
}

const scryptMemoryBytes = ({ n, r, p }: { n: number; r: number; p: number }) => 128 * r * (n + p + 2)

function decodeKdf(value: Json | undefined, where: string): Kdf | null {
  if (value === undefined || value === null) return null
  const fields = new Fields(value, where, 'kdf')
  const scryptPart = fields.get('Scrypt')
  if (scryptPart !== undefined) return decodeScrypt(scryptPart, where)
  const pbkdf2Part = fields.get('PBKDF2')
  if (pbkdf2Part === undefined) return fields.refuse('', 'null, Scrypt or PBKDF2')
  const inner = new Fields(pbkdf2Part, where, 'kdf.PBKDF2')
  return { kind: 'pbkdf2', iter: inner.whole('iter', 1, MAX_PBKDF2_ROUNDS), salt: inner.base64('salt', 0, MAX_SALT_BYTES) }
}

/**
 * @param raw  The whole file.
 * @throws {FormatError} `FORMAT_TOO_LARGE` or `FORMAT_JSON`.
 */
export function decodeKeyFile(raw: Uint8Array, where: string): KeyFile {
  if (raw.length > MAX_FILE_BYTES) throw new FormatError('FORMAT_TOO_LARGE', { path: where, offset: 0, expected: `a key file of at most ${MAX_FILE_BYTES} bytes`, found: `${raw.length}` })
  const fields = new Fields(parseJson(raw, where), where, 'the key file')
  const kdf = decodeKdf(fields.get('kdf'), where)
  const bytes = kdf === null ? KEY_BYTES : IV_BYTES + TAG_BYTES + KEY_BYTES
  return {
    kdf,
    created: fields.time('created'),
    modified: fields.time('modified'),
    data: fields.base64('data', bytes, bytes),
    fingerprint: fields.text('fingerprint')?.toLowerCase(),
    hint: fields.text('hint'),
  }
}

async function derive(kdf: Kdf, passphrase: string): Promise<Buffer> {
  if (kdf.kind === 'pbkdf2') return pbkdf2Async(passphrase, kdf.salt, kdf.iter, KEY_BYTES, 'sha256')
  const { n: N, r, p, salt } = kdf
  return scryptAsync(passphrase, salt, KEY_BYTES, { N, r, p, maxmem: scryptMemoryBytes(kdf) + 2 ** 20 })
}

/**
 * The key in the file. Takes about a quarter of a second and 64 MiB for a protected one, off the event loop.
 *
 * @param options.passphrase  Not used for an unprotected key.
 * @throws {DatastoreError} `KEY_PASSPHRASE`: missing or wrong; `KEY_WRONG`: the key is not that of the fingerprint.
 */
export async function openKeyFile(file: KeyFile, options: { readonly passphrase?: string | undefined; readonly where: string }): Promise<CryptKey> {
  const { passphrase, where } = checkOptions(options, ['passphrase', 'where'], 'options')
  const key = new CryptKey(file.kdf === null ? file.data : await unlock(file.kdf, file.data, passphrase, where))
  if (file.fingerprint === undefined || file.fingerprint === key.fingerprint) return key
  throw new DatastoreError('KEY_WRONG', `${where} names the key ${file.fingerprint}, and has ${key.fingerprint}`, { path: where })
}

async function unlock(kdf: Kdf, data: Buffer, passphrase: string | undefined, where: string): Promise<Buffer> {
  if (passphrase === undefined) throw new DatastoreError('KEY_PASSPHRASE', `${where} needs its passphrase`, { path: where })
  const wrapping = await derive(kdf, checkString(passphrase, 'passphrase'))
  const key = tryOpenBytes(wrapping, data.subarray(0, IV_BYTES), data.subarray(IV_BYTES, IV_BYTES + TAG_BYTES), data.subarray(IV_BYTES + TAG_BYTES))
  if (key === undefined) throw new DatastoreError('KEY_PASSPHRASE', `the passphrase does not fit ${where}`, { path: where })
  return key
}

const formatTime = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')

function encodeKdf(kdf: Kdf): object {
  const salt = kdf.salt.toString('base64')
  return kdf.kind === 'scrypt' ? { Scrypt: { n: kdf.n, r: kdf.r, p: kdf.p, salt } } : { PBKDF2: { iter: kdf.iter, salt } }
}

/**
 * The whole file.
 *
 * @throws {RangeError} A passphrase of less than 5 bytes.
 */
export async function encodeKeyFile(key: CryptKey, options: EncodeKeyFileOptions = {}): Promise<Buffer> {
  const { passphrase, hint, kdf: kind = 'scrypt', created = Math.floor(Date.now() / 1000) } = checkOptions(options, ['passphrase', 'kdf', 'hint', 'created'], 'options')
  checkOneOf(kind, ['scrypt', 'pbkdf2'], 'kdf')
  if (hint !== undefined) checkString(hint, 'hint')
  const now = formatTime(checkInteger(created, 'created', 0, 253_402_300_799))
  const rest = { created: now, modified: now }
  const last = { fingerprint: key.fingerprint, ...(hint === undefined ? {} : { hint }) }
  if (passphrase === undefined) return Buffer.from(JSON.stringify({ kdf: null, ...rest, data: key.exportKey().toString('base64'), ...last }))
  const { length } = Buffer.from(checkString(passphrase, 'passphrase'))
  if (length < MIN_PASSPHRASE_BYTES) throw new RangeError(`passphrase must have at least ${MIN_PASSPHRASE_BYTES} bytes, not ${length}`)
  const salt = randomBytes(SALT_BYTES)
  const kdf: Kdf = kind === 'scrypt' ? { kind, ...SCRYPT, salt } : { kind, iter: PBKDF2_ROUNDS, salt }
  const { iv, tag, data } = sealBytes(await derive(kdf, passphrase), key.exportKey())
  return Buffer.from(JSON.stringify({ kdf: encodeKdf(kdf), ...rest, data: Buffer.concat([iv, tag, data]).toString('base64'), ...last }))
}
