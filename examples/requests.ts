/**
 * Decides about requests before any WebSocket: a health check is answered, an
 * unknown user is refused, and a known one reaches the handler as a service.
 *
 * Where the name comes from is this example's own: in earnest it is what a
 * session cookie or a token stands for.
 *
 * Run it with `npx tsx examples/requests.ts`.
 */
import { fileURLToPath } from "node:url"
import { HttpServerResponse } from "@effect/platform"
import { Context, Effect, Layer } from "effect"
import { type Connection, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"

export class User extends Context.Tag("User")<User, { readonly name: string }>() {}

export const greetUser = (connection: Connection.Connection) =>
  Effect.flatMap(User, ({ name }) => connection.send(`Hello ${name}!`))

export const Server = WebSocketServer.layer(greetUser, {
  onRequest: Effect.fn("onRequest")(function* (request) {
    if (request.url === "/healthz") return HttpServerResponse.text("OK\n")
    const name = request.headers["x-user"]
    if (name === undefined) return yield* Effect.fail(HttpServerResponse.text("Who are you?\n", { status: 401 }))
    return Context.make(User, { name })
  })
})

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  Server.pipe(Layer.provide(NodeListener.layer({ port: 8765 })), Layer.launch, runMain)
}
