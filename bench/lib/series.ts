/**
 * series.ts: how everything that is measured is called and drawn, the same in all figures: C in greys, other ways from Node in warm colours, ours in blues.
 */

export interface Series {
  readonly label: string
  readonly color: string
  /** Of the line, in pixels: drawn, not drawn. */
  readonly dash: readonly number[]
}

const SOLID: readonly number[] = []
const DASHED: readonly number[] = [6, 3]
const DOTTED: readonly number[] = [2, 3]

/** By group and name, as the benchmarks have them; in the order of legends and of the table of ratios. */
const SERIES: readonly (readonly [key: string, label: string, color: string, dash: readonly number[]])[] = [
  ['locktable/table, lockSync', 'locktable, lockSync', '#0b3d91', SOLID],
  ['locktable/table, await lock', 'locktable, await lock', '#2f7de1', SOLID],
  ['locktable/table, request', 'locktable, request (Web Locks)', '#60a5fa', DASHED],
  ['locktable/table', 'locktable', '#0b3d91', SOLID],
  ['locktable/lock files', 'our lock files', '#14b8a6', DASHED],
  ['locktable/lock files, lockSync', 'our lock files, lockSync', '#0f766e', DASHED],
  ['locktable/lock files, await lock', 'our lock files, await', '#14b8a6', DASHED],
  ['C/robust-mutex', 'C: robust mutex', '#111827', SOLID],
  ['C/rwlock', 'C: rwlock', '#6b7280', SOLID],
  ['C/flock', 'C: flock', '#111827', DOTTED],
  ['C/ofd', 'C: OFD lock', '#6b7280', DOTTED],
  ['C/flock-double-stat', 'C: flock, double stat', '#374151', DASHED],
  ['C/flock-double-stat-unlink', 'C: flock, double stat, unlink', '#9ca3af', DASHED],
  ['Node/fs-ext flock, file kept open', 'Node: flock', '#b45309', DOTTED],
  ['Node/fs-ext flock, double stat, sync', 'Node: flock, double stat', '#d97706', SOLID],
  ['Node/fs-ext flock, double stat, async', 'Node: flock, async', '#f59e0b', DASHED],
  ['Node/proper-lockfile', 'proper-lockfile', '#dc2626', SOLID],
  ['Node/SQLite, BEGIN IMMEDIATE', 'SQLite', '#be185d', SOLID],
  ['Node/Redis, SET NX PX', 'Redis', '#a21caf', SOLID],
  ['-/expected', 'expected', '#9ca3af', DOTTED],
  ['Node/async-mutex', 'async-mutex (one process)', '#65a30d', SOLID],
  ['Node/navigator.locks', 'navigator.locks (one process)', '#16a34a', SOLID],
]

const byKey = new Map(SERIES.map(([key, label]) => [key, label]))
const byLabel = new Map(SERIES.map(([, label, color, dash], order) => [label, { label, color, dash, order }]))

/** What is not in the list goes by its own name. */
export function labelOf(group: string, name: string): string {
  return byKey.get(`${group}/${name}`) ?? (group === 'C' ? `C: ${name}` : name)
}

/** Labels in the order of the list, unknown ones last. */
export function inOrder(labels: Iterable<string>): string[] {
  const place = (label: string): number => byLabel.get(label)?.order ?? SERIES.length
  return [...new Set(labels)].sort((a, b) => place(a) - place(b))
}

/** Our own ways that only one question tells apart. */
const OURS = ['#0b3d91', '#2f7de1', '#60a5fa'] as const
const OTHERS = ['#6b7280', '#d97706', '#16a34a', '#a21caf', '#111827', '#dc2626', '#0f766e'] as const

/** @param place  which of the unknown ones it is, to tell them apart */
export function styleOf(label: string, place: number): Series {
  const colors = /^(table|handle|await) ?/.test(label) ? OURS : OTHERS
  return byLabel.get(label) ?? { label, color: label.startsWith('C: ') ? '#4b5563' : colors[place % colors.length]!, dash: SOLID }
}
