/**
 * crypt.ts: one encryption key and all that is derived from it.
 *
 *   data         AES-256-GCM with a random IV of 16 (not 12) bytes, a tag of 16, no additional data
 *   id key       PBKDF2-HMAC-SHA256 of the key, salt "_id_key", 10 rounds: makes digests and signatures unlike those of any other key
 *   chunk id     SHA-256(plaintext ‖ id key): equal chunks are stored once per key
 *   fingerprint  SHA-256(constant ‖ id key): tells which key, not what it is
 *   signature    HMAC-SHA256 with the id key
 */
import { createCipheriv, createDecipheriv, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { type Digest, sha256 } from './digest.js'
import { IV_BYTES, KEY_BYTES, TAG_BYTES } from './format.js'
import { copyBytes } from './shared-bytes.js'

const CIPHER = 'aes-256-gcm'
const ID_KEY_SALT = '_id_key'
const ID_KEY_ROUNDS = 10
const FINGERPRINT_INPUT = Buffer.from('6ed0ef77471fff4d55c7a8fe4a9db62161407f134c725ddf30992d25ec45ed26', 'hex')

export interface Encrypted {
  readonly iv: Buffer
  readonly tag: Buffer
  readonly data: Buffer
}

/** AES-256-GCM as in all files of a datastore. */
export function sealBytes(key: Uint8Array, plain: Uint8Array): Encrypted {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES })
  const data = cipher.update(plain)
  cipher.final() // a stream cipher: nothing is left
  return { iv, tag: cipher.getAuthTag(), data }
}

/** So much at a time is encrypted or decrypted where the result is to lie in memory that there is: what the cipher returns is garbage, and used again while it is in the processor's caches. */
const PIECE_BYTES = 2 ** 16

/** As sealBytes(), with the ciphertext in `target`, which has at least as many bytes as `plain`. */
export function sealInto(key: Uint8Array, plain: Uint8Array, target: Uint8Array): Omit<Encrypted, 'data'> {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES })
  for (let at = 0; at < plain.length; at += PIECE_BYTES) copyBytes(target, at, cipher.update(plain.subarray(at, at + PIECE_BYTES)))
  cipher.final()
  return { iv, tag: cipher.getAuthTag() }
}

/**
 * The plaintext, or undefined if key, IV, tag and data do not belong together.
 *
 * @param target  As long as `data`, and may be that itself; after a failure it has something that nobody vouches for. Default: new memory.
 */
export function tryOpenBytes(key: Uint8Array, iv: Uint8Array, tag: Uint8Array, data: Uint8Array, target: Buffer = Buffer.allocUnsafe(data.length)): Buffer | undefined {
  const decipher = createDecipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES })
  decipher.setAuthTag(tag)
  for (let at = 0; at < data.length; at += PIECE_BYTES) copyBytes(target, at, decipher.update(data.subarray(at, at + PIECE_BYTES)))
  try {
    decipher.final()
  } catch {
    return undefined
  }
  return target
}

/** A key of a datastore's clients. Never printed: the bytes are in a private field. */
export class CryptKey {
  readonly #key: Buffer
  /** 32 bytes; not secret enough to decrypt anything, but whoever has it can test guesses of chunks. */
  readonly idKey: Buffer
  /** 32 pairs of hexadecimal digits with colons between. */
  readonly fingerprint: string

  /** @param key  32 bytes; copied. */
  constructor(key: Uint8Array) {
    if (!(key instanceof Uint8Array)) throw new TypeError('the key must be a Uint8Array')
    if (key.length !== KEY_BYTES) throw new RangeError(`the key must have ${KEY_BYTES} bytes, not ${key.length}`)
    this.#key = Buffer.from(key)
    this.idKey = pbkdf2Sync(this.#key, ID_KEY_SALT, ID_KEY_ROUNDS, KEY_BYTES, 'sha256')
    this.fingerprint = sha256(FINGERPRINT_INPUT, this.idKey).toString('hex').replace(/..(?!$)/g, '$&:')
  }

  /** A new random key. */
  static generate(): CryptKey {
    return new CryptKey(randomBytes(KEY_BYTES))
  }

  /** A copy of the 32 secret bytes: for key files and for worker threads. */
  exportKey(): Buffer {
    return Buffer.from(this.#key)
  }

  /** The first eight bytes of the fingerprint, as people are shown it. */
  get shortFingerprint(): string {
    return this.fingerprint.slice(0, 8 * 3 - 1)
  }

  chunkDigest(plain: Uint8Array): Digest {
    return sha256(plain, this.idKey)
  }

  encrypt(plain: Uint8Array): Encrypted {
    return sealBytes(this.#key, plain)
  }

  /** As encrypt(), with the ciphertext in `target`, which has at least as many bytes as `plain`. */
  encryptInto(plain: Uint8Array, target: Uint8Array): Omit<Encrypted, 'data'> {
    return sealInto(this.#key, plain, target)
  }

  /** The plaintext, or undefined if it was encrypted with another key or is damaged. `target`: see tryOpenBytes(). */
  tryDecrypt(iv: Uint8Array, tag: Uint8Array, data: Uint8Array, target?: Buffer): Buffer | undefined {
    return tryOpenBytes(this.#key, iv, tag, data, target)
  }

  /** The signature of a canonical text: 32 bytes. */
  authTag(canonical: Uint8Array): Buffer {
    return createHmac('sha256', this.idKey).update(canonical).digest()
  }
}
