/**
 * scratch.ts: directories on a tmpfs for lock files and tables, gone when the benchmark ends.
 */
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const TMPFS_MAGIC = 0x01021994

/** Where somebody who cleans up after us wants everything, on a tmpfs. */
export const SCRATCH_ROOT = 'LOCKTABLE_BENCH_SCRATCH'

/** The tmpfs that benchmarks use. @throws if there is none: lock files on a disk would be another question. */
export function tmpfsRoot(): string {
  for (const directory of [process.env[SCRATCH_ROOT], '/dev/shm', process.env.XDG_RUNTIME_DIR, '/run', tmpdir()]) {
    if (directory === undefined) continue
    try {
      if (statfsSync(directory).type === TMPFS_MAGIC) return directory
    } catch {
      // not there
    }
  }
  throw new Error('there is no tmpfs (looked at /dev/shm, $XDG_RUNTIME_DIR, /run and the temporary directory)')
}

export interface Scratch extends Disposable {
  readonly path: string
}

/** A new directory; removed when disposed of, or when the process exits. */
export function makeScratch(): Scratch {
  const path = mkdtempSync(join(tmpfsRoot(), 'locktable-bench-'))
  const remove = (): void => {
    rmSync(path, { recursive: true, force: true })
  }
  process.once('exit', remove)
  return {
    path,
    [Symbol.dispose]() {
      process.off('exit', remove)
      remove()
    },
  }
}
