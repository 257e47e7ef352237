import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Queue, Stream } from "effect"
import { Connection } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, plain, settle } from "./support.js"

const normal = { code: 1000, reason: "" }

/** What comes out of a connection's channel when a stream goes in. */
const through = <E>(connection: Connection.Connection, input: Stream.Stream<Connection.Message, E>) =>
  Stream.pipeThroughChannel(input, Connection.toChannel<E>(connection))

describe("D12: toChannel", () => {
  it.scoped("sends what goes in and gives what was received", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect((connection) =>
        Stream.runForEach(Stream.take(connection.messages, 3), connection.send)
      )
      const output = yield* Stream.runCollect(through(connection, Stream.make("a", Uint8Array.from([1]), "b")))
      assert.deepStrictEqual([...output], ["a", Uint8Array.from([1]), "b"])
    })
  )

  it.scoped("sends a chunk of the input in one write, and gives the messages of one as a chunk", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const chunks = yield* Queue.unbounded<Chunk.Chunk<Connection.Message>>()
      yield* Effect.fork(
        Stream.runForEachChunk(through(connection, Stream.make("a", "b")), (chunk) => Queue.offer(chunks, chunk))
      )
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.text("a"), Frame.text("b"))))
      yield* peer.write(masked(Frame.text("c"), Frame.text("d")))
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Queue.take(chunks)), ["c", "d"])
    })
  )

  it.scoped("the end of the input leaves the connection open", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const running = yield* Effect.fork(Stream.runCollect(through(connection, Stream.empty)))
      yield* settle
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* peer.write(masked(Frame.text("a"), Frame.close(normal)))
      assert.deepStrictEqual([...(yield* Fiber.join(running))], ["a"])
    })
  )

  it.scoped("the output ends with a clean end of the connection, also while the input goes on", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const running = yield* Effect.fork(Stream.runCollect(through(connection, Stream.never)))
      yield* settle
      yield* peer.write(masked(Frame.close(normal)))
      assert.deepStrictEqual([...(yield* Fiber.join(running))], [])
    })
  )

  it.scoped("the output fails with an end that is not clean", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* open("server")
      const running = yield* Effect.fork(Stream.runCollect(through(connection, Stream.never)))
      yield* settle
      yield* wire.cut
      assert.strictEqual((yield* Effect.flip(Fiber.join(running)))._tag, "ConnectionClosed")
    })
  )

  it.scoped("a failure of the input closes the connection with 1011 and is the output's too", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const failing = Stream.concat(Stream.make("a"), Stream.fail({ _tag: "Broken" } as const))
      const running = yield* Effect.fork(Stream.runCollect(through(connection, failing)))
      yield* settle
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.text("a"), Frame.close({ code: 1011, reason: "" }))))
      yield* peer.write(masked(Frame.close({ code: 1011, reason: "" })))
      yield* peer.end
      assert.strictEqual((yield* Effect.flip(Fiber.join(running)))._tag, "Broken")
    })
  )

  it.scoped("what was received before the peer's Close comes out, though the input can no longer be sent", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const input = yield* Queue.unbounded<Connection.Message>()
      const output = yield* Queue.unbounded<Connection.Message>()
      const gate = yield* Effect.makeLatch()
      const running = yield* Effect.fork(
        Stream.runForEach(through(connection, Stream.fromQueue(input)), (message) =>
          Effect.zipRight(gate.await, Queue.offer(output, message))
        )
      )
      yield* settle
      yield* peer.write(masked(Frame.text("a")))
      yield* settle
      yield* peer.write(masked(Frame.text("b")))
      yield* settle
      yield* peer.write(masked(Frame.text("c"), Frame.close(normal)))
      yield* settle
      yield* Queue.offer(input, "too late")
      yield* settle
      yield* gate.open
      yield* Fiber.join(running)
      assert.deepStrictEqual([...(yield* Queue.takeAll(output))], ["a", "b", "c"])
    })
  )
})
