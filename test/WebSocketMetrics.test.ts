import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Metric, MetricLabel, Stream, TestClock } from "effect"
import {
  type Connection,
  ConnectionRegistry,
  WebSocketClient,
  WebSocketMetrics,
  WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { type Counted, instrumentsOf } from "../src/instruments.js"
import * as Protocol from "../src/protocol/Protocol.js"
import { accepting, open, settle } from "./support.js"

/** Metrics are the process's: each test has its own by a label of its own. */
let tests = 0
const alone = <A, E, R>(test: Effect.Effect<A, E, R>) => Effect.tagMetrics(test, "test", String(++tests))

const count = (metric: Metric.Metric.Counter<number>) => Effect.map(Metric.value(metric), ({ count }) => count)
const level = (metric: Metric.Metric.Gauge<number>) => Effect.map(Metric.value(metric), ({ value }) => value)

const roles = ["server", "client"] as const

/** Messages and bytes, received and sent, of both roles. */
const flow = Effect.all(
  roles.flatMap((role) =>
    (["received", "sent"] as const).flatMap((direction) => [
      count(WebSocketMetrics.messages(role, direction)),
      count(WebSocketMetrics.bytes(role, direction))
    ])
  )
)

const echo = ({ receive, send }: Connection.Connection) => Effect.forever(Effect.flatMap(receive, send))

/** Clients of one server, in memory. */
const served = (
  handler: (
    connection: Connection.Connection
  ) => Effect.Effect<unknown, unknown, ConnectionRegistry.ConnectionRegistry>,
  options?: WebSocketServer.ServerOptions
) =>
  Effect.map(
    Layer.build(
      Layer.provideMerge(Layer.merge(WebSocketServer.layer(handler, options), WebSocketClient.layer), Testing.layer)
    ),
    (context) => (options?: WebSocketClient.ConnectOptions) =>
      Effect.provide(WebSocketClient.connect("ws://memory", options), context)
  )

describe("L9: messages and bytes", () => {
  it.scoped("are exact whenever they are read, while a connection is open and when it is over", () =>
    Effect.gen(function* () {
      const connect = yield* served(echo)
      const { closed } = yield* Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* connect()
          yield* connection.send("three")
          yield* connection.receive
          // A header of two bytes, four more for a client's masking key.
          assert.deepStrictEqual(yield* flow, [1, 11, 1, 7, 1, 7, 1, 11])
          yield* connection.sendAll([new Uint8Array(3), "four"])
          yield* connection.receive
          yield* connection.receive
          assert.deepStrictEqual(yield* flow, [3, 30, 3, 18, 3, 18, 3, 30])
          assert.deepStrictEqual(
            yield* Effect.all(roles.map((role) => level(WebSocketMetrics.connections(role)))),
            [1, 1]
          )
          return connection
        })
      )
      yield* settle
      const { traffic } = yield* closed
      const { bytesReceived, bytesSent } = traffic
      assert.deepStrictEqual(yield* flow, [3, bytesSent, 3, bytesReceived, 3, bytesReceived, 3, bytesSent])
      assert.deepStrictEqual(yield* Effect.all(roles.map((role) => level(WebSocketMetrics.connections(role)))), [0, 0])
    }).pipe(alone)
  )

  it.scoped("are exact, too, in one that is read in the same tick as another before", () =>
    Effect.gen(function* () {
      const { connection } = yield* open("client")
      assert.strictEqual(yield* count(WebSocketMetrics.messages("client", "sent")), 0)
      yield* connection.send(new Uint8Array(200_000))
      assert.strictEqual(yield* count(WebSocketMetrics.bytes("client", "sent")), 200_014)
      assert.strictEqual(yield* count(WebSocketMetrics.messages("client", "sent")), 1)
    }).pipe(alone)
  )

  it.scoped("a message in fragments is one, however it is sent and taken", () =>
    Effect.gen(function* () {
      const connect = yield* served((connection) =>
        Effect.zipRight(Stream.runDrain(connection.receiveFragments), connection.sendFragments(Stream.make("a", "b")))
      )
      const connection = yield* connect()
      yield* connection.sendFragments(Stream.make("some", "parts", "more"))
      assert.strictEqual(yield* connection.receive, "ab")
      const [received, , sent] = yield* flow
      assert.deepStrictEqual([received, sent], [1, 1])
    }).pipe(alone)
  )

  it.scoped("a broadcast counts for each who gets it, and not for whom it was dropped", () =>
    Effect.gen(function* () {
      const told = yield* Deferred.make<ConnectionRegistry.Service>()
      const connect = yield* served(
        ({ closed }) =>
          Effect.zipRight(
            Effect.flatMap(ConnectionRegistry.ConnectionRegistry, (registry) => Deferred.succeed(told, registry)),
            closed
          ),
        { sendHighWaterMark: 100_000 }
      )
      const connection = yield* connect()
      const { broadcast } = yield* Deferred.await(told)
      const wire = yield* Testing.wireOf(connection)
      yield* Effect.addFinalizer(() => wire.flow)
      yield* wire.stall
      for (const size of [70_000, 20_000, 20_000, 20_000, 20_000]) {
        yield* broadcast(new Uint8Array(size), { slowPeers: "dropOldest" })
        yield* settle
      }
      yield* wire.flow
      yield* settle
      const arrived = (yield* connection.receiveAll).length
      assert.isBelow(arrived, 5)
      assert.strictEqual(yield* count(WebSocketMetrics.messages("server", "sent")), arrived)
    }).pipe(alone)
  )
})

