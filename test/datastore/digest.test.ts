import { describe, expect, it } from 'vitest'
import { digestFromHex, digestToHex, sha256, tryDigestFromHex } from '../../src/datastore/digest.js'

// python3 -c "import hashlib; print(hashlib.sha256(b'abc').hexdigest())"
const ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'

describe('digest', () => {
  it('is SHA-256 of the parts one after the other', () => {
    expect(digestToHex(sha256(Buffer.from('abc')))).toBe(ABC)
    expect(digestToHex(sha256(Buffer.from('a'), new Uint8Array(), Buffer.from('bc')))).toBe(ABC)
  })

  it('is that of a known chunk of zeros', () => {
    expect(digestToHex(sha256(new Uint8Array(4 * 1024 * 1024)))).toBe('bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8')
  })

  it('goes to text and back, also from a view', () => {
    expect(digestFromHex(ABC).toString('hex')).toBe(ABC)
    expect(digestToHex(new Uint8Array(Buffer.concat([Buffer.alloc(3), digestFromHex(ABC)])).subarray(3))).toBe(ABC)
  })

  it.each([['uppercase', ABC.toUpperCase()], ['63 digits', ABC.slice(1)], ['65 digits', `${ABC}0`], ['a newline', `${ABC}\n`], ['no digits', 'g'.repeat(64)], ['nothing', '']])('is not made of %s', (_title, text) => {
    expect(tryDigestFromHex(text)).toBeUndefined()
    expect(() => digestFromHex(text, 'the csum')).toThrow(/^the csum must be/)
  })
})
