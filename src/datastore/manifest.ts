/**
 * manifest.ts: what a snapshot consists of: its archives with size, checksum and encryption, and notes about it. Pure.
 *
 * Stored as a blob of pretty JSON, compressed but never encrypted. The signature is of the canonical JSON of everything but
 * `unprotected` and `signature`. So that it holds after a change of the notes by us, what it covers is kept as it was read, keys that
 * nobody here knows included.
 */
import { timingSafeEqual } from 'node:crypto'
import { checkInteger, checkOneOf } from '../check.js'
import { blobKind, decodeBlob, encodeBlob, isEncryptedKind } from './blob.js'
import { canonicalJson, isJsonObject, type Json, type JsonObject, parseJson, prettyJson } from './canonical-json.js'
import type { CryptKey } from './crypt.js'
import { type Digest, DIGEST_BYTES, digestToHex, tryDigestFromHex } from './digest.js'
import { DatastoreError, FormatError } from './errors.js'
import { type BackupType, checkArchiveName, checkBackupId, checkBackupType, checkTime } from './names.js'

export type CryptMode = 'none' | 'encrypt' | 'sign-only'

export interface ManifestFile {
  /** With .fidx, .didx or .blob. */
  readonly filename: string
  readonly cryptMode: CryptMode
  /** Bytes that an index covers, or of the blob's file. */
  readonly size: number
  /** Of an index: its checksum. Of a blob: SHA-256 of the file. */
  readonly csum: Digest
}

export interface ManifestParts {
  readonly backupType: BackupType
  readonly backupId: string
  /** Whole seconds since 1970. */
  readonly backupTime: number
  readonly files: readonly ManifestFile[]
  /** What may change later and is not signed: notes, verify state, statistics. Default: nothing. */
  readonly unprotected?: JsonObject | undefined
}

export interface Manifest extends Required<ManifestParts> {
  readonly unprotected: JsonObject
  /** 64 hexadecimal digits, or null. */
  readonly signature: string | null
  /** What the signature covers, as it was read. */
  readonly signed: JsonObject
}

const CRYPT_MODES: readonly CryptMode[] = ['none', 'encrypt', 'sign-only']
/** More than the manifest of a hundred thousand archives has. */
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024
const KEY_FINGERPRINT = 'key-fingerprint'

const encodeFile = ({ filename, cryptMode, size, csum }: ManifestFile): JsonObject => ({ filename, 'crypt-mode': cryptMode, size, csum: digestToHex(csum) })

/**
 * A manifest that is not signed yet.
 *
 * @throws {RangeError} A name, number or checksum that a manifest cannot have, or two files of one name.
 */
export function createManifest(parts: ManifestParts): Manifest {
  const { backupType, backupId, backupTime, files, unprotected = {} } = parts
  checkBackupType(backupType)
  checkBackupId(backupId)
  checkTime(backupTime)
  const seen = new Set<string>()
  for (const file of files) {
    checkArchiveName(file.filename)
    checkOneOf(file.cryptMode, CRYPT_MODES, `the encryption of ${file.filename}`)
    checkInteger(file.size, `the size of ${file.filename}`, 0, Number.MAX_SAFE_INTEGER)
    if (file.csum.length !== DIGEST_BYTES) throw new RangeError(`the checksum of ${file.filename} must have ${DIGEST_BYTES} bytes, not ${file.csum.length}`)
    if (seen.has(file.filename)) throw new RangeError(`a manifest must have ${file.filename} only once`)
    seen.add(file.filename)
  }
  const signed = { 'backup-type': backupType, 'backup-id': backupId, 'backup-time': backupTime, files: files.map(encodeFile) }
  return { backupType, backupId, backupTime, files, unprotected, signature: null, signed }
}

/** The same with some unsigned entries replaced, or removed where the value is undefined. The signature stays as it is. */
export function withUnprotected(manifest: Manifest, changes: Readonly<Record<string, Json | undefined>>): Manifest {
  const merged = Object.entries({ ...manifest.unprotected, ...changes }).filter((entry): entry is [string, Json] => entry[1] !== undefined)
  return { ...manifest, unprotected: Object.fromEntries(merged) }
}

/** Signed with the key, whose fingerprint is noted. */
export function signManifest(manifest: Manifest, key: CryptKey): Manifest {
  const signature = key.authTag(Buffer.from(canonicalJson(manifest.signed))).toString('hex')
  return { ...withUnprotected(manifest, { [KEY_FINGERPRINT]: key.fingerprint }), signature }
}

/** The blob `index.json.blob`; with `key` it is signed first. */
export function encodeManifest(manifest: Manifest, options: { readonly key?: CryptKey | undefined } = {}): Buffer {
  const { signed, unprotected, signature } = options.key ? signManifest(manifest, options.key) : manifest
  return encodeBlob(Buffer.from(prettyJson({ ...signed, unprotected, signature })))
}

/** Takes the typed values out of the JSON; every refusal names the place in it. */
class Fields {
  readonly #where: string
  constructor(where: string) {
    this.#where = where
  }

