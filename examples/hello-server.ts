/**
 * A server that greets by name.
 *
 * The handler takes one message, answers it and returns, which closes its
 * connection with 1000. Every connection has a handler of its own; when the
 * server is stopped, peers that are still there get 1001.
 *
 * Run it with `npx tsx examples/hello-server.ts`, stop it with Ctrl-C.
 */
import { fileURLToPath } from "node:url"
import { Effect, Layer } from "effect"
import { type Connection, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"

export const hello = Effect.fn("hello")(function* (connection: Connection.Connection) {
  const name = yield* connection.receiveText
  yield* Effect.log(`<<< ${name}`)
  yield* connection.send(`Hello ${name}!`)
})

export const helloServer = (options: { readonly port: number }) =>
  WebSocketServer.layer(hello).pipe(Layer.provide(NodeListener.layer({ host: "localhost", ...options })))

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  Layer.launch(helloServer({ port: 8765 })).pipe(runMain)
}
