import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CryptKey } from '../../src/datastore/crypt.js'
import { FormatError } from '../../src/datastore/errors.js'
import { decodeKeyFile, encodeKeyFile, openKeyFile } from '../../src/datastore/key-file.js'
import { refusal } from './support.js'

const key = new CryptKey(Uint8Array.from({ length: 32 }, (_, i) => i))
const times = { created: '2026-11-21T08:00:00Z', modified: '2026-11-21T09:00:00+01:00' }
const salt = 'QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8='

// python3: hashlib.scrypt and pbkdf2_hmac, cryptography's AES-256-GCM, key 00 … 1f, IV a0 … af, salt 40 … 5f.
const plain = { kdf: null, ...times, data: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=' }
const scrypt = { kdf: { Scrypt: { n: 65536, r: 8, p: 1, salt } }, ...times, data: 'oKGio6SlpqeoqaqrrK2ur39354DoC08MWb3JA9Tyu64HXIwQLw8WWmrz4WvXsoGP8MyR9FCAwsGWz/br1vQdkQ==', hint: 'a cave' }
const pbkdf2 = { kdf: { PBKDF2: { iter: 65535, salt } }, ...times, data: 'oKGio6SlpqeoqaqrrK2uryLOAmHFWW4AxxX4YaR+lWT1tsQEGa9hXXnfW8ZJtG7cJrwgej4uXJJHaOkUf2sgbg==' }

const decoded = (json: object | string) => decodeKeyFile(Buffer.from(typeof json === 'string' ? json : JSON.stringify(json)), 'dir/key')

describe('a key file of another program', () => {
  it.each([
    ['without protection', plain, undefined],
    ['under scrypt', scrypt, 'open sesame'],
    ['under PBKDF2', pbkdf2, 'öffne dich'],
    ['with its fingerprint', { ...plain, fingerprint: key.fingerprint }, undefined],
  ])('is read: %s', async (_title, json, passphrase) => {
    const file = decoded(json)
    expect(file).toMatchObject({ created: 1795248000, modified: 1795248000 })
    const opened = await openKeyFile(file, { passphrase, where: 'dir/key' })
    expect(opened.exportKey().equals(key.exportKey())).toBe(true)
  })

  it('tells its hint', () => {
    expect(decoded(scrypt).hint).toBe('a cave')
    expect(decoded(plain).hint).toBeUndefined()
  })

  it.each([['a wrong', scrypt, 'open barley'], ['no', scrypt, undefined], ['a wrong', pbkdf2, 'oeffne dich']])('is not opened by %s passphrase', async (_title, json, passphrase) => {
    await expect(openKeyFile(decoded(json), { passphrase, where: 'dir/key' })).rejects.toMatchObject({ code: 'KEY_PASSPHRASE', path: 'dir/key' })
  })

  it('is not opened if it has another key than it says', async () => {
    await expect(openKeyFile(decoded({ ...plain, fingerprint: CryptKey.generate().fingerprint }), { where: 'dir/key' })).rejects.toMatchObject({ code: 'KEY_WRONG' })
  })

  const bad: readonly (readonly [string, object | string, RegExp])[] = [
    ['no JSON', 'key', /JSON/],
    ['a list', [], /the key file to be an object/],
    ['no data', { ...plain, data: undefined }, /data to be 32 bytes/],
    ['data of 31 bytes', { ...plain, data: Buffer.alloc(31).toString('base64') }, /data to be 32 bytes/],
    ['data that is no base64', { ...plain, data: `${plain.data.slice(0, -2)}!=` }, /data to be 32 bytes/],
    ['an unprotected key under scrypt', { ...scrypt, data: plain.data }, /data to be 64 bytes/],
    ['an unknown kdf', { ...plain, kdf: { Argon2: {} } }, /kdf to be null, Scrypt or PBKDF2/],
    ['kdf as text', { ...plain, kdf: 'Scrypt' }, /kdf to be an object/],
    ['no salt', { ...scrypt, kdf: { Scrypt: { n: 65536, r: 8, p: 1 } } }, /kdf\.Scrypt\.salt/],
    ['n that is no power of two', { ...scrypt, kdf: { Scrypt: { n: 65535, r: 8, p: 1, salt } } }, /kdf\.Scrypt\.n to be a power of two/],
    ['terabytes of memory', { ...scrypt, kdf: { Scrypt: { n: 2 ** 30, r: 8, p: 1, salt } } }, /kdf\.Scrypt\.n to be at most/],
    ['years of work', { ...scrypt, kdf: { Scrypt: { n: 2, r: 1, p: 2 ** 20 * 8, salt } } }, /kdf\.Scrypt\.p/],
    ['gigabytes by another parameter', { ...scrypt, kdf: { Scrypt: { n: 2, r: 2 ** 20, p: 2 ** 10, salt } } }, /kdf\.Scrypt\.n to be at most/],
    ['no rounds', { ...pbkdf2, kdf: { PBKDF2: { iter: 0, salt } } }, /kdf\.PBKDF2\.iter/],
    ['endless rounds', { ...pbkdf2, kdf: { PBKDF2: { iter: 2 ** 31, salt } } }, /kdf\.PBKDF2\.iter/],
    ['a time that is none', { ...plain, created: 'yesterday' }, /created to be a time/],
    ['no time', { ...plain, modified: undefined }, /modified to be a time/],
    ['a hint that is no text', { ...plain, hint: 5 }, /hint to be text/],
  ]
  it.each(bad)('is refused: %s', (_title, json, message) => {
    const error = refusal(() => decoded(json))
    expect(error).toBeInstanceOf(FormatError)
    expect(error).toMatchObject({ code: 'FORMAT_JSON', path: 'dir/key' })
    expect(error.message).toMatch(message)
  })

  it('is refused when it is too large for one', () => {
    expect(refusal(() => decoded(' '.repeat(65 * 1024)))).toMatchObject({ code: 'FORMAT_TOO_LARGE' })
  })

  it('of changed bytes is refused or opened by nobody', async () => {
    const texts = [plain, pbkdf2].map(json => JSON.stringify(json).replace('65535', '5'))
    await fc.assert(fc.asyncProperty(fc.constantFrom(...texts), fc.nat(), fc.integer({ min: 32, max: 126 }), async (text, at, value) => {
      const raw = Buffer.from(text)
      raw[at % raw.length] = value
      try {
        await openKeyFile(decodeKeyFile(raw, 'file'), { passphrase: 'wrong', where: 'file' })
      } catch (error) {
        expect(String((error as { code?: string }).code)).toMatch(/^(FORMAT_JSON|KEY_PASSPHRASE|KEY_WRONG)$/)
      }
    }), { numRuns: 500 })
  })
})

describe('encodeKeyFile', () => {
  it.each(['scrypt', 'pbkdf2'] as const)('protects the key with %s', async (kdf) => {
    const raw = await encodeKeyFile(key, { passphrase: 'fünf!', kdf, hint: 'a number' })
    const json = JSON.parse(raw.toString()) as Record<string, any>
    expect(Object.keys(json)).toEqual(['kdf', 'created', 'modified', 'data', 'fingerprint', 'hint'])
    expect(json.kdf).toMatchObject(kdf === 'scrypt' ? { Scrypt: { n: 65536, r: 8, p: 1 } } : { PBKDF2: { iter: 65535 } })
    expect(raw.toString()).not.toContain(key.exportKey().toString('base64'))
    const opened = await openKeyFile(decodeKeyFile(raw, 'file'), { passphrase: 'fünf!', where: 'file' })
    expect(opened.fingerprint).toBe(key.fingerprint)
    expect(Buffer.from((json.kdf.Scrypt ?? json.kdf.PBKDF2).salt, 'base64')).toHaveLength(32)
    await expect(openKeyFile(decodeKeyFile(raw, 'file'), { passphrase: 'fünf?', where: 'file' })).rejects.toMatchObject({ code: 'KEY_PASSPHRASE' })
  })

  it('writes it as it is without a passphrase', async () => {
    const raw = await encodeKeyFile(key, { created: 1795248000 })
    expect(JSON.parse(raw.toString())).toEqual({ ...plain, modified: times.created, fingerprint: key.fingerprint })
  })

  it.each([['four bytes', { passphrase: 'vier' }, RangeError], ['no passphrase', { passphrase: '' }, RangeError], ['another kdf', { kdf: 'md5' }, RangeError], ['a misspelt option', { pass: 'x' }, TypeError], ['half a second', { created: 1.5 }, RangeError]])('refuses %s', async (_title, options, error) => {
    await expect(encodeKeyFile(key, options as never)).rejects.toThrow(error)
  })
})