  refuse(place: string, expected: string, found: Json | undefined): never {
    const text = found === undefined ? 'nothing' : prettyJson(found)
    throw new FormatError('FORMAT_JSON', { path: this.#where, offset: 0, expected: `${place} to be ${expected}`, found: text.length > 80 ? `${text.slice(0, 80)}…` : text })
  }

  object(value: Json | undefined, place: string): JsonObject {
    return isJsonObject(value) ? value : this.refuse(place, 'an object', value)
  }

  array(value: Json | undefined, place: string): readonly Json[] {
    return Array.isArray(value) ? (value as readonly Json[]) : this.refuse(place, 'an array', value)
  }

  /** What a check of names.ts or check.ts accepts. */
  checked<T>(value: Json | undefined, place: string, check: (value: unknown, what: string) => T): T {
    try {
      return check(value, place)
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw new FormatError('FORMAT_JSON', { path: this.#where, offset: 0, expected: `that ${error.message}`, cause: error })
      throw error
    }
  }

  digest(value: Json | undefined, place: string): Digest {
    return (typeof value === 'string' ? tryDigestFromHex(value.toLowerCase()) : undefined) ?? this.refuse(place, '64 hexadecimal digits', value)
  }
}

function decodeFile(fields: Fields, value: Json, place: string): ManifestFile {
  const file = fields.object(value, place)
  const mode = file['crypt-mode']
  return {
    filename: fields.checked(file.filename, `${place}.filename`, checkArchiveName),
    cryptMode: mode === undefined ? 'none' : fields.checked(mode, `${place}.crypt-mode`, (text, what) => checkOneOf(text, CRYPT_MODES, what)),
    size: fields.checked(file.size, `${place}.size`, (size, what) => checkInteger(size, what, 0, Number.MAX_SAFE_INTEGER)),
    csum: fields.digest(file.csum, `${place}.csum`),
  }
}

/**
 * @param raw  The file `index.json.blob`.
 * @throws {FormatError} `FORMAT_…`: no sound blob, no JSON, or not that of a manifest.
 */
export function decodeManifest(raw: Uint8Array, where: string): Manifest {
  const kind = blobKind(raw, where)
  if (isEncryptedKind(kind)) throw new FormatError('FORMAT_MAGIC', { path: where, offset: 0, expected: 'the magic of a blob that is not encrypted', found: `that of an ${kind} one` })
  const json = parseJson(decodeBlob(raw, { where, maxBytes: MAX_MANIFEST_BYTES }), where)
  const fields = new Fields(where)
  const { unprotected, signature, ...signed } = fields.object(json, 'the manifest')
  return {
    backupType: fields.checked(signed['backup-type'], 'backup-type', checkBackupType),
    backupId: fields.checked(signed['backup-id'], 'backup-id', checkBackupId),
    backupTime: fields.checked(signed['backup-time'], 'backup-time', checkTime),
    files: fields.array(signed.files, 'files').map((file, index) => decodeFile(fields, file, `files[${index}]`)),
    unprotected: unprotected === undefined || unprotected === null ? {} : fields.object(unprotected, 'unprotected'),
    signature: signature === undefined || signature === null ? null : fields.digest(signature, 'signature').toString('hex'),
    signed,
  }
}

/** The fingerprint of the key that signed it; undefined for an unsigned or very old one. */
export function keyFingerprint(manifest: Manifest): string | undefined {
  const fingerprint = manifest.unprotected[KEY_FINGERPRINT]
  return typeof fingerprint === 'string' ? fingerprint.toLowerCase() : undefined
}

/**
 * Refuses a manifest that was made with another key than the one at hand. One without fingerprint fits any key, and none.
 *
 * @throws {DatastoreError} `KEY_MISSING` or `KEY_WRONG`.
 */
export function checkFingerprint(manifest: Manifest, key: CryptKey | undefined, where: string): void {
  const fingerprint = keyFingerprint(manifest)
  if (fingerprint === undefined || fingerprint === key?.fingerprint) return
  if (key === undefined) throw new DatastoreError('KEY_MISSING', `${where} was made with the key ${fingerprint}, and no key was given`, { path: where })
  throw new DatastoreError('KEY_WRONG', `${where} was made with the key ${fingerprint}, not with ${key.fingerprint}`, { path: where })
}

/**
 * Refuses a signed manifest whose signature is not by this key over this content. An unsigned one passes: see `signature`.
 *
 * @throws {DatastoreError} `KEY_WRONG` or `SIGNATURE_WRONG`.
 */
export function checkSignature(manifest: Manifest, key: CryptKey, where: string): void {
  if (manifest.signature === null) return
  checkFingerprint(manifest, key, where)
  let canonical: string
  try {
    canonical = canonicalJson(manifest.signed)
  } catch (cause) {
    throw new FormatError('FORMAT_JSON', { path: where, offset: 0, expected: 'content that can be signed', found: cause instanceof Error ? cause.message : undefined, cause })
  }
  if (timingSafeEqual(Buffer.from(manifest.signature, 'hex'), key.authTag(Buffer.from(canonical)))) return
  throw new DatastoreError('SIGNATURE_WRONG', `${where} was changed after it was signed`, { path: where })
}
