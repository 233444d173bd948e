/** Every access to the table's memory in src/ is by Atomics where the proof needs it: found by the compiler, compared with src/lock/access.ts. */
import { describe, expect, test } from 'vitest'
import { LICENCES } from '../../src/lock/access.js'
import { type Finding, findAccesses } from './access/findings.js'
import { loadProgram } from './access/program.js'

/** Each is the body of a function of `region: Region`, `slot` (a slot's word) and `number` (a participant's), and must be refused with this. */
const REFUSED: Readonly<Record<string, readonly [body: string, problem: RegExp]>> = {
  'a plain load': ['return region.words[slot + SLOT.STATE]', /SLOT.STATE is accessed without Atomics/],
  'a plain load of the slot word': ['return region.words[slot]', /SLOT.STATE is accessed without Atomics/],
  'a plain store': ['region.words[slot + SLOT.STATE] = 0', /SLOT.STATE is accessed without Atomics/],
  'a plain addition': ['region.words[participantWord(number) + PARTICIPANT.STOLEN]! += 1', /PARTICIPANT.STOLEN is accessed without Atomics/],
  'an offset under another name': ['const state = SLOT.STATE; const at = slot + state; return region.words[at]', /SLOT.STATE is accessed without/],
  'an offset as a number': ['return region.words[participantWord(number) + 16]', /PARTICIPANT.BELL is accessed without/],
  'a destructured offset': ['const { RETIRED: gone } = HEADER; return region.words[gone]', /HEADER.RETIRED is accessed without/],
  'a destructured array': ['const { words: memory } = region; return memory[slot + SLOT.READERS + (number >>> 5)]', /SLOT.READERS is accessed without/],
  'an alias of the array': ['const memory = { inner: region.words }; const { inner } = memory; return inner[slot]', /SLOT.STATE is accessed without/],
  'an alias by assignment': ['let memory = new Int32Array(4); memory = region.words; return memory[slot]', /SLOT.STATE is accessed without/],
  'an offset that is changed': ['let at = slot + SLOT.SINCE_LOW; at += 9; return region.words[at]', /word 9 and more of SLOT/],
  'one of two offsets': ['return region.words[slot + (number > 3 ? SLOT.NAME_0 : SLOT.STATE)]', /SLOT.STATE is accessed without/],
  'an offset by parameter': ['const read = (offset: number) => region.words[slot + offset]; read(SLOT.NAME_0); return read(SLOT.STATE)', /SLOT.STATE is accessed/],
  'an offset by return value': ['const bitmap = () => SLOT.WAITERS_SHARED; return region.words[slot + bitmap()]', /SLOT.WAITERS_SHARED is accessed without/],
  'an offset by property': ['const at = { bell: participantWord(number) + PARTICIPANT.BELL }; return region.words[at.bell]', /PARTICIPANT.BELL is accessed without/],
  'an offset from memory': ['return region.words[region.words[slot + SLOT.NAME_0] ?? 0]', /can be anything/],
  'an offset from outside': ['return region.words[slot + Number(process.env.OFFSET)]', /can be anything/],
  'an index into a single word': ['for (let i = 0; i < 2; i++) region.words[slot + SLOT.NAME_0 + i] = 0', /word 3 and more of SLOT/],
  'beyond every field': ['return region.words[slot + 31]', /word 31 of SLOT/],
  'a record by hand': ['return region.words[PARTICIPANTS_WORD + number * 64]', /word 1024 and more of HEADER/],
  'a range': ['region.words.fill(0, slot, slot + SLOT.NAME_0)', /SLOT.STATE is accessed without/],
  'a range without end': ['region.words.fill(0, participantWord(number) + PARTICIPANT.WAITS)', /word 49 of PARTICIPANT/],
  'a copy of everything': ['return region.words.slice()', /the whole table/],
  'a part': ['return region.words.subarray(slot, slot + 1)[0]', /SLOT.STATE is accessed without/],
  'a part of unknown length': ['return region.words.subarray(slot + SLOT.NAME_0, number)[2]', /word 3 of SLOT/],
  'another view': ['return new Uint32Array(region.words.buffer)[slot]', /SLOT.STATE is accessed without/],
  'another view of a part': ['return new Uint8Array(region.words.buffer, slot * WORD_BYTES, 4)[0]', /word 0 of SLOT/],
  'a view of other elements': ['return new DataView(region.words.buffer).getInt32(slot * 4)', /getInt32 hides what it touches/],
  'bytes': ['region.bytes[slot * WORD_BYTES] = 1', /SLOT.STATE is accessed without/],
  'an iteration': ['for (const word of region.words) return word', /cannot be classified/],
  'a spread': ['return [...region.words]', /cannot be classified/],
  'a destructured element': ['const [first] = region.words; return first', /cannot be classified/],
  'a method': ['return region.words.at(slot)', /at hides what it touches/],
  'a search': ['return region.words.indexOf(slot)', /indexOf hides what it touches/],
  'other code': ['return Buffer.from(region.words)', /handed to Buffer.from/],
  'a hidden type': ['const memory: any = region.words; return memory[slot]', /kept as any/],
  'a collection': ['const all = new Map<string, object>(); all.set("", region.words)', /handed to all.set/],
  'words of unknown origin': ['return (JSON.parse("[]") as Int32Array)[slot]', /SLOT.STATE is accessed without/],
  'Atomics on a plain field': ['return Atomics.load(region.words, slot + SLOT.NAME_0)', /SLOT.NAME_0 is listed as plain/],
  'Atomics under another name': ['const { load } = Atomics; return load(region.words, slot)', /handed to load/],
  'Atomics somewhere': ['return Atomics.load(region.words, number)', /can be anything/],
}

