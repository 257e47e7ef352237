/**
 * The greeting once more without generators, for who prefers pipes.
 *
 * Run the server with `npx tsx examples/hello-pipes.ts`, the client with
 * `npx tsx examples/hello-pipes.ts client`.
 */
import { fileURLToPath } from "node:url"
import { Console, Effect, Layer } from "effect"
import { type Connection, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener, runMain } from "effect-websockets/node"

export const hello = (connection: Connection.Connection) =>
  connection.receiveText.pipe(
    Effect.tap(Effect.log),
    Effect.flatMap((name) => connection.send(`Hello ${name}!`))
  )

export const helloServer = (options: { readonly port: number }) =>
  WebSocketServer.layer(hello).pipe(Layer.provide(NodeListener.layer({ host: "localhost", ...options })))

export const helloClient = (uri: string, name: string) =>
  WebSocketClient.connect(uri).pipe(
    Effect.tap((connection) => connection.send(name)),
    Effect.flatMap((connection) => connection.receiveText),
    Effect.tap(Console.log),
    Effect.scoped
  )

const client = helloClient("ws://localhost:8765", "World").pipe(
  Effect.provide(WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer)))
)

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === "client") client.pipe(runMain)
  else Layer.launch(helloServer({ port: 8765 })).pipe(runMain)
}
