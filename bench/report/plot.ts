/**
 * plot.ts: a figure as SVG, by Vega-Lite. Everything is in the picture itself, legend included, so that it stands alone in a README.
 */
import { View, parse } from 'vega'
import { type TopLevelSpec, compile } from 'vega-lite'
import type { Axis, Figure, Point } from '../lib/findings.js'
import { inOrder, styleOf } from '../lib/series.js'

const INK = '#111827'
const GRID = '#e5e7eb'
const SPREAD = '#f43f5e'
const FONT = 'DejaVu Sans, Segoe UI, Helvetica, Arial, sans-serif'
/** Pixels of one panel. */
const PANEL = { width: 190, height: 260 }
const SINGLE = { width: 560, height: 320 }
const BAR_PIXELS = 20

const CONFIG = {
  background: 'white',
  aria: false, // the page says what a figure is; a sentence for each point makes it twice as large
  font: FONT,
  padding: 12,
  view: { stroke: '#9ca3af' },
  title: { color: INK, fontSize: 15, subtitleColor: '#374151', subtitleFontSize: 11.5, anchor: 'start', offset: 14, subtitlePadding: 5 },
  axis: { labelColor: INK, titleColor: INK, labelFontSize: 11, labelLimit: 320, titleFontSize: 12, titleFontWeight: 'normal', gridColor: GRID, titlePadding: 8 },
  header: { labelColor: INK, labelFontSize: 12, labelFontWeight: 'bold', title: null },
  legend: { labelColor: INK, labelFontSize: 11.5, labelLimit: 260, symbolSize: 160, symbolStrokeWidth: 2.5, rowPadding: 4, title: null },
} as const

/** `1500000` is `1.5M`: decades are told apart at a glance; small numbers, and powers of two, keep their digits. */
const LABELS = 'datum.value >= 1000 && datum.value % 100 === 0 ? format(datum.value, "~s") : format(datum.value, "~")'

/** From tick to tick: the first is a decade's beginning below the smallest value, or a bar of it would have no length. */
function scaleOf(axis: Axis, points: readonly Point[]): object {
  const ticks = ticksOf(axis, points)
  return ticks === undefined ? { zero: true } : { type: 'log', domain: [ticks[0], ticks.at(-1)], nice: false, clamp: true }
}

/** Decades; in between only where there are few. */
function ticksOf(axis: Axis, points: readonly Point[]): readonly number[] | undefined {
  if (axis.isLog !== true) return undefined
  const values = points.flatMap(({ y, low = y, high = y }) => [low, y, high]).filter(value => value > 0)
  const [from, to] = [Math.floor(Math.log10(Math.min(...values)) - 1e-9), Math.ceil(Math.log10(Math.max(...values)))]
  const steps = to - from > 3 ? [1] : [1, 2, 5]
  const all = Array.from({ length: to - from + 1 }, (_, i) => steps.map(step => step * 10 ** (from + i))).flat()
  return all.slice(0, all.findIndex(tick => tick >= Math.max(...values)) + 1)
}

function axisOf(axis: Axis, values: readonly number[] | undefined): object {
  return { title: axis.title, labelExpr: LABELS, ...(values === undefined ? { tickCount: 6 } : { values }) }
}

function titleOf({ title, subtitle }: Figure): object {
  return { text: title, subtitle }
}

