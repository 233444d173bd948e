/**
 * question.ts: the options of the benchmarks that are no matter of nanoseconds per call: `--small`, `--json FILE`, `--only TEXT`, and whole
 * numbers, each with its default.
 */
import { parseArgs } from 'node:util'

export interface QuestionOptions<Name extends string> {
  readonly small: boolean
  readonly json: string | undefined
  /** Only what has one of these in its name or group. */
  readonly only: readonly string[]
  readonly numbers: Readonly<Record<Name, number | undefined>>
}

/**
 * @param full  the numbers and their defaults
 * @param small  other defaults of a small run
 */
export function questionOptions<Name extends string>(
  full: Readonly<Record<Name, number | undefined>>, small: NoInfer<Partial<Record<Name, number>>>, args: readonly string[] = process.argv.slice(2),
): QuestionOptions<Name> {
  const names = Object.keys(full) as Name[]
  const { values } = parseArgs({
    args: [...args],
    options: {
      small: { type: 'boolean', default: false },
      json: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
      ...Object.fromEntries(names.map(name => [name, { type: 'string' as const }])),
    },
  })
  const given = values as unknown as Record<string, string | undefined>
  const numbers = Object.fromEntries(names.map(name => {
    const text = given[name]
    const value = text === undefined ? (values.small ? small[name] : undefined) ?? full[name] : Number(text)
    if (value !== undefined && (text === '' || !Number.isInteger(value) || value < 0)) throw new RangeError(`--${name} must be a whole number, not "${text}"`)
    return [name, value]
  })) as Record<Name, number | undefined>
  return { small: values.small === true, json: values.json as string | undefined, only: values.only as string[], numbers }
}
