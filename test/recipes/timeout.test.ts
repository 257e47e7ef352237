import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Connection, ConnectionClosed } from "effect-websockets"
import { Testing } from "effect-websockets/testing"

const impatient = (connection: Connection.Connection) =>
  connection.receive.pipe(
    Effect.timeout("30 seconds"),
    Effect.catchTag("TimeoutException", () => connection.close({ code: 1008, reason: "say something" }))
  )

it.scoped("a client that says nothing is closed after 30 seconds, and not before", () =>
  Effect.gen(function* () {
    const connection = yield* Testing.connect(impatient)
    yield* Testing.pass("29999 millis")
    assert.strictEqual((yield* connection.state)._tag, "Open")
    yield* Testing.pass("1 millis")
    assert.strictEqual((yield* connection.closed).message, "peer closed with 1008 say something; we closed with 1008")
  })
)

it.scoped("a server that has gone silent is noticed after pingInterval and pingTimeout", () =>
  Effect.gen(function* () {
    const connection = yield* Testing.connect((connection) => connection.closed)
    const wire = yield* Testing.wireOf(connection)
    yield* wire.stall
    yield* Testing.pass("40 seconds")
    const error = yield* Effect.flip(connection.send("anybody there?"))
    assert.strictEqual(ConnectionClosed.code(error), 1006)
    assert.include(error.message, "the peer did not answer a ping in time")
  })
)
