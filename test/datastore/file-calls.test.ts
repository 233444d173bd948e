/** Calls of the addon that end later. What it says of files is tested in tree/file-table.test.ts. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, it, test } from 'vitest'
import { syncFilesystem } from '../../src/datastore/file-calls.js'
import { temporaryDirectory } from './store-support.js'

const ADDON = process.env['LOCKTABLE_ADDON'] ?? createRequire(import.meta.url).resolve('../../build/Release/locktable.node')

describe('everything of a file system on the disk', () => {
  it('by a directory or a file in it, several at once', async () => {
    const folder = temporaryDirectory()
    const file = join(folder, 'file')
    const fd = openSync(file, 'w')
    writeSync(fd, Buffer.alloc(2 ** 20, 1))
    closeSync(fd)
    expect(await Promise.all([syncFilesystem(folder), syncFilesystem(Buffer.from(file)), syncFilesystem('/dev/shm')])).toEqual([undefined, undefined, undefined])
  })

  it('says what is wrong in the words of node:fs', async () => {
    await expect(syncFilesystem('/nowhere')).rejects.toMatchObject({ code: 'ENOENT', syscall: 'open', path: '/nowhere', message: "ENOENT: no such file or directory, open '/nowhere'" })
    for (const path of [undefined, 1, '', 'a\0b']) await expect(syncFilesystem(path as string)).rejects.toThrow(TypeError)
  })

  test('a thread that ends meanwhile takes nobody with it', async () => {
    for (let i = 0; i < 20; i++) {
      const worker = new Worker(`
        const { parentPort, workerData } = require('node:worker_threads')
        require(workerData).fileSyncFilesystem('/')
        parentPort.postMessage('begun')`, { eval: true, workerData: ADDON })
      await new Promise(resolve => worker.once('message', resolve))
      await worker.terminate()
    }
  })
})
