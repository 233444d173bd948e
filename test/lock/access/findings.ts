/**
 * findings.ts: every access to the table's memory in src/, the field it touches, and what is wrong with it.
 *
 * An access that cannot be classified is wrong: so is a view that gets out of sight (handed to other code, iterated over, kept under a type
 * that hides what it is).
 */
import { basename } from 'node:path'
import ts from 'typescript'
import { type Field, HEADER_FIELDS, PARTICIPANT_FIELDS, SLOT_FIELDS } from '../../../src/lock/access.js'
import { HEADER, PARTICIPANT, PARTICIPANT_WORDS, SLOT, SLOT_WORDS, HEADER_WORDS } from '../../../src/lock/layout.js'
import type { Program } from './program.js'
import { BUFFERS, MEMORY, type Place, VIEWS, Values, isMemory, isMemoryType } from './values.js'

export interface Finding {
  readonly file: string
  readonly line: number
  /** The function, method or property that does it. */
  readonly within: string
  readonly text: string
  readonly kind: 'atomic' | 'plain' | 'escape'
  /** `SLOT.STATE`, …; undefined: not classified. */
  readonly field: string | undefined
  /** Undefined: as it should be. */
  readonly problem: string | undefined
}

interface Area {
  readonly name: string
  readonly words: number
  readonly offsets: Readonly<Record<string, string | number>>
  readonly fields: Readonly<Record<string, Field>>
}

const AREAS: Readonly<Record<Place['base'], Area>> = {
  none: { name: 'HEADER', words: HEADER_WORDS, offsets: HEADER, fields: HEADER_FIELDS },
  participant: { name: 'PARTICIPANT', words: PARTICIPANT_WORDS, offsets: PARTICIPANT, fields: PARTICIPANT_FIELDS },
  slot: { name: 'SLOT', words: SLOT_WORDS, offsets: SLOT, fields: SLOT_FIELDS },
}

interface Located extends Field {
  readonly name: string
  readonly offset: number
}

function fieldsOf(area: Area): Located[] {
  return Object.entries(area.fields).map(([name, field]) => ({ ...field, name: `${area.name}.${name}`, offset: Number(area.offsets[name]) }))
}

/** The field at a place; undefined: there is none, or an index goes beyond a field of one word. */
function fieldAt(place: Place): Located | undefined {
  if (place.unknown !== undefined) return undefined
  const found = fieldsOf(AREAS[place.base]).find(({ offset, words }) => place.offset >= offset && place.offset < offset + words)
  return place.hasIndex && found?.words === 1 ? undefined : found
}

/** The fields of a range; undefined: its extent is unknown. Of unknown length it is taken to end with its field, if that is an array. */
function fieldsIn(start: Place, end: Place | undefined): Located[] | undefined {
  const first = fieldAt(start)
  if (first === undefined) return undefined
  if (end === undefined || end.unknown !== undefined || end.hasIndex || start.hasIndex || end.base !== start.base) return first.words > 1 ? [first] : undefined
  return fieldsOf(AREAS[start.base]).filter(({ offset, words }) => offset < end.offset && offset + words > start.offset)
}

/** Why this kind of access does not suit the field. */
function complaint(kind: 'atomic' | 'plain', field: Located): string | undefined {
  if (kind === 'plain' && field.access === 'atomic') return `${field.name} is accessed without Atomics`
  if (kind === 'atomic' && field.access === 'plain') return `${field.name} is listed as plain and accessed by Atomics`
  return undefined
}

export function findAccesses(program: Program): Finding[] {
  return new Search(program).run()
}

class Search {
  readonly #program: Program
  readonly #checker: ts.TypeChecker
  readonly #values: Values
  #findings: Finding[] = []

  constructor(program: Program) {
    this.#program = program
    this.#checker = program.checker
    this.#values = new Values(program)
  }

