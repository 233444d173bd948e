import { describe, expect, test } from 'vitest'
import { loadNative } from '../../src/lock/native.js'
import { Opener, Peer, after, makeTable, until } from './support.js'

describe('byte locks of two openers in one process', () => {
  // held by the first, wanted by the second -> granted
  const matrix: [string, string, boolean][] = [
    ['nothing', 'shared', true],
    ['nothing', 'exclusive', true],
    ['shared', 'shared', true],
    ['shared', 'exclusive', false],
    ['exclusive', 'shared', false],
    ['exclusive', 'exclusive', false],
  ]
  test.each(matrix)('%s held, %s wanted: %s', (held, wanted, granted) => {
    const path = makeTable()
    const [first, second] = [new Opener(path).region, new Opener(path).region]
    if (held !== 'nothing') expect(first.lockByte(9, held === 'exclusive')).toBe(true)
    expect(second.isByteHeld(9)).toBe(held !== 'nothing')
    expect(second.lockByte(9, wanted === 'exclusive')).toBe(granted)
  })

  test('the own lock does not count as held, and may be taken again', () => {
    const { region } = new Opener(makeTable())
    expect([region.lockByte(3, true), region.isByteHeld(3), region.lockByte(3, true)]).toEqual([true, false, true])
  })

  test('bytes are apart from each other', () => {
    const path = makeTable()
    const [first, second] = [new Opener(path).region, new Opener(path).region]
    first.lockByte(1, true)
    expect([second.lockByte(0, true), second.lockByte(2, true), second.lockByte(127, false)]).toEqual([true, true, true])
  })

  test('unlocking frees, and unlocking what is free does nothing', () => {
    const path = makeTable()
    const [first, second] = [new Opener(path).region, new Opener(path).region]
    first.lockByte(4, true)
    first.unlockByte(4)
    first.unlockByte(5)
    expect(second.lockByte(4, true)).toBe(true)
  })

  test('closing one opener frees its locks and nobody else’s', () => {
    const path = makeTable()
    const [first, second, third] = [new Opener(path).region, new Opener(path).region, new Opener(path).region]
    first.lockByte(1, true)
    second.lockByte(2, true)
    first.close()
    expect([third.isByteHeld(1), third.isByteHeld(2)]).toEqual([false, true])
  })

  test('a region that is not mapped locks too', () => {
    const path = makeTable()
    const region = loadNative().open(path)
    after(() => {
      region.close()
    })
    expect(region.lockByte(0, true)).toBe(true)
  })
})

describe('byte locks of two processes', () => {
  test('a live process holds its byte, a killed one does not', async () => {
    const path = makeTable()
    const { region } = new Opener(path)
    const peer = await Peer.process(path, 7)
    expect([region.isByteHeld(7), region.lockByte(7, true), region.lockByte(7, false)]).toEqual([true, false, false])
    peer.signal('SIGKILL')
    await until(() => !region.isByteHeld(7))
    expect(region.lockByte(7, true)).toBe(true)
  })

  test('a stopped process is alive', async () => {
    const path = makeTable()
    const { region } = new Opener(path)
    const peer = await Peer.process(path, 7)
    peer.signal('SIGSTOP')
    expect(region.lockByte(7, true)).toBe(false)
  })
})
