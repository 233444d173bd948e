/** Three participants of the table at PATH that hold and wait for locks in both modes until they are killed. */
import { LockTable } from '../../src/index.js'
import { until } from '../support/until.js'
import { NAMES } from './corpus.js'

const path = process.argv[2] ?? ''
const tables = [await LockTable.open(path), await LockTable.open(path), await LockTable.open(path)]
const spaces = tables.map(table => table.spaces)
const held = [
  ...NAMES.slice(0, 2).map(name => spaces[0]![0]!.tryLock(name)),
  ...tables.map((_table, i) => spaces[i]![1]!.tryLock('b', { mode: 'shared' })),
  spaces[2]![1]!.tryLock('a'),
]
for (const [first, second] of spaces.slice(1)) {
  for (const [i, name] of NAMES.entries()) {
    first!.lock(name, { mode: i % 2 === 0 ? 'exclusive' : 'shared' }).catch(() => undefined)
    second!.lock(name).catch(() => undefined)
  }
}
/** Everybody holds or waits for everything; two names in a slot count once. */
const isBusy = (): boolean => tables.slice(1).every(table => table.spaces.every(space => NAMES.every(name => {
  const { holders, waiters } = table.inspectName(name, space.name)
  return [...holders, ...waiters].some(({ participant }) => participant === table.participantNumber)
})))
await until(isBusy)
process.send?.(`${held.length} held`)
