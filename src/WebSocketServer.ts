import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import type { HttpServerResponse } from "@effect/platform/HttpServerResponse"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Connection } from "./Connection.js"
import { ConnectionRegistry, unsafeMake } from "./ConnectionRegistry.js"
import * as Deflate from "./Deflate.js"
import { makeEngine } from "./deadlines.js"
import * as Framing from "./Framing.js"
import * as Handshake from "./Handshake.js"
import type { ListenError } from "./ListenError.js"
import type { Limits } from "./limits.js"
import type { Extension } from "./protocol/Extension.js"
import { areTokens, type HeaderList, isValue } from "./protocol/headers.js"
import { type DrainOptions, resolveDrain } from "./running.js"
import { Serving, type ServingParts } from "./serving.js"
import { type ConnectionOptions, milliseconds, positive, resolve } from "./settings.js"
import * as Transport from "./Transport.js"

export { type DrainOptions, drainDefaults, finalizersTime } from "./running.js"

/** What a server is told as data. */
export interface ServerSettings extends ConnectionOptions {
  /**
   * How long a peer may take from connecting, or from our last answer, to the end of its request, TLS included, before
   * it is cut: 10 seconds.
   */
  readonly openTimeout?: Duration.DurationInput | undefined
  /**
   * How many peers may be that far at a time; more are cut at once. For as many at a time hooks decide whether they get
   * a WebSocket; more are refused with 503 and `Retry-After`: 1,000.
   */
  readonly maxHandshakes?: number | undefined
  /** Connections at a time; more are refused with 503 and `Retry-After`, before any hook: no limit. */
  readonly maxConnections?: number | undefined
  /** Connections at a time of one key, which is the peer's address or what `connectionKey` says; more are refused with 429: no limit. */
  readonly maxConnectionsPerKey?: number | undefined
  /** After so long a connection is closed with 1001, for its peer to come again: no limit. */
  readonly maxLifetime?: Duration.DurationInput | undefined
  /**
   * Drains the server when it stops, `{}` with the defaults: instead of interrupting handlers at once it refuses new
   * peers with 503 and `Retry-After`, tells the others that it goes away, and waits for handlers to end by themselves,
   * as their connections do. What is left shortly before `timeout` is interrupted, and cut when it is up.
   */
  readonly drain?: DrainOptions | undefined
  /** The subprotocols that are spoken, the first choice first. RFC 6455 §1.9. */
  readonly subprotocols?: ReadonlyArray<string> | undefined
  /** Whether a client that offers none of `subprotocols` goes on without one, instead of getting 400: false. RFC 6455 §4.2.2. */
  readonly subprotocolOptional?: boolean | undefined
  /**
   * Pages of which origins may connect, as `https://example.com` or a pattern of all of it; `null` is a page opened as
   * a file. Unless told otherwise those whose host and port are the request's own. Clients that send no `Origin` are no pages. RFC 6455 §10.2.
   */
  readonly origins?: ReadonlyArray<string | RegExp | null> | undefined
  /**
   * Compresses messages for clients that can take it: permessage-deflate with its defaults, or with these. Off unless
   * told otherwise, as it costs time and memory. RFC 7692.
   */
  readonly compression?: Deflate.Compression | undefined
  /** Lets in the pages of every origin, which opens the door to cross-site WebSocket hijacking. */
  readonly dangerouslyAcceptAnyOrigin?: boolean | undefined
  /**
   * The header `Server` of every answer, 101 and refusals alike, where a hook's answer has none of its own. None unless
   * told otherwise: a peer needs it for nothing, and who looks for known weaknesses does. RFC 9110 §10.2.4.
   */
  readonly serverHeader?: string | undefined
}

/**
 * What a request hook may say: go on with these services, or this answer. One that gives no services may go on with
 * nothing; one that does gives them whenever it goes on, since its handler counts on them.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: the result of a function that returns nothing.
export type Verdict<P> = Context.Context<P> | HttpServerResponse | ([P] extends [never] ? void : never)

/** What a server is told as functions; P is what `onRequest` gives to the connection, R and R2 what the hooks need. */
export interface ServerHooks<P = never, R = never, R2 = never> {
  /**
   * Sees every well-formed request before it is answered, also those for no WebSocket.
   *
   * A `Context` goes on, and its services are there for this connection's handler; nothing goes on without any;
   * a response, as value or as failure, is the answer. A request for no WebSocket that goes on gets 426. Resources
   * acquired here are released when the connection is over, or when the answer is given. A request's body is not
   * handed over. RFC 6455 §4.2.2.
   */
  readonly onRequest?: ((request: HttpServerRequest) => Effect.Effect<Verdict<P>, HttpServerResponse, R>) | undefined
  /**
   * Sees the 101 before it is sent, and gives it back with headers and cookies of its own; it finds the services that
   * `onRequest` gave. The handshake's own headers stay as they are: a response that changes them, or that HTTP cannot
   * carry, is a bug and answered with 500. One of another status, as value or as failure, is the answer instead.
   */
  readonly onUpgrade?:
    | ((
        response: HttpServerResponse,
        request: HttpServerRequest
      ) => Effect.Effect<HttpServerResponse, HttpServerResponse, R2>)
    | undefined
  /**
   * Says for `maxConnectionsPerKey` whose connection a request asks for, as an account or an address that a proxy
   * names; it finds the services that `onRequest` gave. The peer's address unless told otherwise: that of IPv4, the
   * first 64 bits of one of IPv6, none for Unix sockets. A failure is the answer instead.
   */
  readonly connectionKey?: ((request: HttpServerRequest) => Effect.Effect<string, HttpServerResponse, R2>) | undefined
  /** Chooses a subprotocol of those offered, or none; instead of `subprotocols`. RFC 6455 §4.2.2. */
  readonly selectSubprotocol?: ((offered: ReadonlyArray<string>) => string | undefined) | undefined
}

