import type { Server } from "node:http"
import type { ListenOptions } from "node:net"
import type { Generator } from "@effect/platform/Etag"
import type { Default } from "@effect/platform/HttpApp"
import type { HttpMiddleware } from "@effect/platform/HttpMiddleware"
import type { HttpPlatform } from "@effect/platform/HttpPlatform"
import * as HttpServer from "@effect/platform/HttpServer"
import { ServeError } from "@effect/platform/HttpServerError"
import { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import type { HttpServerResponse } from "@effect/platform/HttpServerResponse"
import type { NodeContext } from "@effect/platform-node/NodeContext"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { LazyArg } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Connection } from "../Connection.js"
import { ConnectionRegistry, unsafeMake } from "../ConnectionRegistry.js"
import * as Deflate from "../Deflate.js"
import { makeEngine } from "../deadlines.js"
import * as Framing from "../Framing.js"
import * as Handshake from "../Handshake.js"
import { claim } from "../node/claim.js"
import * as NodeDeflate from "../node/NodeDeflate.js"
import type { DrainOptions } from "../running.js"
import { milliseconds } from "../settings.js"
import { Silences } from "../silence.js"
import type { ServerHooks, ServerSettings, Stopping } from "../WebSocketServer.js"
import { Application, type Host, partsOf } from "./application.js"
import { find, type Run } from "./asked.js"
import { Port } from "./port.js"
import { upgradable } from "./upgradable.js"

/** An HTTP server of `@effect/platform` with WebSockets in its routes: one port for pages, HttpApi, RPC and connections. */

/**
 * What an upgrade is told, as a `WebSocketServer` is. What counts connections, as `maxConnections`, counts those that
 * have come by the same options object.
 */
export interface UpgradeOptions
  extends Omit<ServerSettings, "openTimeout" | "maxHandshakes" | "drain">,
    Pick<ServerHooks, "selectSubprotocol"> {}

/** Where an HTTP server listens, and what holds for all of its routes. */
export interface Options extends ListenOptions, Pick<ServerSettings, "maxHandshakes"> {
  /**
   * How long a peer may take from connecting to the end of its request, TLS included, before it is cut: 10 seconds.
   * Between two requests node's own `keepAliveTimeout` and `headersTimeout` hold.
   */
  readonly openTimeout?: Duration.DurationInput | undefined
  /** What every upgrade has unless its route says otherwise, and what platform's own `HttpServerRequest.upgrade` has. */
  readonly upgrades?: UpgradeOptions | undefined
  /** Drains connections when the server stops, as `WebSocketServer`'s option does, instead of interrupting their handlers at once. */
  readonly drain?: DrainOptions | undefined
  /**
   * How long a server that stops waits for routes that have not answered yet, and for answers to leave; and how long an
   * answer to a request for a WebSocket may take to leave at any time: 10 seconds. Then the connection is cut.
   */
  readonly answerTimeout?: Duration.DurationInput | undefined
}

export const defaults = { answerTimeout: "10 seconds" } as const

/** It is loaded when a server is made: what else is in this room works without the package. */
const platformNode = Effect.promise(() => import("@effect/platform-node/NodeHttpServer"))

const makeHost = (options: Options) =>
  Effect.gen(function* () {
    // What cannot be is said now, and not to the first peer.
    const deflate = (yield* Deflate.Deflate) ?? NodeDeflate.service
    const { drain, maxHandshakes, openTimeout, upgrades } = options
    const limits = partsOf({ ...upgrades, drain, maxHandshakes, openTimeout }, deflate)
    const engine = yield* makeEngine
    const host: Host = {
      engine,
      framing: yield* Framing.Framing,
      deflate,
      handshake: yield* Handshake.Handshake,
      registry: unsafeMake(),
      drain,
      answerTimeout: milliseconds("answerTimeout", options.answerTimeout ?? defaults.answerTimeout),
      upgrades
    }
    const instruments = engine.instruments("server")
    return { host, silences: new Silences(engine.deadlines, limits, (outcome) => instruments.handshake(outcome)) }
  })

/** Gives requests an upgrade of ours, and counts their routes until the scopes of these are closed. */
const upgraded = (app: Default<unknown>): Default<unknown, Scope.Scope> =>
  Effect.flatMap(HttpServerRequest, (request): Default<unknown, Scope.Scope> => {
    const found = find(request.source)
    if (found === undefined) return app
    return found.during(Effect.provideService(app, HttpServerRequest, upgradable(request, found)))
  })

const serve =
  (host: Host, port: Port) =>
  (app: Default<unknown>, middleware?: HttpMiddleware): Effect.Effect<void, never, Scope.Scope> =>
    Effect.gen(function* () {
      const { makeHandler } = yield* platformNode
      const listener = yield* middleware === undefined
        ? makeHandler(upgraded(app))
        : makeHandler(upgraded(app), middleware)
      const application = new Application(host, listener)
      const stop = yield* Effect.cached(application.stop)
      yield* Effect.acquireRelease(
        Effect.sync(() => port.enter(application, stop)),
        () =>
          Effect.zipRight(
            stop,
            Effect.sync(() => port.leave(application))
          )
      )
    })

