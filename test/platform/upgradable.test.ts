import { HttpServerRequest, HttpServerResponse, Socket } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Connection, ConnectionClosed } from "effect-websockets"
import { ask, connect, leavesNothing, rawOpen, requestText, serveApp, serveMounted } from "./support.js"

/** The `upgrade` of platform's own requests, on a server of ours. */

const codeOf = (connection: Connection.Connection) => Effect.map(connection.closed, ConnectionClosed.code)

/** Echoes until the connection ends, as whoever uses platform's socket does. */
const echo = Effect.gen(function* () {
  const socket = yield* HttpServerRequest.upgrade
  const write = yield* socket.writer
  yield* Effect.ignore(socket.runRaw((message) => write(message)))
  return HttpServerResponse.empty()
})

describe("HttpServerRequest.upgrade", () => {
  it.live("is there in routes that routers and middleware have made another request for", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ws } = yield* serveMounted(echo)
        const connection = yield* connect(`${ws}/api/route`, { headers: { "X-Forwarded-For": "192.0.2.1" } })
        yield* connection.send("hello")
        assert.strictEqual(yield* connection.receive, "hello")
      })
    )
  )

  it.live.each([
    ["a plain request", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 426],
    ["a version that is not 13", requestText("GET / HTTP/1.1", { "Sec-WebSocket-Version": "8" }), 426],
    ["a key that is none", requestText("GET / HTTP/1.1", { "Sec-WebSocket-Key": "short" }), 400],
    ["the page of another origin", requestText("GET / HTTP/1.1", { Origin: "https://elsewhere.example" }), 403]
  ] as const)(
    "refuses %s with the answer that says why, whether its route fails with that or dies",
    ([, text, expected]) =>
      leavesNothing(
        Effect.gen(function* () {
          for (const route of [echo, Effect.orDie(echo)]) {
            const { port } = yield* serveApp(route)
            const { status, body } = yield* ask(port, text)
            assert.strictEqual(status, expected)
            assert.notStrictEqual(body, "")
          }
        })
      )
  )

  it.live("has the options that the server gives to all upgrades", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ws } = yield* serveApp(echo, { upgrades: { maxMessageSize: 10 } })
        const connection = yield* connect(ws)
        yield* connection.send("01234567890")
        assert.strictEqual(yield* codeOf(connection), 1009)
      })
    )
  )

  it.live.each([
    ["returns", Effect.succeed(HttpServerResponse.empty()), 1000],
    ["fails", Effect.fail("no"), 1011]
  ] as const)("gives a connection that ends when its route %s", ([, end, code]) =>
    leavesNothing(
      Effect.gen(function* () {
        const route: Effect.Effect<
          HttpServerResponse.HttpServerResponse,
          unknown,
          HttpServerRequest.HttpServerRequest
        > = Effect.zipRight(HttpServerRequest.upgrade, end)
        const { ws } = yield* serveApp(route)
        assert.strictEqual(yield* codeOf(yield* connect(ws)), code)
      })
    )
  )

  it.live("closes with what the socket says", () =>
    leavesNothing(
      Effect.gen(function* () {
        const route = Effect.scoped(
          Effect.gen(function* () {
            const write = yield* (yield* HttpServerRequest.upgrade).writer
            yield* write(new Socket.CloseEvent(4_000, "enough"))
            return HttpServerResponse.empty()
          })
        )
        const { ws } = yield* serveApp(route)
        const closed = yield* (yield* connect(ws)).closed
        assert.deepInclude(closed.closure.received, { code: 4_000, reason: "enough" })
      })
    )
  )

  it.live("is refused the second time", () =>
    leavesNothing(
      Effect.gen(function* () {
        let second: string | undefined
        const route = Effect.gen(function* () {
          yield* HttpServerRequest.upgrade
          second = (yield* Effect.flip(HttpServerRequest.upgrade)).message
          return HttpServerResponse.empty()
        })
        const { ws } = yield* serveApp(route)
        assert.strictEqual(yield* codeOf(yield* connect(ws)), 1000)
        assert.include(second, "status 500")
      })
    )
  )

  it.live("ends with 1001 when the server stops, and its route with that", () =>
    leavesNothing(
      Effect.gen(function* () {
        let isOver = false
        const route = Effect.tap(echo, () =>
          Effect.sync(() => {
            isOver = true
          })
        )
        const { port, ws, stop } = yield* serveApp(route, { upgrades: { closeTimeout: "50 millis" } })
        const connection = yield* connect(ws)
        yield* rawOpen(port)
        yield* stop
        assert.isTrue(isOver)
        assert.strictEqual(yield* codeOf(connection), 1001)
      })
    )
  )
})
