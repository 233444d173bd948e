/**
 * variants.ts: deliberately broken versions of the shipped protocol. Each is the source text of protocol.ts with one edit, which must
 * fit in exactly one place, so that a variant cannot outlive the line it breaks.
 */
import { readFileSync } from 'node:fs'
import ts from 'typescript'
import * as layout from '../../src/lock/layout.js'
import * as notices from '../../src/lock/notices.js'
import type { Protocol, Surroundings } from '../../src/lock/protocol.js'
import * as roster from '../../src/lock/roster.js'
import * as word from '../../src/lock/word.js'
import type { Configuration } from './explorer.js'

export interface Variant {
  readonly name: string
  /** Text to replace in protocol.ts, and by what. */
  readonly edit?: readonly [string, string]
  readonly fault?: Configuration['fault']
  /** A configuration that shows what it breaks. */
  readonly programs: string
  readonly deaths: number
  readonly detail?: 'plain'
  readonly breaks: RegExp
}

const SLEEPS = /sleeps for ever/
const UNFAIR = /was overtaken/
const HIDDEN = /a change was hidden/
const BROKEN = /exclusion broken/
const NOTICE = /was reported that was none|was not reported/

export const VARIANTS: readonly Variant[] = [
  { name: 'release by a plain store', programs: 'X X', deaths: 0, breaks: SLEEPS,
    edit: ['if (Atomics.compareExchange(this.#words, slot, this.#identity, 0) === this.#identity) return ENTERED // r1', 'Atomics.store(this.#words, slot, 0); return ENTERED'] },
  { name: 'reader enters without looking at the state', programs: 'X S', deaths: 0, breaks: BROKEN,
    edit: ['return Atomics.load(this.#words, slot) === READERS // s2', 'return true'] },
  { name: 'owner enters without looking for readers', programs: 'S X', deaths: 0, breaks: BROKEN,
    edit: ['if (word & DRAINING && liveReader(this.#words, slot, this.#number) !== 0) return OWNER', ''] },
  { name: 'a reader that backs off does not ring the drainer', programs: 'S+S X', deaths: 0, breaks: SLEEPS,
    edit: ['this.#ringDrainer(slot) // s4', ''] },
  { name: 'a reader that leaves does not ring the drainer', programs: 'S X', deaths: 0, breaks: SLEEPS,
    edit: ['if (Atomics.load(words, slot) !== READERS) this.#ringDrainer(slot) // q2', ''] },
  { name: 'release wakes nobody', programs: 'X X', deaths: 0, breaks: SLEEPS,
    edit: ['if (word & WAITERS && !isAttended) this.#wakeNext(slot)\n      return ENTERED', 'return ENTERED'] },
  { name: 'a woken reader does not wake the next', programs: 'X S X', deaths: 0, breaks: SLEEPS,
    edit: ['if (Atomics.load(words, slot) & WAITERS) this.#wakeNext(slot) // n3', ''] },
  { name: 'a time-out swallows the wake-up', programs: 'X Xt X', deaths: 0, breaks: SLEEPS,
    edit: ['      if (open ? word & WAITERS', '      if (true) return\n      if (open ? word & WAITERS'] },
  { name: 'a grant to one who gave up stays', programs: 'X XUt X', deaths: 0, breaks: SLEEPS,
    edit: ['this.#revokeVoidGrant(slot) // it may', '// it may'] },
  { name: 'a void grant counts as an owner', programs: 'X XUt X', deaths: 1, breaks: SLEEPS,
    edit: ['    if (!(word & GRANTED)) return false\n', '    return false\n'] },
  { name: 'the waiter does not arm the flag', programs: 'X X', deaths: 0, breaks: SLEEPS,
    edit: ['const next = stance === ATTENDS ? attended(word, urgent) : awaited(word, urgent)\n        if (next === word || Atomics.compareExchange(words, slot, word, next) === word) return BUSY // x5\n        continue\n      }\n      this.deregister(slot, MODE_EXCLUSIVE)', 'return BUSY\n      }\n      this.deregister(slot, MODE_EXCLUSIVE)'] },
  { name: 'a dead owner counts as living', programs: 'X X', deaths: 1, breaks: SLEEPS,
    edit: ['if (!isOwnerLive(words, word)) return true', ''] },
  { name: 'an upgrade overlooks other readers', programs: 'S^ S^', deaths: 0, breaks: BROKEN,
    edit: ['if (liveReader(words, slot, this.#number) !== 0) { // u2', 'if (false) { // u2'] },
  { name: 'the notice is not carried through a second death', programs: 'X X X', deaths: 2, breaks: NOTICE,
    edit: ['takenOver(word, this.#identity, notice !== undefined)', 'takenOver(word, this.#identity, false)'] },
  { name: 'the intent is not written', programs: 'X+Xb X', deaths: 1, breaks: NOTICE,
    edit: ['words[own + PARTICIPANT.INTENT_SLOT] = slot', 'words[own + PARTICIPANT.INTENT_SLOT] = 0'] },
  { name: 'the notice is told again', programs: 'X X+X', deaths: 1, breaks: NOTICE,
    edit: ['    if (forget(words, slot, name0, name1)) Atomics.and(words, slot, ~NOTICES)\n', ''] },
  { name: 'hand-offs forget who is urgent', programs: 'XU X1+X1+X1', deaths: 0, breaks: UNFAIR,
    edit: ['if (!hasBit(this.#words, slot + SLOT.URGENT, this.#number)) setBit(this.#words, slot + SLOT.URGENT, this.#number)', ''] },
  { name: 'who downgrades what was stolen rings nobody', programs: 'Xv X!', deaths: 0, breaks: SLEEPS,
    edit: ['if (outcome === LOST) this.#retreat(slot)', 'if (outcome === LOST) clearBit(this.#words, slot + SLOT.READERS, this.#number)'] },
  { name: 'a robbed reader keeps its bit', programs: 'SU X X!', deaths: 0, breaks: SLEEPS, edit: ['this.#retreat(slot) // a thief may have been here', ''] },
  { name: 'a thief drops the notice', programs: 'X X X!', deaths: 1, breaks: NOTICE,
    edit: ['byForce && !(word & INHERITED) ? undefined', 'byForce ? undefined'] },
  { name: 'a task joins a hold that is gone', programs: 'Sk+J+-S X!+X', deaths: 0, breaks: BROKEN,
    edit: ['if (!hasBit(words, slot + SLOT.READERS, this.#number)) return LOST\n      const word = Atomics.load(words, slot)\n      if (!isOwned(word)) return ENTERED',
      'const word = Atomics.load(words, slot)\n      if (!isOwned(word)) return ENTERED'] },
  { name: 'the version is read after the look at who is inside', programs: 'V X+X', deaths: 0, detail: 'plain', breaks: HIDDEN,
    edit: ['const version = this.#latestVersion(slot) // v1\n    return version > 0n && hasEntered(Atomics.load(this.#words, slot)) ?',
      'const entered = hasEntered(Atomics.load(this.#words, slot)); const version = this.#latestVersion(slot)\n    return version > 0n && entered ?'] },
  { name: 'the version under a holder is the holder’s own', programs: 'V X', deaths: 0, breaks: HIDDEN, edit: ['? version - 1n : version // v2', '? version : version'] },
  { name: 'the version is bumped when the holder leaves', programs: 'V X', deaths: 1, breaks: HIDDEN,
    edit: ['const low = (words[slot + SLOT.VERSION_LOW]! + 1) | 0', 'const low = words[slot + SLOT.VERSION_LOW]! | 0'] },
  { name: 'who attended sleeps with the flag set', programs: 'X Xa', deaths: 0, breaks: SLEEPS,
    edit: ['stance === ATTENDS ? attended(word, urgent) : awaited(word, urgent)', 'stance === ATTENDS || stance === SUCCEEDS ? attended(word, urgent) : awaited(word, urgent)'] },
  { name: 'who attended enters and leaves the flag', programs: 'X X Xa', deaths: 0, breaks: SLEEPS,
    edit: ['claimed(unattended(word), this.#identity)) !== word) continue // x2', 'claimed(word, this.#identity)) !== word) continue // x2'] },
  { name: 'who attended gives up and leaves the flag', programs: 'X X Xat', deaths: 0, breaks: SLEEPS,
    edit: ['else if (awaited(word, false) !== word && ', 'else if (!(word & WAITERS) && '] },
  { name: 'several locks taken in different orders', programs: "Xk+X'+-X'+-X X'k+X+-X+-X'", deaths: 0, breaks: SLEEPS },
  { name: 'no ring after a death', programs: 'X X', deaths: 1, breaks: SLEEPS, fault: 'no-death-ring' },
  { name: 'the ring comes before the certificate only', programs: 'X X', deaths: 1, breaks: SLEEPS, fault: 'ring-before-certificate' },
  { name: 'a number is reused under its old generation', programs: 'X X R+X', deaths: 1, breaks: /sleeps for ever|exclusion|reported/, fault: 'same-generation' },
]

