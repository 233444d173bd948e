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
  /** Those that run in another Node, where they are available. */
  readonly elsewhere?: readonly Peer[] | undefined
}

/** Everybody that is chosen and can run here, and for each other one line that says why not. Servers run until the field is disposed of. */
export async function gather({ only, directory, without = {}, candidates = MACHINE_PEERS, elsewhere = [] }: FieldOptions): Promise<Field> {
  const skipped: Skipped[] = []
  const built = Baseline.build()
  if (typeof built === 'string') skipped.push({ name: 'the C baselines', why: built })
  const peers = candidates.flatMap((peer): GroupedPeer[] => {
    const group = groupOf(peer)
    if (!isChosen({ only }, group, peer.name)) return []
    const why = without[peer.name] ?? (elsewhere.includes(peer) ? undefined : peer.available())
    if (why === undefined) return [{ group, peer }]
    skipped.push({ name: peer.name, why })
    return []
  })
  const servers: AsyncDisposable[] = []
  const stop = async (): Promise<void> => {
    for (const server of servers) await server[Symbol.asyncDispose]()
  }
  try {
    for (const { peer } of peers) if (peer.serve !== undefined) servers.push(await peer.serve(directory))
  } catch (error) {
    await stop()
    throw error
  }
  return { peers, baseline: typeof built === 'string' ? undefined : built, skipped, [Symbol.asyncDispose]: stop }
}
