/**
 * native.ts: the only loader of the addon, and its typed face.
 *
 * The addon has no policy: it opens, reserves and maps, sleeps and wakes, takes byte locks. What a word means is
 * decided in TypeScript; the one exception is the death certificate (native/sentinel.cc), which must be issued while
 * JavaScript is busy.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { LockError } from '../errors.js'
import { inPackage } from '../package-root.js'
import { NATIVE_LAYOUT } from './layout.js'

/** What fstat and fstatfs say of an open file. */
export interface NativeStat {
  /** `dev:ino`, unique on this machine while the file is open. */
  readonly identity: string
  readonly sizeBytes: number
  /** st_mode, type bits included. */
  readonly mode: number
  readonly uid: number
  readonly linkCount: number
  readonly isRegular: boolean
  readonly isTmpfs: boolean
}

/** An open table file; closing twice is fine, everything else on a closed one throws. */
export interface NativeRegion {
  stat(): NativeStat
  /** Gives an unnamed file (from `createUnnamed`) its name; false if the name is taken. */
  link(path: string): boolean
  /** Maps the first `sizeBytes` shared, read and write. Once per region. */
  map(sizeBytes: number): ArrayBuffer
  /** Takes the OFD lock of one byte of the file without waiting; false if somebody else is in the way. */
  lockByte(offset: number, exclusive: boolean): boolean
  unlockByte(offset: number): void
  /** True while some other open file holds a lock on the byte. */
  isByteHeld(offset: number): boolean
  /**
   * Starts the participant's thread: robust entry, sleep on the bell, death watch. Returns when the robust word is set.
   * `onRing` runs on this environment's event loop some time after every ring; rings may be merged.
   */
  startSentinel(participantNumber: number, onRing: () => void): void
  /** Ends and joins the thread; clears the robust word, so that the kernel does not report a death. Idempotent. */
  stopSentinel(): void
  /** While true the event loop is kept alive and the sentinel also checks for deaths by the clock. */
  setWaiting(waiting: boolean): void
  /** Wakes the sleepers of a participant's bell, BELL_… bits, which the caller has cleared. */
  wake(participantNumber: number, sleepers: number): void
  /** Blocks this thread until SYNC_BELL differs from `expected`, it is woken, or the time is up. True: woken or changed. */
  waitBell(participantNumber: number, expected: number, timeoutMs: number): boolean
  /** stopSentinel, detach the ArrayBuffer, unmap, close. */
  close(): void
}

export interface NativeAddon {
  readonly layout: Readonly<Record<string, number>>
  /** Opens without following a symlink, without blocking on a FIFO. Throws an Error with errno's `code`. */
  open(path: string): NativeRegion
  /** An unnamed, fully reserved (fallocate) file in `directory`. Throws ENOSPC and leaves nothing when it does not fit. */
  createUnnamed(directory: string, sizeBytes: number, mode: number): NativeRegion
  /** sched_yield: whoever else could run on this processor does so first. */
  yieldProcessor(this: void): void
}

/** `glibc` or `musl`, by the loader that Node's program file names in its first page. (process.report says it too, 4 ms later.) */
function libcName(): string {
  const start = Buffer.alloc(4096)
  const fd = openSync('/proc/self/exe', 'r')
  try {
    readSync(fd, start, 0, start.length, 0)
  } finally {
    closeSync(fd)
  }
  return start.includes('/ld-musl-') ? 'musl' : 'glibc'
}

function requireAddon(): NativeAddon {
  const require = createRequire(import.meta.url)
  const override = process.env['LOCKTABLE_ADDON']
  if (override !== undefined && override !== '') return require(override) as NativeAddon
  const bindings = require('bindings') as (options: object) => NativeAddon
  return bindings({
    bindings: 'locktable.node',
    module_root: inPackage('.'),
    try: [
      // What the user built comes first: `bindings` goes on only from a file that is missing, not from one that does not load.
      ['module_root', 'build', 'Release', 'bindings'],
      ['module_root', 'build', 'Debug', 'bindings'],
      ['module_root', 'prebuilds', `linux-${process.arch}-${libcName()}`, 'bindings'],
    ],
  })
}

/** True if both halves agree on every constant that both of them know. */
function hasSameLayout(layout: Readonly<Record<string, number>>): boolean {
  const names = Object.keys(NATIVE_LAYOUT) as (keyof typeof NATIVE_LAYOUT)[]
  return names.length === Object.keys(layout).length && names.every((name) => layout[name] === NATIVE_LAYOUT[name])
}

function missing(message: string, cause?: unknown): LockError {
  return new LockError('NATIVE_MISSING', message, cause === undefined ? {} : { cause })
}

let loaded: NativeAddon | undefined

/**
 * The addon, loaded at the first call.
 *
 * `LOCKTABLE_ADDON` in the environment names another binary, for builds with sanitizers.
 *
 * @throws {LockError} `NATIVE_MISSING`, with a message that says what to do.
 */
export function loadNative(): NativeAddon {
  if (loaded !== undefined) return loaded
  const platform = `${process.platform}-${process.arch}`
  if (!['linux-x64', 'linux-arm64'].includes(platform)) {
    throw missing(`locktable runs on linux-x64 and linux-arm64 only and this is ${platform}: use it on one of those.`)
  }
  let addon: NativeAddon
  try {
    addon = requireAddon()
  } catch (cause) {
    throw missing(
      `The binary part of locktable could not be loaded (see this error's cause): install the package again, or build it with "npx node-gyp rebuild" in its directory.`,
      cause,
    )
  }
  if (!hasSameLayout(addon.layout)) {
    throw missing(
      'The binary part of locktable belongs to another version of the package: build it again with "npx node-gyp rebuild" or install the package again.',
    )
  }
  loaded = addon
  return addon
}
