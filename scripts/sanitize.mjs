// sanitize.mjs: the native code under the sanitizers of the compiler.
//
//   address   the addon, built with ASan and UBSan in tmp/sanitize, runs the tests in Node (LOCKTABLE_ADDON, runtime by LD_PRELOAD)
//   thread    the threads of the addon without Node (test/native/tsan) under TSan
//
// Each is shown to be on duty first: a program with a known fault must be reported.
//
// LEAKS  The leak checker suppresses by the name of any frame, and Node is below every allocation of ours: to suppress what Node leaks
// would suppress what we leak. So nothing is suppressed; a leak counts unless the code that asked for the memory is Node's own.
//
// usage: npm run test:sanitize [-- --only address|thread] [--seconds N] [--threads N] [--seed N] [test files…]      needs g++ with libasan and libtsan
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { filesBelow, root } from './fingerprint.mjs'
import { nodeGyp } from './node-gyp.mjs'

const { values: options, positionals } = parseArgs({
  options: { only: { type: 'string' }, seconds: { type: 'string', default: '10' }, threads: { type: 'string', default: '4' }, seed: { type: 'string' } },
  allowPositionals: true,
})
const tests = positionals.length > 0 ? positionals : ['test/native', 'test/lock', 'test/crash']
const reports = mkdtempSync(join(tmpdir(), 'locktable-sanitize-'))
process.on('exit', () => rmSync(reports, { recursive: true, force: true }))

