import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Connection } from "effect-websockets"
import { Testing } from "effect-websockets/testing"

const hello = Effect.fn("hello")(function* (connection: Connection.Connection) {
  const name = yield* connection.receiveText
  yield* connection.send(`Hello ${name}!`)
})

it.scoped("greets by name, and closes with 1000", () =>
  Effect.gen(function* () {
    const connection = yield* Testing.connect(hello)
    yield* connection.send("World")
    assert.strictEqual(yield* connection.receiveText, "Hello World!")
    yield* connection.closed
    const wire = yield* Testing.wireOf(connection)
    assert.deepStrictEqual(yield* wire.transcript, [
      "client → server  GET / HTTP/1.1",
      "server → client  HTTP/1.1 101",
      'client → server  TEXT "World" [5 bytes]',
      'server → client  TEXT "Hello World!" [12 bytes]',
      "server → client  CLOSE 1000 (NormalClosure) [2 bytes]",
      "client → server  CLOSE 1000 (NormalClosure) [2 bytes]",
      "server → client  end of stream",
      "client → server  end of stream"
    ])
  })
)