function barsOf(figure: Figure): TopLevelSpec {
  const labels = [...figure.points].sort((a, b) => a.y - b.y).map(({ series }) => series)
  const range = labels.map((label, place) => styleOf(label, place).color)
  const order = { field: 'series', type: 'nominal', sort: labels, axis: { title: null, labelLimit: 320, grid: false } }
  const value = { type: 'quantitative', scale: scaleOf(figure.y, figure.points) }
  return {
    width: SINGLE.width, height: { step: BAR_PIXELS }, title: titleOf(figure), config: CONFIG, data: { values: [...figure.points] },
    encoding: { y: order },
    layer: [
      {
        mark: { type: 'bar', height: { band: 0.62 } },
        encoding: {
          x: { field: 'y', ...value, axis: axisOf(figure.y, ticksOf(figure.y, figure.points)) },
          color: { field: 'series', type: 'nominal', legend: null, scale: { domain: labels, range } },
        },
      },
      {
        transform: [{ filter: 'isValid(datum.low)' }], mark: { type: 'rule', strokeWidth: 1.4, color: SPREAD },
        encoding: { x: { field: 'low', ...value }, x2: { field: 'high' } },
      },
      { mark: { type: 'text', align: 'left', dx: 6, color: INK, fontSize: 11 }, encoding: { x: { field: 'top', ...value }, text: { field: 'shown' } } },
    ],
    transform: [
      { calculate: 'isValid(datum.high) ? max(datum.high, datum.y) : datum.y', as: 'top' },
      { calculate: 'format(datum.y, datum.y >= 1000 ? ".3~s" : ".3~r")', as: 'shown' },
    ],
  } as unknown as TopLevelSpec
}

function linesOf(figure: Figure): TopLevelSpec {
  const labels = inOrder(figure.points.map(({ series }) => series))
  const styles = labels.map((label, place) => styleOf(label, place))
  const scale = (range: readonly unknown[]): object => ({ domain: labels, range })
  const panels = [...new Set(figure.points.flatMap(({ panel }) => panel ?? []))]
  const ticks = [...new Set(figure.points.map(({ x }) => x))].sort((a, b) => a - b)
  const size = panels.length > 1 ? PANEL : SINGLE
  const x = figure.x.isLog === true
    ? { field: 'x', type: 'quantitative', axis: { ...axisOf(figure.x, ticks), labelOverlap: true }, scale: { type: 'log', nice: false, padding: 12 } }
    // Few values, as numbers of processes are, are spread evenly.
    : { field: 'x', type: 'ordinal', axis: { title: figure.x.title, labelAngle: 0, grid: true }, scale: { type: 'point', padding: 0.3 } }
  const y = { type: 'quantitative', scale: scaleOf(figure.y, figure.points) }
  // The faint lines of the spread must not make the legend faint.
  const legend = { symbolType: 'stroke', symbolOpacity: 1, labelLimit: 300 }
  const color = { field: 'series', type: 'nominal', scale: scale(styles.map(style => style.color)), legend }
  const strokeDash = { field: 'series', type: 'nominal', scale: scale(styles.map(style => style.dash)), legend }
  const ours = 'indexof(datum.series, "locktable") === 0 || indexof(datum.series, "table") === 0'
  const layer = [
    {
      mark: { type: 'rule', strokeWidth: 1, opacity: 0.45 }, transform: [{ filter: 'isValid(datum.low)' }],
      encoding: { x, y: { field: 'low', ...y }, y2: { field: 'high' }, color },
    },
    {
      mark: { type: 'line', point: { size: 34 } },
      encoding: { x, y: { field: 'y', ...y, axis: axisOf(figure.y, ticksOf(figure.y, figure.points)) }, color, strokeDash, strokeWidth: { condition: { test: ours, value: 3 }, value: 1.6 } },
    },
  ]
  const base = { title: titleOf(figure), config: CONFIG, data: { values: [...figure.points] } }
  if (panels.length < 2) return { ...base, ...size, layer } as unknown as TopLevelSpec
  return { ...base, facet: { column: { field: 'panel', type: 'nominal', sort: panels } }, spec: { ...size, layer } } as unknown as TopLevelSpec
}

/** The same picture in fewer bytes: a hundredth of a pixel is enough, and what is so by default or everywhere is said once. */
function lighter(svg: string): string {
  return svg.replace(/\d+\.\d{3,}/g, digits => String(Math.round(Number(digits) * 100) / 100))
    .replaceAll(` font-family="${FONT}"`, '').replaceAll(' opacity="1"', '').replaceAll(' pointer-events="none"', '')
    .replace('<svg ', `<svg font-family="${FONT}" `)
}

export async function plot(figure: Figure): Promise<string> {
  const { spec } = compile(figure.kind === 'bars' ? barsOf(figure) : linesOf(figure))
  const view = new View(parse(spec), { renderer: 'none' })
  try {
    return lighter(await view.toSVG())
  } finally {
    view.finalize()
  }
}
