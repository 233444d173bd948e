/**
 * layout.ts: every offset, size, bit and limit of the table file. Pure.
 *
 * All numbers are 32-bit words in the machine's byte order unless a name ends in `Bytes`. The native half
 * restates the few it needs (native/native.h) and is compared with NATIVE_LAYOUT when it is loaded.
 *
 *   word 0        header                  1 024 words
 *   word 1 024    participants 0 … 127      128 x 64 words (number 0 is never given out)
 *   word 9 216    space 0: slots          slotCount x 64 words
 *   …             space 1, …
 *
 * ABANDONED LAYOUTS
 *   128 bytes a slot: state, bits and record fit, but no name does, and people read names, not hashes.
 *   A reader count in the state word: a dead reader cannot be told from a live one.
 *   Holder pid in the slot: one more store per lock for what the participant record already says.
 */

export const WORD_BYTES = 4
/** A file is recognised by these two words: "LOCK", "TABL" read as little-endian bytes. */
export const MAGIC = [0x4b434f4c, 0x4c424154] as const
/** Raised by hand when a word changes its meaning but not its place. */
export const FORMAT_VERSION = 1
/** Reads differently on a machine of the other endianness. */
export const BYTE_ORDER_MARK = 0x01020304

export const HEADER_WORDS = 1024
/** Offsets of the header's words. All but ROSTER and RETIRED are written once, before the file has a name. */
export const HEADER = {
  MAGIC_0: 0,
  MAGIC_1: 1,
  BYTE_ORDER: 2,
  FINGERPRINT: 3, // layoutFingerprint() of the code that made the file
  SIZE_WORDS: 4, // of the whole file
  SPACE_COUNT: 5,
  SEED_0: 6, // key of the name hash
  SEED_1: 7,
  EPOCH_0: 8, // random, differs for every table ever made; half of a fencing token
  EPOCH_1: 9,
  BOOT_ID: 10, // four words of /proc/sys/kernel/random/boot_id
  CREATED_LOW: 14, // seconds since 1970
  CREATED_HIGH: 15,
  ROSTER: 16, // +1 whenever a participant joins, leaves or is certified dead (written by all, Atomics)
  RETIRED: 17, // 1 once the table is officially removed (written by the remover)
  SPACES: 64, // SPACE_LIMIT descriptors
} as const

export const SPACE_LIMIT = 16
export const SPACE_WORDS = 16
export const SPACE_NAME_BYTES = 48
export const SPACE = {
  SLOT_COUNT: 0,
  FIRST_WORD: 1, // of slot 0
  NAME_LENGTH: 2, // bytes of UTF-8
  NAME: 4, // 12 words
} as const

/** Number 0 means nobody, so 127 participants can be in a table at a time. */
export const PARTICIPANT_LIMIT = 128
export const PARTICIPANT_WORDS = 64
export const PARTICIPANTS_WORD = HEADER_WORDS
/**
 * Offsets in a participant's record; each cache line (16 words) has one kind of writer.
 * "Owner" is the participant itself, or whoever holds the byte lock of its number while it joins.
 * An enum, because the bundler writes its numbers into the code: looking them up in an object costs a tenth of an uncontended lock.
 */
export enum PARTICIPANT {
  // Line 0: identity. Written by the owner; LIFE also by the sentinel that certifies the death, and by evict.
  LIFE = 0, // generation << 16 | status; Atomics
  ROBUST = 1, // the sentinel thread's id | FUTEX_WAITERS; FUTEX_OWNER_DIED set by the kernel; Atomics
  PID = 2,
  PID_NAMESPACE_LOW = 3, // inode number of /proc/self/ns/pid
  PID_NAMESPACE_HIGH = 4,
  START_TIME_LOW = 5, // clock ticks after boot, field 22 of /proc/self/stat
  START_TIME_HIGH = 6,
  JOINED_LOW = 7, // CLOCK_MONOTONIC, milliseconds
  JOINED_HIGH = 8,
  LABEL = 9, // 28 bytes of UTF-8, zero padded: what the process calls itself
  // Line 1: doorbell. Written by everybody, Atomics only. sequence << 2 | who sleeps on it
  BELL = 16,
  SYNC_BELL = 17, // +1 for every ring that found BELL_SYNC
  // Line 2: what the owner is about to do; read by whoever takes over after its death (plain, see protocol.ts).
  INTENT_SLOT = 32, // word index of the slot of its latest exclusive attempt
  INTENT_NAME_0 = 33, // fingerprint of the name
  INTENT_NAME_1 = 34,
  INHERITED_PID = 35, // notice it takes over from a dead holder and has not yet recorded
  INHERITED_NAME_0 = 36,
  INHERITED_NAME_1 = 37,
  INHERITED_TIME = 38,
  // What it waits for (best effort, for inspection): written by the owner, plain.
  WAITING_SLOT = 40, // word index, 0: nothing
  WAITING_MODE = 41, // MODE_…
  WAITING_SINCE_LOW = 42, // CLOCK_MONOTONIC, milliseconds
  WAITING_SINCE_HIGH = 43,
  WAITING_NAME_0 = 44,
  WAITING_NAME_1 = 45,
  WAITING_COUNT = 46, // slots it waits for
  // Line 3: counters, written by the owner, plain, wrap.
  STOLEN = 48, // +1 for every hold another participant took from it by force; Atomics, written by the thief
  WAITS = 49,
  HANDOFFS = 50,
  TAKEOVERS = 51,
}

