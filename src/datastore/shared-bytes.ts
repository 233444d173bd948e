/** shared-bytes.ts: copies of bytes that threads share, by the addon. */
import { loadNative } from '../lock/native.js'

interface ByteCalls {
  bytesCopy(target: Uint8Array, at: number, source: Uint8Array): void
}

let native: ByteCalls | undefined
const calls = (): ByteCalls => (native ??= loadNative() as unknown as ByteCalls)

/**
 * As `target.set(source, at)`, for shared memory that no other thread writes meanwhile. V8 expects one to: it copies word by word, and byte by byte where
 * source and target are not aligned alike.
 *
 * Cost: 64 KiB 4 us; by set() 40 us, aligned alike 4 us.
 */
export function copyBytes(target: Uint8Array, at: number, source: Uint8Array): void {
  calls().bytesCopy(target, at, source)
}
