import { type Socket, SocketServer } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Deferred,
  Effect,
  Fiber,
  FiberRef,
  Layer,
  Logger,
  type LogLevel,
  Option,
  Queue,
  type Scope
} from "effect"
import { ConnectionClosed, ConnectionRegistry, WebSocketClient, WebSocketServer } from "effect-websockets"
import { PlatformSocketServer } from "effect-websockets/platform"
import { Testing } from "effect-websockets/testing"
import { settle } from "../support.js"

class User extends Context.Tag("User")<User, string>() {}

/** A socket server in memory, whose hook takes the user's name from the path; and what it logs. */
const started = Effect.gen(function* () {
  const logged: Array<readonly [LogLevel.LogLevel["_tag"], unknown]> = []
  const logger = Logger.make(({ logLevel, message }) => void logged.push([logLevel._tag, message]))
  const context = yield* Layer.build(
    Layer.merge(
      PlatformSocketServer.layer({
        concurrency: 1,
        onRequest: ({ url }) => Effect.succeed(Context.make(User, url.slice(1)))
      }),
      WebSocketClient.layer
    ).pipe(Layer.provideMerge(Testing.layer), Layer.provide(Logger.replace(Logger.defaultLogger, logger)))
  )
  const server = Context.get(context, SocketServer.SocketServer)
  const run = <E>(handler: (socket: Socket.Socket) => Effect.Effect<unknown, E>) =>
    Effect.forkScoped(server.run(handler))
  const connect = (path = "") => Effect.provide(WebSocketClient.connect(`ws://memory/${path}`), context)
  const errors = () => logged.filter(([level]) => level === "Error" || level === "Fatal")
  return { context, server, run, connect, errors }
})

const echo = (socket: Socket.Socket) =>
  Effect.scoped(Effect.flatMap(socket.writer, (write) => socket.runRaw((message) => write(message))))

const codeOf = (connection: { readonly closed: Effect.Effect<ConnectionClosed.ConnectionClosed> }) =>
  Effect.map(connection.closed, ConnectionClosed.code)