export type ServerOptions<P = never, R = never, R2 = never> = ServerSettings & ServerHooks<P, R, R2>

export const defaults = {
  openTimeout: "10 seconds",
  maxHandshakes: 1_000,
  maxConnections: Number.POSITIVE_INFINITY,
  maxConnectionsPerKey: Number.POSITIVE_INFINITY,
  maxLifetime: Duration.infinity
} as const

/** A server that listens. */
export class WebSocketServer extends Context.Tag("effect-websockets/WebSocketServer")<
  WebSocketServer,
  {
    /** Where it listens, with the real port where 0 was asked for. A user's own server that does not listen yet has none. */
    readonly addresses: ReadonlyArray<Transport.Address>
    /** The first of them; a defect where there is none. */
    readonly address: Transport.Address
  }
>() {}

/**
 * Completes when the server begins to stop. For handlers of a server that is
 * drained with some `grace`: it is the time for last words to their peers.
 */
export class Stopping extends Context.Tag("effect-websockets/WebSocketServer/Stopping")<
  Stopping,
  Effect.Effect<void>
>() {}

/** What a handler finds without anybody's doing: what is its connection's own, and what the server gives. */
type Provided<P> = P | Scope.Scope | ConnectionRegistry | Stopping

/** What a server needs for a handler that needs R, and hooks. */
export type Needed<R, P, R2, R3> = Exclude<R | R3, Provided<P>> | Exclude<R2, Provided<never>>

/**
 * A server that runs a handler for each connection.
 *
 * The handler is an Effect in a fiber of its own, whose `Scope` ends when it
 * does. Its end decides how the connection is closed: with 1000 when it
 * returns, with 1001 when it is interrupted, which happens when the server
 * stops, and with 1011 when it fails or dies, and then its cause is logged. A
 * handler that fails with its connection's `ConnectionClosed` has seen a
 * normal end. It is not interrupted when the peer leaves: it learns of that
 * from the next operation on the connection.
 *
 * When the layer's scope closes the server refuses new peers, closes all
 * connections at the same time and waits for them, each at most
 * `closeTimeout`; then it stops listening. Handlers are interrupted for that,
 * unless `drain` is there.
 */
export const layer = <A, E, R, P = never, R2 = never, R3 = never>(
  handler: (connection: Connection) => Effect.Effect<A, E, R>,
  options: ServerOptions<P, R2, R3> = {}
): Layer.Layer<WebSocketServer | ConnectionRegistry, ListenError, Transport.Listener | Needed<R, P, R2, R3>> =>
  Layer.scopedContext(
    serve(handler, options) as Effect.Effect<
      Context.Context<WebSocketServer | ConnectionRegistry>,
      ListenError,
      Scope.Scope | Transport.Listener | Needed<R, P, R2, R3>
    >
  )

/** The same with settings that are `Config`s, each of them or all at once; a value that is none is `Config.succeed(value)`. */
export const layerConfig = <A, E, R, P = never, R2 = never, R3 = never>(
  handler: (connection: Connection) => Effect.Effect<A, E, R>,
  settings: Config.Config.Wrap<ServerSettings>,
  hooks: ServerHooks<P, R2, R3> = {}
): Layer.Layer<
  WebSocketServer | ConnectionRegistry,
  ListenError | ConfigError,
  Transport.Listener | Needed<R, P, R2, R3>
> => Layer.unwrapEffect(Effect.map(Config.unwrap(settings), (plain) => layer(handler, { ...plain, ...hooks })))

/** The option `subprotocols`; a list of which some could never be agreed on is the programmer's fault and throws. */
const subprotocols = (names: ReadonlyArray<string> | undefined): ReadonlyArray<string> | undefined => {
  if (names !== undefined && (names.length === 0 || !areTokens(names))) {
    throw new RangeError(
      `subprotocols is ${JSON.stringify(names)}: give different names without blanks, commas or quotes, or leave it out`
    )
  }
  return names
}

