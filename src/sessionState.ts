import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Connection } from "./Connection.js"
import { type Closure, ConnectionClosed, noTraffic } from "./ConnectionClosed.js"

/** The connection that carries a session now: all of it but its messages and its end. */
export type Carrier = Pick<
  Connection,
  "id" | "handshake" | "remoteAddress" | "localAddress" | "ping" | "latency" | "bufferedAmount"
>

export type State =
  | { readonly _tag: "Connected"; readonly connection: Carrier }
  /** There is no connection now; what is sent is kept. */
  | { readonly _tag: "Away" }
  | { readonly _tag: "Closed"; readonly closed: ConnectionClosed }

/** How a session ends that cannot go on; `closure` says what is known beside. */
export const endedWith = (closure: Partial<Closure>): ConnectionClosed =>
  new ConnectionClosed({
    closure: { sent: undefined, received: undefined, initiator: "remote", cause: undefined, ...closure },
    traffic: noTraffic
  })

export const gap = (lost: number | undefined): ConnectionClosed => endedWith({ cause: { _tag: "Gap", lost } })

/** How a session ends whose client makes no more connections. */
export const endOf = (cause: Cause.Cause<unknown>): ConnectionClosed => {
  const error = Cause.squash(cause)
  return error instanceof ConnectionClosed ? error : endedWith({ cause: { _tag: "TransportError", error } })
}

/** Where a session has begun nobody waits for a defect of what looks for its next connection. */
export const logDefect = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Option.isSome(Cause.dieOption(cause)) ? Effect.logError("a session's client died", cause) : Effect.void
