/** An echo server and a client that compress what they say: one option on each side. */
import { fileURLToPath } from "node:url"
import { Console, Effect, Layer } from "effect"
import { WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener, runMain } from "effect-websockets/node"
import { echo } from "./echo.js"

export const compressingServer = (options: { readonly port: number }) =>
  WebSocketServer.layer(echo, { compression: true }).pipe(
    Layer.provide(NodeListener.layer({ host: "localhost", ...options }))
  )

/** Sends a long text there and back, and tells how little of it went over the wire. */
export const compressingClient = (uri: string) =>
  Effect.gen(function* () {
    const connection = yield* WebSocketClient.connect(uri, {
      compression: { serverNoContextTakeover: true, clientMaxWindowBits: 10 }
    })
    const text = "All work and no play makes Jack a dull boy.\n".repeat(500)
    yield* connection.send(text)
    const echoed = yield* connection.receiveText
    const { traffic } = yield* connection.close()
    yield* Console.log(`${echoed.length} characters in ${traffic.bytesReceived} bytes`)
    return { isSame: echoed === text, traffic }
  }).pipe(Effect.scoped)

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const client = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))
  compressingClient("ws://localhost:8765").pipe(
    Effect.provide(Layer.merge(compressingServer({ port: 8765 }), client)),
    runMain
  )
}