describe("L9: what waits", () => {
  it.scoped("unread messages and unsent bytes are those that are there now", () =>
    Effect.gen(function* () {
      const connect = yield* served(({ closed }) => closed)
      const connection = yield* connect()
      const depths = Effect.all([
        level(WebSocketMetrics.unreadMessages("server")),
        level(WebSocketMetrics.unreadBytes("server")),
        level(WebSocketMetrics.unsentBytes("client"))
      ])
      assert.deepStrictEqual(yield* depths, [0, 0, 0])
      yield* connection.sendAll(["three", new Uint8Array(8)])
      yield* settle
      assert.deepStrictEqual(yield* depths, [2, 13, 0])
      const wire = yield* Testing.wireOf(connection)
      yield* Effect.addFinalizer(() => wire.cut)
      yield* wire.stall
      yield* Effect.fork(connection.send(new Uint8Array(70_000)))
      yield* settle
      assert.deepStrictEqual(yield* depths, [2, 13, 70_014])
      yield* wire.cut
      yield* settle
      assert.deepStrictEqual(yield* depths, [0, 0, 0])
    }).pipe(alone)
  )
})

describe("L9: close codes", () => {
  it.effect("are few, whatever codes a peer thinks of; 1006 is a close frame that there was not", () =>
    Effect.gen(function* () {
      const connect = yield* served(({ closed }) => closed)
      for (const code of [1000, 3000, 3999, 4000, 4321]) {
        yield* Effect.scoped(Effect.flatMap(connect(), ({ close }) => close({ code })))
      }
      const cut = (connection: Connection.Connection) =>
        Effect.zipRight(
          Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut),
          connection.closed
        )
      yield* Effect.scoped(Effect.flatMap(connect(), cut))
      yield* settle
      const received = (code: number) => count(WebSocketMetrics.closeCodes("server", "received", code))
      assert.deepStrictEqual(yield* Effect.forEach([1000, 3333, 4444, 1006, 1001, 2000], received), [1, 2, 2, 1, 0, 0])
      const sent = (code: number) => count(WebSocketMetrics.closeCodes("client", "sent", code))
      assert.deepStrictEqual(yield* Effect.forEach([1000, 3000, 4000, 1006], sent), [1, 2, 2, 1])
    }).pipe(Effect.scoped, alone)
  )
})

