/** What the tests of the table share: a place on tmpfs, openings that close themselves, processes that do as they are told. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach } from 'vitest'
import { LockError, LockTable, type OpenOptions } from '../../src/index.js'
import { Cleanups } from '../support/cleanups.js'
import { codesOf } from '../support/codes.js'
import { ObedientProcess } from '../support/obedient.js'

export { until } from '../support/until.js'

const cleanups = new Cleanups(afterEach)
/** Runs an action after the test, the latest first. */
export const cleanUp = cleanups.add
/** A directory on tmpfs that is removed after the test. */
export const { temporaryDirectory } = cleanups

export function temporaryTable(): string {
  return join(temporaryDirectory(), 'locks')
}

/** An opening that is closed after the test. */
export async function open(path = temporaryTable(), options: OpenOptions = {}): Promise<LockTable> {
  const table = await LockTable.open(path, options)
  cleanUp(() => table.close())
  return table
}

/** The code of the LockError that an action throws or rejects with. */
export const codeOf = codesOf(LockError)

export interface Order {
  readonly verb: 'lock' | 'try' | 'sync' | 'release' | 'upgrade' | 'downgrade' | 'close' | 'exit' | 'throw' | 'evicted' | 'query' | 'steal' | 'request' | 'hold-request'
  readonly name?: string
  readonly mode?: 'exclusive' | 'shared'
  readonly timeoutMs?: number
}

/** Another process with the table open. */
export class Peer extends ObedientProcess<Order> {
  private constructor(path: string) {
    super(fileURLToPath(new URL('./fixtures/table-child.ts', import.meta.url)), [path], { execArgv: ['--import', 'tsx'] })
    cleanUp(() => this.kill())
  }

  static async start(path: string): Promise<Peer> {
    const peer = new Peer(path)
    await peer.answer()
    return peer
  }
}
