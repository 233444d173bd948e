/**
 * word.ts: transitions of the slot's state word. Pure: (word, event) -> word. The flags are defined in layout.ts.
 */
import { ATTENDED, DRAINING, GENERATION_SHIFT, GRANTED, HANDOFF, INHERITED, NOTICES, OWNER_MASK, READERS, WAITERS } from './layout.js'

/** Who: owner number and generation, without the flags. */
export const IDENTITY_MASK = OWNER_MASK | (-1 << GENERATION_SHIFT)

/** What outlives an owner: knowledge about others, not about the owner. */
const LASTING = WAITERS | READERS | HANDOFF | NOTICES | ATTENDED

/** The identity that a participant writes into the words it owns. */
export function identityWord(number: number, generation: number): number {
  return number | (generation << GENERATION_SHIFT)
}

export function ownerNumber(word: number): number {
  return word & OWNER_MASK
}

export function isOwned(word: number): boolean {
  return (word & OWNER_MASK) !== 0
}

export function isOwnedBy(word: number, identity: number): boolean {
  return (word & IDENTITY_MASK) === identity
}

/** True once the owner's code may run under the lock: its death is then news for the next holder. */
export function hasEntered(word: number): boolean {
  return isOwned(word) && (word & (DRAINING | GRANTED | INHERITED)) === 0
}

/** An unowned slot gets an owner, who must wait for readers if there may be any. */
export function claimed(word: number, identity: number): number {
  return identity | (word & LASTING) | (word & READERS ? DRAINING : 0)
}

/** A dead or void owner is replaced; the new one has not entered before it has looked for readers. */
export function takenOver(word: number, identity: number, inherits: boolean): number {
  return identity | (unattended(word) & LASTING) | DRAINING | (inherits ? INHERITED : 0)
}

/** The inherited notice stands in the records. */
export function settled(word: number): number {
  return (word & ~INHERITED) | NOTICES
}

/** No reader is inside: the owner enters. */
export function drained(word: number): number {
  return word & ~(DRAINING | READERS)
}

/** The chosen owner accepts. */
export function accepted(word: number): number {
  return word & ~GRANTED
}

/** A releaser gives the slot to a waiter. */
export function granted(word: number, identity: number): number {
  return identity | (unattended(word) & LASTING) | GRANTED
}

/** The owner leaves. */
export function disowned(word: number): number {
  return word & LASTING
}

/** Somebody waits for this slot and looks at it again; `urgent` asks for a hand-off. */
export function attended(word: number, urgent: boolean): number {
  return awaited(word, urgent) | ATTENDED
}

/** Who attended the slot does not any more. */
export function unattended(word: number): number {
  return word & ~ATTENDED
}

/** Somebody sleeps on this slot from now on and must be woken; `urgent` asks for a hand-off. */
export function awaited(word: number, urgent: boolean): number {
  return unattended(word) | WAITERS | (urgent ? HANDOFF : 0)
}

/** Nobody waits any more. */
export function unawaited(word: number): number {
  return word & ~(WAITERS | HANDOFF | ATTENDED)
}

/** A releaser gives away, instead of opening to all, only when asked to and when no reader can be inside. */
export function wantsHandoff(word: number, give: boolean): boolean {
  return (word & READERS) === 0 && ((word & HANDOFF) !== 0 || (give && (word & WAITERS) !== 0))
}

/** Nobody has waited long. */
export function calmed(word: number): number {
  return word & ~HANDOFF
}
