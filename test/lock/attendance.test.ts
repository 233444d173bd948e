/** A blocking caller that attends a slot, against a clock and other participants that the test moves. The protocol is the shipped one. */
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { Attendance, EVICTED, HELD, LATE, LOOK_MS } from '../../src/lock/attendance.js'
import {
  ATTENDED, HANDOFF, LIFE, MODE_EXCLUSIVE, MODE_SHARED, OWNER_MASK, PARTICIPANT, PARTICIPANTS_WORD, PARTICIPANT_LIMIT, PARTICIPANT_WORDS, SLOT, SLOT_WORDS, WAITERS,
  participantWord,
} from '../../src/lock/layout.js'
import { ATTENDS, BUSY, ENTERED, LOST, Protocol, SUCCEEDS } from '../../src/lock/protocol.js'
import { hasBit } from '../../src/lock/roster.js'
import { TURN_MS } from '../../src/lock/turn.js'

const clock = vi.hoisted(() => ({ tick: (): number => 0 }))
vi.mock('../../src/lock/clock.js', () => ({ nowMs: () => clock.tick() }))

const TICK_MS = 0.0002
const YIELD_MS = 0.001
const SLOT_WORD = PARTICIPANTS_WORD + PARTICIPANT_LIMIT * PARTICIPANT_WORDS
const ME = 1

/** Participants 1 (who attends) to 4, and one slot. */
class Scene {
  now = 1000
  readonly words = new Int32Array(SLOT_WORD + SLOT_WORDS)
  readonly rung: number[] = []
  readonly sleeps: { at: number; ms: number }[] = []
  live = true
  readonly #events: { at: number; run: () => void }[] = []
  readonly others = new Map([1, 2, 3, 4].map(number => {
    this.words[participantWord(number) + PARTICIPANT.LIFE] = (1 << 16) | LIFE.LIVE
    this.words[participantWord(number) + PARTICIPANT.PID] = 100 + number
    return [number, new Protocol(this.words, number, 1, { ring: rung => this.ring(rung), now: () => 1 })] as const
  }))
  readonly attendance = new Attendance(this.words, ME, participantWord(ME), this.of(ME), {
    letOthersRun: () => {
      this.#move(YIELD_MS)
    },
    isLive: () => this.live,
    sleep: (sequence, ms) => {
      this.sleeps.push({ at: this.now, ms })
      const until = this.now + ms
      while (this.now < until && (this.words[participantWord(ME) + PARTICIPANT.BELL]! & ~7) === sequence) this.#move(0.01)
    },
  })

  constructor() {
    clock.tick = () => {
      this.#move(TICK_MS)
      return this.now
    }
  }

  of(number: number): Protocol {
    return this.others.get(number)!
  }

  get state(): number {
    return this.words[SLOT_WORD]!
  }

  ring(number: number): void {
    this.rung.push(number)
    this.words[participantWord(number) + PARTICIPANT.BELL]! += 8
  }

  /** `ms` after this moment. */
  after(ms: number, run: () => void): void {
    this.#events.push({ at: this.now + ms, run })
    this.#events.sort((a, b) => a.at - b.at)
  }

  #move(ms: number): void {
    this.now += ms
    if (this.now > 1200) throw new Error('waits for ever')
    while (this.#events[0] !== undefined && this.#events[0].at <= this.now) this.#events.shift()!.run()
  }

  enter(number: number): void {
    expect(this.of(number).tryExclusive(SLOT_WORD, 7, 7)).toBe(ENTERED)
  }

  leave(number: number): void {
    expect(this.of(number).releaseExclusive(SLOT_WORD)).toBe(ENTERED)
  }

  /** It leaves and enters again at once, for as long as the slot is not given to another. */
  relockEvery(ms: number, number: number): void {
    this.after(ms, () => {
      this.leave(number)
      if ((this.state & OWNER_MASK) !== 0) return
      this.enter(number)
      this.relockEvery(ms, number)
    })
  }

  /** Registered and asleep. */
  queue(number: number, mode = MODE_EXCLUSIVE): void {
    this.of(number).register(SLOT_WORD, mode)
    expect(this.of(number).attemptExclusive(SLOT_WORD, 7, 7, false)).toBe(BUSY)
  }

  wait(timeoutMs = Infinity): { ending: number; tookMs: number } {
    const since = this.now
    const ending = this.attendance.wait(SLOT_WORD, 9, 9, since, since + timeoutMs)
    return { ending, tookMs: this.now - since }
  }

