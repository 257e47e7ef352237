import { HttpRouter, HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ConnectionClosed } from "effect-websockets"
import { PlatformHttpServer } from "effect-websockets/platform"
import { connect, echo, leavesNothing, serveApp } from "./support.js"

const router = HttpRouter.empty.pipe(
  HttpRouter.get("/page", HttpServerResponse.text("a page")),
  HttpRouter.get("/echo", PlatformHttpServer.upgrade(echo))
)

describe("PlatformHttpServer", () => {
  it.live("answers plain requests and opens WebSockets on one port", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { http, ws, stop } = yield* serveApp(router)
        const page = yield* Effect.promise(() => fetch(`${http}/page`))
        assert.strictEqual(yield* Effect.promise(() => page.text()), "a page")
        const connection = yield* connect(`${ws}/echo`)
        yield* connection.send("hello")
        assert.strictEqual(yield* connection.receive, "hello")
        yield* stop
        assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
      })
    )
  )
})
