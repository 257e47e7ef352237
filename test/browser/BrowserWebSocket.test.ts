import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Chunk,
  Duration,
  Effect,
  Exit,
  Fiber,
  type Layer,
  Option,
  Redacted,
  Scope,
  Stream,
  TestClock,
  TestContext
} from "effect"
import { Connection, ConnectionClosed, HandshakeError, WebSocketClient } from "effect-websockets"
import { BrowserWebSocket } from "effect-websockets/browser"
import { defaults } from "../../src/settings.js"
import { begun, makeFakes, openFake, settle } from "./fake.js"

/** A browser's client over a WebSocket whose every event is the test's, under virtual time. */

const isPending = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) => Effect.map(Fiber.poll(fiber), Option.isNone)

const failing = (options: WebSocketClient.ConnectOptions, uri = "ws://server/path") =>
  Effect.gen(function* () {
    const { layer, sockets } = makeFakes()
    const error = yield* WebSocketClient.connect(uri, options).pipe(Effect.scoped, Effect.provide(layer), Effect.flip)
    assert.lengthOf(sockets, 0, "nothing is sent")
    return error
  })

describe("opening", () => {
  it.scoped("gives the constructor the URI and the subprotocols, and asks for ArrayBuffers", () =>
    Effect.gen(function* () {
      const { layer, sockets } = makeFakes()
      const connect = WebSocketClient.connect("wss://server:8443/chat?room=1", { subprotocols: ["soap", "chat"] })
      const connecting = yield* begun(Effect.provide(connect, layer))
      const [socket] = sockets
      assert.deepInclude(socket, { url: "wss://server:8443/chat?room=1", protocols: ["soap", "chat"] })
      assert.strictEqual(socket?.binaryType, "arraybuffer")
      assert.isTrue(yield* isPending(connecting))
      socket?.opens("chat", "permessage-deflate; client_max_window_bits=15")
      const { handshake, role } = yield* Fiber.join(connecting)
      assert.strictEqual(role, "client")
      assert.deepStrictEqual(handshake, {
        request: { method: "GET", target: "/chat?room=1", version: "1.1", headers: [] },
        response: { status: 101, headers: [] },
        subprotocol: Option.some("chat"),
        extensions: [{ name: "permessage-deflate", parameters: [{ name: "client_max_window_bits", value: "15" }] }]
      })
      socket?.breaks()
    })
  )

  it.scoped("loses no message that comes with the open event, nor the end behind it", () =>
    Effect.gen(function* () {
      const { layer, sockets } = makeFakes()
      const connecting = yield* begun(Effect.provide(WebSocketClient.connect("ws://server"), layer))
      sockets[0]?.opens()
      sockets[0]?.receives("first", [1, 2])
      sockets[0]?.closed(1000)
      const connection = yield* Fiber.join(connecting)
      assert.strictEqual(yield* connection.receiveText, "first")
      assert.deepStrictEqual(yield* connection.receiveBytes, Uint8Array.of(1, 2))
      assert.isTrue(ConnectionClosed.isClean(yield* connection.closed))
    })
  )

  it.scoped("fails with what the runtime says, which in a browser is nothing", () =>
    Effect.gen(function* () {
      const { layer, sockets } = makeFakes()
      const ways = [
        [{}, /does not say which/],
        [{ message: "Received network error" }, /the runtime says: Received network error$/],
        [{ error: new Error("not\u001b101") }, /the runtime says: not\\u001b101$/]
      ] as const
      for (const [event, sentence] of ways) {
        const connect = Effect.scoped(WebSocketClient.connect("ws://server/path?token=secret"))
        const connecting = yield* begun(Effect.flip(Effect.provide(connect, layer)))
        sockets.at(-1)?.fails(event)
        const error = yield* Fiber.join(connecting)
        assert.instanceOf(error, HandshakeError)
        assert.match(error.message, sentence)
        assert.match(error.message, /^cannot open a WebSocket to ws:\/\/server\/path: the server cannot be reached/)
      }
    })
  )

  it.scoped("fails where a runtime tells of an error and of no end, or of an end and of no error", () =>
    Effect.gen(function* () {
      const { layer, sockets } = makeFakes()
      const attempt = begun(Effect.flip(Effect.provide(Effect.scoped(WebSocketClient.connect("ws://server")), layer)))
      const first = yield* attempt
      sockets[0]?.errs({ message: "no answer" })
      assert.match((yield* Fiber.join(first)).message, /the runtime says: no answer$/)
      const second = yield* attempt
      sockets[1]?.closed(1002, "Expected 101 status code")
      assert.match((yield* Fiber.join(second)).message, /the runtime says: Expected 101 status code$/)
    })
  )

  it.scoped("gives up after openTimeout, and closes the socket", () =>
    Effect.gen(function* () {
      const { layer, sockets } = makeFakes()
      const connect = WebSocketClient.connect("ws://server", { openTimeout: "3 seconds" })
      const connecting = yield* begun(Effect.flip(Effect.provide(connect, layer)))
      yield* TestClock.adjust("2999 millis")
      assert.isTrue(yield* isPending(connecting))
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(connecting)
      assert.deepStrictEqual(error._tag === "HandshakeError" && error.reason, { _tag: "Timeout", milliseconds: 3000 })
      assert.deepStrictEqual(sockets[0]?.closes, [[undefined, undefined]])
      // What still comes is heard by nobody.
      sockets[0]?.fails()
    })
  )

  it.scoped("closes the socket when it is interrupted, be it in the step in which it opens", () =>
    Effect.gen(function* () {
      const { layer, sockets } = makeFakes()
      const connect = Effect.scoped(Effect.zipRight(WebSocketClient.connect("ws://server"), Effect.never))
      const early = yield* begun(Effect.provide(connect, layer))
      yield* Fiber.interrupt(early)
      const sameStep = yield* begun(Effect.provide(connect, layer))
      sockets[1]?.opens()
      yield* Fiber.interruptFork(sameStep)
      yield* settle
      assert.lengthOf(sockets[0]?.closes ?? [], 1)
      assert.lengthOf(sockets[1]?.closes ?? [], 1)
      sockets[1]?.closed(1000)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(sameStep)))
    })
  )

  it.scoped("refuses a server that chose none of the subprotocols, where the runtime does not", () =>
    Effect.gen(function* () {
      const { layer, sockets } = makeFakes()
      const connect = WebSocketClient.connect("ws://server", { subprotocols: ["soap", "chat"] })
      const connecting = yield* begun(Effect.flip(Effect.provide(connect, layer)))
      sockets[0]?.opens()
      const error = yield* Fiber.join(connecting)
      assert.strictEqual(
        error.message,
        "cannot open a WebSocket to ws://server/: the server's header Sec-WebSocket-Protocol is missing: the server speaks none of soap, chat"
      )
      assert.lengthOf(sockets[0]?.closes ?? [], 1)
    })
  )

  it.effect("fails where the runtime has no WebSocket, or its constructor throws", () =>
    Effect.gen(function* () {
      const failure = (layer: Layer.Layer<WebSocketClient.WebSocketClient>) =>
        WebSocketClient.connect("ws://server:81").pipe(Effect.scoped, Effect.provide(layer), Effect.flip)
      const forbidden = class {
        constructor() {
          throw new DOMException("insecure from a page that is secure", "SecurityError")
        }
      } as unknown as BrowserWebSocket.WebSocketConstructor
      assert.deepInclude(yield* failure(BrowserWebSocket.layer({ webSocket: forbidden })), {
        _tag: "TransportError",
        code: "SecurityError",
        message: "cannot connect to server:81: insecure from a page that is secure"
      })
      const own = Object.getOwnPropertyDescriptor(globalThis, "WebSocket")
      Object.defineProperty(globalThis, "WebSocket", { value: undefined, configurable: true })
      const error = yield* failure(BrowserWebSocket.layer())
      if (own === undefined) Reflect.deleteProperty(globalThis, "WebSocket")
      else Object.defineProperty(globalThis, "WebSocket", own)
      assert.deepInclude(error, { _tag: "TransportError", code: "ERR_CONNECTOR_OPTION" })
    })
  )
})

