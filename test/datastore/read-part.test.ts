/** A part of a file in one call: what is read, what is told, and what is refused. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadNative } from '../../src/lock/native.js'
import { tryReadPart } from '../../src/datastore/file-calls.js'
import { temporaryDirectory } from './store-support.js'

const folder = temporaryDirectory()
const path = join(folder, 'file')
writeFileSync(path, '0123456789')

describe('a part of a file', () => {
  it.each([
    ['from the beginning', 0, 4, '0123'], ['from the middle', 4, 4, '4567'], ['beyond the end', 8, 4, '89'], ['behind the end', 10, 4, ''], ['far behind the end', 2 ** 52, 4, ''], ['of no bytes', 3, 0, ''],
  ])('%s', (_, offset, length, expected) => {
    const memory = Buffer.from(new SharedArrayBuffer(length + 20)).fill('.')
    expect(tryReadPart(path, memory.subarray(10, 10 + length), offset)?.bytes).toBe(expected.length)
    expect(memory.toString()).toBe(`${'.'.repeat(10)}${expected.padEnd(length, '.')}${'.'.repeat(10)}`)
  })

  it('with the time of its last change of status, to the nanosecond', () => {
    utimesSync(path, 5, 5)
    const part = tryReadPart(path, Buffer.alloc(1), 0)!
    expect(BigInt(part.changedSeconds) * 10n ** 9n + BigInt(part.changedNanoseconds)).toBe(statSync(path, { bigint: true }).ctimeNs)
  })

  it('of a name that is no UTF-8', () => {
    const odd = Buffer.from(`${folder}/\xff\xfe`, 'latin1')
    writeFileSync(odd, 'odd')
    const target = Buffer.alloc(3)
    expect(tryReadPart(odd, target, 0)?.bytes).toBe(3)
    expect(target.toString()).toBe('odd')
  })

  it('of many megabytes', () => {
    const content = Buffer.alloc(9 * 2 ** 20, 'some text ')
    writeFileSync(join(folder, 'large'), content)
    const target = Buffer.alloc(content.length)
    expect(tryReadPart(join(folder, 'large'), target, 0)?.bytes).toBe(content.length)
    expect(target.equals(content)).toBe(true)
  })

  it('of what is no regular file is not read, and nobody is waited for', () => {
    mkdirSync(join(folder, 'directory'))
    execFileSync('mkfifo', [join(folder, 'fifo')])
    const target = Buffer.from('as it was')
    for (const name of [join(folder, 'directory'), join(folder, 'fifo'), '/dev/zero']) expect(tryReadPart(name, target, 0)).toBeUndefined()
    expect(target.toString()).toBe('as it was')
  })

  it('leaves no file open, whatever happens', () => {
    const before = readdirSync('/proc/self/fd').length
    for (const name of [path, folder, '/proc/self/mem', '/nowhere']) {
      try {
        tryReadPart(name, Buffer.alloc(1), 0)
      } catch (error) {
        expect(error).toHaveProperty('code')
      }
    }
    expect(readdirSync('/proc/self/fd').length).toBe(before)
  })
})

describe('errors are those of node:fs', () => {
  const nodeError = (name: string): unknown => {
    try {
      return readFileSync(name)
    } catch (error) {
      return error
    }
  }
  const partError = (name: string): unknown => {
    try {
      return tryReadPart(name, Buffer.alloc(1), 0)
    } catch (error) {
      return error
    }
  }

  it.each([['not there', '/nowhere/at all'], ['through a file', '/etc/passwd/x'], ['too long', `/${'x'.repeat(300)}`], ['unreadable by its kind', '/proc/self/mem']])('%s', (_, name) => {
    const [ours, theirs] = [partError(name), nodeError(name)] as NodeJS.ErrnoException[]
    expect(ours).toBeInstanceOf(Error)
    const { message, code, errno, syscall, path: where } = theirs!
    expect(ours).toMatchObject({ message, code, errno, syscall, ...(where === undefined ? {} : { path: where }) })
  })

  it('a link, which is not followed; a socket', async () => {
    symlinkSync(path, join(folder, 'link'))
    expect(partError(join(folder, 'link'))).toMatchObject({ code: 'ELOOP', path: join(folder, 'link'), message: expect.stringContaining('symbolic links encountered, open') as string })
    const server = createServer()
    await new Promise<void>(resolve => server.listen(join(folder, 'socket'), resolve))
    expect(partError(join(folder, 'socket'))).toMatchObject({ code: 'ENXIO' })
    await new Promise(resolve => server.close(resolve))
  })
})

describe('wrong arguments', () => {
  const fileRead = (...values: unknown[]): unknown => (loadNative() as unknown as { fileRead: (...values: unknown[]) => unknown }).fileRead(...values)
  const [target, changed] = [Buffer.alloc(1), new Float64Array(2)]
  it.each([
    ['no path', TypeError, [undefined, target, 0, changed]], ['an empty path', TypeError, ['', target, 0, changed]], ['a NUL', TypeError, [Buffer.from('a\0b'), target, 0, changed]],
    ['no target', TypeError, [path, undefined, 0, changed]], ['a target of another kind', TypeError, [path, new ArrayBuffer(1), 0, changed]],
    ['no offset', TypeError, [path, target, undefined, changed]], ['an offset below zero', RangeError, [path, target, -1, changed]], ['an offset that is no number', RangeError, [path, target, Number.NaN, changed]],
    ['a fraction', RangeError, [path, target, 0.5, changed]], ['an offset that is too large', RangeError, [path, target, 2 ** 53, changed]],
    ['no place for the time', TypeError, [path, target, 0]], ['a place of another type', TypeError, [path, target, 0, new Uint8Array(2)]], ['a place of another length', TypeError, [path, target, 0, new Float64Array(1)]],
  ])('%s', (_, kind, values) => {
    expect(() => fileRead(...values)).toThrow(kind)
  })
})
