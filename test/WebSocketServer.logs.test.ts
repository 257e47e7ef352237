import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel } from "effect"
import { type Connection, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { settle } from "./support.js"

/** What a server says while a test talks to it, each line with its level and, where there is one, its connection. */
const logged = <E>(
  handler: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>,
  talk: Effect.Effect<unknown, E, WebSocketClient.WebSocketClient>,
  level: LogLevel.LogLevel = LogLevel.Info
) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ annotations, logLevel, message }) => {
    const [connection] = [...annotations].map(([key, value]) => `${key}=${value}`)
    lines.push([logLevel.label, ...[message].flat(), connection ?? ""].join(" ").trim())
  })
  const server = WebSocketServer.layer(handler, { origins: [] })
  const program = Layer.build(Layer.provideMerge(Layer.merge(server, WebSocketClient.layer), Testing.layer)).pipe(
    Effect.flatMap((context) => Effect.provide(talk, context)),
    Effect.zipRight(settle),
    Effect.scoped
  )
  return program.pipe(
    Logger.withMinimumLogLevel(level),
    Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
    // Identifiers count all connections of the process.
    Effect.map(() => lines.map((line) => line.replaceAll(/(connection[ =])\d+/g, "$1N")))
  )
}

const connect = (path: string, options?: WebSocketClient.ConnectOptions) =>
  Effect.scoped(WebSocketClient.connect(`ws://memory${path}`, options))

describe("L8: the log of a server", () => {
  it.effect("tells of its start and end, and of each connection's, without a query and obeying nobody", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged(({ closed }) => closed, connect("/chat/%1b%5B2J?token=secret")), [
        "INFO the server is listening on memory:80",
        "INFO connection N is open: GET /chat/%1b%5B2J from memory connection=N",
        "INFO connection N is closed: peer closed with 1000; we closed with 1000 connection=N",
        "INFO the server is stopping",
        "INFO the server has stopped"
      ])
    })
  )

  it.effect("has errors for what the handler does wrong, by connection, and for nothing that a peer does", () =>
    Effect.gen(function* () {
      const talk = Effect.gen(function* () {
        yield* Effect.flip(connect("/", { origin: "http://elsewhere.example" }))
        yield* Effect.scoped(Effect.flatMap(WebSocketClient.connect("ws://memory/"), ({ closed }) => closed))
      })
      const lines = yield* logged(() => Effect.fail("on purpose"), talk, LogLevel.Warning)
      assert.deepStrictEqual(lines, ["ERROR a connection's handler failed connection=N"])
    })
  )

  it.effect("tells at debug what was refused", () =>
    Effect.gen(function* () {
      const talk = Effect.flip(connect("/private?x", { origin: "http://elsewhere.example" }))
      const lines = yield* logged(({ closed }) => closed, talk, LogLevel.Debug)
      assert.include(lines, "DEBUG GET /private from memory is answered with 403")
    })
  )
})
