/** The Web Locks API's rules, after the web platform's own tests; then between openings and processes. */
import { describe, expect, test } from 'vitest'
import type { LockTable, WebLock } from '../../src/index.js'
import { Peer, open } from './support.js'

async function failure(promise: Promise<unknown>): Promise<string> {
  return await promise.then(() => 'resolved', (error: unknown) => (error instanceof Error ? error.name : String(error)))
}

const nothing = (): undefined => undefined

/** A request that holds until it is told to end. */
function hold(table: LockTable, name: string, options: object = {}): { granted: Promise<WebLock | null>; end: () => void; done: Promise<unknown> } {
  let end = nothing as () => void
  let grant = nothing as (lock: WebLock | null) => void
  const granted = new Promise<WebLock | null>(resolve => {
    grant = resolve
  })
  const done = table.request(name, options, lock => {
    grant(lock)
    return new Promise<void>(resolve => {
      end = resolve
    })
  })
  return { granted, done, end: () => { end() } }
}

describe('arguments', () => {
  const rows: readonly (readonly [string, unknown[], string])[] = [
    ['none', [], 'TypeError'],
    ['a name only', ['a'], 'TypeError'],
    ['no callback', ['a', {}], 'TypeError'],
    ['no callback in third place', ['a', {}, undefined], 'TypeError'],
    ['a callback that is none', ['a', {}, 'b'], 'TypeError'],
    ['a mode', ['a', { mode: 'x' }, nothing], 'TypeError'],
    ['a signal', ['a', { signal: {} }, nothing], 'TypeError'],
    ['options', ['a', 5, nothing], 'TypeError'],
    ['a symbol', [Symbol('a'), nothing], 'TypeError'],
    ['a name with a hyphen in front', ['-a', nothing], 'NotSupportedError'],
    ['steal with ifAvailable', ['a', { steal: true, ifAvailable: true }, nothing], 'NotSupportedError'],
    ['steal of a shared lock', ['a', { steal: true, mode: 'shared' }, nothing], 'NotSupportedError'],
    ['signal with steal', ['a', { steal: true, signal: new AbortController().signal }, nothing], 'NotSupportedError'],
    ['signal with ifAvailable', ['a', { ifAvailable: true, signal: new AbortController().signal }, nothing], 'NotSupportedError'],
    ['the mode is checked before the name', ['-a', { mode: 'x' }, nothing], 'TypeError'],
    ['the name before the combination', ['-a', { steal: true, ifAvailable: true }, nothing], 'NotSupportedError'],
    ['the combination before an aborted signal', ['a', { steal: true, signal: AbortSignal.abort() }, nothing], 'NotSupportedError'],
    ['an aborted signal', ['a', { signal: AbortSignal.abort() }, nothing], 'AbortError'],
    ['a reason of one’s own', ['a', { signal: AbortSignal.abort('mine') }, nothing], 'mine'],
    ['a name that is too long', ['x'.repeat(1025), nothing], 'QuotaExceededError'],
  ]
  test.each(rows)('%s', async (_what, args, expected) => {
    const table = await open()
    expect(await failure((table.request as (...all: unknown[]) => Promise<unknown>)(...args))).toBe(expected)
  })

  test('members are read in the order of their names; the name becomes a string', async () => {
    const table = await open()
    const read: string[] = []
    const options = new Proxy({}, { get: (_target, key) => { read.push(String(key)) } })
    await table.request(7 as never, options, lock => {
      expect(lock).toMatchObject({ name: '7', mode: 'exclusive' })
    })
    expect(read).toEqual(['ifAvailable', 'mode', 'signal', 'steal'])
    expect(await table.request('a', null as never, lock => lock?.mode)).toBe('exclusive')
  })
})

