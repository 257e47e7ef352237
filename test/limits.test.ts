import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Layer, Logger, Ref, Stream, TestClock } from "effect"
import {
  Connection,
  ConnectionClosed,
  type HandshakeError,
  Transport,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { vi } from "vitest"
import { keyOf } from "../src/limits.js"
import { Meter } from "../src/meter.js"
import * as Frame from "../src/protocol/Frame.js"
import { accepting, masked, open, settle } from "./support.js"

/** How many connections there may be, of whom, how long and how fast. */

const stay = (connection: Connection.Connection) => Connection.runForEach(connection, connection.send)

class Account extends Context.Tag("test/Account")<Account, string>() {}

const serving = <P = never, R = never>(options: WebSocketServer.ServerOptions<P, never, R>) =>
  Effect.gen(function* () {
    const network = yield* Layer.build(Testing.layer)
    const services = Layer.succeedContext(network)
    yield* Layer.build(Layer.provide(WebSocketServer.layer(stay, options), services))
    const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, services))
    const connect = (headers: Readonly<Record<string, string>> = {}) =>
      Effect.provide(WebSocketClient.connect("ws://memory", { headers }), client)
    const refused = (headers: Readonly<Record<string, string>> = {}) =>
      Effect.map(Effect.flip(connect(headers)), (error) => {
        const { reason } = error as HandshakeError
        if (reason?._tag !== "Rejected") return assert.fail(String(error))
        return [reason.response.status, new Map(reason.response.headers).get("Retry-After")]
      })
    return { connect, refused, connector: Context.get(network, Transport.Connector) }
  })

describe("connectionKey", () => {
  it.effect("H11: without maxConnectionsPerKey would do nothing, and is a defect that says so", () =>
    Effect.gen(function* () {
      const build = (settings: WebSocketServer.ServerSettings) =>
        WebSocketServer.layer(() => Effect.void, { ...settings, connectionKey: () => Effect.succeed("a") }).pipe(
          Layer.provide(Testing.layer),
          Layer.build,
          Effect.scoped,
          Effect.exit
        )
      const exit = yield* build({})
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "there is no maxConnectionsPerKey")
      assert.isTrue(Exit.isSuccess(yield* build({ maxConnectionsPerKey: Number.POSITIVE_INFINITY })))
    })
  )
})

describe("maxConnections", () => {
  it.scoped("H11: one more is refused with 503 and Retry-After, until a place is free, however that came", () =>
    Effect.gen(function* () {
      const { connect, refused } = yield* serving({ maxConnections: 2 })
      const leaving: ReadonlyArray<(connection: Connection.Connection) => Effect.Effect<unknown>> = [
        (connection) => connection.close(),
        (connection) => Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut)
      ]
      yield* connect()
      for (const leave of leaving) {
        const second = yield* connect()
        assert.deepStrictEqual(yield* refused(), [503, "5"])
        yield* leave(second)
        yield* settle
      }
      yield* connect()
    })
  )

  it.scoped("H11: who is refused costs no hook, and plain requests are answered all the same", () =>
    Effect.gen(function* () {
      const asked = yield* Ref.make(0)
      const { connect, refused, connector } = yield* serving({
        maxConnections: 1,
        onRequest: ({ url }) =>
          Effect.as(
            Ref.update(asked, (n) => n + 1),
            url === "/healthz" ? HttpServerResponse.text("OK") : undefined
          )
      })
      yield* connect()
      yield* refused()
      assert.strictEqual(yield* Ref.get(asked), 1)
      const health = yield* connector.exchange(
        { secure: false, hostname: "memory", port: 80 },
        { method: "GET", target: "/healthz", version: "1.1", headers: [["Host", "memory"]] }
      )
      assert.strictEqual(health.response.status, 200)
    })
  )

  it.scoped("H11: of two that are decided about at the same time for the last place one gets it", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { connect } = yield* serving({ maxConnections: 1, onRequest: () => Deferred.await(gate) })
      const both = yield* Effect.fork(
        Effect.all([Effect.either(connect()), Effect.either(connect())], { concurrency: 2 })
      )
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      const ends = (yield* both).map((result) => (result._tag === "Left" ? result.left.message : "open"))
      assert.deepStrictEqual(ends.filter((end) => end === "open").length, 1)
      assert.include(ends.join(), "status 503")
    })
  )
})

