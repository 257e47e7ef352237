import { Effect, Layer, Logger, LogLevel } from "effect"
import { Connection, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"
import { ownWorkload } from "../workloads.js"
import { listening } from "./control.js"

/** The code of the README: an Effect handler, every default on. */
const echo = (connection: Connection.Connection) =>
  Connection.runForEach(connection, (message) => connection.send(message))

const Report = Layer.effectDiscard(
  Effect.gen(function* () {
    const { address } = yield* WebSocketServer.WebSocketServer
    if (address._tag === "TcpAddress") listening(address.port)
  })
)

Report.pipe(
  Layer.provide(WebSocketServer.layer(echo, { compression: ownWorkload().deflate === true })),
  Layer.provide(NodeListener.layer({ port: 0, host: "127.0.0.1" })),
  Layer.provide(Logger.minimumLogLevel(LogLevel.Warning)),
  Layer.launch,
  runMain
)
