import * as Effect from "effect/Effect"
import type { HandshakeError, Reason } from "./HandshakeError.js"

/** Opens a connection, and no longer than so many milliseconds. */
export const givenUpAfter = <A, E, R>(
  milliseconds: number,
  opening: Effect.Effect<A, E, R>,
  refuse: (reason: Reason) => HandshakeError
): Effect.Effect<A, E | HandshakeError, R> =>
  opening.pipe(
    // A timeout can only end what is interruptible, and connecting may stand in a region that is not.
    Effect.interruptible,
    Effect.timeoutFail({ duration: milliseconds, onTimeout: () => refuse({ _tag: "Timeout", milliseconds }) })
  )
