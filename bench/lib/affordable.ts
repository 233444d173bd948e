/** affordable.ts: as many rounds as time permits, at least one: on a busy machine a benchmark says less, not later. */

/** @yields the number of each round */
export function* affordable(rounds: number, budgetMs: number): Generator<number, void> {
  const began = performance.now()
  for (let round = 0; round < rounds; round++) {
    const spent = performance.now() - began
    if (round > 0 && spent * (round + 1) / round > budgetMs) {
      console.log(`no time for more than ${round} of ${rounds} rounds: they took ${Math.round(spent / 1000)} s`)
      return
    }
    yield round
  }
}

/** Of a question with crews of many processes. */
export const CREWS_BUDGET_MS = 480_000
