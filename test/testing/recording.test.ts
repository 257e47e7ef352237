import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Connection, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Frame, Testing } from "effect-websockets/testing"

const echo = (connection: Connection.Connection) => Connection.runForEach(connection, connection.send)

/** A recorded frame in short: who, what, when it was sent and when it arrived. */
const short = (recording: ReadonlyArray<Testing.Recorded>) =>
  recording.flatMap((recorded) =>
    recorded._tag === "Frame"
      ? [[recorded.from, Frame.show(recorded.frame), recorded.sentAt, recorded.arrivedAt] as const]
      : []
  )

describe("L11: a recording", () => {
  it.scoped("has both handshakes' values, frames and ends, each with its time", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(echo, {
        target: "/room?name=1",
        client: { headers: { "X-User": "Ada" } }
      })
      const wire = yield* Testing.wireOf(connection)
      yield* Testing.pass("5 millis")
      yield* connection.send("a")
      yield* connection.receive
      yield* connection.close()
      const [request, response, ...frames] = yield* wire.recording
      assert(request?._tag === "Request" && response?._tag === "Response")
      assert.deepStrictEqual(request, {
        _tag: "Request",
        from: "client",
        request: connection.handshake.request,
        sentAt: 0,
        arrivedAt: 0
      })
      assert.deepInclude(request.request.headers, ["X-User", "Ada"])
      assert.strictEqual(response.response.status, 101)
      assert.deepStrictEqual(response.response.headers, connection.handshake.response.headers)
      assert.deepStrictEqual(frames, [
        { _tag: "Frame", from: "client", frame: Frame.text("a"), maskingKey: 1, sentAt: 5, arrivedAt: 5 },
        { _tag: "Frame", from: "server", frame: Frame.text("a"), maskingKey: undefined, sentAt: 5, arrivedAt: 5 },
        { _tag: "Frame", from: "client", frame: Frame.close(1000), maskingKey: 2, sentAt: 5, arrivedAt: 5 },
        { _tag: "Frame", from: "server", frame: Frame.close(1000), maskingKey: undefined, sentAt: 5, arrivedAt: 5 },
        { _tag: "End", from: "server", sentAt: 5, arrivedAt: 5 },
        { _tag: "End", from: "client", sentAt: 5, arrivedAt: 5 }
      ])
      assert.deepStrictEqual(yield* wire.framesOfClient, [Frame.text("a"), Frame.close(1000)])
      assert.deepStrictEqual(yield* wire.framesOfServer, [Frame.text("a"), Frame.close(1000)])
    }).pipe(Effect.provide(Testing.layerKeys))
  )

  it.scoped("tells when a frame arrived, or that it is on its way", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(echo)
      const wire = yield* Testing.wireOf(connection)
      yield* wire.toServer.delay("100 millis")
      yield* connection.send("a")
      yield* Testing.pass("60 millis")
      const during = yield* wire.recording
      assert.deepStrictEqual(short(during), [["client", 'TEXT "a" [1 bytes]', 0, undefined]])
      yield* Testing.pass("40 millis")
      assert.deepStrictEqual(short(yield* wire.recording), [
        ["client", 'TEXT "a" [1 bytes]', 0, 100],
        ["server", 'TEXT "a" [1 bytes]', 100, 100]
      ])
      // What was given before stays as it was.
      assert.deepStrictEqual(short(during), [["client", 'TEXT "a" [1 bytes]', 0, undefined]])
    })
  )

  it.scoped("has a frame whose bytes came one by one at the time of the last", () =>
    Effect.gen(function* () {
      const { peer, stream, wire } = yield* Testing.makePair
      const bytes = Frame.serialize(Frame.text("ab"), { maskingKey: 7 })
      stream.attach({ data: () => {}, end: () => {}, drain: () => {}, closed: () => {} })
      for (const byte of bytes) {
        yield* Testing.pass("1 millis")
        yield* peer.write(Uint8Array.of(byte))
      }
      yield* Testing.settle
      assert.deepStrictEqual(yield* wire.recording, [
        {
          _tag: "Frame",
          from: "client",
          frame: Frame.text("ab"),
          maskingKey: 7,
          sentAt: bytes.length,
          arrivedAt: bytes.length
        }
      ])
    })
  )

  it.scoped("has what is lost, half frames too, and the cut", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* opened
      yield* peer.send(Frame.ping("a"))
      yield* Testing.settle
      yield* wire.toServer.stall
      yield* peer.send(Frame.text("lost"))
      yield* peer.write(Uint8Array.of(0x81, 0x85, 1))
      const before = yield* wire.transcript
      yield* wire.cut
      yield* connection.closed
      const lines = [
        'client → server  PING "a" [1 bytes]',
        'server → client  PONG "a" [1 bytes]',
        'client → server  TEXT "lost" [4 bytes]',
        "client → server  81 85 01 [3 bytes, no whole frame]"
      ]
      assert.deepStrictEqual(before, lines)
      assert.deepStrictEqual(yield* wire.transcript, [...lines, "the wire was cut"])
      const arrivals = (yield* wire.recording).flatMap((recorded) =>
        recorded._tag === "Cut" ? [] : [recorded.arrivedAt]
      )
      assert.deepStrictEqual(arrivals, [0, 0, undefined, undefined])
    })
  )

  it.scoped("has a half frame before the end of its side, as it has arrived", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* opened
      yield* peer.write(Uint8Array.of(0x81, 0x85))
      yield* Testing.settle
      yield* peer.end
      yield* connection.closed
      assert.deepStrictEqual((yield* wire.transcript).slice(0, 2), [
        "client → server  81 85 [2 bytes, no whole frame]",
        "client → server  end of stream"
      ])
      assert.deepStrictEqual((yield* wire.recording)[0], {
        _tag: "Bytes",
        from: "client",
        sentAt: 0,
        arrivedAt: 0,
        bytes: Uint8Array.of(0x81, 0x85)
      })
    })
  )

  it.scoped("says of a mask what is wrong, and of reserved bits and opcodes what stands there", () =>
    Effect.gen(function* () {
      const { peer, stream, wire } = yield* Testing.makePair
      yield* peer.send({ ...Frame.text("a"), rsv: 4 }, { maskingKey: "none" })
      stream.write(Frame.serialize(Frame.make(3, "b"), { maskingKey: 0x01020304 }))
      assert.deepStrictEqual(yield* wire.transcript, [
        "client → server  TEXT 61 [1 bytes, RSV 4, unmasked]",
        'server → client  OPCODE 3 "b" [1 bytes, masked]'
      ])
    })
  )

  it.scoped("has requests that are refused, and pages", () =>
    Effect.gen(function* () {
      const network = yield* Testing.Network
      yield* Effect.flip(WebSocketClient.connect("ws://memory/a b"))
      yield* Testing.request("/page")
      const transcripts = yield* Effect.forEach(yield* network.wires, ({ transcript }) => transcript)
      assert.deepStrictEqual(
        transcripts.map((lines) => lines.slice(0, 2)),
        [
          ["client → server  GET /a%20b HTTP/1.1", "server → client  HTTP/1.1 400"],
          ["client → server  GET /page HTTP/1.1", "server → client  HTTP/1.1 426"]
        ]
      )
    }).pipe(Effect.provide(Testing.layerServer(WebSocketServer.layer(echo, { subprotocols: ["needed"] }))))
  )
})

/** A server's connection, and the peer at its other end. */
const opened = Effect.gen(function* () {
  const { peer, stream, wire } = yield* Testing.makePair
  const connection = yield* Connection.make("server", stream)
  yield* Effect.addFinalizer(() => peer.destroy)
  return { connection, peer, wire }
})
