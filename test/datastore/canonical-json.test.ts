import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, type Json, JsonFloat, parseJson, prettyJson } from '../../src/datastore/canonical-json.js'
import { FormatError } from '../../src/datastore/errors.js'
import { refusal } from './support.js'

const parsed = (text: string) => parseJson(Buffer.from(text), 'file')

describe('canonicalJson', () => {
  it.each([
    ['no white space', ' { "a" : [ 1 , true ] } ', '{"a":[1,true]}'],
    ['sorted keys', '{"b":1,"a":{"d":2,"c":3}}', '{"a":{"c":3,"d":2},"b":1}'],
    ['keys by their bytes, not their code units', '{"\ud83d\ude00":1,"\uff5e":2,"z":3,"Z":4,"":5}', '{"":5,"Z":4,"z":3,"\uff5e":2,"\ud83d\ude00":1}'],
    ['a key that is special to JavaScript', '{"__proto__":{"a":1},"10":2,"9":3}', '{"10":2,"9":3,"__proto__":{"a":1}}'],
    ['escapes', '"\\u0041\\/\\"\\\\\\b\\f\\n\\r\\t\\u001f\\u007f\\u00fc\\u2028"', '"A/\\"\\\\\\b\\f\\n\\r\\t\\u001f\u007fü\u2028"'],
    ['nothing in it', '[{},[]]', '[{},[]]'],
  ])('%s', (_title, text, canonical) => {
    expect(canonicalJson(parsed(text))).toBe(canonical)
  })

  // What serde_json makes of a number's text: whole ones of 64 bits stay, all else is the shortest decimal of the double.
  it.each([
    ['0', '0'], ['-0', '-0.0'], ['-7', '-7'],
    ['9007199254740993', '9007199254740993'], ['18446744073709551615', '18446744073709551615'], ['-9223372036854775808', '-9223372036854775808'],
    ['18446744073709551616', '1.8446744073709552e19'], ['-9223372036854775809', '-9.223372036854776e18'],
    ['1.0', '1.0'], ['-1.50', '-1.5'], ['1e2', '100.0'], ['0.0', '0.0'], ['-0.0', '-0.0'], ['0.1', '0.1'], ['123.456', '123.456'],
    ['0.00001', '0.00001'], ['0.000012', '0.000012'], ['0.000001', '1e-6'], ['0.0000015', '1.5e-6'],
    ['1e15', '1000000000000000.0'], ['1e16', '1e16'], ['123456789012345680.0', '1.2345678901234568e17'], ['1234567890123456.7', '1234567890123456.8'],
    ['5e-324', '5e-324'], ['1.7976931348623157e308', '1.7976931348623157e308'],
  ])('the number %s is %s', (text, canonical) => {
    expect(canonicalJson(parsed(text))).toBe(canonical)
    expect(canonicalJson(parsed(canonical))).toBe(canonical)
  })

  it.each<[string, Json | undefined]>([['null', null], ['null inside', [{ a: null }]], ['infinity', Infinity], ['no number', NaN], ['2^64', 2n ** 64n], ['half a character', '\ud800'], ['the same in a key', { '\udc00': 1 }]])('has no %s', (_title, value) => {
    expect(() => canonicalJson(value!)).toThrow(RangeError)
  })

  it('has nothing that is no JSON', () => {
    expect(() => canonicalJson({ a: undefined } as never)).toThrow(TypeError)
    expect(() => canonicalJson((() => 1) as never)).toThrow(TypeError)
  })
})

describe('prettyJson', () => {
  it('has two spaces for each level, and sorted keys', () => {
    expect(prettyJson({ b: [1, { c: null }], a: {}, d: [] })).toBe('{\n  "a": {},\n  "b": [\n    1,\n    {\n      "c": null\n    }\n  ],\n  "d": []\n}')
  })
})

describe('parseJson', () => {
  it.each([
    ['nothing', '', 0],
    ['something behind', '{} x', 3],
    ['half an object', '{"a":', 5],
    ['a comma too many', '{"ü":1,}', 8],
    ['a number with a leading zero', '[01]', 2],
    ['a number beyond all doubles', '1e999', 0],
    ['a half surrogate pair', '"\\ud800"', 0],
    ['the same in a key', '{"\\ud800":1}', 0],
    ['two values for one key', '{"a":1,"a":2}', 8],
    ['a byte order mark', '\ufeff{}', 0],
  ])('refuses %s', (_title, text, offset) => {
    const error = refusal(() => parsed(text))
    expect(error).toBeInstanceOf(FormatError)
    expect(error).toMatchObject({ code: 'FORMAT_JSON', path: 'file', offset })
  })

  it('refuses what is not UTF-8', () => {
    expect(refusal(() => parseJson(Buffer.from('"\xff"', 'latin1'), 'file'))).toMatchObject({ code: 'FORMAT_JSON' })
  })

  it('refuses nesting that would exhaust the stack', () => {
    expect(canonicalJson(parsed('['.repeat(127) + ']'.repeat(127)))).toHaveLength(254)
    for (const depth of [128, 5000, 1_000_000]) {
      expect(refusal(() => parsed('['.repeat(depth) + ']'.repeat(depth)))).toMatchObject({ code: 'FORMAT_JSON' })
      expect(refusal(() => parsed('{"a":'.repeat(depth)))).toMatchObject({ code: 'FORMAT_JSON' })
    }
  })

  it('reads what was written, and JSON.parse reads the same', () => {
    const json = fc.letrec<{ value: Json }>(tie => ({
      value: fc.oneof({ maxDepth: 4 }, fc.constant(null), fc.boolean(), fc.maxSafeInteger().filter(value => !Object.is(value, -0)), fc.string({ unit: 'grapheme' }),
        fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => new JsonFloat(value)), fc.array(tie('value')), fc.dictionary(fc.string({ unit: 'grapheme' }), tie('value'))),
    })).value
    const plain = (value: Json): unknown => JSON.parse(prettyJson(value))
    fc.assert(fc.property(json, (value) => {
      expect(prettyJson(parsed(prettyJson(value)))).toBe(prettyJson(value))
      const bare = (part: any): any => part instanceof JsonFloat ? part.value : Array.isArray(part) ? part.map(bare) : part && typeof part === 'object' ? Object.fromEntries(Object.entries(part).map(([key, item]) => [key, bare(item)])) : part
      expect(plain(value)).toEqual(bare(value))
    }))
  })

  it('answers any bytes with a value or a refusal', () => {
    const text = fc.array(fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '1', '-', '.', 'e', 'null', 'true', '\\u', 'd800', ' ', 'a'), { maxLength: 12 }).map(parts => Buffer.from(parts.join('')))
    fc.assert(fc.property(fc.oneof(text, fc.uint8Array()), (raw) => {
      try {
        parseJson(raw, 'file')
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError)
        expect((error as FormatError).offset).toBeLessThanOrEqual(raw.length)
      }
    }), { numRuns: 3000 })
  })
})
