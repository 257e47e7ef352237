import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { BasicAuth, Router, WebSocketServer } from "effect-websockets"
import { NodeListener } from "effect-websockets/node"
import { routes } from "../../examples/router.js"
import { ask, connect, leavesNothing, requestText } from "./support.js"

/** Routes on a real port. */

const serving = <R>(router: Router.Router<R>) =>
  Effect.map(
    Layer.build(Router.layer(router).pipe(Layer.provide(NodeListener.layer({ port: 0, host: "127.0.0.1" })))),
    (context) => {
      const { address } = Context.get(context, WebSocketServer.WebSocketServer)
      return address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
    }
  )

const plain = (line: string) => `${line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`

describe("the example of a router", () => {
  it.live("H9: has sockets, whose parameters are decoded, and pages on one port", () =>
    leavesNothing(
      Effect.gen(function* () {
        const port = yield* serving(routes)
        const room = yield* connect(`ws://127.0.0.1:${port}/chat/green/3`)
        assert.strictEqual(yield* room.receive, "Welcome to green, 2 seats are left")
        const anywhere = yield* connect(`ws://127.0.0.1:${port}/echo/any/where`)
        yield* anywhere.send("x")
        assert.strictEqual(yield* anywhere.receive, "x")
        const health = yield* ask(port, plain("GET /healthz"))
        assert.deepStrictEqual([health.status, health.body], [200, "OK, 2 connections\n"])
        const moved = yield* ask(port, plain("GET /"))
        assert.strictEqual(moved.status, 307)
        assert.match(moved.head, /^location: \/healthz\r$/im)
      })
    )
  )

  it.live("H9: refuses what no route fits with 400, 404, 405 and 426", () =>
    leavesNothing(
      Effect.gen(function* () {
        const port = yield* serving(routes)
        const answers: ReadonlyArray<readonly [string, number, RegExp]> = [
          [requestText("GET /chat/green/x HTTP/1.1"), 400, /^Content-Length: \d+\r$/im],
          [requestText("GET /chat HTTP/1.1"), 404, /^Content-Type: text\/plain/im],
          [plain("DELETE /healthz"), 405, /^allow: GET, HEAD\r$/im],
          [plain("GET /chat/green/1"), 426, /^upgrade: websocket\r$/im]
        ]
        for (const [text, status, header] of answers) {
          const answer = yield* ask(port, text)
          assert.strictEqual(answer.status, status, text)
          assert.match(answer.head, header)
        }
      })
    )
  )
})

describe("a router", () => {
  it.live("H9, H8: has routes that ask for a password beside others", () =>
    leavesNothing(
      Effect.gen(function* () {
        const onRequest = BasicAuth.make({ realm: "rooms", passwords: { ada: Redacted.make("lovelace") } })
        const params = Schema.Struct({ room: Schema.Lowercased })
        const port = yield* serving(
          Router.make(
            Router.websocket("/rooms/:room", { params, onRequest }, (connection, { room }) =>
              Effect.flatMap(BasicAuth.Principal, ({ username }) => connection.send(`${username} in ${room}`))
            ),
            Router.get("/healthz", () => Effect.succeed(HttpServerResponse.text("OK\n")))
          )
        )
        const connection = yield* connect(`ws://ada:lovelace@127.0.0.1:${port}/rooms/green`)
        assert.strictEqual(yield* connection.receive, "ada in green")
        const stranger = yield* Effect.flip(connect(`ws://127.0.0.1:${port}/rooms/green`))
        assert.include(stranger.message, "status 401")
        assert.strictEqual((yield* ask(port, plain("GET /healthz"))).status, 200)
      })
    )
  )
})
