/**
 * chunk-rules.ts: what to do with a chunk whose file is there already. Pure.
 *
 * A digest is of the plain bytes, so two files of it may differ in compression alone; the smaller one is kept. That of an encrypted
 * chunk depends on the key too, so an unencrypted one beside it is a forgery or a collision.
 */
import { type BlobKind, isEncryptedKind } from './blob.js'

export interface StoredChunk {
  readonly bytes: number
  /** Undefined: the file has no magic of a chunk. */
  readonly kind: BlobKind | undefined
}

/** `keep`: the one that is there does. `conflict`: neither may replace the other. */
export type ChunkAction = 'keep' | 'replace' | 'conflict'

/** Whether the decision needs to know what the stored file is: reading its magic costs as much as the rest. */
export const needsKind = (storedBytes: number, incoming: { readonly bytes: number; readonly kind: BlobKind }): boolean =>
  storedBytes !== incoming.bytes && storedBytes !== 0 && isEncryptedKind(incoming.kind)

export function decideChunk(stored: StoredChunk, incoming: { readonly bytes: number; readonly kind: BlobKind }): ChunkAction {
  if (stored.bytes === incoming.bytes) return 'keep'
  if (stored.bytes === 0) return 'replace' // a crash of the machine before the data was on the disk
  if (isEncryptedKind(incoming.kind)) {
    if (stored.kind === undefined || !isEncryptedKind(stored.kind)) return 'conflict'
    return stored.kind === 'encrypted' && incoming.kind === 'encrypted' ? 'conflict' : 'keep'
  }
  return stored.bytes < incoming.bytes ? 'keep' : 'replace'
}
