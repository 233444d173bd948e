/** thread-errors.ts: errors on their way from one thread to another, where a copy would lose their class and code. */
import { DatastoreError, type DatastoreErrorCode, FormatError, type FormatErrorCode } from '../errors.js'

export interface PackedError {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  /** code, path, offset and the like: strings and numbers. */
  readonly facts: Readonly<Record<string, string | number>>
}

export function packError(error: unknown): PackedError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined, facts: {} }
  const facts = Object.entries(error).filter((entry): entry is [string, string | number] => ['string', 'number'].includes(typeof entry[1]))
  return { name: error.name, message: error.message, stack: error.stack, facts: Object.fromEntries(facts) }
}

/** An error of the same class, message and facts; its stack is the one of the other thread. */
export function unpackError({ name, message, stack, facts }: PackedError): Error {
  const error = make(name, message, facts)
  return Object.defineProperties(Object.assign(error, facts), {
    message: { value: message, configurable: true, writable: true, enumerable: false },
    stack: { value: stack, configurable: true, writable: true, enumerable: false },
  })
}

function make(name: string, message: string, facts: PackedError['facts']): Error {
  if (name === 'FormatError') return new FormatError(facts['code'] as FormatErrorCode, { path: '', offset: 0, expected: '' })
  if (name === 'DatastoreError') return new DatastoreError(facts['code'] as DatastoreErrorCode, message)
  if (name === 'RangeError') return new RangeError(message)
  return name === 'TypeError' ? new TypeError(message) : new Error(message)
}
