import * as SocketServer from "@effect/platform/SocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Connection } from "../Connection.js"
import type { ConnectionRegistry } from "../ConnectionRegistry.js"
import type { Listener } from "../Transport.js"
import { type Needed, type ServerOptions, layer as serverLayer, WebSocketServer } from "../WebSocketServer.js"
import { fromConnection } from "./PlatformSocket.js"
import type { SocketOptions } from "./socketRun.js"
import { Takers } from "./takers.js"

/** Our server as the `SocketServer` of `@effect/platform`. */

/**
 * The connection whose socket a handler of `SocketServer.run` has: its
 * handshake, its addresses, what the request hook gave it. The type of `run`
 * cannot say that handlers find it: ask for it with `Effect.serviceOption`.
 */
export class CurrentConnection extends Context.Tag("effect-websockets/platform/CurrentConnection")<
  CurrentConnection,
  Connection
>() {}

/**
 * A server that hands each connection to the handler of `SocketServer.run`.
 *
 * Handlers run with the services of whoever runs the server, in fibers of
 * their own. The end of a handler closes its connection: with 1000 when it
 * returns, with 1011 when it fails, and then its cause is logged; one that
 * fails with a socket's error because its connection is over has seen a
 * normal end. Connections that come before `run` wait for it, their messages
 * within `receiveHighWaterMark`. Interrupting a run interrupts its handlers,
 * and closes their connections with 1001; whoever connects then waits for the
 * next one. Of two runs at a time the later gets the connections.
 *
 * Options are those of `WebSocketServer.layer`, with what sockets have of
 * their own. Fails with reason `Open` where it cannot listen.
 */
export const layer = <P = never, R2 = never, R3 = never>(
  options: ServerOptions<P, R2, R3> & SocketOptions = {}
): Layer.Layer<
  SocketServer.SocketServer | WebSocketServer | ConnectionRegistry,
  SocketServer.SocketServerError,
  Listener | Needed<never, P, R2, R3>
> =>
  Layer.suspend(() => {
    const takers = new Takers()
    const take = (connection: Connection) =>
      Effect.provideService(
        Effect.flatMap(takers.next, (taker) => taker(connection)),
        CurrentConnection,
        connection
      )
    const socketServer = Layer.effect(
      SocketServer.SocketServer,
      Effect.map(WebSocketServer, (server) => ({
        get address() {
          return server.address
        },
        run: <R, E, A>(handler: (socket: ReturnType<typeof fromConnection>) => Effect.Effect<A, E, R>) =>
          Effect.flatMap(Effect.runtime<R>(), (runtime) =>
            takers.take((connection) => handler(fromConnection(connection, options)), runtime)
          )
      }))
    )
    return Layer.provideMerge(socketServer, serverLayer(take, options)).pipe(
      Layer.mapError((cause) => new SocketServer.SocketServerError({ reason: "Open", cause }))
    )
  })
