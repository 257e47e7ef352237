import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Connection } from "../Connection.js"
import * as Framing from "../Framing.js"
import * as Handshake from "../Handshake.js"
import type { ListenError } from "../ListenError.js"
import { LiveConnection } from "../liveConnection.js"
import type { Role } from "../protocol/Frame.js"
import type { Underlying } from "../SchemaConnection.js"
import type { ByteStream, Connector, Listener, RequestHead } from "../Transport.js"
import { type ConnectError, type ConnectOptions, layer as clientLayer, WebSocketClient } from "../WebSocketClient.js"
import { type Needed, type ServerOptions, layer as serverLayer } from "../WebSocketServer.js"
import { End } from "./end.js"
import { layer, Network } from "./network.js"
import { type Peer, StreamPeer } from "./peer.js"
import * as rawClient from "./rawClient.js"
import * as rawServer from "./rawServer.js"
import { type Faults, makeEnds, type Wire } from "./wire.js"

export type { DirectionFaults } from "./lane.js"
export { type Answer, type Dial, type Dialled, layer, Network } from "./network.js"
export { EndOfStream, type Peer, type PeerSendOptions } from "./peer.js"
export type { DialOptions, Page } from "./rawClient.js"
export type { RawServerOptions } from "./rawServer.js"
export {
  type Recorded,
  type RecordedBytes,
  type RecordedCut,
  type RecordedEnd,
  type RecordedFrame,
  type RecordedRequest,
  type RecordedResponse,
  show
} from "./recording.js"
export { pass, settle } from "./settle.js"
export type { Direction, Faults, Wire } from "./wire.js"

/** A client and a server with a handler, connected in memory. */
export interface Options<P = never, R = never, R2 = never> {
  readonly server?: ServerOptions<P, R, R2> | undefined
  readonly client?: ConnectOptions | undefined
  /** Path and query that the client asks for: `/` unless told otherwise. */
  readonly target?: string | undefined
  /** What is wrong with the wire from the start, the opening handshake included. */
  readonly faults?: Partial<Faults> | undefined
}

/** What handler and hooks need beside what `connect` builds. */
type Rest<R, P, R2, R3> = Exclude<Needed<R, P, R2, R3>, Listener | Connector | Network>

/** A server with a handler and a client, on a network of their own, in the scope. */
const start = <A, E, R, P, R2, R3>(
  handler: (connection: Connection) => Effect.Effect<A, E, R>,
  server: ServerOptions<P, R2, R3> | undefined,
  faults: Partial<Faults> = {}
) => {
  const build = Layer.build(layerServer(serverLayer(handler, server))) as Effect.Effect<
    Context.Context<WebSocketClient | Network | Connector>,
    ListenError,
    Scope.Scope | Rest<R, P, R2, R3>
  >
  return Effect.tap(build, (context) => Context.get(context, Network).setFaults(faults))
}

/** Before a scope's other finalizers run, nothing is wrong with the network any more. */
const releasing = Effect.flatMap(Network, ({ release }) => Effect.addFinalizer(() => release))

/**
 * Runs a handler as the server's and gives the client's end of a connection to
 * it. Leaving the scope takes all faults back, closes the connection, then
 * stops the server.
 */
export const connect = <A, E, R, P = never, R2 = never, R3 = never>(
  handler: (connection: Connection) => Effect.Effect<A, E, R>,
  options: Options<P, R2, R3> = {}
): Effect.Effect<Connection, ConnectError | ListenError, Scope.Scope | Rest<R, P, R2, R3>> =>
  Effect.flatMap(start(handler, options.server, options.faults), (context) =>
    Context.get(context, WebSocketClient)
      .connect(rawClient.base + (options.target ?? "/"), options.client)
      .pipe(Effect.zipLeft(Effect.provide(releasing, context)))
  )

/** A peer of frames and bytes, and a server with a handler, connected in memory. */
export interface PeerOptions<P = never, R = never, R2 = never> extends Omit<Options<P, R, R2>, "client"> {
  readonly client?: rawClient.DialOptions | undefined
}

/**
 * The same with a client that does nothing by itself and may send what is
 * forbidden: it has done the opening handshake, and speaks frames and bytes.
 * Leaving the scope cuts it, then stops the server.
 */
export const connectPeer = <A, E, R, P = never, R2 = never, R3 = never>(
  handler: (connection: Connection) => Effect.Effect<A, E, R>,
  options: PeerOptions<P, R2, R3> = {}
): Effect.Effect<Peer, ConnectError | ListenError, Scope.Scope | Rest<R, P, R2, R3>> =>
  Effect.flatMap(start(handler, options.server, options.faults), (context) =>
    Effect.provide(dial(options.target, options.client), context)
  )

