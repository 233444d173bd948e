/** sparse.ts: bytes into a file, without those that are zero anyway: holes stay holes. */
import { writeSync } from 'node:fs'

/** Zeros are looked for in blocks of this size: what file systems allocate at least. */
const BLOCK_BYTES = 4096
const ZEROS = Buffer.alloc(2 ** 20)

export function isZero(bytes: Uint8Array): boolean {
  if (bytes.length > 0 && bytes[0] !== 0) return false
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const piece = bytes.subarray(at, at + ZEROS.length)
    if (Buffer.compare(piece, piece.length === ZEROS.length ? ZEROS : ZEROS.subarray(0, piece.length)) !== 0) return false
  }
  return true
}

/** Writes all blocks but those of zeros. */
export function writeSparse(fd: number, bytes: Buffer, offset: number): void {
  let from = 0
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    if (!isZero(bytes.subarray(at, at + BLOCK_BYTES))) continue
    writeFully(fd, bytes.subarray(from, at), offset + from)
    from = Math.min(at + BLOCK_BYTES, bytes.length)
  }
  writeFully(fd, bytes.subarray(from), offset + from)
}

/** The bytes `from` … `to - 1` to the place `offset` of the file. */
export function writeFully(fd: number, bytes: Uint8Array, offset: number, from = 0, to = bytes.length): void {
  for (let at = from; at < to; ) at += writeSync(fd, bytes, at, to - at, offset + at - from)
}
