import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { Connection, ConnectionClosed, type Transport } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../../src/protocol/Frame.js"
import { hex, masked, open, settle } from "../support.js"

const echo = (connection: Connection.Connection) => Connection.runForEach(connection, connection.send)

const { pass } = Testing

const opened = Effect.gen(function* () {
  const connection = yield* Testing.connect(echo)
  const wire = yield* Testing.wireOf(connection)
  yield* Effect.addFinalizer(() => wire.flow)
  return { connection, wire }
})

describe("a wire", () => {
  it.scoped("keeps what both ends have written", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* opened
      yield* connection.send("Hello")
      yield* connection.receive
      yield* connection.close()
      assert.strictEqual(hex(yield* wire.sentByClient), "81850000000148656c6d6f" + "88820000000203e8")
      assert.strictEqual(hex(yield* wire.sentByServer), "810548656c6c6f" + "880203e8")
    }).pipe(Effect.provide(Testing.layerKeys))
  )

  it.scoped("that is cut ends both ends with an error, and what was on its way is lost", () =>
    Effect.gen(function* () {
      let received = 0
      let theirs: ConnectionClosed.ConnectionClosed | undefined
      const connection = yield* Testing.connect((connection) =>
        Effect.ensuring(
          Connection.runForEach(connection, () => Effect.sync(() => received++)).pipe(Effect.ignore),
          Effect.map(connection.closed, (closed) => {
            theirs = closed
          })
        )
      )
      const wire = yield* Testing.wireOf(connection)
      yield* wire.stall
      yield* connection.send("lost")
      yield* settle
      yield* wire.cut
      yield* wire.flow
      const ours = yield* connection.closed
      yield* settle
      assert.strictEqual(ours.message, "lost the connection to memory: the wire was cut")
      assert.strictEqual(theirs?.message, ours.message)
      assert.strictEqual(received, 0)
    })
  )

  it.scoped("that is stalled delivers nothing until it flows, and then all of it in order", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* opened
      yield* wire.stall
      for (const message of ["a", "b", "c"]) {
        yield* connection.send(message)
        yield* settle
      }
      const receiving = yield* Effect.fork(connection.receiveAll)
      yield* pass("1 seconds")
      assert.isNull(receiving.unsafePoll())
      yield* wire.flow
      assert.deepStrictEqual(yield* Fiber.join(receiving), ["a", "b", "c"])
    })
  )

  it.scoped("with a delay takes so long each way, to the millisecond", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* opened
      yield* wire.delay("100 millis")
      yield* connection.send("a")
      const receiving = yield* Effect.fork(connection.receive)
      yield* pass("100 millis")
      yield* pass("99 millis")
      assert.isNull(receiving.unsafePoll())
      yield* pass("1 millis")
      assert.strictEqual(yield* Fiber.join(receiving), "a")
      yield* wire.delay(0)
    })
  )

  it.scoped("with a delay that shrinks keeps the order", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* opened
      yield* wire.delay("100 millis")
      yield* connection.send("a")
      yield* settle
      yield* wire.delay(0)
      yield* connection.send("b")
      yield* pass("100 millis")
      assert.strictEqual(yield* connection.receive, "a")
      assert.strictEqual(yield* connection.receive, "b")
    })
  )

  it.scoped.each([1, 2, 3, 5, 7, 1000])("split into pieces of %s bytes changes nothing of what is said", (size) =>
    Effect.gen(function* () {
      const { connection, wire } = yield* opened
      yield* wire.split(size)
      const messages = ["é😀".repeat(50), "", new Uint8Array(300).fill(9), "end"]
      yield* connection.sendAll(messages)
      for (const message of messages) assert.deepStrictEqual(yield* connection.receive, message)
      assert.isTrue(ConnectionClosed.isClean(yield* connection.close({ code: 1000, reason: "done" })))
    })
  )

  it.scoped("cannot be split into pieces of nothing: that is a defect", () =>
    Effect.gen(function* () {
      const { wire } = yield* opened
      const exit = yield* Effect.exit(wire.split(0))
      assert.include(Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty), "split is 0")
    })
  )

  it.scoped("cut behind any byte of a conversation leaves a connection that has ended, and no message in halves", () =>
    Effect.gen(function* () {
      const conversation = masked(
        Frame.text("é😀"),
        { ...Frame.text("frag"), fin: false },
        Frame.ping(Uint8Array.from([1])),
        Frame.make(Frame.Opcode.Continuation, new TextEncoder().encode("ments")),
        Frame.binary(new Uint8Array(130)),
        Frame.close({ code: 1000, reason: "bye" })
      )
      const expected = ["é😀", "fragments", new Uint8Array(130)]
      for (let cut = 0; cut <= conversation.length; cut++) {
        const { connection, peer, wire } = yield* open("server")
        yield* peer.write(conversation.subarray(0, cut))
        yield* settle
        yield* wire.cut
        const closed = yield* connection.closed
        const messages: Array<Connection.Message> = []
        yield* Effect.ignore(Connection.runForEach(connection, (message) => Effect.sync(() => messages.push(message))))
        assert.deepStrictEqual(messages, expected.slice(0, messages.length))
        assert.strictEqual(ConnectionClosed.isClean(closed), cut === conversation.length)
      }
    })
  )

  it.scoped("is known of no other connection: to ask is a defect", () =>
    Effect.gen(function* () {
      const elsewhere: Transport.ByteStream = {
        attach: (sink) => sink.closed(undefined),
        write: () => "sent",
        pause: () => {},
        resume: () => {},
        bufferedAmount: () => 0,
        end: () => {},
        destroy: () => {},
        remoteAddress: () => undefined,
        localAddress: () => undefined
      }
      const connection = yield* Connection.make("client", elsewhere)
      const exit = yield* Effect.exit(Testing.wireOf(connection))
      assert.include(
        Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty),
        "this connection runs over no wire of Testing's"
      )
    })
  )
})

