// What a benchmark says to --help and to options that it does not know, and what it leaves of the caller's environment.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { TSX_ARGS } from '../../bench/lib/tsx.js'

const run = (...args: readonly string[]): { status: number | null; stdout: string; stderr: string } => {
  const [program = '', ...rest] = args
  const { status, stdout, stderr } = spawnSync(process.execPath, [...TSX_ARGS, fileURLToPath(new URL(`../../bench/${program}`, import.meta.url)), ...rest], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

describe('the command of a benchmark', () => {
  it.each([['main.ts', 'npm run bench'], ['store/main.ts', 'npm run bench:store'], ['readers.ts', 'npx tsx bench/readers.ts']])('%s explains itself', (program, command) => {
    const { status, stdout, stderr } = run(program, '--help')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^usage: ${command} .*--small`))
  })

  it.each([
    ['main.ts', ['nothing'], 'there is no question "nothing"'], ['main.ts', ['--rounds', '3'], "Unknown option '--rounds'"],
    ['store/main.ts', ['--size', '0'], '--size must be a whole number of at least 1, not "0"'], ['readers.ts', ['--rounds', 'x'], '--rounds must be a whole number, not "x"'],
  ])('%s %j is refused in two lines', (program, args, message) => {
    const { status, stdout, stderr } = run(program, ...args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    const [first, second, ...others] = stderr.trim().split('\nquestions:')[0]!.split('\n')
    expect(first).toContain(message)
    expect(second).toMatch(/^usage: np[mx] /)
    expect(others).toEqual([])
  })
})

it('what is measured sees where things are, and nothing else of whoever runs it', () => {
  const module = new URL('../../bench/lib/clean-environment.ts', import.meta.url).href
  const program = `import { cleanEnvironment } from '${module}'; cleanEnvironment(); console.log(JSON.stringify(process.env))`
  const env = { PATH: process.env.PATH, HOME: '/home/me', LOCKTABLE_BENCH_NODE24: '/node', NODE_OPTIONS: '--no-warnings', MALLOC_ARENA_MAX: '1', GOGC: 'off' }
  const { stdout } = spawnSync(process.execPath, [...TSX_ARGS, '--input-type=module', '--eval', program], { encoding: 'utf8', env })
  expect(JSON.parse(stdout)).toEqual({ PATH: process.env.PATH, HOME: '/home/me', LOCKTABLE_BENCH_NODE24: '/node' })
})
