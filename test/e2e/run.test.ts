/** `locktable run` as a user runs it. */
import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { MAIN, Run, hasScript, hasSetpriv, locktable, onTerminal, open, place, processState, start, until } from './support.js'

/** A shell command that waits for a file, which a test makes to let it go on, or for the end of the test: orphans do not stay. */
const gate = (): string => join(place.directory, 'go')
const atGate = (): string => `while test -d ${place.directory} -a ! -e ${gate()}; do sleep 0.01; done`
const openGate = (): void => {
  writeFileSync(gate(), '')
}

describe('the command and its status', () => {
  test.each([
    ['its status comes back', ['run', 'a', '--', 'sh', '-c', 'exit 7'], 7, '', ''],
    ['its output too', ['run', 'a', '-c', 'echo hello; echo problem >&2'], 0, 'hello\n', 'problem\n'],
    ['a command without --', ['run', 'a', 'echo', 'hello'], 0, 'hello\n', ''],
    ['-c before the name', ['run', '-c', 'echo hello', 'a'], 0, 'hello\n', ''],
    ['a -c of the command’s own', ['run', 'a', '--', 'sh', '-c', 'echo hello'], 0, 'hello\n', ''],
    ['options behind the name belong to the command', ['run', 'a', '--', 'echo', '--shared', '-n'], 0, '--shared -n\n', ''],
    ['ended by a signal: ends by the same', ['run', 'a', '-c', 'kill -TERM $$'], 'SIGTERM', '', ''],
    ['killed: the same', ['run', 'a', '-c', 'kill -KILL $$'], 'SIGKILL', '', ''],
    ['by one that dumps core: 128 + n', ['run', 'a', '-c', 'ulimit -c 0; kill -QUIT $$'], 131, '', ''],
    ['by SIGPIPE, which node ignores: 128 + n', ['run', 'a', '-c', 'kill -PIPE $$'], 141, '', ''],
    ['no such command', ['run', 'a', '--', '/no/such/command'], 69, '', 'locktable: cannot run /no/such/command: no such command\n'],
    ['a file that is no command', ['run', 'a', '--', '/etc/passwd'], 69, '', 'cannot run /etc/passwd'],
    ['both -c and a command', ['run', '-c', 'true', 'a', '--', 'true'], 64, '', 'not both'],
    ['-c with arguments', ['run', 'a', '-c', 'true', 'x'], 64, '', 'exactly one argument'],
    ['both shared and exclusive', ['run', '-s', '-x', 'a', '--', 'true'], 64, '', 'not both'],
    ['no command', ['run', 'a'], 64, '', 'missing the command'],
    ['no name', ['run'], 64, '', "missing required argument 'name'"],
    ['an option of nobody', ['run', '--what', 'a', '--', 'true'], 64, '', "unknown option '--what'"],
    ['a time-out that is none', ['run', '--timeout', '1e3', 'a', '--', 'true'], 64, '', 'number of seconds'],
    ['a time-out too long', ['run', '--timeout', '2147484', 'a', '--', 'true'], 64, '', 'number of seconds'],
    ['an exit status that is none', ['run', '-E', '256', 'a', '--', 'true'], 64, '', 'from 0 to 255'],
    ['a name too long', ['run', 'a'.repeat(1025), '--', 'true'], 64, '', 'longer than 1024'],
    ['no such space', ['run', '--space', 'x', 'a', '--', 'true'], 64, '', 'no space "x"'],
    ['a place that is none', ['run', '-t', '/no/such/place/locks', 'a', '--', 'true'], 66, '', 'no directory /no/such/place'],
  ] as const)('%s', async (_what, args, status, out, err) => {
    const end = await locktable(...args)
    expect(end.status).toBe(status)
    expect(end.out).toBe(out)
    if (err === '') expect(end.err).toBe('')
    else expect(end.err).toContain(err)
    expect(end.err.split('\n').length).toBeLessThanOrEqual(2)
  })

  test('--table before and behind the command’s name', async () => {
    const other = join(place.directory, 'other')
    for (const args of [['-t', other, 'run', 'a', '-c', 'echo $LOCKTABLE'], ['run', `--table=${other}`, 'a', '-c', 'echo $LOCKTABLE']]) {
      expect(await locktable(...args)).toMatchObject({ status: 0, out: `${other}\n` })
    }
    expect(existsSync(place.path)).toBe(false)
  })

  test('the environment: a fencing token that rises, and the table for a locktable inside', async () => {
    const first = await locktable('run', 'a', '-c', 'echo $LOCKTABLE_EPOCH $LOCKTABLE_VERSION ${LOCKTABLE_ABANDONED_PID-unset} $LOCKTABLE')
    const second = await locktable('run', 'a', '-c', 'echo $LOCKTABLE_EPOCH $LOCKTABLE_VERSION')
    const { epoch } = await open()
    expect(first.out).toBe(`${epoch} 1 unset ${place.path}\n`)
    expect(second.out).toBe(`${epoch} 2\n`)
  })

  const tmpIsMemory = statfsSync(tmpdir()).type === 0x01021994
  test.skipIf(tmpIsMemory)('a missing table is made only in memory, or where it was asked for', async () => {
    const path = join(tmpdir(), `locktable-e2e-${process.pid}`)
    expect(await locktable('run', '-t', path, 'a', '--', 'true')).toMatchObject({ status: 73, err: expect.stringContaining('--allow-any-file-system') as string })
    expect(existsSync(path)).toBe(false)
    expect(await locktable('run', '-t', path, '--allow-any-file-system', 'a', '--', 'true')).toMatchObject({ status: 0 })
    expect(await locktable('run', '-t', path, 'a', '--', 'true')).toMatchObject({ status: 0 })
    expect(await locktable('remove', '-t', path)).toMatchObject({ status: 0 })
  })
})

