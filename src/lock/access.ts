/**
 * access.ts: how each word of the table file may be accessed, as data. Pure; the code does not need it, its proof does: test/lock/access.test.ts
 * finds every access in src/ and compares it with this list.
 *
 * ATOMIC     by Atomics alone. The proof relies on the order of these accesses.
 * PLAIN      never by Atomics: either its writers and readers are ordered by an atomic word (protocol.ts, WEAK MEMORY), or it is for people
 *            only, and may be garbled.
 * PUBLISHED  plain by the slot's owner, who alone writes it; by Atomics.load by whoever reads it without a lock.
 */
import { BITMAP_WORDS, type HEADER, NOTICE_LIMIT, NOTICE_WORDS, type PARTICIPANT, PARTICIPANT_LABEL_BYTES, type SLOT, SLOT_NAME_BYTES, SPACE_LIMIT,
  SPACE_WORDS, WORD_BYTES } from './layout.js'

export type Access = 'atomic' | 'plain' | 'published'

export interface Field {
  readonly access: Access
  /** How many words the field has. */
  readonly words: number
}

function field(access: Access, words = 1): Field {
  return { access, words }
}

const ATOMIC = field('atomic')
const ATOMIC_BITMAP = field('atomic', BITMAP_WORDS)
const PLAIN = field('plain')
const PUBLISHED = field('published')

export const HEADER_FIELDS: Readonly<Record<keyof typeof HEADER, Field>> = {
  MAGIC_0: PLAIN,
  MAGIC_1: PLAIN,
  BYTE_ORDER: PLAIN,
  FINGERPRINT: PLAIN,
  SIZE_WORDS: PLAIN,
  SPACE_COUNT: PLAIN,
  SEED_0: PLAIN,
  SEED_1: PLAIN,
  EPOCH_0: PLAIN,
  EPOCH_1: PLAIN,
  BOOT_ID: field('plain', 4),
  CREATED_LOW: PLAIN,
  CREATED_HIGH: PLAIN,
  ROSTER: ATOMIC,
  RETIRED: ATOMIC,
  SPACES: field('plain', SPACE_LIMIT * SPACE_WORDS),
}

export const PARTICIPANT_FIELDS: Readonly<Record<keyof typeof PARTICIPANT, Field>> = {
  LIFE: ATOMIC,
  ROBUST: ATOMIC,
  PID: PLAIN,
  PID_NAMESPACE_LOW: PLAIN,
  PID_NAMESPACE_HIGH: PLAIN,
  START_TIME_LOW: PLAIN,
  START_TIME_HIGH: PLAIN,
  JOINED_LOW: PLAIN,
  JOINED_HIGH: PLAIN,
  LABEL: field('plain', PARTICIPANT_LABEL_BYTES / WORD_BYTES),
  BELL: ATOMIC,
  SYNC_BELL: ATOMIC,
  INTENT_SLOT: PLAIN,
  INTENT_NAME_0: PLAIN,
  INTENT_NAME_1: PLAIN,
  INHERITED_PID: PLAIN,
  INHERITED_NAME_0: PLAIN,
  INHERITED_NAME_1: PLAIN,
  INHERITED_TIME: PLAIN,
  WAITING_SLOT: PLAIN,
  WAITING_MODE: PLAIN,
  WAITING_SINCE_LOW: PLAIN,
  WAITING_SINCE_HIGH: PLAIN,
  WAITING_NAME_0: PLAIN,
  WAITING_NAME_1: PLAIN,
  WAITING_COUNT: PLAIN,
  STOLEN: ATOMIC,
  WAITS: PLAIN,
  HANDOFFS: PLAIN,
  TAKEOVERS: PLAIN,
}

export const SLOT_FIELDS: Readonly<Record<keyof typeof SLOT, Field>> = {
  STATE: ATOMIC,
  VERSION_LOW: PUBLISHED,
  VERSION_HIGH: PUBLISHED,
  NAME_0: PLAIN,
  NAME_1: PLAIN,
  READERS: ATOMIC_BITMAP,
  SINCE_LOW: PLAIN,
  SINCE_HIGH: PLAIN,
  CONTENDED: PLAIN,
  HANDOFFS: PLAIN,
  TAKEOVERS: PLAIN,
  WAITERS_EXCLUSIVE: ATOMIC_BITMAP,
  WAITERS_SHARED: ATOMIC_BITMAP,
  NOTICES_LOST: PLAIN,
  NAME_META: PLAIN,
  URGENT: ATOMIC_BITMAP,
  NOTICES: field('plain', NOTICE_LIMIT * NOTICE_WORDS),
  NAME: field('plain', SLOT_NAME_BYTES / WORD_BYTES),
}

/** An access that the list above forbids, and why it is right all the same. */
export interface Licence {
  readonly file: string
  /** The function, method or property that does it. */
  readonly within: string
  readonly field: string
  readonly why: string
}

export const LICENCES: readonly Licence[] = [
  {
    file: 'waiters.ts',
    within: 'isLivePlain',
    field: 'PARTICIPANT.LIFE',
    why: 'It follows the compare-and-swap of an entry. Whoever evicted us and then left this slot free did so before the word that our ' +
      'compare-and-swap read, so we see it; an eviction that we do not see is one that comes after our entry, which takes it from us.',
  },
]
