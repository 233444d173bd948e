// build-prebuilds.mjs: the binaries that are shipped, prebuilds/linux-ARCH-LIBC/locktable.node.
//
// The one for this machine is always made; the others where their compiler is installed (Debian: musl-tools,
// g++-aarch64-linux-gnu). --all makes a missing compiler an error. Each result is checked: what it needs to be loaded must be
// what Node 20 itself needs, so that it loads wherever Node does.
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { filesBelow, fingerprint, isCurrent, root, setCurrent } from './fingerprint.mjs'
import { nodeGyp } from './node-gyp.mjs'

const machines = { x64: 'x86_64', arm64: 'aarch64' }
const here = join(root, 'scripts/prebuilds')
// With -frtti (Node's default is without) shared_ptr asks libstdc++ for less.
const flags = header => `-frtti -include ${join(here, header)}`

/** What the official Node 20 binaries need (readelf -V); of glibc 2.30, which has a wait that setting the clock does not disturb. */
const newest = { GLIBC: [2, 28], GLIBCXX: [3, 4, 21], CXXABI: [1, 3, 9] }
/** musl's loader ignores versions; the newest function that is asked for is as old as GCC 12's libstdc++, Alpine 3.17. */
const newestForMusl = { GLIBCXX: [3, 4, 30], CXXABI: [1, 3, 13] }
const libraries = /^(libstdc\+\+\.so\.6|libgcc_s\.so\.1|libm\.so\.6|libpthread\.so\.0|libc\.so\.6|ld-linux-(x86-64\.so\.2|aarch64\.so\.1))$/
const muslLibraries = /^(libstdc\+\+\.so\.6|libgcc_s\.so\.1|libc\.so)$/

const targets = ['x64', 'arm64'].flatMap(arch => {
  const prefix = arch === process.arch ? '' : `${machines[arch]}-linux-gnu-`
  const glibc = { name: `linux-${arch}-glibc`, arch, compiler: `${prefix}g++`, env: { CC: `${prefix}gcc`, CXX: `${prefix}g++`, CXXFLAGS: flags('old-glibc.h') }, libraries, newest }
  if (arch !== process.arch) return [glibc]
  const muslCompiler = join(here, 'musl-g++')
  return [glibc, { name: `linux-${arch}-musl`, arch, compiler: 'musl-gcc', env: { CC: 'musl-gcc', CXX: muslCompiler, CXXFLAGS: flags('old-libstdcxx.h') }, libraries: muslLibraries, newest: newestForMusl }]
})

const isInstalled = program => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0
const isNewer = (version, limit) => {
  const at = version.findIndex((part, i) => part !== (limit[i] ?? 0))
  return at >= 0 && version[at] > (limit[at] ?? 0)
}

/** @returns {string[]} what would keep the binary from loading somewhere */
function complaints(file, target) {
  const { stdout, status } = spawnSync('readelf', ['--wide', '-h', '-l', '-d', '-V', file], { encoding: 'utf8' })
  if (status !== 0) return ['readelf cannot read it']
  const found = []
  if (!new RegExp(target.arch === 'x64' ? 'X86-64' : 'AArch64').test(stdout)) found.push('it is for another machine')
  if (!/GNU_EH_FRAME/.test(stdout)) found.push('it has no table of frames: an exception would end the process')
  for (const [, library] of stdout.matchAll(/\(NEEDED\).*\[(.+)\]/g)) if (!target.libraries.test(library)) found.push(`it needs ${library}`)
  const versions = new Set([...stdout.matchAll(/Name: ([A-Z]+_[0-9.]+)/g)].map(match => match[1]))
  for (const version of versions) {
    const [name, numbers] = version.split('_')
    const limit = target.newest[name] ?? (name === 'GCC' ? [4, 2] : [0])
    if (isNewer(numbers.split('.').map(Number), limit)) found.push(`it needs ${version}`)
  }
  console.error(`build-prebuilds: ${target.name} needs ${[...versions].sort().join(' ') || 'no symbol versions'}`)
  return found
}

function build(target) {
  const output = join('prebuilds', target.name, 'locktable.node')
  const folder = join(root, 'tmp', target.name)
  // Inside the project, so that binding.gyp finds node-addon-api; apart from build/, which is this machine's own.
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const name of ['binding.gyp', 'native']) cpSync(join(root, name), join(folder, name), { recursive: true })
  const env = { ...process.env, LDFLAGS: '-s', ...target.env }
  if (nodeGyp(['rebuild', `--arch=${target.arch}`, '--loglevel=warn'], { cwd: folder, env }) !== 0) return false
  const made = join(folder, 'build/Release/locktable.node')
  const wrong = complaints(made, target)
  for (const complaint of wrong) console.error(`build-prebuilds: ${target.name}: ${complaint}`)
  if (wrong.length > 0) return false
  mkdirSync(join(root, 'prebuilds', target.name), { recursive: true })
  copyFileSync(made, join(root, output))
  rmSync(folder, { recursive: true, force: true })
  return true
}

const addonApi = createRequire(import.meta.url)('node-addon-api/package.json').version
let failed = false
rmSync(join(root, 'tmp'), { recursive: true, force: true })
for (const target of targets) {
  const output = join('prebuilds', target.name, 'locktable.node')
  const stamp = join('prebuilds', target.name, '.fingerprint')
  const current = fingerprint(['binding.gyp', 'native', 'scripts/prebuilds', 'scripts/build-prebuilds.mjs'], [addonApi, process.versions.napi])
  if (existsSync(join(root, output)) && isCurrent(stamp, current)) {
    console.error(`build-prebuilds: ${target.name} is up to date`)
    continue
  }
  rmSync(join(root, 'prebuilds', target.name), { recursive: true, force: true })
  if (!isInstalled(target.compiler)) {
    const must = target.arch === process.arch && target.name.endsWith('glibc')
    console.error(`build-prebuilds: ${target.name} left out, ${target.compiler} is not installed`)
    failed ||= must || process.argv.includes('--all')
  } else if (build(target)) {
    setCurrent(stamp, current)
  } else {
    console.error(`build-prebuilds: ${target.name} failed`)
    failed = true
  }
}
for (const path of filesBelow('prebuilds')) if (path.endsWith('.node')) console.error(`${path}  ${statSync(join(root, path)).size} bytes`)
process.exit(failed ? 1 : 0)
