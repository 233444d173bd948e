// build-native.mjs: the addon for this machine, build/Release/locktable.node. Does nothing when it is up to date (--force: always).
import { existsSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fingerprint, isCurrent, root, setCurrent } from './fingerprint.mjs'
import { nodeGyp } from './node-gyp.mjs'

const stamp = 'build/Release/.fingerprint'
const addonApi = createRequire(import.meta.url)('node-addon-api/package.json').version
const facts = [process.arch, process.versions.napi, addonApi, process.env.CXX ?? '', process.env.CXXFLAGS ?? '']
const current = fingerprint(['binding.gyp', 'native'], facts)
const built = existsSync(join(root, 'build/Release/locktable.node'))

if (!existsSync(join(root, 'binding.gyp'))) {
  console.error('build-native: there is no binding.gyp here; nothing to build')
} else if (built && isCurrent(stamp, current) && !process.argv.includes('--force')) {
  console.error('build-native: build/Release/locktable.node is up to date')
} else {
  const status = nodeGyp(['rebuild', '--loglevel=warn'], { cwd: root })
  if (status !== 0) {
    console.error('build-native: the addon was not built. It needs g++, make and python3 (Debian: apt-get install g++ make python3).')
    process.exit(status)
  }
  setCurrent(stamp, current)
  // What was packed earlier is of another source now, and must not be found in place of this.
  rmSync(join(root, 'prebuilds'), { recursive: true, force: true })
}
