import { assert, describe, it, vi } from "@effect/vitest"
import {
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  Random,
  Redacted,
  Ref,
  Scope,
  TestClock
} from "effect"
import {
  type Connection,
  ConnectionClosed,
  ConnectionRegistry,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { basicAuthServer } from "../examples/basic-auth.js"
import { both } from "../examples/both.js"
import { consumer, multipleConsumers } from "../examples/consumer.js"
import { echo } from "../examples/echo.js"
import { firstMessage } from "../examples/first-message.js"
import * as pipes from "../examples/hello-pipes.js"
import { producer } from "../examples/producer.js"
import { reconnectingClient } from "../examples/reconnecting-client.js"
import { Members, registration } from "../examples/registration.js"
import { SessionServer, sessionsOf } from "../examples/sessions.js"
import { showTime } from "../examples/show-time.js"
import { stay, Ticks } from "../examples/synchronised-time.js"
import { settle } from "./support.js"

/** The samples' handlers in memory, where time is the test's. */

const quiet = Logger.remove(Logger.defaultLogger)

/** What is logged at error or above. */
const errors = Effect.map(Ref.make(0), (count) => ({
  count: Ref.get(count),
  layer: Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel }) => {
      if (logLevel._tag === "Error" || logLevel._tag === "Fatal") Effect.runSync(Ref.update(count, (n) => n + 1))
    })
  )
}))

/** A server of a layer's, and clients that come one by one. */
const serving = <A>(server: Layer.Layer<A, unknown, import("effect-websockets").Transport.Listener>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const network = Layer.succeedContext(yield* Layer.build(Testing.layer))
    const context = yield* Layer.buildWithScope(Layer.provide(server, network), scope)
    const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, network))
    return {
      context,
      connect: Effect.provide(WebSocketClient.connect("ws://memory"), client),
      stop: Scope.close(scope, Exit.void)
    }
  })

const cut = (connection: Connection.Connection) => Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut)

describe("S5, show time", () => {
  it.scoped("sends the time at once, and again after one to three seconds", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(showTime)
      assert.strictEqual(yield* connection.receive, "1970-01-01T00:00:00.000Z")
      const next = yield* Effect.fork(connection.receiveText)
      yield* settle
      yield* TestClock.adjust("999 millis")
      assert.isNull(next.unsafePoll())
      yield* TestClock.adjust("2001 millis")
      const time = Date.parse(yield* Fiber.join(next))
      assert.isTrue(time >= 1000 && time <= 3000)
    })
  )

  it.scoped("each connection ticks for itself, and one that goes leaves the other and no error", () =>
    Effect.gen(function* () {
      const log = yield* errors
      const { connect } = yield* Effect.provide(serving(WebSocketServer.layer(showTime)), log.layer)
      const [first, second] = [yield* connect, yield* connect]
      const ticks = (connection: Connection.Connection) =>
        Effect.gen(function* () {
          const times: Array<Connection.Message> = []
          for (let i = 0; i < 10; i++) {
            yield* settle
            times.push(...(yield* connection.receiveAll))
            yield* TestClock.adjust("3 seconds")
          }
          return times
        })
      const [mine, others] = yield* Effect.all([ticks(first), ticks(second)], { concurrency: 2 })
      assert.notDeepEqual(mine, others)
      yield* cut(first)
      yield* TestClock.adjust("3 seconds")
      yield* second.receiveAll
      assert.strictEqual(yield* log.count, 0)
    })
  )
})

describe("S6, synchronised time", () => {
  const server = Ticks.pipe(Layer.provideMerge(WebSocketServer.layer(stay)))

  it.scoped("everybody gets the same ticks, and a late joiner the next one", () =>
    Effect.gen(function* () {
      const { connect } = yield* serving(server)
      const [first, second] = [yield* connect, yield* connect]
      yield* TestClock.adjust("3 seconds")
      yield* settle
      const tick = yield* first.receiveAll
      assert.deepStrictEqual(yield* second.receiveAll, tick)
      const late = yield* connect
      yield* cut(first)
      yield* TestClock.adjust("3 seconds")
      yield* settle
      assert.deepStrictEqual(yield* late.receiveAll, yield* second.receiveAll)
    })
  )

  it.scoped("stops with 1001", () =>
    Effect.gen(function* () {
      const { connect, stop } = yield* serving(server)
      const connection = yield* connect
      yield* stop
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
    })
  )
})

