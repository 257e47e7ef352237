import { assert, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { type Connection, WebSocketClient } from "effect-websockets"
import { Frame, Testing } from "effect-websockets/testing"

it.scoped("a client whose frame is not masked is closed with 1002, and the handler is told", () =>
  Effect.gen(function* () {
    const received = yield* Deferred.make<Connection.Message, Connection.ReceiveError>()
    const peer = yield* Testing.connectPeer(({ receive }) => Effect.intoDeferred(receive, received))
    yield* peer.send(Frame.text("Hello"), { maskingKey: "none" })
    assert.deepStrictEqual(yield* peer.receive, Frame.close(1002, "frame of a client without a mask"))
    const error = yield* Effect.flip(Deferred.await(received))
    assert.include(error.message, "the peer broke the protocol: frame of a client without a mask")
  })
)

const brokenServer = Testing.layerPeer((peer) =>
  Effect.gen(function* () {
    yield* peer.send([Frame.text("fine"), Frame.text(Uint8Array.of(0xc3, 0x28))])
    assert.deepStrictEqual(yield* peer.receive, Frame.close(1007, "text message that is not UTF-8"))
  })
)

it.scoped("a server whose text is no UTF-8 is closed with 1007, behind what it has said before", () =>
  Effect.gen(function* () {
    const connection = yield* WebSocketClient.connect("ws://memory")
    assert.strictEqual(yield* connection.receive, "fine")
    const error = yield* Effect.flip(connection.receive)
    assert.include(error.message, "text message that is not UTF-8")
  }).pipe(Effect.provide(Testing.layerServer(brokenServer)))
)
