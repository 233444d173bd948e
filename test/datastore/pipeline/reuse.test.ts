/** Which chunks are reused, with streams and chunks that are made up: whatever is changed, what comes out is the new stream. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { CatalogueBuilder, decodeCatalogue, fingerprintOf } from '../../../src/datastore/catalogue.js'
import { decodeDynamicIndex, encodeDynamicIndex } from '../../../src/datastore/dynamic-index.js'
import type { Piece } from '../../../src/datastore/pipeline/jobs.js'
import { isKnownChunk, planReuse, type PreviousStream, type Step, type StreamEntry } from '../../../src/datastore/pipeline/reuse.js'
import { collect } from './support.js'

const MIN = 8

/** An entry of a made-up stream: its bytes depend on its name, and so does its fingerprint. */
interface Fake { readonly name: number; readonly bytes: number; readonly isDoubtful?: boolean }

/** Different from place to place. */
const contentOf = ({ name, bytes }: Fake): Buffer => Buffer.concat(Array.from({ length: Math.ceil(bytes / 32) }, (_, i) => createHash('sha256').update(`${name}.${i}`).digest())).subarray(0, bytes)
const printOf = ({ name }: Fake): Buffer => fingerprintOf(Buffer.from(String(name)))
const streamOf = (fakes: readonly Fake[]): Buffer => Buffer.concat(fakes.map(contentOf))

/** In two pieces. */
const entryOf = (fake: Fake): StreamEntry => ({
  bytes: fake.bytes,
  fingerprint: printOf(fake),
  * pieces(): Generator<Piece> {
    const content = contentOf(fake)
    yield content.subarray(0, content.length >> 1)
    yield content.subarray(content.length >> 1)
  },
})

/** @param lengths  of chunks, over and over */
function previousOf(fakes: readonly Fake[], lengths: readonly number[]): PreviousStream & { readonly chunks: Map<string, Buffer> } {
  const stream = streamOf(fakes)
  const chunks = new Map<string, Buffer>()
  const entries: { end: number; digest: Buffer }[] = []
  for (let start = 0; start < stream.length;) {
    const end = Math.min(stream.length, start + lengths[entries.length % lengths.length]!)
    const digest = createHash('sha256').update(stream.subarray(start, end)).digest()
    chunks.set(digest.toString('hex'), stream.subarray(start, end))
    entries.push({ end, digest })
    start = end
  }
  const index = decodeDynamicIndex(encodeDynamicIndex({ ctime: 0, entries }), 'index')
  const builder = new CatalogueBuilder()
  for (const fake of fakes) builder.add(fake.bytes, fake.isDoubtful === true ? undefined : printOf(fake))
  return { index, catalogue: decodeCatalogue(builder.encode(index)!, 'catalogue'), chunks }
}

async function* batched(fakes: readonly Fake[], size: number): AsyncGenerator<readonly StreamEntry[]> {
  for (let at = 0; at < fakes.length; at += size) yield fakes.slice(at, at + size).map(entryOf)
}

interface Planned { readonly stream: Buffer; readonly steps: readonly Step[]; readonly reused: readonly number[]; readonly readBetween: readonly number[] }

async function plan(fakes: readonly Fake[], previous: ReturnType<typeof previousOf> | undefined, { missing = new Set<string>(), batch = 3 } = {}): Promise<Planned> {
  const reuse = async (digest: Buffer): Promise<number | undefined> => (missing.has(digest.toString('hex')) ? undefined : previous?.chunks.get(digest.toString('hex'))?.length)
  const steps = (await collect(planReuse(batched(fakes, batch), previous, reuse, { minBytes: MIN }))).flat()
  const stream = Buffer.concat(steps.map(step => (isKnownChunk(step) ? previous!.chunks.get(step.digest.toString('hex'))! : step as Uint8Array)))
  const readBetween: number[] = []
  let read = 0
  for (const step of steps) {
    if (!isKnownChunk(step)) read += step.length
    else {
      readBetween.push(read)
      read = 0
    }
  }
  return { stream, steps, reused: steps.filter(isKnownChunk).map(({ length }) => length), readBetween }
}

const fakes = (...names: readonly number[]): Fake[] => names.map(name => ({ name, bytes: 10 }))