export const PARTICIPANT_LABEL_BYTES = 28

/** PARTICIPANT.LIFE, low half. */
export const LIFE = {
  FREE: 0, // left in good order; nothing in the file refers to the number
  SCRUBBING: 1, // joining: may own slots, but old bits of the number do not count
  LIVE: 2,
  DEAD: 3, // certified: its byte lock was seen free
  EVICTED: 4, // counts as dead by an operator's order; the number stays taken while its process lives
} as const
export const LIFE_STATUS_MASK = 0xffff
export const GENERATION_SHIFT = 16
export const GENERATION_LIMIT = 0xffff

/** PARTICIPANT.BELL: whom a ring must wake: the sentinel, which sleeps on BELL; a blocked caller, which sleeps on SYNC_BELL. */
export const BELL_SENTINEL = 1
export const BELL_SYNC = 2
export const BELL_SLEEPERS = 3
/** In the same word: the participant looks at its bell by itself, and its sentinel must not ask to be woken. */
export const BELL_MUTED = 4
/** All that is not the sequence. */
export const BELL_FLAGS = 7
export const BELL_STEP = 8

export const SLOT_WORDS = 64
export const BITMAP_WORDS = PARTICIPANT_LIMIT / 32
/** Offsets in a slot. Writers are named in protocol.ts. An enum for the same reason. */
export enum SLOT {
  // Line 0
  STATE = 0,
  VERSION_LOW = 1,
  VERSION_HIGH = 2,
  NAME_0 = 3, // fingerprint of the latest holder's name
  NAME_1 = 4,
  READERS = 5, // BITMAP_WORDS words
  SINCE_LOW = 9, // CLOCK_MONOTONIC ms of the latest entry, as coarse as an event-loop turn (inspection)
  SINCE_HIGH = 10,
  CONTENDED = 11, // waits that began here (statistics)
  HANDOFFS = 12,
  TAKEOVERS = 13,
  // Line 1
  WAITERS_EXCLUSIVE = 16,
  WAITERS_SHARED = 20,
  NOTICES_LOST = 24, // 1: more names were abandoned than NOTICE_LIMIT; every unlisted name counts as abandoned
  NAME_META = 25, // bytes of NAME | NAME_IS_BYTES | NAME_IS_CUT
  URGENT = 26, // BITMAP_WORDS words
  // Line 2
  NOTICES = 32, // NOTICE_LIMIT records of NOTICE_WORDS
  // Line 3
  NAME = 48, // 64 bytes
}

export const NOTICE_LIMIT = 4
export const NOTICE_WORDS = 4
/** One abandoned name: who died holding it. PID 0: the record is empty. */
export const NOTICE = { PID: 0, NAME_0: 1, NAME_1: 2, TIME: 3 } as const

export const SLOT_NAME_BYTES = 64
export const NAME_LENGTH_MASK = 0xff
export const NAME_IS_BYTES = 0x100
export const NAME_IS_CUT = 0x200

