import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Handshake from "../Handshake.js"
import type { ListenError } from "../ListenError.js"
import { type Exchange, Listener } from "../Transport.js"
import { EndOfStream, type Peer, StreamPeer } from "./peer.js"

/** A server that speaks whatever a script says, behind a real opening handshake. */

export interface RawServerOptions {
  /** The subprotocols that are spoken, the first choice first. RFC 6455 §1.9. */
  readonly subprotocols?: ReadonlyArray<string> | undefined
}

/** Whether a script has ended as scripts may: by itself, interrupted, or because its client has gone. */
const isFine = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isSuccess(exit) ||
  Cause.isInterruptedOnly(exit.cause) ||
  Option.exists(Cause.failureOption(exit.cause), (error) => error instanceof EndOfStream)

/** Runs the script for each client until the scope closes, which dies with what a script has failed with. */
export const serve = <A, E, R>(
  script: (peer: Peer) => Effect.Effect<A, E, R>,
  { subprotocols }: RawServerOptions
): Effect.Effect<void, ListenError, Scope.Scope | Listener | Exclude<R, Scope.Scope>> =>
  Effect.gen(function* () {
    const listener = yield* Listener
    const handshake = yield* Handshake.Handshake
    const failures: Array<Cause.Cause<unknown>> = []
    yield* Effect.addFinalizer(() =>
      failures[0] === undefined ? Effect.void : Effect.orDie(Effect.failCause(failures[0]))
    )
    const run = yield* FiberSet.makeRuntime<Exclude<R, Scope.Scope>>()
    const perform = (peer: Peer) =>
      Effect.scoped(Effect.suspend(() => script(peer))).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            if (Exit.isFailure(exit) && !isFine(exit)) failures.push(exit.cause)
          })
        ),
        Effect.zipRight(peer.end),
        Effect.zipRight(peer.closed),
        // A layer is built uninterruptibly, and so are its fibers.
        Effect.interruptible,
        Effect.ensuring(peer.destroy)
      )
    const exchange = (exchange: Exchange) => {
      const answer = handshake.answer(exchange.request, { subprotocols, dangerouslyAcceptAnyOrigin: true })
      if (answer._tag === "Rejection") exchange.respond(answer)
      else run(perform(new StreamPeer("server", exchange.accept(answer.response))))
    }
    yield* listener.listen({ arrived: () => constVoid, exchange })
  })