describe("what a browser cannot do", () => {
  const asked: ReadonlyArray<readonly [option: string, options: WebSocketClient.ConnectOptions]> = [
    ["headers", { headers: { Authorization: Redacted.make("secret") } }],
    ["origin", { origin: "https://a.example" }],
    ["userAgent", { userAgent: "ours" }],
    ["compression", { compression: true }],
    ["compression", { compression: false }],
    ["extensions", { extensions: [{ name: "x", offers: [], answer: () => undefined, accept: () => undefined }] }],
    ["maxRedirects", { maxRedirects: 3 }],
    ["subprotocols", { subprotocols: ["a b"] }],
    ["pingInterval", { pingInterval: "20 seconds" }],
    ["pingTimeout", { pingTimeout: "20 seconds" }],
    ["messageTimeout", { messageTimeout: "20 seconds" }],
    ["maxFrameSize", { maxFrameSize: 1000 }],
    ["maxFragments", { maxFragments: 10 }],
    ["maxPingsPerSecond", { maxPingsPerSecond: 10 }],
    ["maxMessagesPerSecond", { maxMessagesPerSecond: 10 }],
    ["maxBytesPerSecond", { maxBytesPerSecond: 10 }],
    ["receiveHighWaterMark", { receiveHighWaterMark: 10 }]
  ]

  it.effect.each(asked)("is a typed error before anything is sent: %s", ([option, options]) =>
    Effect.gen(function* () {
      const error = yield* failing(options)
      assert.deepInclude(error._tag === "HandshakeError" && error.reason, { _tag: "InvalidOption", option })
      assert.match(error.message, new RegExp(`the option ${option} (cannot be|must be)`))
      assert.notInclude(error.message, "secret")
    })
  )

  it.effect("knows every option there is, so that none is left out in silence", () =>
    Effect.sync(() => {
      const can = ["closeTimeout", "sendHighWaterMark"]
      const known = asked.map(([option]) => option)
      assert.sameMembers(
        Object.keys(defaults).filter((name) => !known.includes(name)),
        can
      )
    })
  )

  it.scoped("is not asked for by options that turn something off, or say nothing", () =>
    Effect.gen(function* () {
      const { connection } = yield* openFake({
        headers: {},
        extensions: [],
        origin: undefined,
        maxRedirects: 0,
        pingInterval: Duration.infinity,
        pingTimeout: Duration.infinity,
        messageTimeout: Duration.infinity,
        maxFragments: Number.POSITIVE_INFINITY,
        receiveHighWaterMark: Number.POSITIVE_INFINITY
      })
      assert.strictEqual((yield* connection.state)._tag, "Open")
    })
  )

  it.effect("is user information in a URI, which is not shown", () =>
    Effect.gen(function* () {
      const error = yield* failing({}, "ws://ada:secret@server/path")
      assert.strictEqual(error._tag, "InvalidUri")
      assert.notInclude(error.message, "secret")
      assert.strictEqual((yield* failing({}, "http://server"))._tag, "InvalidUri")
    })
  )

  it.scoped("is pings and pongs, as the capabilities of client and connection say", () =>
    Effect.gen(function* () {
      const { connection } = yield* openFake()
      const { capabilities } = yield* Effect.provide(WebSocketClient.WebSocketClient, makeFakes().layer)
      assert.strictEqual(connection.capabilities, capabilities)
      assert.isFalse(capabilities.ping)
      const error = yield* Effect.flip(connection.ping)
      assert.strictEqual(error._tag, "Unsupported")
      assert.match(error.message, /^ping is not possible here: .* Send a message of your own/)
      assert.strictEqual((yield* Effect.flip(connection.pong()))._tag, "Unsupported")
      assert.deepStrictEqual(yield* connection.latency, Option.none())
      assert.deepStrictEqual([connection.remoteAddress, connection.localAddress], [Option.none(), Option.none()])
    })
  )
})

