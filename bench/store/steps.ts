/** steps.ts: what is timed, and that a restore gives back what was backed up. */
import { mkdirSync } from 'node:fs'
import { timeAll } from './command.js'
import type { Contender, Repository } from './contenders.js'
import { digestOf, PARTS, sizeOfData } from './data.js'

export const STEPS = ['first', 'second', 'changed', 'restore'] as const
export type Step = (typeof STEPS)[number]
export const CLIENT_COUNTS = [1, 4] as const
export type ClientCount = (typeof CLIENT_COUNTS)[number]

export interface Attempt {
  readonly contender: Contender
  readonly clients: ClientCount
  readonly directory: string
  readonly repository: Repository
}

/** One client has all parts, each of four has one. */
const sharesOf = (clients: ClientCount): readonly (readonly string[])[] => (clients === 1 ? [PARTS] : PARTS.map(part => [part]))

/**
 * What is read is in memory: warm caches, alike for all.
 *
 * @param expected  for a restore: digestOf() the data
 * @returns seconds
 */
export async function measure(step: Step, { contender, clients, directory, repository }: Attempt, data: string, expected: string | undefined): Promise<number> {
  const shares = sharesOf(clients)
  // Just before each run: a kernel may give back what it has cached within seconds, and who came first would pay for the others.
  sizeOfData(step === 'restore' ? directory : data)
  if (step !== 'restore') return await timeAll(shares.map((parts, client) => repository.backup(data, client, parts)), contender.hasOneWriter)
  const target = restoredTo(directory)
  mkdirSync(target)
  const seconds = await timeAll(shares.map((parts, client) => repository.restore(target, client, parts)), false)
  if (digestOf(target) !== expected) throw new Error('what was restored is not what was backed up')
  return seconds
}

const restoredTo = (directory: string): string => `${directory}.restored`