  isWaiting(number: number): boolean {
    return hasBit(this.words, SLOT_WORD + SLOT.WAITERS_EXCLUSIVE, number)
  }
}

let scene: Scene
beforeEach(() => {
  scene = new Scene()
})

describe('the next in turn', () => {
  beforeEach(() => {
    scene.enter(2)
  })

  test.each([
    ['a gap in the middle of a turn is the owner\'s, the first one after it is taken', 1.2, 0.5],
    ['a hold of more than half a turn is a turn', 0.6, undefined],
  ])('%s', (_what, turns, gap) => {
    if (gap !== undefined) {
      scene.after(gap * TURN_MS, () => {
        scene.leave(2)
      })
      scene.after(gap * TURN_MS + 0.001, () => {
        scene.enter(2)
      })
    }
    scene.after(turns * TURN_MS, () => {
      scene.leave(2)
    })
    let late: number | undefined
    scene.after(turns * TURN_MS + 0.002, () => {
      late = scene.of(2).tryExclusive(SLOT_WORD, 7, 7)
    })
    const { ending, tookMs } = scene.wait()
    scene.now += 0.01
    clock.tick()
    expect({ ending, late }).toEqual({ ending: HELD, late: BUSY })
    expect(tookMs).toBeGreaterThanOrEqual(turns * TURN_MS)
    expect(tookMs).toBeLessThan(turns * TURN_MS + 0.003)
    expect(scene.sleeps).toEqual([])
  })

  test('takes in the middle of a turn what stays free', () => {
    scene.after(0.5 * TURN_MS, () => {
      scene.leave(2)
    })
    const { ending, tookMs } = scene.wait()
    expect(ending).toBe(HELD)
    expect(tookMs).toBeLessThan(0.5 * TURN_MS + 0.0055) // looked at anew each 0.001, and for 0.003 more
  })

  test('says so in the slot, for as long as it looks; releases ring nobody', () => {
    const seen: number[] = []
    for (let i = 1; i < 20; i++) {
      scene.after(LOOK_MS + 0.01 * i, () => {
        seen.push(scene.state & ATTENDED)
        scene.leave(2)
        scene.enter(2)
      })
    }
    scene.after(0.5, () => {
      scene.leave(2)
    })
    expect(scene.wait().ending).toBe(HELD)
    expect(seen.every(Boolean)).toBe(true)
    expect(scene.rung).toEqual([])
    expect(scene.state & ATTENDED).toBe(0)
    expect(scene.isWaiting(ME)).toBe(false)
  })

  test('a flag that the look of another has cleared is set again', () => {
    scene.after(LOOK_MS + 0.1, () => {
      scene.queue(3)
      scene.of(3).giveUp(SLOT_WORD, MODE_EXCLUSIVE)
    })
    let seen = 0
    scene.after(LOOK_MS + 0.15, () => {
      seen = scene.state & ATTENDED
    })
    scene.after(LOOK_MS + 0.2, () => {
      scene.leave(2)
    })
    expect(scene.wait().ending).toBe(HELD)
    expect(seen).toBe(ATTENDED)
  })

  test('asks for a hand-off when the owner leaves no gap for several turns', () => {
    scene.relockEvery(0.1, 2)
    const { ending, tookMs } = scene.wait()
    expect(ending).toBe(HELD)
    expect(tookMs).toBeGreaterThan(3 * TURN_MS)
    expect(tookMs).toBeLessThan(5 * TURN_MS)
  })

  test('sleeps when one holder has it for long, and attends it for a shorter time the next time', () => {
    const attended: number[] = []
    for (let i = 0; i < 3; i++) {
      scene.sleeps.length = 0
      const began = scene.now
      scene.after(20, () => {
        scene.leave(2)
      })
      expect(scene.wait().ending).toBe(HELD)
      expect(scene.sleeps).toHaveLength(1)
      attended.push(scene.sleeps[0]!.at - began)
      expect(scene.rung.filter(number => number === ME)).toHaveLength(i + 1)
      scene.leave(ME)
      scene.enter(2)
    }
    expect(attended.map(Math.round)).toEqual([5, 3, 1])
  })

  test('leaves the slot as it was when its time is up', () => {
    scene.after(0.1, () => {
      scene.queue(4)
    })
    const { ending, tookMs } = scene.wait(0.5)
    expect(ending).toBe(LATE)
    expect(tookMs).toBeGreaterThanOrEqual(0.5)
    expect(scene.isWaiting(ME)).toBe(false)
    expect(scene.state & ATTENDED).toBe(0)
    scene.leave(2)
    expect(scene.rung.at(-1)).toBe(4)
  })

  test('an eviction ends the wait', () => {
    scene.after(0.3, () => {
      scene.live = false
      scene.ring(ME)
    })
    const { ending, tookMs } = scene.wait()
    expect(ending).toBe(EVICTED)
    expect(tookMs).toBeLessThan(0.31)
  })

  test.each([
    { what: 'free when it looks', freeAt: 0.2999 },
    { what: 'with a reader inside', freeAt: 0.2, reader: true },
  ])('who is evicted leaves nothing behind: the slot is $what', ({ freeAt, reader = false }) => {
    scene.after(freeAt, () => {
      scene.leave(2)
      if (reader) scene.of(2).tryShared(SLOT_WORD)
    })
    scene.after(reader ? 1 : 0.2999, () => {
      scene.live = false
      scene.ring(ME)
    })
    expect(scene.wait().ending).toBe(EVICTED)
    expect(scene.state & (OWNER_MASK | ATTENDED)).toBe(0)
    expect(scene.isWaiting(ME)).toBe(false)
  })

  test('short time-outs say nothing about how long it is held', () => {
    for (let i = 0; i < 20; i++) expect(scene.wait(0.2).ending).toBe(LATE)
    scene.after(20, () => {
      scene.leave(2)
    })
    const began = scene.now
    expect(scene.wait().ending).toBe(HELD)
    expect(Math.round(scene.sleeps[0]!.at - began)).toBe(5)
  })

  test('a dead owner is succeeded as soon as the bell tells of it', () => {
    scene.after(0.3, () => {
      scene.words[participantWord(2) + PARTICIPANT.LIFE] = (1 << 16) | LIFE.DEAD
      scene.ring(ME)
    })
    const { ending, tookMs } = scene.wait()
    expect(ending).toBe(HELD)
    expect(tookMs).toBeLessThan(0.31)
    expect(scene.of(ME).takeNotice(SLOT_WORD, 7, 7)).toBeDefined()
  })
})