describe('the lock', () => {
  test('a conflict: at once, after a time-out, with an exit status of one’s own', async () => {
    const table = await open()
    const guard = await table.lock('a')
    expect(await locktable('run', '--no-wait', 'a', '--', 'echo', 'no')).toEqual({ status: 1, out: '', err: '' })
    expect(await locktable('run', '--nonblock', 'a', '--', 'echo', 'no')).toEqual({ status: 1, out: '', err: '' })
    expect(await locktable('run', '-w', '0', 'a', '--', 'echo', 'no')).toEqual({ status: 1, out: '', err: '' })
    expect(await locktable('run', '-w', '.05', '-E', '9', 'a', '--', 'echo', 'no')).toEqual({ status: 9, out: '', err: '' })
    expect(await locktable('run', '-n', '--verbose', 'a', '--', 'true')).toMatchObject({ status: 1, err: 'locktable: a: failed to get the lock\n' })
    const waiting = start(['run', '--verbose', 'a', '--', 'echo', 'in'])
    await until(() => table.inspectName('a').waiters.length === 1)
    expect(waiting.out).toBe('')
    guard.release()
    expect(await waiting.ended).toMatchObject({ status: 0, out: 'in\n', err: expect.stringMatching(/^locktable: a: got the lock after [\d.]+ m?s\n$/) as string })
  })

  test('shared ones run together, an exclusive one does not; released at the end', async () => {
    const table = await open()
    const holder = await start(['run', '--shared', 'a', '-c', `echo in; ${atGate()}`]).said('in')
    expect(await locktable('run', '-n', '--shared', 'a', '--', 'true')).toMatchObject({ status: 0 })
    expect(await locktable('run', '-n', 'a', '--', 'true')).toMatchObject({ status: 1 })
    openGate()
    expect(await holder.ended).toMatchObject({ status: 0 })
    expect(table.inspect().slots).toEqual([])
    expect(table.inspect().participants.filter(p => p.state === 'live')).toHaveLength(1)
  })

  test('spaces have locks of their own', async () => {
    const table = await open({ spaces: ['group', 'snapshot'] })
    const guard = await table.space('snapshot').lock('a')
    expect(await locktable('run', '-n', 'a', '--', 'true')).toMatchObject({ status: 0 })
    expect(await locktable('run', '-n', '--space', 'snapshot', 'a', '--', 'true')).toMatchObject({ status: 1 })
    guard.release()
  })

  test('one inside another, in a later space', async () => {
    await open({ spaces: ['group', 'snapshot'] })
    const inner = `"${process.execPath}" "${MAIN}" run --space snapshot a -c 'echo both'`
    expect(await locktable('run', 'a', '-c', inner)).toEqual({ status: 0, out: 'both\n', err: '' })
  })
})