describe("maxConnectionsPerKey", () => {
  it.scoped("H11: counts by address: one more is refused with 429 and Retry-After until one has left", () =>
    Effect.gen(function* () {
      const { connect, refused } = yield* serving({ maxConnectionsPerKey: 2 })
      yield* connect()
      const second = yield* connect()
      assert.deepStrictEqual(yield* refused(), [429, "5"])
      yield* second.close()
      yield* settle
      yield* connect()
    })
  )

  it.scoped("H11: counts by what a function says of the request", () =>
    Effect.gen(function* () {
      const { connect, refused } = yield* serving({
        maxConnectionsPerKey: 1,
        connectionKey: ({ headers }) => Effect.succeed(headers["x-forwarded-for"] ?? "")
      })
      const first = yield* connect({ "X-Forwarded-For": "192.0.2.1" })
      yield* connect({ "X-Forwarded-For": "192.0.2.2" })
      assert.deepStrictEqual(yield* refused({ "X-Forwarded-For": "192.0.2.1" }), [429, "5"])
      yield* first.close()
      yield* settle
      yield* connect({ "X-Forwarded-For": "192.0.2.1" })
    })
  )

  it.scoped("H11: counts by the principal that the request hook gave", () =>
    Effect.gen(function* () {
      const { connect, refused } = yield* serving({
        maxConnectionsPerKey: 1,
        onRequest: ({ headers }) => Effect.succeed(Context.make(Account, headers["x-account"] ?? "")),
        connectionKey: () => Account
      })
      yield* connect({ "X-Account": "ada" })
      yield* connect({ "X-Account": "eve" })
      assert.deepStrictEqual(yield* refused({ "X-Account": "ada" }), [429, "5"])
    })
  )

  it.scoped("H11: a function that answers has answered", () =>
    Effect.gen(function* () {
      const { refused } = yield* serving({
        maxConnectionsPerKey: 1,
        connectionKey: () => Effect.fail(HttpServerResponse.empty({ status: 402 }))
      })
      assert.deepStrictEqual(yield* refused(), [402, undefined])
    })
  )

  const tcp = (hostname: string) => keyOf({ _tag: "TcpAddress", hostname, port: 1 })
  it("H11: an address is that of IPv4, or the half of one of IPv6 that a host does not choose", () => {
    assert.strictEqual(tcp("192.0.2.1"), "192.0.2.1")
    assert.strictEqual(tcp("::ffff:192.0.2.1"), "192.0.2.1")
    assert.strictEqual(tcp("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2")
    assert.strictEqual(tcp("2001:DB8:1:2::6"), "2001:db8:1:2")
    assert.strictEqual(tcp("2001:db8::6"), "2001:db8:0:0")
    assert.strictEqual(tcp("::1"), "0:0:0:0")
    assert.strictEqual(tcp("fe80::1%eth0"), "fe80:0:0:0")
    assert.isUndefined(keyOf({ _tag: "UnixAddress", path: "/run/x" }))
    assert.isUndefined(keyOf(undefined))
  })
})

describe("maxLifetime", () => {
  it.scoped("H11: a connection is closed with 1001 when it is up, and not before", () =>
    Effect.gen(function* () {
      const { connect } = yield* serving({ maxLifetime: "2 minutes" })
      const connection = yield* connect()
      yield* TestClock.adjust("1 minute")
      yield* connection.send("x")
      yield* TestClock.adjust("59999 millis")
      yield* settle
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* TestClock.adjust("1 millis")
      const closed = yield* connection.closed
      assert.deepStrictEqual(closed.closure.received, {
        code: 1001,
        reason: "the connection has reached its maxLifetime"
      })
      assert.isTrue(ConnectionClosed.isClean(closed))
    })
  )

  it.scoped("H11: one that has ended before is not thought of any more", () =>
    Effect.gen(function* () {
      const { connect } = yield* serving({ maxLifetime: "2 minutes" })
      const connection = yield* connect()
      yield* connection.close({ code: 4000, reason: "" })
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual((yield* connection.closed).closure.sent?.code, 4000)
    })
  )
})

const text = (payload: string, fin = true, opcode: Frame.Opcode = Frame.Opcode.Text): Frame.Frame => ({
  fin,
  rsv: 0,
  opcode,
  payload: new TextEncoder().encode(payload)
})

describe("maxMessagesPerSecond", () => {
  it.scoped("H11: as many pass, one more ends the connection with 1008 behind them, and none after it", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server", { maxMessagesPerSecond: 3 })
      yield* peer.write(masked(...["a", "b", "c", "d", "e"].map((payload) => text(payload))))
      for (const payload of ["a", "b", "c"]) assert.strictEqual(yield* connection.receive, payload)
      const error = yield* Effect.flip(connection.receive)
      assert.strictEqual(error._tag, "ConnectionClosed")
      assert.include(error.message, "we closed with 1008 more than maxMessagesPerSecond (3) messages in a second")
    })
  )

  it.scoped("H11: a second later as many pass again", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server", { maxMessagesPerSecond: 2 })
      for (let second = 0; second < 3; second++) {
        yield* peer.write(masked(text("a"), text("b")))
        assert.deepStrictEqual([yield* connection.receive, yield* connection.receive], ["a", "b"])
        yield* TestClock.adjust("1 second")
      }
      yield* peer.write(masked(text("a"), text("b")))
      yield* TestClock.adjust("999 millis")
      yield* peer.write(masked(text("c")))
      yield* settle
      assert.notStrictEqual((yield* connection.state)._tag, "Open")
    })
  )

  it.scoped("H11: a message in fragments is one, also where it is taken in parts; pings are none", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server", { maxMessagesPerSecond: 2 })
      const fragmented = [
        text("a", false),
        text("b", false, Frame.Opcode.Continuation),
        text("c", true, Frame.Opcode.Continuation)
      ]
      yield* peer.write(masked(...fragmented, text("", true, Frame.Opcode.Ping)))
      assert.strictEqual(yield* connection.receive, "abc")
      const parts = yield* Effect.fork(Stream.runCollect(connection.receiveFragments))
      yield* settle
      yield* peer.write(masked(...fragmented))
      assert.deepStrictEqual([...(yield* parts)].join(""), "abc")
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* peer.write(masked(text("d")))
      yield* settle
      assert.notStrictEqual((yield* connection.state)._tag, "Open")
    })
  )
})

