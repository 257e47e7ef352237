import { Socket } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Queue, Scope, TestClock } from "effect"
import { type Connection, ConnectionClosed, WebSocketClient, WebSocketServer } from "effect-websockets"
import { PlatformWebSocket } from "effect-websockets/platform"
import { Testing } from "effect-websockets/testing"
import { echo } from "../node/support.js"
import { settle } from "../support.js"

/** A server with a handler, and what makes the web's sockets to it, in memory. */
const constructing = <E>(
  handler: (connection: Connection.Connection) => Effect.Effect<unknown, E>,
  options: WebSocketServer.ServerOptions & { readonly client?: WebSocketClient.ConnectOptions } = {}
) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(
      Layer.merge(
        WebSocketServer.layer(handler, options),
        PlatformWebSocket.layerConstructor(options.client).pipe(Layer.provideMerge(WebSocketClient.layer))
      ).pipe(Layer.provideMerge(Testing.layer))
    )
    const make = Context.get(context, Socket.WebSocketConstructor)
    return { context, make: (protocols?: string | Array<string>) => make("ws://memory/path", protocols) }
  })

/** What happens to a socket, in words, and each message as it is. */
const eventsOf = (socket: WebSocket) =>
  Effect.gen(function* () {
    const events = yield* Queue.unbounded<unknown>()
    const say = (event: unknown) => void events.unsafeOffer(event)
    socket.addEventListener("open", () => say(`open ${socket.readyState}`))
    socket.addEventListener("message", ({ data }) => say(data))
    socket.addEventListener("error", () => say(`error ${socket.readyState}`))
    socket.addEventListener("close", ({ code, reason, wasClean }) =>
      say(`close ${socket.readyState} ${code} ${reason} ${wasClean ? "clean" : "unclean"}`)
    )
    return events
  })

const kindOf = (run: () => void): string | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    return error instanceof DOMException ? error.name : String(error)
  }
}

