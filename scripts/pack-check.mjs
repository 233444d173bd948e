// pack-check.mjs: is the package right for the people who install it? Packs it, looks inside, checks its types for both kinds of
// modules, and installs it in an empty project with install scripts refused and no compiler on the PATH.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './fingerprint.mjs'

const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const work = mkdtempSync(join(tmpdir(), 'locktable-pack-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))

let failed = 0
function check(name, problem) {
  const problems = [problem].flat().filter(Boolean)
  console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'}  ${name}`)
  for (const text of problems) console.log(`        ${String(text).trim().replaceAll('\n', '\n        ')}`)
  if (problems.length > 0) failed++
}

/** Runs a program; what it printed if it failed (or did not print `expected`), else undefined. */
function problemOf(program, args, { expected, status = 0, ...options } = {}) {
  const result = spawnSync(program, args, { encoding: 'utf8', ...options })
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}`
  if (result.status !== status) return `${program} ${args.join(' ')}: status ${result.status}\n${output}`
  if (expected !== undefined && !expected.test(output)) return `${program} ${args.join(' ')} did not print ${expected}\n${output}`
  return undefined
}

// 1. Pack.
const packed = spawnSync('npm', ['pack', '--json', '--pack-destination', work], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
if (packed.status !== 0) {
  check('npm pack', `status ${packed.status}`)
  process.exit(1)
}
const [{ filename, files, size, unpackedSize }] = Object.values(JSON.parse(packed.stdout.slice(packed.stdout.search(/^[[{]/m))))
const tarball = join(work, filename)
const paths = files.map(file => file.path).sort()
console.log(`${filename}: ${paths.length} files, ${size} bytes packed, ${unpackedSize} unpacked`)
for (const { path, size: bytes } of files) console.log(`        ${String(bytes).padStart(8)}  ${path}`)

// 2. Everything a user needs, nothing else.
const needed = ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'binding.gyp', 'native/addon.cc', 'dist/index.js', 'dist/index.cjs',
  'dist/index.d.ts', 'dist/index.d.cts', 'dist/datastore.js', 'dist/datastore.d.ts', 'dist/datastore-worker.cjs', 'dist/cli/main.js', `prebuilds/linux-${process.arch}-glibc/locktable.node`]
const welcome = [/^package\.json$/, /^(README|CHANGELOG)\.md$/, /^LICENSE$/, /^binding\.gyp$/, /^native\/[\w-]+\.(cc|h)$/,
  /^dist\/index\.(js|cjs|d\.ts|d\.cts)$/, /^dist\/datastore\.(js|d\.ts)$/, /^dist\/datastore-worker\.cjs$/, /^dist\/[\w-]+-[\w-]{8}\.d\.ts$/, /^dist\/cli\/main\.js$/, /^dist\/chunks\/[\w-]+\.js$/, /^prebuilds\/linux-(x64|arm64)-(glibc|musl)\/locktable\.node$/]
check('contents: all that is needed', needed.filter(path => !paths.includes(path)).map(path => `${path} is missing`))
check('contents: nothing else', paths.filter(path => !welcome.some(pattern => pattern.test(path))).map(path => `${path} is not for users`))
check('no install scripts', ['preinstall', 'install', 'postinstall', 'prepare'].filter(name => name in own.scripts).map(name => `it has a script "${name}"`))

// 3. Types and module kinds.
check('publint', problemOf('npx', ['--no-install', 'publint', 'run', tarball, '--strict'], { cwd: root }))
const attw = ['--no-install', 'attw', tarball, '--no-emoji']
check('are the types wrong', problemOf('npx', [...attw, '--exclude-entrypoints', './datastore'], { cwd: root }))
check('are the types of the module wrong', problemOf('npx', [...attw, '--entrypoints', './datastore', '--profile', 'esm-only'], { cwd: root }))

// 4. An empty project, no compiler, no install scripts.
const user = join(work, 'user #1, 100%20') // nobody may take a path for a URL
const bin = join(work, 'bin')
mkdirSync(user)
mkdirSync(bin)
writeFileSync(join(user, 'package.json'), '{ "private": true }\n')
for (const program of ['node', 'npm', 'npx', 'sh', 'env', 'uname', 'true']) {
  const found = spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).stdout.trim()
  if (found.startsWith('/')) symlinkSync(found, join(bin, program))
}
const inherited = Object.entries(process.env).filter(([name]) => !/^(CC|CXX|NODE_PATH|LOCKTABLE_.*|npm_(lifecycle|package).*|npm_config_local_prefix)$/.test(name))
const env = { ...Object.fromEntries(inherited), PATH: bin }
const inUser = { cwd: user, env }
const installed = problemOf('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', tarball], inUser)
check('installs with --ignore-scripts and without a compiler', installed)
const home = join(user, 'node_modules/locktable')

const use = `
  const directory = require('node:fs').mkdtempSync((require('node:fs').existsSync('/dev/shm') ? '/dev/shm' : '/tmp') + '/locktable-pack-')
  process.on('exit', () => require('node:fs').rmSync(directory, { recursive: true })) // also where the addon does not load, as it should
  const table = await LockTable.open(directory + '/locks')
  const guard = await table.lock('vm/100')
  const inTime = table.tryLock('vm/100') === undefined
  guard.release()
  await table.close()
  console.log(inTime ? 'locked' : 'not locked')
`
const asModule = `import { createRequire } from 'node:module'; import { LockTable } from 'locktable'; const require = createRequire(import.meta.url);`
writeFileSync(join(user, 'module.mjs'), `${asModule}\n${use}`)
writeFileSync(join(user, 'common.cjs'), `const { LockTable } = require('locktable');\n(async () => {${use}})()\n`)
const expected = { ...inUser, expected: /^locked$/m }
const locks = !installed && { mjs: problemOf('node', ['module.mjs'], expected), cjs: problemOf('node', ['common.cjs'], expected) }
check('import { LockTable } takes a lock', locks ? locks.mjs : 'not installed')
check('require("locktable") takes a lock', locks ? locks.cjs : 'not installed')
const reads = `import { decodeBlob, encodeBlob } from 'locktable/datastore'
const plain = Buffer.alloc(1_000_000, 'abc')
const blob = encodeBlob(plain)
console.log(blob.length < 10_000 && decodeBlob(blob, { where: 'blob' }).equals(plain) ? 'compressed' : 'not compressed')
`
writeFileSync(join(user, 'store.mjs'), reads)
check('import { encodeBlob } from "locktable/datastore" compresses', installed ? 'not installed' : problemOf('node', ['store.mjs'], { ...inUser, expected: /^compressed$/m }))
check('npx locktable --help', problemOf('npx', ['--no-install', 'locktable', '--help'], { ...inUser, expected: /locktable/ }))

// 5. The types, as a strict TypeScript user meets them, and as one without @types/node's newest or skipLibCheck does.
writeFileSync(join(user, 'user.mts'), `import { LockTable } from 'locktable'\nexport const table: Promise<LockTable> = LockTable.open('/dev/shm/x')\n`)
writeFileSync(join(user, 'user.cts'), `import { LockTable } from 'locktable'\nexport const table: Promise<LockTable> = LockTable.open('/dev/shm/x')\n`)
const typeRoots = join(root, 'node_modules/@types')
const tsc = ['--no-install', 'tsc', '--noEmit', '--strict', '--exactOptionalPropertyTypes', '--module', 'nodenext', '--target', 'es2022', '--typeRoots', typeRoots, '--types', 'node']
check('types of a TypeScript user', problemOf('npx', [...tsc, join(user, 'user.mts'), join(user, 'user.cts')], { cwd: root }))

// 6. Where no prebuilt binary fits, because there is none or because it cannot be loaded (an older C library, say): one sentence
// that says what to do, and what it says works.
const prebuilds = join(home, 'prebuilds')
const helps = { ...inUser, status: 1, expected: /NATIVE_MISSING[^]*node-gyp rebuild|node-gyp rebuild[^]*NATIVE_MISSING/ }
for (const path of installed ? [] : readdirSync(prebuilds)) writeFileSync(join(prebuilds, path, 'locktable.node'), 'not for this system')
check('with a binary that does not load: a sentence that helps', problemOf('node', ['module.mjs'], helps))
let rebuilt = 'there is no g++ here: not tried'
if (!installed && spawnSync('g++', ['--version']).status === 0) {
  const { nodeGyp } = await import('./node-gyp.mjs')
  const status = nodeGyp(['rebuild', '--loglevel=error'], { cwd: home, stdio: ['ignore', 'ignore', 'inherit'] })
  rebuilt = status === 0 ? problemOf('node', ['module.mjs'], expected) : `node-gyp: status ${status}`
}
check('built from the sources in the package, it is used instead', rebuilt)
rmSync(prebuilds, { recursive: true, force: true })
rmSync(join(home, 'build'), { recursive: true, force: true })
check('without a binary: a sentence that helps', problemOf('node', ['module.mjs'], helps))

const shipped = existsSync(join(root, 'prebuilds')) ? readdirSync(join(root, 'prebuilds')).join(' ') : 'none'
console.log(`binaries: ${shipped}`)
console.log(failed === 0 ? 'the package is fine' : `${failed} checks failed`)
process.exit(failed === 0 ? 0 : 1)
