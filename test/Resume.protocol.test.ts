import { assert, describe, it } from "@effect/vitest"
import { Data, Deferred, Duration, Effect, Layer, Schedule, TestClock } from "effect"
import { type Connection, ConnectionClosed, Resume, WebSocketClient } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Envelope from "../src/protocol/Envelope.js"
import { makeSessions } from "./resuming.js"
import { settle } from "./support.js"

/** Each end of a session against a peer that speaks envelopes by hand. */

const uri = "ws://memory"
const connectOptions = { subprotocols: [Resume.subprotocol], pingInterval: Duration.infinity }
const id = new Uint8Array(16).fill(7)

const say = (connection: Connection.Connection, ...envelopes: ReadonlyArray<Envelope.Envelope>) =>
  connection.sendAll(envelopes.map(Envelope.encode))

const hear = (connection: Connection.Connection) => Effect.map(connection.receive, Envelope.decode)

const hello: Envelope.Envelope = { _tag: "Hello", received: 0, session: undefined }
const data = (message: Connection.Message): Envelope.Envelope => ({ _tag: "Data", message })

/** A server that keeps sessions and hands out the latest of them, and peers that speak to it. */
const serving = (options?: Resume.SessionOptions) =>
  Effect.gen(function* () {
    const { client, serveSessions } = yield* makeSessions
    const sessions: Array<Resume.ResumableConnection> = []
    const server = yield* serveSessions((connection) => {
      sessions.push(connection)
      return connection.closed
    }, options)
    const connect = Effect.provide(WebSocketClient.connect(uri, connectOptions), client)
    /** A peer that has been welcomed, in a new session or in one that there is. */
    const welcomed = (received = 0, session?: Uint8Array) =>
      Effect.gen(function* () {
        const connection = yield* connect
        yield* say(connection, { _tag: "Hello", received, session })
        const welcome = yield* hear(connection)
        if (welcome._tag !== "Welcome") return assert.fail(welcome._tag)
        const from = yield* hear(connection)
        return { connection, from, received: welcome.received, session: welcome.session }
      })
    return { connect, welcomed, sessions, size: server.size }
  })

