/** What the lock-file tests share: a directory on tmpfs, children, conditions. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { mkdtempSync, readdirSync, readlinkSync as readlink, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from '../support/until.js'

export { until }

const CHILD = fileURLToPath(new URL('./fixtures/flock-child.ts', import.meta.url))

/** A directory on tmpfs that goes away with `dispose`. */
export function temporaryDirectory(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync('/dev/shm/locktable-flock-')
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

export function threadCount(): number {
  return readdirSync('/proc/self/task').length
}

/** Open files that are lock files of `directory`. */
export function lockFileCount(directory: string): number {
  return openFiles().filter((path) => path.startsWith(directory)).length
}

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlink(join('/proc/self/fd', fd))]
    } catch {
      return []
    }
  })
}

export class Child {
  readonly process: ChildProcess
  readonly lines: string[] = []
  readonly exited: Promise<number | null>

  constructor(args: readonly string[], options: SpawnOptions = {}) {
    this.process = spawn(process.execPath, ['--import', 'tsx', CHILD, ...args], { ...options, stdio: ['ignore', 'pipe', 'inherit'] })
    if (this.process.stdout !== null) createInterface({ input: this.process.stdout }).on('line', (line) => this.lines.push(line))
    this.exited = new Promise((resolve) => this.process.once('close', (code) => resolve(code)))
  }

  async said(line: string): Promise<void> {
    await until(() => this.lines.includes(line) || this.process.exitCode !== null)
    if (!this.lines.includes(line)) throw new Error(`the child ended without saying "${line}": ${this.lines.join(' | ')}`)
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}
