/**
 * demo-proof.ts: the books of the demo: every rewrite that a journal has completed, and every one cut off by a kill that the manifest
 * itself shows to have taken place, must be in the manifest's counter, and no others.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type DemoPlan, groupFile, readJournal, readManifest } from './demo-plan.js'

export interface Proof {
  readonly completed: number
  readonly inDoubt: number
  readonly landed: number
  readonly sum: number
  readonly wrongGroups: readonly string[]
  readonly violations: readonly string[]
}

export function prove(plan: DemoPlan): Proof {
  const expected = new Map<string, number>()
  const violations: string[] = []
  let completed = 0
  let inDoubt = 0
  let landed = 0
  const count = (group: string): void => {
    expected.set(group, (expected.get(group) ?? 0) + 1)
  }
  for (const file of readdirSync(plan.storeDirectory).filter(name => name.startsWith('journal-'))) {
    const open = new Map<number, string>()
    const worker = file.slice('journal-'.length)
    for (const line of readJournal(join(plan.storeDirectory, file))) {
      if (line.kind === 'violation') violations.push(`${line.worker}, rewrite ${line.edit} of ${line.group}: ${line.text}`)
      if (line.kind === 'begin') open.set(line.edit, line.group)
      if (line.kind !== 'end') continue
      open.delete(line.edit)
      completed++
      count(line.group)
    }
    for (const [edit, group] of open) {
      inDoubt++
      const manifest = readManifest(groupFile(plan, { name: group, files: [] }, 'manifest.json'))
      if (manifest.writers[worker] !== edit) continue
      landed++
      count(group)
    }
  }
  let sum = 0
  const wrongGroups: string[] = []
  for (const group of plan.groups) {
    const { edits } = readManifest(groupFile(plan, group, 'manifest.json'))
    sum += edits
    if (edits !== (expected.get(group.name) ?? 0)) wrongGroups.push(`${group.name}: ${edits} rewrites, expected ${expected.get(group.name) ?? 0}`)
  }
  return { completed, inDoubt, landed, sum, wrongGroups, violations }
}
