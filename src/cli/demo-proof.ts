/**
 * demo-proof.ts: the books of the demo. Every rewrite that a journal has completed, and every one cut off by a kill that the manifest itself
 * shows to have taken place, must be in the manifest's counter, and no others.
 */
import { readJournals } from './demo-journal.js'
import { type DemoPlan, readManifest } from './demo-plan.js'
import { digestOf } from './demo-worker.js'

export interface Proof {
  /** Rewrites that their worker saw through. */
  readonly completed: number
  /** Rewrites that a kill cut off; of these, those whose file was in place. */
  readonly cutOff: number
  readonly landed: number
  /** The counters of all manifests together: completed + landed, if nothing was lost. */
  readonly sum: number
  /** Groups whose counter is wrong, in words. */
  readonly miscounted: readonly string[]
  /** Digests in manifests that are not those of the files. */
  readonly wrongDigests: number
  readonly digests: number
  /** Two holders at once, in words. */
  readonly violations: readonly string[]
  /** When each lock of a dead holder was next held: by process id, space and name. */
  readonly takeovers: readonly { readonly pid: number; readonly space: string; readonly name: string; readonly at: bigint }[]
}

export function prove(plan: DemoPlan): Proof {
  const expected = new Map<string, number>()
  const violations: string[] = []
  const takeovers: Proof['takeovers'][number][] = []
  let [completed, cutOff, landed] = [0, 0, 0]
  const count = (group: string): void => {
    expected.set(group, (expected.get(group) ?? 0) + 1)
  }
  for (const [worker, lines] of readJournals(plan)) {
    const begun = new Map<number, string>()
    for (const line of lines) {
      if (line.kind === 'violation') violations.push(line.text)
      else if (line.kind === 'takeover') takeovers.push({ ...line, at: BigInt(line.at) })
      else if (line.kind === 'begin') begun.set(line.edit, line.group)
      else {
        begun.delete(line.edit)
        completed++
        count(line.group)
      }
    }
    for (const [edit, group] of begun) {
      cutOff++
      if (readManifest(plan, group).writers[worker] !== edit) continue
      landed++
      count(group)
    }
  }
  return { completed, cutOff, landed, violations, takeovers, ...audit(plan, expected) }
}

/** What the manifests say, against what they should. */
function audit(plan: DemoPlan, expected: ReadonlyMap<string, number>): Pick<Proof, 'sum' | 'miscounted' | 'digests' | 'wrongDigests'> {
  const actual = new Map<string, string>()
  const miscounted: string[] = []
  let [sum, digests, wrongDigests] = [0, 0, 0]
  for (const { name } of plan.groups) {
    const manifest = readManifest(plan, name)
    const wanted = expected.get(name) ?? 0
    sum += manifest.edits
    if (manifest.edits !== wanted) miscounted.push(`${name} counts ${manifest.edits} rewrites, there were ${wanted}`)
    for (const [file, digest] of Object.entries(manifest.digests)) {
      const real = actual.get(file) ?? digestOf(file)
      actual.set(file, real)
      digests++
      if (real !== digest) wrongDigests++
    }
  }
  return { sum, miscounted, digests, wrongDigests }
}