describe("S8, consumer", () => {
  const consuming = Effect.gen(function* () {
    const seen = yield* Ref.make<ReadonlyArray<unknown>>([])
    const ended = yield* Deferred.make<void, unknown>()
    const handler = (connection: Connection.Connection) =>
      consumer((message) =>
        Effect.flatMap(
          Effect.try(() => JSON.parse(String(message))),
          (value) => Ref.update(seen, (all) => [...all, value])
        )
      )(connection).pipe(Effect.onExit((exit) => Deferred.done(ended, exit)))
    const connection = yield* Effect.provide(Testing.connect(handler), quiet)
    return { seen: Ref.get(seen), ended: Deferred.await(ended), connection }
  })

  it.scoped("takes messages in order and ends quietly when the peer closes", () =>
    Effect.gen(function* () {
      const { seen, ended, connection } = yield* consuming
      yield* connection.sendAll(["1", "2", "3"])
      yield* connection.close()
      yield* ended
      assert.deepStrictEqual(yield* seen, [1, 2, 3])
    })
  )

  it.scoped("fails with ConnectionClosed when the peer vanishes", () =>
    Effect.gen(function* () {
      const { ended, connection } = yield* consuming
      yield* cut(connection)
      const error = yield* Effect.flip(ended)
      assert.instanceOf(error, ConnectionClosed.ConnectionClosed)
    })
  )

  it.scoped("bad JSON is a failure of the handler: the peer gets 1011", () =>
    Effect.gen(function* () {
      const { connection } = yield* consuming
      yield* connection.send("{")
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1011)
    })
  )
})

describe("S9, producer", () => {
  it.scoped("sends until the connection is over, and that is its normal end", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
      const produce = Effect.as(Effect.sleep("1 second"), "tick")
      const connection = yield* Testing.connect((connection) =>
        Effect.onExit(producer(produce)(connection), (exit) => Deferred.succeed(ended, exit))
      )
      for (let i = 0; i < 3; i++) {
        yield* settle
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* connection.receive, "tick")
      }
      yield* connection.close()
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isSuccess(yield* Deferred.await(ended)))
    })
  )
})

describe("S10, both", () => {
  const ends: ReadonlyArray<readonly [string, (connection: Connection.Connection) => Effect.Effect<unknown>]> = [
    ["closes", (connection) => connection.close()],
    ["vanishes", cut]
  ]
  it.scoped.each(ends)("whichever side ends first interrupts the other: a peer that %s leaves no fiber", ([, end]) =>
    Effect.gen(function* () {
      const before = (yield* Fiber.roots).length
      const interrupted = yield* Deferred.make<void>()
      const received = yield* Ref.make(0)
      const connection = yield* Effect.provide(
        Testing.connect(
          both(
            () => Ref.update(received, (n) => n + 1),
            Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
          )
        ),
        quiet
      )
      yield* connection.sendAll(["a", "b"])
      yield* settle
      assert.strictEqual(yield* Ref.get(received), 2)
      yield* end(connection)
      yield* Deferred.await(interrupted)
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.strictEqual((yield* Fiber.roots).length, before)
    })
  )
})

describe("S11, multiple consumers", () => {
  it.scoped("sixteen messages at a time are dealt with", () =>
    Effect.gen(function* () {
      const [running, most, done] = yield* Effect.all([Ref.make(0), Ref.make(0), Ref.make(0)])
      const work = Effect.gen(function* () {
        const now = yield* Ref.updateAndGet(running, (n) => n + 1)
        yield* Ref.update(most, (n) => Math.max(n, now))
        yield* Effect.sleep("1 second")
        yield* Ref.update(running, (n) => n - 1)
        yield* Ref.update(done, (n) => n + 1)
      })
      const connection = yield* Testing.connect(multipleConsumers(() => work))
      yield* connection.sendAll(Array.from({ length: 40 }, (_, i) => String(i)))
      for (const expected of [16, 32, 40]) {
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.strictEqual(yield* Ref.get(done), expected)
      }
      assert.strictEqual(yield* Ref.get(most), 16)
    })
  )
})

describe("S12, registration", () => {
  it.scoped("everybody is told of a new member, and who leaves in any way is forgotten", () =>
    Effect.gen(function* () {
      const server = WebSocketServer.layer(registration).pipe(Layer.provideMerge(Members.layer))
      const { context, connect, stop } = yield* Effect.provide(serving(server), quiet)
      const names = Effect.map(Ref.get(Context.get(context, Members)), (members) => [...members.values()])
      const join = (name: string) => Effect.tap(connect, ({ send }) => send(name))
      const ada = yield* join("Ada")
      assert.strictEqual(yield* ada.receive, "Hello Ada!")
      const grace = yield* join("Grace")
      assert.strictEqual(yield* grace.receive, "Hello Grace!")
      assert.strictEqual(yield* ada.receive, "Hello Grace!")
      assert.deepStrictEqual(yield* names, ["Ada", "Grace"])
      yield* ada.close()
      yield* settle
      assert.deepStrictEqual(yield* names, ["Grace"])
      yield* cut(grace)
      yield* settle
      assert.deepStrictEqual(yield* names, [])
      const last = yield* join("Barbara")
      yield* last.receive
      yield* stop
      assert.deepStrictEqual(yield* names, [])
      assert.strictEqual(yield* Context.get(context, ConnectionRegistry.ConnectionRegistry).size, 0)
    })
  )
})

describe("S14, without generators", () => {
  it.effect("greets by name", () =>
    pipes.helloClient("ws://memory", "World").pipe(
      Effect.map((greeting) => assert.strictEqual(greeting, "Hello World!")),
      Effect.provide(
        Layer.merge(WebSocketServer.layer(pipes.hello), WebSocketClient.layer).pipe(Layer.provide(Testing.layer))
      ),
      Effect.provide(quiet)
    )
  )
})

