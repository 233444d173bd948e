/**
 * canonical-json.ts: JSON as Rust's serde_json reads and writes it, because signatures are of its bytes. Pure.
 *
 *   canonical   no white space, keys in the order of their bytes, no null anywhere
 *   pretty      the same with two spaces of indentation; null is allowed
 *   numbers     whole ones from -2^63 to 2^64-1 as digits; others as the shortest decimal of the double, with a point or an exponent:
 *               1.0, 0.00001, 1e-6, 1e16. JavaScript has one kind of number, so what was written with a point or an exponent is a JsonFloat
 *               here, and a whole number that it cannot count to is a bigint.
 */
import { createRequire } from 'node:module'
import type { parse } from 'lossless-json'
import { FormatError } from './errors.js'

/** Loaded for the first document, as CommonJS, which is one file of the package and not ten. */
let loaded: typeof parse | undefined
function parser(): typeof parse {
  return (loaded ??= (createRequire(import.meta.url)('lossless-json') as { readonly parse: typeof parse }).parse)
}

export interface JsonObject {
  readonly [key: string]: Json
}
export type Json = null | boolean | number | bigint | string | JsonFloat | readonly Json[] | JsonObject

/** A number with a point or an exponent. */
export class JsonFloat {
  readonly value: number
  constructor(value: number) {
    if (!Number.isFinite(value)) throw new RangeError(`JSON has no number ${value}`)
    this.value = value
  }
}

/** serde_json's own limit. */
const MAX_DEPTH = 127
const MIN_WHOLE = -(2n ** 63n)
const MAX_WHOLE = 2n ** 64n - 1n
const MAX_WHOLE_LENGTH = 20 // characters; JSON has no leading zeros

const HALF_PAIR = /\p{Surrogate}/u
const WHOLE = /^-?[0-9]+$/

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonFloat)
}

function parseNumber(token: string): Json {
  if (!WHOLE.test(token) || token === '-0') return new JsonFloat(Number(token))
  const value = Number(token)
  if (Number.isSafeInteger(value)) return value
  const whole = token.length > MAX_WHOLE_LENGTH ? undefined : BigInt(token)
  return whole !== undefined && whole >= MIN_WHOLE && whole <= MAX_WHOLE ? whole : new JsonFloat(value)
}

/** Refuses what serde_json could not have written: half characters, endless nesting. */
function checkParsed(value: Json, depth = 1): void {
  if (typeof value === 'string' && HALF_PAIR.test(value)) throw new RangeError('half a surrogate pair')
  if (depth > MAX_DEPTH && (Array.isArray(value) || isJsonObject(value))) throw new RangeError(`nesting deeper than ${MAX_DEPTH}`)
  if (Array.isArray(value)) {
    for (const item of value as readonly Json[]) checkParsed(item, depth + 1)
  } else if (isJsonObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      checkParsed(key, depth)
      checkParsed(item, depth + 1)
    }
  }
}

/**
 * @param raw  UTF-8.
 * @throws {FormatError} `FORMAT_JSON`; the offset is in `raw`, 0 where it is not known.
 */
export function parseJson(raw: Uint8Array, where: string): Json {
  const parse = parser()
  let text = ''
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw)
    const value = parse(text, undefined, parseNumber) as Json
    checkParsed(value)
    return value
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    const position = / at position ([0-9]+)/.exec(problem)?.[1]
    const offset = position === undefined ? 0 : Buffer.byteLength(text.slice(0, Number(position)))
    throw new FormatError('FORMAT_JSON', { path: where, offset, expected: 'JSON', found: problem, cause })
  }
}

/** The shortest decimal that is this double, laid out as serde_json does: digits as they are for 1e-5 up to 1e16, else an exponent. */
function formatDouble(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const [mantissa = '', exponentText = ''] = Math.abs(value).toExponential().split('e')
  const sign = value < 0 ? '-' : ''
  const digits = mantissa.replace('.', '')
  const exponent = Number(exponentText)
  const point = exponent + 1 // digits before the decimal point
  if (point > 16 || point <= -5) return `${sign}${mantissa}e${exponent}`
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  if (digits.length <= point) return `${sign}${digits.padEnd(point, '0')}.0`
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}

function formatNumber(value: number | bigint): string {
  if (typeof value === 'bigint') {
    if (value < MIN_WHOLE || value > MAX_WHOLE) throw new RangeError(`${value} does not fit into 64 bits`)
    return value.toString()
  }
  if (!Number.isFinite(value)) throw new RangeError(`JSON has no number ${value}`)
  return Number.isSafeInteger(value) && !Object.is(value, -0) ? value.toString() : formatDouble(value)
}

function formatString(text: string): string {
  if (HALF_PAIR.test(text)) throw new RangeError('JSON text must not have half a surrogate pair')
  return JSON.stringify(text)
}

const compareBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

interface Style {
  readonly isCanonical: boolean
  readonly colon: string
  /** What stands before an item at this depth. */
  readonly separator: (depth: number) => string
}

const CANONICAL: Style = { isCanonical: true, colon: ':', separator: () => '' }
const PRETTY: Style = { isCanonical: false, colon: ': ', separator: depth => `\n${'  '.repeat(depth)}` }

function write(value: Json, style: Style, depth: number): string {
  if (depth > MAX_DEPTH) throw new RangeError(`JSON must not be nested deeper than ${MAX_DEPTH}`)
  if (value === null) {
    if (style.isCanonical) throw new RangeError('canonical JSON must not have a null')
    return 'null'
  }
  if (typeof value === 'string') return formatString(value)
  if (typeof value === 'number' || typeof value === 'bigint') return formatNumber(value)
  if (typeof value === 'boolean') return String(value)
  if (value instanceof JsonFloat) return formatDouble(value.value)
  const list = (open: string, items: readonly string[], close: string) =>
    items.length === 0 ? open + close : `${open}${items.map(item => style.separator(depth + 1) + item).join(',')}${style.separator(depth)}${close}`
  if (Array.isArray(value)) return list('[', (value as readonly Json[]).map(item => write(item, style, depth + 1)), ']')
  if (!isJsonObject(value)) throw new TypeError(`JSON has no ${typeof value}`)
  const keys = Object.keys(value).sort(compareBytes)
  return list('{', keys.map(key => `${formatString(key)}${style.colon}${write(value[key]!, style, depth + 1)}`), '}')
}

/**
 * The text that signatures are of.
 *
 * @throws {RangeError} There is a null, no number, or half a surrogate pair in it.
 */
export function canonicalJson(value: Json): string {
  return write(value, CANONICAL, 0)
}

/** The text that is stored. */
export function prettyJson(value: Json): string {
  return write(value, PRETTY, 0)
}
