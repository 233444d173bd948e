/** The layering rules catch what they are for: a small tree with one breach each. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

/** [what is wrong, the rule that says so, the file, what it imports] */
const breaches = [
  ['a lower layer of lock imports a higher one', 'lock-protocol', 'src/lock/protocol.ts', './waiters.js'],
  ['the layout imports anything', 'lock-layout', 'src/lock/layout.ts', '../check.js'],
  ['a public object imports more than types upwards', 'lock-guard-types', 'src/lock/guard.ts', './table.js'],
  ['a new file of lock has no place in the table', 'lock-without-a-place', 'src/lock/unheard-of.ts', './layout.js'],
  ['lock knows the data store', 'lock-knows-no-upper-layer', 'src/lock/inspect.ts', '../datastore/locking.js'],
  ['lock knows the package face', 'lock-knows-no-upper-layer', 'src/lock/web-locks.ts', '../index.js'],
  ['the data store locks past locking.ts', 'datastore-locks-through-locking', 'src/datastore/gc.ts', '../lock/table.js'],
  ['the data store knows the command line', 'datastore-knows-no-upper-layer', 'src/datastore/backup.ts', '../cli/main.js'],
  ['a lower layer of the data store imports a higher one', 'datastore-names', 'src/datastore/names.ts', './blob.js'],
  ['a new file of the data store has no place in the table', 'datastore-without-a-place', 'src/datastore/unheard-of.ts', './digest.js'],
  ['the command line looks behind the public face', 'cli-uses-the-public-face', 'src/cli/status.ts', '../lock/table.js'],
  ['the library imports the command line', 'nothing-imports-the-cli', 'src/index.ts', './cli/main.js'],
  ['the addon is loaded twice', 'addon-loaded-once', 'src/lock/region.ts', 'bindings'],
  ['the library loads an argument parser', 'terminal-packages-in-the-cli', 'src/lock/session.ts', 'commander'],
  ['the product needs what users do not install', 'only-what-users-get', 'src/lock/hash.ts', 'fast-check'],
  ['the bottom imports something', 'root-imports-nothing', 'src/errors.ts', './lock/word.js'],
  ['an import leads nowhere', 'resolvable', 'src/lock/flock.ts', './nowhere.js'],
] as const

/** Imports that are as they should be. */
const fine = [
  ['src/datastore/locking.ts', '../lock/table.js'],
  ['src/datastore/blob.ts', './zstd.js'],
  ['src/datastore/names.ts', '../check.js'],
  ['src/lock/native.ts', 'bindings'],
  ['src/cli/main.ts', 'commander'],
  ['src/cli/main.ts', '../index.js'],
  ['src/lock/waiters.ts', './protocol.js'],
  ['src/lock/table.ts', './guard.js'],
] as const

function cruise(imports: readonly (readonly [file: string, target: string])[]): Set<string> {
  const folder = mkdtempSync(join(tmpdir(), 'locktable-layers-'))
  try {
    for (const name of ['package.json', 'tsconfig.json', '.dependency-cruiser.mjs']) copyFileSync(join(root, name), join(folder, name))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    const texts = new Map<string, string>(['src/check.ts', 'src/lock/layout.ts', 'src/lock/word.ts'].map((file) => [file, '']))
    for (const [file, target] of imports) {
      texts.set(file, `${texts.get(file) ?? ''}import '${target}'\n`)
      const imported = join(dirname(file), target.replace(/\.js$/, '.ts'))
      if (target.startsWith('.') && !target.includes('nowhere') && !texts.has(imported)) texts.set(imported, '')
    }
    for (const [file, text] of texts) {
      mkdirSync(join(folder, dirname(file)), { recursive: true })
      writeFileSync(join(folder, file), `${text}export {}\n`)
    }
    const program = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs')
    const result = spawnSync(process.execPath, [program, '--config', '.dependency-cruiser.mjs', '--output-type', 'json', 'src'], { cwd: folder, encoding: 'utf8' })
    const report = JSON.parse(result.stdout) as { summary: { violations: { from: string; rule: { name: string } }[] } }
    return new Set(report.summary.violations.map(({ from, rule }) => `${rule.name} ${from}`))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('the layering check says so when', () => {
  let found = new Set<string>()
  beforeAll(() => {
    found = cruise(breaches.map(([, , file, target]) => [file, target]))
  })
  afterAll(() => found.clear())

  it.each(breaches)('%s (%s)', (_what, rule, file) => {
    expect(found).toContain(`${rule} ${file}`)
  })
})

describe('the layering check', () => {
  it('is content with imports that go downwards', () => {
    expect([...cruise(fine)]).toEqual([])
  })
})
