/**
 * main.ts: asks all questions, each in a process of its own, and writes the report.
 *
 *   npm run bench [-- [--quick|--small] [--out DIRECTORY] [--docs DIRECTORY] [QUESTION ...]]
 *
 * Written to --out (default: bench): report.html, a page that needs nothing else, and report.json with all raw figures. With --docs the main plots
 * are written there too, as SVG, for the README; a run of all questions that is neither quick nor small writes them to docs by default.
 * A question that fails is reported and the others go on; the exit status is 1 then.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cleanEnvironment } from './lib/clean-environment.js'
import type { Written } from './lib/findings.js'
import { environmentNow } from './lib/report.js'
import { SCRATCH_ROOT, makeScratch } from './lib/scratch.js'
import { TSX_ARGS } from './lib/tsx.js'
import { parseOrExit, usageError } from './lib/usage.js'
import { type Answered, type Report, page } from './report/page.js'
import { plot } from './report/plot.js'
import { ratiosOf } from './report/ratios.js'

/** In the order of the page. */
const QUESTIONS = ['uncontended', 'handover', 'readers', 'groups', 'collisions', 'waiters', 'event-loop', 'names', 'recovery', 'open'] as const
const USAGE = `npm run bench [-- [--quick|--small] [--out DIRECTORY] [--docs DIRECTORY] [QUESTION...]]
questions: ${QUESTIONS.join(', ')}`
const HERE = fileURLToPath(new URL('.', import.meta.url))
/** Beyond this a question hangs. Each takes a few minutes at most; contenders that hang are given up long before, by the questions. */
const PATIENCE_MS = 600_000

/** A question is a process group of its own, so that whatever it started ends with it, blocked in a lock or not. */
async function run(question: string, args: readonly string[]): Promise<string | undefined> {
  using scratch = makeScratch() // ours, so that it goes even if the question is killed
  const child = spawn(process.execPath, [...TSX_ARGS, join(HERE, `${question}.ts`), ...args], {
    stdio: ['ignore', 'inherit', 'pipe'], detached: true, env: { ...process.env, [SCRATCH_ROOT]: scratch.path },
  })
  const end = (): void => {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // nobody of it is there
    }
  }
  const interrupted = (): void => process.exit(130)
  process.once('exit', end)
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
    process.stderr.write(text)
  })
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    end()
  }, PATIENCE_MS)
  try {
    return await new Promise(resolve => {
      child.once('error', error => resolve(String(error)))
      child.once('exit', (code, signal) => {
        if (code === 0) resolve(undefined)
        else resolve(isLate ? `it was not done after ${PATIENCE_MS / 1000} s` : `${whyOf(said)} (${code ?? signal})`)
      })
    })
  } finally {
    clearTimeout(timer)
    for (const [signal, listener] of [['exit', end], ['SIGINT', interrupted], ['SIGTERM', interrupted]] as const) process.off(signal, listener)
    end()
  }
}

/** The line of an uncaught error that names it; the lines around it are code and stack. */
function whyOf(said: string): string {
  const lines = said.split('\n')
  return lines.find(line => /^(\w*Error\b|\[cause\])/.test(line.trim()))?.trim() ?? lines.findLast(line => line.trim() !== '')?.trim() ?? 'it said nothing'
}

async function ask(question: string, args: readonly string[]): Promise<Answered> {
  const directory = mkdtempSync(join(tmpdir(), 'locktable-bench-'))
  try {
    console.log(`\n---- ${question} ----`)
    const json = join(directory, `${question}.json`)
    const failure = await run(question, [...args, '--json', json])
    const written = existsSync(json) ? JSON.parse(readFileSync(json, 'utf8')) as Written : undefined
    // A question that was answered but for a few contenders says which.
    const some = written?.failed.map(({ name, why }) => `${name}: ${why}`).join('; ')
    return { question, written, failure: (some === '' ? undefined : some) ?? failure ?? (written === undefined ? 'it wrote no result' : undefined) }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function inTurn(questions: readonly string[], args: readonly string[]): Promise<Answered[]> {
  const answers: Answered[] = []
  for (const question of questions) answers.push(await ask(question, args))
  return answers
}

/** Where figures mean nothing. */
async function atOnce(questions: readonly string[], args: readonly string[]): Promise<Answered[]> {
  const left = [...questions]
  const answers = new Map<string, Answered>()
  const work = async (): Promise<void> => {
    for (let question; (question = left.shift()) !== undefined;) answers.set(question, await ask(question, args))
  }
  await Promise.all(Array.from({ length: 3 }, work))
  return questions.map(question => answers.get(question)!)
}

async function write(report: Report, out: string, docs: string | undefined): Promise<void> {
  const svgs = new Map<string, string>()
  const figures = report.answers.flatMap(({ written }) => written?.figures ?? [])
  for (const figure of figures) svgs.set(figure.id, await plot(figure))
  mkdirSync(out, { recursive: true })
  const ratios = ratiosOf(report.answers.flatMap(({ written }) => written?.headlines ?? []))
  writeFileSync(join(out, 'report.json'), JSON.stringify({ ...report, ratios }) + '\n')
  writeFileSync(join(out, 'report.html'), page(report, svgs))
  console.log(`\nwritten: ${join(out, 'report.html')}, ${join(out, 'report.json')}`)
  if (docs === undefined) return
  mkdirSync(docs, { recursive: true })
  const main = figures.filter(({ isMain }) => isMain === true)
  for (const { id } of main) writeFileSync(join(docs, `${id}.svg`), svgs.get(id)! + '\n')
  console.log(`written: ${main.map(({ id }) => join(docs, `${id}.svg`)).join(', ')}`)
}

async function main(): Promise<void> {
  cleanEnvironment()
  const { values, positionals } = parseOrExit(USAGE, {
    options: { quick: { type: 'boolean', default: false }, small: { type: 'boolean', default: false }, out: { type: 'string', default: HERE }, docs: { type: 'string' } },
    allowPositionals: true,
  })
  const unknown = positionals.find(question => !QUESTIONS.includes(question as never))
  if (unknown !== undefined) usageError(USAGE, `there is no question "${unknown}"`)
  const isWhole = positionals.length === 0 && !values.quick && !values.small
  const began = performance.now()
  const environment = environmentNow()
  const args = [...values.quick ? ['--quick'] : [], ...values.small ? ['--small'] : []]
  const questions = positionals.length === 0 ? QUESTIONS : positionals
  const answers = values.small ? await atOnce(questions, args) : await inTurn(questions, args)
  const loadAtEnd = Math.round((loadavg()[0] ?? 0) * 100) / 100
  const docs = values.docs ?? (isWhole ? join(HERE, '../docs') : undefined)
  await write({ environment, loadAtEnd, seconds: (performance.now() - began) / 1000, answers }, values.out, docs)
  for (const { question, failure } of answers) if (failure !== undefined) console.error(`failed: ${question}: ${failure}`)
  process.exitCode = answers.some(({ failure }) => failure !== undefined) ? 1 : 0
}

await main()
