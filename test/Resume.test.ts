import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Connection, ConnectionClosed, Resume } from "effect-websockets"
import { makeSessions } from "./resuming.js"

const uri = "ws://memory"

const echo = (connection: Resume.ResumableConnection) => Connection.runForEach(connection, connection.send)

describe("smoke", () => {
  it.scoped("echo", () =>
    Effect.gen(function* () {
      const { client, serveSessions } = yield* makeSessions
      yield* serveSessions(echo)
      const connection = yield* Effect.provide(Resume.connect(uri), client)
      yield* connection.send("hello")
      yield* connection.send(Uint8Array.of(1, 2))
      assert.strictEqual(yield* connection.receive, "hello")
      assert.deepStrictEqual(yield* connection.receive, Uint8Array.of(1, 2))
      assert.strictEqual(ConnectionClosed.code(yield* connection.close()), 1000)
    })
  )
})