describe("receiving", () => {
  it.scoped("takes messages one by one, all that are there, and as a stream", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      const waiting = yield* begun(connection.receive)
      socket.receives("a", "b", [1], "c", "d")
      assert.strictEqual(yield* Fiber.join(waiting), "a")
      assert.strictEqual(yield* connection.receiveText, "b")
      assert.strictEqual((yield* Effect.flip(connection.receiveText))._tag, "UnexpectedMessageType")
      assert.deepStrictEqual(yield* connection.receiveAll, ["c", "d"])
      const all = yield* begun(Stream.runCollect(connection.messages))
      socket.receives("e")
      yield* settle
      socket.receives("f")
      socket.closed(1001)
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(all)), ["e", "f"])
    })
  )

  it.scoped("has one reader at a time, and interrupting it loses nothing", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      const first = yield* begun(connection.receive)
      assert.strictEqual((yield* Effect.flip(connection.receive))._tag, "ConcurrencyError")
      // In the step in which a message comes.
      socket.receives("kept")
      yield* Fiber.interrupt(first)
      assert.strictEqual(yield* connection.receive, "kept")
    })
  )

  it.scoped("gives a message in fragments as the one that it is", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      const whole = yield* begun(Stream.runCollect(connection.receiveFragments))
      assert.strictEqual((yield* Effect.flip(connection.receive))._tag, "ConcurrencyError")
      socket.receives("whole", "next")
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(whole)), ["whole"])
      assert.strictEqual(yield* connection.receive, "next")
    })
  )

  it.scoped("runs an effect for each message until the end", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      const seen: Array<unknown> = []
      const loop = yield* begun(Connection.runForEach(connection, (message) => Effect.sync(() => seen.push(message))))
      socket.receives("a", "b")
      yield* settle
      socket.receives("c")
      socket.breaks()
      assert.strictEqual((yield* Effect.flip(Fiber.join(loop)))._tag, "ConnectionClosed")
      assert.deepStrictEqual(seen, ["a", "b", "c"])
    })
  )

  it.scoped("ends where more waits than maxUnread allows, and what was there stays readable", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake({}, { maxUnread: 200 })
      socket.receives("x".repeat(100), "y", "z")
      const reading = yield* begun(Effect.exit(connection.closed))
      socket.closed(4008)
      const { closure } = yield* Effect.flatten(Fiber.join(reading))
      assert.deepStrictEqual(socket.closes, [[4008, "messages of 200 bytes (maxUnread) wait to be taken"]])
      assert.deepInclude(closure, { initiator: "local" })
      assert.deepInclude(closure.cause?._tag === "Violation" && closure.cause.violation, { code: 4008 })
      assert.deepStrictEqual(yield* connection.receiveAll, ["x".repeat(100), "y"])
      assert.match((yield* Effect.flip(connection.receive)).message, /maxUnread/)
    })
  )

  it.scoped("ends at a message above maxMessageSize, which counts bytes of UTF-8", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake({ maxMessageSize: 9, closeTimeout: "3 seconds" })
      socket.receives(
        "aü€👋" /* 1 + 2 + 3 + 4 */
          .slice(0, 3),
        "€€€",
        [1, 2, 3, 4, 5, 6, 7, 8, 9]
      )
      assert.lengthOf(yield* connection.receiveAll, 3)
      socket.receives("👋👋€")
      assert.deepStrictEqual(socket.closes, [[4009, "a message of 11 bytes is above maxMessageSize"]])
      // The peer does not answer: that is not why it ended.
      yield* TestClock.adjust("3 seconds")
      const { closure, traffic } = yield* connection.closed
      assert.strictEqual(closure.cause?._tag, "Violation")
      assert.deepStrictEqual(traffic.duration, Duration.zero)
      assert.match((yield* Effect.flip(connection.receive)).message, /above maxMessageSize/)
    })
  )
})

