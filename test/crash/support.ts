/** What the crash tests share: a place on tmpfs, and processes that run a script with the library, which end with the test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { afterEach, beforeEach } from 'vitest'
import { until } from '../support/until.js'

const PACKAGE = new URL('../../dist/index.js', import.meta.url).href
const children = new Set<ChildProcess>()
/** New for each test. */
export let directory = ''

beforeEach(() => {
  directory = mkdtempSync('/dev/shm/locktable-crash-')
})

afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
  rmSync(directory, { recursive: true, force: true })
})

export interface Script {
  readonly child: ChildProcess
  /** Waits until it has printed the text. */
  said(text: string): Promise<void>
  /** All that it has printed. */
  text(): string
}

/** A script of a module's text; LockTable is there. */
export function start(script: string, wrapper: readonly string[] = []): Script {
  const args = ['--input-type=module', '-e', `import { LockTable } from ${JSON.stringify(PACKAGE)}\n${script}`]
  const [program, ...before] = wrapper
  const child = spawn(program ?? process.execPath, program === undefined ? args : [...before, process.execPath, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.add(child)
  let [out, hasEnded] = ['', false]
  child.stdout.on('data', (data: Buffer) => { out += data.toString() })
  child.once('close', () => { hasEnded = true })
  return {
    child,
    text: () => out,
    said: async text => {
      await until(() => out.includes(text) || hasEnded)
      if (!out.includes(text)) throw new Error(`it ended without saying ${text}`)
    },
  }
}
