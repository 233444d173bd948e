import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blobKind, checkBlob, decodeBlob, encodeBlob, encodeBlobInto, MAX_HEADER_BYTES } from '../../src/datastore/blob.js'
import { CryptKey } from '../../src/datastore/crypt.js'
import { DatastoreError, FormatError } from '../../src/datastore/errors.js'

const key = new CryptKey(Uint8Array.from({ length: 32 }, (_, i) => i))
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

// python3: zlib.crc32 of the payload; the zstd command; cryptography's AES-256-GCM, key 00 01 … 1f, IV a0 … af.
const hello = 'hello hello hello hello hello hello hello hello'
const files = {
  raw: '42ab3807be8370a1 c2412435 616263',
  zstd: '31b958426fb6a37f 30192638 28b52ffd04486500003068656c6c6f2001000295225ab1761b',
  encrypted: '7b6785be222d4cf0 ac1cb327 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 332be4265d90ab18a69d743aad7847f0 4bc140',
  'encrypted-zstd': 'e6591bbf0bbfd80b 09885d74 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 12f095d70c97644dc77e091f14335b2f 02160c411c85a876c3ae77d48178e2b0834541ec5c6ee0dae6',
} as const
const kinds = Object.keys(files) as (keyof typeof files)[]

function refusal(act: () => unknown): DatastoreError {
  try {
    act()
  } catch (error) {
    expect(error).toBeInstanceOf(DatastoreError)
    return error as DatastoreError
  }
  throw new Error('it was taken')
}

describe('decodeBlob', () => {
  it.each(kinds)('takes a blob of kind %s', (kind) => {
    expect(blobKind(hex(files[kind]))).toBe(kind)
    expect(checkBlob(hex(files[kind]), 'file')).toBe(kind)
    expect(decodeBlob(hex(files[kind]), { key, where: 'file' }).toString()).toBe(kind.includes('zstd') ? hello : 'abc')
  })

  const bad: readonly (readonly [string, string, string, number])[] = [
    ['nothing', '', 'FORMAT_TRUNCATED', 0],
    ['half a magic', '42ab3807', 'FORMAT_TRUNCATED', 4],
    ['another magic', '42ab3807be8370a2 c2412435 616263', 'FORMAT_MAGIC', 0],
    ['an index', '2f7f41ed91fd0fcd c2412435 616263', 'FORMAT_MAGIC', 0],
    ['no checksum', '42ab3807be8370a1 c24124', 'FORMAT_TRUNCATED', 11],
    ['no tag', files.encrypted.slice(0, 80), 'FORMAT_TRUNCATED', 38],
    ['a changed byte', '42ab3807be8370a1 c2412435 616264', 'FORMAT_CHECKSUM', 8],
    ['a byte too few', '42ab3807be8370a1 c2412435 6162', 'FORMAT_CHECKSUM', 8],
    ['a byte too many', '42ab3807be8370a1 c2412435 61626300', 'FORMAT_CHECKSUM', 8],
    ['a changed ciphertext', files.encrypted.replace('4bc140', '4bc141'), 'FORMAT_CHECKSUM', 8],
    ['raw data called zstd', '31b958426fb6a37f c2412435 616263', 'FORMAT_TRUNCATED', 12],
  ]
  it.each(bad)('refuses %s', (_title, raw, code, offset) => {
    const error = refusal(() => decodeBlob(hex(raw), { key, where: 'dir/file' }))
    expect(error).toBeInstanceOf(FormatError)
    expect(error).toMatchObject({ code, path: 'dir/file', offset })
    expect(error.message).toContain(`dir/file, byte ${offset}: expected `)
  })

  it('wants the right key', () => {
    for (const kind of ['encrypted', 'encrypted-zstd'] as const) {
      expect(refusal(() => decodeBlob(hex(files[kind]), { where: 'file' }))).toMatchObject({ code: 'KEY_MISSING', path: 'file' })
      expect(refusal(() => decodeBlob(hex(files[kind]), { where: 'file', key: CryptKey.generate() }))).toMatchObject({ code: 'KEY_WRONG' })
      const forged = hex(files[kind]) // the checksum covers neither IV nor tag
      forged[20]! ^= 1
      expect(refusal(() => decodeBlob(forged, { where: 'file', key }))).toMatchObject({ code: 'KEY_WRONG' })
    }
  })

  it.each(kinds)('keeps to the caller\'s limit: %s', (kind) => {
    const bytes = kind.includes('zstd') ? hello.length : 3
    expect(decodeBlob(hex(files[kind]), { key, where: 'file', maxBytes: bytes })).toHaveLength(bytes)
    expect(refusal(() => decodeBlob(hex(files[kind]), { key, where: 'file', maxBytes: bytes - 1 }))).toMatchObject({ code: 'FORMAT_TOO_LARGE' })
  })

  it('has a limit of 128 MiB that no caller can raise', () => {
    const plain = Buffer.alloc(128 * 1024 * 1024 + 1)
    expect(() => encodeBlob(plain)).toThrow(RangeError)
    const raw = Buffer.concat([hex('42ab3807be8370a1 00000000'), plain])
    raw.writeUInt32LE(crc32(plain), 8)
    expect(refusal(() => decodeBlob(raw, { where: 'file', maxBytes: 2 ** 31 }))).toMatchObject({ code: 'FORMAT_TOO_LARGE' })
  })

  it('answers changed bytes with a refusal, or with the same data where only what nobody reads was changed', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 })
    fc.assert(fc.property(fc.constantFrom(...kinds), changes, fc.nat(100), fc.boolean(), (kind, flips, cut, repair) => {
      const raw = Buffer.from(hex(files[kind]).subarray(0, cut < 20 ? cut : undefined))
      for (const [at, flip] of flips) if (raw.length > 0) raw[at % raw.length]! ^= flip
      const from = kind.startsWith('encrypted') ? 44 : 12
      if (repair && raw.length >= from) raw.writeUInt32LE(crc32(raw.subarray(from)), 8)
      try {
        expect(decodeBlob(raw, { key, where: 'file', maxBytes: 1000 }).length).toBeLessThanOrEqual(1000)
      } catch (error) {
        expect(error).toBeInstanceOf(DatastoreError)
      }
    }), { numRuns: 2000 })
  })
})

