import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, TestClock } from "effect"
import { type Connection, ConnectionClosed } from "effect-websockets"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, plain, settle } from "./support.js"

const normal = { code: 1000, reason: "" }
const roles = ["server", "client"] as const

describe("L6, D5: an end that is not agreed", () => {
  it.scoped.each(roles)("the peer's end of stream without a Close, for a %s", (role) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open(role)
      yield* peer.end
      const closed = yield* connection.closed
      assert.deepStrictEqual(closed.closure, {
        sent: undefined,
        received: undefined,
        initiator: "remote",
        cause: { _tag: "EndOfStream" }
      })
      assert.strictEqual(closed.message, "the peer's stream ended without a close frame")
      assert.strictEqual(ConnectionClosed.code(closed), 1006)
      assert.isFalse(ConnectionClosed.isClean(closed))
    })
  )

  it.scoped("the peer's end of stream after our Close", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("client")
      const closing = yield* Effect.fork(connection.close())
      yield* settle
      yield* peer.end
      assert.strictEqual(
        (yield* Fiber.join(closing)).message,
        "we closed with 1000; peer sent no close frame; the peer's stream ended without a close frame"
      )
    })
  )

  it.scoped("a transport that is cut", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* open("server")
      yield* wire.cut
      const closed = yield* connection.closed
      assert.strictEqual(closed.closure.cause?._tag, "TransportError")
      assert.strictEqual(closed.message, "lost the connection to memory: the wire was cut")
      assert.strictEqual(ConnectionClosed.code(closed), 1006)
    })
  )

  it.scoped("a transport that is cut behind messages: they stay readable", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* open("server")
      yield* peer.write(masked(Frame.text("a"), Frame.text("b")))
      yield* settle
      yield* wire.cut
      yield* connection.closed
      assert.deepStrictEqual(yield* connection.receiveAll, ["a", "b"])
    })
  )

  it.scoped("a transport that is cut when all was said does not matter", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* open("server")
      yield* peer.write(masked(Frame.close(normal)))
      yield* settle
      yield* wire.cut
      assert.isTrue(ConnectionClosed.isClean(yield* connection.closed))
    })
  )

  const violations: ReadonlyArray<readonly [string, Uint8Array, Connection.ConnectionOptions, number, string]> = [
    ["a reserved opcode", Uint8Array.from([0x83, 0x80]), {}, 1002, "reserved opcode 3"],
    ["a frame without a mask", plain(Frame.text("a")), {}, 1002, "frame of a client without a mask"],
    [
      "text that is not UTF-8",
      masked(Frame.make(Frame.Opcode.Text, Uint8Array.from([0xff]))),
      {},
      1007,
      "text message that is not UTF-8"
    ],
    [
      "a Close with an invalid code",
      masked(Frame.make(Frame.Opcode.Close, Uint8Array.from([0, 1]))),
      {},
      1002,
      "close frame with invalid code 1"
    ],
    [
      "a message above maxMessageSize",
      masked(Frame.text("abcdef")),
      { maxMessageSize: 5 },
      1009,
      "6 bytes exceed maxMessageSize (5 bytes)"
    ],
    [
      "fragments above maxMessageSize",
      masked({ ...Frame.text("abc"), fin: false }, Frame.make(Frame.Opcode.Continuation, new Uint8Array(3))),
      { maxMessageSize: 5, maxFrameSize: 10 },
      1009,
      "6 bytes exceed maxMessageSize (5 bytes)"
    ],
    [
      "a frame above maxFrameSize",
      masked(Frame.text("abcdef")),
      { maxFrameSize: 5 },
      1009,
      "6 bytes exceed maxFrameSize (5 bytes)"
    ],
    [
      "more than maxFragments",
      masked(
        { ...Frame.text(""), fin: false },
        { ...Frame.make(Frame.Opcode.Continuation, new Uint8Array(0)), fin: false },
        Frame.make(Frame.Opcode.Continuation, new Uint8Array(0))
      ),
      { maxFragments: 2 },
      1008,
      "more than maxFragments (2) frames"
    ]
  ]
  it.scoped.each(violations)("%s", ([, bytes, options, code, reason]) =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* open("server", options)
      yield* peer.write(bytes)
      yield* settle
      assert.strictEqual(hex(yield* wire.sentByServer), hex(plain(Frame.close({ code, reason }))))
      assert.strictEqual((yield* connection.state)._tag, "Draining")
      yield* peer.end
      const closed = yield* connection.closed
      assert.deepStrictEqual(closed.closure, {
        sent: { code, reason },
        received: undefined,
        initiator: "local",
        cause: { _tag: "Violation", violation: { _tag: "Violation", code, reason } }
      })
      assert.strictEqual(
        closed.message,
        `we closed with ${code} ${reason}; peer sent no close frame; the peer broke the protocol: ${reason}`
      )
      assert.strictEqual(ConnectionClosed.code(closed), 1006)
    })
  )

  it.scoped("what limits allow passes: a message, a frame and fragments of exactly that", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server", { maxMessageSize: 6, maxFrameSize: 3, maxFragments: 2 })
      const { Continuation } = Frame.Opcode
      yield* peer.write(
        masked({ ...Frame.binary(new Uint8Array(3)), fin: false }, Frame.make(Continuation, new Uint8Array(3)))
      )
      assert.deepStrictEqual(yield* connection.receive, new Uint8Array(6))
    })
  )

  it.scoped("the default limits: a message of 1 MiB passes, and one byte more does not", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* peer.write(masked(Frame.binary(new Uint8Array(1_048_576))))
      assert.strictEqual((yield* connection.receiveBytes).length, 1_048_576)
      yield* peer.write(masked(Frame.binary(new Uint8Array(1_048_577))))
      yield* settle
      yield* peer.end
      const reason = "1048577 bytes exceed maxMessageSize (1048576 bytes)"
      assert.deepStrictEqual((yield* connection.closed).closure.sent, { code: 1009, reason })
    })
  )
})

describe("L6: what there was of a connection", () => {
  it.scoped("is told with its end: how long it was open, and the bytes of its frames both ways", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const received = masked(Frame.text("Hello"), Frame.ping())
      yield* peer.write(received)
      yield* connection.receive
      yield* connection.send("World")
      yield* TestClock.adjust("1500 millis")
      const close = masked(Frame.close(normal))
      yield* peer.write(close)
      yield* settle
      const error = yield* Effect.flip(connection.receive)
      assert.strictEqual(error._tag, "ConnectionClosed")
      if (error._tag !== "ConnectionClosed") return
      // What the transport still does says nothing of the connection.
      yield* TestClock.adjust("2 seconds")
      yield* peer.end
      const { traffic } = yield* connection.closed
      assert.deepStrictEqual(traffic, error.traffic)
      const sent = plain(Frame.pong(), Frame.text("World"), Frame.close(normal))
      assert.deepStrictEqual(traffic, {
        duration: Duration.millis(1500),
        bytesReceived: received.length + close.length,
        bytesSent: sent.length
      })
    })
  )
})
