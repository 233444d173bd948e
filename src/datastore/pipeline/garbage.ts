/**
 * garbage.ts: the collector, called by hand.
 *
 * Compressing a chunk leaves some 8 MiB of buffers behind, and hardly any JavaScript: V8 sees no reason to collect for a dozen chunks, by
 * which time malloc has spread them over its arenas and gives nothing back. 300 chunks of 4 MiB in one thread: 646 MB resident at the
 * end; with a collection after every fourth 97 MB, for 0.3 ms each.
 */
import { createRequire } from 'node:module'
import type * as v8 from 'node:v8'
import type * as vm from 'node:vm'

type Collect = (options: { readonly type: 'minor'; readonly execution: 'sync' }) => void

/**
 * A function that frees the young generation's buffers. The flag is the process's, and stays: another thread may be at the same place.
 * Nobody notices but who makes a context (node:vm) later and finds a global `gc` in it.
 */
export function garbageCollector(): () => void {
  const load = createRequire(import.meta.url) // a thread that only lists does without the two, and without a context of its own for the collector
  const { setFlagsFromString } = load('node:v8') as typeof v8
  const { runInNewContext } = load('node:vm') as typeof vm
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as Collect
  return () => collect({ type: 'minor', execution: 'sync' })
}
