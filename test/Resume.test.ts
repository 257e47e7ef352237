import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  Random,
  Ref,
  Schedule,
  Scope,
  Stream,
  TestClock
} from "effect"
import { Connection, ConnectionClosed, HandshakeError, Reconnecting, Resume } from "effect-websockets"
import { answer, broken, isRunning } from "./reconnecting.js"
import { makeSessions } from "./resuming.js"
import { settle } from "./support.js"

const uri = "ws://memory"

const echo = (connection: Resume.ResumableConnection) => Connection.runForEach(connection, connection.send)
const stay = (connection: Resume.ResumableConnection) => connection.closed

const pass = (milliseconds: number) => Effect.zipRight(TestClock.adjust(Duration.millis(milliseconds)), settle)

/** Comes back a second after each loss. */
const soon = { schedule: Schedule.spaced("1 second"), pingInterval: Duration.infinity }

/** A handler that hands its connection out. */
const handing = Effect.map(Deferred.make<Resume.ResumableConnection>(), (handed) => ({
  handler: (connection: Resume.ResumableConnection) =>
    Effect.zipRight(Deferred.succeed(handed, connection), connection.closed),
  connection: Deferred.await(handed)
}))

/** Both ends of a session, and how to cut its latest connection. */
const session = (options: Resume.SessionOptions & Resume.StoreOptions & Reconnecting.ReconnectOptions = {}) =>
  Effect.gen(function* () {
    const network = yield* makeSessions
    const { handler, connection } = yield* handing
    const server = yield* network.serveSessions(handler, options)
    const near = yield* Effect.provide(Resume.connect(uri, { ...soon, ...options }), network.client)
    const cut = Effect.flatMap(network.wires, (wires) => wires.at(-1)!.cut)
    return { ...network, near, far: yield* connection, server, cut: Effect.zipRight(cut, settle) }
  })

const tagOf = (connection: Resume.ResumableConnection) => Effect.map(connection.state.get, ({ _tag }) => _tag)

describe("C8: a session", () => {
  it.scoped("is one connection to both ends, whatever happens to what carries it", () =>
    Effect.gen(function* () {
      const { near, far, server, cut, dialled } = yield* session()
      assert.deepStrictEqual([near.role, far.role], ["client", "server"])
      for (let round = 0; round < 3; round++) {
        assert.deepStrictEqual([yield* tagOf(near), yield* tagOf(far)], ["Connected", "Connected"])
        yield* near.sendAll(["before", Uint8Array.of(round)])
        yield* cut
        assert.deepStrictEqual([yield* tagOf(near), yield* tagOf(far)], ["Away", "Away"])
        yield* near.send("while away")
        yield* far.send("from afar")
        yield* pass(1000)
        const received = [yield* far.receive, yield* far.receive, yield* far.receive]
        assert.deepStrictEqual(received, ["before", Uint8Array.of(round), "while away"])
        assert.strictEqual(yield* near.receiveText, "from afar")
      }
      assert.lengthOf(dialled, 4)
      assert.strictEqual(yield* server.size, 1)
    })
  )

  it.scoped("shows the connection that carries it, and every change of that", () =>
    Effect.gen(function* () {
      const { near, far, cut } = yield* session()
      const seen: Array<string> = []
      yield* Effect.fork(
        Stream.runForEach(near.state.changes, (state) =>
          Effect.sync(() =>
            seen.push(state._tag === "Connected" ? `on ${state.connection.handshake.request.target}` : state._tag)
          )
        )
      )
      yield* settle
      yield* cut
      yield* pass(1000)
      yield* far.close()
      yield* settle
      assert.deepStrictEqual(seen, ["on /", "Away", "on /", "Closed"])
    })
  )

  it.scoped("is over for both when one end closes it, with its code and reason", () =>
    Effect.gen(function* () {
      for (const side of ["near", "far"] as const) {
        const both = yield* session()
        const other = side === "near" ? both.far : both.near
        yield* both[side].send("last")
        const closed = yield* both[side].close({ code: 4000, reason: "done" })
        assert.deepStrictEqual(closed.closure.sent, { code: 4000, reason: "done" })
        assert.deepStrictEqual((yield* other.closed).closure.received, { code: 4000, reason: "done" })
        assert.strictEqual(yield* other.receive, "last")
        for (const end of [both.near, both.far]) {
          assert.strictEqual((yield* Effect.flip(end.receive))._tag, "ConnectionClosed")
          assert.strictEqual((yield* Effect.flip(end.send("x")))._tag, "ConnectionClosed")
        }
        assert.strictEqual(yield* both.server.size, 0)
        assert.lengthOf(both.dialled, 1)
      }
    })
  )

  it.scoped("a code that cannot be sent is a defect, and closes nothing", () =>
    Effect.gen(function* () {
      const { near } = yield* session()
      assert.isTrue(Exit.isFailure(yield* Effect.exit(near.close({ code: 1006 }))))
      assert.strictEqual(yield* tagOf(near), "Connected")
    })
  )
})

