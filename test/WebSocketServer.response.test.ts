import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Either, Exit, Option } from "effect"
import { Connection, type WebSocketClient, type WebSocketServer } from "effect-websockets"
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