describe('signals', () => {
  test.each(['SIGUSR1', 'SIGUSR2', 'SIGHUP', 'SIGINT', 'SIGTERM', 'SIGQUIT'] as const)('%s goes to the command', async signal => {
    const run = await start(['run', 'a', '-c', `trap "echo caught; exit 3" ${signal.slice(3)}; echo ready; ${atGate()}`]).said('ready')
    run.child.kill(signal)
    expect(await run.ended).toMatchObject({ status: 3, out: 'ready\ncaught\n' })
  })

  test('SIGTERM ends a command that does not mind, and so the lock', async () => {
    const table = await open()
    const run = start(['run', 'a', '--', 'sleep', '1000'])
    await until(() => table.inspectName('a').holders.length === 1)
    run.child.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ status: 'SIGTERM', err: '' })
    expect((await table.lock('a')).abandoned).toBeUndefined()
  })

  test.each([['SIGINT', 'SIGINT'], ['SIGTERM', 'SIGTERM'], ['SIGHUP', 'SIGHUP'], ['SIGQUIT', 131]] as const)('%s ends the wait for the lock', async (signal, status) => {
    const table = await open()
    const guard = await table.lock('a')
    const run = start(['run', 'a', '--', 'echo', 'no'])
    await until(() => table.inspectName('a').waiters.length === 1)
    run.child.kill(signal)
    expect(await run.ended).toEqual({ status, out: '', err: '' })
    expect(table.inspectName('a').waiters).toEqual([])
    guard.release()
  })

  /**
   * A job of a shell: a process group whose leader's parent is in another one of the session, for the kernel stops only what somebody is there
   * to continue. No real shell: bash, waiting for a job that is stopped and continued, now and then loops for ever ("wait_for: No record of process").
   */
  async function startJob(text: string): Promise<{ run: Run; command: number; child: number }> {
    const shell = 'import os, subprocess, sys; job = subprocess.Popen(sys.argv[1:], preexec_fn=lambda: os.setpgid(0, 0)); print(f"job {job.pid},", flush=True); sys.exit(job.wait())'
    const run = await new Run('python3', ['-c', shell, process.execPath, MAIN, 'run', 'a', '-c', `echo pid $$.; ${text}`], {}).said('.')
    return { run, command: Number(/job (\d+)/.exec(run.out)?.[1]), child: Number(/pid (\d+)/.exec(run.out)?.[1]) }
  }

  test('SIGTSTP stops both, SIGCONT continues both, again and again', async () => {
    const { run, command, child } = await startJob(atGate())
    for (let round = 0; round < 3; round++) {
      process.kill(command, 'SIGTSTP')
      await until(() => processState(command) === 'T' && processState(child) === 'T')
      process.kill(command, 'SIGCONT')
      await until(() => processState(command) !== 'T' && processState(child) !== 'T')
    }
    openGate()
    expect(await run.ended).toMatchObject({ status: 0 })
  })

  test('SIGTSTP stops neither where no shell could continue them', async () => {
    const run = new Run('setsid', ['--wait', process.execPath, MAIN, 'run', 'a', '-c', `trap "echo told" USR1; echo ppid $PPID.; ${atGate()}`], {})
    await run.said('.')
    const pid = Number(/ppid (\d+)/.exec(run.out)?.[1])
    process.kill(pid, 'SIGTSTP')
    process.kill(pid, 'SIGUSR1')
    await run.said('told')
    openGate()
    expect(await run.ended).toMatchObject({ status: 0 })
  })

  test.skipIf(!hasScript)('^C on a terminal reaches the command once', async () => {
    // `wait` takes a trap at once, so two would not become one; SIGUSR1 is passed on after whatever locktable makes of ^C.
    const command = 'sleep 1000 & trap "echo caught" INT; trap "kill $!; exit 4" USR1; echo ready $PPID.; while :; do wait $!; done'
    const run = await onTerminal(['run', 'a', '-c', command]).said('.')
    const pid = Number(/ready (\d+)/.exec(run.out)?.[1])
    run.child.stdin?.write('\x03')
    await run.said('caught')
    process.kill(pid, 'SIGUSR1')
    const end = await run.ended
    expect(end.out.match(/caught/g)).toHaveLength(1)
    expect(end.status).toBe(4)
  })
})

