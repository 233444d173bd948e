/** corpus.ts: files to start from: a new table, one in the middle of work, and one whose participants were killed in the middle of work. */
import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LockTable } from '../../src/index.js'

export const SPACES = [{ name: 'first', slots: 4 }, { name: 'second', slots: 3 }]
export const NAMES = ['a', 'b', 'c', 'd', 'vm/100', 'ct/200']

const CROWD = fileURLToPath(new URL('crowd.ts', import.meta.url))

/** The files' bytes. `directory` is on a tmpfs. */
export async function makeCorpus(directory: string): Promise<Buffer[]> {
  const path = join(directory, 'corpus')
  const table = await LockTable.open(path, { spaces: SPACES })
  const fresh = readFileSync(path)
  const crowd = fork(CROWD, [path], { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  await new Promise<void>((resolve, reject) => {
    crowd.once('message', () => {
      resolve()
    })
    crowd.once('exit', code => {
      reject(new Error(`the crowd ended with ${code}`))
    })
  })
  const busy = readFileSync(path)
  crowd.kill('SIGKILL')
  await new Promise(resolve => crowd.once('exit', resolve))
  const [, second] = table.spaces
  const heir = await second!.lock('a') // the dead one's: now there are notices
  const bereaved = readFileSync(path)
  heir.release()
  await table.close()
  return [fresh, busy, bereaved]
}
