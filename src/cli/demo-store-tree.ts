/**
 * demo-store-tree.ts: the directories that the demo backs up: copies of real ones, with real changes between two backups.
 */
import { createHash } from 'node:crypto'
import {
  appendFileSync, chmodSync, copyFileSync, linkSync, lstatSync, mkdirSync, readFileSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

/** Regular files below a directory, by name; what may not be read is left out. */
export function* filesBelow(root: string, below = ''): Generator<string, void, undefined> {
  for (const entry of readdirSync(join(root, below), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(below, entry.name)
    if (entry.isDirectory()) yield* filesBelow(root, path)
    else if (entry.isFile()) yield path
  }
}

/**
 * Copies a share of a real tree: every `of`-th file from `first` on, up to a limit.
 *
 * @returns bytes
 */
export function copyShare(root: string, to: string, share: { readonly first: number; readonly of: number; readonly maxBytes: number }): number {
  mkdirSync(to, { recursive: true })
  let [bytes, at] = [0, 0]
  for (const path of filesBelow(root)) {
    if (at++ % share.of !== share.first) continue
    const { size } = lstatSync(join(root, path))
    if (bytes + size > share.maxBytes) continue
    mkdirSync(dirname(join(to, path)), { recursive: true })
    copyFileSync(join(root, path), join(to, path))
    bytes += size
    if (bytes > share.maxBytes * 0.95) break
  }
  return bytes
}

const CHANGES = 6

/** What people do to their files: change, add, remove, rename, link, make executable. */
export function changeSomething(root: string): void {
  const files = [...filesBelow(root)]
  const any = (): string => join(root, files[Math.floor(Math.random() * files.length)] ?? 'first')
  const name = (): string => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`
  for (let i = 0; i < CHANGES; i++) {
    const path = any()
    const changes: readonly (() => void)[] = [
      () => appendFileSync(path, `// ${name()}\n`),
      () => writeFileSync(join(dirname(path), name()), Buffer.alloc(Math.floor(Math.random() * 100_000), name())),
      () => rmSync(path),
      () => renameSync(path, join(dirname(path), name())),
      () => symlinkSync(name(), join(dirname(path), name())),
      () => linkSync(path, join(dirname(path), name())),
      () => chmodSync(path, 0o755),
      () => utimesSync(path, 1_000_000_000, Math.random() * 1e9),
    ]
    try {
      changes[Math.floor(Math.random() * changes.length)]?.()
    } catch {
      // It was removed or renamed a moment ago.
    }
  }
}

/** SHA-256 of all that a restore must bring back: names, kinds, modes, times, contents, link targets. */
export function digestOfTree(root: string): string {
  const hash = createHash('sha256')
  const add = (path: string, name: string): void => {
    const { mode, mtimeNs, size } = lstatSync(path, { bigint: true })
    hash.update(JSON.stringify([name, Number(mode), String(mtimeNs)]))
    const kind = Number(mode) & 0o170000
    if (kind === 0o120000) hash.update(readlinkSync(path))
    else if (kind === 0o100000) hash.update(`${size}:`).update(readFileSync(path))
    else for (const entry of readdirSync(path).sort()) add(join(path, entry), `${name}/${entry}`)
  }
  add(root, '.')
  return hash.digest('hex')
}
