/**
 * Lets in who knows a username and a password, and tells the handler who that
 * is. The health check is for everybody.
 *
 * `PASSWORD=secret npx tsx examples/basic-auth.ts`, then connect to
 * ws://ada:secret@localhost:8765. In earnest this wants TLS.
 */
import { fileURLToPath } from "node:url"
import { HttpServerResponse } from "@effect/platform"
import { Config, Effect, Layer, type Redacted } from "effect"
import { BasicAuth, type Connection, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"

export const greetPrincipal = (connection: Connection.Connection) =>
  Effect.flatMap(BasicAuth.Principal, ({ username }) => connection.send(`Hello ${username}!`))

export const basicAuthServer = (password: Redacted.Redacted<string>) => {
  const authenticate = BasicAuth.make({ realm: "greetings", passwords: { ada: password } })
  return WebSocketServer.layer(greetPrincipal, {
    onRequest: (request) =>
      request.url === "/healthz" ? Effect.succeed(HttpServerResponse.text("OK\n")) : authenticate(request)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  Config.redacted("PASSWORD").pipe(
    Effect.map(basicAuthServer),
    Layer.unwrapEffect,
    Layer.provide(NodeListener.layer({ host: "localhost", port: 8765 })),
    Layer.launch,
    runMain
  )
}