describe("L9: handshakes", () => {
  const handshakes = (role: Connection.Role, outcome: WebSocketMetrics.Outcome, status?: number) =>
    count(WebSocketMetrics.handshakes(role, outcome, status))

  it.effect("count by how they end, for server and client", () =>
    Effect.gen(function* () {
      const connect = yield* served(({ closed }) => closed, { origins: ["https://here.example"] })
      yield* Effect.scoped(connect())
      yield* Effect.scoped(connect({ origin: "https://here.example" }))
      yield* Effect.scoped(Effect.flip(connect({ origin: "https://elsewhere.example" })))
      for (const role of roles) {
        assert.deepStrictEqual(
          yield* Effect.all([handshakes(role, "accepted", 101), handshakes(role, "rejected", 403)]),
          [2, 1]
        )
      }
    }).pipe(Effect.scoped, alone)
  )

  it.effect("a hook's refusal counts by its status, a rare one by its class", () =>
    Effect.gen(function* () {
      const statuses = [401, 418, 422, 599]
      const connect = yield* served(({ closed }) => closed, {
        onRequest: () => Effect.succeed(HttpServerResponse.empty({ status: statuses.shift() ?? 500 }))
      })
      for (const _ of [...statuses]) yield* Effect.scoped(Effect.flip(connect()))
      for (const role of roles) {
        const rejected = (status: number) => handshakes(role, "rejected", status)
        assert.deepStrictEqual(yield* Effect.forEach([401, 418, 500, 511], rejected), [1, 2, 0, 1])
      }
    }).pipe(Effect.scoped, alone)
  )

  it.effect("time that is up counts as such, with and without an answer, and so does a client that leaves", () =>
    Effect.gen(function* () {
      const connect = yield* served(({ closed }) => closed, {
        openTimeout: "2 seconds",
        onRequest: () => Effect.never
      })
      const late = yield* Effect.fork(Effect.scoped(Effect.flip(connect({ openTimeout: "3 seconds" }))))
      const quick = yield* Effect.fork(Effect.scoped(Effect.flip(connect({ openTimeout: "1 second" }))))
      const gone = yield* Effect.fork(Effect.scoped(connect()))
      yield* settle
      yield* Fiber.interrupt(gone)
      yield* settle
      assert.deepStrictEqual(
        yield* Effect.all([handshakes("server", "aborted"), handshakes("client", "aborted")]),
        [1, 1]
      )
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.join(quick)
      yield* settle
      assert.deepStrictEqual(
        yield* Effect.all([handshakes("server", "aborted"), handshakes("client", "timeout")]),
        [2, 1]
      )
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.join(late)
      assert.deepStrictEqual(
        yield* Effect.all([handshakes("server", "timeout", 503), handshakes("client", "rejected", 503)]),
        [1, 1]
      )
    }).pipe(Effect.scoped, alone)
  )

  it.scoped("who connects and says nothing was too late, and who keeps a connection for later was not", () =>
    Effect.gen(function* () {
      const acceptor = yield* accepting(() => Effect.void, { openTimeout: "5 seconds", maxHandshakes: 1 })
      const heard = acceptor.arrived(() => {})
      heard()
      acceptor.arrived(() => {})
      acceptor.arrived(() => {}, true)
      acceptor.arrived(() => {})
      yield* TestClock.adjust("5 seconds")
      yield* settle
      const outcomes = yield* Effect.all([handshakes("server", "timeout"), handshakes("server", "failed")])
      assert.deepStrictEqual(outcomes, [1, 1])
    }).pipe(alone)
  )

  it.effect("a server that cannot be reached is a client's failure, and an option that cannot be sent is none", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(Layer.provide(WebSocketClient.layer, Testing.layer))
      const connect = (options?: WebSocketClient.ConnectOptions) =>
        WebSocketClient.connect("ws://memory", options).pipe(Effect.provide(context), Effect.scoped, Effect.flip)
      yield* connect()
      yield* connect({ headers: { Host: "elsewhere" } })
      const outcomes = ["accepted", "rejected", "timeout", "aborted", "failed"] as const
      assert.deepStrictEqual(
        yield* Effect.forEach(outcomes, (outcome) => handshakes("client", outcome)),
        [0, 0, 0, 0, 1]
      )
    }).pipe(Effect.scoped, alone)
  )
})