describe("sending", () => {
  it.scoped("sends text as text and bytes as binary, or as it is told", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      yield* connection.send("text")
      yield* connection.send(Uint8Array.of(1, 2))
      yield* connection.send("é", { type: "binary" })
      yield* connection.send(Uint8Array.of(0xc3, 0xa9), { type: "text" })
      yield* connection.sendAll(["a", Uint8Array.of(3)])
      const shared = new Uint8Array(new SharedArrayBuffer(1))
      yield* connection.send(shared)
      const expected = ["text", Uint8Array.of(1, 2), Uint8Array.of(0xc3, 0xa9), "é", "a", Uint8Array.of(3)]
      assert.deepStrictEqual(socket.sent, [...expected, Uint8Array.of(0)])
      assert.isFalse((socket.sent.at(-1) as Uint8Array).buffer instanceof SharedArrayBuffer)
      assert.strictEqual(yield* connection.bufferedAmount, socket.bufferedAmount)
    })
  )

  it.scoped("sends fragments as one message, and nothing where their stream fails", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      yield* connection.sendFragments(Stream.make("\ud83d", "\udc4b", "!"))
      yield* connection.sendFragments(Stream.make(Uint8Array.of(1), Uint8Array.of(2, 3)))
      yield* connection.sendFragments(Stream.empty)
      const failed = Stream.concat(Stream.make("lost"), Stream.fail("broken"))
      assert.strictEqual(yield* Effect.flip(connection.sendFragments(failed)), "broken")
      const mixed: Stream.Stream<Connection.Message> = Stream.make("a", Uint8Array.of(1))
      const defect = yield* Effect.flip(Effect.sandbox(connection.sendFragments(mixed)))
      assert.match(String(Cause.squash(defect)), /do not mix them/)
      assert.deepStrictEqual(socket.sent, ["👋!", Uint8Array.of(1, 2, 3)])
      assert.strictEqual((yield* connection.state)._tag, "Open")
    })
  )

  it.scoped("waits while bufferedAmount is at sendHighWaterMark, and goes on in order", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake({ sendHighWaterMark: 10 })
      yield* connection.send("x".repeat(10))
      const sending = [yield* begun(connection.send("first")), yield* begun(connection.sendAll(["2nd", "3rd", "4th"]))]
      yield* TestClock.adjust("1 second")
      assert.lengthOf(socket.sent, 1)
      socket.bufferedAmount = 9
      yield* TestClock.adjust("31 millis")
      // It has looked for long: the next look is 32 ms after the last.
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(socket.sent.slice(1), ["first"])
      assert.deepStrictEqual(yield* Effect.forEach(sending, isPending), [false, true])
      // Something has left since: a millisecond later it looks again.
      socket.bufferedAmount = 8
      yield* TestClock.adjust("64 millis")
      socket.bufferedAmount = 0
      yield* TestClock.adjust("64 millis")
      assert.deepStrictEqual(socket.sent.slice(1), ["first", "2nd", "3rd", "4th"])
      yield* Fiber.joinAll(sending)
    })
  )

  it.scoped("looks again after a millisecond for as long as something leaves, and later when nothing does", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake({ sendHighWaterMark: 10 })
      let looks = 0
      let amount = 100
      const look = () => {
        looks++
        return amount
      }
      Object.defineProperty(socket, "bufferedAmount", { get: look, set: () => {} })
      yield* begun(connection.send("waits"))
      /** The milliseconds, of so many from now on, in which it looked. */
      const lookedIn = (count: number) =>
        Effect.map(
          Effect.forEach(
            Array.from({ length: count }, (_, i) => i + 1),
            (millisecond) => {
              looks = 0
              return Effect.map(TestClock.adjust(1), () => (looks > 0 ? [millisecond] : []))
            }
          ),
          (found) => found.flat()
        )
      assert.deepStrictEqual(yield* lookedIn(100), [1, 3, 7, 15, 31, 63, 95])
      amount = 50
      assert.deepStrictEqual(yield* lookedIn(31), [27, 28, 30])
    })
  )

  it.scoped("lets nobody send before those who wait, also where there is room before they hear of it", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake({ sendHighWaterMark: 4 })
      yield* connection.send("full")
      const first = yield* begun(connection.send("1st"))
      socket.bufferedAmount = 0
      const second = yield* begun(connection.send("2nd"))
      assert.deepStrictEqual(socket.sent, ["full"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(socket.sent, ["full", "1st", "2nd"])
      yield* Fiber.joinAll([first, second])
    })
  )

  it.scoped("forgets who was interrupted while waiting", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake({ sendHighWaterMark: 4 })
      yield* connection.send("full")
      const [first, second] = [yield* begun(connection.send("gone")), yield* begun(connection.send("sent"))]
      yield* Fiber.interrupt(first)
      socket.bufferedAmount = 0
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(second)
      assert.deepStrictEqual(socket.sent, ["full", "sent"])
    })
  )

  it.scoped("fails for who waits when the connection ends", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake({ sendHighWaterMark: 4 })
      yield* connection.send("full")
      const waiting = yield* begun(Effect.flip(connection.send("late")))
      socket.closed(1013, "busy")
      assert.strictEqual((yield* Fiber.join(waiting)).message, "peer closed with 1013 busy; we closed with 1013")
      assert.strictEqual((yield* Effect.flip(connection.send("later")))._tag, "ConnectionClosed")
      assert.deepStrictEqual(socket.sent, ["full"])
    })
  )

  it.scoped("fails at once for who waits when the peer breaks a limit", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake({ sendHighWaterMark: 4, maxMessageSize: 4 })
      yield* connection.send("full")
      const waiting = yield* begun(Effect.flip(connection.send("late")))
      socket.receives("too long")
      assert.strictEqual((yield* Fiber.join(waiting)).closure.cause?._tag, "Violation")
      assert.strictEqual((yield* connection.state)._tag, "Draining")
    })
  )

  it.scoped("ends the connection where the runtime's send throws", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      socket.send = () => {
        throw new Error("out of memory")
      }
      const closed = yield* Effect.flip(connection.send("lost"))
      assert.strictEqual(closed, yield* connection.closed)
      assert.strictEqual(closed.message, "lost the connection to server: out of memory")
      assert.lengthOf(socket.closes, 1)
    })
  )
})

