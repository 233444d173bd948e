/**
 * queue.ts: the waiting tasks of one process on one slot, first in, first out. A doubly linked list: ten thousand waiters can
 * time out in any order.
 */
import type { Notice } from './notices.js'
import { Turn } from './turn.js'

export interface WaitEntry {
  readonly mode: number
  readonly name0: number
  readonly name1: number
  /** nowMs() of the call. */
  readonly since: number
  /** The hold is the caller's from now on. */
  readonly grant: (notice: Notice | undefined) => void
  readonly fail: (error: Error) => void
  previous: WaitEntry | undefined
  next: WaitEntry | undefined
  queued: boolean
}

export class SlotQueue {
  /** Word index and number of the slot. */
  readonly slot: number
  readonly index: number
  head: WaitEntry | undefined
  #tail: WaitEntry | undefined
  length = 0
  /** MODE_… under which this participant is registered as a waiter of the slot; 0: it is not. */
  registered = 0
  /** This participant owns the slot but readers of other processes are still inside. */
  owning = false
  readonly turn = new Turn()

  constructor(slot: number, index: number) {
    this.slot = slot
    this.index = index
  }

  push(entry: WaitEntry): void {
    entry.previous = this.#tail
    if (this.#tail === undefined) this.head = entry
    else this.#tail.next = entry
    this.#tail = entry
    this.#added(entry)
  }

  /** In front of everybody: for a caller that blocks its thread, so that nobody else of the thread could go on. */
  unshift(entry: WaitEntry): void {
    entry.next = this.head
    if (this.head === undefined) this.#tail = entry
    else this.head.previous = entry
    this.head = entry
    this.#added(entry)
  }

  #added(entry: WaitEntry): void {
    entry.queued = true
    this.length++
  }

  remove(entry: WaitEntry): void {
    if (!entry.queued) return
    if (entry.previous === undefined) this.head = entry.next
    else entry.previous.next = entry.next
    if (entry.next === undefined) this.#tail = entry.previous
    else entry.next.previous = entry.previous
    entry.previous = entry.next = undefined
    entry.queued = false
    this.length--
  }
}
