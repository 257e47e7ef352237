import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { Connection, ConnectionClosed, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../../src/protocol/Frame.js"
import { hex, open, plain, settle } from "../support.js"

const echo = (connection: Connection.Connection) => Connection.runForEach(connection, connection.send)

const { pass } = Testing

describe("connect", () => {
  it.scoped("gives the client's end of a connection that a handler serves", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(echo)
      assert.strictEqual(connection.role, "client")
      yield* connection.sendAll(["a", Uint8Array.from([1])])
      assert.deepStrictEqual(yield* connection.receive, "a")
      assert.deepStrictEqual(yield* connection.receive, Uint8Array.from([1]))
    })
  )

  it.scoped("passes on the target and both ends' options", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(({ handshake, send }) => send(handshake.request.target), {
        target: "/room?name=1",
        server: { subprotocols: ["b", "a"] },
        client: { subprotocols: ["a"] }
      })
      assert.strictEqual(yield* connection.receive, "/room?name=1")
      assert.strictEqual(Option.getOrUndefined(connection.handshake.subprotocol), "a")
    })
  )

  it.effect("closes the connection and stops the server when its scope is left", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      let end: Exit.Exit<unknown, unknown> | undefined
      const connection = yield* Scope.extend(
        Testing.connect(({ receive }) =>
          Effect.onExit(receive, (exit) =>
            Effect.sync(() => {
              end = exit
            })
          )
        ),
        scope
      )
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(ConnectionClosed.isClean(yield* connection.closed))
      assert.isTrue(end !== undefined && Exit.isFailure(end))
    })
  )
})

describe("faults from the start hit the opening handshake", () => {
  it.scoped("a stalled wire: connecting takes longer than openTimeout", () =>
    Effect.gen(function* () {
      const connecting = yield* Effect.fork(Effect.flip(Testing.connect(echo, { faults: { stalled: true } })))
      yield* pass("9999 millis")
      assert.isNull(connecting.unsafePoll())
      yield* pass("1 millis")
      const error = yield* Fiber.join(connecting)
      assert(error._tag === "HandshakeError")
      assert.strictEqual(error.reason._tag, "Timeout")
    })
  )

  it.scoped("a delay: request and response take that long each", () =>
    Effect.gen(function* () {
      const connecting = yield* Effect.fork(Testing.connect(echo, { faults: { delay: 1000 } }))
      yield* pass("1000 millis")
      yield* pass("999 millis")
      assert.isNull(connecting.unsafePoll())
      yield* pass("1 millis")
      const connection = yield* Fiber.join(connecting)
      yield* Effect.flatMap(Testing.wireOf(connection), ({ delay }) => delay(0))
    })
  )

  it.scoped("split: the first bytes come one by one", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(({ send }) => send("at once"), { faults: { split: 1 } })
      assert.strictEqual(yield* connection.receive, "at once")
    })
  )

  it.scoped("cut: the client fails with TransportError", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(
        Layer.merge(WebSocketServer.layer(echo), WebSocketClient.layer).pipe(Layer.provideMerge(Testing.layer))
      )
      const network = Context.get(context, Testing.Network)
      yield* network.setFaults({ stalled: true })
      const connecting = yield* Effect.fork(
        Effect.flip(Effect.provide(WebSocketClient.connect("ws://memory"), context))
      )
      yield* settle
      const [wire] = yield* network.wires
      yield* wire!.cut
      assert.strictEqual((yield* Fiber.join(connecting))._tag, "TransportError")
      yield* network.setFaults({ stalled: false })
      yield* Effect.provide(WebSocketClient.connect("ws://memory"), context)
      assert.lengthOf(yield* network.wires, 2)
    })
  )
})

describe("a network", () => {
  it.scoped("without a server refuses, and has one server at a time", () =>
    Effect.gen(function* () {
      const network = yield* Layer.build(Testing.layer)
      const onIt = Layer.succeedContext(network)
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, onIt))
      const connect = Effect.scoped(Effect.provide(WebSocketClient.connect("ws://memory"), client))
      assert.strictEqual((yield* Effect.flip(connect))._tag, "TransportError")
      const server = Layer.provide(WebSocketServer.layer(echo), onIt)
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(server, scope)
      yield* connect
      const second = yield* Effect.flip(Layer.build(Layer.fresh(server)))
      assert.strictEqual(second._tag, "ListenError")
      assert.include(second.message, "another server listens on this network")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(connect))._tag, "TransportError")
    })
  )
})

describe("layerKeys", () => {
  it.scoped("counts keys and ping payloads from 1, anew wherever it is provided", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 2; round++) {
        const { connection, peer } = yield* Effect.provide(open("client"), Testing.layerKeys)
        yield* connection.send("\0")
        yield* Effect.fork(connection.ping)
        yield* settle
        assert.strictEqual(hex(yield* peer.read), "81810000000100" + "89840000000200000003")
        yield* peer.write(plain(Frame.pong(Uint8Array.from([0, 0, 0, 1]))))
      }
    })
  )
})
