/** `locktable status`, `inspect`, `check`, `create`, `remove` and `evict` as a user runs them. */
import { chmodSync, closeSync, existsSync, openSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { tablePath } from '../../src/cli/common.js'
import { fileWords } from '../../src/lock/layout.js'
import { hasScript, locktable, onTerminal, open, place, start, until } from './support.js'

const matching = (text: RegExp | string): string => (typeof text === 'string' ? expect.stringContaining(text) : expect.stringMatching(text)) as string

describe('create and remove', () => {
  test('spaces, permissions, size', async () => {
    const made = await locktable('create', '--space', 'group', '--space', 'snapshot:64', '--mode', '660')
    expect(made).toMatchObject({ status: 0, out: matching(/^made \S+: group \(\d+ slots\), snapshot \(64 slots\); [\d.]+ MiB\n$/), err: '' })
    expect(made.out).toContain(`; ${(statSync(place.path).size / 2 ** 20).toFixed(1)} MiB`)
    expect(statSync(place.path).mode & 0o777).toBe(0o660)
    expect(await locktable('create')).toEqual({ status: 73, out: '', err: `locktable: ${place.path} exists already\n` })
    expect(await locktable('remove')).toEqual({ status: 0, out: `removed ${place.path}\n`, err: '' })
    expect(existsSync(place.path)).toBe(false)
    expect(await locktable('remove')).toEqual({ status: 66, out: '', err: `locktable: there is no lock table at ${place.path}\n` })
  })

  test('a table that somebody is in stays', async () => {
    const table = await open()
    expect(await locktable('remove')).toMatchObject({ status: 75, err: matching('1 live participants') })
    expect(existsSync(place.path)).toBe(true)
    await table.close()
    expect(await locktable('remove')).toMatchObject({ status: 0 })
  })

  test.each([
    ['a space twice', ['--space', 'a', '--space', 'a'], 'named twice'],
    ['no slots', ['--space', 'a:0'], 'SLOTS must be from 1'],
    ['too many slots', ['--space', 'a:4194305'], 'SLOTS must be from 1'],
    ['too many together', ['--space', 'a:4194304', '--space', 'b:4194304', '--space', 'c:4194304'], 'more than'],
    ['a name too long', ['--space', 'a'.repeat(49)], 'at most 48 bytes'],
    ['too many spaces', Array.from({ length: 17 }, (_, i) => ['--space', `s${i}`]).flat(), 'at most 16'],
    ['permissions that are none', ['--mode', '888'], 'octal'],
  ] as const)('refused: %s', async (_what, args, text) => {
    expect(await locktable('create', ...args)).toMatchObject({ status: 64, out: '', err: matching(new RegExp(`^locktable: [^\n]*${text}[^\n]*\n$`)) })
    expect(existsSync(place.path)).toBe(false)
  })
})

describe('what is no table, or none to be used', () => {
  const whole = async (): Promise<void> => {
    await locktable('create')
  }
  const rows: readonly (readonly [what: string, status: number, make: () => Promise<void> | void])[] = [
    ['text', 65, () => { writeFileSync(place.path, 'text') }],
    ['a table cut short', 65, async () => {
      await whole()
      truncateSync(place.path, 65536)
    }],
    ['a symlink to a table', 65, async () => {
      await whole()
      symlinkSync(place.path, `${place.path}.link`)
      place.path += '.link'
    }],
    ['a directory', 65, () => { place.path = place.directory }],
    ['one that everybody may write', 77, async () => {
      await whole()
      chmodSync(place.path, 0o666)
    }],
    ['nothing', 66, () => undefined],
  ]
  test.each(rows)('%s: %i', async (_what, status, make) => {
    await make()
    for (const command of [['status'], ['inspect', 'a'], ['remove'], ['evict', '1']]) {
      expect(await locktable(...command)).toMatchObject({ status, out: '', err: matching(/^locktable: [^\n]+\n$/) })
    }
  })
})

describe('status and inspect', () => {
  test('for people', async () => {
    const table = await open({ spaces: ['group', 'snapshot'], label: 'a test' })
    expect((await locktable('status')).out).toContain('nothing is held or waited for')
    const guard = await table.space('snapshot').lock('vm/100', { mode: 'shared' })
    const waiter = start(['run', '--space', 'snapshot', 'vm/100', '--', 'true'])
    await until(() => table.inspectName('vm/100', 'snapshot').waiters.length === 1)
    const { out } = await locktable('status')
    expect(out).toMatch(/^table +\S+, [\d.]+ MiB, made \d{4}-/)
    expect(out).toMatch(/^spaces +group \(\d+ slots\), snapshot \(\d+ slots\)$/m)
    expect(out).toMatch(new RegExp(`^1 +${process.pid} +live +[\\d.]+ m?s +0 +a test$`, 'm'))
    expect(out).toMatch(new RegExp(`^2 +${waiter.pid} +live +[\\d.]+ m?s +1 +run vm/100$`, 'm'))
    expect(out).toMatch(new RegExp(`^snapshot +vm/100 +${process.pid} shared +[\\d.]+ m?s +${waiter.pid} exclusive [\\d.]+ m?s$`, 'm'))
    expect(out).not.toContain('locktable status') // it leaves itself out
    expect(out).not.toContain('\x1b')
    const one = (await locktable('inspect', '--space', 'snapshot', 'vm/100')).out
    expect(one).toContain(`holder       pid ${process.pid}, participant 1 (a test), shared\n`)
    expect(one).toMatch(new RegExp(`^waiter +pid ${waiter.pid}, participant 2 \\(run vm/100\\), exclusive, for `, 'm'))
    expect((await locktable('inspect', 'vm/100')).out).toMatch(/^state +free$/m)
    guard.release()
    await waiter.ended
  })

  test('for programs: the names of the fields stay', async () => {
    const table = await open({ label: 'a test' })
    const guard = await table.lock('a')
    const waiter = start(['run', 'a', '--', 'true'])
    await until(() => table.inspectName('a').waiters.length === 1)
    const report = JSON.parse((await locktable('status', '--json')).out)
    expect(report).toEqual({
      path: place.path, pidNamespace: statSync('/proc/self/ns/pid').ino, sizeBytes: statSync(place.path).size, createdAt: matching(/^\d{4}-\d\d-\d\dT.*Z$/), epoch: String(table.epoch),
      spaces: [{ name: 'default', rank: 0, slotCount: 16384 }],
      participants: [
        { number: 1, generation: expect.any(Number), state: 'live', pid: process.pid, pidNamespace: expect.any(Number), label: 'a test',
          ageMs: expect.any(Number), waitingCount: 0, counters: { waits: 0, stolen: 0 } },
        expect.objectContaining({ number: 2, pid: waiter.pid, waitingCount: 1 }),
      ],
      slots: [expect.anything()],
      waitsFor: [[2, 1]], cycles: [],
    })
    const slot = {
      space: 'default', slot: expect.any(Number), name: 'a', nameIsCut: false,
      holders: [{ participant: 1, pid: process.pid, mode: 'exclusive', state: 'live' }],
      waiters: [{ participant: 2, pid: waiter.pid, mode: 'exclusive', waitingMs: expect.any(Number) }],
      heldMs: expect.any(Number), version: '1', abandonedByPids: [], contended: expect.any(Number),
    }
    expect(report.slots).toEqual([slot])
    expect(JSON.parse((await locktable('inspect', '--json', 'a')).out)).toEqual({ asked: 'a', ...slot })
    guard.release()
    await waiter.ended
  })

  test('a dead holder, until the next one has been told', async () => {
    const run = await start(['run', 'a', '-c', 'echo ready; exec sleep 1']).said('ready')
    run.child.kill('SIGKILL')
    await until(() => run.child.signalCode !== null)
    const table = await open()
    await until(() => table.inspectName('a').holders.every(holder => holder.state === 'dead'))
    expect((await locktable('status')).out).toMatch(new RegExp(`${run.pid} exclusive \\(dead\\)|abandoned by ${run.pid}`))
    await locktable('run', '-q', 'a', '--', 'true')
    expect((await locktable('status')).out).toContain('nothing is held or waited for')
  })

  test('a deadlock is named', async () => {
    const table = await open({ label: 'first' })
    const guard = await table.lock('a')
    const second = await open({ label: 'second' })
    const theirs = await second.lock('b')
    const abort = new AbortController()
    const waits = [table.lock('b', { signal: abort.signal }), second.lock('a', { signal: abort.signal })]
    await until(() => table.inspect().cycles.length === 1)
    expect((await locktable('status')).out).toMatch(/^DEADLOCK: participants \d+ -> \d+ -> \d+ wait for each other/m)
    abort.abort()
    await Promise.allSettled(waits)
    guard.release()
    theirs.release()
  })

  test('names cannot harm the terminal', async () => {
    const table = await open({ label: 'l\x1b[31m' })
    const guard = await table.lock('n\x1b]0;title\x07\n\u202e')
    const { out } = await locktable('status')
    expect(out).toContain('n\\u001b]0;title\\u0007\\u000a\\u202e')
    expect(out).not.toMatch(/[\x00-\x09\x0b-\x1f]/) // eslint-disable-line no-control-regex
    guard.release()
  })

  test('--watch shows what changes, until it is interrupted', async () => {
    const table = await open()
    const watch = await start(['status', '--watch', '--json', '--interval', '0.01']).said('"slots":[]')
    const guard = await table.lock('a')
    await watch.said('"name":"a"')
    watch.child.kill('SIGINT')
    const end = await watch.ended
    expect(end.status).toBe('SIGINT')
    for (const line of end.out.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('slots')
    guard.release()
  })

  test('--watch ends when the table is removed', async () => {
    await locktable('create')
    const watch = await start(['status', '--watch', '--interval', '0.01']).said('no participants')
    rmSync(place.path)
    expect(await watch.ended).toMatchObject({ status: 76, err: matching('was removed or replaced') })
  })

  test.skipIf(!hasScript)('colours on a terminal, unless NO_COLOR', async () => {
    await open()
    expect((await onTerminal(['status']).ended).out).toContain('\x1b[32mlive\x1b[39m')
    expect((await onTerminal(['status'], { NO_COLOR: '1' }).ended).out).not.toContain('\x1b')
    expect((await onTerminal(['status'], { TERM: 'dumb' }).ended).out).not.toContain('\x1b')
    expect((await start(['status'], { FORCE_COLOR: '1', CI: '1' }).ended).out).not.toContain('\x1b')
  })

  test('a reader that has seen enough is no error', async () => {
    await open()
    const run = start(['status', '--watch', '--json', '--interval', '0'])
    run.child.stdout?.destroy()
    expect(await run.ended).toMatchObject({ status: 0, err: '' })
  })
})

describe('evict', () => {
  test('by number and by pid; the loser knows', async () => {
    const table = await open({ label: 'looks on' })
    const victim = await open({ label: 'victim' })
    const guard = await victim.lock('a')
    const number = String(victim.participantNumber)
    expect(await locktable('evict', number)).toEqual({ status: 64, out: '', err: 'locktable: there is no terminal to ask: say --yes\n' })
    expect(guard.isHeld).toBe(true)
    expect(await locktable('evict', '--yes', number)).toMatchObject({ status: 0, out: matching(`evicted ${number} (pid ${process.pid}, victim`) })
    expect(guard.isHeld).toBe(false)
    expect((await table.lock('a')).abandoned?.pid).toBe(process.pid)
    expect(await locktable('evict', '--yes', number)).toEqual({ status: 1, out: '', err: `locktable: there is no live participant ${number}\n` })
    expect(await locktable('evict', '-y', '--pid', String(process.pid))).toMatchObject({ status: 0 })
    expect(await locktable('evict', '-y', '--pid', String(process.pid))).toMatchObject({ status: 1, err: matching(`of process ${process.pid}`) })
  })

  test.skipIf(!hasScript)('asks on a terminal', async () => {
    const table = await open({ label: 'victim' })
    const guard = await table.lock('vm/100')
    for (const [answer, status, held] of [['\n', 1, true], ['\x04', 1, true], ['nonsense\n', 1, true], ['y\n', 0, false]] as const) {
      const run = await onTerminal(['evict', '1']).said('[y/N]')
      expect(run.out).toContain('Held: default vm/100.')
      run.child.stdin?.write(answer)
      expect((await run.ended).status).toBe(status)
      expect(guard.isHeld).toBe(held)
    }
  })
})

describe('check', () => {
  test('a table in use keeps its invariants', async () => {
    const table = await open({ spaces: [{ name: 'group', slots: 64 }] })
    const guard = await table.lock('vm/100')
    expect(await locktable('check')).toEqual({ status: 0, out: `${place.path} keeps its invariants: 64 slots\n`, err: '' })
    expect(JSON.parse((await locktable('check', '--json')).out)).toEqual({ path: place.path, findings: [] })
    guard.release()
  })

  test('damage is found and named', async () => {
    const table = await open({ spaces: [{ name: 'group', slots: 64 }] })
    const file = openSync(place.path, 'r+')
    writeSync(file, Buffer.from([0, 0x80]), 0, 2, fileWords([]) * 4 + 5 * 256) // a meaningless bit in the state of slot 5
    closeSync(file)
    const { status, out } = await locktable('check', '--settle', '0')
    expect(status).toBe(1)
    expect(out).toMatch(/broken +group slot 5 +- +STATE_BITS/)
    expect(JSON.parse((await locktable('check', '--json')).out).findings).toMatchObject([{ rule: 'STATE_BITS', severity: 'broken', space: 'group', slot: 5 }])
    expect(table.inspect().slots).toEqual([])
  })
})

describe('where the table is', () => {
  const as = (uid: number, env: Record<string, string>): string => {
    const spy = vi.spyOn(process, 'geteuid').mockReturnValue(uid)
    for (const name of ['LOCKTABLE', 'XDG_RUNTIME_DIR']) vi.stubEnv(name, env[name] ?? '')
    try {
      return tablePath({})
    } catch (error) {
      return (error as Error).message
    } finally {
      spy.mockRestore()
      vi.unstubAllEnvs()
    }
  }
  test.each([
    ['named', 1000, { LOCKTABLE: '/a/b', XDG_RUNTIME_DIR: '/dev/shm' }, '/a/b'],
    ['root', 0, {}, '/run/locktable'],
    ['root, logged in: the same as in cron', 0, { XDG_RUNTIME_DIR: '/dev/shm' }, '/run/locktable'],
    ['a user', 1000, { XDG_RUNTIME_DIR: '/dev/shm' }, '/dev/shm/locktable'],
    ['a user without a session', 4_000_000_000, {}, 'say where the table is, by --table or $LOCKTABLE: there is no $XDG_RUNTIME_DIR'],
  ] as const)('%s', (_what, uid, env, path) => {
    expect(as(uid, env)).toBe(path)
  })

  test('--table goes before all', () => {
    expect(tablePath({ table: join('/x', 'y') })).toBe('/x/y')
  })
})