describe("C8: a server of sessions", () => {
  const bad: ReadonlyArray<readonly [string, ReadonlyArray<Connection.Message>, string]> = [
    ["text first", ["hi"], "a resume envelope stands where it must not"],
    ["an empty message first", [new Uint8Array(0)], "malformed resume envelope: it is empty"],
    ["an unknown tag first", [Uint8Array.of(9)], "malformed resume envelope: its tag is 9"],
    ["a welcome first", [Envelope.encode({ _tag: "Welcome", received: 0, session: id })], "a resume envelope stands"],
    ["a hello that has received without a session", [Uint8Array.of(1, 1)], "messages are acknowledged that were never"],
    ["a second hello", [Uint8Array.of(1, 0), Uint8Array.of(1, 0)], "a resume envelope stands where it must not"],
    [
      "a welcome later",
      [Uint8Array.of(1, 0), Envelope.encode({ _tag: "Welcome", received: 0, session: id })],
      "a resume"
    ],
    ["an unknown later", [Uint8Array.of(1, 0), Uint8Array.of(5)], "a resume envelope stands where it must not"],
    ["an acknowledgement too many", [Uint8Array.of(1, 0), Uint8Array.of(4, 1)], "messages are acknowledged that were"],
    [
      "a number that does not end",
      [Uint8Array.of(1, 0), Uint8Array.of(4, 0x80)],
      "malformed resume envelope: no number"
    ]
  ]
  it.scoped.each(bad)("closes with 1002 on %s", ([, messages, reason]) =>
    Effect.gen(function* () {
      const { connect, sessions, size } = yield* serving()
      const connection = yield* connect
      yield* connection.sendAll(messages)
      const { received } = (yield* connection.closed).closure
      assert.strictEqual(received?.code, 1002)
      assert.include(received?.reason, reason)
      yield* settle
      assert.strictEqual(yield* size, 0)
      for (const session of sessions) {
        assert.strictEqual((yield* session.closed).closure.sent?.code, 1002)
        assert.include((yield* session.closed).message, reason)
      }
    })
  )

  it.scoped("closes with 1008 on no hello within 10 seconds", () =>
    Effect.gen(function* () {
      const { connect } = yield* serving()
      const connection = yield* connect
      yield* settle
      yield* TestClock.adjust("9999 millis")
      yield* settle
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual((yield* connection.closed).closure.received, {
        code: 1008,
        reason: "no hello within 10 seconds"
      })
    })
  )

  it.scoped("says that it does not know a session, and begins none", () =>
    Effect.gen(function* () {
      const { connect, sessions } = yield* serving()
      const connection = yield* connect
      yield* say(connection, { _tag: "Hello", received: 0, session: id })
      assert.deepStrictEqual(yield* hear(connection), { _tag: "Unknown" })
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1008)
      assert.lengthOf(sessions, 0)
    })
  )

  it.scoped("acknowledges what its program takes, once for what it takes at a time", () =>
    Effect.gen(function* () {
      const { welcomed, sessions } = yield* serving()
      const { connection, from, received } = yield* welcomed()
      assert.deepStrictEqual([from, received], [{ _tag: "From", number: 1 }, 0])
      yield* say(connection, data("a"), data("b"), data(Uint8Array.of(1)))
      yield* settle
      const heard = yield* Effect.fork(hear(connection))
      yield* settle
      assert.isNull(heard.unsafePoll())
      yield* sessions[0]!.receiveAll
      assert.deepStrictEqual(yield* heard, { _tag: "Ack", taken: 3 })
      yield* say(connection, data("c"), data("d"), data("e"))
      yield* settle
      yield* sessions[0]!.receive
      yield* sessions[0]!.receive
      assert.deepStrictEqual(yield* hear(connection), { _tag: "Ack", taken: 5 })
    })
  )

  it.scoped("drops what has come before, and says that it has a session's messages", () =>
    Effect.gen(function* () {
      const { welcomed, sessions } = yield* serving()
      const first = yield* welcomed()
      yield* say(first.connection, data("a"), data("b"))
      yield* settle
      yield* first.connection.close({ code: 1012 })
      const second = yield* welcomed(0, first.session)
      assert.strictEqual(second.received, 2)
      yield* say(second.connection, { _tag: "From", number: 1 }, data("a"), data("b"), data("c"))
      yield* settle
      assert.deepStrictEqual(yield* sessions[0]!.receiveAll, ["a", "b", "c"])
      assert.lengthOf(sessions, 1)
    })
  )

  it.scoped("replays what is not acknowledged, and says from which number on", () =>
    Effect.gen(function* () {
      const { welcomed, sessions } = yield* serving()
      const first = yield* welcomed()
      yield* sessions[0]!.sendAll(["1", "2", "3", "4"])
      for (const message of ["1", "2", "3", "4"]) assert.deepStrictEqual(yield* hear(first.connection), data(message))
      yield* say(first.connection, { _tag: "Ack", taken: 1 })
      yield* first.connection.close({ code: 1012 })
      const second = yield* welcomed(2, first.session)
      assert.deepStrictEqual(second.from, { _tag: "From", number: 3 })
      assert.deepStrictEqual([yield* hear(second.connection), yield* hear(second.connection)], [data("3"), data("4")])
      // What was received is kept until it is acknowledged, and what was acknowledged is not there any more.
      yield* second.connection.close({ code: 1012 })
      const third = yield* welcomed(1, first.session)
      assert.deepStrictEqual(third.from, { _tag: "From", number: 2 })
      yield* third.connection.close({ code: 1012 })
      const fourth = yield* welcomed(0, first.session)
      assert.deepStrictEqual(fourth.from, { _tag: "From", number: 2 })
    })
  )

  it.scoped("has room again for who waits once that is acknowledged, not where it was received only", () =>
    Effect.gen(function* () {
      const { welcomed, sessions } = yield* serving({ maxReplayMessages: 2 })
      const first = yield* welcomed()
      yield* sessions[0]!.sendAll(["1", "2"])
      const sending = yield* Effect.fork(sessions[0]!.send("3"))
      yield* settle
      yield* first.connection.close({ code: 1012 })
      assert.isNull(sending.unsafePoll())
      const second = yield* welcomed(2, first.session)
      assert.deepStrictEqual(second.from, { _tag: "From", number: 3 })
      yield* settle
      assert.isNull(sending.unsafePoll())
      yield* say(second.connection, { _tag: "Ack", taken: 2 })
      assert.deepStrictEqual(yield* hear(second.connection), data("3"))
      yield* sending
    })
  )

  it.scoped("says again what was taken, as that may have been lost with the last connection", () =>
    Effect.gen(function* () {
      const { welcomed, sessions } = yield* serving()
      const first = yield* welcomed()
      yield* say(first.connection, data("a"), data("b"))
      yield* settle
      yield* sessions[0]!.receive
      yield* first.connection.close({ code: 1012 })
      const second = yield* welcomed(0, first.session)
      assert.strictEqual(second.received, 2)
      assert.deepStrictEqual(yield* hear(second.connection), { _tag: "Ack", taken: 1 })
      yield* sessions[0]!.receive
      assert.deepStrictEqual(yield* hear(second.connection), { _tag: "Ack", taken: 2 })
    })
  )

  it.scoped("sees a gap where the client's messages do not begin with the next one", () =>
    Effect.gen(function* () {
      const { welcomed, sessions, size } = yield* serving()
      const { connection } = yield* welcomed()
      yield* say(connection, data("a"), { _tag: "From", number: 5 }, data("e"))
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1008)
      const [session] = sessions
      assert.strictEqual(yield* session!.receive, "a")
      const error = yield* Effect.flip(session!.receive)
      assert.isTrue(Resume.isGap(error))
      assert.deepStrictEqual((yield* session!.closed).closure.cause, { _tag: "Gap", lost: 3 })
      assert.include(error.message, "3 messages of the peer are lost")
      assert.strictEqual(yield* size, 0)
    })
  )

  it.scoped("goes over to a newer connection of the session, and does not listen to the older one any more", () =>
    Effect.gen(function* () {
      const { welcomed, sessions } = yield* serving()
      const older = yield* welcomed()
      yield* say(older.connection, data("a"))
      yield* settle
      const newer = yield* welcomed(0, older.session)
      assert.strictEqual(newer.received, 1)
      const closed = yield* older.connection.closed
      assert.strictEqual(ConnectionClosed.code(closed), 1008)
      yield* sessions[0]!.send("to the newer")
      assert.deepStrictEqual(yield* hear(newer.connection), data("to the newer"))
      yield* say(newer.connection, data("b"))
      yield* settle
      assert.deepStrictEqual(yield* sessions[0]!.receiveAll, ["a", "b"])
    })
  )

  it.scoped("closes with 1008 where more is sent than may wait to be taken, and keeps no more than that", () =>
    Effect.gen(function* () {
      const { welcomed, sessions } = yield* serving({ maxReplayBytes: 16_400, receiveHighWaterMark: 16_400 })
      let last = yield* welcomed()
      for (let round = 0; round < 20; round++) {
        yield* Effect.ignore(say(last.connection, ...Array.from({ length: 100 }, () => data("x".repeat(100)))))
        yield* settle
        if (round < 2) last = yield* welcomed(0, last.session)
      }
      assert.deepStrictEqual((yield* last.connection.closed).closure.received, {
        code: 1008,
        reason: "more messages were sent than may wait to be taken"
      })
      // 49,200 bytes of 164 each.
      assert.lengthOf(yield* sessions[0]!.receiveAll, 300)
      assert.strictEqual((yield* Effect.flip(sessions[0]!.receive))._tag, "ConnectionClosed")
    })
  )
})

