// bench-setup.mjs: installs what the benchmarks measure against and the project itself does not need: the packages of bench/package.json (some compile
// an addon, one is another Node), and a Redis server, restic and borg, if this is a Debian and we may. Whatever cannot be had is left out, with a line that says so;
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
const DEBIAN = [{ program: 'redis-server', name: 'redis-server' }, { program: 'restic', name: 'restic' }, { program: 'borg', name: 'borgbackup' }]
const missing = DEBIAN.filter(({ program }) => !has(program)).map(({ name }) => name)
if (missing.length === 0) console.error(`bench-setup: ${DEBIAN.map(({ name }) => name).join(', ')} are here`)
else if (process.getuid() !== 0 || !has('apt-get')) console.error(`bench-setup: no ${missing.join(', ')}, and no right or no apt-get to install them: they are skipped`)
else {
  // Run level 1: the packages' own services are not started. The benchmarks start what they need.
  const quiet = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  run('apt-get', ['update', '-qq'], quiet)
  for (const name of missing) {
    if (!run('apt-get', ['install', '-qq', '-y', '--no-install-recommends', name], quiet)) console.error(`bench-setup: ${name} could not be installed: it is skipped`)
  }
}
