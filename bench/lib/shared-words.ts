/**
 * shared-words.ts: numbers that several processes see, independent of the code that is measured.
 *
 * In memory through the shm-typed-array package; where that is not installed (it compiles an addon), in a tmpfs file that is read and written
 * with system calls, which takes about a microsecond each. Accesses are plain on purpose: a sum comes out right only if the lock
 * that is measured excludes.
 */
import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type shmTypedArray from 'shm-typed-array'
import { tmpfsRoot } from './scratch.js'

const NUMBER_BYTES = 8

export interface SharedWords {
  readonly kind: 'memory' | 'file'
  /** Tells another process where they are; goes through JSON. */
  readonly address: SharedAddress
  read(index: number): number
  write(index: number, value: number): void
  /** The maker's close() removes them. Idempotent; afterwards they cannot be read. */
  close(): void
}

export type SharedAddress = { readonly kind: 'memory'; readonly key: number } | { readonly kind: 'file'; readonly path: string }

function loadShm(): typeof shmTypedArray | undefined {
  try {
    return createRequire(import.meta.url)('shm-typed-array') as typeof shmTypedArray
  } catch {
    return undefined // not installed, or built for another Node
  }
}

/** Numbers, all 0. @param kind  `memory` becomes `file` where it is not possible */
export function makeSharedWords(count: number, kind: SharedWords['kind'] = 'memory'): SharedWords {
  const shm = kind === 'memory' ? loadShm() : undefined
  const array = shm?.create(count, 'Float64Array')
  if (shm !== undefined && array?.key !== undefined) {
    array.fill(0)
    return inMemory(array, array.key, () => shm.detach(array.key!, true))
  }
  const path = join(tmpfsRoot(), `locktable-bench-words-${process.pid}-${Math.random().toString(36).slice(2)}`)
  const fd = openSync(path, 'wx+', 0o600)
  ftruncateSync(fd, count * NUMBER_BYTES)
  return inFile(fd, path, () => unlinkSync(path))
}

export function openSharedWords(address: SharedAddress): SharedWords {
  if (address.kind === 'file') return inFile(openSync(address.path, 'r+'), address.path, () => {})
  const shm = loadShm()
  const array = shm?.get(address.key, 'Float64Array')
  if (shm === undefined || !array) throw new Error(`there is no shared memory with the key ${address.key}, or no shm-typed-array in this process`)
  return inMemory(array, address.key, () => shm.detach(address.key))
}

function inMemory(array: Float64Array, key: number, unmap: () => void): SharedWords {
  let words: Float64Array | undefined = array
  const mapped = (): Float64Array => {
    if (words === undefined) throw new Error('the shared numbers are closed') // the package unmaps them under the array
    return words
  }
  return {
    kind: 'memory',
    address: { kind: 'memory', key },
    read: index => mapped()[index]!,
    write(index, value) {
      mapped()[index] = value
    },
    close() {
      if (words === undefined) return
      words = undefined
      unmap()
    },
  }
}

function inFile(fd: number, path: string, remove: () => void): SharedWords {
  const buffer = Buffer.alloc(NUMBER_BYTES)
  let isClosed = false
  return {
    kind: 'file',
    address: { kind: 'file', path },
    read(index) {
      readSync(fd, buffer, 0, NUMBER_BYTES, index * NUMBER_BYTES)
      return buffer.readDoubleLE(0)
    },
    write(index, value) {
      buffer.writeDoubleLE(value, 0)
      writeSync(fd, buffer, 0, NUMBER_BYTES, index * NUMBER_BYTES)
    },
    close() {
      if (isClosed) return
      isClosed = true
      closeSync(fd)
      remove()
    },
  }
}
