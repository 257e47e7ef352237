/**
 * An echo server as it is run in earnest: with a health check, and stopped
 * gracefully by SIGTERM or Ctrl-C.
 *
 * `/healthz` answers plain requests on the same port. When the process is told
 * to stop, all peers get 1001 at the same time, and it ends when they have
 * answered or `closeTimeout` is up.
 *
 * Run it with `npx tsx examples/echo.ts`.
 */
import { fileURLToPath } from "node:url"
import { HttpServerResponse } from "@effect/platform"
import { Effect, Layer } from "effect"
import { Connection, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"

export const echo = (connection: Connection.Connection) =>
  Connection.runForEach(connection, (message) => connection.send(message))

export const echoServer = (options: { readonly port: number }) =>
  WebSocketServer.layer(echo, {
    onRequest: ({ url }) => Effect.succeed(url === "/healthz" ? HttpServerResponse.text("OK\n") : undefined)
  }).pipe(Layer.provide(NodeListener.layer(options)))

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.env["PORT"] ?? 8765)
  Layer.launch(echoServer({ port })).pipe(runMain)
}
