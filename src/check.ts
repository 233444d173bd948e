/**
 * check.ts: argument checks. A wrong argument is a TypeError (wrong kind) or RangeError (right kind, wrong value) that names
 * the option.
 */

/** Longest time-out: what setTimeout can do. */
export const MAX_TIMEOUT_MS = 2 ** 31 - 1

/** The options object, or an empty one; unknown keys are refused by name. */
export function checkOptions<T extends object>(value: T | undefined, known: readonly (keyof T & string)[], what: string): T {
  if (value === undefined) return {} as T
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError(`${what} must be an object`)
  for (const key of Object.keys(value)) {
    if (!(known as readonly string[]).includes(key)) throw new TypeError(`${what} has no option "${key}" (known: ${known.join(', ')})`)
  }
  return value
}

export function checkString(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new TypeError(`${what} must be a string`)
  return value
}

export function checkPath(value: unknown, what: string): string {
  const path = checkString(value, what)
  if (path === '') throw new RangeError(`${what} must not be empty`)
  if (path.includes('\0')) throw new RangeError(`${what} must not contain a NUL character`)
  return path
}

export function checkBoolean(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw new TypeError(`${what} must be true or false`)
  return value
}

export function checkInteger(value: unknown, what: string, min: number, max: number): number {
  if (typeof value !== 'number') throw new TypeError(`${what} must be a number`)
  if (!Number.isInteger(value) || value < min || value > max) throw new RangeError(`${what} must be a whole number from ${min} to ${max}, not ${value}`)
  return value
}

/** Milliseconds from 0 to 2^31-1; fractions are allowed. */
export function checkTimeoutMs(value: unknown, what: string): number {
  if (typeof value !== 'number') throw new TypeError(`${what} must be a number of milliseconds`)
  if (!(value >= 0 && value <= MAX_TIMEOUT_MS)) throw new RangeError(`${what} must be from 0 to ${MAX_TIMEOUT_MS} milliseconds, not ${value}`)
  return value
}

export function checkSignal(value: unknown, what: string): AbortSignal {
  if (!(value instanceof AbortSignal)) throw new TypeError(`${what} must be an AbortSignal`)
  return value
}

export function checkOneOf<T extends string>(value: unknown, allowed: readonly T[], what: string): T {
  if (typeof value !== 'string') throw new TypeError(`${what} must be one of ${allowed.map(text => `"${text}"`).join(', ')}`)
  if (!(allowed as readonly string[]).includes(value)) throw new RangeError(`${what} must be one of ${allowed.map(text => `"${text}"`).join(', ')}, not "${value}"`)
  return value as T
}
