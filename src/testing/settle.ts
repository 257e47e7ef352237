import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { macrotask } from "../macrotask.js"

/** In each of them wires carry a few hundred pieces. */
const TURNS = 10

/**
 * Lets everything happen that can happen without time passing: completes after
 * ten turns of the event loop. Work of another thread, as compressing a large
 * message, it does not know of.
 */
export const settle: Effect.Effect<void> = Effect.async<void>((resume) => {
  let turns = 0
  // As the library waits, which may be with timers: then these come behind its own.
  const next = (): void => {
    if (++turns < TURNS) macrotask(next)
    else resume(Effect.void)
  }
  next()
})

/**
 * Lets time pass by the `TestClock`, and everything happen that is due: what
 * was begun before gets to where it waits, and what time has woken does too.
 */
export const pass = (duration: Duration.DurationInput): Effect.Effect<void> =>
  settle.pipe(Effect.zipRight(TestClock.adjust(Duration.decode(duration))), Effect.zipRight(settle))