type ProtocolClass = new (words: Int32Array, number: number, generation: number, surroundings: Surroundings) => Protocol

/** The protocol with one edit. */
export function brokenProtocol([from, to]: readonly [string, string]): ProtocolClass {
  const source = readFileSync(new URL('../../src/lock/protocol.ts', import.meta.url), 'utf8')
  const places = source.split(from).length - 1
  if (places !== 1) throw new Error(`the variant's text stands in protocol.ts ${places} times: ${from}`)
  const compiled = ts.transpileModule(source.replace(from, () => to), {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  }).outputText
  const modules: Record<string, unknown> = { './layout.js': layout, './notices.js': notices, './roster.js': roster, './word.js': word }
  const exported: { Protocol?: ProtocolClass } = {}
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the text is our own source file
  const run = new Function('require', 'exports', compiled) as (require: (name: string) => unknown, exports: object) => void
  run(name => modules[name], exported)
  if (exported.Protocol === undefined) throw new Error('protocol.ts exports no Protocol')
  return exported.Protocol
}

/** The configuration that must fail. */
export function configurationOf(variant: Variant, programs: Configuration['programs']): Configuration {
  const { edit, fault, deaths } = variant
  const plainSteps = variant.detail === 'plain'
  if (edit === undefined) return { programs, deaths, fault, plainSteps }
  const Broken = brokenProtocol(edit)
  return {
    programs, deaths, plainSteps,
    makeProtocol: (machine, number, generation, ring) => new Broken(machine.words, number, generation, { ring, now: () => 1 }),
  }
}
