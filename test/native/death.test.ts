/**
 * Bell (robust word) -> certificate (byte lock) -> LIFE = DEAD -> onRing of the living.
 *
 * Participants watch in circular order: 1 watches 2, 2 watches 3, 3 watches 1.
 */
import { describe, expect, test } from 'vitest'
import { HEADER, LIFE, PARTICIPANT } from '../../src/lock/layout.js'
import {
  FUTEX_OWNER_DIED, FUTEX_WAITERS, Opener, Peer, after, descriptorCount, makeTable, mappingsOf, sentinelThreads, until,
} from './support.js'

const isBellRung = (opener: Opener, number: number): boolean => (opener.word(number, PARTICIPANT.ROBUST) & FUTEX_OWNER_DIED) !== 0
const roster = (opener: Opener): number => Atomics.load(opener.words, HEADER.ROSTER)

/** Resolves when `opener` is rung at a time when `number` is dead. */
async function ringOfDeath(opener: Opener, number: number): Promise<void> {
  let heard = false
  opener.onRing = () => {
    heard ||= opener.status(number) === LIFE.DEAD
  }
  await until(() => heard)
}

describe('a killed process', () => {
  test.each([['waiting', true], ['idle', false]])('is certified dead, and a survivor that is %s is rung', async (_, waiting) => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    const peer = await Peer.process(path, 2)
    opener.region.setWaiting(waiting)
    await opener.roundTrip(1)
    const before = roster(opener)
    peer.signal('SIGKILL')
    await ringOfDeath(opener, 2)
    expect(opener.word(2, PARTICIPANT.LIFE)).toBe((1 << 16) | LIFE.DEAD)
    expect(roster(opener)).toBe(before + 1)
    expect(opener.region.lockByte(2, true)).toBe(true)
  })

  test('everybody is rung, not only who watched it', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    const peers = await Promise.all([2, 3, 4].map(number => Peer.process(path, number)))
    const rings = peers.map(peer => peer.rings)
    peers[2]?.signal('SIGKILL')
    await ringOfDeath(opener, 4)
    await until(() => peers.slice(0, 2).every((peer, i) => peer.rings > (rings[i] ?? 0)))
  })

  test('all but one die at once', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(9)
    const numbers = [1, 2, 10, 127]
    const peers = await Promise.all(numbers.map(number => Peer.process(path, number)))
    for (const peer of peers) peer.signal('SIGKILL')
    await Promise.all(numbers.map(number => until(() => opener.status(number) === LIFE.DEAD)))
  })

  test('is not dead while anything of it still holds the file open', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    const peer = await Peer.process(path, 2)
    const heir = (await peer.order('share')) ?? 0
    after(() => {
      try {
        process.kill(heir, 'SIGKILL')
      } catch {
        // It has been killed by the test.
      }
    })
    opener.region.setWaiting(true)
    peer.signal('SIGKILL')
    await until(() => isBellRung(opener, 2))
    for (let i = 0; i < 100; i++) await opener.roundTrip(1)
    expect(opener.status(2)).toBe(LIFE.LIVE)
    process.kill(heir, 'SIGKILL')
    await ringOfDeath(opener, 2)
  })

  test('is certified by the clock if its watcher is stopped', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    const [watcher, victim] = [await Peer.process(path, 2), await Peer.process(path, 3)]
    await opener.roundTrip(1)
    watcher.signal('SIGSTOP')
    victim.signal('SIGKILL')
    opener.region.setWaiting(true)
    await ringOfDeath(opener, 3)
    watcher.signal('SIGCONT')
    const before = watcher.rings
    opener.ring(2)
    await until(() => watcher.rings > before)
    expect(opener.status(2)).toBe(LIFE.LIVE)
  })
})

describe('without futex_waitv', () => {
  test.each([['waiting', 'wait'], ['idle', 'stopWaiting']])('a death is found by the clock, %s', async (_, command) => {
    const path = makeTable()
    const observer = new Opener(path)
    const survivor = await Peer.process(path, 1, { LOCKTABLE_NO_WAITV: '1' })
    const victim = await Peer.process(path, 2, { LOCKTABLE_NO_WAITV: '1' })
    await survivor.order(command)
    const before = survivor.rings
    victim.signal('SIGKILL')
    await until(() => observer.status(2) === LIFE.DEAD && survivor.rings > before)
  })
})

