// build-chunker.mjs: src/datastore/chunker-scan.ts from chunker-scan.wat. Run by hand after a change; with --check (a test does) it only compares.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import wabt from 'wabt'
import { root } from './fingerprint.mjs'

const source = join(root, 'src/datastore/chunker-scan.wat')
const target = join(root, 'src/datastore/chunker-scan.ts')

const { parseWat } = await wabt()
const { buffer } = parseWat('chunker-scan.wat', readFileSync(source, 'utf8'), { simd: true }).toBinary({})
const lines = Buffer.from(buffer).toString('base64').match(/.{1,120}/g).map(line => `  '${line}',`)
const text = `/** chunker-scan.ts: chunker-scan.wat as bytes, base64. Made by scripts/build-chunker.mjs; change the .wat, then run that. */
export const SCAN_MODULE = [
${lines.join('\n')}
].join('')
`

if (!process.argv.includes('--check')) writeFileSync(target, text)
else if (readFileSync(target, 'utf8') !== text) throw new Error(`${target} does not belong to ${source}`)
