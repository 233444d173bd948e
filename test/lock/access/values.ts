/**
 * values.ts: which word of the table an expression may mean, and which arrays are views of the table, over all ways through the program.
 *
 * A place is a base (a slot, a participant's record, or none: the header), a constant offset, and perhaps an unknown one more, as an index within
 * a field has. Sets of places grow until nothing changes any more, so loops and recursion come to an end.
 */
import ts from 'typescript'
import { type Program, declarationOf } from './program.js'

export interface Place {
  readonly base: 'slot' | 'participant' | 'none'
  readonly offset: number
  /** Something unknown is added. */
  readonly hasIndex: boolean
  /** Counted in bytes: `offset` is still in words. */
  readonly inBytes: boolean
  /** The text of an expression that can be anything; then the rest means nothing. */
  readonly unknown: string | undefined
}

/** `table`: the mapping or a view of it; `private`: memory of this process, or a view of a checked range. */
export type Provenance = 'table' | 'private' | 'unknown'

const NUMBER: Place = { base: 'none', offset: 0, hasIndex: false, inBytes: false, unknown: undefined }
const INDEX: Place = { ...NUMBER, hasIndex: true }
/** Offsets that grow in a loop are beyond every field. */
const OFFSET_LIMIT = 1 << 16

export class Values {
  readonly program: Program
  readonly #checker: ts.TypeChecker
  readonly #places = new Map<ts.Node, Map<string, Place>>()
  readonly #provenances = new Map<ts.Node, Set<Provenance>>()
  /** What was looked at in this round. */
  readonly #visited = new Set<ts.Node>()
  #hasGrown = false

  constructor(program: Program) {
    this.program = program
    this.#checker = program.checker
  }

  /** Runs `look`, which asks for places and provenances, until the answers stay the same. @returns its last result */
  settle<T>(look: () => T): T {
    for (;;) {
      this.#hasGrown = false
      this.#visited.clear()
      const result = look()
      if (!this.#hasGrown) return result
    }
  }

  // ---- places ---------------------------------------------------------------------------------------------------------

  places(node: ts.Expression): Place[] {
    if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node) || ts.isNonNullExpression(node) || ts.isSatisfiesExpression(node)) return this.places(node.expression)
    const type = this.#checker.getTypeAtLocation(node)
    if (type.isNumberLiteral()) return [{ ...NUMBER, offset: type.value }]
    if (ts.isConditionalExpression(node)) return [...this.places(node.whenTrue), ...this.places(node.whenFalse)]
    if (ts.isBinaryExpression(node)) return this.#combined(node)
    if (ts.isCallExpression(node)) return this.#returned(node)
    const declaration = ts.isIdentifier(node) ? declarationOf(this.#checker, node) : ts.isPropertyAccessExpression(node) ? declarationOf(this.#checker, node.name) : undefined
    return declaration === undefined ? [unknown(node)] : this.#declared(declaration, node)
  }

