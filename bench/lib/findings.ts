/**
 * findings.ts: what a benchmark has to say, for people and for the report: tables, figures, headlines, and who could not take part and why.
 *
 * A question notes them while it runs; tables are printed at once. write() puts all of it into the question's JSON, beside the raw results,
 * from which main.ts makes the page. So the page knows nothing of the questions, and a question nothing of plots.
 */
import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { type Column, type Environment, environmentNow, printEnvironment, printTable } from './report.js'

export interface Axis {
  /** With its unit. */
  readonly title: string
  readonly isLog?: boolean | undefined
}

export interface Point {
  /** A label of series.ts. */
  readonly series: string
  readonly x: number
  readonly y: number
  /** The spread: quartiles where nothing else is said. */
  readonly low?: number | undefined
  readonly high?: number | undefined
  /** Figures with panels: which one. */
  readonly panel?: string | undefined
}

export interface Figure {
  readonly id: string
  /** The question that the figure answers. */
  readonly title: string
  /** How it was measured, in a line. */
  readonly subtitle: string
  /** Bars have the series on the other axis, and no x. */
  readonly kind: 'bars' | 'lines'
  readonly x: Axis
  readonly y: Axis
  readonly points: readonly Point[]
  /** One of the few in the README. */
  readonly isMain?: boolean | undefined
}

/** One line of the table of ratios. */
export interface Headline {
  readonly measure: string
  readonly better: 'less' | 'more'
  /** The label whose value the others are divided by, or that is divided by theirs. */
  readonly ours: string
  readonly unit: 'ns' | 'per second' | 'bytes' | 'count'
  readonly values: readonly { readonly series: string; readonly value: number }[]
}

export interface NotedTable {
  readonly title: string
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly string[])[]
}

export interface Skipped {
  readonly name: string
  readonly why: string
}

/** Somebody who took part until something went wrong. */
export type Failed = Skipped

/** The JSON of a question; its raw results stand beside these. */
export interface Written {
  readonly benchmark: string
  readonly environment: Environment & { readonly loadAtEnd: number }
  readonly seconds: number
  readonly tables: readonly NotedTable[]
  readonly figures: readonly Figure[]
  readonly headlines: readonly Headline[]
  readonly skipped: readonly Skipped[]
  readonly failed: readonly Failed[]
}

export class Findings {
  readonly #benchmark: string
  readonly #environment = environmentNow()
  readonly #began = performance.now()
  readonly #tables: NotedTable[] = []
  readonly #figures: Figure[] = []
  readonly #headlines: Headline[] = []
  readonly #skipped: Skipped[] = []
  readonly #failed: Failed[] = []

  constructor(benchmark: string) {
    this.#benchmark = benchmark
    printEnvironment(this.#environment)
  }

  table(title: string, columns: readonly Column[], rows: readonly (readonly string[])[]): void {
    this.#tables.push({ title, columns, rows })
    printTable(title, columns, rows)
  }

  /** Figures without points (everybody was skipped) are not drawn. */
  figure(figure: Figure): void {
    if (figure.points.length > 0) this.#figures.push(figure)
  }

  /** Headlines to which we have no figure ourselves compare nothing. */
  headline(headline: Headline): void {
    if (headline.values.some(({ series }) => series === headline.ours)) this.#headlines.push(headline)
  }

  leaveOut(...skipped: readonly Skipped[]): void {
    this.#skipped.push(...skipped)
    for (const { name, why } of skipped) console.log(`skipped: ${name}: ${why}`)
  }

  /** Somebody whose figures do not count, for he hung, or did not exclude. The others go on; the exit status of the question is 1. */
  fail(name: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    this.#failed.push({ name, why })
    console.error(`failed: ${name}: ${why}`)
    process.exitCode = 1
  }

  write(file: string | undefined, results: object): void {
    if (file === undefined) return
    const written: Written = {
      benchmark: this.#benchmark,
      environment: { ...this.#environment, loadAtEnd: Math.round((loadavg()[0] ?? 0) * 100) / 100 },
      seconds: Math.round((performance.now() - this.#began) / 100) / 10,
      ...results,
      tables: this.#tables, figures: this.#figures, headlines: this.#headlines, skipped: this.#skipped, failed: this.#failed,
    }
    writeFileSync(file, JSON.stringify(written, undefined, 1) + '\n')
  }
}
