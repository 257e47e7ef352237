import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Either, Exit, Logger, Option } from "effect"
import { Connection, type ListenError, type WebSocketClient, type WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"

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