describe("C8: a session of somebody", () => {
  /** Asks for a session as somebody, from one of two handlers, and gives the answer. */
  const asking = Effect.gen(function* () {
    const { client, serve } = yield* makeSessions
    const sessions = yield* Layer.build(Resume.layer())
    let name = "Ada"
    const options = { owner: Effect.sync(() => (name === "" ? undefined : Data.struct({ name }))) }
    const handlers = [
      Resume.handler(({ closed }) => closed, options),
      Resume.handler(({ closed }) => closed, options)
    ] as const
    let handler: (typeof handlers)[number] = handlers[0]
    yield* serve((connection) => Effect.provide(handler(connection), sessions), {
      subprotocols: [Resume.subprotocol]
    })
    return {
      handlers,
      ask: (session: Uint8Array | undefined, by: string, served = handlers[0]) =>
        Effect.gen(function* () {
          name = by
          handler = served
          const connection = yield* Effect.provide(WebSocketClient.connect(uri, connectOptions), client)
          yield* say(connection, { _tag: "Hello", received: 0, session })
          return yield* hear(connection)
        })
    }
  })

  it.scoped("is unknown to everybody else, and goes on for its owner", () =>
    Effect.gen(function* () {
      const { ask } = yield* asking
      const welcome = yield* ask(undefined, "Ada")
      assert.ok(welcome._tag === "Welcome")
      for (const other of ["Bob", ""]) assert.strictEqual((yield* ask(welcome.session, other))._tag, "Unknown")
      assert.deepStrictEqual(yield* ask(welcome.session, "Ada"), welcome)
    })
  )

  it.scoped("is unknown to another handler with the same sessions", () =>
    Effect.gen(function* () {
      const { ask, handlers } = yield* asking
      const welcome = yield* ask(undefined, "Ada", handlers[1])
      assert.ok(welcome._tag === "Welcome")
      assert.strictEqual((yield* ask(welcome.session, "Ada", handlers[0]))._tag, "Unknown")
      assert.deepStrictEqual(yield* ask(welcome.session, "Ada", handlers[1]), welcome)
    })
  )
})

