/**
 * turn.ts: when a waiter of another process asks for the slot. Pure.
 *
 * To give a slot to a waiter costs its way to its core, some 50 us in which nobody has the lock. So whoever got it that way keeps it for a turn, in which it may
 * leave and enter as often as it likes: nobody asks before he has waited for a turn, and has seen no hand-off for as long. Whoever once asked is
 * served by the next releases, in circular order (protocol.ts, I5).
 *
 * Eight processes on two cores, bench/handover.ts, with turns against without (each asks as soon as he has waited for a millisecond; turns of a millisecond): half as many hand-overs a
 * second, 9 % more locks with 10 us inside (p99 of the wait 1.5 ms against 3.7), 1 % more with 100 us (p99 16 ms against 10; flock in C 28).
 */

/** How long a process keeps a slot that others want: of holds of 10 us more than a hundred, so that fewer than one lock in a hundred waits at all. */
export const TURN_MS = 1.25
/** Whoever has waited longer asks, whatever he has seen: looks may come just after hand-offs again and again. */
export const PATIENCE_MS = 100

/** What one waiter has seen of a slot. */
export class Turn {
  #handoffs = -1
  #sinceMs = 0

  /**
   * @param handoffs  the slot's counter of hand-offs
   * @param now, since  of the look and of the request; milliseconds
   * @returns whether to ask for a hand-off
   */
  isOver(handoffs: number, now: number, since: number): boolean {
    if (handoffs !== this.#handoffs) {
      this.#handoffs = handoffs
      this.#sinceMs = now
    }
    const waited = now - since
    return waited > PATIENCE_MS || (waited > TURN_MS && now - this.#sinceMs > TURN_MS)
  }
}
