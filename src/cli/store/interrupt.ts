/**
 * interrupt.ts: ^C and its like end long work cleanly: what is half made is removed, then the process ends by the signal.
 */
import { complain } from '../output.js'
import { dieBy } from '../supervise.js'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** @param outcome  what is so after an interruption, in words */
export async function interruptible<T>(outcome: string, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  let first: NodeJS.Signals | undefined
  const end = (): void => {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    if (first !== undefined) { // somebody is impatient: the next backup of the group removes what is left
      end()
      dieBy(signal)
    }
    first = signal
    controller.abort()
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  try {
    return await action(controller.signal)
  } catch (error) {
    if (first === undefined) throw error
    complain(`interrupted: ${outcome}`)
    end()
    dieBy(first)
  } finally {
    end()
  }
}
