/** What the command says about itself, and to those who misuse it. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { EXIT, exitCodeOf } from '../../src/cli/exit-codes.js'
import { LockError, type LockErrorCode } from '../../src/index.js'
import { locktable } from './support.js'

const COMMANDS = ['run', 'status', 'inspect', 'check', 'create', 'remove', 'evict', 'store', 'demo'] as const

/** The codes in a help text's last part. */
function codesIn(help: string): number[] {
  return [...(help.split('Exit status:\n')[1] ?? '').matchAll(/^ {2,4}(\d+) {2}\S/gm)].map(match => Number(match[1]))
}

describe('help', () => {
  test.each(COMMANDS)('%s --help: options, examples, exit statuses, in 80 columns', async command => {
    const { status, out, err } = await locktable(command, '--help')
    expect([status, err]).toEqual([0, ''])
    expect(out).toContain(`Usage: locktable ${command} `)
    expect(out).toContain('--table <path>')
    expect(out).toMatch(/^Examples?:\n {2}locktable /m)
    expect(codesIn(out)).toEqual(expect.arrayContaining([0, 64, 65, 66, 70, 71, 74, 75, 77]))
    expect(out.split('\n').filter(line => line.length > 80)).toEqual([])
  })

  test('every command of the store: options, examples, exit statuses, in 80 columns', async () => {
    const commands = ['init', 'backup', 'restore', 'list', 'show', 'notes', 'protect', 'owner', 'namespace list', 'namespace create', 'namespace remove', 'key create', 'key show', 'key change-passphrase']
    const helps = await Promise.all(commands.map(command => locktable('store', ...command.split(' '), '--help')))
    for (const [i, { status, out, err }] of helps.entries()) {
      expect([status, err]).toEqual([0, ''])
      expect(out).toContain(`Usage: locktable store ${commands[i]} [options]`)
      expect(out).toMatch(/^Examples?:\n {2}(LOCKTABLE_REPOSITORY=\S+ )?locktable store /m)
      expect(codesIn(out)).toEqual(expect.arrayContaining([0, 64, 65, 66, 70, 74, 77]))
      expect(out.split('\n').filter(line => line.length > 80)).toEqual([])
    }
    const { out: overview } = await locktable('help', 'store')
    for (const command of commands) expect(overview).toMatch(new RegExp(`^  ${command.split(' ')[0]} `, 'm'))
  })

  test('each exit status is explained by some command', async () => {
    const helps = await Promise.all(COMMANDS.map(command => locktable(command, '--help')))
    const explained = new Set(helps.flatMap(help => codesIn(help.out)))
    expect([...explained].sort((a, b) => a - b)).toEqual(Object.values(EXIT).sort((a, b) => a - b))
  })

  test('run tells what flock(1) users must know', async () => {
    const { out } = await locktable('run', '--help')
    for (const text of ['flock(1)', 'Killed with -9', 'LOCKTABLE_EPOCH', 'LOCKTABLE_ABANDONED_PID', '--on-loss', '(default: 1)']) expect(out).toContain(text)
  })

  test('--help lists the commands, and no others', async () => {
    const { out } = await locktable('--help')
    expect([...out.matchAll(/^ {2}([a-z]+)(?: [[<].*?)? {2,}\S/gm)].map(match => match[1])).toEqual([...COMMANDS, 'help'])
  })

  test('--version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(await locktable('--version')).toEqual({ status: 0, out: `${version}\n`, err: '' })
  })
})

describe('misuse: one line, status 64', () => {
  test.each([
    [['nonsense'], "unknown command 'nonsense'"],
    [['statu'], 'Did you mean status?'],
    [['--nonsense'], "unknown option '--nonsense'"],
    [['status', 'x'], 'too many arguments'],
    [['status', '--interval', 'x'], 'number of seconds'],
    [['status', '--table', ''], '--table must not be empty'],
    [['status', '--trust-owner', 'me'], 'whole number'],
    [['inspect'], "missing required argument 'name'"],
    [['evict'], 'name either a participant or --pid'],
    [['evict', '5', '--pid', '7'], 'name either a participant or --pid'],
    [['evict', '0'], 'from 1 to 127'],
    [['evict', '128'], 'from 1 to 127'],
    [['demo', '--workers', '0'], 'from 1 to 100'],
    [['demo', '--kill-every', '-1'], 'whole number'],
  ] as const)('%j', async (args, text) => {
    const { status, out, err } = await locktable(...args)
    expect(err).toMatch(/^locktable: [^\n]+\n$/)
    expect(err).toContain(text)
    expect([status, out]).toEqual([64, ''])
  })

  test('no command: the help, on stderr', async () => {
    expect(await locktable()).toMatchObject({ status: 64, out: '', err: expect.stringContaining('Usage: locktable') as string })
  })
})

describe('the exit status of an error', () => {
  const system = (code: string): Error => Object.assign(new Error(code), { code })
  test.each([
    ['TABLE_MISSING', 66], ['TABLE_FOREIGN', 65], ['TABLE_DAMAGED', 65], ['TABLE_LAYOUT', 65], ['TABLE_STALE', 65], ['TABLE_EXISTS', 73],
    ['TABLE_NOT_TMPFS', 73], ['TABLE_NO_SPACE', 73], ['TABLE_IO', 74], ['TABLE_BUSY', 75], ['TABLE_FULL', 75], ['TABLE_GONE', 76],
    ['LOCK_LOST', 76], ['TABLE_UNTRUSTED', 77], ['NATIVE_MISSING', 71], ['LOCK_TIMEOUT', 1],
  ] as const)('%s: %i', (code: LockErrorCode, status) => {
    expect(exitCodeOf(new LockError(code, ''))).toBe(status)
  })

  test.each([
    ['not allowed to open the table', new LockError('TABLE_IO', '', { cause: system('EACCES') }), 77],
    ['the disk', new LockError('TABLE_IO', '', { cause: system('EIO') }), 74],
    ['no such directory', system('ENOENT'), 66],
    ['not allowed to read', system('EACCES'), 77],
    ['too many open files', system('EMFILE'), 74],
    ['a defect', new TypeError('x is not a function'), 70],
    ['something thrown', 'text', 70],
  ] as const)('%s: %s', (_what, error, status) => {
    expect(exitCodeOf(error)).toBe(status)
  })
})
