import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Schedule, Schema, TestClock } from "effect"
import {
  Connection,
  ConnectionRegistry,
  Protocol,
  Reconnecting,
  Resume,
  Router,
  SchemaConnection,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"

/** That a test of each kind of program is about ten lines: everything comes from public entry points. */

const echo = (connection: Connection.Connection) => Connection.runForEach(connection, connection.send)

const uri = "ws://memory"

class Greeter extends Context.Tag("Greeter")<Greeter, { readonly greet: (name: string) => string }>() {}
class User extends Context.Tag("User")<User, { readonly name: string }>() {}

describe("L11: a test of", () => {
  it.scoped("a handler with services", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(({ receiveText, send }) =>
        Effect.flatMap(Greeter, ({ greet }) => Effect.flatMap(receiveText, (name) => send(greet(name))))
      )
      yield* connection.send("Ada")
      assert.strictEqual(yield* connection.receive, "Good day, Ada")
    }).pipe(Effect.provideService(Greeter, { greet: (name) => `Good day, ${name}` }))
  )

  const Private = WebSocketServer.layer(({ send }) => Effect.flatMap(User, ({ name }) => send(`Hello ${name}`)), {
    onRequest: ({ headers }) =>
      headers["x-user"] === undefined
        ? Effect.fail(HttpServerResponse.text("Who are you?", { status: 401 }))
        : Effect.succeed(Context.make(User, { name: headers["x-user"] }))
  })

  it.scoped("a server that knows its users", () =>
    Effect.gen(function* () {
      const connection = yield* WebSocketClient.connect(uri, { headers: { "X-User": "Ada" } })
      assert.strictEqual(yield* connection.receive, "Hello Ada")
      assert.include((yield* Effect.flip(WebSocketClient.connect(uri))).message, "status 401: Who are you?")
    }).pipe(Effect.provide(Testing.layerServer(Private)))
  )

  const routes = Router.make(
    Router.websocket("/rooms/:room", ({ send }, { room }) => send(`Welcome to ${room}`)),
    Router.get("/healthz", () =>
      Effect.map(
        Effect.flatMap(ConnectionRegistry.ConnectionRegistry, ({ size }) => size),
        (size) => HttpServerResponse.text(`OK, ${size} connections`, { headers: { "x-size": String(size) } })
      )
    )
  )

  it.scoped("a router", () =>
    Effect.gen(function* () {
      const connection = yield* WebSocketClient.connect(`${uri}/rooms/green`)
      assert.strictEqual(yield* connection.receive, "Welcome to green")
      yield* connection.closed
      const { body, headers, status } = yield* Testing.request("/healthz")
      assert.deepStrictEqual([status, body, headers["x-size"]], [200, "OK, 0 connections", "0"])
      assert.strictEqual((yield* Testing.request("/healthz", { method: "POST" })).status, 405)
    }).pipe(Effect.provide(Testing.layerServer(Router.layer(routes))))
  )

  it.scoped("a client that comes back", () =>
    Effect.gen(function* () {
      const network = yield* Testing.Network
      yield* network.nextDials("refused", "unanswered")
      yield* Effect.fork(Reconnecting.run(uri, echo, { schedule: Schedule.spaced("1 second") }))
      yield* Testing.pass("13 seconds")
      yield* Effect.flatMap(network.wires, ([wire]) => wire!.cut)
      yield* Testing.pass("1 second")
      assert.deepStrictEqual(
        (yield* network.dials).map(({ at }) => at),
        [0, 1_000, 12_000, 14_000]
      )
    }).pipe(Effect.provide(Testing.layerServer(WebSocketServer.layer(echo))))
  )

  it.scoped("a client that waits as long as the server asks for", () =>
    Effect.gen(function* () {
      const network = yield* Testing.Network
      yield* network.nextDials({ status: 503, headers: [["Retry-After", "60"]] })
      const program = yield* Effect.fork(Reconnecting.run(uri, ({ receive }) => receive))
      yield* Testing.pass("59999 millis")
      assert.lengthOf(yield* network.dials, 1)
      yield* Testing.pass("1 millis")
      yield* Fiber.join(program)
    }).pipe(Effect.provide(Testing.layerServer(WebSocketServer.layer(({ send }) => send("there you are")))))
  )

  const Sessions = WebSocketServer.layer(
    Resume.handler((session) => Connection.runForEach(session, session.send)),
    { subprotocols: [Resume.subprotocol] }
  ).pipe(Layer.provide(Resume.layer()))

  it.scoped("a session that survives a cut", () =>
    Effect.gen(function* () {
      const { wires } = yield* Testing.Network
      const session = yield* Resume.connect(uri)
      yield* Effect.flatMap(wires, ([wire]) => wire!.toServer.cutAfterFrames(1))
      yield* Effect.forEach(["a", "b", "c"], session.send)
      yield* Testing.pass("10 seconds")
      assert.deepStrictEqual(yield* Effect.replicateEffect(session.receive, 3), ["a", "b", "c"])
      assert.lengthOf(yield* wires, 2)
    }).pipe(Effect.provide(Testing.layerServer(Sessions)))
  )

  const Count = Protocol.make({
    client: Schema.Struct({ plus: Schema.Int }),
    server: Schema.Struct({ sum: Schema.Int })
  })

  it.scoped("typed messages", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect((connection) => {
        const counter = SchemaConnection.server(connection, Count)
        return SchemaConnection.runForEach(counter, ({ plus }) => counter.send({ sum: plus + 1 }))
      })
      const client = SchemaConnection.client(connection, Count)
      yield* client.sendAll([{ plus: 1 }, { plus: 2 }])
      assert.deepStrictEqual(yield* Effect.replicateEffect(client.receive, 2), [{ sum: 2 }, { sum: 3 }])
    })
  )
})

