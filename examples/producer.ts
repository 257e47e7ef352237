/**
 * Produces messages until the connection is over.
 *
 * `send` waits while the peer is slower than the producer, and fails with
 * `ConnectionClosed` when the peer is gone, however it went: the one error
 * that ends the loop.
 */
import { Effect } from "effect"
import type { Connection } from "effect-websockets"

export const producer =
  <E, R>(produce: Effect.Effect<Connection.Message, E, R>) =>
  ({ send }: Connection.Connection) =>
    Effect.flatMap(produce, (message) => send(message)).pipe(
      Effect.forever,
      Effect.catchTag("ConnectionClosed", () => Effect.logDebug("the peer has left"))
    )