  #combined(node: ts.BinaryExpression): Place[] {
    switch (node.operatorToken.kind) {
      case ts.SyntaxKind.PlusToken: return this.places(node.left).flatMap(left => this.places(node.right).map(right => sum(left, right, node)))
      case ts.SyntaxKind.QuestionQuestionToken: return [...this.places(node.left), ...this.places(node.right)]
      case ts.SyntaxKind.AsteriskToken: return this.#multiplied(node)
      case ts.SyntaxKind.PercentToken:
      case ts.SyntaxKind.AmpersandToken:
      case ts.SyntaxKind.GreaterThanGreaterThanToken:
      case ts.SyntaxKind.GreaterThanGreaterThanGreaterThanToken: return [INDEX]
      default: return [unknown(node)]
    }
  }

  /** A place times the bytes of a word is the same place; any other product is an index of something. */
  #multiplied(node: ts.BinaryExpression): Place[] {
    const places = node.right.getText() === 'WORD_BYTES' ? this.places(node.left) : []
    return places.length > 0 && places.every(place => place.unknown === undefined) ? places.map(place => ({ ...place, inBytes: true })) : [INDEX]
  }

  #returned(node: ts.CallExpression): Place[] {
    const name = node.expression.getText()
    if (name === 'participantWord') return [{ ...NUMBER, base: 'participant' }]
    if (name === 'slotWord') return [{ ...NUMBER, base: 'slot' }]
    const declaration = this.#checker.getResolvedSignature(node)?.getDeclaration()
    const results = declaration === undefined ? [] : resultsOf(declaration)
    return results.length === 0 ? [unknown(node)] : this.#gather(declaration, results.map(result => ({ node: result, isStep: false })), node)
  }

  #declared(declaration: ts.Declaration, node: ts.Expression): Place[] {
    const given = this.#sources(declaration)
    if (given.length === 0) return isIndexOfArray(declaration) ? [INDEX] : [unknown(node)]
    return this.#gather(declaration, given, node)
  }

  /** A variable made by `{ name } = object` is that property. */
  #sources(declaration: ts.Declaration): ReturnType<Program['given']> {
    const own = this.program.given(declaration)
    if (!ts.isBindingElement(declaration) || !ts.isObjectBindingPattern(declaration.parent)) return own
    const name = (declaration.propertyName ?? declaration.name).getText()
    const property = this.#checker.getTypeAtLocation(declaration.parent).getProperty(name)?.valueDeclaration
    return property === undefined ? own : [...own, ...this.program.given(property)]
  }

  #gather(key: ts.Node | undefined, given: ReturnType<Program['given']>, node: ts.Expression): Place[] {
    if (key === undefined) return [unknown(node)]
    const known = this.#places.get(key) ?? new Map<string, Place>()
    this.#places.set(key, known)
    if (this.#visited.has(key)) return [...known.values()]
    this.#visited.add(key)
    const before = known.size
    const found = given.flatMap(({ node: source, isStep }) => (isStep || source === undefined ? [] : this.places(source)))
    const all = given.some(({ isStep }) => isStep) ? [...found, ...found.map(place => ({ ...place, hasIndex: true }))] : found
    for (const place of all) known.set(JSON.stringify(place), place)
    if (known.size > before) this.#hasGrown = true
    return [...known.values()]
  }

  // ---- arrays ---------------------------------------------------------------------------------------------------------

  /** Where the memory of a typed array or buffer comes from. */
  provenance(node: ts.Expression): ReadonlySet<Provenance> {
    if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node) || ts.isNonNullExpression(node) || ts.isSatisfiesExpression(node)) return this.provenance(node.expression)
    if (ts.isConditionalExpression(node)) return new Set([...this.provenance(node.whenTrue), ...this.provenance(node.whenFalse)])
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken) {
      return new Set([...this.provenance(node.left), ...this.provenance(node.right)])
    }
    if (ts.isNewExpression(node)) return this.#made(node)
    if (ts.isCallExpression(node)) return this.#answered(node)
    if (ts.isPropertyAccessExpression(node) && node.name.text === 'buffer') return this.provenance(node.expression)
    const declaration = ts.isIdentifier(node) ? declarationOf(this.#checker, node) : ts.isPropertyAccessExpression(node) ? declarationOf(this.#checker, node.name) : undefined
    if (declaration === undefined) return new Set(['unknown'])
    return this.#trace(declaration, this.#sources(declaration).flatMap(({ node: source }) => (source === undefined ? [] : [source])))
  }

  /** `new` array: a copy, or a view of a buffer; a view of a part is checked where it is made (findings.ts). */
  #made(node: ts.NewExpression): ReadonlySet<Provenance> {
    const [source, start] = node.arguments ?? []
    if (source === undefined || start !== undefined || !isMemory(this.#checker, source, BUFFERS)) return new Set(['private'])
    return this.provenance(source)
  }

  #answered(node: ts.CallExpression): ReadonlySet<Provenance> {
    const declaration = this.#checker.getResolvedSignature(node)?.getDeclaration()
    if (declaration === undefined) return new Set(['unknown'])
    if (declaration.getSourceFile().fileName.endsWith('/src/lock/native.ts') && declaration.name?.getText() === 'map') return new Set(['table'])
    const results = resultsOf(declaration)
    if (results.length > 0) return this.#trace(declaration, results)
    return new Set([isMemory(this.#checker, node, MEMORY) ? 'private' : 'unknown']) // a library's answer is its own, unless it says nothing of it
  }

  #trace(key: ts.Node, sources: readonly ts.Expression[]): ReadonlySet<Provenance> {
    const known = this.#provenances.get(key) ?? new Set<Provenance>()
    this.#provenances.set(key, known)
    if (this.#visited.has(key)) return known
    this.#visited.add(key)
    const before = known.size
    if (sources.length === 0) known.add('unknown')
    for (const source of sources) if (!isNothing(source)) for (const one of this.provenance(source)) known.add(one)
    if (known.size > before) this.#hasGrown = true
    return known
  }
}

export const VIEWS: ReadonlySet<string> = new Set([
  'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array', 'Float64Array', 'BigInt64Array',
  'BigUint64Array', 'DataView', 'Buffer',
])
export const BUFFERS: ReadonlySet<string> = new Set(['ArrayBuffer', 'SharedArrayBuffer'])
export const MEMORY: ReadonlySet<string> = new Set([...VIEWS, ...BUFFERS])

/** True if the expression's type is, or may be, one of `names`. */
export function isMemory(checker: ts.TypeChecker, node: ts.Node, names: ReadonlySet<string>): boolean {
  return isMemoryType(checker.getTypeAtLocation(node), names)
}

export function isMemoryType(type: ts.Type, names: ReadonlySet<string>): boolean {
  return type.isUnion() ? type.types.some(part => isMemoryType(part, names)) : names.has(type.symbol?.name ?? '')
}

/** The second parameter of `array.some((element, index) => …)` and the like. */
function isIndexOfArray(declaration: ts.Declaration): boolean {
  const { parent } = declaration
  if (!ts.isParameter(declaration) || !ts.isArrowFunction(parent) || parent.parameters[1] !== declaration || !ts.isCallExpression(parent.parent)) return false
  const method = parent.parent.expression
  return ts.isPropertyAccessExpression(method) && ['every', 'filter', 'find', 'findIndex', 'flatMap', 'forEach', 'map', 'some'].includes(method.name.text)
}

function isNothing(node: ts.Expression): boolean {
  return node.kind === ts.SyntaxKind.NullKeyword || (ts.isIdentifier(node) && node.text === 'undefined')
}

function unknown(node: ts.Node): Place {
  return { ...NUMBER, unknown: node.getText() }
}

function sum(left: Place, right: Place, node: ts.Node): Place {
  if (left.unknown !== undefined) return left
  if (right.unknown !== undefined) return right
  if (left.base !== 'none' && right.base !== 'none') return unknown(node)
  const base = left.base === 'none' ? right.base : left.base
  if (left.inBytes !== right.inBytes) { // some bytes more: an index within the field
    const place = left.inBytes ? left : right
    return { ...place, base, hasIndex: true }
  }
  const offset = left.offset + right.offset
  return offset > OFFSET_LIMIT ? unknown(node) : { ...left, base, offset, hasIndex: left.hasIndex || right.hasIndex }
}

/** What a function with a body may return. */
function resultsOf(declaration: ts.Node): ts.Expression[] {
  if (ts.isArrowFunction(declaration) && !ts.isBlock(declaration.body)) return [declaration.body]
  const body = ts.isFunctionLike(declaration) && 'body' in declaration ? (declaration as { readonly body?: ts.Node | undefined }).body : undefined
  const results: ts.Expression[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isReturnStatement(node) && node.expression !== undefined) results.push(node.expression)
    if (!ts.isFunctionLike(node)) ts.forEachChild(node, visit)
  }
  if (body !== undefined) visit(body)
  return results
}