/**
 * SLOT.STATE: owner number | flags | owner's generation << 16. Each flag is an assertion with a licence.
 *
 * OWNER       this participant owns the slot. 0: nobody does; readers may be inside if READERS is set.
 * WAITERS     somebody may be registered as a waiter. Licence: may be set with nobody there (costs a scan).
 *             Must not be clear while a registered waiter sleeps and nobody is on the way to wake it.
 * READERS     a reader may be inside. Licence: may be set with none. Must not be clear with one inside.
 * DRAINING    the owner has not entered: it waits for readers to leave and wants its bell rung.
 * HANDOFF     some waiter has waited long (its bit is in URGENT): a release gives the slot to such a one. Licence: may be set with none.
 *             Must not be clear while one that has its bit set sleeps.
 * NOTICES     the slot's records name abandoned names. Licence: may be set with none.
 * INHERITED   the owner has not entered and carries a dead holder's notice that is not yet in the records.
 * ATTENDED    a registered waiter is awake and looks at the slot again, before it sleeps with the flag cleared: a release need wake nobody. Licence: may be clear
 *             with one awake. Must not be set with none, unless that one died and everybody who waits is rung.
 * GRANTED     the owner was chosen by a releaser and has not accepted. Void once its waiter bits are clear.
 */
export const OWNER_MASK = 0x7f
export const WAITERS = 1 << 7
export const READERS = 1 << 8
export const DRAINING = 1 << 9
export const HANDOFF = 1 << 10
export const NOTICES = 1 << 11
export const INHERITED = 1 << 12
export const GRANTED = 1 << 13
export const ATTENDED = 1 << 14

export const MODE_EXCLUSIVE = 1
export const MODE_SHARED = 2

export const MAX_FILE_BYTES = 2 ** 31
export const DEFAULT_FILE_BYTES = 16 * 1024 * 1024
export const DEFAULT_SLOT_COUNT = 16384
export const SLOT_COUNT_LIMIT = 2 ** 22

/** Byte locks (OFD) of the table file: byte 0 guards joining and removal, byte n is participant n's life. */
export const ROSTER_LOCK_BYTE = 0

/** What native/native.h restates; compared when the addon is loaded. */
export const NATIVE_LAYOUT = {
  participantsWord: PARTICIPANTS_WORD,
  participantWords: PARTICIPANT_WORDS,
  participantLimit: PARTICIPANT_LIMIT,
  lifeWord: PARTICIPANT.LIFE,
  robustWord: PARTICIPANT.ROBUST,
  bellWord: PARTICIPANT.BELL,
  syncBellWord: PARTICIPANT.SYNC_BELL,
  rosterWord: HEADER.ROSTER,
  lifeStatusMask: LIFE_STATUS_MASK,
  lifeScrubbing: LIFE.SCRUBBING,
  lifeLive: LIFE.LIVE,
  lifeDead: LIFE.DEAD,
  bellSentinel: BELL_SENTINEL,
  bellSync: BELL_SYNC,
  bellSleepers: BELL_SLEEPERS,
  bellMuted: BELL_MUTED,
  bellFlags: BELL_FLAGS,
  bellStep: BELL_STEP,
} as const

/** Word index of participant `number`'s record. */
export function participantWord(number: number): number {
  return PARTICIPANTS_WORD + number * PARTICIPANT_WORDS
}

/** Word index of a slot: `firstWord` is its space's. */
export function slotWord(firstWord: number, slotIndex: number): number {
  return firstWord + slotIndex * SLOT_WORDS
}

/** Words of a file whose spaces have these slot counts. */
export function fileWords(slotCounts: readonly number[]): number {
  return slotCounts.reduce((sum, count) => sum + count * SLOT_WORDS, PARTICIPANTS_WORD + PARTICIPANT_LIMIT * PARTICIPANT_WORDS)
}

/** Slots per space when the caller names none: as many as fit the default file size, a power of two. */
export function defaultSlotCount(spaceCount: number): number {
  let count = DEFAULT_SLOT_COUNT
  while (count > 64 && fileWords(new Array<number>(spaceCount).fill(count)) * WORD_BYTES > DEFAULT_FILE_BYTES) count /= 2
  return count
}

/** Names and numbers of an enum, without the way back that it also has. */
export function offsetsOf(names: Readonly<Record<string, string | number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(names).filter((entry): entry is [string, number] => typeof entry[1] === 'number'))
}

/** A hash over every constant that decides where things are: files of another layout are refused by it. */
export function layoutFingerprint(): number {
  const text = JSON.stringify([
    FORMAT_VERSION, HEADER, SPACE, offsetsOf(PARTICIPANT), LIFE, offsetsOf(SLOT), NOTICE, NOTICE_LIMIT, NATIVE_LAYOUT, PARTICIPANT_LIMIT, SLOT_WORDS,
    OWNER_MASK, WAITERS, READERS, DRAINING, HANDOFF, NOTICES, INHERITED, GRANTED, ATTENDED, GENERATION_SHIFT,
  ])
  let hash = 0x811c9dc5 // FNV-1a
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash | 0
}