describe("L11: a network", () => {
  it.scoped("decides about dials one after the other, and then no more", () =>
    Effect.gen(function* () {
      const network = yield* Testing.Network
      yield* network.nextDials("refused", { status: 429, body: "later" })
      yield* network.nextDials({ faults: { delay: "1 second" } })
      const connect = WebSocketClient.connect(uri, { openTimeout: "5 seconds" })
      assert.include((yield* Effect.flip(connect)).message, "cannot connect to memory: the test has it refused")
      assert.include((yield* Effect.flip(connect)).message, "the server answered with status 429: later")
      const slow = yield* Effect.fork(connect)
      yield* Testing.pass("1999 millis")
      assert.isNull(slow.unsafePoll())
      yield* Testing.pass("1 millis")
      yield* Fiber.join(slow)
      yield* connect
      yield* network.nextDials("unanswered")
      const never = yield* Effect.fork(Effect.flip(connect))
      yield* Testing.pass("4999 millis")
      assert.isNull(never.unsafePoll())
      yield* Testing.pass("1 millis")
      assert.include((yield* Fiber.join(never)).message, "not open after openTimeout (5000 ms)")
      assert.deepStrictEqual(
        (yield* network.dials).map(({ at, request }) => [at, request.target]),
        [0, 0, 0, 2_000, 2_000].map((at) => [at, "/"])
      )
      assert.lengthOf(yield* network.wires, 2)
    }).pipe(Effect.provide(Testing.layerServer(WebSocketServer.layer(echo))))
  )

  it.scoped("that is healed forgets its faults, and what it had decided", () =>
    Effect.gen(function* () {
      const network = yield* Testing.Network
      yield* network.setFaults({ stalled: true })
      const waiting = yield* Effect.fork(WebSocketClient.connect(uri))
      yield* Testing.settle
      yield* network.nextDials("unanswered", "refused")
      const unanswered = yield* Effect.fork(WebSocketClient.connect(uri))
      yield* Testing.settle
      assert.isNull(waiting.unsafePoll())
      yield* network.heal
      yield* Fiber.join(waiting)
      yield* WebSocketClient.connect(uri)
      assert.lengthOf(yield* network.dials, 3)
      yield* Fiber.interrupt(unanswered)
    }).pipe(Effect.provide(Testing.layerServer(WebSocketServer.layer(echo))))
  )

  it.effect("of a server that is released lets nobody wait, whatever is wrong with it", () =>
    Effect.gen(function* () {
      const connection = yield* Effect.gen(function* () {
        const connection = yield* WebSocketClient.connect(uri)
        const wire = yield* Testing.wireOf(connection)
        yield* wire.stall
        yield* wire.delay("1 day")
        return connection
      }).pipe(Effect.provide(Testing.layerServer(WebSocketServer.layer(echo))))
      assert.include((yield* connection.closed).message, "peer closed with 1001")
    }).pipe(Effect.scoped)
  )
})

describe("L11: settle", () => {
  it.effect("sees arrive what was written, each time of many", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 600; round++) {
        const { peer, stream } = yield* Testing.makePair
        let arrived = 0
        stream.attach({ data: () => void arrived++, end: () => {}, drain: () => {}, closed: () => {} })
        yield* peer.write(Uint8Array.of(1))
        yield* Testing.settle
        assert.strictEqual(arrived, 1, `round ${round}`)
      }
    })
  )
})

describe("L11: pass", () => {
  it.effect("lets time pass for what was only just begun, and what it wakes go on", () =>
    Effect.gen(function* () {
      const steps: Array<string> = []
      yield* Effect.fork(
        Effect.gen(function* () {
          yield* Effect.promise(() => Promise.resolve())
          yield* Effect.sleep("1 second")
          yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
          steps.push("woken")
        })
      )
      yield* Testing.pass("999 millis")
      assert.deepStrictEqual(steps, [])
      yield* Testing.pass("1 millis")
      assert.deepStrictEqual(steps, ["woken"])
      assert.strictEqual(yield* TestClock.currentTimeMillis, 1_000)
    })
  )
})
