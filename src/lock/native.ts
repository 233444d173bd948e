/**
 * native.ts: the only loader of the addon, and its typed face.
 *
 * The addon has no policy: it opens, reserves and maps, sleeps and wakes, takes byte locks. What a word means is
 * decided in TypeScript; the one exception is the death certificate (native/sentinel.cc), which must be issued while
 * JavaScript is busy.
 */

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
  /** Wakes whoever sleeps on a participant's bell (the caller has changed the word). */
  wake(participantNumber: number): void
  /** Blocks this thread until the bell word differs from `expected`, it is woken, or the time is up. True: woken or changed. */
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
}
