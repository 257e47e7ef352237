import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Equal, Exit, Fiber, Layer, Redacted, Ref, Scope, TestClock } from "effect"
import {
  Connection,
  type ConnectionClosed,
  Framing,
  Handshake,
  HandshakeError,
  type Transport,
  TransportError,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../src/protocol/Frame.js"
import { type Asked, answered, asking } from "./support/connector.js"
import { hex, settle } from "./support.js"

const echo = (connection: Connection.Connection) => Connection.runForEach(connection, connection.send)

const refused = () =>
  Effect.fail(
    new TransportError({ operation: "connect", peer: "memory", code: "ECONNREFUSED", cause: new Error("refused") })
  )

const first = (asked: ReadonlyArray<Asked>): Asked => asked[0] ?? assert.fail("nothing was asked")

describe("a URI", () => {
  const invalid: ReadonlyArray<readonly [string, string]> = [
    ["http://localhost", "its scheme is http: use ws for the same server"],
    ["https://localhost", "its scheme is https: use wss for the same server"],
    ["ws://a%3Ab:c@localhost", "has a colon in the user name"],
    ["localhost:8765", "its scheme is localhost, not ws or wss"],
    ["/path", "it is not an absolute URI"],
    ["ws://localhost/#top", "it has a fragment"],
    ["ws://", "it is not an absolute URI"]
  ]
  it.scoped.each(invalid)("C1: %s is refused before anything is sent", ([uri, problem]) =>
    Effect.gen(function* () {
      const { connect } = yield* asking(refused)
      const error = yield* Effect.flip(connect(uri))
      assert.strictEqual(error._tag, "InvalidUri")
      assert.include(error.message, problem)
    })
  )

  it.scoped("C1: keeps its secrets out of every error", () =>
    Effect.gen(function* () {
      const { connect } = yield* asking(() => answered(403, [], "go away"))
      const rejected = yield* Effect.flip(connect("ws://ada:hunter2@host/path?token=hunter2"))
      assert.strictEqual(
        rejected.message,
        "cannot open a WebSocket to ws://host/path: the server answered with status 403: go away"
      )
      const invalid = yield* Effect.flip(connect("http://ada:hunter2@host/?token=hunter2"))
      assert.notInclude(JSON.stringify(invalid) + invalid.message, "hunter2")
    })
  )

  it.scoped("C1: says where to connect, and with which user", () =>
    Effect.gen(function* () {
      const { asked, connect } = yield* asking(refused)
      yield* Effect.flip(connect("wss://ada:l%C3%B6ve@b%C3%BCcher.example/a b?c=d"))
      const [destination, request] = first(asked)
      assert.deepInclude(destination, { secure: true, hostname: "xn--bcher-kva.example", port: 443 })
      assert.strictEqual(request.target, "/a%20b?c=d")
      assert.deepInclude(request.headers, ["Host", "xn--bcher-kva.example"])
      assert.deepInclude(request.headers, ["Authorization", `Basic ${Buffer.from("ada:löve").toString("base64")}`])
    })
  )
})

describe("options", () => {
  it.scoped("C2: are sent as headers", () =>
    Effect.gen(function* () {
      const { asked, connect } = yield* asking(refused)
      yield* Effect.flip(
        connect("ws://localhost:8765", {
          origin: "https://app.example",
          userAgent: "test/1",
          subprotocols: ["a", "b"],
          headers: { "X-One": "1", "X-Many": ["2", "3"] }
        })
      )
      const [, { headers }] = first(asked)
      const expected: Transport.HeaderList = [
        ["Host", "localhost:8765"],
        ["Sec-WebSocket-Version", "13"],
        ["Sec-WebSocket-Protocol", "a, b"],
        ["Origin", "https://app.example"],
        ["User-Agent", "test/1"],
        ["X-One", "1"],
        ["X-Many", "2"],
        ["X-Many", "3"]
      ]
      for (const header of expected) assert.deepInclude(headers, header)
    })
  )

  it.scoped("C2: a header that is redacted is sent, and in the way of no error", () =>
    Effect.gen(function* () {
      const { asked, connect } = yield* asking(refused)
      const secret = Redacted.make("hunter2")
      yield* Effect.flip(connect("ws://localhost", { headers: { "X-Key": secret, "X-Keys": ["1", secret] } }))
      const [, { headers }] = first(asked)
      assert.includeDeepMembers(
        [...headers],
        [
          ["X-Key", "hunter2"],
          ["X-Keys", "1"],
          ["X-Keys", "hunter2"]
        ]
      )
      const wrong = yield* Effect.flip(connect("ws://localhost", { headers: { "X-Key": Redacted.make("hunter\n2") } }))
      assert.notInclude(wrong.message + JSON.stringify(wrong), "hunter")
    })
  )

  it.scoped("C2: Authorization among the headers wins over the URI's user", () =>
    Effect.gen(function* () {
      const { asked, connect } = yield* asking(refused)
      yield* Effect.flip(connect("ws://ada:secret@localhost", { headers: { authorization: "Bearer x" } }))
      const [, { headers }] = first(asked)
      assert.deepStrictEqual(
        headers.filter(([name]) => name.toLowerCase() === "authorization"),
        [["authorization", "Bearer x"]]
      )
    })
  )

  it.scoped("C2: extensions are offered instead of those of Framing", () =>
    Effect.gen(function* () {
      const { asked, connect } = yield* asking(refused)
      const extension = {
        name: "x-none",
        offers: [[{ name: "a", value: "1" }]],
        answer: () => undefined,
        accept: () => undefined
      }
      yield* Effect.flip(connect("ws://localhost", { extensions: [extension] }))
      assert.deepInclude(first(asked)[1].headers, ["Sec-WebSocket-Extensions", "x-none; a=1"])
    })
  )

  const wrong: ReadonlyArray<readonly [string, WebSocketClient.ConnectOptions, string]> = [
    ["a header value with a line break", { headers: { "X-A": "b\r\nEvil: yes" } }, "headers has a value of X-A"],
    ["a header name that is no token", { headers: { "X A": "b" } }, 'headers has the name "X A"'],
    [
      "a header of the handshake",
      { headers: { "Sec-WebSocket-Key": "x" } },
      "has Sec-WebSocket-Key, which the handshake"
    ],
    [
      "a header for a proxy",
      { headers: { "proxy-authorization": "Basic x" } },
      "has proxy-authorization, which the server would see instead of a proxy. Give user and password in the proxy's URI"
    ],
    ["an origin with a line break", { origin: "x\r\ny" }, "headers has a value of Origin"],
    ["a subprotocol with a blank", { subprotocols: ["a b"] }, "subprotocols must be"],
    ["a subprotocol twice", { subprotocols: ["a", "a"] }, "subprotocols must be"]
  ]
  it.scoped.each(wrong)("C2: %s is refused before anything is sent", ([, options, problem]) =>
    Effect.gen(function* () {
      const { asked, connect } = yield* asking(refused)
      const error = yield* Effect.flip(connect("ws://localhost", options))
      assert.strictEqual(error._tag, "HandshakeError")
      assert.include(error.message, problem)
      assert.isEmpty(asked)
    })
  )
})

describe("the server's answer", () => {
  const switching = (headers: Transport.HeaderList) => answered(101, headers)
  const cases: ReadonlyArray<readonly [string, Effect.Effect<Transport.Reply>, string]> = [
    ["with another status", answered(500, [], "oops\nmore"), "the server answered with status 500: oops"],
    [
      "that does not upgrade",
      switching([["Connection", "Upgrade"]]),
      "the server's header Upgrade does not say websocket"
    ],
    [
      "with another key's accept",
      switching([
        ["Upgrade", "websocket"],
        ["Connection", "Upgrade"],
        ["Sec-WebSocket-Accept", "x"]
      ]),
      "the server's header Sec-WebSocket-Accept does not answer our key"
    ]
  ]
  it.scoped.each(cases)("C3: %s is a HandshakeError that says so", ([, reply, problem]) =>
    Effect.gen(function* () {
      const { connect } = yield* asking(() => reply)
      const error = yield* Effect.flip(connect("ws://localhost"))
      assert.instanceOf(error, HandshakeError)
      assert.include(error.message, problem)
    })
  )

  it.scoped("C6: that never comes is a HandshakeError when openTimeout is up, and not before", () =>
    Effect.gen(function* () {
      const connecting = yield* Effect.fork(
        Effect.flip(Testing.connect(echo, { faults: { stalled: true }, client: { openTimeout: "3 seconds" } }))
      )
      yield* settle
      yield* TestClock.adjust("2999 millis")
      assert.isNull(connecting.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(connecting)
      assert.include(error.message, "not open after openTimeout (3000 ms)")
    })
  )

  it.scoped("C6: is waited for 10 seconds unless told otherwise, inside an uninterruptible region too", () =>
    Effect.gen(function* () {
      const connecting = yield* Effect.fork(
        Effect.uninterruptible(Effect.flip(Testing.connect(echo, { faults: { stalled: true } })))
      )
      yield* settle
      yield* settle
      yield* TestClock.adjust("9999 millis")
      assert.isNull(connecting.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.include((yield* Fiber.join(connecting)).message, "openTimeout (10000 ms)")
    })
  )
})

describe("C1: the transport's scope", () => {
  /** A connector that counts what it holds. */
  const counting = (reply: Effect.Effect<Transport.Reply, TransportError>) =>
    Effect.gen(function* () {
      const held = yield* Ref.make(0)
      const hold = Effect.acquireRelease(
        Ref.update(held, (n) => n + 1),
        () => Ref.update(held, (n) => n - 1)
      )
      const { connect } = yield* asking(() => Effect.zipRight(hold, reply))
      return { held: Ref.get(held), connect }
    })

  it.scoped("ends at once when the handshake fails", () =>
    Effect.gen(function* () {
      const { held, connect } = yield* counting(answered(404, []))
      yield* Effect.flip(connect("ws://localhost"))
      assert.strictEqual(yield* held, 0)
    })
  )

  it.scoped("ends at once when connecting is interrupted", () =>
    Effect.gen(function* () {
      const { held, connect } = yield* counting(Effect.never)
      const connecting = yield* Effect.fork(connect("ws://localhost"))
      yield* settle
      assert.strictEqual(yield* held, 1)
      yield* Fiber.interrupt(connecting)
      assert.strictEqual(yield* held, 0)
    })
  )
})

describe("C1: leaving the scope", () => {
  it.effect("closes with 1000, also when the program fails", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<ConnectionClosed.ConnectionClosed>()
      const scope = yield* Scope.make()
      const exit = yield* Effect.exit(
        Effect.scoped(
          Effect.gen(function* () {
            const connection = yield* Testing.connect((connection) =>
              Effect.flatMap(connection.closed, (closed) => Deferred.succeed(ended, closed))
            )
            yield* connection.send("x")
            return yield* Effect.fail("program")
          })
        )
      )
      assert.isTrue(Equal.equals(exit, Exit.fail("program")))
      assert.deepStrictEqual((yield* Deferred.await(ended)).closure.received, { code: 1000, reason: "" })
      yield* Scope.close(scope, Exit.void)
    })
  )
})

describe("Framing and Handshake", () => {
  const server = WebSocketServer.layer(echo)
  const connect = Effect.gen(function* () {
    const connection = yield* WebSocketClient.connect("ws://memory", { pingInterval: Duration.infinity })
    yield* connection.send("Hi")
    yield* connection.receive
    const wire = yield* Testing.wireOf(connection)
    return hex((yield* wire.sentByClient).subarray(0, 8))
  })
  const keys = Framing.layer({ maskingKeys: () => 0x01020304 })
  const expected = hex(Frame.serialize(Frame.text("Hi"), 0x01020304))

  it.scoped("take effect below the client", () =>
    Effect.gen(function* () {
      const layer = Layer.merge(server, WebSocketClient.layer).pipe(Layer.provide(keys), Layer.provide(Testing.layer))
      assert.strictEqual(yield* Effect.provide(connect, layer), expected)
    })
  )

  it.scoped("take no effect beside it", () =>
    Effect.gen(function* () {
      const layer = Layer.mergeAll(server, WebSocketClient.layer, keys).pipe(Layer.provide(Testing.layer))
      assert.notStrictEqual(yield* Effect.provide(connect, layer), expected)
    })
  )

  it.scoped("the handshake's functions can be replaced, each alone", () =>
    Effect.gen(function* () {
      const sampleKey = "dGhlIHNhbXBsZSBub25jZQ=="
      const layer = Layer.merge(server, WebSocketClient.layer).pipe(
        Layer.provide(Handshake.layer({ key: () => sampleKey })),
        Layer.provide(Testing.layer)
      )
      const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory"), yield* Layer.build(layer))
      assert.deepInclude(connection.handshake.request.headers, ["Sec-WebSocket-Key", sampleKey])
      // RFC 6455 §1.3 has this pair.
      assert.deepInclude(connection.handshake.response.headers, [
        "Sec-WebSocket-Accept",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
      ])
    })
  )
})