describe('ten entries of 10 bytes, in chunks of 25', () => {
  const before = fakes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
  const previous = previousOf(before, [25])
  it.each<[name: string, now: readonly Fake[], reused: readonly number[], readBetween: readonly number[]]>([
    ['nothing changed', before, [25, 25, 25, 25], [0, 0, 0, 0]],
    ['one in the middle replaced', fakes(0, 1, 2, 3, 4, 5, 66, 7, 8, 9), [25, 25, 25], [0, 0, 25]],
    ['two chunks hit by one', fakes(0, 1, 22, 3, 4, 5, 6, 7, 8, 9), [25, 25], [50, 0]],
    ['one inserted before all', fakes(99, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9), [25, 25, 25, 25], [10, 0, 0, 0]],
    ['a small one inserted before all: a chunk is read with it', [{ name: 99, bytes: MIN - 1 }, ...before], [25, 25, 25], [MIN - 1 + 25, 0, 0]],
    ['one inserted where two chunks meet', fakes(0, 1, 2, 3, 4, 55, 5, 6, 7, 8, 9), [25, 25, 25, 25], [0, 0, 10, 0]],
    ['the first removed', fakes(1, 2, 3, 4, 5, 6, 7, 8, 9), [25, 25, 25], [15, 0, 0]],
    ['most of the middle removed', fakes(0, 1, 2, 8, 9), [25], [0]],
    ['the last removed', fakes(0, 1, 2, 3, 4, 5, 6, 7, 8), [25, 25, 25], [0, 0, 0]],
    ['moved to the end', fakes(5, 6, 7, 8, 9, 0, 1, 2, 3, 4), [25, 25, 25, 25], [0, 0, 0, 0]],
    ['everything new', fakes(50, 51, 52), [], []],
    ['nothing', [], [], []],
    ['one of another length', [{ name: 0, bytes: 11 }, ...before.slice(1)], [25, 25, 25], [11 + 15, 0, 0]],
  ])('%s', async (_name, now, reused, readBetween) => {
    const planned = await plan(now, previous)
    expect(planned.stream.equals(streamOf(now))).toBe(true)
    expect([planned.reused, planned.readBetween]).toEqual([reused, readBetween])
  })

  it('an entry that may have changed unseen is read, and what lies in one chunk with it', async () => {
    const doubtful = previousOf(before.map(fake => ({ ...fake, isDoubtful: fake.name === 3 })), [25])
    expect((await plan(before, doubtful)).readBetween).toEqual([0, 25, 0])
  })

  it('a chunk that is missing is read', async () => {
    const missing = new Set([previous.index.digestAt(1).toString('hex')])
    const planned = await plan(before, previous, { missing })
    expect([planned.reused, planned.readBetween, planned.stream.equals(streamOf(before))]).toEqual([[25, 25, 25], [0, 25, 0], true])
  })

  it('without a previous stream everything is read', async () => {
    expect((await plan(before, undefined)).steps.some(isKnownChunk)).toBe(false)
  })
})

test('one entry of many chunks needs no memory for all of them', async () => {
  const before: readonly Fake[] = [{ name: 1, bytes: 100_000 }]
  const previous = previousOf(before, [20])
  const most = Math.max(...(await collect(planReuse(batched(before, 1), previous, async () => 20))).map(steps => steps.length))
  expect(most).toBe(256)
  expect((await plan(before, previous)).reused.length).toBe(5000)
})

test('whatever is changed, the stream is the new one; chunks are cut off only behind enough bytes', async () => {
  const bytes = fc.integer({ min: 1, max: 60 })
  const edit = fc.record({ kind: fc.constantFrom('remove', 'insert', 'replace', 'move', 'doubt'), at: fc.nat(1000), count: fc.integer({ min: 1, max: 5 }), bytes })
  let reusedChunks = 0
  await fc.assert(fc.asyncProperty(
    fc.array(bytes, { maxLength: 60 }), fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }), fc.array(edit, { maxLength: 5 }), fc.integer({ min: 1, max: 70 }), fc.integer({ min: 2, max: 9 }),
    async (sizes, lengths, edits, batch, missingEach) => {
      let name = 1000
      const before: Fake[] = sizes.map((size, i) => ({ name: i, bytes: size }))
      const now = [...before]
      for (const { kind, at: anywhere, count, bytes: size } of edits) {
        const at = anywhere % (now.length + 1)
        if (kind === 'remove') now.splice(at, count)
        if (kind === 'insert') now.splice(at, 0, { name: name++, bytes: size })
        if (kind === 'replace' && at < now.length) now[at] = { name: name++, bytes: size }
        if (kind === 'move') now.splice(Math.floor(now.length / 2), 0, ...now.splice(at, count))
        if (kind === 'doubt' && at < before.length) before[at] = { ...before[at]!, isDoubtful: true }
      }
      const previous = previousOf(before, lengths)
      const missing = new Set([...previous.chunks.keys()].filter((_, i) => i % missingEach === 1))
      const planned = await plan(now, previous, { missing, batch })
      expect(planned.stream.equals(streamOf(now))).toBe(true)
      expect(planned.readBetween.every(read => read === 0 || read >= MIN)).toBe(true)
      reusedChunks += planned.reused.length
    },
  ), { numRuns: 500 })
  expect(reusedChunks).toBeGreaterThan(1000)
})
