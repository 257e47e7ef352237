import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Either, Exit, Fiber, Logger, Option, TestClock } from "effect"
import { Connection, type ListenError, type WebSocketClient, type WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { settle } from "./support.js"

/** What a server says in its answers beside what the handshake needs. */

const echo = (connection: Connection.Connection) => Connection.runForEach(connection, connection.send)

/** How a server that cannot be made with these settings says so. */
const defectOf = (server: WebSocketServer.ServerSettings) =>
  Effect.map(Effect.exit(Effect.scoped(Testing.connect(echo, { server }))), (exit) =>
    Exit.isFailure(exit) && Cause.isDie(exit.cause) ? Cause.pretty(exit.cause) : assert.fail("it is no defect")
  )

describe("subprotocols", () => {
  const opening = (server: WebSocketServer.ServerSettings, client: WebSocketClient.ConnectOptions) =>
    Effect.either(
      Effect.map(Testing.connect(echo, { server, client }), ({ handshake }) =>
        Option.getOrUndefined(handshake.subprotocol)
      )
    )

  it.scoped("H5: none in common is 400, or where it is optional a connection without", () =>
    Effect.gen(function* () {
      const refused = yield* opening({ subprotocols: ["a"] }, {})
      assert.include(
        refused._tag === "Left" ? refused.left.message : "",
        "status 400: A subprotocol is needed, one of: a."
      )
      const server = { subprotocols: ["a"], subprotocolOptional: true }
      assert.deepStrictEqual(yield* opening(server, {}), Either.right(undefined))
    })
  )

  it.scoped("H5: a client that offers some fails when none of them is chosen, also where that is optional here", () =>
    Effect.gen(function* () {
      const refused = yield* opening({ subprotocols: ["a"], subprotocolOptional: true }, { subprotocols: ["b"] })
      assert.include(refused._tag === "Left" ? refused.left.message : "", "the server speaks none of b")
    })
  )

  it.effect("H5: a list that could never be agreed on is a defect that names it", () =>
    Effect.gen(function* () {
      for (const subprotocols of [[], ["a b"], ["a", "a"], ["a\r\nX: y"]]) {
        assert.include(yield* defectOf({ subprotocols }), `subprotocols is ${JSON.stringify(subprotocols)}: give`)
      }
    })
  )
})

describe("the header Server", () => {
  const bare = new Set(["upgrade", "connection", "sec-websocket-accept"])
  const more = (head: { readonly headers: ReadonlyArray<readonly [string, string]> }) =>
    head.headers.filter(([name]) => !bare.has(name.toLowerCase()) && name.toLowerCase() !== "content-type")

  const refusal = (error: WebSocketClient.ConnectError | ListenError) =>
    error._tag === "HandshakeError" && error.reason._tag === "Rejected"
      ? error.reason.response
      : assert.fail(String(error))

  it.scoped("H10: is in no answer unless told otherwise", () =>
    Effect.gen(function* () {
      const opened = yield* Testing.connect(echo)
      assert.deepStrictEqual(more(opened.handshake.response), [])
      const refused = yield* Effect.flip(Testing.connect(echo, { client: { origin: "http://elsewhere.example" } }))
      assert.deepStrictEqual(more(refusal(refused)), [])
    })
  )

  it.scoped("H10: is what the option says, in 101, in refusals, in the answers of hooks that have none", () =>
    Effect.gen(function* () {
      const serverHeader = "ours/1"
      const opened = yield* Testing.connect(echo, { server: { serverHeader } })
      assert.deepStrictEqual(more(opened.handshake.response), [["Server", "ours/1"]])
      const answers: ReadonlyArray<readonly [Testing.Options["server"], string]> = [
        [{ origins: [] }, "ours/1"],
        [{ onRequest: () => Effect.die("a bug") }, "ours/1"],
        [{ onRequest: () => Effect.succeed(HttpServerResponse.empty({ status: 403 })) }, "ours/1"],
        [
          { onRequest: () => Effect.succeed(HttpServerResponse.empty({ status: 403, headers: { server: "own" } })) },
          "own"
        ]
      ]
      for (const [server, expected] of answers) {
        const error = yield* Effect.flip(
          Testing.connect(echo, { server: { ...server, serverHeader }, client: { origin: "http://memory" } })
        )
        assert.deepStrictEqual(
          more(refusal(error)).map(([name, value]) => [name.toLowerCase(), value]),
          [["server", expected]]
        )
      }
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  )

  it.effect("H10: that cannot be a header is a defect that names it", () =>
    Effect.gen(function* () {
      for (const serverHeader of ["", "a\r\nX: y", "✓"]) {
        assert.include(yield* defectOf({ serverHeader }), `serverHeader is ${JSON.stringify(serverHeader)}: give`)
      }
    })
  )
})

class Session extends Context.Tag("test/Session")<Session, { readonly token: string }>() {}

describe("the response hook", () => {
  const headersOf = (connection: Connection.Connection, ...names: ReadonlyArray<string>) =>
    connection.handshake.response.headers.filter(([name]) => names.includes(name.toLowerCase()))

  it.scoped("H7: adds headers and cookies to the 101, which the handler sees too", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(
        (connection) => connection.send(JSON.stringify(headersOf(connection, "x-a", "set-cookie"))),
        {
          server: {
            onUpgrade: (response) =>
              Effect.succeed(
                HttpServerResponse.setHeader(response, "X-A", "b").pipe(
                  HttpServerResponse.unsafeSetCookie("first", "1", { httpOnly: true }),
                  HttpServerResponse.unsafeSetCookie("second", "2")
                )
              )
          }
        }
      )
      const added = [
        ["x-a", "b"],
        ["set-cookie", "first=1; HttpOnly"],
        ["set-cookie", "second=2"]
      ]
      assert.deepStrictEqual(headersOf(connection, "x-a", "set-cookie") as unknown, added)
      assert.deepStrictEqual(JSON.parse(yield* connection.receiveText), added)
    })
  )

  it.scoped("H7: finds the services that the request hook gave, the request, and what was agreed on", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(echo, {
        server: {
          subprotocols: ["chat"],
          onRequest: () => Effect.succeed(Context.make(Session, { token: "abc" })),
          onUpgrade: (response, { url }) =>
            Effect.map(Session, ({ token }) =>
              HttpServerResponse.setHeader(
                response,
                "x-seen",
                `${token} ${url} ${response.headers["sec-websocket-protocol"]}`
              )
            )
        },
        client: { subprotocols: ["chat"] },
        target: "/room"
      })
      assert.deepStrictEqual(headersOf(connection, "x-seen"), [["x-seen", "abc /room chat"]])
    })
  )

  it.scoped("H7: may give headers alone, without those of the handshake", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(echo, {
        server: { onUpgrade: () => Effect.succeed(HttpServerResponse.empty({ status: 101, headers: { "x-a": "b" } })) }
      })
      assert.deepStrictEqual(headersOf(connection, "x-a"), [["x-a", "b"]])
    })
  )

  it.scoped("H7: answers instead with another status, as value or as failure", () =>
    Effect.gen(function* () {
      const response = HttpServerResponse.text("full", { status: 409 })
      for (const onUpgrade of [() => Effect.succeed(response), () => Effect.fail(response)]) {
        const error = yield* Effect.flip(Testing.connect(echo, { server: { onUpgrade } }))
        assert.include(error.message, "status 409: full")
      }
    })
  )

  it.scoped("H7: is not asked where no WebSocket is opened", () =>
    Effect.gen(function* () {
      let asked = 0
      const onUpgrade = (response: HttpServerResponse.HttpServerResponse) =>
        Effect.sync(() => {
          asked++
          return response
        })
      const onRequest = () => Effect.fail(HttpServerResponse.empty({ status: 403 }))
      for (const server of [
        { onUpgrade, onRequest },
        { onUpgrade, origins: [] }
      ]) {
        yield* Effect.flip(Testing.connect(echo, { server, client: { origin: "http://memory" } }))
      }
      assert.strictEqual(asked, 0)
    })
  )

  const secret = "s3cret\r\nX: y"
  const bugs: ReadonlyArray<
    readonly [
      string,
      (response: HttpServerResponse.HttpServerResponse) => HttpServerResponse.HttpServerResponse,
      string
    ]
  > = [
    ["another accept value", HttpServerResponse.setHeader("Sec-WebSocket-Accept", "x"), "sets sec-websocket-accept"],
    ["an extension", HttpServerResponse.setHeader("Sec-WebSocket-Extensions", "x"), "sets sec-websocket-extensions"],
    ["another upgrade", HttpServerResponse.setHeader("Upgrade", "h2c"), "sets upgrade"],
    ["a length", HttpServerResponse.setHeader("Content-Length", "0"), "sets content-length"],
    ["a split header", HttpServerResponse.setHeader("x-a", secret), 'has the header "x-a", whose'],
    ["a header beyond Latin-1", HttpServerResponse.setHeader("x-a", "✓"), 'has the header "x-a", whose'],
    [
      "a name that is none",
      HttpServerResponse.setHeader("x-a: b\r\nx-c", "d"),
      'has the header "x-a: b\\r\\nx-c", whose'
    ],
    ["a body", () => HttpServerResponse.text("x", { status: 101 }), "has a body"]
  ]
  it.scoped.each(bugs)(
    "H7: that gives %s is a bug: 500, and the log says what, without the value",
    ([, change, problem]) =>
      Effect.gen(function* () {
        const causes: Array<string> = []
        const logger = Logger.make(({ cause }) => causes.push(Cause.pretty(cause)))
        const error = yield* Effect.flip(
          Testing.connect(echo, { server: { onUpgrade: (response) => Effect.succeed(change(response)) } }).pipe(
            Effect.provide(Logger.replace(Logger.defaultLogger, logger))
          )
        )
        assert.include(error.message, "status 500")
        assert.include(causes.join(), `the response of onUpgrade ${problem}`)
        assert.notInclude(causes.join(), "s3cret")
      })
  )

  it.scoped("H7: has openTimeout together with the request hook", () =>
    Effect.gen(function* () {
      const connecting = yield* Effect.fork(
        Effect.flip(
          Testing.connect(echo, {
            server: {
              openTimeout: "2 seconds",
              onRequest: () => Effect.sleep("1999 millis"),
              onUpgrade: (response) => Effect.as(Effect.sleep("2 millis"), response)
            }
          })
        )
      )
      yield* settle
      yield* TestClock.adjust("2 seconds")
      assert.include((yield* Fiber.join(connecting)).message, "status 503")
    })
  )
})