const make = (evaluate: LazyArg<Server>, options: Options) =>
  Effect.gen(function* () {
    const platform = yield* platformNode
    const scope = yield* Effect.scope
    const { host, silences } = yield* makeHost(options)
    const port = new Port(silences)
    const unwatch = host.engine.instruments("server").watch(host.registry.each)
    const listening = yield* Scope.make()
    // The whole order of stopping, in one finalizer: what node's server would wait for has ended when it closes.
    yield* Scope.addFinalizerExit(scope, (exit) =>
      port.stop.pipe(
        Effect.zipRight(Effect.sync(() => port.cut())),
        Effect.zipRight(Effect.sync(() => host.engine.deadlines.stop())),
        Effect.zipRight(Effect.sync(unwatch)),
        Effect.zipRight(Scope.close(listening, exit))
      )
    )
    const { upgrades, drain, answerTimeout, openTimeout, maxHandshakes, ...place } = options
    const given = evaluate()
    const server = yield* Scope.extend(
      Effect.zipRight(
        Effect.mapError(claim(given), (cause) => new ServeError({ cause })),
        // Behind the close of node's, for which it still hears who comes.
        Effect.zipRight(
          Effect.addFinalizer(() => Effect.sync(() => port.leaveServer())),
          platform.make(() => port.hear(given), place)
        )
      ),
      listening
    )
    return Context.make(
      HttpServer.HttpServer,
      HttpServer.make({ address: server.address, serve: serve(host, port) })
    ).pipe(Context.add(ConnectionRegistry, host.registry.service))
  })

/**
 * An HTTP server on one of node's, `createServer()` of `node:http` or
 * `node:https`, whose requests for a WebSocket go to the same router as all
 * others. Its registry has the connections of all routes.
 *
 * It listens, answers and fails as `NodeHttpServer.layerServer`; with
 * `ServeError` too where another of our servers has node's. When its
 * scope closes it refuses whatever is asked, closes all connections at the
 * same time with 1001, each within its `closeTimeout`, and waits for answers
 * to plain requests, within `answerTimeout`; then it stops listening.
 */
export const layerServer = (
  evaluate: LazyArg<Server>,
  options: Options = {}
): Layer.Layer<HttpServer.HttpServer | ConnectionRegistry, ServeError> => Layer.scopedContext(make(evaluate, options))

/** The same with what routes, files and clients of platform need on node. */
export const layer = (
  evaluate: LazyArg<Server>,
  options: Options = {}
): Layer.Layer<HttpServer.HttpServer | ConnectionRegistry | HttpPlatform | Generator | NodeContext, ServeError> =>
  Layer.merge(
    layerServer(evaluate, options),
    Layer.unwrapEffect(Effect.map(platformNode, ({ layerContext }) => layerContext))
  )

/** The same with options that are `Config`s, each of them or all at once; a value that is none is `Config.succeed(value)`. */
export const layerConfig = (
  evaluate: LazyArg<Server>,
  options: Config.Config.Wrap<Options>
): Layer.Layer<
  HttpServer.HttpServer | ConnectionRegistry | HttpPlatform | Generator | NodeContext,
  ServeError | ConfigError
> => Layer.unwrapEffect(Effect.map(Config.unwrap(options), (plain) => layer(evaluate, plain)))

/** What the handler of an upgrade finds without anybody's doing. */
type Given = Scope.Scope | ConnectionRegistry | Stopping

/**
 * A route that opens a WebSocket and runs a handler for the connection.
 *
 * Request and answer are checked and negotiated as a `WebSocketServer` does;
 * a request that is none for a WebSocket gets 426, and so on. The handler runs
 * in a fiber of its own, which can be interrupted, with the services of the
 * route, its loggers, log annotations and other `FiberRef`s, and a `Scope`
 * that ends with the connection. Its end decides the close
 * code: 1000 when it returns, 1001 when it is interrupted, as when the server
 * stops, 1011 when it fails or dies.
 *
 * Completes when nothing is left of the connection, with an empty response
 * that is never sent, or else with the refusal. Who interrupts it interrupts
 * the handler. On another `HttpServer` than this one it is a defect.
 *
 * @see RFC 6455 §4.2
 */
export const upgrade = <A, E, R>(
  handler: (connection: Connection) => Effect.Effect<A, E, R>,
  options?: UpgradeOptions
): Effect.Effect<HttpServerResponse, never, HttpServerRequest | Exclude<R, Given>> => {
  // What cannot be is said now, and not to the first peer.
  if (options !== undefined) partsOf(options, NodeDeflate.service)
  return Effect.contextWithEffect((services: Context.Context<HttpServerRequest | Exclude<R, Given>>) => {
    const found = find(Context.get(services, HttpServerRequest).source)
    if (found === undefined) return Effect.die(new TypeError(notOurs))
    return found.open(options, handler as Run, services as Context.Context<never>)
  })
}

const notOurs =
  "an upgrade needs a server of PlatformHttpServer, and this request has come by another: provide PlatformHttpServer.layer"
