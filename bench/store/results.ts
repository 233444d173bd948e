/** results.ts: the table: rates of all contenders, how they compare with restic, and the limits beside them. */
import { formatRatio, printTable } from '../lib/report.js'
import { median } from '../lib/stats.js'
import type { Limit } from './limits.js'
import { CLIENT_COUNTS, type ClientCount, type Step, STEPS } from './steps.js'

export interface Result {
  readonly contender: string
  readonly clients: ClientCount
  readonly step: Step
  readonly round: number
  readonly seconds: number
  /** Of the whole data, also where only a part of it had to be stored. */
  readonly bytes: number
}

export interface Summary {
  readonly bytes: number
  readonly files: number
  readonly rounds: number
  readonly versions: readonly { readonly name: string; readonly version: string }[]
  readonly limits: readonly Limit[]
  readonly results: readonly Result[]
}

const TITLES: Readonly<Record<Step, string>> = { first: 'first backup', second: 'second, nothing changed', changed: 'third, 5 % changed', restore: 'restore' }
const BASIS = 'restic'
const rate = (bytesPerSecond: number | undefined): string => (bytesPerSecond === undefined ? '-' : `${Math.round(bytesPerSecond / 1e6)} MB/s`)

export function printResults({ bytes, files, rounds, versions, limits, results }: Summary): void {
  for (const { name, version } of versions) console.log(`${name}: ${version}`)
  const rateOf = (contender: string, clients: ClientCount, step: Step): number | undefined => {
    const mine = results.filter(result => result.contender === contender && result.clients === clients && result.step === step)
    return mine.length === 0 ? undefined : bytes / median(mine.map(({ seconds }) => seconds))
  }
  const rows = CLIENT_COUNTS.flatMap(clients => STEPS.map(step => [TITLES[step], String(clients), ...versions.map(({ name }) => {
    const [own, basis] = [rateOf(name, clients, step), rateOf(BASIS, clients, step)]
    return own === undefined || basis === undefined || name === BASIS ? rate(own) : `${rate(own)} (${formatRatio(own / basis)})`
  })]))
  const columns = [{ title: 'step' }, { title: 'clients' }, ...versions.map(({ name }) => ({ title: name }))]
  printTable(`Of ${Math.round(bytes / 1e6)} MB in ${files} files; median of ${rounds}; in brackets: how many times as fast as ${BASIS}`, columns, rows)
  const encrypted = versions[0]?.name ?? ''
  printTable(`Limits of this machine; share: the first backup of one client, ${encrypted}`, [{ title: 'limit' }, { title: 'rate' }, { title: 'share' }],
    limits.map(({ name, bytesPerSecond }) => {
      const own = rateOf(encrypted, 1, 'first')
      return [name, rate(bytesPerSecond), own === undefined || bytesPerSecond === undefined ? '-' : `${Math.round(100 * own / bytesPerSecond)} %`]
    }))
}
