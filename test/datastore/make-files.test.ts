/** Many files in one call: what they get, where it stops, and what is refused. */
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeFiles } from '../../src/datastore/file-calls.js'
import { temporaryDirectory } from './store-support.js'

const folder = temporaryDirectory()
const bytes = Buffer.from(new SharedArrayBuffer(10))
bytes.write('0123456789')
const natural = Float64Array.of(process.getuid!(), process.getgid!(), 0o644)
const names = (...all: string[]): Buffer => Buffer.from(all.join('\0'), 'latin1')
/** With a range of the bytes. */
const file = (from: number, to: number, mode = 0o644, uid = -1): number[] => [from, to, mode, uid, -1, -5, 123456789]

describe('files', () => {
  it('with contents, mode and time, of names that need not be UTF-8', () => {
    makeFiles(bytes, folder, names('one', 'two\xff', 'three'), Float64Array.of(...file(0, 4), ...file(4, 10, 0o4751), ...file(3, 3, 0o000)), natural)
    const seen = [Buffer.from('one'), Buffer.from('two\xff', 'latin1'), Buffer.from('three')].map(name => {
      const path = Buffer.concat([Buffer.from(`${folder}/`), name])
      const { mode, mtimeNs } = statSync(path, { bigint: true })
      return [readFileSync(path, 'latin1'), Number(mode & 0o7777n), mtimeNs]
    })
    expect(seen).toEqual([['0123', 0o644, -4_876_543_211n], ['456789', 0o4751, -4_876_543_211n], ['', 0, -4_876_543_211n]])
  })

  it('until one cannot be made: those before it are there, and nothing is replaced or followed', () => {
    writeFileSync(join(folder, 'there'), 'old')
    symlinkSync(join(folder, 'nowhere'), join(folder, 'link'))
    for (const taken of ['there', 'link']) {
      const make = (): void => makeFiles(bytes, folder, names(`before ${taken}`, taken, `behind ${taken}`), Float64Array.of(...file(0, 1), ...file(0, 1), ...file(0, 1)), natural)
      expect(make).toThrow(`EEXIST: file already exists, open '${folder}/${taken}'`)
      expect([`before ${taken}`, `behind ${taken}`].map(name => existsSync(join(folder, name)))).toEqual([true, false])
    }
    expect(readFileSync(join(folder, 'there'), 'utf8')).toBe('old')
    expect(existsSync(join(folder, 'nowhere'))).toBe(false)
  })
})

describe('wrong arguments', () => {
  const one = names('wrong')
  const good = Float64Array.of(...file(0, 1))
  it.each<[string, typeof TypeError | typeof RangeError, unknown[]]>([
    ['no bytes', TypeError, [undefined, folder, one, good, natural]], ['no folder', TypeError, [bytes, '', one, good, natural]], ['names as text', TypeError, [bytes, folder, 'wrong', good, natural]],
    ['numbers of another type', TypeError, [bytes, folder, one, new Uint8Array(7), natural]], ['too few of them', RangeError, [bytes, folder, one, good.subarray(1), natural]],
    ['too few names', RangeError, [bytes, folder, one, Float64Array.of(...file(0, 1), ...file(0, 1)), natural]], ['nothing natural', TypeError, [bytes, folder, one, good, new Float64Array(2)]],
    ['a range that ends before it begins', RangeError, [bytes, folder, one, Float64Array.of(...file(2, 1)), natural]], ['one that ends behind the bytes', RangeError, [bytes, folder, one, Float64Array.of(...file(0, 11)), natural]],
    ['one that is no number', RangeError, [bytes, folder, one, Float64Array.of(...file(Number.NaN, 1)), natural]], ['a mode with a type', RangeError, [bytes, folder, one, Float64Array.of(...file(0, 1, 0o100644)), natural]],
    ['nobody\'s number', RangeError, [bytes, folder, one, Float64Array.of(...file(0, 1, 0o644, 2 ** 32)), natural]],
  ])('%s', (_, kind, values) => {
    expect(() => makeFiles(...values as Parameters<typeof makeFiles>)).toThrow(kind)
  })
})
