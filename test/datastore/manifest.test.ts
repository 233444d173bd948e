import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blobKind, decodeBlob, encodeBlob } from '../../src/datastore/blob.js'
import { CryptKey } from '../../src/datastore/crypt.js'
import { DatastoreError } from '../../src/datastore/errors.js'
import * as manifests from '../../src/datastore/manifest.js'
import { refusal } from './support.js'

// hashlib.scrypt(b'test', salt=b'', n=65536, r=8, p=1, dklen=32): the key that other implementations test their signatures with.
const key = new CryptKey(Buffer.from('28cdb1a3bef39396c3860e00d448fe7a0efd8244486ab6feb30457681d31597e', 'hex'))
const SIGNATURE = 'd7b446fb7db081662081d4b40fedd858a1d6307a5aff4ecff7d5bf4fd35679e9'
const FINGERPRINT = '12:b9:b7:74:bb:3d:89:95:2b:97:cb:c2:82:f0:0c:14:2b:83:ba:7f:96:62:6a:a1:5a:44:9a:63:e8:91:fe:25'

const manifest = manifests.createManifest({
  backupType: 'host',
  backupId: 'elsa',
  backupTime: 1593179765,
  files: [
    { filename: 'test1.img.fidx', cryptMode: 'encrypt', size: 200, csum: Buffer.alloc(32, 1) },
    { filename: 'abc.blob', cryptMode: 'none', size: 200, csum: Buffer.alloc(32, 2) },
  ],
  unprotected: { notes: 'x' },
})

// python3: json.dumps(…, indent=2, sort_keys=True)
const text = `{
  "backup-id": "elsa",
  "backup-time": 1593179765,
  "backup-type": "host",
  "files": [
    {
      "crypt-mode": "encrypt",
      "csum": "${'01'.repeat(32)}",
      "filename": "test1.img.fidx",
      "size": 200
    },
    {
      "crypt-mode": "none",
      "csum": "${'02'.repeat(32)}",
      "filename": "abc.blob",
      "size": 200
    }
  ],
  "signature": null,
  "unprotected": {
    "notes": "x"
  }
}`
const blobOf = (json: string) => encodeBlob(Buffer.from(json))
const decoded = (json: string) => manifests.decodeManifest(blobOf(json), 'dir/index.json.blob')

describe('a manifest', () => {
  it('is written to the byte, compressed, not encrypted', () => {
    const raw = manifests.encodeManifest(manifest)
    expect(blobKind(raw)).toBe('zstd')
    expect(decodeBlob(raw, { where: 'file' }).toString()).toBe(text)
  })

  it('is read as it was made', () => {
    expect(decoded(text)).toEqual(manifest)
    expect(manifests.decodeManifest(manifests.encodeManifest(manifest, { key }), 'file')).toEqual(manifests.signManifest(manifest, key))
  })

  it('is read where parts are missing that may be', () => {
    const bare = decoded(`{"backup-type":"vm","backup-id":"100","backup-time":1,"files":[{"filename":"a.didx","size":0,"csum":"${'AB'.repeat(32)}"}]}`)
    expect(bare).toMatchObject({ unprotected: {}, signature: null, files: [{ filename: 'a.didx', cryptMode: 'none', size: 0, csum: Buffer.alloc(32, 0xab) }] })
    expect(manifests.keyFingerprint(bare)).toBeUndefined()
  })

  it('keeps what it does not know, so that a signature by somebody else still holds after new notes', () => {
    const signed = { 'future': [1.5, '\u00fc'], 'big': 18446744073709551615n, 'backup-type': 'vm', 'backup-id': '1', 'backup-time': 5, 'files': [] } as const
    const signature = key.authTag(Buffer.from('{"backup-id":"1","backup-time":5,"backup-type":"vm","big":18446744073709551615,"files":[],"future":[1.0,"\u00fc"]}')).toString('hex')
    const theirs = decoded(`{"future":[1.0,"\u00fc"],"big":${signed.big},"backup-type":"vm","backup-id":"1","backup-time":5,"files":[],"signature":"${signature}","unprotected":{"other":0.50}}`)
    const ours = manifests.decodeManifest(manifests.encodeManifest(manifests.withUnprotected(theirs, { notes: 'new' })), 'file')
    manifests.checkSignature(ours, key, 'file')
    expect(ours.signature).toBe(signature)
    expect(decodeBlob(manifests.encodeManifest(ours), { where: 'file' }).toString()).toContain('"other": 0.5\n')
    expect(manifests.withUnprotected(ours, { notes: undefined, other: undefined }).unprotected).toEqual({})
  })

  const valid = JSON.parse(text) as { files: object[] }
  const with_ = (changes: object) => JSON.stringify({ ...valid, ...changes })
  const withFile = (changes: object) => with_({ files: [{ ...valid.files[0], ...changes }] })
  const bad: readonly (readonly [string, string, RegExp])[] = [
    ['no object', '[]', /the manifest to be an object/],
    ['another type', with_({ 'backup-type': 'qemu' }), /backup-type must be/],
    ['no id', with_({ 'backup-id': undefined }), /backup-id must be/],
    ['an id above the store', with_({ 'backup-id': '..' }), /backup-id must be/],
    ['a time of 0', with_({ 'backup-time': 0 }), /backup-time must be/],
    ['a time with a fraction', text.replace('1593179765', '1593179765.0'), /backup-time must be/],
    ['no files', with_({ files: undefined }), /files to be an array, found nothing/],
    ['a file that is text', with_({ files: ['a.blob'] }), /files\[0\] to be an object/],
    ['a file above the snapshot', withFile({ filename: '../a.blob' }), /files\[0\]\.filename must be/],
    ['a file that is no archive', withFile({ filename: 'owner' }), /files\[0\]\.filename must end/],
    ['an unknown encryption', withFile({ 'crypt-mode': 'rot13' }), /files\[0\]\.crypt-mode must be/],
    ['encryption null', withFile({ 'crypt-mode': null }), /files\[0\]\.crypt-mode must be/],
    ['a negative size', withFile({ size: -1 }), /files\[0\]\.size must be/],
    ['a size above 2^53', text.replace('200', '9007199254740993'), /files\[0\]\.size must be/],
    ['a size as text', withFile({ size: '1' }), /files\[0\]\.size must be/],
    ['a checksum of 31 bytes', withFile({ csum: '01'.repeat(31) }), /files\[0\]\.csum to be 64 hex/],
    ['notes for unprotected', with_({ unprotected: 'x' }), /unprotected to be an object/],
    ['a signature of another length', with_({ signature: 'ab' }), /signature to be 64 hex/],
    ['two types', text.replace('{', '{"backup-type": "vm",'), /JSON/],
  ]
  it.each(bad)('is refused: %s', (_title, json, message) => {
    const error = refusal(() => decoded(json))
    expect(error).toMatchObject({ code: 'FORMAT_JSON', path: 'dir/index.json.blob' })
    expect(error.message).toMatch(message)
  })

  it('is refused when encrypted, no JSON, or too large', () => {
    const of = (raw: Buffer) => refusal(() => manifests.decodeManifest(raw, 'file'))
    expect(of(encodeBlob(Buffer.from(text), { key }))).toMatchObject({ code: 'FORMAT_MAGIC', offset: 0 })
    expect(of(blobOf(text.slice(0, -1)))).toMatchObject({ code: 'FORMAT_JSON', offset: text.length - 1 })
    expect(of(encodeBlob(Buffer.alloc(16 * 1024 * 1024 + 1, ' ')))).toMatchObject({ code: 'FORMAT_TOO_LARGE' })
  })

  it('is not made of what a manifest cannot have', () => {
    const [file] = manifest.files
    for (const wrong of [{ backupId: '' }, { backupTime: 0 }, { backupType: 'x' as never }, { files: [file!, file!] }, { files: [{ ...file!, size: 1.5 }] }, { files: [{ ...file!, csum: Buffer.alloc(31) }] }, { files: [{ ...file!, filename: 'a' }] }]) {
      expect(() => manifests.createManifest({ ...manifest, ...wrong }), JSON.stringify(wrong)).toThrow(RangeError)
    }
  })

  it('of any changed bytes is refused or sound', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(text.length - 1), fc.integer({ min: 32, max: 126 })), { minLength: 1, maxLength: 3 }), (changes) => {
      const raw = Buffer.from(text)
      for (const [at, value] of changes) raw[at] = value
      try {
        const found = manifests.decodeManifest(encodeBlob(raw), 'file')
        expect(manifests.decodeManifest(manifests.encodeManifest(found), 'file')).toEqual(found)
      } catch (error) {
        expect(error).toBeInstanceOf(DatastoreError)
      }
    }), { numRuns: 1000 })
  })
})

