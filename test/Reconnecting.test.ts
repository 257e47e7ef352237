import { assert, describe, it } from "@effect/vitest"
import {
  DateTime,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Random,
  Ref,
  Schedule,
  Scope,
  Stream,
  TestClock
} from "effect"
import {
  Connection,
  ConnectionClosed,
  HandshakeError,
  InvalidUri,
  ProxyError,
  Reconnecting,
  type Transport,
  type TransportError,
  WebSocketClient
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { answer, broken, happensAfter, isRunning, makeNetwork } from "./reconnecting.js"
import { settle } from "./support.js"

const uri = "ws://memory"

const stay = (connection: Connection.Connection) => connection.closed
const consume = (connection: Connection.Connection) => Connection.runForEach(connection, () => Effect.void)

const pass = (milliseconds: number) => TestClock.adjust(Duration.millis(milliseconds))

/** Runs in the background with numbers that are all the same, and sees what comes of it. */
const running = <A, E, R>(effect: Effect.Effect<A, E, R>, random = 0.5) =>
  Effect.tap(Effect.fork(Effect.withRandom(effect, Random.fixed([random]))), () => settle)

describe("C7: defaultSchedule", () => {
  const delays: ReadonlyArray<readonly [number, ReadonlyArray<number>]> = [
    [0, [0, 2480, 4013, 6492, 10505, 16997, 27501, 44496, 71995, 72000, 72000]],
    [0.5, [2500, 3100, 5016, 8116, 13131, 21246, 34376, 55620, 89994, 90000, 90000]],
    [1, [5000, 3720, 6019, 9739, 15757, 25495, 41251, 66744, 107992, 108000, 108000]]
  ]
  it.scoped.each(delays)("with the random number %s waits exactly so long before each attempt", ([random, expected]) =>
    Effect.gen(function* () {
      const { client, dialled } = yield* makeNetwork
      const program = yield* running(Effect.provide(Reconnecting.run(uri, stay), client), random)
      let attempts = 1
      for (const delay of expected) {
        attempts++
        yield* happensAfter(pass, delay, () => dialled.length === attempts)
      }
      assert.isTrue(isRunning(program))
      yield* Fiber.interrupt(program)
    })
  )
})

describe("C7: an attempt that fails", () => {
  const rejected = (status: number) => Effect.succeed(answer(status))
  const cases: ReadonlyArray<
    readonly [string, "transient" | "for good", Effect.Effect<Transport.Reply, TransportError>]
  > = [
    ...["ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "EPIPE"].map(
      (code) => [`with ${code}`, "transient", Effect.fail(broken(code))] as const
    ),
    ["because the stream ended", "transient", Effect.fail(broken(undefined, "handshake"))],
    ["because the stream ended under TLS", "transient", Effect.fail(broken(undefined, "tls"))],
    ["with a reset under TLS", "transient", Effect.fail(broken("ECONNRESET", "tls"))],
    ...[500, 502, 503, 504].map((status) => [`with ${status}`, "transient", rejected(status)] as const),
    ...[200, 301, 400, 401, 403, 404, 426, 429, 501, 505].map(
      (status) => [`with ${status}`, "for good", rejected(status)] as const
    ),
    ["with a 429 that says when", "transient", Effect.succeed(answer(429, [["Retry-After", "1"]]))],
    ["with a 404 that says when", "for good", Effect.succeed(answer(404, [["Retry-After", "1"]]))],
    ["with a 101 that answers nothing", "for good", rejected(101)],
    ...["DEPTH_ZERO_SELF_SIGNED_CERT", "ERROR_IN_CERT_NOT_AFTER_FIELD", "CERT_HAS_EXPIRED", "EPROTO"].map(
      (code) => [`with ${code}`, "for good", Effect.fail(broken(code, "tls"))] as const
    ),
    ["with ERR_TLS_CERT_ALTNAME_INVALID", "for good", Effect.fail(broken("ERR_TLS_CERT_ALTNAME_INVALID", "tls"))],
    ["with something that is no HTTP", "for good", Effect.fail(broken("HPE_INVALID_CONSTANT", "handshake"))]
  ]
  it.scoped.each(cases)("%s is %s", ([, kind, outcome]) =>
    Effect.gen(function* () {
      const { client, dialled, script, serve } = yield* makeNetwork
      yield* serve(stay)
      script.push(outcome)
      const program = yield* running(Effect.exit(Effect.provide(Reconnecting.run(uri, stay), client)))
      assert.strictEqual(isRunning(program), kind === "transient")
      if (kind === "transient") yield* happensAfter(pass, 2500, () => dialled.length === 2)
      else assert.isTrue(Exit.isFailure(yield* Fiber.join(program)))
      yield* Fiber.interrupt(program)
    })
  )

  it.scoped("because openTimeout was up is transient", () =>
    Effect.gen(function* () {
      const { client, dialled, script } = yield* makeNetwork
      script.push(Effect.never)
      const options = { openTimeout: "3 seconds" } as const
      const program = yield* running(Effect.provide(Reconnecting.run(uri, stay, options), client))
      yield* pass(3000)
      yield* happensAfter(pass, 2500, () => dialled.length === 2)
      yield* Fiber.interrupt(program)
    })
  )

  it.scoped("because of its URI or an option is for good, and nothing is sent", () =>
    Effect.gen(function* () {
      const { client, dialled } = yield* makeNetwork
      const invalid = yield* Effect.flip(Effect.provide(Reconnecting.run("http://memory", stay), client))
      assert.instanceOf(invalid, InvalidUri)
      const option = yield* Effect.flip(Effect.provide(Reconnecting.run(uri, stay, { subprotocols: ["a b"] }), client))
      assert.instanceOf(option, HandshakeError)
      assert.deepStrictEqual(dialled, [])
    })
  )

  const response = (status: number, headers: Transport.HeaderList = []) => ({ status, headers })
  it.each<readonly [string, boolean, ProxyError["reason"]]>([
    ["cannot be reached", true, { _tag: "Unreachable", operation: "connect", code: "ECONNREFUSED", cause: undefined }],
    ["breaks off", true, { _tag: "Broken", code: undefined, cause: undefined }],
    ["answers with 503", true, { _tag: "Rejected", response: response(503) }],
    ["answers with 429 and Retry-After", true, { _tag: "Rejected", response: response(429, [["Retry-After", "1"]]) }],
    ["answers with 429 alone", false, { _tag: "Rejected", response: response(429) }],
    ["answers with 407", false, { _tag: "Rejected", response: response(407) }],
    ["is not trusted", false, { _tag: "Unreachable", operation: "tls", code: "CERT_HAS_EXPIRED", cause: undefined }],
    ["refuses by SOCKS", false, { _tag: "SocksRejected", answer: "no" }],
    ["is none", false, { _tag: "InvalidProxy", problem: "no" }]
  ])("because a proxy %s is transient: %s", (_, isTransient, reason) => {
    assert.strictEqual(Reconnecting.isTransient(new ProxyError({ proxy: "http://proxy", reason })), isTransient)
  })

  it.scoped("because an option makes no socket is for good", () =>
    Effect.sync(() => {
      const cause = Object.assign(new Error("bad"), { code: "ERR_INVALID_ARG_VALUE" })
      assert.isFalse(Reconnecting.isTransient(Object.assign(broken(undefined), { cause })))
      assert.isFalse(Reconnecting.isTransient(new Error("another's")))
    })
  )

  it.scoped("is what isTransient says", () =>
    Effect.gen(function* () {
      const { client, dialled, script, serve } = yield* makeNetwork
      yield* serve(stay)
      script.push(Effect.succeed(answer(429)), Effect.fail(broken("ECONNREFUSED")))
      const isTransient = (error: unknown) => error instanceof HandshakeError
      const error = yield* running(Effect.flip(Effect.provide(Reconnecting.run(uri, stay, { isTransient }), client)))
      yield* pass(2500)
      assert.strictEqual((yield* Fiber.join(error))._tag, "TransportError")
      assert.deepStrictEqual(dialled, [0, 2500])
    })
  )

  it.scoped("for the last time that the schedule has is the result", () =>
    Effect.gen(function* () {
      const { client, dialled } = yield* makeNetwork
      const schedule = Schedule.recurs(2).pipe(Schedule.addDelay(() => "1 second"))
      const error = yield* running(Effect.flip(Effect.provide(Reconnecting.run(uri, stay, { schedule }), client)))
      yield* pass(1000)
      yield* settle
      yield* pass(1000)
      assert.strictEqual((yield* Fiber.join(error))._tag, "TransportError")
      assert.deepStrictEqual(dialled, [0, 1000, 2000])
    })
  )
})

describe("C7: a schedule", () => {
  it.scoped("may wait for ever", () =>
    Effect.gen(function* () {
      const { client, dialled } = yield* makeNetwork
      const schedule = Schedule.forever.pipe(Schedule.addDelay(() => Duration.infinity))
      const state = yield* Reconnecting.makeState
      const program = yield* running(Effect.provide(Reconnecting.run(uri, stay, { schedule, state }), client))
      yield* pass(1_000_000_000)
      assert.lengthOf(dialled, 1)
      assert.strictEqual((yield* state.get)._tag, "Waiting")
      yield* Fiber.interrupt(program)
    })
  )
})

describe("C7: Retry-After", () => {
  const cases: ReadonlyArray<readonly [string, number, string, number]> = [
    ["seconds", 503, "7", 7000],
    ["no time at all", 503, "0", 2500],
    ["less than the schedule", 503, "2", 2500],
    ["a date", 503, "Thu, 01 Jan 1970 00:00:09 GMT", 9000],
    ["a date that has passed", 503, "Wed, 31 Dec 1969 23:59:59 GMT", 2500],
    ["more than the maximum", 503, "3600", 300_000],
    ["nonsense", 503, "soon", 2500],
    ["a negative number", 503, "-7", 2500],
    ["a day that no month has", 503, "Thu, 99 Jan 1970 00:00:09 GMT", 2500],
    ["seconds", 429, "7", 7000],
    ["nonsense", 429, "soon", 2500],
    ["seconds, but with another status", 500, "7", 2500]
  ]
  it.scoped.each(cases)("of %s with %s (%s) makes the next attempt wait %s ms", ([, status, value, expected]) =>
    Effect.gen(function* () {
      const { client, dialled, script } = yield* makeNetwork
      script.push(Effect.succeed(answer(status, [["Retry-After", value]])))
      const program = yield* running(Effect.provide(Reconnecting.run(uri, stay), client))
      yield* happensAfter(pass, expected, () => dialled.length === 2)
      yield* Fiber.interrupt(program)
    })
  )

  it.scoped("of a proxy is waited for too", () =>
    Effect.gen(function* () {
      const { client, dialled, script } = yield* makeNetwork
      const reason = { _tag: "Rejected", response: answer(503, [["Retry-After", "7"]]).response } as const
      script.push(Effect.fail(new ProxyError({ proxy: "http://proxy", reason })))
      const program = yield* running(Effect.provide(Reconnecting.run(uri, stay), client))
      yield* happensAfter(pass, 7000, () => dialled.length === 2)
      yield* Fiber.interrupt(program)
    })
  )

  it.scoped("of a server that has as many connections of an address as it takes is waited for", () =>
    Effect.gen(function* () {
      const { client, dialled, serve } = yield* makeNetwork
      yield* serve(stay, { maxConnectionsPerKey: 1, connectionKey: () => Effect.succeed("ada") })
      const other = yield* Scope.make()
      yield* WebSocketClient.connect(uri).pipe(Effect.provide(client), Scope.extend(other))
      const program = yield* running(Effect.provide(Reconnecting.run(uri, stay), client))
      assert.isTrue(isRunning(program))
      yield* Scope.close(other, Exit.void)
      yield* happensAfter(pass, 5000, () => dialled.length === 3)
      assert.isTrue(isRunning(program))
      yield* Fiber.interrupt(program)
    })
  )

  it.scoped("is waited for as long as maxRetryAfter allows", () =>
    Effect.gen(function* () {
      const { client, dialled, script } = yield* makeNetwork
      script.push(Effect.succeed(answer(503, [["retry-after", "3600"]])))
      const options = { maxRetryAfter: "20 seconds" } as const
      const program = yield* running(Effect.provide(Reconnecting.run(uri, stay, options), client))
      yield* happensAfter(pass, 20_000, () => dialled.length === 2)
      yield* Fiber.interrupt(program)
    })
  )
})

describe("C7: a connection that the server closes", () => {
  const codes: ReadonlyArray<readonly [number, "is followed by another" | "ends it" | "is an error"]> = [
    [1000, "ends it"],
    [1001, "is followed by another"],
    [1002, "is an error"],
    [1003, "is an error"],
    [1007, "is an error"],
    [1008, "is an error"],
    [1009, "is an error"],
    [1010, "is an error"],
    [1011, "is followed by another"],
    [1012, "is followed by another"],
    [1013, "is followed by another"],
    [1014, "is followed by another"],
    [3000, "is an error"],
    [4000, "is an error"],
    [4999, "is an error"]
  ]
  it.scoped.each(codes)("with %s %s", ([code, outcome]) =>
    Effect.gen(function* () {
      const forms = [
        Reconnecting.run(uri, consume),
        Reconnecting.run(uri, (connection) => Effect.forever(connection.receive)),
        Stream.runForEach(Reconnecting.connections(uri), (connection) => Effect.exit(consume(connection))),
        Stream.runDrain(Reconnecting.messages(uri))
      ]
      for (const form of forms) {
        const { client, dialled, serve } = yield* makeNetwork
        yield* serve((connection) => connection.close({ code }))
        const start = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        const program = yield* running(Effect.exit(Effect.provide(form, client)))
        if (outcome === "is followed by another") {
          assert.isTrue(isRunning(program))
          yield* happensAfter(pass, 2500, () => dialled.length === 2)
          assert.deepStrictEqual(dialled, [start, start + 2500])
          yield* Fiber.interrupt(program)
        } else {
          assert.strictEqual(Exit.isSuccess(yield* Fiber.join(program)), outcome === "ends it")
          assert.lengthOf(dialled, 1)
        }
      }
    })
  )

  it.scoped("by vanishing (1006) is followed by another", () =>
    Effect.gen(function* () {
      const { client, dialled, serve, wires } = yield* makeNetwork
      yield* serve(stay)
      const program = yield* running(Effect.provide(Reconnecting.run(uri, consume), client))
      yield* (yield* wires)[0]!.cut
      yield* happensAfter(pass, 2500, () => dialled.length === 2)
      assert.isTrue(isRunning(program))
      yield* Fiber.interrupt(program)
    })
  )

  it.effect("without a code ends it, and one that broke the protocol is an error for good", () =>
    Effect.sync(() => {
      const closed = (closure: Partial<ConnectionClosed.Closure>) =>
        new ConnectionClosed.ConnectionClosed({
          closure: { sent: undefined, received: undefined, initiator: "remote", cause: undefined, ...closure },
          traffic: ConnectionClosed.noTraffic
        })
      const frame = (code: number) => ({ code, reason: "" })
      assert.isFalse(Reconnecting.isTemporary(closed({ sent: frame(1005), received: frame(1005) })))
      assert.isFalse(Reconnecting.isTemporary(closed({ initiator: "local", sent: frame(1002) })))
      assert.isTrue(
        Reconnecting.isTemporary(closed({ initiator: "local", sent: frame(1011), cause: { _tag: "KeepaliveTimeout" } }))
      )
    })
  )

  it.scoped("is what isTemporary says", () =>
    Effect.gen(function* () {
      const { client, dialled, serve } = yield* makeNetwork
      const codes = [4000, 1001]
      yield* serve((connection) => connection.close({ code: codes.shift()! }))
      const isTemporary = (closed: ConnectionClosed.ConnectionClosed) => ConnectionClosed.code(closed) === 4000
      const program = yield* running(Effect.provide(Reconnecting.run(uri, consume, { isTemporary }), client))
      yield* pass(2500)
      yield* Fiber.join(program)
      assert.deepStrictEqual(dialled, [0, 2500])
    })
  )
})

describe("C7: a connection that lasted stableAfter", () => {
  const cases: ReadonlyArray<readonly [number, Duration.DurationInput | undefined, number]> = [
    [9_999, undefined, 3100],
    [10_000, undefined, 2500],
    [999, "1 second", 3100],
    [1000, "1 second", 2500]
  ]
  it.scoped.each(cases)("%s ms with stableAfter %s: the next attempt is %s ms later", ([lasted, stableAfter, delay]) =>
    Effect.gen(function* () {
      const { client, dialled, script, serve, wires } = yield* makeNetwork
      yield* serve(stay)
      script.push(Effect.fail(broken("ECONNREFUSED")))
      const state = yield* Reconnecting.makeState
      const program = yield* running(
        Effect.provide(Reconnecting.run(uri, consume, { stableAfter, state, pingInterval: "1 hour" }), client)
      )
      yield* pass(2500)
      yield* settle
      assert.strictEqual((yield* state.get)._tag, "Connected")
      yield* pass(lasted)
      yield* (yield* wires)[0]!.cut
      yield* settle
      const waiting = yield* state.get
      assert.ok(waiting._tag === "Waiting")
      assert.strictEqual(waiting.attempt, delay === 2500 ? 1 : 3)
      yield* happensAfter(pass, delay, () => dialled.length === 3)
      yield* Fiber.interrupt(program)
    })
  )
})

describe("C7: interrupted", () => {
  const moments: ReadonlyArray<
    readonly [Reconnecting.State["_tag"], Effect.Effect<Transport.Reply, TransportError> | undefined]
  > = [
    ["Waiting", Effect.fail(broken("ECONNREFUSED"))],
    ["Connecting", Effect.never],
    ["Connected", undefined]
  ]
  const forms = [
    ["run", (options: Reconnecting.ReconnectOptions) => Reconnecting.run(uri, consume, options)],
    [
      "connections",
      (options: Reconnecting.ReconnectOptions) => Stream.runForEach(Reconnecting.connections(uri, options), stay)
    ],
    ["messages", (options: Reconnecting.ReconnectOptions) => Stream.runDrain(Reconnecting.messages(uri, options))]
  ] as const
  it.scoped.each(
    moments.flatMap(([moment, attempt]) => forms.map(([name, form]) => [moment, name, form, attempt] as const))
  )("while it is %s, %s leaves nothing", ([moment, , form, attempt]) =>
    Effect.gen(function* () {
      const { client, script, serve, wires } = yield* makeNetwork
      const ended = yield* Deferred.make<ConnectionClosed.ConnectionClosed>()
      yield* serve((connection) => Effect.flatMap(connection.closed, (closed) => Deferred.succeed(ended, closed)))
      const before = (yield* Fiber.roots).length
      const held = yield* Ref.make(0)
      const hold = Effect.acquireRelease(
        Ref.update(held, (n) => n + 1),
        () => Ref.update(held, (n) => n - 1)
      )
      if (attempt !== undefined) script.push(Effect.zipRight(hold, attempt))
      const state = yield* Reconnecting.makeState
      const program = yield* running(Effect.provide(form({ state }), client))
      assert.strictEqual((yield* state.get)._tag, moment)
      assert.strictEqual(yield* Ref.get(held), moment === "Connecting" ? 1 : 0)
      yield* Fiber.interrupt(program)
      const stopped = yield* state.get
      assert.ok(stopped._tag === "Stopped" && Exit.isInterrupted(stopped.exit))
      assert.strictEqual(yield* Ref.get(held), 0)
      if (moment === "Connected") assert.strictEqual(ConnectionClosed.code(yield* Deferred.await(ended)), 1000)
      else assert.lengthOf(yield* wires, 0)
      // The server's watch looks once more.
      yield* pass(60_000)
      yield* settle
      assert.strictEqual((yield* Fiber.roots).length, before)
    })
  )
})

/** A state in a word, with its numbers. */
const show = (state: Reconnecting.State): string => {
  switch (state._tag) {
    case "Idle":
    case "Stopped":
      return state._tag
    case "Connecting":
      return `Connecting ${state.attempt}`
    case "Connected":
      return `Connected ${state.connection.role}`
    case "Waiting":
      return `Waiting ${state.attempt} ${DateTime.toEpochMillis(state.until)} ${(state.because as Error).name}`
  }
}

describe("C7: state", () => {
  it.scoped("tells of each attempt, connection and wait, and of the end", () =>
    Effect.gen(function* () {
      const { client, script, serve, wires } = yield* makeNetwork
      yield* serve(stay)
      script.push(Effect.fail(broken("ECONNREFUSED")), Effect.succeed(answer(503)))
      const state = yield* Reconnecting.makeState
      const seen: Array<Reconnecting.State> = []
      yield* Effect.fork(Stream.runForEach(state.changes, (now) => Effect.sync(() => seen.push(now))))
      yield* settle
      const program = yield* running(Effect.provide(Reconnecting.run(uri, consume, { state }), client))
      yield* pass(2500)
      yield* settle
      yield* pass(3100)
      yield* settle
      yield* (yield* wires)[0]!.cut
      yield* settle
      yield* Fiber.interrupt(program)
      yield* settle
      assert.deepStrictEqual(seen.map(show), [
        "Idle",
        "Connecting 1",
        "Waiting 2 2500 TransportError",
        "Connecting 2",
        "Waiting 3 5600 HandshakeError",
        "Connecting 3",
        "Connected client",
        "Waiting 4 10616 ConnectionClosed",
        "Stopped"
      ])
    })
  )

  it.scoped("ends with the error that was for good", () =>
    Effect.gen(function* () {
      const { client, script } = yield* makeNetwork
      for (const form of [
        (options: Reconnecting.ReconnectOptions) => Reconnecting.run(uri, stay, options),
        (options: Reconnecting.ReconnectOptions) => Stream.runDrain(Reconnecting.connections(uri, options))
      ]) {
        script.push(Effect.succeed(answer(404)))
        const state = yield* Reconnecting.makeState
        const error = yield* Effect.flip(Effect.provide(form({ state }), client))
        const stopped = yield* state.get
        assert.ok(stopped._tag === "Stopped")
        assert.deepStrictEqual(stopped.exit, Exit.fail(error))
      }
    })
  )
})

describe("C7: a target that is an Effect", () => {
  const forms = [
    ["run", <R>(target: Reconnecting.Target<never, R>) => Reconnecting.run(target, consume)],
    [
      "connections",
      <R>(target: Reconnecting.Target<never, R>) => Stream.runForEach(Reconnecting.connections(target), stay)
    ]
  ] as const
  it.scoped.each(forms)(
    "is run for each attempt of %s, and what it holds is released with attempt or connection",
    ([, form]) =>
      Effect.gen(function* () {
        const { client, script, serve, wires } = yield* makeNetwork
        const asked: Array<string> = []
        yield* serve(({ handshake: { request }, closed }) => {
          asked.push(`${request.target} ${request.headers.find(([name]) => name === "X-Token")?.[1]}`)
          return closed
        })
        script.push(Effect.fail(broken("ECONNREFUSED")))
        let token = 0
        let held = 0
        const target = Effect.acquireRelease(
          Effect.sync(() => {
            held++
            token++
            return [`${uri}/?token=${token}`, { headers: { "X-Token": `${token}` } }] as const
          }),
          () => Effect.sync(() => held--)
        )
        const program = yield* running(Effect.provide(form(target), client))
        assert.strictEqual(held, 0)
        yield* pass(2500)
        yield* settle
        assert.strictEqual(held, 1)
        yield* (yield* wires)[0]!.cut
        yield* settle
        assert.strictEqual(held, 0)
        yield* pass(3100)
        yield* settle
        assert.deepStrictEqual(asked, ["/?token=2 2", "/?token=3 3"])
        yield* Fiber.interrupt(program)
        assert.strictEqual(held, 0)
      })
  )

  it.scoped("may give headers beside those of the options, and in the place of those with their names", () =>
    Effect.gen(function* () {
      const { client, serve } = yield* makeNetwork
      const headers: Array<Transport.HeaderList> = []
      yield* serve(({ handshake: { request } }) => Effect.sync(() => headers.push(request.headers)))
      const options = { headers: { "X-One": "1", "X-Token": ["old", "older"] }, userAgent: "test/1" }
      for (const given of [{ headers: { "x-token": "new", "X-Two": "2" } }, { headers: undefined }, {}]) {
        yield* Effect.provide(Reconnecting.run(Effect.succeed([uri, given]), stay, options), client)
      }
      assert.deepStrictEqual(
        headers.map((all) => all.filter(([name]) => /^(x-|user-agent)/i.test(name))),
        [
          [
            ["User-Agent", "test/1"],
            ["X-One", "1"],
            ["x-token", "new"],
            ["X-Two", "2"]
          ],
          ...[1, 2].map(() => [
            ["User-Agent", "test/1"] as const,
            ["X-One", "1"] as const,
            ["X-Token", "old"] as const,
            ["X-Token", "older"] as const
          ])
        ]
      )
    })
  )

  it.scoped("may give a URI alone; its failure is for good unless isTransient says otherwise", () =>
    Effect.gen(function* () {
      const { client, dialled, serve } = yield* makeNetwork
      yield* serve(({ send }) => send("x"))
      const failures = ["no token", "no token yet"]
      const target = Effect.suspend(() => {
        const failure = failures.pop()
        return failure === undefined ? Effect.succeed(new URL(uri)) : Effect.fail(failure)
      })
      const isTransient = (error: unknown) => error === "no token yet"
      const run = Effect.provide(
        Reconnecting.run(target, ({ receive }) => receive, { isTransient }),
        client
      )
      const program = yield* running(Effect.flip(run))
      yield* pass(2500)
      assert.strictEqual(yield* Fiber.join(program), "no token")
      yield* run
      assert.deepStrictEqual(dialled, [2500])
    })
  )
})

describe("C7: run", () => {
  it.scoped("ends when the handler returns while its connection is open, which closes it with 1000", () =>
    Effect.gen(function* () {
      const { client, dialled, serve } = yield* makeNetwork
      const ended = yield* Deferred.make<ConnectionClosed.ConnectionClosed>()
      yield* serve((connection) =>
        Effect.zipRight(
          connection.send("hello"),
          Effect.flatMap(connection.closed, (closed) => Deferred.succeed(ended, closed))
        )
      )
      yield* Effect.provide(
        Reconnecting.run(uri, ({ receive }) => receive),
        client
      )
      assert.deepStrictEqual((yield* Deferred.await(ended)).closure.received, { code: 1000, reason: "" })
      assert.lengthOf(dialled, 1)
    })
  )

  it.scoped("gives each connection a scope of its own, which ends before the connection does", () =>
    Effect.gen(function* () {
      const { client, serve } = yield* makeNetwork
      yield* serve((connection) => connection.receive)
      const log: Array<string> = []
      const handler = (connection: Connection.Connection) =>
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => Effect.map(connection.state, ({ _tag }) => log.push(`released ${_tag}`)))
          log.push("acquired")
          if (log.length === 1) {
            yield* connection.send("go")
            yield* connection.receive
          }
        })
      const program = yield* running(
        Effect.provide(Reconnecting.run(uri, handler, { isTemporary: () => true }), client)
      )
      yield* pass(2500)
      yield* Fiber.join(program)
      assert.deepStrictEqual(log, ["acquired", "released Closed", "acquired", "released Open"])
    })
  )

  it.scoped("fails with what the handler fails with, be it another connection's end, and dies of its defects", () =>
    Effect.gen(function* () {
      const { client, dialled, serve } = yield* makeNetwork
      yield* serve(stay)
      const run = <E>(handler: (connection: Connection.Connection) => Effect.Effect<void, E>) =>
        Effect.exit(Effect.provide(Reconnecting.run(uri, handler), client))
      const others = new ConnectionClosed.ConnectionClosed({
        closure: { sent: undefined, received: undefined, initiator: "remote", cause: undefined },
        traffic: ConnectionClosed.noTraffic
      })
      const fail = () => Effect.fail("bored")
      assert.deepStrictEqual(yield* run(fail), Exit.fail("bored"))
      assert.deepStrictEqual(yield* run(() => Effect.fail(others)), Exit.fail(others))
      assert.deepStrictEqual(
        yield* run((connection) => Effect.zipRight(connection.close({ code: 1012 }), Effect.fail(others))),
        Exit.fail(others)
      )
      assert.deepStrictEqual(yield* run(() => Effect.die("oops")), Exit.die("oops"))
      const thrower = (): Effect.Effect<void> => {
        throw "thrown"
      }
      assert.deepStrictEqual(yield* run(thrower), Exit.die("thrown"))
      assert.lengthOf(dialled, 5)
    })
  )

  it.scoped("is content with an end for good that the handler has dealt with", () =>
    Effect.gen(function* () {
      const { client, serve } = yield* makeNetwork
      yield* serve((connection) => connection.close({ code: 4000 }))
      yield* Effect.provide(Reconnecting.run(uri, stay), client)
      const error = yield* Effect.flip(Effect.provide(Reconnecting.run(uri, consume), client))
      assert.instanceOf(error, ConnectionClosed.ConnectionClosed)
    })
  )
})

