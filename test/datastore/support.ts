import { DatastoreError } from '../../src/datastore/errors.js'

/** The refusal that `act` ends with; anything else is a failure. */
export function refusal(act: () => unknown): DatastoreError {
  let result: unknown
  try {
    result = act()
  } catch (error) {
    if (error instanceof DatastoreError) return error
    throw error
  }
  throw new Error(`it was taken: ${String(result)}`)
}