describe('other ends', () => {
  const ends: [string, string, number][] = [
    ['process.exit', 'exit', 0],
    ['an uncaught exception', 'fail', 1],
    ['an event loop that runs out', 'disconnect', 0],
  ]
  test.each(ends)('%s without close counts as a death', async (_, command, exitCode) => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    const peer = await Peer.process(path, 2)
    peer.post(command)
    await ringOfDeath(opener, 2)
    await until(() => peer.exited)
    expect(peer.exitCode).toBe(exitCode)
    expect(isBellRung(opener, 2)).toBe(true)
  })

  test('leaving in good order does not', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    const peer = await Peer.process(path, 2)
    opener.region.setWaiting(true)
    await peer.order('leave')
    await until(() => !opener.region.isByteHeld(2))
    expect([opener.word(2, PARTICIPANT.ROBUST), opener.status(2)]).toEqual([0, LIFE.FREE])
  })

  test('a terminated worker is a death, and leaves nothing in the process', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    const descriptors = descriptorCount()
    const worker = await Peer.worker(path, 2)
    expect([mappingsOf(path), sentinelThreads()]).toEqual([2, 2])
    await worker.order('wait')
    const heard = ringOfDeath(opener, 2)
    if ('terminate' in worker.subject) await worker.subject.terminate()
    await heard
    // The death is heard once the byte is free; the worker's environment unmaps and closes right after that.
    await until(() => mappingsOf(path) === 1 && sentinelThreads() === 1 && descriptorCount() <= descriptors)
  })

  test('workers terminated in a hail of rings', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    for (let i = 0; i < 10; i++) {
      const worker = await Peer.worker(path, 2)
      let isOver = false
      const hail = (): void => {
        if (isOver) return
        for (let n = 0; n < 20; n++) opener.ring(2)
        setImmediate(hail)
      }
      hail()
      if ('terminate' in worker.subject) await worker.subject.terminate()
      isOver = true
      await until(() => opener.status(2) === LIFE.DEAD)
    }
  })
})

describe('what others left half done', () => {
  test('a death certified by somebody who was stopped before telling', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    new Opener(path).region.lockByte(2, true)
    opener.setLife(2, LIFE.LIVE)
    Atomics.add(opener.words, HEADER.ROSTER, 1)
    opener.region.setWaiting(true)
    await opener.roundTrip(1)
    opener.setLife(2, LIFE.DEAD)
    await ringOfDeath(opener, 2)
  })

  test('one that came and died while the sentinel was not looking, certified likewise', async () => {
    const opener = new Opener(makeTable()).join(1)
    opener.region.setWaiting(true)
    await opener.roundTrip(1)
    await opener.roundTrip(1) // the sentinel has looked after the first
    opener.setLife(2, LIFE.DEAD)
    await ringOfDeath(opener, 2)
  })

  test('a death that the kernel did not report is found by the audit of a waiter', async () => {
    const opener = new Opener(makeTable()).join(1)
    opener.setWord(2, PARTICIPANT.ROBUST, FUTEX_WAITERS | 4_000_000)
    opener.setLife(2, LIFE.SCRUBBING)
    opener.region.setWaiting(true)
    await ringOfDeath(opener, 2)
  })

  test('a number that was taken again is not buried with its predecessor', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    const successor = new Opener(path)
    successor.region.lockByte(2, true)
    opener.setWord(2, PARTICIPANT.ROBUST, FUTEX_WAITERS | FUTEX_OWNER_DIED)
    opener.setLife(2, LIFE.LIVE)
    Atomics.add(opener.words, HEADER.ROSTER, 1)
    await opener.roundTrip(1)
    // The sentinel polls the byte now. The successor enters the table while it does.
    successor.setWord(2, PARTICIPANT.ROBUST, FUTEX_WAITERS | 4_000_000)
    successor.setLife(2, LIFE.LIVE, 2)
    await opener.roundTrip(1)
    opener.region.setWaiting(true)
    for (let i = 0; i < 100; i++) await opener.roundTrip(1)
    expect(opener.word(2, PARTICIPANT.LIFE)).toBe((2 << 16) | LIFE.LIVE)
  })

  test('nonsense in the roster harms nobody', async () => {
    const opener = new Opener(makeTable()).join(1)
    opener.region.setWaiting(true)
    for (let number = 2; number < 128; number++) {
      for (let word = 0; word < 64; word++) opener.setWord(number, word, Math.floor(Math.random() * 2 ** 32) | 0)
    }
    Atomics.add(opener.words, HEADER.ROSTER, 1)
    for (let i = 0; i < 20; i++) await opener.roundTrip(1)
  })
})