describe("C8: a client of sessions", () => {
  /** A server that does by hand what it is told to with each connection. */
  const against = (...answers: ReadonlyArray<(connection: Connection.Connection) => Effect.Effect<unknown, unknown>>) =>
    Effect.gen(function* () {
      const { client, serve, dialled } = yield* makeSessions
      const heard: Array<Envelope.Envelope> = []
      let served = 0
      yield* serve(
        (connection) =>
          Effect.gen(function* () {
            const first = yield* hear(connection)
            if (first._tag !== "Violation") heard.push(first)
            yield* answers[served++]!(connection)
            return yield* connection.closed
          }),
        { subprotocols: [Resume.subprotocol] }
      )
      const connect = Effect.provide(
        Resume.connect(uri, { schedule: Schedule.spaced("1 second"), pingInterval: Duration.infinity }),
        client
      )
      return { connect, heard, dialled }
    })
  const welcome = (received: number, session = id): Envelope.Envelope => ({ _tag: "Welcome", received, session })

  const bad: ReadonlyArray<readonly [string, Connection.Message, string]> = [
    ["text", "hi", "a resume envelope stands where it must not"],
    ["a malformed welcome", Uint8Array.of(2, 0, 1), "malformed resume envelope: its session has 1 bytes, not 16"],
    ["unknown, where no session was asked for", Uint8Array.of(5), "a resume envelope stands where it must not"]
  ]
  it.scoped.each(bad)("closes with 1002 on %s, which is why there is no session", ([, message, reason]) =>
    Effect.gen(function* () {
      const { connect, dialled } = yield* against(({ send }) => send(message))
      const error = yield* Effect.flip(connect)
      assert.ok(error._tag === "ConnectionClosed")
      assert.strictEqual(error.closure.sent?.code, 1002)
      assert.include(error.message, reason)
      assert.lengthOf(dialled, 1)
    })
  )

  it.scoped("has no session where the server closes instead of a welcome", () =>
    Effect.gen(function* () {
      const { connect } = yield* against(({ close }) => close({ reason: "not today" }))
      assert.include((yield* Effect.flip(connect)).message, "peer closed with 1000 not today")
    })
  )

  it.scoped("closes with 1002 where the server has received what was never sent", () =>
    Effect.gen(function* () {
      const { connect } = yield* against((connection) => say(connection, welcome(1)))
      const session = yield* connect
      assert.include((yield* session.closed).message, "messages are acknowledged that were never sent")
    })
  )

  it.scoped("closes with 1002 where it is welcomed in another session", () =>
    Effect.gen(function* () {
      const { connect } = yield* against(
        (connection) => Effect.zipRight(say(connection, welcome(0)), connection.close({ code: 1012 })),
        (connection) => say(connection, welcome(0, new Uint8Array(16)))
      )
      const session = yield* connect
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.include((yield* session.closed).message, "a resume envelope stands where it must not")
    })
  )

  it.scoped("tries again where there is no welcome within 10 seconds", () =>
    Effect.gen(function* () {
      const { connect, heard } = yield* against(
        () => Effect.void,
        (connection) => say(connection, welcome(0))
      )
      const connecting = yield* Effect.fork(connect)
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* Effect.flatten(connecting.await)
      assert.deepStrictEqual(heard, [hello, hello])
    })
  )

  it.scoped("says what it has received, and replays from what the server has", () =>
    Effect.gen(function* () {
      const replayed = yield* Deferred.make<ReadonlyArray<Envelope.Envelope>>()
      const { connect, heard } = yield* against(
        (connection) =>
          say(connection, welcome(0), data("a"), data("b")).pipe(
            // From 1, and three messages.
            Effect.zipRight(Effect.replicateEffect(hear(connection), 4)),
            Effect.zipRight(connection.close({ code: 1012 }))
          ),
        (connection) =>
          say(connection, welcome(1)).pipe(
            Effect.zipRight(Effect.replicateEffect(hear(connection), 3)),
            Effect.flatMap((envelopes) =>
              Deferred.succeed(
                replayed,
                envelopes.flatMap((one) => (one._tag === "Violation" ? [] : [one]))
              )
            )
          )
      )
      const session = yield* connect
      yield* session.sendAll(["1", "2", "3"])
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Deferred.await(replayed), [{ _tag: "From", number: 2 }, data("2"), data("3")])
      assert.deepStrictEqual(heard, [hello, { _tag: "Hello", received: 2, session: id }])
      assert.deepStrictEqual(yield* session.receiveAll, ["a", "b"])
    })
  )

  it.scoped("comes back where it was told of an end that did not come", () =>
    Effect.gen(function* () {
      const { connect, heard } = yield* against(
        (connection) =>
          say(connection, welcome(0), data("a"), { _tag: "End" }).pipe(
            Effect.zipRight(settle),
            Effect.zipRight(Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut))
          ),
        (connection) =>
          say(connection, welcome(0), { _tag: "From", number: 2 }, { _tag: "End" }).pipe(
            Effect.zipRight(connection.close({ code: 1011 }))
          )
      )
      const session = yield* connect
      yield* settle
      assert.strictEqual((yield* session.state.get)._tag, "Away")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(ConnectionClosed.code(yield* session.closed), 1011)
      assert.strictEqual(yield* session.receive, "a")
      assert.lengthOf(heard, 2)
    })
  )

  it.scoped("sees a gap where the server's messages do not begin with the next one", () =>
    Effect.gen(function* () {
      const { connect } = yield* against((connection) =>
        say(connection, welcome(0), { _tag: "From", number: 2 }, data("b"))
      )
      const session = yield* connect
      assert.deepStrictEqual((yield* session.closed).closure.cause, { _tag: "Gap", lost: 1 })
      assert.isTrue(Resume.isGap(yield* Effect.flip(session.receive)))
      yield* settle
      assert.strictEqual((yield* session.state.get)._tag, "Closed")
    })
  )
})
