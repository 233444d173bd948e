/** ask.ts: one question to a new Node process; its answer is the one message that it sends. */
import { fork } from 'node:child_process'
import { nodeArgs } from './tsx.js'

/** @param options.patienceMs  when the process counts as stuck and is killed */
export async function ask<Answer>(
  script: URL, args: readonly string[], { patienceMs = 120_000, node }: { readonly patienceMs?: number; readonly node?: string | undefined } = {},
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const child = fork(script, [...args], { execArgv: [...nodeArgs(script), '--expose-gc'], ...(node === undefined ? {} : { execPath: node }) })
    let answer: Answer | undefined
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs)
    child.once('message', message => {
      answer = message as Answer
    })
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      if (answer === undefined || code !== 0) reject(new Error(`the process of ${args.join(' ')} ended with ${code ?? signal}`))
      else resolve(answer)
    })
  })
}

/** For the process that is asked. */
export function answer(what: object): void {
  process.send!(what, () => process.exit())
}
