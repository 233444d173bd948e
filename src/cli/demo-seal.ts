/**
 * demo-seal.ts: shows any second holder. Each lock of the demo has a small file, its seal: an exclusive holder writes that it is in, and
 * before it leaves that it is out; everybody looks at it when they come in and when they leave.
 *
 *   coming in   "out": as it should be. "in": a holder is inside, or died there; then the guard must say so (`abandoned`)
 *   leaving     exclusive: my own "in" still. Shared: unchanged since I came
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DemoPlan } from './demo-plan.js'
import type { Wish } from './demo-journal.js'

export class Seal {
  readonly #path: string
  readonly #text: string
  readonly #exclusive: boolean

  private constructor(path: string, text: string, exclusive: boolean) {
    this.#path = path
    this.#text = text
    this.#exclusive = exclusive
  }

  /** @param token  a text that nobody else uses  @param report  gets what is wrong, in words */
  static enter(plan: DemoPlan, wish: Wish, token: string, abandoned: boolean, report: (text: string) => void): Seal {
    const path = sealPath(plan, wish)
    const found = read(path)
    if (!abandoned && found !== '' && !found.endsWith(' out')) report(`${token} came in beside ${found}`)
    if (!wish.exclusive) return new Seal(path, found, false)
    writeFileSync(path, `${token} in`)
    return new Seal(path, token, true)
  }

  leave(report: (text: string) => void): void {
    const expected = this.#exclusive ? `${this.#text} in` : this.#text
    const found = read(this.#path)
    if (found !== expected) report(`while ${expected === '' ? 'a first shared holder' : expected} was inside, ${found} came in`)
    if (this.#exclusive) writeFileSync(this.#path, `${this.#text} out`)
  }
}

function sealPath(plan: DemoPlan, wish: Wish): string {
  const digest = createHash('sha256').update(`${wish.space}\0${wish.name}`).digest('hex').slice(0, 24)
  return join(plan.storeDirectory, `seal-${digest}`)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // nobody was here before
  }
}
