/**
 * jobs.ts: what the threads of a pool are asked and what they answer. Everything here is copied or shared between threads: plain
 * data, shared memory, numbers of open files (which belong to the process, not to a thread).
 */
import type { Candidate } from '../chunker.js'
import type { ListJob, ListResult } from '../tree/list.js'
import type { WriteJob } from '../tree/write.js'

/** Bytes in shared memory. */
export interface Part {
  readonly buffer: SharedArrayBuffer
  readonly from: number
  readonly to: number
}

/** Bytes of an open file; without a file, zeros. */
export interface FileRange {
  readonly fd: number | undefined
  readonly offset: number
  readonly length: number
}

/** What decides a chunk's name and form. */
export interface PackContext {
  /** The buffer of a DigestSet: chunks in it are neither compressed nor encrypted. */
  readonly known: SharedArrayBuffer
  /** The 32 bytes of an encryption key. */
  readonly key: Uint8Array | undefined
}

/** Hash, and if the chunk is new, compress and encrypt. */
export interface PackJob {
  readonly kind: 'pack'
  readonly context: PackContext
  readonly data: FileRange | readonly Part[]
  /** Where the chunk's file is put: memory that is used again is never garbage, in neither thread. */
  readonly output: SharedArrayBuffer
}

export interface PackResult {
  readonly digest: Uint8Array
  /** Bytes of the chunk's file; undefined if the digest was in the set. */
  readonly encodedBytes: number | undefined
}

/** A range of a file that the thread opens. */
export interface FilePiece {
  /** A byte string: tree/byte-path.ts. */
  readonly path: string
  readonly offset: number
  readonly length: number
  /** The time of its last change of status when it was listed, nanoseconds since 1970: with another one it is reported. Undefined: not compared. */
  readonly changed?: bigint | undefined
  /** Which entry of the stream it belongs to. */
  readonly entry?: number | undefined
}

/** A piece of a stream that is made of files and of bytes between them. */
export type Piece = Uint8Array | FilePiece

/** Puts pieces one behind the other into shared memory and looks for boundaries. */
export interface FillJob {
  readonly kind: 'fill'
  readonly target: Part
  /** In order: files, and numbers of bytes of `between`. Empty: the target's bytes are there already. */
  readonly pieces: readonly (FilePiece | number)[]
  /** All in one: a thread is sent two big things faster than many small ones. */
  readonly between: Uint8Array
}

export interface FillResult {
  /** `cut` counts from the part's beginning; what depends on bytes before it is left out. */
  readonly candidates: readonly Candidate[]
  readonly problems: readonly FileProblem[]
}

/** A file that could not be read as it was when the tree was listed; zeros stand in its place. */
export interface FileProblem {
  readonly path: string
  readonly message: string
  /** That of its piece. */
  readonly entry?: number | undefined
}

/** Read a chunk's file, check it, decrypt, decompress, and put the plain bytes somewhere. */
export interface UnpackJob {
  readonly kind: 'unpack'
  readonly path: string
  readonly digest: Uint8Array
  readonly length: number
  readonly key: Uint8Array | undefined
  /** Shared memory of at least `length` bytes, or a place in an open file. */
  readonly target: Part | FileRange
  /** Of a file: zeros are not written. */
  readonly keepHoles: boolean
}

export type Job = PackJob | FillJob | UnpackJob | ListJob | WriteJob

/** What each kind of job answers. */
export interface Results {
  readonly pack: PackResult
  readonly fill: FillResult
  readonly unpack: undefined
  readonly list: ListResult
  readonly write: undefined
}
