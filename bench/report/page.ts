/**
 * page.ts: one page of HTML that needs nothing else: where the figures come from, the table of ratios, the plots, all tables, who was skipped.
 */
import type { Headline, NotedTable, Written } from '../lib/findings.js'
import type { Environment } from '../lib/report.js'
import { formatNs, formatRatio } from '../lib/report.js'
import { type Ratios, ratiosOf } from './ratios.js'

export interface Answered {
  readonly question: string
  /** What the question said, or why it could not be answered. */
  readonly written: Written | undefined
  readonly failure: string | undefined
}

export interface Report {
  readonly environment: Environment
  readonly loadAtEnd: number
  readonly seconds: number
  readonly answers: readonly Answered[]
}

const STYLE = `
  body { font: 15px/1.5 "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif; color: #111827; background: #fff; margin: 2rem auto; max-width: 1400px; padding: 0 1rem; }
  h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { font-size: 1.25rem; margin: 2.6rem 0 .4rem; border-bottom: 1px solid #d1d5db }
  nav a { margin-right: 1rem } a { color: #0b3d91 }
  figure { margin: 1rem 0; overflow-x: auto } figure svg { max-width: 100%; height: auto }
  table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums }
  th, td { padding: .18rem .5rem; border: 1px solid #e5e7eb; text-align: right; white-space: nowrap } th { background: #f3f4f6; font-weight: 600 }
  td.left, th.left { text-align: left } .scroll { overflow-x: auto; margin: .6rem 0 }
  .ratios th.peer { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: .5rem .15rem }
  .ratios { font-size: .72rem } .ratios td { padding: .15rem .28rem } .ratios td.left { white-space: normal; min-width: 13rem }
  .ahead { background: #dcfce7 } .even { background: #fef9c3 } .behind { background: #fee2e2 } .none { color: #9ca3af }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; margin: .5rem 0 } dt { font-weight: 600 } dd { margin: 0 }
  .failed { background: #fee2e2; padding: .5rem .8rem; white-space: pre-wrap } .note { color: #374151; font-size: .9rem }
  details summary { cursor: pointer; color: #0b3d91 }
`

const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, character => `&#${character.charCodeAt(0)};`)

function formatValue(value: number, unit: Headline['unit']): string {
  if (unit === 'ns') return formatNs(value)
  const short = value >= 1e6 ? `${(value / 1e6).toPrecision(3)} M` : value >= 1e4 ? `${(value / 1e3).toPrecision(3)} k` : `${Math.round(value * 10) / 10}`
  if (unit === 'bytes') return `${Math.round(value)} B`
  return unit === 'per second' ? `${short}/s` : short
}

/** A tenth more or less is nothing that one run can tell. */
function classOf(ratio: number): string {
  if (ratio > 1.1) return 'ahead'
  return ratio < 1 / 1.1 ? 'behind' : 'even'
}

function ratioTable({ columns, rows }: Ratios): string {
  const head = columns.map(column => `<th class="peer">${escapeHtml(column)}</th>`).join('')
  const body = rows.map(({ measure, unit, ours, cells }) => {
    const ratios = cells.map(cell => (cell === undefined || !Number.isFinite(cell.ratio)
      ? '<td class="none">·</td>'
      : `<td class="${classOf(cell.ratio)}" title="${escapeHtml(formatValue(cell.value, unit))}">${escapeHtml(formatRatio(cell.ratio))}</td>`)).join('')
    return `<tr><td class="left">${escapeHtml(measure)}</td><td title="${escapeHtml(ours.series)}">${escapeHtml(formatValue(ours.value, unit))}</td>${ratios}</tr>`
  }).join('\n')
  return `<div class="scroll"><table class="ratios"><thead><tr><th class="left">measure</th><th>the table</th>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>`
}

