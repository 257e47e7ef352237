import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Stream } from "effect"
import { ConcurrencyError, type Connection } from "effect-websockets"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, readBytes, settle } from "./support.js"

const bye = { code: 1000, reason: "" }
const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)
const begin = (payload: string) => masked({ ...Frame.text(payload), fin: false })
const more = (payload: string | Uint8Array, fin = false) =>
  masked({
    ...Frame.make(Frame.Opcode.Continuation, typeof payload === "string" ? new TextEncoder().encode(payload) : payload),
    fin
  })

/** The pieces of the next message, and the fiber that takes them. */
const takePieces = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    const pieces: Array<Connection.Message> = []
    const fiber = yield* Effect.fork(
      Stream.runForEach(connection.receiveFragments, (piece) => Effect.sync(() => pieces.push(piece)))
    )
    yield* settle
    return { pieces, fiber }
  })

describe("D3: receiveFragments", () => {
  it.scoped("gives the pieces of one message as they arrive, and ends with it", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const { pieces, fiber } = yield* takePieces(connection)
      yield* peer.write(begin("one"))
      yield* settle
      assert.deepStrictEqual(pieces, ["one"])
      yield* peer.write(more("two"))
      yield* settle
      assert.deepStrictEqual(pieces, ["one", "two"])
      assert.isNull(fiber.unsafePoll())
      yield* peer.write(Uint8Array.from([...more("three", true), ...masked(Frame.text("next"))]))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(pieces, ["one", "two", "three"])
      assert.strictEqual(yield* connection.receive, "next")
    })
  )

  it.scoped("gives what is there of a frame that is still arriving", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const { pieces, fiber } = yield* takePieces(connection)
      const frame = masked(Frame.binary(bytes(1, 2, 3, 4, 5)))
      yield* peer.write(frame.subarray(0, 8))
      yield* settle
      yield* peer.write(frame.subarray(8))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(pieces, [bytes(1, 2), bytes(3, 4, 5)])
    })
  )

  it.scoped("never cuts a text inside a character, wherever its bytes are cut", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const frame = masked(Frame.text("aé€😀z"))
      for (let cut = 7; cut < frame.length; cut++) {
        const { pieces, fiber } = yield* takePieces(connection)
        yield* peer.write(frame.subarray(0, cut))
        yield* settle
        yield* peer.write(frame.subarray(cut))
        yield* Fiber.join(fiber)
        assert.strictEqual(pieces.join(""), "aé€😀z")
        for (const piece of pieces) assert.notMatch(String(piece), /\p{Surrogate}/u)
      }
    })
  )

  it.scoped("gives the part that had come before it was asked for", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* peer.write(begin("before "))
      yield* settle
      const { pieces, fiber } = yield* takePieces(connection)
      assert.deepStrictEqual(pieces, ["before "])
      yield* peer.write(more("after", true))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(pieces, ["before ", "after"])
    })
  )

  it.scoped("gives a message that is there as a whole in one piece", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* peer.write(masked(Frame.text("whole"), Frame.binary(bytes(1)), Frame.text("")))
      yield* settle
      assert.deepStrictEqual([...(yield* Stream.runCollect(connection.receiveFragments))], ["whole"])
      assert.deepStrictEqual([...(yield* Stream.runCollect(connection.receiveFragments))], [bytes(1)])
      assert.deepStrictEqual([...(yield* Stream.runCollect(connection.receiveFragments))], [""])
    })
  )

  it.scoped("left early, discards the rest of the message, and the next one is whole", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* peer.write(begin("one"))
      yield* settle
      assert.deepStrictEqual([...(yield* Stream.runCollect(Stream.take(connection.receiveFragments, 1)))], ["one"])
      yield* peer.write(more("two"))
      yield* settle
      const next = yield* Effect.fork(connection.receive)
      yield* settle
      yield* peer.write(more("three", true))
      yield* settle
      assert.isNull(next.unsafePoll())
      yield* peer.write(masked(Frame.text("next")))
      assert.strictEqual(yield* Fiber.join(next), "next")
    })
  )

  it.scoped("left early with all of the message there, discards only that", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const queue = yield* Queue.unbounded<Connection.Message>()
      const fiber = yield* Effect.fork(
        Stream.runForEach(connection.receiveFragments, (piece) =>
          Effect.zipRight(Queue.offer(queue, piece), Effect.never)
        )
      )
      yield* settle
      yield* peer.write(begin("one"))
      assert.strictEqual(yield* Queue.take(queue), "one")
      yield* peer.write(Uint8Array.from([...more("two"), ...more("three", true), ...masked(Frame.text("next"))]))
      yield* settle
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* connection.receive, "next")
    })
  )

  it.scoped("asked for again while the rest is discarded, gives the next message as it arrives", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* peer.write(begin("one"))
      yield* settle
      yield* Stream.runDrain(Stream.take(connection.receiveFragments, 1))
      const { pieces, fiber } = yield* takePieces(connection)
      yield* peer.write(more("two"))
      yield* peer.write(more("three", true))
      yield* settle
      assert.deepStrictEqual(pieces, [])
      yield* peer.write(begin("next "))
      yield* settle
      assert.deepStrictEqual(pieces, ["next "])
      yield* peer.write(more("message", true))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(pieces, ["next ", "message"])
    })
  )

  it.scoped("interrupted before anything has come, loses nothing", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const { fiber } = yield* takePieces(connection)
      yield* Fiber.interrupt(fiber)
      yield* peer.write(begin("who"))
      yield* settle
      yield* peer.write(more("le", true))
      assert.strictEqual(yield* connection.receive, "whole")
    })
  )

  it.scoped("holds maxMessageSize all the same", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server", { maxMessageSize: 5 })
      const { pieces, fiber } = yield* takePieces(connection)
      yield* peer.write(begin("one"))
      yield* settle
      yield* peer.write(more("two"))
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.deepStrictEqual(pieces, ["one"])
      assert.include(error.message, "6 bytes exceed maxMessageSize (5 bytes)")
    })
  )

  it.scoped("fails with ConnectionClosed where the end comes inside the message, however clean", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const { pieces, fiber } = yield* takePieces(connection)
      yield* peer.write(begin("one"))
      yield* peer.write(masked(Frame.close(bye)))
      assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "ConnectionClosed")
      assert.deepStrictEqual(pieces, ["one"])
    })
  )

  it.scoped("stops reading above receiveHighWaterMark, counted in bytes of its pieces", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* open("server", {
        receiveHighWaterMark: 10_000,
        maxMessageSize: Number.POSITIVE_INFINITY
      })
      const fiber = yield* Effect.fork(Stream.runForEach(connection.receiveFragments, () => Effect.never))
      yield* settle
      const part = new Uint8Array(1000)
      yield* peer.write(masked({ ...Frame.binary(part), fin: false }))
      for (let i = 0; i < 100; i++) yield* peer.write(more(part))
      // Behind so much that is not read, a ping is not seen either.
      yield* peer.write(masked(Frame.ping()))
      yield* settle
      assert.strictEqual(hex(yield* wire.sentByServer), "")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(hex(yield* readBytes(peer, 2)), "8a00")
    })
  )

  it.scoped("belongs to one reader: a second one fails, and the first goes on undisturbed", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const { pieces, fiber } = yield* takePieces(connection)
      yield* peer.write(begin("one"))
      yield* settle
      assert.instanceOf(yield* Effect.flip(Stream.runDrain(connection.receiveFragments)), ConcurrencyError)
      assert.instanceOf(yield* Effect.flip(connection.receive), ConcurrencyError)
      yield* peer.write(more("two"))
      yield* settle
      yield* peer.write(more("three", true))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(pieces, ["one", "two", "three"])
    })
  )

  it.scoped("belongs to one reader also between two pieces: who asks for messages then fails, and takes none", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const turns = yield* Queue.unbounded<void>()
      const pieces: Array<Connection.Message> = []
      const fiber = yield* Effect.fork(
        Stream.runForEach(connection.receiveFragments, (piece) => {
          pieces.push(piece)
          return Queue.take(turns)
        })
      )
      yield* settle
      yield* peer.write(begin("one"))
      yield* peer.write(more("two"))
      yield* settle
      assert.instanceOf(yield* Effect.flip(connection.receive), ConcurrencyError)
      assert.instanceOf(yield* Effect.flip(connection.receiveAll), ConcurrencyError)
      assert.instanceOf(yield* Effect.flip(Stream.runDrain(connection.receiveFragments)), ConcurrencyError)
      yield* Queue.offer(turns, undefined)
      yield* Queue.offer(turns, undefined)
      yield* Queue.offer(turns, undefined)
      yield* peer.write(more("three", true))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(pieces, ["one", "two", "three"])
    })
  )
})
