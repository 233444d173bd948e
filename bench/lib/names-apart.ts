/** names-apart.ts: names for locks that are held at the same time. */
import { LockTable } from '../../src/index.js'
import { tablePath } from '../peers/locktable.js'

/** Names that do not share a slot of the table in `directory`, or whoever takes several of them would wait for himself. */
export async function namesApart(directory: string, count: number): Promise<string[]> {
  await using table = LockTable.openSync(tablePath(directory))
  const names = new Map<number, string>()
  for (let i = 0; names.size < count; i++) {
    const { index } = table.handle(`vm-${i}`)
    if (!names.has(index)) names.set(index, `vm-${i}`)
  }
  return [...names.values()]
}
