/** ask.ts: one question to a new Node process; its answer is the one message that it sends. */
import { fork } from 'node:child_process'
import { nodeArgs } from './tsx.js'

export async function ask<Answer>(script: URL, args: readonly string[]): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const child = fork(script, [...args], { execArgv: [...nodeArgs(script), '--expose-gc'] })
    let answer: Answer | undefined
    child.once('message', message => {
      answer = message as Answer
    })
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      if (answer === undefined || code !== 0) reject(new Error(`the process of ${args.join(' ')} ended with ${code ?? signal}`))
      else resolve(answer)
    })
  })
}

/** For the process that is asked. */
export function answer(what: object): void {
  process.send!(what, () => process.exit())
}
