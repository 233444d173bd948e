import { spawnSync } from 'node:child_process'
import { statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { NATIVE_LAYOUT } from '../../src/lock/layout.js'
import { type NativeRegion, loadNative } from '../../src/lock/native.js'
import { Opener, TABLE_BYTES, after, descriptorCount, makeTable, mappingsOf, temporaryDirectory, until } from './support.js'

const native = loadNative()

function opened(path: string): NativeRegion {
  const region = native.open(path)
  after(() => {
    region.close()
  })
  return region
}

function created(directory: string, sizeBytes: number, mode = 0o600): NativeRegion {
  const region = native.createUnnamed(directory, sizeBytes, mode)
  after(() => {
    region.close()
  })
  return region
}

function fifo(path: string): string {
  expect(spawnSync('mkfifo', [path]).status).toBe(0)
  return path
}

test('the addon states the layout that the package expects', () => {
  expect(native.layout).toEqual(NATIVE_LAYOUT)
})

describe('creating', () => {
  test('a file has no name until it is linked, then exactly one', () => {
    const directory = temporaryDirectory()
    const region = created(directory, TABLE_BYTES)
    expect(region.stat()).toMatchObject({ linkCount: 0, sizeBytes: TABLE_BYTES, isRegular: true, isTmpfs: true })
    expect(region.link(join(directory, 'table'))).toBe(true)
    expect(region.stat().linkCount).toBe(1)
    const { dev, ino } = statSync(join(directory, 'table'))
    expect(region.stat()).toMatchObject({ identity: `${dev}:${ino}`, uid: process.getuid?.() })
  })

  test('a name that is taken stays as it is', () => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, 'taken'), 'mine')
    expect(created(directory, 4096).link(join(directory, 'taken'))).toBe(false)
    expect(statSync(join(directory, 'taken')).size).toBe(4)
  })

  test('the mode is exact, whatever the umask', () => {
    const before = process.umask(0o077)
    after(() => process.umask(before))
    expect(created(temporaryDirectory(), 4096, 0o664).stat().mode & 0o7777).toBe(0o664)
  })

  test('all of it is reserved at once', () => {
    const directory = temporaryDirectory()
    created(directory, 1 << 20).link(join(directory, 'table'))
    expect(statSync(join(directory, 'table')).blocks * 512).toBeGreaterThanOrEqual(1 << 20)
  })

  test('a link into a missing directory fails with the path', () => {
    const path = join(temporaryDirectory(), 'missing', 'table')
    expect(() => created(temporaryDirectory(), 4096).link(path)).toThrow(
      expect.objectContaining({ code: 'ENOENT', errno: -2, syscall: 'linkat', path }),
    )
  })

  test('a full file system is an error at creation, and nothing is left', context => {
    const directory = temporaryDirectory()
    const addon = process.env['LOCKTABLE_ADDON'] ?? createRequire(import.meta.url).resolve('../../build/Release/locktable.node')
    const script = `
      const native = require(${JSON.stringify(addon)})
      const before = require('fs').readdirSync('/proc/self/fd').length
      let error
      try { native.createUnnamed(process.argv[1], 2 << 20, 0o600) } catch (thrown) { error = thrown }
      const descriptors = require('fs').readdirSync('/proc/self/fd').length - before
      const { bfree, blocks } = require('fs').statfsSync(process.argv[1])
      console.log(JSON.stringify({ code: error?.code, syscall: error?.syscall, descriptors, used: blocks - bfree }))`
    const command = 'mount -t tmpfs -o size=1m none "$1" || exit 99; exec "$2" -e "$3" "$1"'
    const result = spawnSync('unshare', ['-m', 'sh', '-c', command, 'sh', directory, process.execPath, script], { encoding: 'utf8' })
    if (result.error !== undefined || result.status === 99 || result.stderr.includes('unshare')) {
      const reason = 'mounting a small tmpfs is not permitted here'
      console.log(`skipped: ${reason}`)
      context.skip(reason)
    }
    expect(JSON.parse(result.stdout)).toEqual({ code: 'ENOSPC', syscall: 'fallocate', descriptors: 0, used: 0 })
  })
})

describe('opening', () => {
  const refused: [string, string, (directory: string) => string][] = [
    ['a missing file', 'ENOENT', directory => join(directory, 'missing')],
    ['a directory', 'EISDIR', directory => directory],
    ['a path through a file', 'ENOTDIR', directory => {
      writeFileSync(join(directory, 'file'), '')
      return join(directory, 'file', 'table')
    }],
    ['a symlink', 'ELOOP', directory => {
      writeFileSync(join(directory, 'file'), '')
      symlinkSync(join(directory, 'file'), join(directory, 'link'))
      return join(directory, 'link')
    }],
    ['a name that is too long', 'ENAMETOOLONG', directory => join(directory, 'x'.repeat(300))],
  ]
  test.each(refused)('%s is %s', (_, code, make) => {
    const path = make(temporaryDirectory())
    expect(() => native.open(path)).toThrow(expect.objectContaining({ code, syscall: 'open', path }))
  })

  test('a FIFO does not block, and is told apart', () => {
    expect(opened(fifo(join(temporaryDirectory(), 'fifo'))).stat().isRegular).toBe(false)
  })

  test('a file elsewhere is no tmpfs file', () => {
    expect(opened('/proc/self/comm').stat()).toMatchObject({ isTmpfs: false, isRegular: true })
  })

  test('the descriptor does not survive exec', () => {
    const path = makeTable()
    opened(path)
    const listing = spawnSync('sh', ['-c', 'ls -l /proc/self/fd'], { encoding: 'utf8' })
    expect(listing.stdout).not.toContain(path)
  })

  test('a region that is forgotten before it was mapped is closed by the garbage collector', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const path = makeTable()
    const before = descriptorCount()
    for (let i = 0; i < 50; i++) native.open(path)
    await until(() => {
      collect()
      return descriptorCount() <= before
    })
  })
})

