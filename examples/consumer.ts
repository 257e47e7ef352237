/**
 * Consumes messages: one after the other, as fast as they can be dealt with.
 *
 * While the work takes its time nothing more is read, so that a sender that is
 * faster has to wait. The stream ends when the connection ends cleanly and
 * fails with `ConnectionClosed` otherwise.
 */
import { type Effect, Stream } from "effect"
import type { Connection } from "effect-websockets"

export const consumer =
  <E, R>(consume: (message: Connection.Message) => Effect.Effect<void, E, R>) =>
  ({ messages }: Connection.Connection) =>
    Stream.runForEach(messages, consume)

/** Sixteen at a time, from one stream: a connection has one reader. */
export const multipleConsumers =
  <E, R>(consume: (message: Connection.Message) => Effect.Effect<void, E, R>) =>
  ({ messages }: Connection.Connection) =>
    messages.pipe(Stream.mapEffect(consume, { concurrency: 16, unordered: true }), Stream.runDrain)