describe("maxBytesPerSecond", () => {
  it.scoped("H11: as many bytes pass, one more ends the connection with 1008, whatever they are", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server", { maxBytesPerSecond: 20 })
      yield* peer.write(masked(text("0123")))
      assert.strictEqual(yield* connection.receive, "0123")
      yield* peer.write(masked(text("0123", true, Frame.Opcode.Ping)))
      yield* settle
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* peer.write(masked(text("")).subarray(0, 1))
      const error = yield* Effect.flip(connection.receive)
      assert.include(error.message, "we closed with 1008 more than maxBytesPerSecond (20) bytes in a second")
    })
  )

  it.scoped("H11: what is beyond it reaches nobody, but the answer to our close frame does", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server", { maxBytesPerSecond: 20 })
      yield* peer.write(masked(text("a")))
      yield* settle
      yield* peer.write(masked(text("b".repeat(20))))
      assert.strictEqual(yield* connection.receive, "a")
      yield* Effect.flip(connection.receive)
      yield* peer.write(masked({ fin: true, rsv: 0, opcode: Frame.Opcode.Close, payload: Uint8Array.of(3, 0xf0) }))
      yield* peer.end
      assert.include(yield* Effect.map(connection.closed, ({ message }) => message), "1008")
    })
  )
})

describe("a peer within its rates", () => {
  const ping = text("", true, Frame.Opcode.Ping)
  const full = text("0123456789")
  const cases: ReadonlyArray<readonly [string, Connection.ConnectionOptions]> = [
    ["maxMessagesPerSecond", { maxMessagesPerSecond: 2 }],
    ["maxBytesPerSecond", { maxBytesPerSecond: 40 }],
    ["maxPingsPerSecond", { maxPingsPerSecond: 2 }]
  ]
  it.scoped.each(cases)("H11: is not closed for what waited while we did not read (%s)", ([name, options]) =>
    Effect.gen(function* () {
      const frames = name === "maxPingsPerSecond" ? [ping, full] : [full]
      const { connection, peer } = yield* open("server", { ...options, receiveHighWaterMark: 30 })
      for (let second = 0; second < 30; second++) {
        yield* Effect.fork(peer.write(masked(...frames)))
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      for (let second = 0; second < 30; second++) yield* connection.receive
      yield* settle
      assert.strictEqual((yield* connection.state)._tag, "Open")
      // Once that is read there are no more than ever.
      for (let second = 0; second < 3; second++) {
        yield* TestClock.adjust("1 second")
        yield* peer.write(masked(...frames))
        yield* connection.receive
      }
      yield* peer.write(masked(...Array.from({ length: 3 }, () => frames).flat()))
      assert.include((yield* Effect.flip(Effect.forever(connection.receive))).message, name)
    })
  )
})

describe("rates", () => {
  it.scoped("H11: cost nothing where there are none: nothing stands between the transport and the connection", () =>
    Effect.gen(function* () {
      const spies = (["data", "message"] as const).map((name) => vi.spyOn(Meter.prototype, name))
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.restoreAllMocks()))
      const exchange = (options: Connection.ConnectionOptions) =>
        Effect.gen(function* () {
          const { connection, peer } = yield* open("server", options)
          yield* peer.write(masked(text("a")))
          assert.strictEqual(yield* connection.receive, "a")
          return spies.map(({ mock }) => mock.calls.length)
        })
      assert.deepStrictEqual(yield* exchange({}), [0, 0])
      assert.deepStrictEqual(yield* exchange({ maxMessagesPerSecond: 10 }), [1, 1])
    })
  )

  it.effect("H11: that make no sense are defects that name them", () =>
    Effect.gen(function* () {
      for (const option of [
        "maxMessagesPerSecond",
        "maxBytesPerSecond",
        "maxConnections",
        "maxConnectionsPerKey",
        "maxLifetime"
      ]) {
        const exit = yield* Effect.exit(Effect.scoped(Testing.connect(stay, { server: { [option]: 0 } })))
        assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", `${option} is 0`)
      }
    })
  )
})

