import { createServer as createHttpServer } from "node:http"
import { createServer } from "node:net"
import { Socket, type SocketServer } from "@effect/platform"
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Fiber, Layer, type Scope, Stream } from "effect"
import { type Connection, ConnectionClosed, WebSocketClient } from "effect-websockets"
import { NodeConnector } from "effect-websockets/node"
import { PlatformSocket, PlatformWebSocket } from "effect-websockets/platform"
import WebSocket, { WebSocketServer as WsServer } from "ws"
import { WsPeer } from "../interop/wsPeer.js"
import { connect, echo, eventually, interruptedAtAnyMoment, leavesNothing, listening, serve } from "../node/support.js"

/** Real sockets of platform's as connections, to our server, to `ws`, and to what is no WebSocket at all. */

type Constructors = Layer.Layer<Socket.WebSocketConstructor>

const constructors: ReadonlyArray<readonly [name: string, layer: Constructors]> = [
  [
    "the package ws",
    Layer.succeed(
      Socket.WebSocketConstructor,
      (url, protocols) => new WebSocket(url, protocols) as unknown as globalThis.WebSocket
    )
  ],
  [
    "ours",
    PlatformWebSocket.layerConstructor().pipe(
      Layer.provide(WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer)))
    )
  ]
]

const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7) & 255)

/** A connection over a WebSocket of platform's that tells all of its codes. */
const dial = (
  uri: string,
  layer: Constructors,
  options?: PlatformSocket.CarriedOptions
): Effect.Effect<Connection.Connection, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Layer.build(layer)
    const socket = yield* Effect.provide(Socket.makeWebSocket(uri, { closeCodeIsError: () => true }), context)
    return yield* PlatformSocket.toConnection(socket, options)
  })

describe.each(constructors)("a WebSocket of platform's, made by %s", (_name, constructor) => {
  it.live("is a connection to our server: messages go both ways, in order, and the closing handshake is done", () =>
    leavesNothing(
      Effect.gen(function* () {
        const end = yield* Deferred.make<string>()
        const { port } = yield* serve((connection) =>
          Effect.zipRight(
            echo(connection),
            Effect.flatMap(connection.closed, ({ message }) => Deferred.succeed(end, message))
          )
        )
        const connection = yield* dial(`ws://127.0.0.1:${port}`, constructor)
        const messages = ["Grüße, 世界", bytes(70_000), "", new Uint8Array(0), "x".repeat(70_000)]
        yield* connection.sendAll(messages)
        assert.deepStrictEqual(
          Chunk.toReadonlyArray(yield* Stream.runCollect(Stream.take(connection.messages, messages.length))),
          messages
        )
        const many = Array.from({ length: 1_000 }, (_, n) => (n % 3 === 0 ? Uint8Array.of(n & 255) : `${n}`))
        yield* Effect.fork(connection.sendAll(many))
        assert.deepStrictEqual(
          Chunk.toReadonlyArray(yield* Stream.runCollect(Stream.take(connection.messages, many.length))),
          many
        )
        const closed = yield* connection.close({ code: 1000, reason: "done" })
        assert.strictEqual(closed.message, "we closed with 1000 done; peer closed with 1000")
        assert.isTrue(ConnectionClosed.isClean(closed))
        assert.strictEqual(yield* Deferred.await(end), "peer closed with 1000 done; we closed with 1000")
      })
    )
  )

  it.live("is a connection to ws: its code and its reason end a receive that waits", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* wsServer
        const connection = yield* dial(server.uri, constructor)
        const peer = yield* server.accept
        yield* peer.send("hello")
        yield* peer.send(bytes(3))
        assert.strictEqual(yield* connection.receive, "hello")
        assert.deepStrictEqual(yield* connection.receive, bytes(3))
        const receiving = yield* Effect.fork(Effect.flip(connection.receive))
        yield* Effect.yieldNow()
        yield* peer.close(4003, "no more")
        const error = yield* Fiber.join(receiving)
        assert.deepInclude(error, { _tag: "ConnectionClosed" })
        assert.strictEqual(error.message, "peer closed with 4003 no more; we closed with 4003")
      })
    )
  )

  it.live("is lost with 1006 and a cause when the other end cuts it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* wsServer
        const connection = yield* dial(server.uri, constructor)
        const peer = yield* server.accept
        yield* peer.terminate
        const closed = yield* connection.closed
        assert.strictEqual(ConnectionClosed.code(closed), 1006)
        assert.isDefined(closed.closure.cause)
        assert.isFalse(ConnectionClosed.isClean(closed))
      })
    )
  )

  it.live("fails where nobody listens", () =>
    leavesNothing(
      Effect.gen(function* () {
        const error = yield* Effect.flip(dial("ws://127.0.0.1:1", constructor))
        assert.deepInclude(error, { _tag: "TransportError", operation: "connect" })
        assert.include((error as Error).message, "ECONNREFUSED")
      })
    )
  )

  it.live("leaves nothing behind, whenever it is interrupted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo)
        yield* interruptedAtAnyMoment(
          Effect.tap(dial(`ws://127.0.0.1:${port}`, constructor), (connection) =>
            Effect.zipRight(connection.send("x"), connection.receive)
          ),
          20
        )
      })
    )
  )
})

