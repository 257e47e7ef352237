/**
 * Loses nothing: a session survives its connections, and neither end notices more than a pause.
 *
 * Run it with `npx tsx examples/resume.ts`.
 */
import { fileURLToPath } from "node:url"
import { Console, Effect, Layer } from "effect"
import { Connection, Resume, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener, runMain } from "effect-websockets/node"

const echo = (session: Resume.ResumableConnection) => Connection.runForEach(session, (message) => session.send(message))

export const resumableServer = (options: { readonly port: number }) =>
  WebSocketServer.layer(Resume.handler(echo), { subprotocols: [Resume.subprotocol] }).pipe(
    Layer.provide(Resume.layer()),
    Layer.provide(NodeListener.layer({ host: "localhost", ...options }))
  )

export const resumableClient = (uri: string) =>
  Effect.gen(function* () {
    const session = yield* Resume.connect(uri)
    yield* session.send("kept until it is acknowledged, and sent again on the next connection")
    const message = yield* session.receive
    yield* Console.log(message)
    return message
  }).pipe(Effect.scoped)

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const client = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))
  resumableClient("ws://localhost:8765").pipe(
    Effect.provide(Layer.merge(resumableServer({ port: 8765 }), client)),
    runMain
  )
}
