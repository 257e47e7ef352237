import { assert, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Schedule, Stream } from "effect"
import { Reconnecting, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"

const Server = WebSocketServer.layer((connection) => Effect.zipRight(connection.send("welcome"), connection.closed))

it.scoped("comes back after two failures, and after a wire that is cut", () =>
  Effect.gen(function* () {
    const network = yield* Testing.Network
    yield* network.nextDials("refused", { status: 503 }, { faults: { cutAfterFrames: 1 } })
    const messages = Reconnecting.messages("ws://memory", { schedule: Schedule.spaced("1 second") })
    const program = yield* Effect.fork(Stream.runCollect(Stream.take(messages, 2)))
    yield* Testing.pass("3 seconds")
    assert.deepStrictEqual(Chunk.toArray(yield* Fiber.join(program)), ["welcome", "welcome"])
    const dials = yield* network.dials
    assert.deepStrictEqual(
      dials.map(({ at }) => at),
      [0, 1000, 2000, 3000]
    )
  }).pipe(Effect.provide(Testing.layerServer(Server)))
)
