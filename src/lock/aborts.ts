/**
 * aborts.ts: who waits under an AbortSignal. One listener for all of them: Node takes more than ten for a leak.
 */
const aborts = new WeakMap<AbortSignal, Set<() => void>>()

function onAnyAbort(this: AbortSignal): void {
  for (const onAbort of [...aborts.get(this) ?? []]) onAbort()
}

export function hearAbort(signal: AbortSignal, onAbort: () => void): void {
  let waits = aborts.get(signal)
  if (waits === undefined) aborts.set(signal, waits = new Set())
  if (waits.size === 0) signal.addEventListener('abort', onAnyAbort)
  waits.add(onAbort)
}

export function forgetAbort(signal: AbortSignal, onAbort: () => void): void {
  const waits = aborts.get(signal)
  if (waits?.delete(onAbort) && waits.size === 0) signal.removeEventListener('abort', onAnyAbort)
}
