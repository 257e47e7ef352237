import { assert, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import {
  type Connection,
  ConnectionClosed,
  ConnectionRegistry,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"

const kilobyte = new Uint8Array(1000)

it.scoped("a client that reads a kilobyte a second gets no more than that, and send waits", () =>
  Effect.gen(function* () {
    const sent = yield* Ref.make(0)
    const produce = ({ send }: Connection.Connection) =>
      Effect.forever(
        Effect.zipRight(
          send(kilobyte),
          Ref.update(sent, (n) => n + 1)
        )
      )
    const connection = yield* Testing.connect(produce, {
      server: { sendHighWaterMark: 5_000 },
      faults: { toClient: { bytesPerSecond: 1_004, capacity: 0 } }
    })
    yield* Testing.pass("10 seconds")
    assert.lengthOf(yield* connection.receiveAll, 10)
    assert.isAtMost(yield* Ref.get(sent), 10 + 6)
  })
)

it.scoped("a broadcast does not wait for a client that does not read: that one is closed with 1013", () =>
  Effect.gen(function* () {
    const registry = yield* ConnectionRegistry.ConnectionRegistry
    const connection = yield* WebSocketClient.connect("ws://memory")
    const wire = yield* Testing.wireOf(connection)
    yield* wire.toClient.stall
    while ((yield* registry.broadcast(kilobyte)).missed.length === 0) yield* Testing.settle
    yield* wire.toClient.flow
    yield* Effect.flip(Effect.forever(connection.receive))
    assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1013)
  }).pipe(Effect.provide(Testing.layerServer(WebSocketServer.layer((connection) => connection.closed))))
)
