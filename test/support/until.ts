/** Waiting for what other processes and threads do, of which no event comes. */

/** Waits until the condition holds; vitest's time limit ends a test whose condition never does. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  // A pause and not a busy loop: whoever the condition waits for needs the processor too.
  while (!await condition()) await new Promise(resolve => setTimeout(resolve, 1))
}
