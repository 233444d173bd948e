/** usage.ts: what a benchmark says to `--help`, and to options that it does not know. */
import { parseArgs, type ParseArgsConfig } from 'node:util'

/** As parseArgs(), with `--help`. */
export function parseOrExit<T extends ParseArgsConfig>(usage: string, config: T): ReturnType<typeof parseArgs<T>> {
  if ((config.args ?? process.argv.slice(2)).includes('--help')) {
    console.log(`usage: ${usage}`)
    process.exit(0)
  }
  try {
    return parseArgs(config)
  } catch (error) {
    return usageError(usage, (error as Error).message)
  }
}

export function usageError(usage: string, message: string): never {
  console.error(`${message}\nusage: ${usage}`)
  process.exit(2)
}

export function wholeNumber(usage: string, name: string, text: string, least = 0): number {
  const value = Number(text)
  if (text === '' || !Number.isInteger(value) || value < least) usageError(usage, `--${name} must be a whole number${least > 0 ? ` of at least ${least}` : ''}, not "${text}"`)
  return value
}
