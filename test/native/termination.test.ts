/** A thread is terminated in the middle of a call of the addon: the process goes on. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ADDON = fileURLToPath(new URL('../../build/Release/locktable.node', import.meta.url))
const THREADS = 25

/** What a thread does again and again until it is terminated; `addon` is there. */
test.each<[what: string, forEver: string]>([
  ['loads the addon', 'process.dlopen({ exports: {} }, path)'],
  ['copies bytes', 'addon.bytesCopy(Buffer.alloc(10), 0, Buffer.alloc(5))'],
  ['is refused', 'try { addon.bytesCopy() } catch {}'],
  ['asks for what is not there', 'try { addon.fileStat("/nothing/there") } catch {}'],
  ['lists a directory', 'addon.fileList("/usr/lib")'],
  ['opens and closes files', 'const region = addon.open(path); region.stat(); region.close()'],
])('one that %s', (_, forEver) => {
  const thread = `const path = ${JSON.stringify(ADDON)}; const module = { exports: {} }; process.dlopen(module, path); const addon = module.exports; for (;;) { ${forEver} }`
  const program = `
    import { Worker } from 'node:worker_threads'
    for (let i = 0; i < ${THREADS}; i++) {
      const worker = new Worker(${JSON.stringify(thread)}, { eval: true })
      worker.on('error', error => { throw error })
      await new Promise(resolve => worker.once('online', resolve))
      await new Promise(resolve => setTimeout(resolve, 5 + i % 7))
      await worker.terminate()
    }
    console.log('goes on')`
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' })
  expect({ status, signal, stdout, stderr }).toEqual({ status: 0, signal: null, stdout: 'goes on\n', stderr: '' })
})
