import { describe, expect, test } from 'vitest'
import { mute, unmute } from '../../src/lock/doorbell.js'
import { BELL_SENTINEL, BELL_SYNC, LIFE, PARTICIPANT, participantWord } from '../../src/lock/layout.js'
import { type NativeRegion } from '../../src/lock/native.js'
import { FUTEX_WAITERS, Opener, Peer, descriptorCount, makeTable, mappingsOf, sentinelThreads, until } from './support.js'

const sleeps = (opener: Opener, number: number): boolean => (opener.word(number, PARTICIPANT.BELL) & BELL_SENTINEL) !== 0

/** False only if it is always woken: a signal may end a wait early, as SIGCHLD of an earlier test's process does. */
function timesOut(region: NativeRegion, expected: number, timeoutMs: number): boolean {
  for (let i = 0; i < 100; i++) if (!region.waitBell(1, expected, timeoutMs)) return true
  return false
}

describe('the thread', () => {
  test('states its id in the robust word while it runs, and clears it when it ends in good order', () => {
    const opener = new Opener(makeTable()).join(3)
    const word = opener.word(3, PARTICIPANT.ROBUST) >>> 0
    expect(word & FUTEX_WAITERS).not.toBe(0)
    expect(word & 0x3fffffff).toBeGreaterThan(1)
    expect(sentinelThreads()).toBe(1)
    opener.region.stopSentinel()
    opener.region.stopSentinel()
    expect([opener.word(3, PARTICIPANT.ROBUST), sentinelThreads()]).toEqual([0, 0])
  })

  test('may be started again after its end, and only then', async () => {
    const opener = new Opener(makeTable()).join(3)
    expect(() => {
      opener.region.startSentinel(3, () => undefined)
    }).toThrow('already')
    opener.region.stopSentinel()
    opener.join(3)
    await opener.roundTrip(3)
  })

  test('ends although somebody has damaged its bell while it slept', async () => {
    const opener = new Opener(makeTable()).join(3)
    await until(() => sleeps(opener, 3))
    opener.setWord(3, PARTICIPANT.BELL, 0)
    opener.region.stopSentinel()
    expect(sentinelThreads()).toBe(0)
  })

  test('many cycles leave no threads, descriptors or mappings', async () => {
    const path = makeTable()
    const before = descriptorCount()
    for (let i = 0; i < 200; i++) {
      const opener = new Opener(path).join(1 + (i % 127))
      if (i % 20 === 0) await opener.roundTrip(1 + (i % 127))
      opener.region.close()
    }
    expect([descriptorCount(), mappingsOf(path), sentinelThreads()]).toEqual([before, 0, 0])
  })

  test('closing from within a ring is fine', async () => {
    const opener = new Opener(makeTable()).join(1)
    opener.onRing = () => {
      opener.region.close()
    }
    await opener.roundTrip(1)
    expect(sentinelThreads()).toBe(0)
  })
})

describe('rings', () => {
  test('reach JavaScript whether the sentinel sleeps or not', async () => {
    const opener = new Opener(makeTable()).join(1)
    for (let i = 0; i < 200; i++) {
      if (i % 2 === 0) await until(() => sleeps(opener, 1))
      await opener.roundTrip(1)
    }
  })

  test('merge, but none is forgotten: what preceded a ring is seen by a call after it', async () => {
    const opener = new Opener(makeTable()).join(1)
    let written = 0
    let seen = 0
    opener.onRing = () => {
      seen = written
    }
    for (written = 1; written <= 10_000; written++) opener.ring(1)
    await until(() => seen === written)
    expect(opener.rings).toBeLessThan(100)
  })

  test('behind a muted bell cost no system call, also if the sentinel was awake in between', async () => {
    const opener = new Opener(makeTable()).join(1)
    const bell = participantWord(1) + PARTICIPANT.BELL
    await until(() => sleeps(opener, 1))
    mute(opener.words, bell)
    for (let i = 0; i < 20; i++) {
      const before = opener.rings
      opener.ring(1)
      opener.region.wake(1, BELL_SENTINEL)
      await until(() => opener.rings > before) // so it slept once more since the round before
      expect(sleeps(opener, 1)).toBe(false)
    }
    unmute(opener.words, bell)
    expect(sleeps(opener, 1)).toBe(true)
    await opener.roundTrip(1)
  })

  test('come from other processes and go to them', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    const peer = await Peer.process(path, 2)
    const before = opener.rings
    await peer.order('ring', { other: 1 })
    await until(() => opener.rings > before)
    const heard = peer.rings
    opener.ring(2)
    await until(() => peer.rings > heard)
  })

  test('an exception in onRing is an uncaught exception', async () => {
    const opener = new Opener(makeTable()).join(1)
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const caught: unknown[] = []
    process.on('uncaughtException', error => caught.push(error))
    try {
      opener.onRing = () => {
        throw new Error('wanted')
      }
      opener.ring(1)
      await until(() => caught.length > 0)
      expect(caught).toEqual([new Error('wanted')])
    } finally {
      process.removeAllListeners('uncaughtException')
      for (const listener of others) process.on('uncaughtException', listener)
    }
    opener.onRing = () => undefined
    await opener.roundTrip(1)
  })
})

describe('the event loop', () => {
  test('is not kept alive by an idle sentinel, nor after the waiting has ended', async () => {
    const path = makeTable()
    const peer = await Peer.process(path, 1)
    await peer.order('wait')
    await peer.order('stopWaiting')
    await peer.order('stopWaiting')
    peer.post('disconnect')
    await until(() => peer.exited)
    expect(peer.exitCode).toBe(0)
  })

  test('is kept alive while somebody waits', async () => {
    const path = makeTable()
    const opener = new Opener(path)
    const peer = await Peer.process(path, 1)
    await peer.order('wait')
    peer.post('disconnect')
    // Its channel is gone, so it cannot tell; that its sentinel still goes to sleep after every ring shows that it lives.
    for (let i = 0; i < 50; i++) {
      opener.ring(1)
      await until(() => sleeps(opener, 1) || peer.exited)
    }
    expect(peer.exited).toBe(false)
  })
})

describe('waitBell', () => {
  test('returns false when the time is up, true when the word is another', () => {
    const { region } = new Opener(makeTable())
    expect(timesOut(region, 0, 0)).toBe(true)
    expect(timesOut(region, 0, 1.5)).toBe(true)
    expect(region.waitBell(1, 1, 20_000)).toBe(true)
  })

  test('takes the word signed or unsigned', () => {
    const opener = new Opener(makeTable())
    opener.setWord(1, PARTICIPANT.SYNC_BELL, -4)
    expect(timesOut(opener.region, -4, 0)).toBe(true)
    expect(timesOut(opener.region, 0xfffffffc, 0)).toBe(true)
  })

  test('is woken from another process, without limit of time, beside the sentinel', async () => {
    const path = makeTable()
    const opener = new Opener(path).join(1)
    const peer = await Peer.process(path, 2)
    for (let i = 0; i < 20; i++) {
      const calls = opener.word(1, PARTICIPANT.SYNC_BELL)
      Atomics.or(opener.words, participantWord(1) + PARTICIPANT.BELL, BELL_SYNC)
      peer.post('ring', { other: 1 })
      expect(opener.region.waitBell(1, calls, Infinity)).toBe(true)
    }
    await opener.roundTrip(1)
    expect(opener.status(2)).toBe(LIFE.LIVE)
  })
})
