import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Connection, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Frame, Testing } from "effect-websockets/testing"

const echo = (connection: Connection.Connection) => Connection.runForEach(connection, connection.send)

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

/** What an endpoint answers to frames that may not be sent: code and reason of its close frame. */
const forbidden: ReadonlyArray<readonly [string, ReadonlyArray<Frame.Frame>, Testing.PeerSendOptions, number, string]> =
  [
    [
      "reserved bits",
      [{ ...Frame.text("a"), rsv: 2 }],
      {},
      1002,
      "reserved bits set without an extension that uses them"
    ],
    ["a reserved opcode", [Frame.make(3)], {}, 1002, "reserved opcode 3"],
    ["a reserved opcode of control frames", [Frame.make(11)], {}, 1002, "reserved opcode 11"],
    ["a fragmented ping", [{ ...Frame.ping(), fin: false }], {}, 1002, "fragmented control frame"],
    ["a long ping", [Frame.ping("x".repeat(126))], {}, 1002, "control frame longer than 125 bytes"],
    ["a continuation of nothing", [Frame.continuation("a")], {}, 1002, "continuation without a message to continue"],
    [
      "a message inside of another",
      [{ ...Frame.text("a"), fin: false }, Frame.text("b")],
      {},
      1002,
      "new message inside of a fragmented one"
    ],
    ["a close code out of range", [Frame.close(999)], {}, 1002, "close frame with invalid code 999"],
    ["a close code that never stands there", [Frame.close(1006)], {}, 1002, "close frame with invalid code 1006"],
    ["half a close code", [Frame.make(8, bytes(3))], {}, 1002, "close frame with half a close code"],
    [
      "a reason that is no UTF-8",
      [Frame.close(1000, bytes(0xff))],
      {},
      1007,
      "close frame with a reason that is not UTF-8"
    ],
    ["text that is no UTF-8", [Frame.text(bytes(0xc3, 0x28))], {}, 1007, "text message that is not UTF-8"],
    ["a length in too many bytes", [Frame.text("a")], { lengthForm: 64 }, 1002, "length not in its shortest form"],
    ["a length above 2^63", [Frame.text("a")], { announced: 1n << 63n, lengthForm: 64 }, 1002, "length above 2^63"],
    ["a frame that announces too much", [Frame.text("")], { announced: 1_048_577 }, 1009, "1048577"]
  ]

const answers = (peer: Testing.Peer, frames: ReadonlyArray<Frame.Frame>, options: Testing.PeerSendOptions) =>
  Effect.zipRight(peer.send(frames, options), peer.receive)

const assertClose = (frame: Frame.Frame, code: number, reason: string) => {
  assert.strictEqual(frame.opcode, 8)
  assert.strictEqual((frame.payload[0]! << 8) | frame.payload[1]!, code)
  assert.include(new TextDecoder().decode(frame.payload.subarray(2)), reason)
}

