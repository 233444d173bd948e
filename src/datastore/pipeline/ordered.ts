/** ordered.ts: several things under way at once, their results in order. */

/**
 * Starts something for each item, up to `limit` ahead of whoever takes the results; it is asked each time.
 *
 * The first failure ends it, even while the next item is waited for. Then, and when the consumer stops early, everything that was
 * started is waited for.
 */
export async function* mapOrdered<T, R>(items: Iterable<T> | AsyncIterable<T>, limit: () => number, start: (item: T) => Promise<R>): AsyncGenerator<R, void, undefined> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const underWay: Promise<R>[] = []
  let fail = (_error: unknown): void => undefined
  const failure = new Promise<never>((_resolve, reject) => (fail = reject))
  failure.catch(() => undefined)
  let state: 'idle' | 'asked' | 'done' = 'idle'
  try {
    for (;;) {
      while (state !== 'done' && underWay.length < limit()) {
        state = 'asked'
        const next = await Promise.race([iterator.next(), failure])
        state = next.done === true ? 'done' : 'idle'
        if (next.done === true) break
        const started = start(next.value)
        started.catch(fail)
        underWay.push(started)
      }
      if (underWay.length === 0) return
      const result = await Promise.race([underWay[0]!, failure])
      void underWay.shift()
      yield result
    }
  } finally {
    await Promise.allSettled(underWay)
    // Whoever waits for an item that may never come is told, but not waited for.
    const end = state === 'done' ? undefined : Promise.resolve(iterator.return?.()).catch(() => undefined)
    if (state === 'idle') await end
  }
}
