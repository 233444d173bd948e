/**
 * ratios.ts: all headlines against everybody: how many times as good as each peer the table is. Above 1 the table is ahead, below it is behind.
 */
import type { Headline } from '../lib/findings.js'
import { inOrder } from '../lib/series.js'

export interface RatioRow {
  readonly measure: string
  readonly better: Headline['better']
  readonly unit: Headline['unit']
  readonly ours: { readonly series: string; readonly value: number }
  /** One for each column, undefined where the peer does not answer the question. */
  readonly cells: readonly ({ readonly ratio: number; readonly value: number } | undefined)[]
}

export interface Ratios {
  readonly columns: readonly string[]
  readonly rows: readonly RatioRow[]
}

export function ratiosOf(headlines: readonly Headline[]): Ratios {
  const ourSeries = new Set(headlines.map(({ ours }) => ours))
  const columns = inOrder(headlines.flatMap(({ values }) => values.map(({ series }) => series))).filter(series => !ourSeries.has(series))
  const rows = headlines.flatMap(({ measure, better, unit, ours, values }): RatioRow[] => {
    const own = values.find(({ series }) => series === ours)
    if (own === undefined) return []
    const cells = columns.map(column => {
      const peer = values.find(({ series }) => series === column)
      if (peer === undefined) return undefined
      return { value: peer.value, ratio: better === 'more' ? own.value / peer.value : peer.value / own.value }
    })
    return [{ measure, better, unit, ours: own, cells }]
  })
  return { columns, rows }
}