describe("a socket server", () => {
  it.scoped("gives each connection to the handler", () =>
    Effect.gen(function* () {
      const { run, connect } = yield* started
      yield* run(echo)
      const clients = yield* Effect.all([connect(), connect()])
      for (const client of clients) yield* client.send("hello")
      for (const client of clients) assert.strictEqual(yield* client.receiveText, "hello")
    })
  )

  it.scoped("keeps connections and their messages until somebody runs it", () =>
    Effect.gen(function* () {
      const { run, connect } = yield* started
      const client = yield* connect()
      yield* client.sendAll(["one", "two"])
      yield* settle
      yield* run(echo)
      assert.deepStrictEqual([yield* client.receiveText, yield* client.receiveText], ["one", "two"])
    })
  )

  it.scoped("closes with 1000 when a handler returns, and with 1011 when it fails, which is logged", () =>
    Effect.gen(function* () {
      const { run, connect, errors } = yield* started
      const outcomes = [Effect.void, Effect.fail("no"), Effect.die(new Error("a bug"))]
      yield* run(() => Effect.suspend(() => outcomes.shift() ?? Effect.void))
      const codes: Array<number> = []
      for (let n = 0; n < 3; n++) codes.push(yield* Effect.flatMap(connect(), codeOf))
      assert.deepStrictEqual(codes, [1000, 1011, 1011])
      assert.lengthOf(errors(), 2)
    })
  )

  it.scoped("takes it for a normal end that a handler fails since its peer has left", () =>
    Effect.gen(function* () {
      const { context, run, connect, errors } = yield* started
      const failed = yield* Queue.unbounded<Socket.SocketError>()
      const handlers = [
        (socket: Socket.Socket) => Effect.tapError(echo(socket), (error) => failed.offer(error)),
        (socket: Socket.Socket) =>
          echo(socket).pipe(
            Effect.ignore,
            Effect.zipRight(Effect.flatMap(socket.writer, (write) => Effect.orDie(write("too late")))),
            Effect.tapErrorCause(() => failed.offer({ reason: "Write" } as Socket.SocketError)),
            Effect.scoped
          )
      ]
      yield* run((socket) => Effect.suspend(() => handlers.shift()?.(socket) ?? Effect.void))
      for (const reason of ["Close", "Write"] as const) {
        const client = yield* connect()
        yield* client.close({ code: 1001 })
        assert.strictEqual((yield* failed.take).reason, reason)
      }
      yield* settle
      assert.deepStrictEqual(errors(), [])
      const registry = yield* Effect.provide(ConnectionRegistry.ConnectionRegistry, context)
      assert.strictEqual(yield* registry.size, 0)
    })
  )

  it.scoped("interrupts its handlers when the run is interrupted, closes with 1001, and keeps who comes then", () =>
    Effect.gen(function* () {
      const { run, connect } = yield* started
      const interrupted = yield* Deferred.make<void>()
      const running = yield* run(() => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined)))
      const first = yield* connect()
      yield* settle
      yield* Fiber.interrupt(running)
      yield* Deferred.await(interrupted)
      assert.strictEqual(yield* codeOf(first), 1001)

      const second = yield* connect()
      yield* second.send("hello")
      yield* run(echo)
      assert.strictEqual(yield* second.receiveText, "hello")
    })
  )

  it.scoped("gives connections to the latest of its runs", () =>
    Effect.gen(function* () {
      const { run, connect } = yield* started
      const say = (word: string) => (socket: Socket.Socket) =>
        Effect.scoped(Effect.flatMap(socket.writer, (write) => write(word)))
      yield* run(say("first"))
      yield* settle
      const second = yield* run(say("second"))
      yield* settle
      const hear = Effect.flatMap(connect(), (client) => client.receiveText)
      assert.strictEqual(yield* hear, "second")
      yield* Fiber.interrupt(second)
      assert.strictEqual(yield* hear, "first")
    })
  )

  it.scoped("runs handlers with the services and fiber references of whoever runs it", () =>
    Effect.gen(function* () {
      class Name extends Context.Tag("Name")<Name, string>() {}
      const { server, connect } = yield* started
      const ref = yield* FiberRef.make("initial")
      const found = yield* Deferred.make<readonly [string, string]>()
      const handler = () => Effect.flatMap(Effect.zip(Name, FiberRef.get(ref)), (pair) => Deferred.succeed(found, pair))
      yield* server
        .run(handler)
        .pipe(Effect.provideService(Name, "Ada"), Effect.locally(ref, "local"), Effect.forkScoped)
      yield* connect()
      assert.deepStrictEqual(yield* Deferred.await(found), ["Ada", "local"])
    })
  )

  it.scoped("lets handlers find their connection, and what the hook gave it", () =>
    Effect.gen(function* () {
      const { run, connect } = yield* started
      const found = yield* Deferred.make<unknown>()
      const services = Effect.all([
        Effect.map(Effect.serviceOption(User), Option.getOrNull),
        Effect.map(
          Effect.serviceOption(PlatformSocketServer.CurrentConnection),
          (found) => Option.getOrNull(found)?.handshake.request.target
        )
      ])
      yield* run(() => Effect.flatMap(services, (services) => Deferred.succeed(found, services)))
      yield* connect("ada")
      assert.deepStrictEqual(yield* Deferred.await(found), ["ada", "/ada"])
    })
  )

  it.scoped("closes its connections with 1001 when its scope ends, with or without a run", () =>
    Effect.gen(function* () {
      const network = yield* Layer.build(Testing.layer)
      for (const isRun of [true, false]) {
        const stop = yield* Deferred.make<void>()
        const up = yield* Deferred.make<void>()
        const serving = Effect.gen(function* () {
          const server = yield* SocketServer.SocketServer
          if (isRun) yield* Effect.forkScoped(server.run(() => Effect.never))
          yield* Deferred.succeed(up, undefined)
          yield* Deferred.await(stop)
        }).pipe(Effect.scoped, Effect.provide(PlatformSocketServer.layer()), Effect.provide(network))
        const fiber = yield* Effect.forkScoped(serving)
        yield* Deferred.await(up)
        const client = yield* WebSocketClient.connect("ws://memory").pipe(
          Effect.provide(WebSocketClient.layer),
          Effect.provide(network)
        )
        yield* Deferred.succeed(stop, undefined)
        assert.strictEqual(yield* codeOf(client), 1001)
        yield* Fiber.join(fiber)
      }
    })
  )

  it.scoped("has the address of its listener, and fails with Open where that cannot listen", () =>
    Effect.gen(function* () {
      const { context, server } = yield* started
      assert.strictEqual(server.address, Context.get(context, WebSocketServer.WebSocketServer).address)
      assert.strictEqual(server.address._tag, "TcpAddress")
      const error: SocketServer.SocketServerError = yield* Effect.flip(
        Effect.provide(Layer.build(PlatformSocketServer.layer()), context) as Effect.Effect<
          unknown,
          SocketServer.SocketServerError,
          Scope.Scope
        >
      )
      assert.strictEqual(error.reason, "Open")
      assert.match(String((error.cause as Error).message), /^cannot listen on memory: /)
    })
  )
})
