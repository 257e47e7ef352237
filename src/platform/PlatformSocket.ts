import * as Socket from "@effect/platform/Socket"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Connection } from "../Connection.js"
import { type ConnectOptions, connect, type WebSocketClient } from "../WebSocketClient.js"
import { Redialling } from "./redialling.js"
import { openError } from "./socketError.js"
import { makeSocket, resolve, runConnection, type SocketOptions, writeTo } from "./socketRun.js"

export { type CarriedOptions, defaultSuccessCode, toConnection } from "./socketDialling.js"
export { defaultCloseCodeIsError, defaultConcurrency, type SocketOptions } from "./socketRun.js"

/**
 * Connections as the `Socket` of `@effect/platform`, for whatever is written for that, as `@effect/rpc`; and with
 * `toConnection` the other way round.
 *
 * Handlers of `run` and `runRaw` start in the order of their messages and run
 * at the same time, up to `concurrency` of them; at that bound no more is
 * read, and so the peer is stopped. A handler that fails ends the run. At the
 * end of the connection all messages that came before it have been given to
 * the handler; handlers that still run then are interrupted, except with a
 * `concurrency` of 1, where each has ended before the next begins.
 */

/** A URI, or how it is found out: before each opening handshake, so that a token in it may be a fresh one. */
export type Uri = string | URL | Effect.Effect<string | URL, Socket.SocketError>

/**
 * A socket that opens a connection for each `run`, with the client that there
 * is, and closes it when that run ends: with 1000, or with 1011 where a
 * handler has failed.
 *
 * Its writer completes when a message is accepted below `sendHighWaterMark`.
 * While there is no connection yet, or none any more because the latest run
 * has failed, it waits for the next one. It fails with reason `Write` where
 * its connection is ending, and behind a run that succeeded or was
 * interrupted, until the next begins.
 *
 * `new Socket.CloseEvent(code, reason)` runs the closing handshake and waits
 * for its end, at most `closeTimeout`.
 *
 * A run fails with reason `Open` or `OpenTimeout` where no connection could be
 * had, with `SocketCloseError` where `closeCodeIsError` says so of the code
 * that the connection has ended with, and with what a handler fails with.
 */
export const make = (
  uri: Uri,
  options: ConnectOptions & SocketOptions = {}
): Effect.Effect<Socket.Socket, never, WebSocketClient> =>
  fromConnect(
    Effect.flatMap(Effect.isEffect(uri) ? uri : Effect.succeed(uri), (uri) => connect(uri, options)),
    options
  )

/** The same for any way to open a connection, as one with a session or over a transport of its own. */
export const fromConnect = <E, R>(
  acquire: Effect.Effect<Connection, E, R>,
  options: SocketOptions = {}
): Effect.Effect<Socket.Socket, never, Exclude<R, Scope.Scope>> =>
  Effect.contextWith((context: Context.Context<Exclude<R, Scope.Scope>>) => {
    const dial = Effect.mapInputContext(
      Effect.mapError(acquire, openError),
      // What is missing of R is the scope, which each run brings.
      (input: Context.Context<Scope.Scope>) => Context.merge(context, input) as Context.Context<R | Scope.Scope>
    )
    const redialling = new Redialling(dial, resolve(options))
    return makeSocket(
      (handler, runOptions) => redialling.run(handler, runOptions),
      (chunk) => redialling.write(chunk)
    )
  })

/**
 * One open connection as a socket. The connection remains its owner's: the end
 * of a run leaves it open, and another run goes on reading where that one has
 * ended. Two runs at a time are one too many: the second fails with reason
 * `Read`. Its writer needs no run; it fails once the connection is closed.
 */
export const fromConnection = (connection: Connection, options: SocketOptions = {}): Socket.Socket => {
  const settings = resolve(options)
  return makeSocket(
    (handler, runOptions) => runConnection(connection, settings, handler, runOptions),
    (chunk) => writeTo(connection, chunk)
  )
}

/** `make` as a layer. */
export const layer = (
  uri: Uri,
  options?: ConnectOptions & SocketOptions
): Layer.Layer<Socket.Socket, never, WebSocketClient> => Layer.effect(Socket.Socket, make(uri, options))
