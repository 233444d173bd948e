// test-node-versions.mjs: does the suite pass with every Node the package supports? Fetches the binaries as npm packages, runs all tests with
// each, and prints a table. The addon is built once, by the Node that runs this: its binary interface is the same for all.
//
// usage: npm run test:nodes [-- --versions 20,22,24] [test files…]
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { root } from './fingerprint.mjs'

const { values, positionals } = parseArgs({ options: { versions: { type: 'string', default: '20,22,24' } }, allowPositionals: true })
const versions = values.versions.split(',')
const work = mkdtempSync(join(tmpdir(), 'locktable-nodes-'))
chmodSync(work, 0o755) // some tests become another user, who must be able to run the binary
process.on('exit', () => rmSync(work, { recursive: true, force: true }))

function run(program, args, options) {
  const { status, error } = spawnSync(program, args, { stdio: 'inherit', ...options })
  if (error) throw error
  return status
}

/** The binary of the newest release of a version. */
function fetchNode(version) {
  const name = `node-linux-${process.arch}`
  const home = join(work, version)
  const status = run('npm', ['install', '--silent', '--no-save', '--no-audit', '--no-fund', '--prefix', home, `${name}@${version}`])
  if (status !== 0) throw new Error(`${name}@${version} could not be installed (status ${status})`)
  return join(home, 'node_modules', name, 'bin/node')
}

/** Runs the tests with one binary, which children find first on the PATH too. */
function test(version) {
  const node = fetchNode(version)
  const release = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()
  const report = join(work, `${version}.json`)
  writeFileSync(report, '{}')
  console.error(`\n---- Node ${release} ----`)
  const began = performance.now()
  const status = run(node, ['node_modules/vitest/vitest.mjs', 'run', ...positionals], {
    cwd: root,
    env: { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}`, LOCKTABLE_TEST_REPORT: report },
  })
  const { numPassedTests = 0, numFailedTests = 0, numPendingTests = 0, testResults = [] } = JSON.parse(readFileSync(report, 'utf8'))
  const failed = testResults.flatMap(file => file.assertionResults.filter(one => one.status === 'failed').map(one => one.fullName))
  return { release, status, passed: numPassedTests, failedCount: numFailedTests, skipped: numPendingTests, failed, seconds: (performance.now() - began) / 1000 }
}

if (run('npm', ['run', '--silent', 'build'], { cwd: root }) !== 0) process.exit(1)
const results = versions.map(test)
const table = new Table({ head: ['Node', 'passed', 'failed', 'not run', 'seconds', 'result'], style: { head: [], border: [] }, colAligns: ['left', 'right', 'right', 'right', 'right', 'left'] })
for (const one of results) table.push([one.release, one.passed, one.failedCount, one.skipped, one.seconds.toFixed(0), one.status === 0 ? 'ok' : `FAILED (${one.status})`])
console.log(`\n${table.toString()}`)
for (const { release, failed } of results) for (const name of failed) console.log(`${release}: ${name}`)
// A run without tests has shown nothing.
process.exitCode = results.every(one => one.status === 0 && one.passed > 0) ? 0 : 1
