/** What protocol.ts takes for granted. A2 and A3 are in test/native/death.test.ts. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { fileWords } from '../../src/lock/layout.js'
import { openRegion } from '../../src/lock/region.js'
import { open } from './support.js'

const ROUNDS = 30_000
/** Words of the last slot, which nothing uses: a counter, a flag for each side, overlaps seen. */
const SPACE = { name: 'default', slots: 64 }
const COUNTER = fileWords([SPACE.slots]) - 8
const OPTIONS = { spaces: [SPACE], create: false, exclusive: false, fileMode: 0o600, requireTmpfs: true, ownerUid: undefined }
const [FLAG, TURN, OVERLAPS] = [COUNTER + 1, COUNTER + 3, COUNTER + 4]

/** Run in both processes at once: additions, and Dekker's mutual exclusion, which needs one order of stores and loads. */
function contend(words: Int32Array, me: number): void {
  const other = 1 - me
  for (let i = 0; i < ROUNDS; i++) {
    Atomics.add(words, COUNTER, 1)
    Atomics.store(words, FLAG + me, 1)
    Atomics.store(words, TURN, other)
    while (Atomics.load(words, FLAG + other) === 1 && Atomics.load(words, TURN) === other);
    if (Atomics.add(words, OVERLAPS + 1, 1) !== 0) Atomics.add(words, OVERLAPS, 1)
    Atomics.sub(words, OVERLAPS + 1, 1)
    Atomics.store(words, FLAG + me, 0)
  }
}

test('A1: Atomics on the mapped file are atomic, and in one order, between processes', async () => {
  const table = await open(undefined, { spaces: [SPACE] })
  const region = openRegion(table.path, OPTIONS)
  const source = `
    const { openRegion } = await import(${JSON.stringify(new URL('../../src/lock/region.ts', import.meta.url).href)})
    const [ROUNDS, COUNTER, FLAG, TURN, OVERLAPS] = ${JSON.stringify([ROUNDS, COUNTER, FLAG, TURN, OVERLAPS])}
    ${contend.toString()}
    const { words } = openRegion(${JSON.stringify(table.path)}, ${JSON.stringify(OPTIONS)})
    Atomics.store(words, FLAG + 1, 1) // here
    while (Atomics.load(words, FLAG) === 0);
    contend(words, 1)`
  const peer = promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source])
  while (Atomics.load(region.words, FLAG + 1) === 0) await new Promise(resolve => setImmediate(resolve))
  Atomics.store(region.words, FLAG, 1)
  contend(region.words, 0)
  await peer
  expect(Atomics.load(region.words, COUNTER)).toBe(2 * ROUNDS)
  expect(Atomics.load(region.words, OVERLAPS)).toBe(0)
  region.native.close()
})
