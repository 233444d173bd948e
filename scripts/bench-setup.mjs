// bench-setup.mjs: installs what the benchmarks measure against and the project itself does not need: the packages of bench/package.json (some compile
// an addon, one is another Node), and a Redis server, if this is a Debian and we may. Whatever cannot be had is left out, with a line that says so;
// its benchmarks are skipped then.
//
// usage: npm run bench:setup
import { spawnSync } from 'node:child_process'
import { root } from './fingerprint.mjs'

function run(program, args, environment = {}) {
  return spawnSync(program, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } }).status === 0
}

const has = program => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

if (!run('npm', ['run', '--silent', 'build'])) process.exit(1)
if (!run('npm', ['ci', '--prefix', 'bench', '--no-audit', '--no-fund'])) {
  console.error('bench-setup: the packages of bench/package.json could not be installed; whatever needs them is skipped')
  process.exitCode = 1
}
if (has('redis-server')) console.error('bench-setup: redis-server is here')
else if (process.getuid() !== 0 || !has('apt-get')) console.error('bench-setup: no redis-server, and no right or no apt-get to install it: Redis is skipped')
else {
  // Run level 1: the package's own service is not started. The benchmarks start a server of their own.
  const quiet = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const isInstalled = run('apt-get', ['update', '-qq'], quiet) && run('apt-get', ['install', '-qq', '-y', '--no-install-recommends', 'redis-server'], quiet)
  if (!isInstalled) console.error('bench-setup: redis-server could not be installed: Redis is skipped')
}
