/**
 * format.ts: every magic, offset and limit of the files of a datastore. Pure.
 *
 * All integers are little-endian. The files are those of Proxmox Backup Server, to the byte.
 *
 *   blob, plain       magic 8 | CRC-32 4 | payload
 *   blob, encrypted   magic 8 | CRC-32 4 | IV 16 | tag 16 | ciphertext
 *   fixed index       magic 8 | uuid 16 | ctime 8 | csum 32 | size 8 | chunk size 8 | zero … 4096 | digest 32 …
 *   dynamic index     magic 8 | uuid 16 | ctime 8 | csum 32 | zero … 4096 | (end 8, digest 32) …
 */
import { DIGEST_BYTES } from './digest.js'

export const MAGIC_BYTES = 8

const magic = (hex: string) => Buffer.from(hex, 'hex')

/** The first eight bytes, as they stand in the file. */
export const MAGIC = {
  BLOB: magic('42ab3807be8370a1'),
  BLOB_ZSTD: magic('31b958426fb6a37f'),
  BLOB_ENCRYPTED: magic('7b6785be222d4cf0'),
  BLOB_ENCRYPTED_ZSTD: magic('e6591bbf0bbfd80b'),
  FIXED_INDEX: magic('2f7f41ed91fd0fcd'),
  DYNAMIC_INDEX: magic('1c914ea519bab3cd'),
} as const

/** Offsets in a blob. The CRC-32 (IEEE) covers the payload only: neither IV nor tag. */
export const BLOB = {
  CRC: MAGIC_BYTES,
  PAYLOAD: MAGIC_BYTES + 4,
  IV: MAGIC_BYTES + 4,
  TAG: MAGIC_BYTES + 4 + 16,
  CIPHERTEXT: MAGIC_BYTES + 4 + 16 + 16,
} as const

export const IV_BYTES = 16
export const TAG_BYTES = 16
export const KEY_BYTES = 32

/** Longest plaintext of a blob or chunk. */
export const MAX_BLOB_BYTES = 128 * 1024 * 1024

/** Offsets in an index. SIZE and CHUNK_BYTES are of fixed ones only. */
export const INDEX = {
  UUID: MAGIC_BYTES,
  CTIME: MAGIC_BYTES + 16,
  CSUM: MAGIC_BYTES + 16 + 8,
  SIZE: MAGIC_BYTES + 16 + 8 + DIGEST_BYTES,
  CHUNK_BYTES: MAGIC_BYTES + 16 + 8 + DIGEST_BYTES + 8,
} as const

export const UUID_BYTES = 16
/** Where the entries begin. */
export const INDEX_HEADER_BYTES = 4096
/** An entry of a dynamic index: the end of its chunk, then the digest. */
export const DYNAMIC_ENTRY_BYTES = 8 + DIGEST_BYTES

/** Chunks of new fixed indexes; a server takes no others. */
export const FIXED_CHUNK_BYTES = 4 * 1024 * 1024

/** The name of a snapshot's manifest; a snapshot without one is unfinished. */
export const MANIFEST_NAME = 'index.json.blob'
