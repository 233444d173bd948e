/** The command as a user runs it: the built program, real processes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LockTable } from '../../src/index.js'

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

let directory = ''
let path = ''
const running = new Set<ChildProcess>()

beforeEach(() => {
  directory = mkdtempSync('/dev/shm/locktable-e2e-')
  path = join(directory, 'locks')
})

afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})

interface Run {
  readonly child: ChildProcess
  readonly ended: Promise<{ status: number | string; out: string; err: string }>
  /** Resolves once the output contains the text. */
  said(text: string): Promise<void>
}

function start(args: readonly string[], input = ''): Run {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, LOCKTABLE: path } })
  running.add(child)
  let out = ''
  let err = ''
  child.stdout.on('data', (data: Buffer) => { out += data.toString() })
  child.stderr.on('data', (data: Buffer) => { err += data.toString() })
  child.stdin.end(input)
  const ended = new Promise<{ status: number | string; out: string; err: string }>(resolve => {
    child.on('close', (code, signal) => {
      running.delete(child)
      resolve({ status: code ?? signal ?? '', out, err })
    })
  })
  const said = async (text: string): Promise<void> => {
    while (!out.includes(text)) await Promise.race([new Promise(resolve => child.stdout.once('data', resolve)), ended.then(() => { throw new Error(err) })])
  }
  return { child, ended, said }
}

const locktable = (...args: string[]): Run['ended'] => start(args).ended

describe('run', () => {
  test.each([
    ['its status comes back', ['run', 'a', '--', 'sh', '-c', 'exit 7'], 7, '', ''],
    ['its output too', ['run', 'a', '-c', 'echo hello; echo problem >&2'], 0, 'hello\n', 'problem\n'],
    ['ended by a signal: ends by the same', ['run', 'a', '-c', 'kill -TERM $$'], 'SIGTERM', '', ''],
    ['no such command', ['run', 'a', '--', '/no/such/command'], 69, '', 'cannot run /no/such/command'],
    ['no command', ['run', 'a'], 64, '', 'missing the command'],
    ['no name', ['run'], 64, '', 'missing required argument'],
    ['an option of nobody', ['run', '--what', 'a', '--', 'true'], 64, '', 'unknown option'],
    ['options behind the name belong to the command', ['run', 'a', '--', 'echo', '--shared', '-n'], 0, '--shared -n\n', ''],
    ['a time-out that is none', ['run', '--timeout', 'x', 'a', '--', 'true'], 64, '', 'number of seconds'],
    ['no such space', ['run', '--space', 'x', 'a', '--', 'true'], 64, '', 'no space "x"'],
    ['the fencing token', ['run', 'a', '-c', 'test $LOCKTABLE_VERSION -ge 1 && test -n "$LOCKTABLE_EPOCH"'], 0, '', ''],
  ] as const)('%s', async (_what, args, status, out, err) => {
    const result = await locktable(...args)
    expect(result.status).toBe(status)
    expect(result.out).toBe(out)
    expect(result.err).toContain(err)
  })

  test('a conflict: at once, after a time-out, with an exit status of one’s own', async () => {
    const table = await LockTable.open(path)
    const guard = await table.lock('a')
    expect(await locktable('run', '--no-wait', 'a', '--', 'echo', 'no')).toEqual({ status: 1, out: '', err: '' })
    expect(await locktable('run', '-w', '0.05', '-E', '9', 'a', '--', 'echo', 'no')).toMatchObject({ status: 9, out: '' })
    expect((await locktable('run', '-n', '--verbose', 'a', '--', 'true')).err).toContain('failed to get the lock')
    const waiting = start(['run', 'a', '--', 'echo', 'in'])
    while (table.inspect().slots[0]?.waiters.length !== 1) await new Promise(setImmediate)
    guard.release()
    expect(await waiting.ended).toMatchObject({ status: 0, out: 'in\n' })
    await table.close()
  })

  test('shared ones run together, an exclusive one does not', async () => {
    const held = start(['run', '--shared', 'b', '--', 'sleep', '1000'])
    const table = await LockTable.open(path)
    while (!table.inspect().slots.some(slot => slot.name === 'b')) await new Promise(setImmediate)
    expect(await locktable('run', '-n', '--shared', 'b', '--', 'true')).toMatchObject({ status: 0 })
    expect(await locktable('run', '-n', 'b', '--', 'true')).toMatchObject({ status: 1 })
    held.child.kill('SIGTERM')
    expect(await held.ended).toMatchObject({ status: 'SIGTERM' })
    await table.close()
  })

  test('signals go to the command', async () => {
    const run = start(['run', 'a', '-c', 'trap "echo caught; exit 3" USR1; echo ready; while :; do sleep 0.01; done'])
    await run.said('ready')
    run.child.kill('SIGUSR1')
    expect(await run.ended).toMatchObject({ status: 3, out: 'ready\ncaught\n' })
  })

  test('killed with -9: the next gets the lock and is told', async () => {
    const run = start(['run', 'a', '-c', 'echo ready; sleep 2'])
    await run.said('ready')
    run.child.kill('SIGKILL')
    const next = await locktable('run', 'a', '-c', 'echo "pid $LOCKTABLE_ABANDONED_PID"')
    expect(next).toMatchObject({ status: 0, out: `pid ${run.child.pid}\n` })
    expect(next.err).toContain('its last holder died')
  })

  test('evicted while the command runs: said, and in the exit status', async () => {
    const run = start(['run', 'a', '-c', `echo ready; while test ! -e ${path}.go; do sleep 0.01; done`])
    await run.said('ready')
    const pid = String(run.child.pid)
    expect(await locktable('evict', '--pid', pid)).toMatchObject({ status: 64, err: expect.stringContaining('no terminal to ask') as string })
    expect(await locktable('evict', '--yes', '--pid', pid)).toMatchObject({ status: 0, out: expect.stringContaining(`pid ${pid}`) as string })
    expect(await locktable('run', '--no-wait', 'a', '--', 'true')).toMatchObject({ status: 0 })
    writeFileSync(`${path}.go`, '')
    expect(await run.ended).toMatchObject({ status: 76, err: expect.stringContaining('the lock was lost') as string })
    expect(await locktable('evict', '--yes', '--pid', pid)).toMatchObject({ status: 1 })
  })
})