/** A server of `ws`, and the peers that it accepts. */
const wsServer = Effect.gen(function* () {
  const { server: http, port } = yield* listening(createHttpServer)
  const server = new WsServer({ server: http })
  const accepted: Array<WebSocket> = []
  server.on("connection", (socket) => accepted.push(socket))
  return {
    uri: `ws://127.0.0.1:${port}`,
    accept: Effect.flatMap(
      eventually(() => accepted.length > 0),
      () => {
        const socket = accepted.shift()!
        return Effect.map(WsPeer.scoped(socket), (peer) => ({
          send: (message: string | Uint8Array) => peer.send(message),
          close: (code: number, reason: string) => Effect.sync(() => socket.close(code, reason)),
          terminate: Effect.sync(() => socket.terminate())
        }))
      }
    )
  }
})

describe("platform's other sockets", () => {
  it.live("of its WebSocket server are a server's connections", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server: SocketServer.SocketServer["Type"] = yield* NodeSocketServer.makeWebSocket({
          port: 0,
          host: "127.0.0.1"
        })
        const ends: Array<string> = []
        yield* Effect.forkScoped(
          server.run((socket) =>
            Effect.scoped(
              Effect.gen(function* () {
                const connection = yield* PlatformSocket.toConnection(socket, { role: "server", closeCodes: true })
                const first = yield* connection.receive
                yield* connection.send(first)
                ends.push((yield* connection.close({ code: 1011, reason: "enough" })).message)
              })
            )
          )
        )
        const { address } = server
        const port = address._tag === "TcpAddress" ? address.port : assert.fail("no port")
        const client = yield* connect(`ws://127.0.0.1:${port}`)
        yield* client.send("hello")
        assert.strictEqual(yield* client.receive, "hello")
        assert.strictEqual((yield* client.closed).message, "peer closed with 1011 enough; we closed with 1011")
        yield* eventually(() => ends.length > 0)
        assert.match(ends[0]!, /^we closed with 1011 enough/)
      })
    )
  )

  it.live("of TCP give bytes as they come, and end with the stream", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* listening(() => createServer((socket) => socket.pipe(socket)))
        const socket = yield* NodeSocket.makeNet({ port, host: "127.0.0.1" })
        const connection = yield* PlatformSocket.toConnection(socket, { successCode: 1000 })
        const sent = bytes(1_000_000)
        yield* Effect.fork(
          Effect.forEach([0, 1, 2, 3], (n) => connection.send(sent.subarray(n * 250_000, (n + 1) * 250_000)))
        )
        const received = yield* connection.messages.pipe(
          Stream.mapAccum(0, (size, message) => [size + message.length, [size + message.length, message] as const]),
          Stream.takeUntil(([size]) => size === sent.length),
          Stream.runCollect
        )
        const all = Buffer.concat(Chunk.toReadonlyArray(received).map(([, message]) => Buffer.from(message)))
        assert.isTrue(all.equals(Buffer.from(sent)))
        assert.isTrue(ConnectionClosed.isClean(yield* connection.close()))
      })
    )
  )
})