describe("L11: a peer of frames against a handler", () => {
  it.scoped.each([
    ...forbidden,
    ["no mask", [Frame.text("a")], { maskingKey: "none" }, 1002, "frame of a client without a mask"] as const
  ])("may send what is forbidden: %s", ([, frames, options, code, reason]) =>
    Effect.gen(function* () {
      const peer = yield* Testing.connectPeer(echo)
      assertClose(yield* answers(peer, frames, options), code, reason)
      assert.strictEqual(yield* Effect.flip(peer.receive).pipe(Effect.map(({ _tag }) => _tag)), "EndOfStream")
    })
  )

  it.scoped("has done the opening handshake, with what the client says in it", () =>
    Effect.gen(function* () {
      const peer = yield* Testing.connectPeer(
        ({ handshake, send }) => send(`${handshake.request.target} ${handshake.request.headers.join(" ")}`),
        {
          target: "/a?b",
          client: { subprotocols: ["x"], headers: { "X-User": "Ada" } },
          server: { subprotocols: ["x"] }
        }
      )
      const said = new TextDecoder().decode((yield* peer.receive).payload)
      for (const part of ["/a?b ", "X-User,Ada", "Sec-WebSocket-Protocol,x"]) assert.include(said, part)
    })
  )

  it.scoped("fails where the server refuses, and where nothing can be asked for", () =>
    Effect.gen(function* () {
      const refused = yield* Effect.flip(Testing.connectPeer(echo, { server: { subprotocols: ["x"] } }))
      assert.include(refused.message, "the server answered with status 400: A subprotocol is needed")
      const option = yield* Effect.flip(Testing.connectPeer(echo, { client: { headers: { Host: "x" } } }))
      assert.include(option.message, "the option headers has Host")
      const uri = yield* Effect.flip(Testing.connectPeer(echo, { target: "/#fragment" }))
      assert.strictEqual(uri._tag, "InvalidUri")
    })
  )

  it.scoped("masks with the RFC's key unless told otherwise, and speaks bytes beside frames", () =>
    Effect.gen(function* () {
      const peer = yield* Testing.connectPeer(echo)
      const wire = yield* Testing.wireOf(peer)
      yield* peer.send(Frame.text("Hello"))
      assert.deepStrictEqual(yield* peer.receive, Frame.text("Hello"))
      yield* peer.write(Frame.serialize(Frame.ping("1"), { maskingKey: 5 }))
      assert.deepStrictEqual(yield* peer.read, Frame.serialize(Frame.pong("1")))
      const keys = (yield* wire.recording).flatMap((recorded) =>
        recorded._tag === "Frame" ? [recorded.maskingKey] : []
      )
      assert.deepStrictEqual(keys, [0x37fa213d, undefined, 5, undefined])
    })
  )

  it.effect("keeps nobody waiting when its scope is left, whatever it has not answered", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<unknown>()
      yield* Effect.scoped(
        Testing.connectPeer(({ closed }) => Effect.onExit(closed, (exit) => Deferred.succeed(ended, exit)), {
          faults: { toClient: { bytesPerSecond: 1 } }
        })
      )
      assert.isTrue(yield* Deferred.isDone(ended))
    })
  )
})

describe("L11: a server of frames against a client", () => {
  it.scoped.each([
    ...forbidden,
    ["a mask", [Frame.text("a")], { maskingKey: 1 }, 1002, "frame of a server with a mask"] as const
  ])("may send what is forbidden: %s", ([, frames, options, code, reason]) =>
    Effect.gen(function* () {
      const answered = yield* Deferred.make<Frame.Frame, Testing.EndOfStream>()
      const server = Testing.layerPeer((peer) => Effect.intoDeferred(answers(peer, frames, options), answered))
      const error = yield* WebSocketClient.connect("ws://memory").pipe(
        Effect.flatMap(({ receive }) => Effect.flip(receive)),
        Effect.provide(Testing.layerServer(server))
      )
      assertClose(yield* Deferred.await(answered), code, reason)
      assert.include(error.message, reason)
    })
  )

  it.scoped("runs the script for each client, and ends its side behind it", () =>
    Effect.gen(function* () {
      for (const name of ["a", "b"]) {
        const connection = yield* WebSocketClient.connect(`ws://memory/${name}`, { subprotocols: ["x"] })
        assert.strictEqual(connection.handshake.subprotocol._tag, "Some")
        yield* connection.send(name)
        assert.strictEqual(yield* connection.receive, name)
        assert.include((yield* connection.closed).message, "the peer's stream ended without a close frame")
      }
    }).pipe(
      Effect.provide(
        Testing.layerServer(
          Testing.layerPeer((peer) => Effect.flatMap(peer.receive, ({ payload }) => peer.send(Frame.text(payload))), {
            subprotocols: ["x"]
          })
        )
      )
    )
  )

  it.scoped("refuses what is no request for a WebSocket of its own", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Testing.request("/")).status, 426)
      const error = yield* Effect.flip(WebSocketClient.connect("ws://memory"))
      assert.include(error.message, "A subprotocol is needed")
    }).pipe(Effect.provide(Testing.layerServer(Testing.layerPeer(() => Effect.never, { subprotocols: ["x"] }))))
  )

  const released = (script: (peer: Testing.Peer) => Effect.Effect<unknown, unknown>) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Testing.layerServer(Testing.layerPeer(script)), scope)
      const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory"), context)
      yield* connection.send("a")
      yield* Testing.settle
      const exit = yield* Effect.exit(Scope.close(scope, Exit.void))
      yield* connection.closed
      return Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "fine"
    })

  it.scoped("that fails makes the release of its layer fail, and an end of the client's stream is no failure", () =>
    Effect.gen(function* () {
      assert.include(yield* released(() => Effect.fail(new Error("as expected"))), "as expected")
      assert.include(yield* released(() => Effect.sync(() => assert.fail("a defect"))), "a defect")
      assert.include(
        yield* released(() => {
          throw new Error("thrown")
        }),
        "thrown"
      )
      assert.strictEqual(yield* released((peer) => Effect.forever(peer.receive)), "fine")
      assert.strictEqual(yield* released(() => Effect.void), "fine")
    })
  )

  it.scoped("is interrupted when its layer is released, with what it holds, and its client is cut", () =>
    Effect.gen(function* () {
      let finalized = 0
      const script = () =>
        Effect.zipRight(
          Effect.addFinalizer(() => Effect.sync(() => finalized++)),
          Effect.never
        )
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Testing.layerServer(Testing.layerPeer(script)), scope)
      const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory"), context)
      yield* Testing.settle
      assert.strictEqual(finalized, 0)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(finalized, 1)
      yield* connection.closed
    })
  )
})

