/**
 * Everything on one port: an HTTP API, a page, remote procedures, and two
 * WebSockets in routes of their own, on a server of `@effect/platform`.
 *
 * Run it with `npx tsx examples/one-port.ts`.
 */
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import {
  HttpApi,
  HttpApiBuilder,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpLayerRouter,
  HttpServerResponse
} from "@effect/platform"
import { Rpc, RpcGroup, RpcSerialization, RpcServer } from "@effect/rpc"
import { Effect, Layer, Schema } from "effect"
import { Connection, ConnectionRegistry } from "effect-websockets"
import { runMain } from "effect-websockets/node"
import { PlatformHttpServer } from "effect-websockets/platform"
import { echo } from "./echo.js"

const registry = ConnectionRegistry.ConnectionRegistry

export class Api extends HttpApi.make("api").add(
  HttpApiGroup.make("connections").add(HttpApiEndpoint.get("count", "/api/connections").addSuccess(Schema.Int))
) {}

const api = HttpLayerRouter.addHttpApi(Api).pipe(
  Layer.provide(
    HttpApiBuilder.group(Api, "connections", (handlers) =>
      handlers.handle("count", () => Effect.flatMap(registry, ({ size }) => size))
    )
  )
)

export class Sums extends RpcGroup.make(
  Rpc.make("Add", { payload: { a: Schema.Number, b: Schema.Number }, success: Schema.Number })
) {}

const procedures = RpcServer.layerHttpRouter({ group: Sums, path: "/rpc", protocol: "websocket" }).pipe(
  Layer.provide(Sums.toLayer({ Add: ({ a, b }) => Effect.succeed(a + b) })),
  Layer.provide(RpcSerialization.layerJson)
)

const page = fileURLToPath(new URL("show-time.html", import.meta.url))

/** The registry has the connections of all routes: those of this one are meant. */
const isChatting = ({ handshake }: Connection.Connection) => handshake.request.target === "/chat"

const chat = (connection: Connection.Connection) =>
  Effect.flatMap(registry, ({ broadcast }) =>
    Connection.runForEach(connection, (message) => broadcast(message, { to: isChatting }))
  )

const routes = HttpLayerRouter.addAll([
  HttpLayerRouter.route("GET", "/", HttpServerResponse.file(page)),
  HttpLayerRouter.route("GET", "/echo", PlatformHttpServer.upgrade(echo)),
  HttpLayerRouter.route("GET", "/chat", PlatformHttpServer.upgrade(chat, { maxMessageSize: 4_096 }))
])

/** All of it, for a server that has more. */
export const onePort = Layer.mergeAll(api, procedures, routes)

export const onePortServer = (options: { readonly port: number }) =>
  HttpLayerRouter.serve(Layer.mergeAll(api, procedures, routes)).pipe(
    Layer.provideMerge(PlatformHttpServer.layer(createServer, { host: "localhost", ...options }))
  )

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  Layer.launch(onePortServer({ port: 8765 })).pipe(runMain)
}
