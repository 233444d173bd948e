// build-dist.mjs: dist/, the package's JavaScript and types. Does nothing when it is up to date (--force: always).
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'tsup'
import { fingerprint, isCurrent, root, setCurrent } from './fingerprint.mjs'

const stamp = 'build/.dist-fingerprint'
const current = fingerprint(['src', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'tsup.config.ts'])
const main = join(root, 'dist/cli/main.js')

process.chdir(root)
if (!existsSync('src/index.ts')) {
  console.error('build-dist: there is no src/index.ts here; nothing to build')
} else if (existsSync('dist/index.cjs') && isCurrent(stamp, current) && !process.argv.includes('--force')) {
  console.error('build-dist: dist is up to date')
} else {
  rmSync('dist', { recursive: true, force: true })
  await build({ config: 'tsup.config.ts' })
  if (existsSync(main)) chmodSync(main, 0o755)
  mkdirSync('build', { recursive: true })
  setCurrent(stamp, current)
}