describe("C8: the replay buffer", () => {
  const limits: ReadonlyArray<readonly [string, Resume.SessionOptions, string]> = [
    ["maxReplayMessages", { maxReplayMessages: 3 }, "x"],
    ["maxReplayBytes", { maxReplayBytes: 3 * 164 }, "x".repeat(100)]
  ]
  it.scoped.each(limits)(
    "at %s makes send wait until the peer's program has taken what was sent, in order",
    ([, options, message]) =>
      Effect.gen(function* () {
        const { near, far, cut } = yield* session(options)
        yield* cut
        yield* near.sendAll([message, message, message])
        const sending = yield* Effect.fork(near.send("fourth"))
        yield* settle
        const next = yield* Effect.fork(near.send("fifth"))
        const gone = yield* Effect.fork(near.send("interrupted"))
        yield* settle
        assert.isTrue(isRunning(sending) && isRunning(next))
        yield* Fiber.interrupt(gone)
        yield* pass(1000)
        // They are at the peer, whose program has not taken them.
        assert.isTrue(isRunning(sending) && isRunning(next))
        assert.strictEqual(yield* far.receive, message)
        yield* Fiber.join(sending)
        const others = yield* Effect.replicateEffect(far.receive, 4)
        assert.deepStrictEqual(others, [message, message, "fourth", "fifth"])
        yield* Fiber.join(next)
      })
  )

  it.scoped("with whenFull end, one that is full while there is no connection ends the session with a gap", () =>
    Effect.gen(function* () {
      const { near, far, cut, dialled } = yield* session({ whenFull: "end", maxReplayMessages: 2 })
      yield* cut
      yield* near.sendAll(["a", "b"])
      const error = yield* Effect.flip(near.send("c"))
      assert.isTrue(Resume.isGap(error))
      assert.isTrue(Resume.isGap(yield* near.closed))
      yield* far.sendAll(["a", "b"])
      assert.isTrue(Resume.isGap(yield* Effect.flip(far.send("c"))))
      // Nobody looks for another connection any more.
      yield* pass(1000)
      assert.lengthOf(dialled, 1)
    })
  )

  it.scoped("with whenFull end, who waits for room when the connection is lost has a gap too", () =>
    Effect.gen(function* () {
      const { near, wires } = yield* session({ whenFull: "end", maxReplayMessages: 2 })
      const [wire] = yield* wires
      yield* wire!.stall
      yield* near.sendAll(["a", "b"])
      const sending = yield* Effect.fork(Effect.flip(near.send("c")))
      yield* settle
      assert.isTrue(isRunning(sending))
      yield* wire!.cut
      assert.isTrue(Resume.isGap(yield* Fiber.join(sending)))
    })
  )

  it.scoped("is the only thing that grows while the peer's program does not read", () =>
    Effect.gen(function* () {
      const { near, far } = yield* session({
        maxReplayMessages: 50,
        receiveHighWaterMark: 6_400,
        sendHighWaterMark: 6_400
      })
      const sent = yield* Ref.make(0)
      const sending = yield* Effect.fork(
        Effect.forever(
          Effect.zipRight(
            near.send("x".repeat(936)),
            Ref.update(sent, (n) => n + 1)
          )
        )
      )
      yield* settle
      yield* pass(1000)
      const accepted = yield* Ref.get(sent)
      assert.strictEqual(accepted, 50)
      for (let i = 0; i < accepted + 100; i++) yield* far.receive
      yield* settle
      assert.isAbove(yield* Ref.get(sent), accepted)
      yield* Fiber.interrupt(sending)
    })
  )
})