/**
 * A network with a server, as `WebSocketServer.layer` or `Router.layer` make
 * it, and a client for it: for programs that require `WebSocketClient`, and
 * for several clients of one server. Any URI leads to the server. When it is
 * released it takes all faults back and cuts peers of `dial` first, so that
 * the server waits for nobody.
 */
export const layerServer = <A, E, R>(
  server: Layer.Layer<A, E, R>
): Layer.Layer<A | WebSocketClient | Listener | Connector | Network, E, Exclude<R, Listener | Connector | Network>> =>
  Layer.scopedDiscard(releasing).pipe(Layer.provideMerge(Layer.merge(server, clientLayer)), Layer.provideMerge(layer))

/**
 * A server that does what a script says, for `layerServer`: it does the
 * opening handshake, and then each client's peer is the script's, which may
 * send what is forbidden. When the script is over its side of the stream ends.
 * A script that fails, but for `EndOfStream`, makes the layer's release die
 * with that, and so the test.
 */
export const layerPeer = <A, E, R>(
  script: (peer: Peer) => Effect.Effect<A, E, R>,
  options: rawServer.RawServerOptions = {}
): Layer.Layer<never, ListenError, Listener | Exclude<R, Scope.Scope>> =>
  Layer.scopedDiscard(rawServer.serve(script, options))

/**
 * A client that does nothing by itself and may send what is forbidden, of
 * whatever server there is: it does the opening handshake, offering no
 * extension, and speaks frames and bytes. Fails as `WebSocketClient.connect`
 * does, but follows no redirects and waits as long as it takes. Leaving the
 * scope cuts it.
 */
export const dial = (
  target = "/",
  options: rawClient.DialOptions = {}
): Effect.Effect<Peer, ConnectError, Connector | Scope.Scope> => rawClient.dial(target, options)

/** Asks for a page, as for a health check beside the WebSockets. One whose headers ask for a WebSocket is a defect. */
export const request = (
  target: string,
  options: Partial<Pick<RequestHead, "method" | "headers">> = {}
): Effect.Effect<rawClient.Page, ConnectError, Connector> => rawClient.request(target, options)

/** The wire that a connection or a peer of this network has; a defect for any other. */
export const wireOf = (of: Underlying | Peer): Effect.Effect<Wire> =>
  Effect.sync(() => {
    const stream = of instanceof LiveConnection || of instanceof StreamPeer ? of.stream : undefined
    if (!(stream instanceof End)) throw new TypeError("this connection runs over no wire of Testing's")
    return stream.wire
  })

/** A stream of bytes, the peer at its other end, and the wire between them. */
export interface Pair {
  readonly stream: ByteStream
  readonly peer: Peer
  readonly wire: Wire
}

/** A stream of bytes for `Connection.make`, on whose other end the other role is. */
export const makePairFor = (role: Role): Effect.Effect<Pair> =>
  Effect.map(makeEnds(), ({ client, server, wire }) =>
    role === "server"
      ? { stream: server, peer: new StreamPeer("client", client), wire }
      : { stream: client, peer: new StreamPeer("server", server), wire }
  )

/** The same for a server's connection. */
export const makePair: Effect.Effect<Pair> = makePairFor("server")

/**
 * Runs a test once for each byte at which a fault may hit it, from 0 on, until
 * a run has not come to that byte: with `(at) => ({ splitAt: at })` for bytes
 * that arrive parted there, with `(at) => ({ cutAfterBytes: at })` for a wire
 * that is cut there; in one direction by `toServer` or `toClient`. Gives the
 * number of runs that were hit. A failure has the byte in its trace.
 */
export const atEveryByte = <A, E, R>(
  fault: (at: number) => Partial<Faults>,
  test: (faults: Partial<Faults>) => Effect.Effect<A, E, R>
): Effect.Effect<number, E, R> =>
  Effect.iterate(
    { at: 0, isReached: true },
    {
      while: ({ isReached }) => isReached,
      body: ({ at }) =>
        Effect.suspend(() => {
          let isReached = false
          const faults: Partial<Faults> = {
            ...fault(at),
            onReached: () => {
              isReached = true
            }
          }
          return Effect.map(test(faults), () => ({ at: at + 1, isReached }))
        }).pipe(Effect.withSpan(`with the fault at byte ${at}`))
    }
  ).pipe(Effect.map(({ at }) => at - 1))

/** The same handshake keys, masking keys and ping payloads in every run, for tests that assert on the wire: 1, 2, 3 … */
export const layerKeys: Layer.Layer<never> = Layer.suspend(() => {
  const counting = () => {
    let last = 0
    return () => ++last
  }
  return Layer.merge(
    Framing.layer({ maskingKeys: counting(), pingPayloads: counting() }),
    Handshake.layer({ key: () => "dGhlIHNhbXBsZSBub25jZQ==" })
  )
})