describe('the table', () => {
  test('create, status, inspect, remove', async () => {
    expect(await locktable('create', '--space', 'group', '--space', 'snapshot:64', '--mode', '660')).toMatchObject({
      status: 0, out: expect.stringContaining('snapshot (64 slots)') as string,
    })
    expect(await locktable('create')).toMatchObject({ status: 73, err: `locktable: ${path} exists already\n` })
    const table = await LockTable.open(path, { label: 'a test' })
    const guard = await table.lock('vm/100', { mode: 'shared' })
    const status = await locktable('status')
    expect(status.out).toMatch(/group \(\d+ slots\), snapshot \(64 slots\)/)
    expect(status.out).toMatch(/group +vm\/100 +\d+ shared/)
    expect(status.out).toContain('a test')
    const report = JSON.parse((await locktable('status', '--json')).out) as Record<string, unknown>
    expect(Object.keys(report)).toEqual(['path', 'sizeBytes', 'createdAt', 'epoch', 'spaces', 'participants', 'slots', 'waitsFor', 'cycles'])
    expect(report['participants']).toHaveLength(1)
    expect((await locktable('inspect', 'vm/100')).out).toContain(`pid ${process.pid}, participant`)
    expect(JSON.parse((await locktable('inspect', '--json', '--space', 'snapshot', 'x')).out)).toMatchObject({ space: 'snapshot', holders: [], version: '0' })
    expect(await locktable('remove')).toMatchObject({ status: 75, err: expect.stringContaining('live participants') as string })
    guard.release()
    await table.close()
    expect(await locktable('remove')).toMatchObject({ status: 0 })
    expect(existsSync(path)).toBe(false)
    expect(await locktable('status')).toMatchObject({ status: 66, err: `locktable: there is no lock table at ${path}\n` })
  })

  test.each([
    ['what is no table', 'status', 65], ['a place that is none', 'create', 66],
  ] as const)('%s', async (_what, command, status) => {
    if (command === 'status') writeFileSync(path, 'text')
    else path = '/no/such/place/locks'
    const result = await locktable(command)
    expect(result.status).toBe(status)
    expect(result.err).toMatch(/^locktable: [^\n]+\n$/)
  })
})

describe('help', () => {
  test.each(['run', 'status', 'inspect', 'create', 'remove', 'evict', 'demo'])('%s --help', async command => {
    const { status, out } = await locktable(command, '--help')
    expect(status).toBe(0)
    expect(out).toContain(`locktable ${command}`)
    expect(out).toContain('Exit status:')
  })

  test.each([[['--version'], 0], [['--help'], 0], [['nonsense'], 64], [['--nonsense'], 64], [['evict'], 64], [['evict', '0'], 64], [['evict', '5', '--pid', '7'], 64]] as const)(
    '%j: %i', async (args, status) => {
      expect((await locktable(...args)).status).toBe(status)
    })
})

describe('demo', () => {
  test('four seconds of it add up', async () => {
    const { status, out } = await locktable('demo', '--seconds', '4', '--workers', '3', '--kill-every', '500', fileURLToPath(new URL('../..', import.meta.url)))
    expect(out).toContain('PROOF: every counter adds up')
    expect(out).toMatch(/processes killed with -9 +[1-9]/)
    expect(status).toBe(0)
  })
})