describe("C8: two programs that send while they take", () => {
  it.scoped("do not wait for each other for good, with replay buffers and inboxes that are full", () =>
    Effect.gen(function* () {
      const COUNT = 1_000
      const network = yield* makeSessions
      const options = { maxReplayBytes: 20_000, receiveHighWaterMark: 5_000 }
      const reply = "r".repeat(1_000)
      yield* network.serveSessions((session) => Connection.runForEach(session, () => session.send(reply)), options)
      const near = yield* Effect.provide(Resume.connect(uri, { ...soon, ...options }), network.client)
      const got = yield* Ref.make(0)
      const sending = yield* Effect.fork(Effect.replicateEffect(near.send("x".repeat(100)), COUNT))
      const taking = Connection.runForEach(near, () => Ref.update(got, (n) => n + 1))
      yield* Effect.fork(taking)
      for (let turn = 0; turn < 200 && (yield* Ref.get(got)) < COUNT; turn++) yield* settle
      assert.strictEqual(yield* Ref.get(got), COUNT)
      yield* Fiber.join(sending)
    })
  )
})

describe("C8: a session that waits for its client", () => {
  const expiries: ReadonlyArray<readonly [number, Resume.StoreOptions]> = [
    [60_000, {}],
    [2_000, { expiry: "2 seconds" }]
  ]
  it.scoped.each(expiries)("is there for %s ms, and not longer", ([expiry, options]) =>
    Effect.gen(function* () {
      for (const [after, isThere] of [
        [expiry - 1, true],
        [expiry, false]
      ] as const) {
        const schedule = Schedule.spaced(Duration.millis(after))
        const { near, far, server, cut } = yield* session({ ...options, schedule, receiveHighWaterMark: 1_000 })
        yield* cut
        yield* pass(after)
        assert.strictEqual(yield* server.size, isThere ? 1 : 0)
        if (isThere) {
          // It waits no more, and what it has waited counts for nothing.
          yield* pass(expiry)
          yield* far.send("still there")
          assert.strictEqual(yield* near.receive, "still there")
        } else {
          assert.strictEqual(ConnectionClosed.code(yield* far.closed), 1006)
          assert.isTrue(Resume.isGap(yield* Effect.flip(near.receive)))
          assert.include((yield* near.closed).message, "could not be resumed")
        }
      }
    })
  )

  it.scoped("is over when more than maxAway wait and it has waited longest", () =>
    Effect.gen(function* () {
      const network = yield* makeSessions
      const server = yield* network.serveSessions(stay, { maxAway: 2 })
      const scopes: Array<Scope.CloseableScope> = []
      const connections: Array<Resume.ResumableConnection> = []
      for (let i = 0; i < 3; i++) {
        const scope = yield* Scope.make()
        scopes.push(scope)
        const connect = Resume.connect(uri, { ...soon, schedule: Schedule.spaced("30 seconds") })
        connections.push(yield* Effect.provide(Scope.extend(connect, scope), network.client))
      }
      for (const wire of yield* network.wires) {
        yield* wire.cut
        yield* settle
        assert.strictEqual(yield* server.size, wire === (yield* network.wires)[2] ? 2 : 3)
      }
      yield* pass(30_000)
      assert.isTrue(Resume.isGap(yield* connections[0]!.closed))
      assert.deepStrictEqual([yield* tagOf(connections[1]!), yield* tagOf(connections[2]!)], ["Connected", "Connected"])
      for (const scope of scopes) yield* Scope.close(scope, Exit.void)
    })
  )
})