describe('requests', () => {
  test('the result, or the error, of the callback; the lock lives until then', async () => {
    const table = await open()
    expect(await table.request('a', () => 5)).toBe(5)
    expect(await table.request('a', { mode: 'shared' }, async lock => await Promise.resolve(lock?.mode))).toBe('shared')
    expect(await failure(table.request('a', () => { throw new RangeError('x') }))).toBe('RangeError')
    expect(await failure(table.request('a', () => Promise.reject(new URIError('x'))))).toBe('URIError')
    expect((await table.query()).held).toEqual([])
  })

  test('the callback does not run before request returns', async () => {
    const table = await open()
    let ran = false
    const done = table.request('a', () => { ran = true })
    expect(ran).toBe(false)
    await done
    expect(ran).toBe(true)
  })

  test('first come, first served; shared ones together, behind an exclusive one', async () => {
    const table = await open()
    const order: string[] = []
    const first = hold(table, 'a')
    await first.granted
    const note = (label: string) => async (): Promise<void> => {
      order.push(label)
      await new Promise(setImmediate)
    }
    const rest = [table.request('a', { mode: 'shared' }, note('s1')), table.request('a', { mode: 'shared' }, note('s2')), table.request('a', note('x1')),
      table.request('a', { mode: 'shared' }, note('s3'))]
    expect((await table.query()).pending.map(lock => lock.mode)).toEqual(['shared', 'shared', 'exclusive', 'shared'])
    first.end()
    await Promise.all(rest)
    expect(order).toEqual(['s1', 's2', 'x1', 's3'])
  })

  test('ifAvailable: null when it is not, also behind a queue', async () => {
    const table = await open()
    expect(await table.request('a', { ifAvailable: true }, lock => lock?.name)).toBe('a')
    const reader = hold(table, 'a', { mode: 'shared' })
    await reader.granted
    expect(await table.request('a', { ifAvailable: true, mode: 'shared' }, lock => lock?.mode)).toBe('shared')
    expect(await table.request('a', { ifAvailable: true }, lock => lock)).toBe(null)
    const writer = hold(table, 'a')
    expect(await table.request('a', { ifAvailable: true, mode: 'shared' }, lock => lock)).toBe(null)
    reader.end()
    await writer.granted
    writer.end()
    await writer.done
  })

  test('signal: ends a wait, not a hold', async () => {
    const table = await open()
    const first = hold(table, 'a')
    await first.granted
    const controller = new AbortController()
    let ran = false
    const second = failure(table.request('a', { signal: controller.signal }, () => { ran = true }))
    controller.abort()
    expect(await second).toBe('AbortError')
    expect((await table.query()).pending).toEqual([])
    first.end()
    await first.done
    expect(ran).toBe(false)
    const late = new AbortController()
    expect(await table.request('a', { signal: late.signal }, () => {
      late.abort()
      return 'kept'
    })).toBe('kept')
  })

  test('steal: the holder’s request is rejected, the thief comes before the queue', async () => {
    const table = await open()
    const first = hold(table, 'a')
    await first.granted
    const queued = hold(table, 'a')
    const thief = hold(table, 'a', { steal: true })
    expect(await failure(first.done)).toBe('AbortError')
    await thief.granted
    expect((await table.query()).held).toHaveLength(1)
    first.end()
    thief.end()
    await thief.done
    await queued.granted
    queued.end()
    await queued.done
    expect((await table.query()).held).toEqual([])
  })

  test('steal: all shared holders', async () => {
    const table = await open()
    const readers = [hold(table, 'a', { mode: 'shared' }), hold(table, 'a', { mode: 'shared' })]
    for (const reader of readers) await reader.granted
    const ends = readers.map(reader => failure(reader.done))
    expect(await table.request('a', { steal: true }, lock => lock?.mode)).toBe('exclusive')
    expect(await Promise.all(ends)).toEqual(['AbortError', 'AbortError'])
    expect(await table.request('a', () => 'free again')).toBe('free again')
  })

  test('a closed table rejects', async () => {
    const table = await open()
    const first = hold(table, 'a')
    await first.granted
    const waiting = failure(table.request('a', nothing))
    await table.close()
    expect(await failure(first.done)).toBe('AbortError')
    expect(await waiting).toBe('LockError')
    expect(await failure(table.request('a', nothing))).toBe('LockError')
    expect(await failure(table.query())).toBe('LockError')
  })
})

describe('between openings and processes', () => {
  test.each(['exclusive', 'shared'] as const)('steal from another opening, %s', async mode => {
    const [table, other] = [await open()].flatMap(first => [first, first])
    const second = await open(table?.path)
    const victim = hold(other as LockTable, 'a', { mode })
    await victim.granted
    const end = failure(victim.done)
    expect(await second.request('a', { steal: true }, () => 'stolen')).toBe('stolen')
    expect(await end).toBe('AbortError')
    expect(await (other as LockTable).request('a', () => 'free again')).toBe('free again')
  })

  test.each(['exclusive', 'shared'] as const)('steal from another process, %s; query sees it', async mode => {
    const table = await open()
    const peer = await Peer.start(table.path)
    expect(await peer.ask({ verb: 'hold-request', mode })).toBe('holding')
    expect((await table.query()).held).toEqual([{ name: 'a', mode, clientId: expect.stringMatching(`^${peer.pid}-`) as string }])
    const waiting = hold(table, 'a')
    const pending = JSON.parse(await peer.ask({ verb: 'query' })) as { pending: unknown[] }
    expect(pending.pending).toMatchObject([{ name: 'a', mode: 'exclusive' }])
    expect(await table.request('a', { steal: true }, () => 'stolen')).toBe('stolen')
    expect(await peer.answer()).toBe('rejected with AbortError')
    await waiting.granted
    waiting.end()
    await waiting.done
    expect(await peer.ask({ verb: 'request' })).toBe('granted')
  })
})
