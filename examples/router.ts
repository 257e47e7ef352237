/**
 * Several sockets and pages on one port. A room's name and size come from its
 * path, by a schema: the handler gets them with their types, and a path that
 * does not fit is refused before any upgrade.
 *
 * Run it with `npx tsx examples/router.ts`.
 */
import { fileURLToPath } from "node:url"
import { HttpServerResponse } from "@effect/platform"
import { Effect, Layer, Schema } from "effect"
import { type Connection, ConnectionRegistry, Router } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"
import { echo } from "./echo.js"

const Room = Schema.Struct({ room: Schema.Lowercased, seats: Schema.NumberFromString.pipe(Schema.int()) })

const chat = (connection: Connection.Connection, { room, seats }: typeof Room.Type) =>
  Effect.zipRight(connection.send(`Welcome to ${room}, ${seats - 1} seats are left`), echo(connection))

const size = Effect.flatMap(ConnectionRegistry.ConnectionRegistry, (registry) => registry.size)

export const routes = Router.make(
  Router.websocket("/chat/:room/:seats", { params: Room }, chat),
  Router.websocket("/echo/*", echo),
  Router.get("/healthz", () => Effect.map(size, (n) => HttpServerResponse.text(`OK, ${n} connections\n`))),
  Router.redirect("/", "/healthz")
)

export const routerServer = (options: { readonly port: number }) =>
  Router.layer(routes).pipe(Layer.provide(NodeListener.layer({ host: "localhost", ...options })))

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  Layer.launch(routerServer({ port: 8765 })).pipe(runMain)
}