describe("the web's WebSocket over our client", () => {
  it.scoped("opens, sends and receives in order, and closes", () =>
    Effect.gen(function* () {
      const { make } = yield* constructing(echo, { subprotocols: ["chat"] })
      const socket = make(["chat", "talk"])
      assert.deepInclude(socket, { readyState: 0, url: "ws://memory/path" })
      const events = yield* eventsOf(socket)
      assert.strictEqual(yield* events.take, "open 1")
      assert.strictEqual(socket.protocol, "chat")
      const bytes = Uint8Array.of(1, 2, 3)
      socket.send("text")
      socket.send(new Blob(["blob"]))
      socket.send(bytes)
      bytes.fill(0)
      socket.send(Uint8Array.of(4, 5).buffer)
      assert.strictEqual(socket.bufferedAmount, 13)
      assert.deepStrictEqual(
        [...(yield* Queue.takeN(events, 4))],
        ["text", new TextEncoder().encode("blob"), Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5)]
      )
      socket.close(4000, "done")
      assert.strictEqual(socket.readyState, 2)
      // The peer's close frame has our code, and no reason.
      assert.strictEqual(yield* events.take, "close 3 4000  clean")
      assert.strictEqual(socket.bufferedAmount, 0)
      socket.close()
      assert.strictEqual(socket.readyState, 3)
    })
  )

  it.scoped("gives bytes as Uint8Array, or as binaryType says", () =>
    Effect.gen(function* () {
      const { make } = yield* constructing(echo)
      const socket = make()
      const events = yield* eventsOf(socket)
      assert.strictEqual(yield* events.take, "open 1")
      socket.send(Uint8Array.of(1))
      assert.deepStrictEqual(yield* events.take, Uint8Array.of(1))
      socket.binaryType = "arraybuffer"
      socket.send(Uint8Array.of(2))
      assert.deepStrictEqual(yield* events.take, Uint8Array.of(2).buffer)
      socket.binaryType = "blob"
      socket.send(Uint8Array.of(3))
      const blob = yield* events.take
      assert.instanceOf(blob, Blob)
      assert.deepStrictEqual(yield* Effect.promise(() => (blob as Blob).arrayBuffer()), Uint8Array.of(3).buffer)
    })
  )

  it.scoped("sends what was sent before it is closed", () =>
    Effect.gen(function* () {
      const got: Array<unknown> = []
      const over = yield* Deferred.make<number>()
      const { make } = yield* constructing((connection) =>
        Effect.forever(Effect.map(connection.receive, (message) => got.push(message))).pipe(
          Effect.ignore,
          Effect.zipRight(connection.closed),
          Effect.flatMap((closed) => Deferred.succeed(over, ConnectionClosed.code(closed)))
        )
      )
      const socket = make()
      socket.onopen = () => {
        for (let n = 0; n < 100; n++) socket.send(String(n))
        socket.close()
        socket.send("too late")
      }
      assert.strictEqual(yield* Deferred.await(over), 1000)
      assert.deepStrictEqual(
        got,
        Array.from({ length: 100 }, (_, n) => String(n))
      )
    })
  )

  it.scoped("tells how the peer has closed, behind its messages", () =>
    Effect.gen(function* () {
      const { make } = yield* constructing((connection) =>
        Effect.zipRight(connection.sendAll(["one", "two"]), connection.close({ code: 4001, reason: "enough" }))
      )
      const events = yield* eventsOf(make())
      assert.deepStrictEqual(
        [...(yield* Queue.takeN(events, 4))],
        ["open 1", "one", "two", "close 3 4001 enough clean"]
      )
    })
  )

  it.scoped("tells of an error, and then of its end with 1006, when it is cut or cannot be had", () =>
    Effect.gen(function* () {
      const { context, make } = yield* constructing(() => Effect.never)
      const cut = yield* eventsOf(make())
      assert.strictEqual(yield* cut.take, "open 1")
      for (const wire of yield* Context.get(context, Testing.Network).wires) yield* wire.cut
      assert.deepStrictEqual([...(yield* Queue.takeN(cut, 2))], ["error 3", "close 3 1006  unclean"])

      const refused = make("a subprotocol that is none".replaceAll(" ", "-"))
      const events = yield* eventsOf(refused)
      const error = yield* Deferred.make<unknown>()
      refused.onerror = (event) => Deferred.unsafeDone(error, Effect.succeed("error" in event && event.error))
      assert.deepStrictEqual([...(yield* Queue.takeN(events, 2))], ["error 3", "close 3 1006  unclean"])
      assert.propertyVal(yield* Deferred.await(error), "_tag", "HandshakeError")
    })
  )

  it.scoped("gives up dialling when it is closed before", () =>
    Effect.gen(function* () {
      const { context, make } = yield* constructing(echo)
      yield* Context.get(context, Testing.Network).setFaults({ stalled: true })
      for (const wait of [Effect.void, settle]) {
        const socket = make()
        const events = yield* eventsOf(socket)
        yield* wait
        socket.close()
        assert.strictEqual(socket.readyState, 2)
        assert.deepStrictEqual([...(yield* Queue.takeN(events, 2))], ["error 3", "close 3 1006  unclean"])
      }
    })
  )

  it.scoped("throws for what its user gets wrong, as the web's does", () =>
    Effect.gen(function* () {
      const { context, make } = yield* constructing(echo)
      const construct = Context.get(context, Socket.WebSocketConstructor)
      assert.strictEqual(
        kindOf(() => construct("http//nowhere")),
        "SyntaxError"
      )
      assert.strictEqual(
        kindOf(() => make(["a", "a"])),
        "SyntaxError"
      )
      const socket = make()
      assert.strictEqual(
        kindOf(() => socket.send("early")),
        "InvalidStateError"
      )
      assert.strictEqual(
        kindOf(() => socket.close(1005)),
        "InvalidAccessError"
      )
      assert.strictEqual(
        kindOf(() => socket.close(1000, "x".repeat(124))),
        "SyntaxError"
      )
    })
  )

  it.scoped("is closed with its layer, within closeTimeout where the peer is silent", () =>
    Effect.gen(function* () {
      const network = yield* Layer.build(Testing.layer)
      yield* Layer.build(WebSocketServer.layer(echo)).pipe(Effect.provide(network))
      const scope = yield* Scope.make()
      const layer = PlatformWebSocket.layerConstructor({ closeTimeout: "3 seconds" }).pipe(
        Layer.provide(WebSocketClient.layer)
      )
      const context = yield* Effect.provide(Layer.buildWithScope(layer, scope), network)
      const events = yield* eventsOf(Context.get(context, Socket.WebSocketConstructor)("ws://memory"))
      assert.strictEqual(yield* events.take, "open 1")
      const wires = yield* Context.get(network, Testing.Network).wires
      for (const wire of wires) yield* wire.stall
      const closing = yield* Effect.forkScoped(Scope.close(scope, Exit.void))
      yield* settle
      yield* TestClock.adjust("2999 millis")
      assert.isNull(closing.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual([...(yield* Queue.takeN(events, 2))], ["error 3", "close 3 1006  unclean"])
      for (const wire of wires) yield* wire.cut
    })
  )
})

describe("the platform's Socket.makeWebSocket over it", () => {
  it.scoped("echoes text and bytes, in order", () =>
    Effect.gen(function* () {
      const { context } = yield* constructing(echo)
      const socket = yield* Effect.provide(Socket.makeWebSocket("ws://memory"), context)
      const echoes = yield* Queue.unbounded<unknown>()
      yield* Effect.forkScoped(socket.runRaw((message) => echoes.offer(message)))
      const write = yield* socket.writer
      for (let n = 0; n < 50; n++) {
        yield* write(String(n))
        yield* write(Uint8Array.of(n))
      }
      for (let n = 0; n < 50; n++) {
        assert.strictEqual(yield* echoes.take, String(n))
        assert.deepStrictEqual(yield* echoes.take, Uint8Array.of(n))
      }
    })
  )

  it.scoped("fails to open, or with the peer's close code", () =>
    Effect.gen(function* () {
      const { context } = yield* constructing((connection) => connection.close({ code: 4000, reason: "no" }))
      const run = (protocols?: string) =>
        Socket.makeWebSocket("ws://memory", protocols === undefined ? {} : { protocols }).pipe(
          Effect.flatMap((socket) => Effect.flip(socket.run(() => Effect.void))),
          Effect.provide(context)
        )
      assert.deepInclude(yield* run(), { reason: "Close", code: 4000, closeReason: "no" })
      assert.strictEqual((yield* run("unknown")).reason, "Open")
    })
  )
})
