/** package-root.ts: where the package's own files are: sources, bundles and their chunks lie at different depths. */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

let root: string | undefined

/** The full path of a file of this package: below the nearest directory upwards whose package.json is ours. */
export function inPackage(path: string): string {
  root ??= findRoot()
  return join(root, path)
}

function findRoot(): string {
  const require = createRequire(import.meta.url)
  for (let directory = dirname(fileURLToPath(import.meta.url)); ; directory = dirname(directory)) {
    try {
      if ((require(join(directory, 'package.json')) as { name?: unknown }).name === 'locktable') return directory
    } catch {
      // No package.json here; look further up.
    }
    if (directory === dirname(directory)) throw new Error('no package.json of locktable above the module')
  }
}