describe('the signature', () => {
  const signed = manifests.signManifest(manifest, key)

  it('is the one that others compute, and notes the key', () => {
    expect(signed.signature).toBe(SIGNATURE)
    expect(signed.unprotected).toEqual({ 'notes': 'x', 'key-fingerprint': FINGERPRINT })
    manifests.checkSignature(signed, key, 'file')
    manifests.checkFingerprint(signed, key, 'file')
  })

  it('does not cover what is unprotected', () => {
    manifests.checkSignature(manifests.withUnprotected(signed, { notes: 'other', verify_state: { state: 'ok', upid: 'x' } }), key, 'file')
  })

  it.each([
    ['another id', '"elsa"', '"anna"'],
    ['another size', '200', '201'],
    ['another checksum', '01', '03'],
    ['less encryption', '"encrypt"', '"none"'],
    ['a new key', '{\n', '{\n  "x": 1,\n'],
  ])('does not hold for %s', (_title, from, to) => {
    const changed = decoded(decodeBlob(manifests.encodeManifest(signed), { where: 'file' }).toString().replace(from, to))
    expect(refusal(() => manifests.checkSignature(changed, key, 'file'))).toMatchObject({ code: 'SIGNATURE_WRONG', path: 'file' })
  })

  it('does not hold for another key, with or without its fingerprint', () => {
    const other = CryptKey.generate()
    expect(refusal(() => manifests.checkSignature(signed, other, 'file'))).toMatchObject({ code: 'KEY_WRONG' })
    expect(refusal(() => manifests.checkFingerprint(signed, other, 'file'))).toMatchObject({ code: 'KEY_WRONG' })
    expect(refusal(() => manifests.checkFingerprint(signed, undefined, 'file'))).toMatchObject({ code: 'KEY_MISSING' })
    const nameless = manifests.withUnprotected(signed, { 'key-fingerprint': undefined })
    manifests.checkSignature(nameless, key, 'file')
    expect(refusal(() => manifests.checkSignature(nameless, other, 'file'))).toMatchObject({ code: 'SIGNATURE_WRONG' })
  })

  it('is not asked for where there is none', () => {
    manifests.checkSignature(manifest, key, 'file')
    manifests.checkFingerprint(manifest, undefined, 'file')
    manifests.checkFingerprint(manifest, key, 'file')
  })

  it('cannot be of a null', () => {
    const odd = decoded(text.replace('"files"', '"odd": null,\n  "files"').replace('"signature": null', `"signature": "${SIGNATURE}"`))
    expect(refusal(() => manifests.checkSignature(odd, key, 'file'))).toMatchObject({ code: 'FORMAT_JSON' })
  })
})