describe("C8: a server that is started anew", () => {
  it.scoped("does not know the session: the client has a gap, and no handler is run for it", () =>
    Effect.gen(function* () {
      const { near, far, server, serveSessions } = yield* session()
      yield* near.send("lost")
      yield* server.stop
      assert.strictEqual((yield* far.closed).closure.initiator, "local")
      const runs = yield* Ref.make(0)
      const second = yield* serveSessions((connection) =>
        Effect.zipRight(
          Ref.update(runs, (n) => n + 1),
          echo(connection)
        )
      )
      yield* pass(1000)
      const uses: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        near.receive,
        near.send("x"),
        Connection.runForEach(near, () => Effect.void),
        Stream.runDrain(near.messages)
      ]
      for (const use of uses) assert.isTrue(Resume.isGap(yield* Effect.flip(use)))
      const { closure } = yield* near.closed
      assert.deepStrictEqual(closure.cause, { _tag: "Gap", lost: undefined })
      assert.strictEqual(yield* second.size, 0)
      assert.strictEqual(yield* Ref.get(runs), 0)
    })
  )

  it.scoped("interrupts its handlers when it stops, behind their last connections", () =>
    Effect.gen(function* () {
      const { client, serveSessions } = yield* makeSessions
      const ended = yield* Deferred.make<string>()
      const { stop } = yield* serveSessions(({ state }) =>
        Effect.onInterrupt(Effect.never, () => Effect.flatMap(state.get, ({ _tag }) => Deferred.succeed(ended, _tag)))
      )
      const connection = yield* Effect.provide(Resume.connect(uri, soon), client)
      yield* stop
      assert.strictEqual(yield* Deferred.await(ended), "Away")
      yield* settle
      assert.strictEqual(yield* tagOf(connection), "Away")
    })
  )
})

describe("C8: a handler", () => {
  const ends: ReadonlyArray<readonly [string, Effect.Effect<void, string>, number]> = [
    ["returns", Effect.void, 1000],
    ["fails", Effect.fail("bored"), 1011],
    ["dies", Effect.die("oops"), 1011]
  ]
  it.scoped.each(ends)("that %s closes the session once everything has gone", ([, end, code]) =>
    Effect.gen(function* () {
      const { client, serveSessions, dialled } = yield* makeSessions
      const { size } = yield* serveSessions(({ send }) => Effect.zipRight(send("last words"), end))
      const connection = yield* Effect.provide(Resume.connect(uri, soon), client)
      assert.strictEqual(yield* connection.receive, "last words")
      const closed = yield* connection.closed
      assert.strictEqual(ConnectionClosed.code(closed), code)
      assert.isUndefined(closed.closure.cause)
      yield* settle
      assert.strictEqual(yield* size, 0)
      // Nothing is lost, and nothing to come back for.
      yield* pass(60_000)
      assert.lengthOf(dialled, 1)
    })
  )

  const logs: ReadonlyArray<
    readonly [string, (connection: Resume.ResumableConnection) => Effect.Effect<void, unknown>, number]
  > = [
    ["with its session's end logs no error", ({ receive }) => Effect.forever(receive), 0],
    ["with anything else logs it", ({ receive }) => Effect.zipRight(receive, Effect.fail("bored")), 1]
  ]
  it.scoped.each(logs)("that fails %s", ([, handle, expected]) =>
    Effect.gen(function* () {
      const { client, serveSessions } = yield* makeSessions
      const logged: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => {
        if (logLevel._tag === "Error") logged.push(message)
      })
      const log = Logger.add(logger)
      yield* Effect.provide(serveSessions(handle), log)
      const connection = yield* Effect.provide(Resume.connect(uri, soon), client)
      yield* connection.send("x")
      yield* settle
      yield* connection.close()
      yield* settle
      assert.lengthOf(logged, expected)
    })
  )

  it.scoped("that returns while its client is away is over when that has come back for what is left", () =>
    Effect.gen(function* () {
      const { client, serveSessions, wires } = yield* makeSessions
      const go = yield* Deferred.make<void>()
      const { size } = yield* serveSessions(({ send }) => Effect.zipRight(Deferred.await(go), send("last words")))
      const connection = yield* Effect.provide(Resume.connect(uri, soon), client)
      yield* (yield* wires)[0]!.cut
      yield* settle
      yield* Deferred.succeed(go, undefined)
      yield* settle
      assert.strictEqual(yield* size, 1)
      yield* pass(1000)
      assert.strictEqual(yield* connection.receive, "last words")
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1000)
      assert.strictEqual(yield* size, 0)
    })
  )

  it.scoped("is over at once where its client closes with a code that a session survives otherwise", () =>
    Effect.gen(function* () {
      const { near, far, server, dialled } = yield* session()
      yield* near.send("last")
      yield* near.close({ code: 1012, reason: "moving" })
      yield* settle
      assert.strictEqual(yield* server.size, 0)
      assert.deepStrictEqual((yield* far.closed).closure.received, { code: 1012, reason: "moving" })
      assert.strictEqual(yield* far.receive, "last")
      assert.lengthOf(dialled, 1)
    })
  )

  it.scoped("whose closing handshake breaks has its client come back for what that may not have", () =>
    Effect.gen(function* () {
      const { client, serveSessions, wires } = yield* makeSessions
      const go = yield* Deferred.make<void>()
      yield* serveSessions(({ send }) => Effect.zipRight(Deferred.await(go), send("last words")))
      const connection = yield* Effect.provide(Resume.connect(uri, soon), client)
      const [wire] = yield* wires
      yield* wire!.stall
      yield* Deferred.succeed(go, undefined)
      yield* settle
      yield* wire!.cut
      yield* settle
      yield* pass(1000)
      assert.strictEqual(yield* connection.receive, "last words")
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1000)
    })
  )

  it.scoped("that returns before its client has read loses nothing, be the client sending or not", () =>
    Effect.gen(function* () {
      const { client, serveSessions } = yield* makeSessions
      const messages = Array.from({ length: 50 }, (_, n) => `${n} ${"x".repeat(100)}`)
      yield* serveSessions(({ sendAll }) =>
        sendAll(messages.slice(0, 25)).pipe(
          Effect.zipRight(Effect.sleep("1 second")),
          Effect.zipRight(sendAll(messages.slice(25)))
        )
      )
      const options = { ...soon, receiveHighWaterMark: 1_000 }
      const connection = yield* Effect.provide(Resume.connect(uri, options), client)
      yield* settle
      yield* pass(1000)
      const sending = yield* Effect.fork(Effect.ignore(connection.send("too late")))
      yield* settle
      assert.deepStrictEqual(
        yield* Effect.replicateEffect(Effect.zipLeft(connection.receive, pass(1000)), 50),
        messages
      )
      assert.instanceOf(yield* Effect.flip(connection.receive), ConnectionClosed.ConnectionClosed)
      yield* Fiber.join(sending)
    })
  )

  it.scoped("has a scope of its own, which outlives connections", () =>
    Effect.gen(function* () {
      const { client, serveSessions, wires } = yield* makeSessions
      const log: Array<string> = []
      yield* serveSessions((connection) =>
        Effect.gen(function* () {
          log.push("begins")
          yield* Effect.addFinalizer(() => Effect.sync(() => log.push("ends")))
          yield* connection.receive
        })
      )
      const connection = yield* Effect.provide(Resume.connect(uri, soon), client)
      yield* (yield* wires)[0]!.cut
      yield* settle
      yield* pass(1000)
      assert.deepStrictEqual(log, ["begins"])
      yield* connection.send("go")
      yield* connection.closed
      assert.deepStrictEqual(log, ["begins", "ends"])
    })
  )
})