/** The same, and nothing is wrong with them. */
const ACCEPTED: Readonly<Record<string, string>> = {
  'Atomics': 'return Atomics.load(region.words, slot + SLOT.STATE)',
  'Atomics on a bitmap': 'return Atomics.or(region.words, slot + SLOT.READERS + (number >>> 5), 1)',
  'a plain field': 'region.words[slot + SLOT.NAME_0] = 1',
  'an alias of a plain field': 'const { words: memory } = region; const at = slot + SLOT.NAME_1; return memory[at]',
  'an index into an array': 'for (let i = 0; i < 4; i++) region.words[slot + SLOT.NOTICES + i * 4] = 0',
  'a range of plain fields': 'region.words.fill(0, slot + SLOT.SINCE_LOW, slot + SLOT.WAITERS_EXCLUSIVE)',
  'plain by the owner, atomic by others': 'return region.words[slot + SLOT.VERSION_LOW]! + Atomics.load(region.words, slot + SLOT.VERSION_LOW)',
  'memory of our own': 'const own = new Int32Array(4); own[number] = 1; return [...own]',
}

const pathOf = (index: number, kind: string): string => `src/lock/snippet-${kind}-${index}.ts`
const snippets = Object.fromEntries([
  ...Object.values(REFUSED).map(([body], i) => [pathOf(i, 'refused'), sourceOf(body)]),
  ...Object.values(ACCEPTED).map((body, i) => [pathOf(i, 'accepted'), sourceOf(body)]),
]) as Record<string, string>

function sourceOf(body: string): string {
  return `import { HEADER, PARTICIPANT, PARTICIPANTS_WORD, SLOT, WORD_BYTES, participantWord, slotWord } from './layout.js'
    import type { Region } from './region.js'
    export function snippet(region: Region, first: number, index: number, number: number): unknown {
      const slot = slotWord(first, index)
      ${body}
      return [HEADER, PARTICIPANT, PARTICIPANTS_WORD, SLOT, WORD_BYTES, participantWord, slotWord]
    }`
}

const findings = findAccesses(loadProgram(snippets))
const isSnippet = ({ file }: Finding): boolean => file.startsWith('snippet-')
const inSource = findings.filter(finding => !isSnippet(finding))

function isLicensed(finding: Finding): boolean {
  return LICENCES.some(({ file, within, field }) => finding.file === file && finding.within === within && finding.field === field)
}

test('every word that the proof relies on is accessed by Atomics, everywhere', () => {
  const wrong = inSource.filter(finding => finding.problem !== undefined && !isLicensed(finding))
  expect(wrong.map(({ file, line, text, problem }) => `${file}:${line}: ${problem}: ${text}`)).toEqual([])
})

test('nothing escaped the search', () => {
  const fields = new Set(inSource.map(({ field }) => field))
  expect([...fields]).toEqual(expect.arrayContaining(['SLOT.STATE', 'SLOT.READERS', 'SLOT.WAITERS_EXCLUSIVE', 'SLOT.WAITERS_SHARED', 'SLOT.URGENT', 'PARTICIPANT.LIFE',
    'PARTICIPANT.BELL', 'PARTICIPANT.STOLEN', 'HEADER.ROSTER', 'HEADER.RETIRED', 'SLOT.VERSION_LOW', 'SLOT.NAME', 'PARTICIPANT.LABEL']))
  const atomics = inSource.filter(({ kind }) => kind === 'atomic').length
  console.log(`${inSource.length} accesses, ${atomics} of them by Atomics, to ${fields.size} fields`)
  expect(atomics).toBeGreaterThan(60)
})

test('every licence is needed', () => {
  for (const licence of LICENCES) {
    expect(inSource.filter(finding => finding.problem !== undefined && finding.within === licence.within && finding.field === licence.field), licence.within).toHaveLength(1)
  }
})

describe('the search refuses', () => {
  test.each(Object.keys(REFUSED))('%s', name => {
    const file = pathOf(Object.keys(REFUSED).indexOf(name), 'refused').split('/').pop()
    const problems = findings.filter(finding => finding.file === file).map(({ problem }) => problem ?? '')
    expect(problems.some(problem => REFUSED[name]?.[1].test(problem)), problems.join('; ') || 'nothing was found').toBe(true)
  })
})

describe('and accepts', () => {
  test.each(Object.keys(ACCEPTED))('%s', name => {
    const file = pathOf(Object.keys(ACCEPTED).indexOf(name), 'accepted').split('/').pop()
    const found = findings.filter(finding => finding.file === file)
    expect(found.map(({ problem }) => problem).filter(problem => problem !== undefined)).toEqual([])
    expect(name === 'memory of our own' || found.length > 0).toBe(true)
  })
})