describe("S15, echo", () => {
  it.scoped("gives back what it gets, in order", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(echo)
      const messages = ["a", new Uint8Array([1, 2]), ""]
      yield* connection.sendAll(messages)
      for (const message of messages) assert.deepStrictEqual(yield* connection.receive, message)
    })
  )
})

describe("S15, reconnecting client", () => {
  it.scoped("prints what comes, and says when it tries again and why", () =>
    Effect.gen(function* () {
      const printed = vi.spyOn(console, "log").mockReturnValue()
      yield* Effect.addFinalizer(() => Effect.sync(() => printed.mockRestore()))
      const logged: Array<unknown> = []
      const log = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => logged.push(...[message].flat()))
      )
      const network = Layer.succeedContext(yield* Layer.build(Testing.layer))
      const greeter = WebSocketServer.layer(({ send, closed }) => Effect.zipRight(send("hello"), closed)).pipe(
        Layer.provide(network),
        Layer.provide(quiet)
      )
      const client = Layer.merge(Layer.provide(WebSocketClient.layer, network), log)
      const start = Effect.flatMap(Scope.make(), (scope) =>
        Effect.as(Layer.buildWithScope(Layer.fresh(greeter), scope), Scope.close(scope, Exit.void))
      )
      const stop = yield* start
      const program = yield* Effect.fork(
        reconnectingClient("ws://memory").pipe(Effect.withRandom(Random.fixed([0.5])), Effect.provide(client))
      )
      yield* settle
      assert.deepStrictEqual(printed.mock.calls, [["< hello"]])
      yield* stop
      yield* start
      yield* settle
      assert.strictEqual(
        logged.at(-1),
        "trying again at 1970-01-01T00:00:02.500Z, since ConnectionClosed: peer closed with 1001; we closed with 1001"
      )
      yield* TestClock.adjust("2500 millis")
      yield* settle
      assert.deepStrictEqual(printed.mock.calls, [["< hello"], ["< hello"]])
      yield* Fiber.interrupt(program)
    })
  )
})

describe("S15, who may connect", () => {
  const connectTo = <A>(server: Layer.Layer<A, unknown, import("effect-websockets").Transport.Listener>) =>
    Effect.gen(function* () {
      const network = Layer.succeedContext(yield* Layer.build(Testing.layer))
      yield* Layer.build(Layer.provide(server, network))
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, network))
      return (uri: string, headers: Readonly<Record<string, string>> = {}) =>
        Effect.provide(WebSocketClient.connect(uri, { headers }), client)
    })

  it.scoped("H8, basic auth: greets who knows the password by name", () =>
    Effect.gen(function* () {
      const connect = yield* connectTo(basicAuthServer(Redacted.make("p@ss:word")))
      const connection = yield* connect("ws://ada:p%40ss%3Aword@memory")
      assert.strictEqual(yield* connection.receive, "Hello ada!")
      for (const uri of ["ws://memory", "ws://ada:wrong@memory"]) {
        assert.include((yield* Effect.flip(connect(uri))).message, "status 401: A username and a password are needed.")
      }
    })
  )

  it.scoped("H8, sessions: lets in a token as Bearer or as cookie, and nobody else", () =>
    Effect.gen(function* () {
      const server = SessionServer.pipe(Layer.provide(sessionsOf(new Map([["t0ken", "Ada"]]))))
      const connect = yield* connectTo(server)
      for (const headers of [{ Authorization: "Bearer t0ken" }, { Cookie: "other=1; session=t0ken" }]) {
        assert.strictEqual(yield* (yield* connect("ws://memory", headers)).receive, "Hello Ada!")
      }
      for (const headers of [{}, { Authorization: "Basic t0ken" }, { Cookie: "session=" }]) {
        assert.include((yield* Effect.flip(connect("ws://memory", headers))).message, "status 401: Log in first.")
      }
    })
  )

  const userOf = (token: string) => Effect.succeed(token === "t0ken" ? Option.some("Ada") : Option.none())

  it.scoped("H8, first message: knows who sends a token, and loses nothing of what comes right behind", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(firstMessage({ userOf }))
      yield* connection.sendAll(["t0ken", "a", "b"])
      for (const text of ["Hello Ada!", "a", "b"]) assert.strictEqual(yield* connection.receive, text)
      yield* TestClock.adjust("1 hour")
      yield* connection.send("still here")
      assert.strictEqual(yield* connection.receive, "still here")
    })
  )

  it.scoped.each(["wrong", new Uint8Array([1])])("H8, first message: closes with 1008 on %s", (message) =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(firstMessage({ userOf }))
      yield* connection.send(message)
      const { received } = (yield* connection.closed).closure
      assert.deepStrictEqual(received, { code: 1008, reason: "send a valid token first" })
    })
  )

  it.scoped("H8, first message: closes with 1008 when none came within five seconds, and not before", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(firstMessage({ userOf }))
      yield* settle
      yield* TestClock.adjust("4999 millis")
      yield* settle
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1008)
    })
  )
})
