/**
 * observer.ts: looks at a table from outside: an operator's tools, which must work where all participant numbers are taken, too. It is no
 * participant: it takes no lock, and changes nothing but by evict().
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { checkInteger, checkOptions, checkString, checkTimeoutMs } from '../check.js'
import { LockError } from '../errors.js'
import { type Finding, auditRegion, stillFound } from './audit.js'
import { type LockName, fingerprintOf, slotIndexOf } from './hash.js'
import { type SlotReport, type TableReport, inspectRegion, inspectSlot } from './inspect.js'
import { PARTICIPANT_LIMIT, slotWord } from './layout.js'
import { expel } from './participant.js'
import { type Region, isStillNamed } from './region.js'

export interface CheckOptions {
  readonly settleMs?: number | undefined
}

export class TableObserver {
  readonly #region: Region
  #isClosed = false

  /** @internal Use LockTable.observe(). */
  constructor(region: Region) {
    this.#region = region
  }

  get path(): string {
    return this.#region.path
  }

  get spaces(): TableReport['spaces'] {
    return this.#region.spaces.map(({ name, slotCount }, rank) => ({ name, rank, slotCount }))
  }

  /**
   * The whole table: participants, holds, waits, who waits for whom.
   * @throws {LockError} `TABLE_GONE`: the file was removed or replaced; `TABLE_CLOSED`
   */
  inspect(): TableReport {
    this.#ensureUsable()
    return inspectRegion(this.#region)
  }

  /**
   * The slot of one name of a space (default: the first), in use or not.
   * @throws {RangeError} the table has no such space
   */
  inspectName(name: LockName, space?: string): SlotReport {
    this.#ensureUsable()
    return inspectName(this.#region, name, space)
  }

  /** See LockTable.check. */
  async check(options?: CheckOptions): Promise<Finding[]> {
    return await check(this.#region, 0, options, () => {
      this.#ensureUsable()
    })
  }

  /** See LockTable.evict. */
  evict(participantNumber: number): boolean {
    this.#ensureUsable()
    return expel(this.#region, checkParticipantNumber(participantNumber))
  }

  /** Unmaps and closes the file. Idempotent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#region.native.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #ensureUsable(): void {
    const { path } = this.#region
    if (this.#isClosed) throw new LockError('TABLE_CLOSED', `${path} was closed`, { path })
    if (!isStillNamed(this.#region)) throw new LockError('TABLE_GONE', `${path} was removed or replaced`, { path })
  }
}

export function checkParticipantNumber(number: number): number {
  return checkInteger(number, 'participantNumber', 1, PARTICIPANT_LIMIT - 1)
}

/** @throws {RangeError} the table has no such space */
export function spaceNamed<T extends { readonly name: string }>(spaces: readonly T[], name: string, path: string): T {
  const found = spaces.find(space => space.name === name)
  if (found !== undefined) return found
  checkString(name, 'space')
  throw new RangeError(`${path} has no space ${JSON.stringify(name)} (it has ${spaces.map(space => space.name).join(', ')})`)
}

export function inspectName(region: Region, name: LockName, space: string | undefined): SlotReport {
  const home = space === undefined ? region.spaces[0] : spaceNamed(region.spaces, space, region.path)
  if (home === undefined) throw new Error('a table has at least one space')
  const index = slotIndexOf(fingerprintOf(name, region.seed).name0, home.slotCount)
  return inspectSlot(region, home.name, index, slotWord(home.firstWord, index))
}

/** @param self  our own participant number, 0 for none: we do not see our own life byte */
export async function check(region: Region, self: number, options: CheckOptions | undefined, ensureUsable: () => void): Promise<Finding[]> {
  const { settleMs = 100 } = checkOptions(options, ['settleMs'], 'options')
  checkTimeoutMs(settleMs, 'options.settleMs')
  ensureUsable()
  const before = auditRegion(region, self)
  if (before.length === 0) return []
  await sleep(settleMs)
  ensureUsable()
  return stillFound(before, auditRegion(region, self))
}
