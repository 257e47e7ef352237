import * as Channel from "effect/Channel"
import type * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { ConnectionClosed } from "./ConnectionClosed.js"

/** Both directions of a connection. */
export interface Directions<In, Out, E, SendError, R> {
  readonly messages: Stream.Stream<In, E, R>
  readonly sendAll: (messages: Iterable<Out>) => Effect.Effect<void, SendError, R>
  /** Closes the connection since what is to be sent has failed. */
  readonly abort: Effect.Effect<unknown>
}

/** A duplex channel: what goes in is sent, what comes out was received, and a failure of the input is the output's too. */
export const duplex = <In, Out, E, SendError, R, IE = never>({
  messages,
  sendAll,
  abort
}: Directions<In, Out, E, SendError, R>): Channel.Channel<
  Chunk.Chunk<In>,
  Chunk.Chunk<Out>,
  E | SendError | IE,
  IE,
  void,
  unknown,
  R
> =>
  Channel.unwrap(
    Effect.zipWith(Deferred.make<never, E | SendError | IE>(), Effect.context<R>(), (failed, context) =>
      Channel.embedInput(Stream.toChannel(Stream.interruptWhenDeferred(messages, failed)), {
        awaitRead: () => Effect.void,
        emit: (chunk: Chunk.Chunk<Out>) =>
          Effect.catchAll(Effect.provide(sendAll(chunk), context), (error) =>
            Effect.zipRight(Deferred.fail(failed, error), error instanceof ConnectionClosed ? Effect.void : abort)
          ),
        error: (cause) => Effect.zipRight(Deferred.failCause(failed, cause), abort),
        done: () => Effect.void
      })
    )
  )
