import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Connection } from "../Connection.js"
import * as Framing from "../Framing.js"
import * as Handshake from "../Handshake.js"
import { ListenError } from "../ListenError.js"
import { LiveConnection } from "../liveConnection.js"
import { isUpgrade } from "../protocol/Handshake.js"
import {
  type Acceptor,
  type ByteStream,
  Connector,
  Listener,
  type Reply,
  type Request,
  type Response
} from "../Transport.js"
import { type Operation, TransportError } from "../TransportError.js"
import { type ConnectError, type ConnectOptions, layer as clientLayer, WebSocketClient } from "../WebSocketClient.js"
import { type Needed, type ServerOptions, layer as serverLayer } from "../WebSocketServer.js"
import { End, type Ends, type Faults, makeEnds, type Wire } from "./wire.js"

export type { Faults, Wire } from "./wire.js"

/** The wires between the clients and the server of an in-memory network. */
export class Network extends Context.Tag("effect-websockets/testing/Network")<
  Network,
  {
    /** All wires so far, the oldest first; those of closed connections too. */
    readonly wires: Effect.Effect<ReadonlyArray<Wire>>
    /** The faults that wires have from now on when they are made, so that they hit the opening handshake too. */
    readonly setFaults: (faults: Partial<Faults>) => Effect.Effect<void>
  }
>() {}

/**
 * A listener and a connector that are each other's only peers, in memory.
 *
 * Handshake, frames and closing are the real ones; there is no HTTP text and
 * no network, so that every timer is the Clock's, and a test decides what
 * arrives and when.
 */
export const layer: Layer.Layer<Listener | Connector | Network> = Layer.effectContext(
  Effect.sync(() => {
    const wires: Array<Wire> = []
    const faults: Partial<Faults> = {}
    let acceptor: Acceptor | undefined
    return Context.make(Network, {
      wires: Effect.sync(() => [...wires]),
      setFaults: (next) => Effect.sync(() => void Object.assign(faults, next))
    }).pipe(
      Context.add(Listener, {
        listen: (next) =>
          Effect.acquireRelease(
            Effect.suspend(() => {
              if (acceptor !== undefined) {
                const cause = new Error("another server listens on this network")
                return Effect.fail(new ListenError({ address: "memory", code: "EADDRINUSE", cause }))
              }
              acceptor = next
              return Effect.succeed([{ _tag: "TcpAddress" as const, hostname: "memory", port: 80 }])
            }),
            () =>
              Effect.sync(() => {
                acceptor = undefined
              })
          )
      }),
      Context.add(Connector, {
        exchange: (destination, request) =>
          Effect.flatMap(
            Effect.acquireRelease(
              Effect.tap(makeEnds(faults), ({ wire }) => Effect.sync(() => wires.push(wire))),
              ({ client }) => Effect.sync(() => client.destroy())
            ),
            (ends) =>
              acceptor === undefined
                ? Effect.fail(refused())
                : dial(acceptor, ends, {
                    ...request,
                    peer: { secure: destination.secure, remote: ends.client.localAddress() }
                  })
          )
      })
    )
  })
)

const failure = (operation: Operation, code: string, problem: string) =>
  new TransportError({ operation, peer: "memory", code, cause: new Error(problem) })

const refused = () => failure("connect", "ECONNREFUSED", "no server listens on this network")

const cutOff = () => failure("handshake", "ECONNRESET", "the server ended the connection without an answer")

/** One exchange over a wire, whose faults are the handshake's as well. */
const dial = (acceptor: Acceptor, { client, server }: Ends, request: Request): Effect.Effect<Reply, TransportError> =>
  Effect.async<Reply, TransportError>((resume) => {
    const settle = acceptor.arrived(() => server.destroy())
    server.onGone(settle)
    client.onGone((error) => resume(Effect.fail(error ?? cutOff())))
    client.onEnd(() => resume(Effect.fail(cutOff())))
    const answer = (response: Response) =>
      server.say(() => resume(Effect.map(bodyOf(response), (body): Reply => ({ _tag: "Answered", response, body }))))
    client.say(() => {
      settle()
      acceptor.exchange({
        request,
        isUpgrade: isUpgrade(request),
        accept: (response) => {
          server.say(() => resume(Effect.succeed({ _tag: "Switched", response, stream: client })))
          return server
        },
        respond: (response) => {
          answer(response)
          server.end()
        },
        abort: () => server.destroy(),
        onAbort: (gone) => {
          server.onEnd(gone)
          server.onGone(gone)
        }
      })
    })
  })

