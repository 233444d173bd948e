/**
 * exits.ts: what every command of a store may return, in its own words.
 */
import { EXIT } from '../exit-codes.js'

export const STORE_EXITS = {
  [EXIT.DATA]: 'damaged: the store, an archive of it, or the lock table',
  [EXIT.MISSING]: 'there is no store, or no such input',
  [EXIT.BUSY]: 'somebody else is at work on it; the message says who',
  [EXIT.PERMISSION]: 'not allowed: files, owner, or a missing or wrong key',
} as const
