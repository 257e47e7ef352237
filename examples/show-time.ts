/**
 * Shows the time in a browser: each tab at a pace of its own.
 *
 * The handler sends the time every one to three seconds until the tab goes
 * away; `send` then fails with `ConnectionClosed`, which is a normal end. The
 * page is served on the same port, and may be opened as a file too, since the
 * origin `null`, which a file has, is let in.
 *
 * Run it with `npx tsx examples/show-time.ts`, open http://localhost:5678/.
 */
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { HttpServerResponse } from "@effect/platform"
import { DateTime, Duration, Effect, Layer, Random } from "effect"
import { type Connection, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"

export const now = Effect.map(DateTime.now, DateTime.formatIso)

/** One to three seconds, another one each time. */
export const pause = Effect.flatMap(Random.nextRange(1, 3), (seconds) => Effect.sleep(Duration.seconds(seconds)))

export const showTime = Effect.fn("showTime")(function* ({ send }: Connection.Connection) {
  for (;;) {
    yield* send(yield* now)
    yield* pause
  }
})

/** A page for a browser; a WebSocket goes on. */
export const servePage = (file: string) =>
  Effect.map(
    Effect.promise(() => readFile(new URL(file, import.meta.url), "utf8")),
    (page): WebSocketServer.ServerOptions => ({
      origins: [/http:\/\/localhost:\d+/, null],
      onRequest: ({ headers }) =>
        Effect.succeed(headers["upgrade"] === undefined ? HttpServerResponse.html(page) : undefined)
    })
  )

export const showTimeServer = (options: { readonly port: number }) =>
  Layer.unwrapEffect(Effect.map(servePage("show-time.html"), (page) => WebSocketServer.layer(showTime, page))).pipe(
    Layer.provide(NodeListener.layer({ host: "localhost", ...options }))
  )

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  Layer.launch(showTimeServer({ port: 5678 })).pipe(runMain)
}
