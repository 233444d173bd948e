import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CryptKey } from '../../src/datastore/crypt.js'

const key = new CryptKey(Uint8Array.from({ length: 32 }, (_, i) => i))

// Computed with python3: hashlib.pbkdf2_hmac('sha256', bytes(range(32)), b'_id_key', 10, 32), hashlib.sha256, hmac.new.
describe('CryptKey', () => {
  it('derives the id key and the fingerprint', () => {
    expect(key.idKey.toString('hex')).toBe('7c2c013efd07f3b25717a485263343cd4d292a4b65c200bb3b18ea227abe225c')
    expect(key.fingerprint).toBe('0e:ab:d4:46:0b:6e:b9:ca:34:50:23:de:e2:b7:78:c7:90:e5:4a:16:83:b9:65:9c:0a:57:ae:19:90:90:15:9b')
    expect(key.shortFingerprint).toBe('0e:ab:d4:46:0b:6e:b9:ca')
  })

  it('gives chunks digests of their own, and signs', () => {
    expect(key.chunkDigest(Buffer.from('abc')).toString('hex')).toBe('ae52f0812a2f1ac3f368d9295cf6419bdff5fe1fe197e48052dd2f7e6d00a6fd')
    expect(key.authTag(Buffer.from('{}')).toString('hex')).toBe('8c105b5622c656f592607490bc624c6b974c966e625cbb2e2cc0232677ce7e35')
  })

  it('decrypts what another program encrypted', () => {
    // python3 cryptography: Cipher(AES(bytes(range(32))), GCM(bytes(range(0xa0, 0xb0)))), "abc"
    const iv = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i)
    const tag = Buffer.from('332be4265d90ab18a69d743aad7847f0', 'hex')
    const data = Buffer.from('4bc140', 'hex')
    expect(key.tryDecrypt(iv, tag, data)?.toString()).toBe('abc')
  })

  it('decrypts what it encrypted, with a new IV every time, and nothing that was changed', () => {
    fc.assert(fc.property(fc.uint8Array(), fc.nat(), (plain, at) => {
      const { iv, tag, data } = key.encrypt(plain)
      expect(key.encrypt(plain).iv.equals(iv)).toBe(false)
      expect([iv.length, tag.length, data.length]).toEqual([16, 16, plain.length])
      expect(key.tryDecrypt(iv, tag, data)?.equals(plain)).toBe(true)
      const parts = Buffer.concat([iv, tag, data])
      parts[at % parts.length]! ^= 1 << at % 8
      expect(key.tryDecrypt(parts.subarray(0, 16), parts.subarray(16, 32), parts.subarray(32))).toBeUndefined()
      expect(CryptKey.generate().tryDecrypt(iv, tag, data)).toBeUndefined()
    }))
  })

  it.each([0, 1, 65_535, 65_536, 65_537, 300_000])('encrypts %i bytes into memory that there is as it does into its own', bytes => {
    const plain = randomBytes(bytes)
    const target = Buffer.alloc(bytes + 1)
    const { iv, tag } = key.encryptInto(plain, target)
    expect(key.tryDecrypt(iv, tag, target.subarray(0, bytes))?.equals(plain)).toBe(true)
    expect(target[bytes]).toBe(0)
    expect(key.encryptInto(plain, target).iv.equals(iv)).toBe(false)
  })

  it('keeps its bytes to itself', () => {
    const bytes = Buffer.alloc(32, 0x5a)
    const secret = new CryptKey(bytes)
    bytes.fill(0)
    secret.exportKey().fill(0)
    expect(secret.exportKey()).toEqual(Buffer.alloc(32, 0x5a))
    expect(inspect(secret, { depth: 5, showHidden: true }) + JSON.stringify(secret)).not.toMatch(/5a 5a|ZZZ|90,\s*90/)
  })

  it.each([['31 bytes', new Uint8Array(31), RangeError], ['33 bytes', new Uint8Array(33), RangeError], ['text', 'x'.repeat(32), TypeError]])('refuses %s', (_title, bytes, error) => {
    expect(() => new CryptKey(bytes as Uint8Array)).toThrow(error)
  })
})