describe("L11: a peer", () => {
  it.scoped("receives frames one by one, and what is left of bytes is for read", () =>
    Effect.gen(function* () {
      const { peer, stream } = yield* Testing.makePair
      stream.attach({ data: () => {}, end: () => {}, drain: () => {}, closed: () => {} })
      const receiving = yield* Effect.fork(peer.receive)
      yield* Testing.settle
      yield* Fiber.interrupt(receiving)
      const waiting = yield* Effect.fork(peer.receive)
      stream.write(bytes(0x81, 2, 0x61))
      yield* Testing.settle
      assert.isNull(waiting.unsafePoll())
      stream.write(bytes(0x62, 0x89, 0, 0x82))
      assert.deepStrictEqual(yield* Fiber.join(waiting), Frame.text("ab"))
      assert.deepStrictEqual(yield* peer.receive, Frame.ping())
      stream.end()
      assert.strictEqual((yield* Effect.flip(peer.receive))._tag, "EndOfStream")
      assert.deepStrictEqual(yield* peer.read, bytes(0x82))
    })
  )

  it.scoped("of a pair for a client's connection is its server: it masks nothing", () =>
    Effect.gen(function* () {
      const { peer, stream, wire } = yield* Testing.makePairFor("client")
      const connection = yield* Connection.make("client", stream)
      yield* peer.send(Frame.text("a"))
      assert.strictEqual(yield* connection.receive, "a")
      yield* connection.send("b")
      assert.deepStrictEqual(yield* peer.receive, Frame.text("b"))
      assert.deepStrictEqual(yield* wire.transcript, [
        'server → client  TEXT "a" [1 bytes]',
        'client → server  TEXT "b" [1 bytes]'
      ])
      yield* peer.destroy
    })
  )
})

describe("L11: dial and request", () => {
  const server = Testing.layerServer(WebSocketServer.layer(echo))

  it.scoped("several clients and peers have one server", () =>
    Effect.gen(function* () {
      const peers = [yield* Testing.dial("/a"), yield* Testing.dial()]
      const connection = yield* WebSocketClient.connect("ws://memory/c")
      for (const peer of peers) {
        yield* peer.send(Frame.text("x"))
        assert.deepStrictEqual(yield* peer.receive, Frame.text("x"))
      }
      yield* connection.send("y")
      assert.strictEqual(yield* connection.receive, "y")
      const { dials } = yield* Testing.Network
      assert.deepStrictEqual(
        (yield* dials).map(({ request }) => request.target),
        ["/a", "/", "/c"]
      )
    }).pipe(Effect.provide(server))
  )

  it.scoped("a request for a WebSocket is no page: that is a defect", () =>
    Effect.gen(function* () {
      const { headers } = (yield* WebSocketClient.connect("ws://memory")).handshake.request
      const exit = yield* Effect.exit(Testing.request("/", { headers: headers.slice(1) }))
      assert.include(Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty), "use Testing.dial")
    }).pipe(Effect.provide(server))
  )

  it.scoped("a wire is known of no other peer", () =>
    Effect.gen(function* () {
      const peer: Testing.Peer = { ...(yield* Testing.makePair).peer }
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Testing.wireOf(peer))))
    })
  )
})