describe('mapping', () => {
  test('two regions of a file share its words', () => {
    const path = makeTable()
    const [one, two] = [new Opener(path), new Opener(path)]
    Atomics.store(one.words, 7, 42)
    expect(Atomics.load(two.words, 7)).toBe(42)
  })

  test('more than the file has is refused instead of raising SIGBUS later', () => {
    expect(() => opened(makeTable()).map(TABLE_BYTES + 1)).toThrow(expect.objectContaining({ code: 'ENXIO', syscall: 'mmap' }))
  })

  test('a region maps once', () => {
    expect(() => new Opener(makeTable()).region.map(4096)).toThrow('mapped already')
  })

  test('closing detaches every view, unmaps, and may be repeated', () => {
    const path = makeTable()
    const { region, buffer, words } = new Opener(path)
    expect(mappingsOf(path)).toBe(1)
    region.close()
    region.close()
    expect([buffer.byteLength, words.length, mappingsOf(path)]).toEqual([0, 0, 0])
  })

  test('a buffer that cannot be detached keeps its memory', () => {
    const path = makeTable()
    const { region, buffer } = new Opener(path)
    // ArrayBuffer.prototype.transfer (Node 22) moves the memory to a buffer that the addon does not know.
    const moved = 'transfer' in buffer ? (buffer as { transfer(): ArrayBuffer }).transfer() : undefined
    region.close()
    if (moved !== undefined) expect(new Int32Array(moved)[0]).toBe(0)
    expect(mappingsOf(path)).toBe(moved === undefined ? 0 : 1)
  })

  const methods: [string, (region: NativeRegion) => unknown][] = [
    ['stat', region => region.stat()],
    ['link', region => region.link('/dev/shm/never')],
    ['map', region => region.map(4096)],
    ['lockByte', region => region.lockByte(1, true)],
    ['unlockByte', region => {
      region.unlockByte(1)
    }],
    ['isByteHeld', region => region.isByteHeld(1)],
    ['startSentinel', region => {
      region.startSentinel(1, () => undefined)
    }],
    ['stopSentinel', region => {
      region.stopSentinel()
    }],
    ['setWaiting', region => {
      region.setWaiting(false)
    }],
    ['wake', region => {
      region.wake(1, 1)
    }],
    ['waitBell', region => region.waitBell(1, 0, 0)],
  ]
  test.each(methods)('%s on a closed region throws EBADF', (_, call) => {
    const { region } = new Opener(makeTable())
    region.close()
    expect(() => call(region)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })
})

describe('wrong arguments', () => {
  const anything = native as unknown as Record<string, (...values: unknown[]) => unknown>
  const rows: [string, new () => Error, () => unknown][] = [
    ['open without a path', TypeError, () => anything['open']?.()],
    ['open of a number', TypeError, () => anything['open']?.(3)],
    ['a path with a NUL', TypeError, () => native.open('/dev/shm/a\0b')],
    ['an empty path', TypeError, () => native.open('')],
    ['a size of zero', RangeError, () => native.createUnnamed('/dev/shm', 0, 0o600)],
    ['a size that is not whole', RangeError, () => native.createUnnamed('/dev/shm', 1.5, 0o600)],
    ['a size of NaN', RangeError, () => native.createUnnamed('/dev/shm', NaN, 0o600)],
    ['a mode with type bits', RangeError, () => native.createUnnamed('/dev/shm', 4096, 0o10600)],
    ['participant 0', RangeError, () => {
      new Opener(makeTable()).region.wake(0, 1)
    }],
    ['participant 128', RangeError, () => {
      new Opener(makeTable()).region.wake(128, 1)
    }],
    ['sleepers that are none', RangeError, () => {
      new Opener(makeTable()).region.wake(1, 4)
    }],
    ['a negative byte', RangeError, () => new Opener(makeTable()).region.lockByte(-1, true)],
    ['a time-out of NaN', RangeError, () => new Opener(makeTable()).region.waitBell(1, 0, NaN)],
    ['a mapping without participants', Error, () => {
      const region = opened(makeTable())
      region.map(4096)
      region.wake(1, 1)
    }],
    ['a region made by hand', TypeError, () => new (opened(makeTable()).constructor as new () => unknown)()],
    ['a method of a region on something else', Error, () => opened(makeTable()).stat.call({} as NativeRegion)],
  ]
  test.each(rows)('%s', (_, kind, call) => {
    expect(call).toThrow(kind)
  })
})

test('many regions leave neither descriptors nor mappings', () => {
  const path = makeTable()
  const before = descriptorCount()
  for (let i = 0; i < 300; i++) {
    const region = native.open(path)
    region.map(TABLE_BYTES)
    region.close()
  }
  expect([descriptorCount(), mappingsOf(path)]).toEqual([before, 0])
})
