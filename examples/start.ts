/**
 * The first look: a server, a client that greets it, and a page for a person.
 *
 * On one port there are the handler of hello-server.ts at `/`, a page at the
 * same address for browsers, and the page's own socket at `/time`. What a
 * handler is not there for is decided by `onRequest`, before any upgrade.
 *
 * Run it with `npm start`, stop it with Ctrl-C. PORT=3000 takes another port;
 * `npm start -- --once` ends after the greeting.
 */
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { HttpServerResponse } from "@effect/platform"
import { Config, Console, DateTime, Effect, Layer, Schedule } from "effect"
import { Connection, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener, runMain } from "effect-websockets/node"
import { helloClient } from "./hello-client.js"
import { hello } from "./hello-server.js"

/** Tells the time each second and answers what the person says, until the page goes away. */
const time = Effect.fn("time")(function* (connection: Connection.Connection) {
  const send = (message: object) => connection.send(JSON.stringify(message))
  const tick = Effect.flatMap(DateTime.now, (now) => send({ time: DateTime.formatIso(now) }))
  // A fiber of the connection's scope: it ends with the connection.
  yield* Effect.forkScoped(Effect.repeat(tick, Schedule.spaced("1 second")))
  yield* Connection.runForEach(connection, (text) => send({ answer: `Hello ${text}!` }))
})

const pathOf = (target: string) => target.replace(/\?.*$/s, "")

const server = (port: number) =>
  Effect.gen(function* () {
    const page = yield* Effect.promise(() => readFile(new URL("start/page.html", import.meta.url), "utf8"))
    return WebSocketServer.layer(
      (connection) => (pathOf(connection.handshake.request.target) === "/time" ? time(connection) : hello(connection)),
      {
        onRequest: ({ headers, url }) =>
          Effect.sync(() => {
            switch (pathOf(url)) {
              case "/":
                return headers["upgrade"] === undefined ? HttpServerResponse.html(page) : undefined
              case "/time":
                return undefined
              default:
                return HttpServerResponse.text("There is nothing here.\n", { status: 404 })
            }
          })
      }
    )
  }).pipe(Layer.unwrapEffect, Layer.provide(NodeListener.layer({ host: "localhost", port })))

const port = Config.string("PORT").pipe(
  Config.withDefault("8765"),
  Config.validate({
    message: "PORT has to be a whole number from 0 to 65535",
    validation: (text) => /^\d{1,5}$/.test(text) && Number(text) <= 65_535
  }),
  Config.map(Number)
)

const greet = Effect.gen(function* () {
  const { address } = yield* WebSocketServer.WebSocketServer
  const host = address._tag === "TcpAddress" ? `localhost:${address.port}` : address.path
  yield* Console.log(`A client connects to ws://${host}/ and sends its name, World. It is answered:`)
  yield* helloClient(`ws://${host}/`, Effect.succeed("World"))
  return host
})

const main = Effect.gen(function* () {
  const host = yield* greet
  if (process.argv.includes("--once")) return
  yield* Console.log(`\nNow you: open http://${host}/ in a browser. Ctrl-C stops the server.`)
  yield* Effect.never
})

const client = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  port.pipe(
    Effect.flatMap((port) => Effect.provide(main, Layer.merge(server(port), client))),
    // What a person can mend is one line; anything else is a defect, and `runMain` shows all of it.
    Effect.catchAll((error) =>
      Effect.zipRight(
        Console.error(error.message),
        Effect.sync(() => {
          process.exitCode = 1
        })
      )
    ),
    runMain
  )
}
