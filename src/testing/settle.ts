import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { macrotask } from "../macrotask.js"

/** So many turns of the event loop in which nothing crosses a wire, and all is quiet. */
const QUIET = 10

let crossings = 0

/** Something has crossed a wire: there may be more to come. */
export const crossed = (): void => {
  crossings++
}

/**
 * Lets everything happen that can happen without time passing: completes when
 * for ten turns of the event loop nothing has crossed any wire. It never
 * completes while two programs go on answering each other. Work of another
 * thread, as compressing a large message, it does not know of.
 */
export const settle: Effect.Effect<void> = Effect.async<void>((resume) => {
  let seen = crossings
  let quiet = 0
  // As the library waits, which may be with timers: then these come behind its own.
  const next = (): void => {
    quiet = seen === crossings ? quiet + 1 : 0
    seen = crossings
    if (quiet < QUIET) macrotask(next)
    else resume(Effect.void)
  }
  macrotask(next)
})

/**
 * Lets time pass by the `TestClock`, and everything happen that is due: what
 * was begun before gets to where it waits, and what time has woken does too.
 */
export const pass = (duration: Duration.DurationInput): Effect.Effect<void> =>
  settle.pipe(Effect.zipRight(TestClock.adjust(Duration.decode(duration))), Effect.zipRight(settle))
