/** machine.ts: everything that excludes other processes, found by its name in the tables: a peer's process gets told no more than that. */
import { PEERS } from './index.js'
import { OURS } from './locktable.js'
import type { Peer } from './peer.js'

export const MACHINE_PEERS: readonly Peer[] = [...PEERS.filter(peer => peer.scope === 'machine'), ...OURS]

export function machinePeer(name: string): Peer {
  const found = MACHINE_PEERS.find(peer => peer.name === name)
  if (found === undefined) throw new Error(`there is no way to lock that is called "${name}"`)
  return found
}