/** The option `serverHeader`; what cannot be a header is the programmer's fault and throws. */
const serverHeader = (value: string | undefined): HeaderList => {
  if (value === undefined) return []
  if (value.trim() === "" || !isValue(value)) {
    throw new RangeError(
      `serverHeader is ${JSON.stringify(value)}: give one line of printable Latin-1, or leave it out`
    )
  }
  return [["Server", value]]
}

const resolveLimits = (options: ServerSettings & { readonly connectionKey?: unknown }): Limits => {
  if (options.connectionKey !== undefined && options.maxConnectionsPerKey === undefined) {
    throw new RangeError(
      "connectionKey says whose a connection is, but there is no maxConnectionsPerKey: give one, or Infinity for no limit"
    )
  }
  const count = (name: "maxConnections" | "maxConnectionsPerKey") => positive(name, options[name] ?? defaults[name])
  return {
    maxConnections: count("maxConnections"),
    maxConnectionsPerKey: count("maxConnectionsPerKey"),
    maxLifetime: positive("maxLifetime", milliseconds("maxLifetime", options.maxLifetime ?? defaults.maxLifetime))
  }
}

type Resolved = "settings" | "policy" | "openTimeout" | "maxHandshakes" | "headers" | "drain" | "limits"

/**
 * What a server's options come to; those that cannot be are the programmer's fault and throw.
 *
 * @internal
 */
export const resolved = (
  options: ServerSettings & Pick<ServerHooks, "selectSubprotocol"> & { readonly connectionKey?: unknown },
  extensions: ReadonlyArray<Extension>
): Pick<ServingParts, Resolved> => ({
  settings: resolve(options),
  policy: {
    subprotocols: options.selectSubprotocol ?? subprotocols(options.subprotocols),
    subprotocolOptional: options.subprotocolOptional,
    origins: options.origins,
    dangerouslyAcceptAnyOrigin: options.dangerouslyAcceptAnyOrigin,
    extensions
  },
  openTimeout: milliseconds("openTimeout", options.openTimeout ?? defaults.openTimeout),
  maxHandshakes: positive("maxHandshakes", options.maxHandshakes ?? defaults.maxHandshakes),
  headers: serverHeader(options.serverHeader),
  drain: options.drain === undefined ? undefined : resolveDrain(options.drain),
  limits: resolveLimits(options)
})

const show = (address: Transport.Address): string => {
  if (address._tag === "UnixAddress") return address.path
  const { hostname, port } = address
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`
}

const serve = <A, E, R, P, R2, R3>(
  handler: (connection: Connection) => Effect.Effect<A, E, R>,
  options: ServerOptions<P, R2, R3>
) =>
  Effect.gen(function* () {
    const listener = yield* Transport.Listener
    const framing = yield* Framing.Framing
    const handshake = yield* Handshake.Handshake
    const deflate = yield* Deflate.Deflate
    const scope = yield* Effect.scope
    const context = yield* Effect.context<never>()
    const engine = yield* makeEngine
    const registry = unsafeMake()
    const parts = resolved(options, [...framing.extensions, ...Deflate.extensions(deflate, options.compression)])
    const stopping = yield* Deferred.make<void>()
    const serving = new Serving({
      engine,
      framing,
      handshake,
      ...parts,
      registry,
      context: Context.add(context, ConnectionRegistry, registry.service).pipe(
        Context.add(Stopping, Deferred.await(stopping))
      ),
      onStopping: () => Deferred.unsafeDone(stopping, Effect.void),
      // What both need is in the layer's context or the connection's, as the type of `layer` says.
      handler: handler as ServingParts["handler"],
      hooks: {
        onRequest: options.onRequest,
        onUpgrade: options.onUpgrade,
        connectionKey: Number.isFinite(parts.limits.maxConnectionsPerKey) ? options.connectionKey : undefined
      } as ServingParts["hooks"]
    })
    const unwatch = engine.instruments("server").watch(registry.each)
    const listening = yield* Scope.make()
    let addresses: ReadonlyArray<Transport.Address> = []
    // One that never listened does not stop either.
    const say = (message: string) =>
      Effect.sync(() => {
        if (addresses.length > 0) engine.logs.info(() => message)
      })
    // The whole order of stopping, in one finalizer: whoever runs it in parallel with others cannot part it.
    yield* Scope.addFinalizerExit(scope, (exit) =>
      say("the server is stopping").pipe(
        Effect.zipRight(serving.stop),
        Effect.zipRight(Effect.sync(() => engine.deadlines.stop())),
        Effect.zipRight(Effect.sync(unwatch)),
        Effect.zipRight(Scope.close(listening, exit)),
        Effect.zipRight(say("the server has stopped"))
      )
    )
    addresses = yield* Scope.extend(listener.listen(serving), listening)
    for (const address of addresses) engine.logs.info(() => `the server is listening on ${show(address)}`)
    return Context.make(WebSocketServer, {
      addresses,
      get address() {
        const [first] = addresses
        if (first === undefined)
          throw new Error("the server that was given does not listen yet: ask it for its address")
        return first
      }
    }).pipe(Context.add(ConnectionRegistry, registry.service))
  })
