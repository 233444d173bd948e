/** What tests undo when they have ended, however they did. */
import { mkdtempSync, rmSync } from 'node:fs'
import { type afterAll, type afterEach } from 'vitest'

export class Cleanups {
  readonly #actions: (() => unknown)[] = []

  /** @param hook  afterEach or afterAll: when to clean up */
  constructor(hook: typeof afterEach | typeof afterAll) {
    hook(async () => {
      for (let action = this.#actions.pop(); action !== undefined; action = this.#actions.pop()) await action()
    })
  }

  /** Runs `action` then, the latest first. */
  readonly add = (action: () => unknown): void => {
    this.#actions.push(action)
  }

  /** On tmpfs, and gone with all that is in it then. */
  readonly temporaryDirectory = (): string => {
    const directory = mkdtempSync('/dev/shm/locktable-test-')
    this.add(() => {
      rmSync(directory, { recursive: true, force: true })
    })
    return directory
  }
}
