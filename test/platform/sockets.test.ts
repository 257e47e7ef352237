import { type Socket, SocketServer } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Logger, Queue, Scope } from "effect"
import { WebSocketClient, type WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import { PlatformSocket, PlatformSocketServer } from "effect-websockets/platform"
import {
  acceptOf,
  closeFrame,
  eventually,
  frame,
  handles,
  leavesNothing,
  rawConnect,
  rawOpen,
  rawServer,
  requestText,
  stalled,
  turns
} from "../node/support.js"

/** What goes wrong with sockets elsewhere, over real ones. */

/** A socket server on a free port that gives each connection to a handler. */
const serve = <E, R>(
  handler: (socket: Socket.Socket) => Effect.Effect<unknown, E, R>,
  options: WebSocketServer.ServerOptions & PlatformSocket.SocketOptions = {}
) =>
  Effect.gen(function* () {
    const listener = NodeListener.layer({ port: 0, host: "127.0.0.1" })
    const context = yield* Layer.build(
      PlatformSocketServer.layer(options).pipe(
        Layer.provide(listener),
        Layer.provide(Logger.remove(Logger.defaultLogger))
      )
    )
    const server = Context.get(context, SocketServer.SocketServer)
    yield* Effect.forkScoped(server.run(handler))
    const { address } = server
    return address._tag === "TcpAddress" ? address.port : assert.fail("no TCP port")
  })

const client = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))

const socketTo = (uri: string, options?: WebSocketClient.ConnectOptions & PlatformSocket.SocketOptions) =>
  Effect.provide(PlatformSocket.make(uri, options), client)

const echo = (socket: Socket.Socket) =>
  Effect.scoped(Effect.flatMap(socket.writer, (write) => socket.runRaw((message) => write(message))))