test('who attends and is evicted wakes those who relied on it', () => {
  scene.enter(4)
  scene.after(0.1, () => {
    scene.queue(2)
  })
  scene.after(0.3, () => {
    expect(scene.state & ATTENDED).toBe(ATTENDED)
    scene.leave(4)
    expect(scene.rung).toEqual([])
    scene.live = false
    scene.ring(ME)
  })
  expect(scene.wait().ending).toBe(EVICTED)
  expect(scene.rung.at(-1)).toBe(2)
})

test('who goes to sleep after a turn asks for a hand-off: long holds in a row do not starve it', () => {
  scene.enter(2)
  scene.after(20, () => {
    scene.leave(2)
  })
  expect(scene.wait().ending).toBe(HELD) // it knows now that the slot is held for long
  scene.leave(ME)
  scene.enter(2)
  scene.relockEvery(10, 2)
  const { ending, tookMs } = scene.wait()
  expect(ending).toBe(HELD)
  expect(tookMs).toBeLessThan(10.1)
})

test('robbed while it enters, it waits on, registered', () => {
  scene.enter(2)
  scene.after(0.2, () => {
    scene.leave(2)
  })
  const attempt = vi.spyOn(scene.of(ME), 'attemptExclusive')
  let isRobbed = false
  attempt.mockImplementation((...args) => {
    const outcome = Protocol.prototype.attemptExclusive.apply(scene.of(ME), args)
    if (outcome !== ENTERED || isRobbed) return outcome
    isRobbed = true
    scene.of(3).seize(SLOT_WORD)
    scene.of(3).drain(SLOT_WORD, 7, 7)
    scene.after(20, () => {
      scene.leave(3)
    })
    return LOST
  })
  const { ending, tookMs } = scene.wait()
  expect({ isRobbed, ending }).toEqual({ isRobbed: true, ending: HELD })
  expect(tookMs).toBeGreaterThan(20)
  expect(tookMs).toBeLessThan(21)
})

test('a free slot is taken', () => {
  const { ending, tookMs } = scene.wait()
  expect(ending).toBe(HELD)
  expect(tookMs).toBeLessThan(0.01)
})