const bodyOf = ({ body }: Response): Effect.Effect<Uint8Array> => {
  if (body === undefined) return Effect.succeed(new Uint8Array(0))
  if (typeof body === "string") return Effect.succeed(new TextEncoder().encode(body))
  if (body instanceof Uint8Array) return Effect.succeed(body)
  return Effect.promise(async () => new Uint8Array(await new globalThis.Response(body as BodyInit).arrayBuffer()))
}

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

/**
 * Runs a handler as the server's and gives the client's end of a connection to
 * it. Leaving the scope closes the connection, then stops the server.
 */
export const connect = <A, E, R, P = never, R2 = never, R3 = never>(
  handler: (connection: Connection) => Effect.Effect<A, E, R>,
  options: Options<P, R2, R3> = {}
): Effect.Effect<Connection, ConnectError | ListenError, Scope.Scope | Rest<R, P, R2, R3>> => {
  const build = Layer.build(
    Layer.merge(serverLayer(handler, options.server), clientLayer).pipe(Layer.provideMerge(layer))
  ) as Effect.Effect<Context.Context<WebSocketClient | Network>, ListenError, Scope.Scope | Rest<R, P, R2, R3>>
  return Effect.flatMap(build, (context) =>
    Effect.zipRight(
      Context.get(context, Network).setFaults(options.faults ?? {}),
      Context.get(context, WebSocketClient).connect(`ws://memory${options.target ?? "/"}`, options.client)
    )
  )
}

/** The wire that a connection of this network runs over; a defect for any other connection. */
export const wireOf = (connection: Connection): Effect.Effect<Wire> =>
  Effect.sync(() => {
    const stream = connection instanceof LiveConnection ? connection.stream : undefined
    if (!(stream instanceof End)) throw new TypeError("this connection runs over no wire of Testing's")
    return stream.wire
  })

/** What stands at the other end of a connection under test: it speaks bytes. */
export interface Peer {
  readonly write: (bytes: Uint8Array) => Effect.Effect<void>
  /** Waits for bytes and takes all that are there; nothing once the other end has ended its side. */
  readonly read: Effect.Effect<Uint8Array>
  /** Ends this side; the other stays open. */
  readonly end: Effect.Effect<void>
  readonly destroy: Effect.Effect<void>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** Waits until nothing is left of the stream. */
  readonly closed: Effect.Effect<void>
}

/** A stream of bytes for `Connection.make`, and the peer at its other end. */
export const makePair: Effect.Effect<{ readonly stream: ByteStream; readonly peer: Peer; readonly wire: Wire }> =
  Effect.map(makeEnds(), ({ client, server, wire }) => ({ stream: server, peer: makePeer(client), wire }))

const makePeer = (stream: ByteStream): Peer => {
  const chunks: Array<number> = []
  let isOver = false
  let wake: Array<() => void> = []
  const closed = Deferred.unsafeMake<void>(FiberId.none)
  const notify = () => {
    for (const waiting of wake.splice(0)) waiting()
  }
  stream.attach({
    data: (bytes) => {
      for (const byte of bytes) chunks.push(byte)
      notify()
    },
    end: () => {
      isOver = true
      notify()
    },
    drain: () => {},
    closed: () => {
      isOver = true
      Deferred.unsafeDone(closed, Effect.void)
      notify()
    }
  })
  const read: Effect.Effect<Uint8Array> = Effect.suspend(() =>
    chunks.length > 0 || isOver
      ? Effect.sync(() => Uint8Array.from(chunks.splice(0)))
      : Effect.async<Uint8Array>((resume) => {
          const waiting = () => resume(read)
          wake.push(waiting)
          return Effect.sync(() => {
            wake = wake.filter((other) => other !== waiting)
          })
        })
  )
  return {
    write: (bytes) => Effect.sync(() => void stream.write(bytes)),
    read,
    end: Effect.sync(() => stream.end()),
    destroy: Effect.sync(() => stream.destroy()),
    pause: Effect.sync(() => stream.pause()),
    resume: Effect.sync(() => stream.resume()),
    closed: Deferred.await(closed)
  }
}

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