const accepted = (request: string) => {
  const key = /^sec-websocket-key: (.*)\r$/im.exec(request)?.[1] ?? assert.fail("no key")
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`
}

describe("a server's sockets", () => {
  it.live("lose no message that comes glued to the request", () =>
    leavesNothing(
      Effect.gen(function* () {
        const port = yield* serve(echo, { concurrency: 1 })
        const peer = yield* rawConnect(port)
        const words = Array.from({ length: 100 }, (_, n) => `word ${n}`)
        yield* peer.write(Buffer.concat([Buffer.from(requestText()), ...words.map((word) => frame(1, word))]))
        yield* peer.head
        const expected = Buffer.concat(words.map((word) => frame(1, word, { masked: false })))
        assert.strictEqual((yield* peer.take(expected.length)).toString("hex"), expected.toString("hex"))
      })
    )
  )

  it.live("stop a peer whose messages are not handled, and go on when they are", () =>
    leavesNothing(
      Effect.gen(function* () {
        const gate = yield* Effect.makeLatch(false)
        let begun = 0
        const port = yield* serve(
          (socket) =>
            socket.run(() => {
              begun++
              return gate.await
            }),
          { concurrency: 4 }
        )
        const peer = yield* rawOpen(port)
        const kilobyte = frame(2, "x".repeat(1_000))
        const many = Buffer.concat(Array.from({ length: 20_000 }, () => kilobyte))
        yield* peer.write(many)
        const waiting = () => peer.socket.writableLength
        yield* stalled(waiting)
        assert.strictEqual(begun, 4)
        assert.isAbove(waiting(), 1_000_000)
        yield* gate.open
        yield* eventually(() => begun === 20_000)
      })
    )
  )

  it.live("let a writer wait while its peer does not read", () =>
    leavesNothing(
      Effect.gen(function* () {
        let written = 0
        const port = yield* serve((socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const write = yield* socket.writer
              yield* Effect.fork(socket.run(() => Effect.void))
              for (;;) {
                yield* write("x".repeat(10_000))
                written++
              }
            })
          )
        )
        const peer = yield* rawOpen(port)
        peer.socket.pause()
        yield* stalled(() => written)
        const before = written
        assert.isBelow(before, 5_000)
        peer.socket.resume()
        yield* eventually(() => written > before + 100)
      })
    )
  )

  it.live("survive resets at any moment of the handshake and behind it, and end their runs with 1006", () =>
    leavesNothing(
      Effect.gen(function* () {
        const ends = yield* Queue.unbounded<Socket.SocketError>()
        const port = yield* serve((socket) => Effect.tapError(echo(socket), (error) => ends.offer(error)))
        const request = requestText()
        for (let length = 0; length <= request.length; length += 10) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const peer = yield* rawConnect(port)
              yield* peer.write(request.slice(0, length))
              yield* turns(length % 3)
              yield* peer.reset
            })
          )
        }
        yield* Effect.scoped(Effect.flatMap(rawOpen(port), (peer) => peer.reset))
        assert.deepInclude(yield* ends.take, { reason: "Close", code: 1006 })
        const survivor = yield* rawOpen(port)
        yield* survivor.write(frame(1, "still here"))
        yield* survivor.take(frame(1, "still here", { masked: false }).length)
      })
    )
  )

  it.live("fail a write behind their end, and do not let it hang", () =>
    leavesNothing(
      Effect.gen(function* () {
        const late = yield* Deferred.make<Socket.SocketError>()
        const port = yield* serve((socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const write = yield* socket.writer
              yield* socket.run(() => Effect.void)
              yield* Effect.flatMap(Effect.flip(write("too late")), (error) => Deferred.succeed(late, error))
            })
          )
        )
        const peer = yield* rawOpen(port)
        yield* peer.write(closeFrame(1000))
        assert.strictEqual((yield* Deferred.await(late)).reason, "Write")
      })
    )
  )

  it.live("are gone within closeTimeout, however silent their peers are", () =>
    leavesNothing(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const port = yield* Scope.extend(serve(echo, { closeTimeout: "200 millis" }), scope)
        for (let n = 0; n < 20; n++) yield* rawOpen(port)
        const [elapsed] = yield* Effect.timed(Scope.close(scope, Exit.void))
        assert.isBelow(Duration.toMillis(elapsed), 5_000)
      })
    )
  )
})

describe("a client's socket", () => {
  it.live("loses no message that comes glued to the response", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { uri, accept } = yield* rawServer
        const socket = yield* socketTo(uri)
        const got = yield* Queue.unbounded<unknown>()
        const running = yield* Effect.fork(socket.runRaw((message) => got.offer(message)))
        const peer = yield* accept
        const response = accepted(yield* peer.head)
        yield* peer.write(
          Buffer.concat([
            Buffer.from(response),
            frame(1, "one", { masked: false }),
            frame(1, "two", { masked: false }),
            closeFrame(1000, false)
          ])
        )
        peer.socket.end()
        yield* Fiber.join(running)
        assert.deepStrictEqual([...(yield* Queue.takeUpTo(got, 9))], ["one", "two"])
      })
    )
  )

  it.live("ends with the error 1006 when the server resets, and dials anew", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { uri, accept } = yield* rawServer
        const socket = yield* socketTo(uri)
        for (let run = 0; run < 2; run++) {
          const opened = yield* Deferred.make<void>()
          const running = yield* Effect.fork(
            Effect.flip(socket.run(() => Effect.void, { onOpen: Effect.asVoid(Deferred.succeed(opened, undefined)) }))
          )
          const peer = yield* accept
          yield* peer.write(accepted(yield* peer.head))
          yield* Deferred.await(opened)
          yield* peer.reset
          assert.deepInclude(yield* Fiber.join(running), { reason: "Close", code: 1006 })
        }
      })
    )
  )

  it.live("leaves nothing behind, whenever it is interrupted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const port = yield* serve(echo)
        const socket = yield* socketTo(`ws://127.0.0.1:${port}`)
        for (let moment = 0; moment < 25; moment++) {
          const running = yield* Effect.fork(socket.run(() => Effect.void))
          yield* turns(moment)
          yield* Fiber.interrupt(running)
        }
        yield* eventually(() => handles().filter((name) => name === "TCPSocketWrap").length === 0)
      })
    )
  )
})
