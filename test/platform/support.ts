import { createServer } from "node:http"
import { type HttpApp, HttpMiddleware, HttpRouter, HttpServer } from "@effect/platform"
import { assert } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import { ConnectionRegistry } from "effect-websockets"
import { PlatformHttpServer } from "effect-websockets/platform"

export * from "../node/support.js"

/** What tests of the HTTP server share: one that serves an app on a free port, and that can be stopped by itself. */

const quiet = Logger.remove(Logger.defaultLogger)

export const portOf = (address: HttpServer.Address): number =>
  address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")

/** Builds an application over a server of ours; `stop` ends it all, in the order in which layers end. */
export const launch = <A, E>(
  application: Layer.Layer<A, E, HttpServer.HttpServer | ConnectionRegistry.ConnectionRegistry>,
  options: PlatformHttpServer.Options = {},
  evaluate: () => ReturnType<typeof createServer> = createServer
) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const layer = PlatformHttpServer.layerServer(evaluate, { port: 0, host: "127.0.0.1", ...options })
    const all = Layer.provide(Layer.provideMerge(application, layer), quiet)
    const context = yield* Layer.buildWithScope(all, scope)
    const server = Context.get(context, HttpServer.HttpServer)
    const port = portOf(server.address)
    return {
      server,
      port,
      http: `http://127.0.0.1:${port}`,
      ws: `ws://127.0.0.1:${port}`,
      registry: Context.get(context, ConnectionRegistry.ConnectionRegistry),
      stop: Scope.close(scope, Exit.void)
    }
  })

/** The same for an app that needs nothing. */
export const serveApp = <E>(app: HttpApp.Default<E, Scope.Scope>, options?: PlatformHttpServer.Options) =>
  launch(HttpServer.serve(app), options)

/** A route at `/api/route`, for which a router, its middleware and the server's make other requests of the one that came. */
export const serveMounted = <E>(route: HttpRouter.Route.Handler<E, Scope.Scope>) => {
  const inner = HttpRouter.empty.pipe(HttpRouter.get("/route", route), HttpRouter.use(HttpMiddleware.xForwardedHeaders))
  const mounted = HttpRouter.empty.pipe(HttpRouter.mount("/api", inner))
  return launch(HttpServer.serve(mounted, HttpMiddleware.xForwardedHeaders))
}
