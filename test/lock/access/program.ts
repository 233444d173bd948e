/**
 * program.ts: the sources as the TypeScript compiler sees them, and for every variable, property, parameter and function all the expressions
 * that give it a value anywhere in the program.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** An expression that may become the value of a declaration; `isStep`: added to the old one (`+=`, `++`). */
export interface Given {
  readonly node: ts.Expression | undefined
  readonly isStep: boolean
}

export interface Program {
  readonly checker: ts.TypeChecker
  readonly files: readonly ts.SourceFile[]
  /** What the declaration of a variable, parameter or property may have got. */
  given(declaration: ts.Declaration): readonly Given[]
}

/** All of src/lock (the layers keep the mapped memory there), and `extra`: texts that are not on disk, by path relative to the root. */
export function loadProgram(extra: Readonly<Record<string, string>> = {}): Program {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), path => ts.sys.readFile(path)) as { config: object }
  const parsed = ts.parseJsonConfigFileContent({ ...config, include: ['src/lock'] }, ts.sys, ROOT)
  const texts = new Map(Object.entries(extra).map(([path, text]) => [join(ROOT, path), text]))
  const host = ts.createCompilerHost(parsed.options)
  const [fileExists, readFile] = [host.fileExists.bind(host), host.readFile.bind(host)]
  host.fileExists = path => texts.has(path) || fileExists(path)
  host.readFile = path => texts.get(path) ?? readFile(path)
  const program = ts.createProgram([...parsed.fileNames, ...texts.keys()], parsed.options, host)
  const files = program.getSourceFiles().filter(file => !file.isDeclarationFile && !file.fileName.includes('/node_modules/'))
  const checker = program.getTypeChecker()
  const index = new Index(checker)
  for (const file of files) index.visit(file)
  return { checker, files, given: declaration => index.given.get(declaration) ?? [] }
}

/** The declaration behind a name or property, through imports. */
export function declarationOf(checker: ts.TypeChecker, node: ts.Node): ts.Declaration | undefined {
  let symbol = ts.isShorthandPropertyAssignment(node.parent) ? checker.getShorthandAssignmentValueSymbol(node.parent) : checker.getSymbolAtLocation(node)
  if (symbol !== undefined && symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol)
  return symbol?.valueDeclaration ?? symbol?.declarations?.[0]
}

class Index {
  readonly given = new Map<ts.Declaration, Given[]>()
  readonly #checker: ts.TypeChecker

  constructor(checker: ts.TypeChecker) {
    this.#checker = checker
  }

  #note(declaration: ts.Declaration | undefined, node: ts.Expression | undefined, isStep = false): void {
    if (declaration === undefined) return
    const known = this.given.get(declaration)
    if (known === undefined) this.given.set(declaration, [{ node, isStep }])
    else known.push({ node, isStep })
  }

  readonly visit = (node: ts.Node): void => {
    if ((ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isPropertyDeclaration(node)) && node.initializer !== undefined) {
      this.#note(node, node.initializer)
    } else if (ts.isBindingElement(node) && node.initializer !== undefined) {
      this.#note(node, node.initializer)
    } else if (ts.isBinaryExpression(node) && node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment && node.operatorToken.kind <= ts.SyntaxKind.LastAssignment) {
      const isPlain = [ts.SyntaxKind.EqualsToken, ts.SyntaxKind.QuestionQuestionEqualsToken].includes(node.operatorToken.kind)
      this.#note(this.#target(node.left), node.right, !isPlain)
    } else if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
      if (node.operator === ts.SyntaxKind.PlusPlusToken || node.operator === ts.SyntaxKind.MinusMinusToken) this.#note(this.#target(node.operand), undefined, true)
    } else if (ts.isPropertyAssignment(node)) {
      this.#note(this.#property(node), node.initializer)
    } else if (ts.isShorthandPropertyAssignment(node)) {
      this.#note(this.#property(node), node.name)
    } else if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      this.#noteArguments(node)
    }
    ts.forEachChild(node, this.visit)
  }

  #target(left: ts.Expression): ts.Declaration | undefined {
    if (ts.isIdentifier(left)) return declarationOf(this.#checker, left)
    return ts.isPropertyAccessExpression(left) ? declarationOf(this.#checker, left.name) : undefined
  }

  /** The property of the interface or class that an object literal is made for, else the literal's own. */
  #property(node: ts.PropertyAssignment | ts.ShorthandPropertyAssignment): ts.Declaration {
    const type = this.#checker.getContextualType(node.parent)
    return type?.getProperty(node.name.getText())?.valueDeclaration ?? node
  }

  #noteArguments(call: ts.CallExpression | ts.NewExpression): void {
    const signature = this.#checker.getResolvedSignature(call)?.getDeclaration()
    signature?.parameters.forEach((parameter, i) => {
      const argument = call.arguments?.[i]
      if (argument !== undefined && ts.isParameter(parameter)) this.#note(parameter, argument)
    })
  }
}
