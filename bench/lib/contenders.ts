/**
 * contenders.ts: who takes part in a question that several processes answer, and what has to run beside them meanwhile.
 */
import { OURS } from '../peers/locktable.js'
import { MACHINE_PEERS } from '../peers/machine.js'
import type { Peer } from '../peers/peer.js'
import { Baseline } from './baseline.js'
import type { Skipped } from './findings.js'
import { isChosen } from './question.js'

export interface GroupedPeer {
  readonly group: 'Node' | 'locktable'
  readonly peer: Peer
}

export interface Field extends AsyncDisposable {
  readonly peers: readonly GroupedPeer[]
  /** Undefined where it cannot be built. */
  readonly baseline: Baseline | undefined
  readonly skipped: readonly Skipped[]
}

export const groupOf = (peer: Peer): GroupedPeer['group'] => (OURS.includes(peer) ? 'locktable' : 'Node')

export interface FieldOptions {
  readonly only: readonly string[]
  /** For their files, and for those of the servers. */
  readonly directory: string
  /** Peers for which the question makes no sense, by name: why. */
  readonly without?: Readonly<Record<string, string>> | undefined
  readonly candidates?: readonly Peer[] | undefined
  /** For a question of shared locks. */
  readonly isShared?: boolean | undefined
  /** Those that run in another Node, where they are available. */
  readonly elsewhere?: readonly Peer[] | undefined
}

/** Everybody that is chosen and can run here, and for each other one line that says why not. Servers run until the field is disposed of. */
export async function gather({ only, directory, without = {}, candidates = MACHINE_PEERS, elsewhere = [], isShared = false }: FieldOptions): Promise<Field> {
  const skipped: Skipped[] = []
  const built = Baseline.build()
  if (typeof built === 'string') skipped.push({ name: 'the C baselines', why: built })
  const able = candidates.flatMap((peer): GroupedPeer[] => {
    const group = groupOf(peer)
    if (!isChosen({ only }, group, peer.name)) return []
    const why = without[peer.name] ?? (isShared ? peer.whyNotShared : undefined) ?? (elsewhere.includes(peer) ? undefined : peer.available())
    if (why === undefined) return [{ group, peer }]
    skipped.push({ name: peer.name, why })
    return []
  })
  const servers: AsyncDisposable[] = []
  const stop = async (): Promise<void> => {
    for (const server of servers) await server[Symbol.asyncDispose]()
  }
  const peers: GroupedPeer[] = []
  for (const one of able) {
    try {
      if (one.peer.serve !== undefined) servers.push(await one.peer.serve(directory))
      peers.push(one)
    } catch (error) {
      skipped.push({ name: one.peer.name, why: String(error) })
    }
  }
  return { peers, baseline: typeof built === 'string' ? undefined : built, skipped, [Symbol.asyncDispose]: stop }
}
