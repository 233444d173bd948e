/**
 * mutate.ts: what is done to a table's bytes, chosen by a seed. Half the changes are to words that mean something, with values that come near to
 * meaning something: noise alone is refused by the header's checks or lands in slots that nobody looks at.
 */
import { HEADER, LIFE, PARTICIPANT, SLOT, WORD_BYTES, offsetsOf, participantWord } from '../../src/lock/layout.js'

export type Random = () => number

export interface Mutation {
  /** Bytes from the start of the file. */
  readonly offset: number
  readonly bytes: Buffer
}

export type Part = 'header' | 'participants' | 'slots' | 'anything'

export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit)
}

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[below(random, list.length)]!
}

const HEADER_WORDS_USED = Object.values(HEADER)
const PARTICIPANT_WORDS_USED = Object.values(offsetsOf(PARTICIPANT))
const SLOT_WORDS_USED = Object.values(offsetsOf(SLOT))
const EDGES = [0, 1, 2, 3, 4, 7, 31, 32, 64, 127, 128, 255, 256, 1023, 1024, 0x7fffffff, -1, -2, -0x80000000, 0x40000000, 0x3fffffff]

/** A state word: owner, flags and generation, each likely to be one that is in use. */
function stateWord(random: Random): number {
  const owner = random() < 0.7 ? below(random, 5) : below(random, 128)
  const flags = below(random, 128) << 7
  const generation = random() < 0.7 ? below(random, 4) : below(random, 65536)
  return owner | flags | (generation << 16)
}

function lifeWord(random: Random): number {
  return (below(random, 4) << 16) | pick(random, [...Object.values(LIFE), 5, 0xffff])
}

function valueFor(random: Random, before: number): number {
  const dice = random()
  if (dice < 0.25) return pick(random, EDGES)
  if (dice < 0.45) return stateWord(random)
  if (dice < 0.6) return lifeWord(random)
  if (dice < 0.8) return before ^ (1 << below(random, 32))
  if (dice < 0.9) return (before + pick(random, [1, -1, 4, -4, 1 << 16])) | 0
  return (random() * 2 ** 32) | 0
}

/** Word index of a word that means something. */
function wordIn(random: Random, part: Part, image: Buffer): number {
  const words = image.length / WORD_BYTES
  if (part === 'header') return random() < 0.3 ? HEADER.SPACES + below(random, 40) : pick(random, HEADER_WORDS_USED)
  if (part === 'participants') return participantWord(1 + below(random, random() < 0.8 ? 4 : 127)) + pick(random, PARTICIPANT_WORDS_USED)
  if (part === 'slots') {
    const first = participantWord(128)
    const slots = Math.floor((words - first) / 64)
    return first + below(random, slots) * 64 + pick(random, SLOT_WORDS_USED) + (random() < 0.2 ? below(random, 4) : 0)
  }
  return below(random, words)
}

export function mutate(random: Random, part: Part, image: Buffer): Mutation {
  if (random() < 0.2) { // noise: some bytes somewhere in the part
    const offset = Math.min(wordIn(random, part, image) * WORD_BYTES + below(random, WORD_BYTES), image.length - 1)
    const length = Math.min(1 + below(random, pick(random, [1, 4, 64, 1024])), image.length - offset)
    return { offset, bytes: Buffer.from(Array.from({ length }, () => below(random, 256))) }
  }
  const offset = Math.min(wordIn(random, part, image), image.length / WORD_BYTES - 1) * WORD_BYTES
  const bytes = Buffer.alloc(WORD_BYTES)
  bytes.writeInt32LE(valueFor(random, image.readInt32LE(offset)))
  return { offset, bytes }
}

/** A file of another length, sometimes by a little, sometimes by all. */
export function resize(random: Random, image: Buffer): Buffer {
  const length = pick(random, [0, 1, 64, 4095, 4096, below(random, image.length), image.length - 4, image.length - 1, image.length + 1, image.length + 256])
  return length <= image.length ? image.subarray(0, length) : Buffer.concat([image, Buffer.alloc(length - image.length)])
}