describe("L9: latency", () => {
  it.scoped("is a histogram of round-trip times in seconds", () =>
    Effect.gen(function* () {
      const connect = yield* served(({ closed }) => closed)
      const connection = yield* connect({ pingInterval: "1 minute" })
      const wire = yield* Testing.wireOf(connection)
      yield* wire.delay("20 millis")
      const ping = yield* Effect.fork(connection.ping)
      yield* settle
      yield* TestClock.adjust("20 millis")
      yield* settle
      yield* TestClock.adjust("20 millis")
      yield* settle
      yield* Fiber.join(ping)
      yield* wire.delay(0)
      const { buckets, count, sum } = yield* Metric.value(WebSocketMetrics.pings("client"))
      assert.deepStrictEqual([count, sum], [1, 0.04])
      assert.deepStrictEqual(
        [...buckets].filter(([, count]) => count > 0).map(([boundary]) => boundary),
        [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, Number.POSITIVE_INFINITY]
      )
    }).pipe(alone)
  )
})

describe("L9: what metrics cost", () => {
  it.scoped("no timer runs for them, however much was sent and read", () =>
    Effect.gen(function* () {
      const endless = { pingInterval: Duration.infinity, messageTimeout: Duration.infinity }
      const connect = yield* served(echo, endless)
      const connection = yield* connect(endless)
      yield* settle
      const before = yield* TestClock.sleeps()
      yield* connection.sendAll(["a", "b"])
      yield* settle
      assert.deepStrictEqual((yield* flow)[0], 2)
      yield* settle
      assert.deepStrictEqual(yield* TestClock.sleeps(), before)
    }).pipe(alone)
  )

  it.effect("a snapshot adds connections up once, and the next one again", () =>
    Effect.gen(function* () {
      const instruments = instrumentsOf("server", [MetricLabel.make("test", "snapshot")])
      let readings = 0
      const connection = {
        state: Protocol.open,
        messagesReceived: 1,
        bytesReceived: 2,
        inbox: { count: 3, length: 4 },
        outbox: { messagesSent: 5, bytesSent: 6, bufferedAmount: () => 7 }
      } satisfies Counted
      const unwatch = instruments.watch((each) => {
        readings++
        each(connection)
      })
      yield* Metric.snapshot
      assert.strictEqual(readings, 1)
      yield* Metric.snapshot
      assert.strictEqual(readings, 2)
      yield* settle
      const read = Effect.all([
        count(WebSocketMetrics.messages("server", "received")),
        count(WebSocketMetrics.bytes("server", "sent")),
        level(WebSocketMetrics.unsentBytes("server"))
      ]).pipe(Effect.tagMetrics("test", "snapshot"))
      assert.deepStrictEqual(yield* read, [1, 6, 7])
      // Those that are read one by one are added up one by one.
      assert.strictEqual(readings, 5)
      connection.messagesReceived++
      connection.outbox.bytesSent += 2
      assert.deepStrictEqual(yield* read, [2, 8, 7])
      unwatch()
      yield* settle
      // What was counted stays counted.
      assert.deepStrictEqual(yield* read, [2, 8, 0])
    })
  )

  it.scoped("servers that were tagged apart count apart", () =>
    Effect.gen(function* () {
      const connect = yield* Effect.tagMetrics(served(echo), "server", "one")
      yield* Effect.tagMetrics(served(echo), "server", "two")
      yield* connect()
      const connections = level(WebSocketMetrics.connections("server"))
      assert.strictEqual(yield* Effect.tagMetrics(connections, "server", "one"), 1)
      assert.strictEqual(yield* Effect.tagMetrics(connections, "server", "two"), 0)
    }).pipe(alone)
  )
})