describe("C7: connections", () => {
  it.scoped("gives the next connection when the one before is over, however early it is asked for", () =>
    Effect.gen(function* () {
      const { client, dialled, serve, wires } = yield* makeNetwork
      yield* serve(stay)
      const taken: Array<Connection.Connection> = []
      const program = yield* running(
        Effect.provide(
          // The consumer is done with each connection at once.
          Stream.runForEach(Reconnecting.connections(uri), (connection) => Effect.sync(() => taken.push(connection))),
          client
        )
      )
      yield* pass(60_000)
      yield* settle
      assert.lengthOf(taken, 1)
      assert.strictEqual((yield* taken[0]!.state)._tag, "Open")
      yield* taken[0]!.close({ code: 1012 })
      yield* happensAfter(pass, 2500, () => dialled.length === 2)
      assert.lengthOf(taken, 2)
      yield* (yield* wires)[1]!.cut
      yield* happensAfter(pass, 3100, () => dialled.length === 3)
      yield* Fiber.interrupt(program)
      assert.strictEqual(ConnectionClosed.code(yield* taken[2]!.closed), 1000)
    })
  )

  it.scoped("leaving it closes the current connection with 1000", () =>
    Effect.gen(function* () {
      const { client, serve } = yield* makeNetwork
      yield* serve(stay)
      const [connection] = yield* Effect.provide(
        Stream.runCollect(Stream.take(Reconnecting.connections(uri), 1)),
        client
      )
      assert.deepStrictEqual((yield* connection!.closed).closure.sent, { code: 1000, reason: "" })
    })
  )
})

describe("C7: messages", () => {
  it.scoped("come from one connection after the other", () =>
    Effect.gen(function* () {
      const { client, serve } = yield* makeNetwork
      let served = 0
      yield* serve((connection) => {
        served++
        const end = served === 3 ? connection.close() : Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut)
        return Effect.zipRight(connection.sendAll([`${served}a`, `${served}b`]), Effect.zipRight(settle, end))
      })
      const program = yield* running(Effect.provide(Stream.runCollect(Reconnecting.messages(uri)), client))
      for (const delay of [2500, 3100]) {
        yield* pass(delay)
        yield* settle
        yield* settle
      }
      assert.deepStrictEqual([...(yield* Fiber.join(program))], ["1a", "1b", "2a", "2b", "3a", "3b"])
    })
  )
})