describe("C8: leaving the client's scope", () => {
  const connecting = Effect.gen(function* () {
    const both = yield* makeSessions
    const { handler, connection } = yield* handing
    yield* both.serveSessions(handler)
    const scope = yield* Scope.make()
    const near = yield* Effect.provide(Scope.extend(Resume.connect(uri, soon), scope), both.client)
    return { ...both, near, far: yield* connection, leave: Scope.close(scope, Exit.void) }
  })

  it.scoped("sends what was sent before, and closes with 1000", () =>
    Effect.gen(function* () {
      const { near, far, leave } = yield* connecting
      yield* near.sendAll(Array.from({ length: 1000 }, (_, n) => `${n}`))
      yield* leave
      assert.strictEqual(ConnectionClosed.code(yield* far.closed), 1000)
      assert.lengthOf(yield* far.receiveAll, 1000)
    })
  )

  it.scoped("takes no longer than closeTimeout twice where the server takes nothing", () =>
    Effect.gen(function* () {
      const { near, wires, leave } = yield* connecting
      const [wire] = yield* wires
      yield* wire!.stall
      yield* near.sendAll(Array.from({ length: 1000 }, () => "x".repeat(500)))
      yield* settle
      const leaving = yield* Effect.fork(leave)
      yield* settle
      yield* pass(9_999)
      yield* pass(9_999)
      assert.isTrue(isRunning(leaving))
      yield* pass(2)
      yield* Fiber.join(leaving)
      yield* wire!.cut
    })
  )

  it.scoped("is at once, and leaves no fiber, where there is no connection", () =>
    Effect.gen(function* () {
      const before = (yield* Fiber.roots).length
      const { near, wires, leave } = yield* connecting
      const running = (yield* Fiber.roots).length
      yield* (yield* wires)[0]!.cut
      yield* settle
      yield* leave
      assert.strictEqual((yield* near.closed).closure.cause?._tag, "TransportError")
      yield* pass(120_000)
      assert.isAtMost((yield* Fiber.roots).length, before)
      assert.isAbove(running, before)
    })
  )

  it.scoped("while it is connecting for the first time leaves nothing", () =>
    Effect.gen(function* () {
      const { client, script } = yield* makeSessions
      const before = (yield* Fiber.roots).length
      script.push(Effect.never)
      const connecting = yield* Effect.fork(Effect.scoped(Effect.provide(Resume.connect(uri, soon), client)))
      yield* settle
      yield* Fiber.interrupt(connecting)
      assert.strictEqual((yield* Fiber.roots).length, before)
    })
  )
})

