/**
 * fingerprint.ts: of a file in a tree, for catalogue.ts: all that decides what the archive says of it, and for what has contents the time of
 * the last change of status and the inode's number, which no change of contents leaves as they are.
 *
 * Not of its header, which says the same: headers are made only of what is read.
 */
import { fingerprintOf } from '../catalogue.js'
import { type Files, IDENTITY_NUMBERS } from './file-table.js'
import type { Extent } from './tar-header.js'

/** Numbers first, as bytes: no header and no image's facts begin with zeros. */
const numbers = new Float64Array(IDENTITY_NUMBERS)
const numberBytes = Buffer.from(numbers.buffer)
/** Larger than most names and targets are. */
const scratch = Buffer.allocUnsafeSlow(4096)

/** @param extents  of a sparse file, what is no hole */
export function fingerprintOfFile(files: Files, file: number, name: string, extents: readonly Extent[] | undefined): Buffer {
  const type = files.typeOf(file)
  files.identify(file, type === 'file' && hasContents(files.sizeOf(file), extents), numbers)
  const target = type === 'symlink' ? files.targetOf(file) : ''
  const map = extents === undefined ? '' : JSON.stringify(extents.flatMap(({ offset, length }) => [offset, length]))
  const text = `${name}\0${target}\0${map}`
  const bytes = numberBytes.length + text.length
  const facts = bytes <= scratch.length ? scratch.subarray(0, bytes) : Buffer.allocUnsafe(bytes)
  facts.set(numberBytes)
  facts.write(text, numberBytes.length, 'latin1')
  return fingerprintOf(facts)
}

/** Whether a file has bytes that can change. */
export const hasContents = (size: number, extents: readonly Extent[] | undefined): boolean => size > 0 && extents?.length !== 0
