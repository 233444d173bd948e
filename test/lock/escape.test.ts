import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lockFilePath } from '../../src/lock/escape.js'

const rows: readonly (readonly [string, string | Uint8Array, string])[] = [
  ['a group', 'vm/100', 'vm-100'],
  ['a snapshot', 'vm/100/2022-05-02T08:11:33Z', 'vm-100-2022\\x2d05\\x2d02T08\\x3a11\\x3a33Z'],
  ['a manifest', 'vm/100/2022-05-02T08:11:33Z/.index.json.lck', 'vm-100-2022\\x2d05\\x2d02T08\\x3a11\\x3a33Z-.index.json.lck'],
  ['plain', 'A.z_0', 'A.z_0'],
  ['a minus', 'a-b', 'a\\x2db'],
  ['a backslash', 'a\\x2fb', 'a\\x5cx2fb'],
  ['one dot', '.', '\\x2e'],
  ['two dots', '..', '\\x2e.'],
  ['a path upwards', '../../etc/passwd', '\\x2e.-..-etc-passwd'],
  ['a leading slash', '/a/b', 'a-b'],
  ['a dot after leading slashes', '//.a', '\\x2ea'],
  ['slashes alone', '//', '-'],
  ['a trailing slash', 'a/', 'a-'],
  ['NUL and newline', 'a\0\n', 'a\\x00\\x0a'],
  ['two bytes', 'ü', '\\xc3\\xbc'],
  ['four bytes', '😀', '\\xf0\\x9f\\x98\\x80'],
  ['a lone high surrogate', 'a\ud83d', 'a\\xed\\xa0\\xbd'],
  ['a lone low surrogate', '\ude00b', '\\xed\\xb8\\x80b'],
  ['bytes', new Uint8Array([0xff, 0x41]), '\\xffA'],
  ['the directory of the hashed', 'hashed', '\\x68ashed'],
  ['the same after a slash', '/hashed', '\\x68ashed'],
  ['254 bytes', 'a'.repeat(254), 'a'.repeat(254)],
]

describe('lockFilePath', () => {
  it.each(rows)('%s', (_title, name, path) => {
    expect(lockFilePath(name)).toBe(path)
  })

  it.each([
    ['255 bytes', 'a'.repeat(255), 'a'.repeat(80), 'a'.repeat(80)],
    ['85 escaped ones', '-'.repeat(85), '\\x2d'.repeat(20), '\\x2d'.repeat(20)],
  ])('hashes %s', (_title, name, first, last) => {
    expect(lockFilePath(name)).toBe(`hashed/${first}...${last}-${createHash('sha256').update(name).digest('hex')}`)
  })

  it('gives different names different files that a directory can hold', () => {
    const name = fc.oneof(fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }), fc.string({ unit: fc.constantFrom('/', '.', '-', '\\', 'a', '\ud83d', '\ude00'), minLength: 1 }))
    fc.assert(fc.property(name, name, (a, b) => {
      const [one, other] = [lockFilePath(a), lockFilePath(b)]
      expect(one.replace(/^hashed\//, '')).toMatch(/^(?!\.)[A-Za-z0-9_.\\-]{1,254}$/)
      expect(one === other).toBe(a.replace(/^\/+/, '') === b.replace(/^\/+/, ''))
    }))
  })
})
