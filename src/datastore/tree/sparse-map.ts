/**
 * sparse-map.ts: where the data of a sparse file is, in the ways that GNU tar has written it down: in the header and blocks behind it (its
 * own format), in pax records (0.0 and 0.1), and in front of the contents (1.0). Pure.
 *
 * A map is a list of numbers, offset and length in turn: one of a large file has millions, and objects would take four times the memory.
 */
import { damaged, decodeNumber, decodePositive } from './tar-block.js'
import { TAR_BLOCK_BYTES } from './tar-header.js'

/** Offset and length of each piece of data, in turn. */
export type SparseMap = readonly number[]

/** Of pieces. What a backup makes stays below it: 16 GiB of a file with every other block a hole. */
const MAX_PIECES = 2 ** 22

/** Refuses what does not ascend, has more data than follows in the archive, or goes beyond the end of the file. */
export function checkMap(map: SparseMap, size: number, dataBytes: number): SparseMap {
  let [end, sum] = [0, 0]
  for (let i = 0; i + 1 < map.length; i += 2) {
    const offset = map[i]!
    if (offset < end) throw damaged('the map of a sparse file does not ascend')
    end = offset + map[i + 1]!
    sum += map[i + 1]!
  }
  if (map.length % 2 !== 0 || sum !== dataBytes) throw damaged('the map of a sparse file is not of the data that follows')
  if (end > size) throw damaged('the map of a sparse file goes beyond its end')
  return map
}

/** Of the records that repeat, and of the one that has all numbers with commas between. */
export function mapOfRecords(numbers: readonly string[]): SparseMap {
  if (numbers.length > 2 * MAX_PIECES) throw damaged('the map of a sparse file has too many pieces')
  return numbers.map(number => decodePositive(number, 'the map of a sparse file'))
}

/** Decimal numbers, a line each, in full blocks: how many pieces there are, then their offsets and lengths. */
export class SparseMapReader {
  readonly map: number[] = []
  #wanted: number | undefined
  #value = 0
  #digits = 0

  /** Takes a block in. True: the map ended in it. */
  take(bytes: Uint8Array, from: number): boolean {
    for (let i = from; i < from + TAR_BLOCK_BYTES; i++) {
      const digit = bytes[i]! - 48
      if (digit >= 0 && digit <= 9) {
        this.#value = this.#value * 10 + digit
        if (++this.#digits > 15) throw damaged('the map of a sparse file has a number that is too large')
      } else if (digit === 10 - 48 && this.#digits > 0) {
        if (this.#take(this.#value)) return true
        this.#value = this.#digits = 0
      } else throw damaged('the map of a sparse file has something else than numbers')
    }
    return false
  }

  #take(value: number): boolean {
    if (this.#wanted === undefined) {
      if (value > MAX_PIECES) throw damaged('the map of a sparse file has too many pieces')
      this.#wanted = 2 * value
    } else this.map.push(value)
    return this.map.length === this.#wanted
  }
}

/** Of GNU tar's own format: four pieces in the header, 21 in each block behind it. */
const PIECE_BYTES = 24
export const GNU_HEADER_PIECES = { from: 386, count: 4, more: 482 } as const
export const GNU_BLOCK_PIECES = { from: 0, count: 21, more: 504 } as const
export const GNU_REAL_SIZE = { from: 483, to: 495 } as const

/** Appends what a block says. True: another block follows. */
export function takeGnuPieces(map: number[], bytes: Buffer, start: number, { from, count, more }: typeof GNU_HEADER_PIECES | typeof GNU_BLOCK_PIECES): boolean {
  for (let piece = 0; piece < count; piece++) {
    const at = start + from + piece * PIECE_BYTES
    if (bytes[at + 12] === 0) break
    const [offset, length] = [decodeNumber(bytes, at, at + 12), decodeNumber(bytes, at + 12, at + 24)]
    if (offset < 0 || length < 0) throw damaged('the map of a sparse file has a negative number')
    map.push(offset, length)
  }
  if (map.length > 2 * MAX_PIECES) throw damaged('the map of a sparse file has too many pieces')
  return bytes[start + more] !== 0
}