describe('before it registers', () => {
  test('a slot that its owner leaves soon is taken, and nobody rung for it', () => {
    scene.enter(2)
    let mayKnow = true
    scene.after(0.8 * LOOK_MS, () => {
      mayKnow = scene.isWaiting(ME) || (scene.state & WAITERS) !== 0
      scene.leave(2)
    })
    const { ending, tookMs } = scene.wait()
    expect({ ending, mayKnow }).toEqual({ ending: HELD, mayKnow: false })
    expect(tookMs).toBeLessThan(0.8 * LOOK_MS + 0.002)
    scene.leave(ME)
    expect(scene.state).toBe(0)
    expect(scene.rung).toEqual([])
  })

  test('a turn begins with that', () => {
    scene.enter(2)
    scene.after(0.5 * LOOK_MS, () => {
      scene.leave(2)
    })
    expect(scene.wait().ending).toBe(HELD)
    scene.queue(3)
    scene.of(3).attemptExclusive(SLOT_WORD, 7, 7, false, ATTENDS)
    scene.now += 0.3 * TURN_MS
    expect(scene.attendance.owesTurn(SLOT_WORD)).toBe(false)
    scene.now += 0.3 * TURN_MS
    expect(scene.attendance.owesTurn(SLOT_WORD)).toBe(false)
    scene.now += 0.5 * TURN_MS
    expect(scene.attendance.owesTurn(SLOT_WORD)).toBe(true)
  })

  test('a slot that another attends is left to that one', () => {
    scene.enter(2)
    scene.queue(3)
    scene.of(3).attemptExclusive(SLOT_WORD, 7, 7, false, ATTENDS)
    scene.after(0.3 * LOOK_MS, () => {
      scene.leave(2)
    })
    let later: number | undefined
    scene.after(0.6 * LOOK_MS, () => {
      later = scene.of(3).attemptExclusive(SLOT_WORD, 7, 7, false, SUCCEEDS)
    })
    scene.after(2, () => {
      scene.leave(3)
    })
    const { ending, tookMs } = scene.wait()
    expect({ ending, later }).toEqual({ ending: HELD, later: ENTERED })
    expect(tookMs).toBeGreaterThanOrEqual(2)
  })

  test('its time is up: it has never been there', () => {
    scene.enter(2)
    expect(scene.wait(0.5 * LOOK_MS).ending).toBe(LATE)
    expect(scene.isWaiting(ME)).toBe(false)
  })

  test.each([['at once', 0], ['in time', 0.5 * LOOK_MS]])('evicted, it leaves what it has caught %s', (_when, ms) => {
    if (ms !== 0) {
      scene.enter(2)
      scene.after(ms, () => {
        scene.leave(2)
      })
    }
    scene.live = false
    const { ending, tookMs } = scene.wait()
    expect(ending).toBe(EVICTED)
    expect(tookMs).toBeLessThan(LOOK_MS)
    expect(scene.state).toBe(0)
    expect(scene.isWaiting(ME)).toBe(false)
  })
})

test('who is not the next in turn makes sure that the next is awake, and sleeps', () => {
  scene.enter(2)
  scene.queue(3)
  scene.after(5, () => {
    scene.leave(2) // rings 3
    scene.of(3).attemptExclusive(SLOT_WORD, 7, 7, false)
    scene.leave(3) // rings 1
  })
  const began = scene.now
  expect(scene.wait().ending).toBe(HELD)
  expect(scene.sleeps[0]!.at - began).toBeLessThan(LOOK_MS + 0.01)
  expect(scene.rung).toEqual([3, 3, ME])
})

test('with readers inside it owns the slot, and sleeps until they have left', () => {
  scene.of(2).tryShared(SLOT_WORD)
  scene.after(3, () => {
    scene.of(2).releaseShared(SLOT_WORD)
  })
  const { ending, tookMs } = scene.wait()
  expect(ending).toBe(HELD)
  expect(tookMs).toBeGreaterThanOrEqual(3)
  expect(scene.sleeps).toHaveLength(1)
})

test('with readers inside, its time is up: the slot is theirs again', () => {
  scene.of(2).tryShared(SLOT_WORD)
  expect(scene.wait(0.5).ending).toBe(LATE)
  expect(scene.state & OWNER_MASK).toBe(0)
  expect(scene.of(3).tryShared(SLOT_WORD)).toBe(ENTERED)
})

test('taken by force while it waits for readers, it waits on', () => {
  scene.of(2).tryShared(SLOT_WORD)
  scene.after(1, () => {
    scene.of(3).seize(SLOT_WORD)
    scene.of(3).drain(SLOT_WORD, 7, 7)
  })
  scene.after(2, () => {
    scene.leave(3)
  })
  const { ending, tookMs } = scene.wait()
  expect(ending).toBe(HELD)
  expect(tookMs).toBeGreaterThanOrEqual(2)
})