describe("C8: connecting", () => {
  it.scoped("fails as Reconnecting does where there never was a connection", () =>
    Effect.gen(function* () {
      const { client, script } = yield* makeSessions
      script.push(Effect.fail(broken("ECONNREFUSED")), Effect.succeed(answer(404)))
      const failing = yield* Effect.fork(Effect.flip(Effect.provide(Effect.scoped(Resume.connect(uri, soon)), client)))
      yield* settle
      assert.isTrue(isRunning(failing))
      yield* pass(1000)
      assert.instanceOf(yield* Fiber.join(failing), HandshakeError)
    })
  )

  it.scoped("to a server that keeps no sessions is a HandshakeError", () =>
    Effect.gen(function* () {
      const { client, serve } = yield* makeSessions
      yield* serve(({ closed }) => closed, { subprotocols: ["chat"] })
      const error = yield* Effect.flip(Effect.provide(Effect.scoped(Resume.connect(uri, soon)), client))
      assert.instanceOf(error, HandshakeError)
    })
  )

  it.scoped("again that fails for good ends the session, and is the cause", () =>
    Effect.gen(function* () {
      const { near, script, cut } = yield* session()
      script.push(Effect.succeed(answer(404)))
      yield* cut
      yield* pass(1000)
      const { cause } = (yield* near.closed).closure
      assert.ok(cause?._tag === "TransportError" && cause.error instanceof HandshakeError)
      assert.include((yield* Effect.flip(near.receive)).message, "status 404")
    })
  )

  it.scoped("asks for sessions, whatever subprotocols the target's own options have", () =>
    Effect.gen(function* () {
      const { client, serveSessions } = yield* makeSessions
      yield* serveSessions(echo)
      const target = Effect.succeed([uri, { subprotocols: ["chat"], headers: { "X-A": "b" } }] as const)
      const near = yield* Effect.provide(Resume.connect(target, soon), client)
      const state = yield* near.state.get
      assert.ok(state._tag === "Connected")
      const { headers } = state.connection.handshake.request
      assert.deepStrictEqual(
        headers.filter(([name]) => /^(x-a|sec-websocket-protocol)$/i.test(name)).map(([, value]) => value),
        [Resume.subprotocol, "b"]
      )
      yield* near.send("x")
      assert.strictEqual(yield* near.receive, "x")
    })
  )

  it.scoped("to a server whose layer of sessions is closed fails, and both ends say why", () =>
    Effect.gen(function* () {
      const { client, serve } = yield* makeSessions
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => void logged.push(message))
      const handler = Resume.handler(stay)
      const sessions = yield* Effect.scoped(Layer.build(Resume.layer()))
      yield* serve(
        (connection) =>
          handler(connection).pipe(
            Effect.provide(sessions),
            Effect.provide(Logger.replace(Logger.defaultLogger, logger))
          ),
        { subprotocols: [Resume.subprotocol] }
      )
      const error = yield* Effect.flip(Effect.provide(Effect.scoped(Resume.connect(uri, soon)), client))
      const sentence = "no sessions are kept: Resume.layer is closed, provide it to the server's layer"
      assert.include(error.message, `peer closed with 1008 ${sentence}`)
      assert.deepStrictEqual(logged, [[sentence]])
    })
  )

  it.scoped("that is interrupted dials no more, though its scope stays open", () =>
    Effect.gen(function* () {
      const { client, dialled } = yield* makeSessions
      const before = (yield* Fiber.roots).length
      const connecting = yield* Effect.fork(
        Effect.timeout(Effect.provide(Resume.connect(uri, soon), client), "3500 millis")
      )
      yield* settle
      for (let i = 0; i < 7; i++) yield* pass(500)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(connecting)))
      assert.lengthOf(dialled, 4)
      yield* pass(60_000)
      assert.lengthOf(dialled, 4)
      assert.strictEqual((yield* Fiber.roots).length, before)
    })
  )

  const defects: ReadonlyArray<readonly [string, Reconnecting.Target, Reconnecting.ReconnectOptions, string]> = [
    ["the target", Effect.die(new Error("my bug")), {}, "my bug"],
    ["an option", uri, { ...soon, pingInterval: 0 }, "pingInterval"],
    ["an option of its own", uri, { ...soon, stableAfter: -1 }, "stableAfter"]
  ]
  it.scoped.each(defects)("is a defect where %s is wrong", ([, target, { subprotocols: _, ...options }, sentence]) =>
    Effect.gen(function* () {
      const { client, serveSessions } = yield* makeSessions
      yield* serveSessions(stay)
      const exit = yield* Effect.exit(Effect.provide(Effect.scoped(Resume.connect(target, options)), client))
      const defect = Exit.isFailure(exit) ? Option.getOrNull(Cause.dieOption(exit.cause)) : null
      assert.instanceOf(defect, Error)
      assert.include(String(defect), sentence)
    })
  )

  it.scoped("again with a defect ends the session, which says it, and is logged", () =>
    Effect.gen(function* () {
      const { client, serveSessions, wires } = yield* makeSessions
      yield* serveSessions(stay)
      let calls = 0
      const target = Effect.suspend(() => (calls++ === 0 ? Effect.succeed(uri) : Effect.die(new Error("my bug"))))
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => void logged.push(message))
      const connecting = Resume.connect(target, soon)
      const near = yield* connecting.pipe(
        Effect.provide(client),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      yield* (yield* wires)[0]!.cut
      yield* pass(1000)
      assert.strictEqual((yield* near.closed).message, "my bug")
      assert.deepStrictEqual(logged, [["a session's client died"]])
    })
  )

  it.scoped("tells what Reconnecting tells, with the schedule's own delays", () =>
    Effect.gen(function* () {
      const { client, serveSessions, wires, dialled } = yield* makeSessions
      yield* serveSessions(stay)
      const state = yield* Reconnecting.makeState
      yield* Effect.provide(Resume.connect(uri, { state }), client).pipe(Effect.withRandom(Random.fixed([0.5])))
      assert.strictEqual((yield* state.get)._tag, "Connected")
      yield* (yield* wires)[0]!.cut
      yield* settle
      assert.strictEqual((yield* state.get)._tag, "Waiting")
      yield* pass(2499)
      assert.lengthOf(dialled, 1)
      yield* pass(1)
      assert.lengthOf(dialled, 2)
    })
  )
})

describe("C8: identifiers of sessions", () => {
  it.effect("are 16 unpredictable bytes unless replaced", () =>
    Effect.gen(function* () {
      const { next } = yield* Resume.SessionIds
      const ids = Array.from({ length: 100 }, () => Buffer.from(next()).toString("hex"))
      assert.strictEqual(new Set(ids).size, 100)
      for (const id of ids) assert.lengthOf(id, 32)
    })
  )

  it.scoped("are a server's own below the layer of its sessions", () =>
    Effect.gen(function* () {
      const { client, serve, wires } = yield* makeSessions
      const ids = Layer.succeed(Resume.SessionIds, { next: () => new Uint8Array(16).fill(7) })
      const sessions = yield* Layer.build(Layer.provide(Resume.layer(), ids))
      yield* serve((connection) => Effect.provide(Resume.handler(stay)(connection), sessions), {
        subprotocols: [Resume.subprotocol]
      })
      yield* Effect.provide(Resume.connect(uri, soon), client)
      const said = Buffer.from(yield* (yield* wires)[0]!.sentByServer).toString("hex")
      assert.strictEqual(said, `8212${"0200"}${"07".repeat(16)}${"8202"}${"0301"}`)
    })
  )
})
