/**
 * bundled.ts: a program of the benchmarks as one file of JavaScript, for processes that should be no more than a bare Node: without the TypeScript
 * loader they start several times as fast, and have fewer threads and less memory to give back when they are killed.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'tsup'

/** Where packages and the addon are found as from the sources. */
const CACHE = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url))

export interface Bundle extends Disposable {
  readonly script: URL
}

/** @returns the bundle; its file is gone when it is disposed of, or when this process exits */
export async function bundle(source: URL): Promise<Bundle> {
  mkdirSync(CACHE, { recursive: true })
  const directory = mkdtempSync(join(CACHE, 'bundle-'))
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  process.once('exit', remove)
  await build({
    config: false, silent: true, entry: [fileURLToPath(source)], outDir: directory, format: 'esm', target: 'node20', platform: 'node', clean: false,
    outExtension: () => ({ js: '.mjs' }),
  })
  return {
    script: pathToFileURL(join(directory, basename(fileURLToPath(source)).replace(/\.ts$/, '.mjs'))),
    [Symbol.dispose]() {
      process.off('exit', remove)
      remove()
    },
  }
}