describe('an owner that comes back', () => {
  /** 1 has entered after a wait, and 3 attends: as its own Attendance would. */
  function enterAttended(): void {
    scene.enter(2)
    scene.after(0.1, () => {
      scene.leave(2)
    })
    expect(scene.wait().ending).toBe(HELD)
    scene.of(3).register(SLOT_WORD, MODE_EXCLUSIVE)
    expect(scene.of(3).attemptExclusive(SLOT_WORD, 7, 7, false, ATTENDS)).toBe(BUSY)
    expect(scene.state & (ATTENDED | WAITERS)).toBe(ATTENDED | WAITERS)
  }

  test('owes nothing within its turn, nor where nobody attends', () => {
    expect(scene.attendance.owesTurn(SLOT_WORD)).toBe(false)
    enterAttended()
    scene.leave(ME)
    expect(scene.attendance.owesTurn(SLOT_WORD)).toBe(false)
  })

  test('after a turn it leaves the slot to who attends', () => {
    enterAttended()
    scene.now += TURN_MS
    scene.leave(ME)
    expect(scene.attendance.owesTurn(SLOT_WORD)).toBe(true)
    scene.after(0.02, () => {
      expect(scene.of(3).attemptExclusive(SLOT_WORD, 7, 7, false, SUCCEEDS)).toBe(ENTERED)
    })
    scene.after(0.5, () => {
      scene.leave(3)
    })
    const { ending, tookMs } = scene.wait()
    expect(ending).toBe(HELD)
    expect(tookMs).toBeGreaterThanOrEqual(0.5)
  })

  test.each([[0.3, 3], [0.4, 2], [0.6, 1], [2, 1]])('a hold that would end after the turn is not begun: %d of a turn each', (part, holds) => {
    enterAttended()
    let count = 0
    do {
      scene.now += part * TURN_MS
      count++
    } while (!scene.attendance.owesTurn(SLOT_WORD))
    expect(count).toBe(holds)
  })

  test('but goes on, for another turn, if that one does not come', () => {
    enterAttended()
    scene.now += TURN_MS
    scene.leave(ME)
    expect(scene.attendance.owesTurn(SLOT_WORD)).toBe(true)
    const { ending, tookMs } = scene.wait()
    expect(ending).toBe(HELD)
    expect(tookMs).toBeGreaterThanOrEqual(0.05)
    expect(tookMs).toBeLessThan(0.06)
    scene.leave(ME)
    scene.of(3).attemptExclusive(SLOT_WORD, 7, 7, false, ATTENDS)
    expect(scene.attendance.owesTurn(SLOT_WORD)).toBe(false)
  })

  test('with a slot that it never waited for, its turn begins when somebody is first seen to attend it', () => {
    scene.enter(ME)
    scene.of(3).register(SLOT_WORD, MODE_EXCLUSIVE)
    scene.of(3).attemptExclusive(SLOT_WORD, 7, 7, false, ATTENDS)
    scene.now += 50
    scene.leave(ME)
    expect(scene.attendance.owesTurn(SLOT_WORD)).toBe(false)
    scene.now += 1.1 * TURN_MS
    expect(scene.attendance.owesTurn(SLOT_WORD)).toBe(true)
  })
})

test('a sleeping waiter that asked comes first', () => {
  scene.enter(2)
  scene.of(4).register(SLOT_WORD, MODE_EXCLUSIVE)
  scene.of(4).attemptExclusive(SLOT_WORD, 7, 7, true)
  expect(scene.state & HANDOFF).toBe(HANDOFF)
  scene.after(0.1, () => {
    scene.leave(2)
    expect(scene.of(4).attemptExclusive(SLOT_WORD, 7, 7, false)).toBe(ENTERED)
  })
  scene.after(0.3, () => {
    scene.leave(4)
  })
  const { ending, tookMs } = scene.wait()
  expect(ending).toBe(HELD)
  expect(tookMs).toBeGreaterThanOrEqual(0.3)
})

test('a shared waiter that is the next in turn is woken', () => {
  scene.enter(2)
  scene.of(3).register(SLOT_WORD, MODE_SHARED)
  scene.of(3).attemptShared(SLOT_WORD, false)
  scene.after(1, () => {
    scene.leave(2)
    scene.of(3).attemptShared(SLOT_WORD, false)
  })
  scene.after(2, () => {
    scene.of(3).releaseShared(SLOT_WORD)
  })
  expect(scene.wait().ending).toBe(HELD)
  expect(scene.rung[0]).toBe(3)
})
