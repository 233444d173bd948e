/** package-root.ts: where the package's own files are: sources, bundles and their chunks lie at different depths. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

let root: string | undefined

/** The full path of a file of this package: below the nearest directory upwards whose package.json is ours. */
export function inPackage(path: string): string {
  root ??= findRoot()
  return join(root, path)
}

function findRoot(): string {
  for (let directory = dirname(fileURLToPath(import.meta.url)); ; directory = dirname(directory)) {
    const path = join(directory, 'package.json')
    if (existsSync(path) && (JSON.parse(readFileSync(path, 'utf8')) as { name?: unknown }).name === 'locktable') return directory
    if (directory === dirname(directory)) throw new Error('no package.json of locktable above the module')
  }
}
