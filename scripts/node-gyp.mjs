// node-gyp.mjs: runs this project's node-gyp, with the header files that came with this Node where there are any.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Official archives, nvm and most distributions put the headers beside the binary; then nothing needs to be downloaded. */
function ownHeaders() {
  const prefix = dirname(dirname(process.execPath))
  const version = join(prefix, 'include/node/node_version.h')
  if (!existsSync(version) || !existsSync(join(prefix, 'include/node/common.gypi'))) return undefined
  const text = readFileSync(version, 'utf8')
  const part = name => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1]
  const found = ['MAJOR', 'MINOR', 'PATCH'].map(part).join('.')
  return found === process.versions.node ? prefix : undefined
}

/** @returns {number} the exit status */
export function nodeGyp(args, options = {}) {
  const script = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js')
  const headers = process.env.npm_config_nodedir ?? ownHeaders()
  const all = [script, ...args, ...(headers === undefined ? [] : [`--nodedir=${headers}`])]
  const result = spawnSync(process.execPath, all, { stdio: 'inherit', ...options })
  if (result.error) throw result.error
  return result.status ?? 1
}