describe('encodeBlob', () => {
  it('writes the bytes of a raw blob', () => {
    expect(encodeBlob(Buffer.from('abc')).toString('hex')).toBe(hex(files.raw).toString('hex'))
    expect(encodeBlob(Buffer.alloc(0)).toString('hex')).toBe('42ab3807be8370a100000000')
  })

  const bytes = fc.oneof(fc.uint8Array(), fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.nat(3000)).map(([unit, count]) => new Uint8Array(Buffer.alloc(count, unit))))
  it('gives what decodeBlob gives back, compressed only where that does not make it longer', () => {
    fc.assert(fc.property(bytes, fc.boolean(), fc.boolean(), (plain, compress, encrypt) => {
      const raw = encodeBlob(plain, { compress, key: encrypt ? key : undefined })
      const kind = checkBlob(raw, 'file')
      expect(kind.startsWith('encrypted')).toBe(encrypt)
      if (!compress) expect(kind).not.toContain('zstd')
      expect(raw.length).toBeLessThanOrEqual(plain.length + (encrypt ? 44 : 12))
      if (!kind.includes('zstd')) expect(raw.length).toBe(plain.length + (encrypt ? 44 : 12))
      expect(decodeBlob(raw, { key, where: 'file', maxBytes: plain.length }).equals(plain)).toBe(true)
    }))
  })

  it.each([
    ['raw', undefined, randomBytes(200_000)], ['zstd', undefined, Buffer.alloc(200_000, hello)],
    ['encrypted', key, randomBytes(200_000)], ['encrypted-zstd', key, Buffer.from(randomBytes(200_000).toString('hex'))],
  ] as const)('writes a blob, %s, into shared memory that has just room for it, and nothing behind it', (kind, blobKey, plain) => {
    const memory = Buffer.from(new SharedArrayBuffer(plain.length + MAX_HEADER_BYTES + 10)).fill(0x55)
    const length = encodeBlobInto(memory.subarray(0, plain.length + MAX_HEADER_BYTES), plain, { key: blobKey })
    expect(memory.subarray(length).every(byte => byte === 0x55)).toBe(true)
    expect(checkBlob(memory.subarray(0, length), 'memory')).toBe(kind)
    expect(decodeBlob(memory.subarray(0, length), { key, where: 'memory' }).equals(plain)).toBe(true)
    expect(length).toBe(encodeBlob(plain, { key: blobKey }).length)
  })

  it.each([['encrypted', randomBytes(200_000)], ['encrypted-zstd', Buffer.from(randomBytes(200_000).toString('hex'))]] as const)('decrypts in place only where it may, %s', (kind, plain) => {
    const raw = encodeBlob(plain, { key })
    const whole = Buffer.from(raw)
    expect(decodeBlob(raw, { key, where: 'file' }).equals(plain)).toBe(true)
    expect(raw.equals(whole)).toBe(true)
    const open = decodeBlob(raw, { key, where: 'file', inPlace: true })
    expect(open.equals(plain)).toBe(true)
    expect(open.buffer === raw.buffer).toBe(kind === 'encrypted')
    expect(raw.equals(whole)).toBe(false)
  })

  it.each([['raw', undefined], ['encrypted', key]] as const)('refuses memory that is too small for the blob, %s', (_kind, blobKey) => {
    expect(() => encodeBlobInto(Buffer.alloc(1000), randomBytes(1000), { key: blobKey })).toThrow(RangeError)
  })

  it('stores noise raw and text compressed', () => {
    expect(blobKind(encodeBlob(randomBytes(100_000)))).toBe('raw')
    expect(blobKind(encodeBlob(Buffer.alloc(100_000, hello)))).toBe('zstd')
    expect(blobKind(encodeBlob(randomBytes(100_000), { key }))).toBe('encrypted')
    expect(blobKind(encodeBlob(Buffer.alloc(100_000, hello), { key }))).toBe('encrypted-zstd')
    expect(encodeBlob(Buffer.alloc(4 * 1024 * 1024)).length).toBeLessThan(1000)
  })

  it('does not mix up the data of threads that work at the same time', async () => {
    const workers = Array.from({ length: 4 }, () => new Worker(new URL('fixtures/blob-worker.mjs', import.meta.url)))
    expect((await Promise.all(workers.map(worker => once(worker, 'message')))).flat()).toEqual([0, 0, 0, 0])
  })
})