describe('deaths and losses', () => {
  test('killed with -9: the next gets the lock and is told; the command runs on', async () => {
    const run = await start(['run', 'a', '-c', `echo ready; ${atGate()}; echo done > ${gate()}.done`]).said('ready')
    run.child.kill('SIGKILL')
    const next = await locktable('run', 'a', '-c', 'echo "pid $LOCKTABLE_ABANDONED_PID"')
    expect(next).toMatchObject({ status: 0, out: `pid ${run.pid}\n`, err: `locktable: a: its last holder died (pid ${run.pid})\n` })
    expect(await locktable('run', 'a', '-c', 'echo "pid ${LOCKTABLE_ABANDONED_PID-unset}"')).toEqual({ status: 0, out: 'pid unset\n', err: '' })
    openGate()
    await until(() => existsSync(`${gate()}.done`))
  })

  test.skipIf(!hasSetpriv)('killed with -9: with setpriv --pdeathsig the command dies along', async () => {
    const run = await start(['run', 'a', '--', 'setpriv', '--pdeathsig', 'KILL', 'sh', '-c', 'echo pid $$.; exec sleep 1000']).said('.')
    const pid = Number(/pid (\d+)/.exec(run.out)?.[1])
    expect(processState(pid)).toBeDefined()
    run.child.kill('SIGKILL')
    await until(() => processState(pid) === undefined)
  })

  test('--quiet does not tell; the notice of a locktable around it is not inherited', async () => {
    const run = await start(['run', 'a', '-c', `echo ready; ${atGate()}`]).said('ready')
    run.child.kill('SIGKILL')
    expect(await locktable('run', '--quiet', 'a', '--', 'true')).toEqual({ status: 0, out: '', err: '' })
    const inside = start(['run', 'b', '-c', 'echo ${LOCKTABLE_ABANDONED_PID-unset}'], { LOCKTABLE_ABANDONED_PID: '1' })
    expect((await inside.ended).out).toBe('unset\n')
    openGate()
  })

  test('--fail-abandoned does not run until a run without it did', async () => {
    const run = await start(['run', 'a', '-c', `echo ready; ${atGate()}`]).said('ready')
    run.child.kill('SIGKILL')
    for (let i = 0; i < 2; i++) {
      const refused = await locktable('run', '--fail-abandoned', 'a', '--', 'echo', 'no')
      expect(refused).toMatchObject({ status: 79, out: '', err: expect.stringMatching(/^locktable: a: its last holder died \(pid \d+\); not run\n$/) as string })
    }
    expect(await locktable('run', 'a', '--', 'echo', 'repaired')).toMatchObject({ status: 0, out: 'repaired\n' })
    expect(await locktable('run', '--fail-abandoned', 'a', '--', 'echo', 'yes')).toEqual({ status: 0, out: 'yes\n', err: '' })
    openGate()
  })

  test('evicted while the command runs: said at once, and in the exit status', async () => {
    const run = await start(['run', 'a', '-c', `echo ready; ${atGate()}; exit 5`]).said('ready')
    expect(await locktable('evict', '--yes', '--pid', String(run.pid))).toMatchObject({ status: 0 })
    await run.said('the lock is lost, and the command still runs\n', 'err')
    expect(await locktable('run', '--no-wait', 'a', '--', 'true')).toMatchObject({ status: 0 })
    openGate()
    expect(await run.ended).toMatchObject({ status: 76, err: expect.stringContaining('the lock was lost before the command ended (status 5)') as string })
  })

  test('the table removed while the command runs: said at once, and in the exit status', async () => {
    const run = await start(['run', 'a', '-c', `echo ready; ${atGate()}`]).said('ready')
    rmSync(place.path)
    await run.said('was removed or replaced: the lock is lost', 'err')
    openGate()
    expect(await run.ended).toMatchObject({ status: 76 })
  })

  test('--on-loss=kill ends the command', async () => {
    const run = await start(['run', '--on-loss=kill', 'a', '-c', `trap "echo ended; exit 0" TERM; echo ready; ${atGate()}`]).said('ready')
    rmSync(place.path)
    expect(await run.ended).toMatchObject({ status: 76, out: 'ready\nended\n', err: expect.stringContaining('is told to end') as string })
  })
})