  run(): Finding[] {
    return this.#values.settle(() => {
      this.#findings = []
      for (const file of this.#program.files) this.#visit(file)
      return this.#findings
    })
  }

  readonly #visit = (node: ts.Node): void => {
    if (ts.isExpression(node) && isUse(node) && isMemory(this.#checker, node, MEMORY) && this.#isTable(node)) this.#classify(node, node.parent)
    ts.forEachChild(node, this.#visit)
  }

  /** In src/lock, words from an unknown source count as the table's; bytes do not, for every name and text is bytes. */
  #isTable(node: ts.Expression): boolean {
    const provenance = this.#values.provenance(node)
    const isLock = node.getSourceFile().fileName.includes('/src/lock/')
    return provenance.has('table') || (isLock && provenance.has('unknown') && isMemory(this.#checker, node, new Set(['Int32Array', 'Uint32Array'])))
  }

  #classify(node: ts.Expression, parent: ts.Node): void {
    if (ts.isParenthesizedExpression(parent) || ts.isNonNullExpression(parent)) return // looked at itself
    if (ts.isElementAccessExpression(parent) && parent.expression === node) this.#note(parent, 'plain', this.#values.places(parent.argumentExpression).map(place => [place]))
    else if (ts.isPropertyAccessExpression(parent) && parent.expression === node) this.#method(parent)
    else if (ts.isCallExpression(parent) || ts.isNewExpression(parent)) this.#argument(node, parent)
    else if (isKept(node, parent)) this.#keep(node)
    else this.#escape(parent, 'this use of the table cannot be classified')
  }

  #method(access: ts.PropertyAccessExpression): void {
    const name = access.name.text
    if (['length', 'byteLength', 'byteOffset', 'buffer'].includes(name)) return
    const call = access.parent
    const isCalled = ts.isCallExpression(call) && call.expression === access
    const [first, second, third] = isCalled ? call.arguments : []
    if (!isCalled) this.#escape(access, `${name} hides what it touches`)
    else if (name === 'set' && first !== undefined) this.#range(call, second, undefined)
    else if (name === 'fill' && first !== undefined) this.#range(call, second, third)
    else if (name === 'slice' || name === 'subarray') this.#range(call, first, second)
    else this.#escape(call, `${name} hides what it touches`)
  }

  #argument(node: ts.Expression, call: ts.CallExpression | ts.NewExpression): void {
    const callee = call.expression.getText()
    const at = call.arguments?.indexOf(node) ?? -1
    const second = call.arguments?.[1]
    if (at === 0 && callee.startsWith('Atomics.') && second !== undefined) {
      this.#note(call, 'atomic', this.#values.places(second).map(place => [place]))
    } else if (at === 0 && ts.isNewExpression(call) && VIEWS.has(callee) && isMemory(this.#checker, node, BUFFERS)) {
      if (second !== undefined) this.#range(call, second, undefined)
    } else {
      const declaration = this.#checker.getResolvedSignature(call)?.getDeclaration()
      if (declaration === undefined || declaration.getSourceFile().isDeclarationFile) this.#escape(call, `the table is handed to ${callee}`)
      else this.#keep(node)
    }
  }

  /** It goes to a variable, a parameter, a property: all of these are traced, as long as their type says that it is memory. */
  #keep(node: ts.Expression): void {
    const type = this.#checker.getContextualType(node)
    if (type !== undefined && !isMemoryType(type, MEMORY)) this.#escape(node, `the table is kept as ${this.#checker.typeToString(type)}`)
  }

  /** Plain access to all words from `start` to before `end`; undefined: to the end of the field. */
  #range(call: ts.Expression, start: ts.Expression | undefined, end: ts.Expression | undefined): void {
    const ends = end === undefined ? [undefined] : this.#values.places(end)
    if (start === undefined) this.#escape(call, 'this touches the whole table')
    else this.#note(call, 'plain', this.#values.places(start).flatMap(from => ends.map(to => [from, to] as const)))
  }

  /** One access, wherever it may go; no place at all: code that is never reached. */
  #note(node: ts.Node, kind: 'atomic' | 'plain', places: readonly (readonly [Place] | readonly [Place, Place | undefined])[]): void {
    for (const place of places) {
      const fields = place.length === 1 ? [fieldAt(place[0])] : fieldsIn(place[0], place[1]) ?? [undefined]
      for (const field of fields) {
        const lost = place[0].unknown === undefined ? `word ${place[0].offset}${place[0].hasIndex ? ' and more' : ''} of ${AREAS[place[0].base].name}` : `${place[0].unknown} can be anything`
        this.#add(node, kind, field?.name, field === undefined ? `no known field: ${lost}` : complaint(kind, field))
      }
    }
    if (places.length === 0) this.#add(node, kind, undefined, 'no known field: nobody comes here')
  }

  #escape(node: ts.Node, problem: string): void {
    this.#add(node, 'escape', undefined, problem)
  }

  #add(node: ts.Node, kind: Finding['kind'], field: string | undefined, problem: string | undefined): void {
    const file = node.getSourceFile()
    const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1
    const finding = { file: basename(file.fileName), line, within: nameAround(node), text: node.getText().slice(0, 100), kind, field, problem }
    if (!this.#findings.some(known => known.line === line && known.file === finding.file && known.text === finding.text && known.field === field)) this.#findings.push(finding)
  }
}

/** An expression that is evaluated, and not a name being declared, a key, the left side of a dot's right half, or part of a type. */
function isUse(node: ts.Node): node is ts.Expression {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return false
  if ((ts.isVariableDeclaration(parent) || ts.isParameter(parent) || ts.isPropertyDeclaration(parent) || ts.isBindingElement(parent)) && parent.initializer !== node) return false
  if ((ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent)) && parent.name === node) return false
  if (ts.isBinaryExpression(parent) && parent.left === node && parent.operatorToken.kind === ts.SyntaxKind.EqualsToken) return false
  return !ts.isTypeNode(parent) && !ts.isTypeQueryNode(parent) && !ts.isImportSpecifier(parent) && !ts.isExportSpecifier(parent) && !ts.isMethodDeclaration(parent)
}

/** The value goes on to a place that is traced, or nowhere. */
function isKept(node: ts.Expression, parent: ts.Node): boolean {
  if (ts.isVariableDeclaration(parent) || ts.isBindingElement(parent)) return !ts.isArrayBindingPattern(parent.name)
  if (ts.isBinaryExpression(parent)) return [ts.SyntaxKind.EqualsToken, ts.SyntaxKind.QuestionQuestionToken, ts.SyntaxKind.QuestionQuestionEqualsToken].includes(parent.operatorToken.kind)
  if (ts.isConditionalExpression(parent)) return parent.condition !== node
  return ts.isPropertyAssignment(parent) || ts.isShorthandPropertyAssignment(parent) || ts.isPropertyDeclaration(parent) || ts.isParameter(parent) ||
    ts.isReturnStatement(parent) || ts.isArrowFunction(parent) || ts.isExpressionStatement(parent)
}

function nameAround(node: ts.Node): string {
  for (let at = node.parent; !ts.isSourceFile(at); at = at.parent) {
    if ((ts.isFunctionDeclaration(at) || ts.isMethodDeclaration(at) || ts.isAccessor(at)) && at.name !== undefined) return at.name.getText()
    if (ts.isConstructorDeclaration(at)) return 'constructor'
  }
  return ''
}
