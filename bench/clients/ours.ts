import { Effect, Layer } from "effect"
import { Connection, WebSocketClient } from "effect-websockets"
import { NodeConnector, runMain } from "effect-websockets/node"
import { contentOf } from "../frames.js"
import { ready } from "../servers/control.js"
import { makeTally } from "../tally.js"
import { ownClient } from "./own.js"

const { direction, every, message } = ownClient()
const content = contentOf(message)
const said = message.type === "binary" ? content : content.toString()

/** Each message asks for so many. */
const speak = (connection: Connection.Connection) =>
  Connection.runForEach(connection, () => Effect.replicateEffect(connection.send(said), every, { discard: true }))

const listen = (connection: Connection.Connection) => {
  const tally = makeTally(every)
  return Connection.runForEach(connection, ({ length }) => {
    const sum = tally(length)
    return sum === undefined ? Effect.void : connection.send(sum)
  })
}

const client = (port: number) =>
  Effect.scoped(
    Effect.flatMap(WebSocketClient.connect(`ws://127.0.0.1:${port}`), direction === "send" ? speak : listen)
  )

Effect.async<{ readonly port: number; readonly connections: number }>((resume) =>
  ready((port, connections) => resume(Effect.succeed({ port, connections })))
).pipe(
  Effect.flatMap(({ port, connections }) =>
    Effect.replicateEffect(client(port), connections, { concurrency: "unbounded", discard: true })
  ),
  Effect.provide(WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))),
  runMain
)
