/** worker.ts: the thread of a pool: takes jobs, answers in their order. */
import { parentPort } from 'node:worker_threads'
import { keepFreedMemory } from '../shared-bytes.js'
import { garbageCollector } from './garbage.js'
import type { Job } from './jobs.js'
import { packError } from './thread-errors.js'
import { work } from './work.js'

const JOBS_PER_COLLECTION = 4

let collectGarbage: (() => void) | undefined
let jobs = 0 // with chunks

keepFreedMemory()
parentPort?.on('message', (job: Job) => {
  let answer: object
  try {
    answer = { result: work(job) }
  } catch (error) {
    answer = { error: packError(error) }
  }
  parentPort?.postMessage(answer)
  if ((job.kind === 'pack' || job.kind === 'unpack') && ++jobs % JOBS_PER_COLLECTION === 0) (collectGarbage ??= garbageCollector())()
})
