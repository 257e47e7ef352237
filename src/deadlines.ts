import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import { type Instruments, instrumentsOf } from "./instruments.js"
import { Logs } from "./logs.js"
import type { Role } from "./protocol/Frame.js"
import { type Spans, spansOf } from "./spans.js"

/**
 * All the deadlines of a server, or of one client connection: a queue by due
 * time and one fiber that sleeps until the earliest.
 */

/** Something with one due time; who has several of them gives the earliest. */
export interface Entry {
  /** Milliseconds of the Clock. */
  dueAt: number
  /** Its place in the queue, -1 while it is in none; the queue's to write. */
  place: number
  /** It is time; the entry is out of the queue, and may set itself again. */
  readonly fire: (now: number) => void
}

/** With more entries than this, wake-ups keep `SPACING` milliseconds apart. */
const MANY = 1_000
const SPACING = 250

/** What a timer can wait; who sleeps longer looks again in between. */
const LONGEST = 2 ** 31 - 1

export class Deadlines {
  private readonly heap: Array<Entry> = []
  private readonly clock: Clock.Clock
  private readonly runtime: Runtime.Runtime<never>
  private sleeper: Fiber.RuntimeFiber<void> | undefined
  /** When the sleeper wakes. */
  private wakesAt = Number.POSITIVE_INFINITY
  private stopped = false

  constructor(clock: Clock.Clock, runtime: Runtime.Runtime<never>) {
    this.clock = clock
    this.runtime = runtime
  }

  /** Milliseconds of the Clock. */
  now(): number {
    return this.clock.unsafeCurrentTimeMillis()
  }

  /** Sets or moves an entry's due time; in between of two milliseconds it is the later one, as clocks know no other. */
  set(entry: Entry, due: number): void {
    if (this.stopped) return
    const dueAt = Math.ceil(due)
    const earlier = entry.place < 0 || dueAt < entry.dueAt
    entry.dueAt = dueAt
    if (entry.place < 0) {
      entry.place = this.heap.length
      this.heap.push(entry)
    }
    if (earlier) this.up(entry.place)
    else this.down(entry.place)
    if (dueAt < this.wakesAt) this.sleepUntil(dueAt)
  }

  /** Takes an entry out, if it is in. */
  remove(entry: Entry): void {
    const { place } = entry
    if (place < 0) return
    entry.place = -1
    const last = this.heap.pop()!
    if (last === entry) return
    this.put(last, place)
    this.up(place)
    this.down(last.place)
  }

  /** Forgets all entries and ends the fiber. */
  stop(): void {
    this.stopped = true
    for (const entry of this.heap) entry.place = -1
    this.heap.length = 0
    this.interruptSleeper()
  }

  private sleepUntil(dueAt: number): void {
    const now = this.now()
    const wait = Math.min(Math.max(dueAt - now, this.heap.length > MANY ? SPACING : 0), LONGEST)
    // An earlier wake-up that is planned stays, or entries that keep coming would put it off for ever.
    if (now + wait >= this.wakesAt) return
    this.interruptSleeper()
    this.wakesAt = now + wait
    this.sleeper = Runtime.runFork(
      this.runtime,
      Effect.zipRight(
        this.clock.sleep(Duration.millis(wait)),
        Effect.sync(() => this.fireDue())
      )
    )
  }

  private interruptSleeper(): void {
    this.sleeper?.unsafeInterruptAsFork(FiberId.none)
    this.sleeper = undefined
    this.wakesAt = Number.POSITIVE_INFINITY
  }

  private fireDue(): void {
    this.sleeper = undefined
    const now = this.now()
    // Entries that set themselves again while firing sleep once, for the earliest, behind the loop.
    this.wakesAt = Number.NEGATIVE_INFINITY
    try {
      for (let first = this.heap[0]; first !== undefined && first.dueAt <= now; first = this.heap[0]) {
        this.remove(first)
        first.fire(now)
      }
    } finally {
      // Also when one of them throws, or no other deadline would ever come.
      this.wakesAt = Number.POSITIVE_INFINITY
      const next = this.heap[0]
      if (next !== undefined && !this.stopped) this.sleepUntil(next.dueAt)
    }
  }

  private put(entry: Entry, place: number): void {
    this.heap[place] = entry
    entry.place = place
  }

  private up(from: number): void {
    const entry = this.heap[from]!
    let place = from
    while (place > 0) {
      const parent = this.heap[(place - 1) >> 1]!
      if (parent.dueAt <= entry.dueAt) break
      this.put(parent, place)
      place = (place - 1) >> 1
    }
    this.put(entry, place)
  }

  private down(from: number): void {
    const entry = this.heap[from]!
    let place = from
    for (;;) {
      let child = 2 * place + 1
      if (child >= this.heap.length) break
      if (child + 1 < this.heap.length && this.heap[child + 1]!.dueAt < this.heap[child]!.dueAt) child++
      if (this.heap[child]!.dueAt >= entry.dueAt) break
      this.put(this.heap[child]!, place)
      place = child
    }
    this.put(entry, place)
  }
}

/** What connections run on: time, a logger, and a runtime whose fibers can be interrupted, wherever it was made. */
export interface Engine {
  readonly runtime: Runtime.Runtime<never>
  readonly deadlines: Deadlines
  readonly logs: Logs
  /** What counts connections of a role. */
  readonly instruments: (role: Role) => Instruments
  /** What traces them, where anybody does. */
  readonly spans: Spans | undefined
}

/** The current fiber's references and clock, with the default flags: a layer is built, and a resource acquired, uninterruptibly. */
export const makeEngine: Effect.Effect<Engine> = Effect.gen(function* () {
  const { context, fiberRefs } = yield* Effect.runtime<never>()
  const clock = yield* Clock.clockWith(Effect.succeed)
  const runtime = Runtime.make({ context, fiberRefs, runtimeFlags: Runtime.defaultRuntimeFlags })
  const labels = FiberRefs.getOrDefault(fiberRefs, FiberRef.currentMetricLabels)
  return {
    runtime,
    deadlines: new Deadlines(clock, runtime),
    logs: new Logs(runtime),
    instruments: (role) => instrumentsOf(role, labels),
    spans: spansOf(fiberRefs, clock)
  }
})