describe("peers about whom hooks decide", () => {
  it.scoped("H3: are as many as maxHandshakes; one more is refused with 503 and Retry-After, and costs no hook", () =>
    Effect.gen(function* () {
      const gate = yield* Ref.make(yield* Deferred.make<void>())
      const asked = yield* Ref.make(0)
      const { connect, refused, connector } = yield* serving({
        maxHandshakes: 2,
        onRequest: ({ url }) =>
          url === "/healthz"
            ? Effect.succeed(HttpServerResponse.text("OK"))
            : Effect.zipRight(
                Ref.update(asked, (n) => n + 1),
                Effect.flatMap(Ref.get(gate), Deferred.await)
              )
      })
      // However they end, their places are free again.
      for (const end of [Effect.void, Effect.die("a bug"), Effect.interrupt]) {
        yield* Ref.set(gate, yield* Deferred.make<void>())
        yield* Ref.set(asked, 0)
        const both = yield* Effect.fork(
          Effect.all([Effect.exit(connect()), Effect.exit(connect())], { concurrency: 2 })
        )
        yield* settle
        assert.deepStrictEqual(yield* refused(), [503, "5"])
        assert.strictEqual(yield* Ref.get(asked), 2)
        // A page is none of them.
        const health = yield* connector.exchange(
          { secure: false, hostname: "memory", port: 80 },
          { method: "GET", target: "/healthz", version: "1.1", headers: [["Host", "memory"]] }
        )
        assert.strictEqual(health.response.status, 200)
        yield* Deferred.completeWith(yield* Ref.get(gate), end)
        yield* both
      }
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  )
})

describe("peers that have not asked yet", () => {
  it.scoped("H3: are a thousand at most and have ten seconds, unless told otherwise", () =>
    Effect.gen(function* () {
      const acceptor = yield* accepting(stay)
      const cut: Array<number> = []
      for (let i = 0; i < 1_001; i++) acceptor.arrived(() => cut.push(i))
      assert.deepStrictEqual(cut, [1_000])
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(cut.length, 1)
      yield* TestClock.adjust("251 millis")
      assert.strictEqual(cut.length, 1_001)
      acceptor.arrived(() => cut.push(-1))
      assert.strictEqual(cut.length, 1_001)
    })
  )

  it.scoped("H3: leave their place to others when their time is up, one by one", () =>
    Effect.gen(function* () {
      const acceptor = yield* accepting(stay, { maxHandshakes: 2, openTimeout: "2 seconds" })
      const cut: Array<string> = []
      acceptor.arrived(() => cut.push("first"))
      yield* TestClock.adjust("1 second")
      acceptor.arrived(() => cut.push("second"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(cut, ["first"])
      acceptor.arrived(() => cut.push("third"))
      acceptor.arrived(() => cut.push("fourth"))
      assert.deepStrictEqual(cut, ["first", "fourth"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(cut, ["first", "fourth", "second"])
    })
  )
})
