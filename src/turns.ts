import type { Deadlines, Entry } from "./deadlines.js"

/** Milliseconds between two looks: the next look comes later, for as long as nothing has left meanwhile. */
const SHORTEST = 1
const LONGEST = 32

/**
 * Who waits until there is room to send, first come, first served. Browsers
 * have no event for that, so `bufferedAmount` is looked at again and again
 * while somebody waits, and only then.
 */
export class Turns implements Entry {
  private waiting: Array<() => void> = []
  private readonly deadlines: Deadlines
  private readonly bufferedAmount: () => number
  private readonly highWaterMark: number
  private interval = SHORTEST
  private seen = 0
  dueAt = 0
  place = -1

  constructor(deadlines: Deadlines, bufferedAmount: () => number, highWaterMark: number) {
    this.deadlines = deadlines
    this.bufferedAmount = bufferedAmount
    this.highWaterMark = highWaterMark
  }

  /** Whether something can be sent now: nobody waits, and there is room. */
  get isFree(): boolean {
    return this.waiting.length === 0 && this.hasRoom
  }

  private get hasRoom(): boolean {
    return this.bufferedAmount() < this.highWaterMark
  }

  /** Calls when the turn has come, which sends; returns how to take that back. */
  add(proceed: () => void): () => void {
    if (this.waiting.length === 0) this.plan(SHORTEST)
    this.waiting.push(proceed)
    return () => {
      this.waiting = this.waiting.filter((other) => other !== proceed)
      if (this.waiting.length === 0) this.deadlines.remove(this)
    }
  }

  /** There may be room: whose turn has come is called. */
  proceed(): void {
    while (this.waiting.length > 0 && this.hasRoom) this.waiting.shift()?.()
    if (this.waiting.length === 0) this.deadlines.remove(this)
  }

  fire(): void {
    this.proceed()
    if (this.waiting.length === 0) return
    this.plan(this.bufferedAmount() < this.seen ? SHORTEST : Math.min(2 * this.interval, LONGEST))
  }

  private plan(interval: number): void {
    this.interval = interval
    this.seen = this.bufferedAmount()
    this.deadlines.set(this, this.deadlines.now() + interval)
  }

  /** No turn comes any more: all are called, and find out. */
  end(): void {
    this.deadlines.remove(this)
    for (const proceed of this.waiting.splice(0)) proceed()
  }
}
