/**
 * exclude.ts: what is left out of a tree, by globs: one without a slash is of names at any depth, another one of paths from the root; one
 * that ends with a slash is of directories only. What is below an excluded directory is not looked at.
 */
import { createRequire } from 'node:module'
import type picomatch from 'picomatch'
import { readable } from './byte-path.js'

/** Loaded for the first pattern: to import CommonJS costs each thread 16 ms, and most backups leave nothing out. */
let loaded: typeof picomatch | undefined
function globs(): typeof picomatch {
  return (loaded ??= createRequire(import.meta.url)('picomatch') as typeof picomatch)
}

/** Of a path relative to the root, a byte string. */
export type Excludes = (name: string, isDirectory: boolean) => boolean

let last: { readonly patterns: string; readonly excludes: Excludes } | undefined

/** Compiled once for all jobs of a tree. */
export function excludesOf(patterns: readonly string[]): Excludes {
  const key = JSON.stringify(patterns)
  if (last?.patterns !== key) last = { patterns: key, excludes: compile(patterns) }
  return last.excludes
}

function compile(patterns: readonly string[]): Excludes {
  if (patterns.length === 0) return () => false
  const tests = patterns.map(pattern => {
    const bare = pattern.replace(/\/+$/, '')
    const matches = globs()(bare.replace(/^\.?\//, ''), { dot: true, basename: !bare.includes('/') })
    const onlyDirectories = bare !== pattern
    return (text: string, isDirectory: boolean): boolean => (isDirectory || !onlyDirectories) && matches(text)
  })
  return (name, isDirectory) => {
    const text = readable(name)
    return tests.some(test => test(text, isDirectory))
  }
}