describe("the end", () => {
  it.scoped("says what we and the peer said, who began, and what there was", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      socket.receives("€", [1])
      yield* connection.send("ü")
      yield* TestClock.adjust("5 seconds")
      const closing = yield* begun(connection.close({ code: 4000, reason: "done" }))
      assert.deepStrictEqual(socket.closes, [[4000, "done"]])
      assert.strictEqual((yield* connection.state)._tag, "Closing")
      // Behind our close frame nothing is received any more.
      socket.receives("late")
      socket.closed(4000, "well")
      const closed = yield* Fiber.join(closing)
      assert.strictEqual(closed.message, "we closed with 4000 done; peer closed with 4000 well")
      assert.deepStrictEqual(closed.traffic, { duration: Duration.seconds(5), bytesReceived: 4, bytesSent: 2 })
      assert.deepStrictEqual(yield* connection.receiveAll, ["€", Uint8Array.of(1)])
      assert.strictEqual(yield* Effect.flip(connection.receive), closed)
      assert.strictEqual(yield* connection.close(), closed)
      assert.lengthOf(socket.closes, 1)
    })
  )

  const ways = [
    ["a code and a reason", 4001, "bye", "peer closed with 4001 bye; we closed with 4001", false],
    ["going away", 1001, "", "peer closed with 1001; we closed with 1001", true],
    ["no code", 1005, "", "peer closed without a code; we closed without a code", true]
  ] as const

  it.scoped.each(ways)("comes from the peer with %s", ([, code, reason, sentence, isClean]) =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      socket.closed(code, reason)
      const closed = yield* connection.closed
      assert.strictEqual(closed.message, sentence)
      assert.strictEqual(closed.closure.initiator, "remote")
      assert.strictEqual(ConnectionClosed.code(closed), code)
      assert.strictEqual(ConnectionClosed.isClean(closed), isClean)
    })
  )

  it.scoped("without a close frame is 1006 and names its cause", () =>
    Effect.gen(function* () {
      const silent = yield* openFake()
      silent.socket.breaks()
      const ended = yield* silent.connection.closed
      assert.deepStrictEqual(ended.closure.cause, { _tag: "EndOfStream" })
      assert.deepStrictEqual([ConnectionClosed.code(ended), ConnectionClosed.isClean(ended)], [1006, false])

      const loud = yield* openFake()
      loud.socket.fails({ message: "reset by peer" })
      const broken = yield* Effect.flip(loud.connection.receive)
      assert.strictEqual(broken.message, "lost the connection to server: reset by peer")

      // As Deno says it, and others may.
      for (const [code, wasClean] of [
        [0, false],
        [1005, false],
        [1006, true]
      ] as const) {
        const { connection, socket } = yield* openFake()
        socket.breaks(code, wasClean)
        const { closure } = yield* connection.closed
        const nothing = { sent: undefined, received: undefined, initiator: "remote", cause: { _tag: "EndOfStream" } }
        assert.deepStrictEqual<unknown>(closure, nothing)
      }

      const late = yield* openFake()
      const closing = yield* begun(late.connection.close())
      late.socket.breaks()
      const { closure } = yield* Fiber.join(closing)
      assert.deepInclude(closure, { sent: { code: 1000, reason: "" }, received: undefined, initiator: "local" })
      assert.deepStrictEqual(closure.cause, { _tag: "EndOfStream" })
    })
  )

  it.scoped("is noticed between the peer's close frame and the event, where nothing is sent any more", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      socket.readyState = 2
      const sending = yield* begun(Effect.flip(connection.send("late")))
      const closing = yield* begun(connection.close({ code: 4000 }))
      assert.deepStrictEqual([socket.sent, socket.closes], [[], []])
      socket.receives("before")
      socket.closed(1012, "restart")
      assert.strictEqual(yield* connection.receive, "before")
      const closed = yield* Fiber.join(closing)
      assert.strictEqual(closed.message, "peer closed with 1012 restart; we closed with 1012")
      assert.strictEqual(yield* Fiber.join(sending), closed)
    })
  )

  it.scoped("sends the codes that the API lets nobody send as those of private use", () =>
    Effect.gen(function* () {
      for (const [asked, sent] of [
        [1000, 1000],
        [1001, 4001],
        [1011, 4011],
        [3000, 3000],
        [4999, 4999]
      ] as const) {
        const { connection, socket } = yield* openFake()
        yield* begun(connection.close({ code: asked, reason: "why" }))
        assert.deepStrictEqual(socket.closes, [[sent, "why"]])
        socket.closed(sent)
        assert.deepStrictEqual((yield* connection.closed).closure.sent, { code: sent, reason: "why" })
      }
      const { connection } = yield* openFake()
      assert.isTrue(Exit.isFailure(yield* Effect.exit(connection.close({ code: 999 }))))
    })
  )

  it.scoped("does not wait longer than closeTimeout: then the socket is left to the runtime", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake({ closeTimeout: "3 seconds" })
      const closing = yield* begun(connection.close())
      yield* TestClock.adjust("2999 millis")
      assert.isTrue(yield* isPending(closing))
      yield* TestClock.adjust("1 millis")
      const closed = yield* Fiber.join(closing)
      assert.strictEqual(
        closed.message,
        "we closed with 1000; peer sent no close frame; the closing handshake took longer than closeTimeout"
      )
      socket.closed(1000)
      assert.strictEqual(yield* connection.closed, closed)
    })
  )

  it.scoped("is not waited for longer than that either where a runtime tells of an error and nothing more", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake({ closeTimeout: "3 seconds" })
      const reading = yield* begun(Effect.flip(connection.receive))
      socket.errs({ message: "broken" })
      yield* TestClock.adjust("2999 millis")
      assert.isTrue(yield* isPending(reading))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(reading)).message, "lost the connection to server: broken")
    })
  )

  it.scoped("frees the reader", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      const reading = yield* begun(Effect.flip(connection.receive))
      yield* begun(connection.close())
      socket.closed(1000)
      assert.strictEqual((yield* Fiber.join(reading))._tag, "ConnectionClosed")
    })
  )

  it.effect("comes with the scope's, which waits for it", () =>
    Effect.gen(function* () {
      const { layer, sockets } = makeFakes()
      const scope = yield* Scope.make()
      const connecting = yield* begun(
        WebSocketClient.connect("ws://server").pipe(Effect.provide(layer), Scope.extend(scope))
      )
      sockets[0]?.opens()
      const connection = yield* Fiber.join(connecting)
      const leaving = yield* begun(Scope.close(scope, Exit.void))
      assert.deepStrictEqual(sockets[0]?.closes, [[1000, ""]])
      assert.isTrue(yield* isPending(leaving))
      sockets[0]?.closed(1000)
      yield* Fiber.join(leaving)
      assert.isTrue(ConnectionClosed.isClean(yield* connection.closed))
    }).pipe(Effect.provide(TestContext.TestContext))
  )
})
