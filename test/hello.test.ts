import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Connection, ConnectionClosed } from "effect-websockets"
import { Testing } from "effect-websockets/testing"

const hello = Effect.fn("hello")(function* (connection: Connection.Connection) {
  const name = yield* connection.receiveText
  yield* connection.send(`Hello ${name}!`)
})

describe("a handler", () => {
  it.scoped("greets, and closes with 1000 when it returns", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(hello)
      yield* connection.send("World")
      assert.strictEqual(yield* connection.receiveText, "Hello World!")
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1000)
    })
  )
})
