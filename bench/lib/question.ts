/**
 * question.ts: the options that all benchmarks have: `--quick`, `--small`, `--json FILE`, `--only TEXT`, `--help`, and whole numbers and flags of their own.
 *
 * A benchmark has three sizes: whole (for figures that are published), quick (all questions in a minute or two, to see where things stand), and
 * small (for tests: says only that the benchmark works).
 */
import { basename } from 'node:path'
import { cleanEnvironment } from './clean-environment.js'
import { parseOrExit, wholeNumber } from './usage.js'

export type Size = 'whole' | 'quick' | 'small'

export interface QuestionOptions<Name extends string, Flag extends string> {
  readonly size: Size
  readonly small: boolean
  readonly json: string | undefined
  /** Only what has one of these in its name or group. */
  readonly only: readonly string[]
  readonly numbers: Readonly<Record<Name, number>>
  /** The numbers that were given and not defaults. */
  readonly given: Readonly<Partial<Record<Name, number>>>
  readonly flags: Readonly<Record<Flag, boolean>>
  /** What is right for the size. */
  pick<T>(whole: T, quick: T, small: T): T
}

/** @param numbers  the whole numbers with their defaults: whole, quick, small */
export function questionOptions<Name extends string, Flag extends string = never>(
  numbers: Readonly<Record<Name, readonly [number, number, number]>>, flags: readonly Flag[] = [], args: readonly string[] = process.argv.slice(2),
): QuestionOptions<Name, Flag> {
  cleanEnvironment()
  const names = Object.keys(numbers) as Name[]
  const usage = usageOf(numbers, flags)
  const { values } = parseOrExit(usage, {
    args: [...args],
    options: {
      small: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
      ...Object.fromEntries(names.map(name => [name, { type: 'string' as const }])),
      ...Object.fromEntries(flags.map(name => [name, { type: 'boolean' as const, default: false }])),
    },
  })
  const said = values as unknown as Record<string, string | boolean | undefined>
  const size: Size = values.small === true ? 'small' : values.quick === true ? 'quick' : 'whole'
  const pick = <T>(whole: T, quick: T, small: T): T => ({ whole, quick, small })[size]
  const given = Object.fromEntries(names.filter(name => said[name] !== undefined).map(name => [name, wholeNumber(usage, name, said[name] as string)]))
  const defaults = Object.fromEntries(names.map(name => {
    const [whole, quick, small] = numbers[name]
    return [name, pick(whole, quick, small)]
  }))
  return {
    size, small: size === 'small', json: values.json as string | undefined, only: values.only as string[], pick,
    given: given as Partial<Record<Name, number>>,
    numbers: { ...defaults, ...given } as Record<Name, number>,
    flags: Object.fromEntries(flags.map(name => [name, said[name] === true])) as Record<Flag, boolean>,
  }
}

/** The defaults are those of the whole size. */
function usageOf(numbers: Readonly<Record<string, readonly [number, number, number]>>, flags: readonly string[]): string {
  const own = [...Object.entries(numbers).map(([name, [whole]]) => `[--${name} N (${whole === 0 ? 'several' : whole})]`), ...flags.map(name => `[--${name}]`)]
  return `npx tsx bench/${basename(process.argv[1] ?? '')} [--quick|--small] [--only TEXT]... [--json FILE] ${own.join(' ')}`
}

export function isChosen(options: { readonly only: readonly string[] }, group: string, name: string): boolean {
  const text = `${group} ${name}`.toLowerCase()
  return options.only.length === 0 || options.only.some(part => text.includes(part.toLowerCase()))
}
