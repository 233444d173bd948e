// fingerprint.mjs: has this been built already? A hash over the inputs, kept beside the output. Contents, not times: a fresh
// checkout has no meaningful times, and a deleted input leaves none.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Every file at or below `path` (relative to the root), sorted. */
export function filesBelow(path) {
  const full = join(root, path)
  if (!existsSync(full)) return []
  if (!statSync(full).isDirectory()) return [path]
  return readdirSync(full).sort().flatMap(name => filesBelow(join(path, name)))
}

/** @param {string[]} paths files and folders  @param {string[]} facts whatever else decides the output */
export function fingerprint(paths, facts = []) {
  const hash = createHash('sha256')
  for (const fact of facts) hash.update(`${fact}\0`)
  for (const path of paths.flatMap(filesBelow)) hash.update(`${path}\0`).update(readFileSync(join(root, path))).update('\0')
  return hash.digest('hex')
}

export const isCurrent = (stamp, value) => existsSync(join(root, stamp)) && readFileSync(join(root, stamp), 'utf8') === value
export const setCurrent = (stamp, value) => writeFileSync(join(root, stamp), value)