function plainTable({ title, columns, rows }: NotedTable): string {
  const side = (i: number): string => ((columns[i]?.align ?? (i === 0 ? 'left' : 'right')) === 'left' ? ' class="left"' : '')
  // A heading of two lines whose first is empty goes on with its neighbour's.
  let above = ''
  const titles = columns.map(column => {
    const [first = '', second] = column.title.split('\n')
    if (second === undefined) return first
    if (first !== '') above = first
    return `${above} ${second}`
  })
  const head = titles.map((text, i) => `<th${side(i)}>${escapeHtml(text)}</th>`).join('')
  const body = rows.map(row => `<tr>${row.map((cell, i) => `<td${side(i)}>${escapeHtml(cell)}</td>`).join('')}</tr>`).join('\n')
  return `<details><summary>${escapeHtml(title)}</summary><div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div></details>`
}

function provenance({ environment, loadAtEnd, seconds }: Report): string {
  const { commit, date, cpu, cores, memoryGiB, kernel, libc, node, v8, load, command } = environment
  const rows = [
    ['commit', commit], ['date', date], ['machine', `${cpu}, ${cores} cores, ${memoryGiB} GiB`], ['system', `Linux ${kernel}, ${libc}`],
    ['Node', `${node}, V8 ${v8}`], ['load', `${load} when it began, ${loadAtEnd} when it ended; above 1 at the beginning, others were busy too`],
    ['command', command], ['took', `${Math.round(seconds)} s`],
  ]
  return `<dl>${rows.map(([name = '', value = '']) => `<dt>${name}</dt><dd>${escapeHtml(value)}</dd>`).join('')}</dl>`
}

function section({ question, written, failure }: Answered, svgs: ReadonlyMap<string, string>): string {
  const parts = [`<h2 id="${question}">${question}</h2>`]
  if (failure !== undefined) parts.push(`<p class="failed">${written === undefined ? 'This question failed' : 'Without those that failed'}: ${escapeHtml(failure)}</p>`)
  if (written !== undefined) {
    parts.push(`<p class="note"><code>${escapeHtml(written.environment.command)}</code>, ${written.seconds} s, load ${written.environment.load} to ${written.environment.loadAtEnd}</p>`)
    for (const { id, title } of written.figures) parts.push(`<figure role="img" aria-label="${escapeHtml(title)}">${svgs.get(id) ?? ''}</figure>`)
    parts.push(...written.tables.map(plainTable))
    if (written.skipped.length > 0) {
      parts.push(`<p class="note">Skipped:</p><ul class="note">${written.skipped.map(({ name, why }) => `<li>${escapeHtml(name)}: ${escapeHtml(why)}</li>`).join('')}</ul>`)
    }
  }
  return parts.join('\n')
}

/** @param svgs  the plots by the ids of their figures */
export function page(report: Report, svgs: ReadonlyMap<string, string>): string {
  const headlines = report.answers.flatMap(({ written }) => written?.headlines ?? [])
  const failed = report.answers.filter(({ failure }) => failure !== undefined)
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>locktable: benchmarks</title><style>${STYLE}</style></head><body>
<h1>locktable: benchmarks</h1>
${provenance(report)}
${failed.length === 0 ? '' : `<p class="failed">Failed: ${failed.map(({ question }) => question).join(', ')}</p>`}
<nav>${report.answers.map(({ question }) => `<a href="#${question}">${question}</a>`).join('')}</nav>
${headlines.length === 0 ? '' : `<h2>Where the table stands</h2>
<p class="note">How many times as good as each peer the table is, in the same run: times (rates) of the peer (the table) divided by those of the table (the peer).
<span class="ahead">&nbsp;ahead&nbsp;</span> <span class="even">&nbsp;within a tenth&nbsp;</span> <span class="behind">&nbsp;behind&nbsp;</span>.
A dot: the peer does not answer the question. Point at a ratio to see the peer's own value. C programs pay for no runtime: compare Node with Node first.</p>
${ratioTable(ratiosOf(headlines))}`}
${report.answers.map(answered => section(answered, svgs)).join('\n')}
</body></html>
`
}