describe("the peer of a pair", () => {
  const pair = Effect.gen(function* () {
    const { stream, peer, wire } = yield* Testing.makePair
    const log: Array<string> = []
    stream.attach({
      data: (bytes) => void log.push(hex(bytes)),
      end: () => void log.push("end"),
      drain: () => void log.push("drain"),
      closed: (error) => void log.push(error === undefined ? "closed" : "closed with an error")
    })
    return { stream, peer, wire, log }
  })
  const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

  it.effect("writes, ends and is told of the end", () =>
    Effect.gen(function* () {
      const { stream, peer, log } = yield* pair
      yield* peer.write(bytes(1))
      yield* peer.write(bytes(2, 3))
      yield* peer.end
      yield* peer.write(bytes(4))
      yield* settle
      assert.deepStrictEqual(log, ["01", "0203", "end"])
      stream.write(bytes(5))
      stream.end()
      assert.deepStrictEqual(yield* peer.read, bytes(5))
      yield* peer.closed
      assert.deepStrictEqual(log, ["01", "0203", "end", "closed"])
    })
  )

  it.effect("reads all that is there, waits for the next, and gets nothing behind the end", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* pair
      stream.write(bytes(1))
      stream.write(bytes(2))
      yield* settle
      assert.deepStrictEqual(yield* peer.read, bytes(1, 2))
      const given = yield* Effect.fork(peer.read)
      yield* settle
      yield* Fiber.interrupt(given)
      const waiting = yield* Effect.fork(peer.read)
      stream.write(bytes(3))
      assert.deepStrictEqual(yield* Fiber.join(waiting), bytes(3))
      stream.end()
      assert.deepStrictEqual(yield* peer.read, bytes())
      assert.deepStrictEqual(yield* peer.read, bytes())
    })
  )

  it.effect("that pauses makes the other end wait, and drain when it goes on", () =>
    Effect.gen(function* () {
      const { stream, peer, log } = yield* pair
      yield* peer.pause
      assert.strictEqual(stream.write(new Uint8Array(65_536)), "sent")
      assert.strictEqual(stream.bufferedAmount(), 0)
      assert.strictEqual(stream.write(bytes(1)), "full")
      assert.strictEqual(stream.bufferedAmount(), 65_537)
      yield* settle
      assert.deepStrictEqual(log, [])
      yield* peer.resume
      yield* settle
      assert.deepStrictEqual(log, ["drain"])
      assert.strictEqual(stream.bufferedAmount(), 0)
      assert.strictEqual((yield* peer.read).length, 65_537)
    })
  )

  it.effect("that destroys its stream ends the other's, and resets what still comes", () =>
    Effect.gen(function* () {
      const { stream, peer, log } = yield* pair
      yield* peer.write(bytes(1))
      yield* peer.destroy
      yield* peer.closed
      yield* settle
      assert.deepStrictEqual(log, ["01", "end"])
      stream.write(bytes(2))
      yield* settle
      assert.deepStrictEqual(log, ["01", "end", "closed with an error"])
    })
  )

  it.effect("may write before the other end is attached: nothing is lost", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      yield* peer.write(bytes(1))
      yield* peer.end
      yield* settle
      const log: Array<string> = []
      stream.attach({
        data: (data) => void log.push(hex(data)),
        end: () => void log.push("end"),
        drain: () => {},
        closed: () => void log.push("closed")
      })
      yield* settle
      assert.deepStrictEqual(log, ["01", "end"])
    })
  )
})
