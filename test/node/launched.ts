import { Console, Effect, Layer, Logger, LogLevel } from "effect"
import { Connection, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"

/** The program of the child processes that tests start: an echo server, which says where it listens; or a failure. */

const argument = process.argv[2] ?? "{}"

const echo = (connection: Connection.Connection) =>
  Connection.runForEach(connection, (message) => connection.send(message))

const Main = Layer.effectDiscard(
  Effect.flatMap(WebSocketServer.WebSocketServer, ({ addresses }) => Console.log(JSON.stringify(addresses)))
).pipe(
  Layer.provide(WebSocketServer.layer(echo)),
  Layer.provide(NodeListener.layer(argument.startsWith("{") ? JSON.parse(argument) : {})),
  Layer.provide(Logger.minimumLogLevel(LogLevel.Warning))
)

const programs: Record<string, Effect.Effect<void, unknown>> = {
  fail: Effect.fail("no reason"),
  return: Effect.void
}

runMain(programs[argument] ?? Layer.launch(Main))
