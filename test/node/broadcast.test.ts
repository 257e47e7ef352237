import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ConnectionRegistry, type Extension, Framing } from "effect-websockets"
import { connect, leavesNothing, serve } from "./support.js"

/** An extension that leaves messages as they are, and has nothing in common with that of other connections. */
const codec: Extension.Codec = { rsv: 4, encode: () => undefined, decode: (payload) => payload }
const extension: Extension.Extension = {
  name: "x-idle",
  offers: [[]],
  answer: () => ({ parameters: [], codec }),
  accept: () => codec
}

describe("a broadcast", () => {
  it.live.each([
    ["without extensions", []],
    ["with an extension of a connection's own", [extension]]
  ] as const)("leaves its sender the bytes when it is over: %s", ([, extensions]) =>
    leavesNothing(
      Effect.gen(function* () {
        // More than the system takes at once.
        const bytes = new Uint8Array(16_000_000)
        const { port } = yield* serve((connection) =>
          Effect.gen(function* () {
            const { broadcast } = yield* ConnectionRegistry.ConnectionRegistry
            yield* connection.receive
            yield* broadcast(bytes)
            bytes.fill(1)
            yield* Effect.ignore(connection.receive)
          })
        )
        const connection = yield* connect(`ws://127.0.0.1:${port}`, { maxMessageSize: bytes.length })
        yield* connection.send("now")
        const received = yield* connection.receiveBytes
        assert.isTrue(received.every((byte) => byte === 0))
      }).pipe(Effect.provide(Framing.layer({ extensions })))
    )
  )
})
