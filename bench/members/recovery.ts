/**
 * recovery.ts: a holder that will be killed, or the one that waits for it. Both are told what to do by messages, and answer through the
 * shared numbers, which a killed process cannot leave half said.
 */
import { openSharedWords, type SharedAddress } from '../lib/shared-words.js'
import { machinePeer } from '../peers/machine.js'

export interface RecoveryTask {
  readonly role: 'holder' | 'waiter'
  readonly peer: string
  readonly directory: string
  readonly address: SharedAddress
  /** The shared numbers of this process; the counter is at 0. */
  readonly at: number
  /** For the holder: the one name that it takes. */
  readonly name: string
  readonly residentMib: number
}

/** What a process says, each in its own numbers from `at`. */
const ASKING = 0
const ENTERED_NS = 1
const COUNTER = 0

const PIECE_MIB = 256

const task = JSON.parse(process.argv[2] ?? '') as RecoveryTask
const words = openSharedWords(task.address)
process.once('disconnect', () => process.exit())
if (!process.connected) process.exit()
const locks = await machinePeer(task.peer).open(task.directory)

/** Memory that the kernel must give back before the process is gone. */
const resident = Array.from({ length: Math.ceil(task.residentMib / PIECE_MIB) }, () => Buffer.alloc(Math.min(task.residentMib, PIECE_MIB) * 2 ** 20, 1))

const count = (): void => words.write(COUNTER, words.read(COUNTER) + 1)

if (task.role === 'holder') {
  const held: unknown = await locks.lock(task.name)
  count()
  words.write(task.at + ENTERED_NS, Number(process.hrtime.bigint()))
  setInterval(() => [held, resident].length, 1e9) // until killed
} else {
  // Not for the figures: whatever is made or compiled at the first time.
  for (let i = 0; i < 50; i++) await locks.unlock(await locks.lock('warm'))
  const take = async (name: string): Promise<void> => {
    words.write(task.at + ASKING, 1)
    const held: unknown = locks.kind === 'sync' ? locks.lock(name) : await locks.lock(name)
    const entered = Number(process.hrtime.bigint())
    count()
    words.write(task.at + ENTERED_NS, entered)
    const { abandoned } = held as { abandoned?: unknown }
    const unlocked = locks.unlock(held)
    if (unlocked !== undefined) await unlocked
    process.send!({ sawDeath: abandoned !== undefined })
  }
  process.on('message', name => void take(name as string))
  process.send!('ready')
}