function must(program, args, settings = {}) {
  const { status, error } = spawnSync(program, args, { stdio: 'inherit', cwd: root, ...settings })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: status ${status}`)
}

/** Where the compiler's runtime of a sanitizer is. */
const runtime = name => spawnSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).stdout.trim()

/** In a PID namespace of its own, or as another user, a process may not look at its threads: then it is not checked for leaks. */
const NO_LEAK_CHECK = /==\d+==LeakSanitizer has encountered a fatal error[^]*?ptrace \(strace, gdb, etc\)/g
let leaksOfOthers = 0

/** What the sanitizers have written since the last call, leaks of others left out. */
function complaints(kind) {
  const texts = []
  for (const name of readdirSync(reports).filter(file => file.startsWith(kind))) {
    const text = readFileSync(join(reports, name), 'utf8').replace(NO_LEAK_CHECK, '')
    if (text.trim() === '') continue
    const leaks = /LeakSanitizer: detected memory leaks/.test(text) ? text.split('\n\n').filter(block => /^(Direct|Indirect) leak/m.test(block)) : undefined
    const ours = leaks?.filter(isOurs) ?? [text]
    leaksOfOthers += (leaks?.length ?? ours.length) - ours.length
    texts.push(...ours)
    rmSync(join(reports, name))
  }
  return texts
}

/** Who asked for the memory: the first frame that is not the allocator's. An addon that is closed before the end is an unknown module. */
function isOurs(block) {
  const frames = block.split('\n').filter(line => /^\s*#\d+ /.test(line) && !/libsanitizer|libstdc\+\+|libasan/.test(line))
  return /locktable|probe|unknown module/.test(frames[0] ?? '')
}

/**
 * Undefined behaviour ends in an illegal instruction, which the address sanitizer reports: the report of UBSan itself heeds no log_path beside
 * ASan, and the standard error of killed children is seen by nobody.
 */
const ADDRESS_FLAGS = '-fsanitize=address,undefined -fno-sanitize=vptr -fsanitize-undefined-trap-on-error -fno-omit-frame-pointer -g -O1'

function addressEnvironment(kind) {
  const log = `log_path=${join(reports, kind)}`
  return {
    ...process.env,
    // libstdc++ too: the runtime must know how exceptions are thrown before Node brings its own copy.
    LD_PRELOAD: ['libasan.so', 'libstdc++.so.6'].map(runtime).join(':'),
    ASAN_OPTIONS: `${log}:detect_leaks=1:detect_stack_use_after_return=0:strict_string_checks=1:check_initialization_order=1:handle_sigill=1`,
    LSAN_OPTIONS: `${log}:exitcode=0:max_leaks=0:fast_unwind_on_malloc=1`,
  }
}

/** A library whose constructor does what a sanitizer must report. */
const FAULTS = {
  'a write behind a block': ['volatile char* block = new char[8]; volatile int at = 8; block[at] = 1;', /heap-buffer-overflow|\bILL\b/],
  'a block that is used after its end': ['volatile char* block = new char[8]; delete[] block; block[1] = 1;', /heap-use-after-free/],
  'an overflow': ['volatile int most = 0x7fffffff; most = most + 1;', /\bILL\b/],
  'a leak': ['static char* volatile block; block = new char[77]; block = nullptr;', /leak of 77 byte/],
}

function checkDuty() {
  for (const [name, [body, expected]] of Object.entries(FAULTS)) {
    const source = join(reports, 'probe.cc')
    const library = join(reports, 'probe.so')
    writeFileSync(source, `__attribute__((constructor, noinline)) static void probe() { ${body} }\n`)
    must('g++', ['-shared', '-fPIC', ...ADDRESS_FLAGS.split(' '), source, '-o', library])
    spawnSync(process.execPath, ['-e', `try { process.dlopen({ exports: {} }, ${JSON.stringify(library)}) } catch {}`], { env: addressEnvironment('probe'), stdio: 'ignore' })
    const said = complaints('probe.').filter(text => expected.test(text))
    if (said.length === 0) throw new Error(`${name} was not reported: the sanitizer is not on duty`)
    console.log(`on duty: ${name}`)
  }
}

function testAddress() {
  checkDuty()
  const folder = join(root, 'tmp/sanitize')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const name of ['binding.gyp', 'native']) cpSync(join(root, name), join(folder, name), { recursive: true })
  if (nodeGyp(['rebuild', '--loglevel=warn'], { cwd: folder, env: { ...process.env, CXXFLAGS: ADDRESS_FLAGS, LDFLAGS: ADDRESS_FLAGS } }) !== 0) throw new Error('the addon was not built')
  must('npm', ['run', '--silent', 'build:dist'])
  const env = { ...addressEnvironment('address'), LOCKTABLE_ADDON: join(folder, 'build/Release/locktable.node') }
  // Everything is slower, so nobody is in a hurry.
  const { status } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--testTimeout=240000', '--hookTimeout=240000', ...tests], { stdio: 'inherit', cwd: root, env })
  const found = complaints('address.')
  for (const text of found) console.log(`\n${text}`)
  console.log(`address and undefined behaviour: the tests ended with ${status}, ${found.length} reports; ${leaksOfOthers} leaks of Node itself were left out`)
  return status === 0 && found.length === 0
}

function buildDriver(name, extra = []) {
  const output = join(root, 'tmp/tsan', name)
  mkdirSync(join(root, 'tmp/tsan'), { recursive: true })
  const sources = [...filesBelow('test/native/tsan').filter(path => path.endsWith('.cc')), 'native/sentinel.cc', 'native/death_watch.cc', 'native/liveness.cc']
  must('g++', ['-std=c++17', '-Wall', '-Wextra', '-g', '-O1', '-fsanitize=thread', ...extra, '-Inative', '-Itest/native/tsan', ...sources, '-pthread', '-o', output])
  return output
}

function testThreads() {
  const env = { ...process.env, TSAN_OPTIONS: `log_path=${join(reports, 'thread')}:exitcode=66:second_deadlock_stack=1` }
  const seed = options.seed ?? String(Date.now() % 2 ** 31)
  spawnSync(buildDriver('broken', ['-DLOCKTABLE_BROKEN']), ['1', options.threads, seed], { env, stdio: 'ignore' })
  if (!complaints('thread.').some(text => /data race/.test(text))) throw new Error('a race was not reported: the sanitizer is not on duty')
  console.log(`on duty: a race\nthread: ${options.seconds} s each, ${options.threads} threads, seed ${seed}`)
  const { status } = spawnSync(buildDriver('driver'), [options.seconds, options.threads, seed], { env, stdio: 'inherit' })
  const found = complaints('thread.')
  for (const text of found) console.log(`\n${text}`)
  console.log(`thread: the program ended with ${status}, ${found.length} reports`)
  return status === 0 && found.length === 0
}

const parts = { thread: testThreads, address: testAddress }
const chosen = Object.keys(parts).filter(name => options.only === undefined || options.only === name)
if (chosen.length === 0) throw new Error(`--only must be one of ${Object.keys(parts).join(', ')}`)
process.exitCode = chosen.map(name => parts[name]()).every(Boolean) ? 0 : 1
