import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, TestClock } from "effect"
import { type Connection, ConnectionClosed } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, plain, settle } from "./support.js"

const normal = { code: 1000, reason: "" }

/** Frames of the other end. */
const from = (role: Connection.Role, ...frames: ReadonlyArray<Frame.Frame>) =>
  role === "server" ? masked(...frames) : plain(...frames)

const pass = (duration: Duration.DurationInput) =>
  Effect.zipRight(settle, Effect.zipRight(TestClock.adjust(duration), settle))

const roles = ["server", "client"] as const

describe("L4: close", () => {
  it.scoped("both ends learn codes and reasons, and who began", () =>
    Effect.gen(function* () {
      let theirs: ConnectionClosed.ConnectionClosed | undefined
      const connection = yield* Testing.connect((connection) =>
        Effect.map(connection.closed, (closed) => {
          theirs = closed
        })
      )
      const ours = yield* connection.close({ code: 4000, reason: "düne" })
      assert.deepStrictEqual(ours.closure, {
        sent: { code: 4000, reason: "düne" },
        received: { code: 4000, reason: "" },
        initiator: "local",
        cause: undefined
      })
      yield* settle
      assert.deepStrictEqual(theirs?.closure, {
        sent: { code: 4000, reason: "" },
        received: { code: 4000, reason: "düne" },
        initiator: "remote",
        cause: undefined
      })
      assert.strictEqual(ours.message, "we closed with 4000 düne; peer closed with 4000")
      assert.strictEqual(theirs?.message, "peer closed with 4000 düne; we closed with 4000")
    })
  )

  const closes: ReadonlyArray<readonly [string, Partial<Connection.Close> | undefined, string]> = [
    ["nothing: 1000", undefined, "880203e8"],
    ["a reason alone: 1000", { reason: "bye" }, "880503e8627965"],
    ["a code alone", { code: 3000 }, "88020bb8"],
    ["123 bytes of reason", { code: 4999, reason: `${"é".repeat(61)}a` }, `887d1387${"c3a9".repeat(61)}61`]
  ]
  it.scoped.each(closes)("on the wire, with %s", ([, close, expected]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* Effect.fork(connection.close(close))
      assert.strictEqual(hex(yield* peer.read), expected)
    })
  )

  it.scoped.each([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999])(
    "%s may be sent",
    (code) =>
      Effect.gen(function* () {
        const { connection, peer } = yield* open("server")
        yield* Effect.fork(connection.close({ code }))
        yield* peer.read
        yield* peer.write(masked(Frame.close({ code, reason: "" })))
        yield* peer.end
        assert.strictEqual(ConnectionClosed.code(yield* connection.closed), code)
      })
  )

  const invalid: ReadonlyArray<readonly [string, Partial<Connection.Close>, string]> = [
    ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 1000.5, Number.NaN].map(
      (code) => [`code ${code}`, { code }, `${code} cannot be sent as a close code: use 1000 or 3000 to 4999`] as const
    ),
    ["124 bytes of reason", { reason: "é".repeat(62) }, "a close reason holds at most 123 bytes of UTF-8: shorten it"]
  ]
  it.scoped.each(invalid)("%s is a defect, and the connection stays open", ([, close, sentence]) =>
    Effect.gen(function* () {
      const { connection, wire } = yield* open("server")
      const exit = yield* Effect.exit(connection.close(close))
      assert(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.include(Cause.pretty(exit.cause), sentence)
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* settle
      assert.strictEqual(hex(yield* wire.sentByServer), "")
    })
  )

  it.scoped("a second call waits for the first, and says nothing of its own", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* open("server")
      const first = yield* Effect.fork(connection.close({ code: 4001 }))
      yield* settle
      const second = yield* Effect.fork(connection.close({ code: 4002 }))
      yield* settle
      assert.isNull(second.unsafePoll())
      yield* peer.write(masked(Frame.close({ code: 4001, reason: "" })))
      yield* peer.end
      assert.strictEqual(yield* Fiber.join(first), yield* Fiber.join(second))
      assert.strictEqual(yield* connection.close(), yield* Fiber.join(first))
      assert.strictEqual(hex(yield* wire.sentByServer), "88020fa1")
    })
  )

  it.scoped("an interrupted call leaves the closing handshake to itself", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const closing = yield* Effect.fork(connection.close({ code: 4001 }))
      yield* settle
      yield* Fiber.interrupt(closing)
      assert.strictEqual((yield* connection.state)._tag, "Closing")
      yield* peer.write(masked(Frame.close({ code: 4001, reason: "" })))
      yield* peer.end
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 4001)
    })
  )

  it.scoped("ends a handler's wait for messages", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const waiting = yield* Effect.fork(Effect.flip(connection.receive))
      yield* settle
      yield* Effect.fork(connection.close())
      yield* peer.write(masked(Frame.close(normal)))
      assert.strictEqual((yield* Fiber.join(waiting)).message, "we closed with 1000; peer closed with 1000")
    })
  )

  it.scoped("messages before our Close stay readable, what comes after is discarded", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* peer.write(masked(Frame.text("before")))
      yield* peer.write(masked({ ...Frame.text("half"), fin: false }))
      yield* settle
      yield* Effect.fork(connection.close())
      yield* settle
      yield* peer.write(
        masked(
          Frame.make(Frame.Opcode.Continuation, new Uint8Array(1)),
          Frame.text("after"),
          Frame.ping(),
          Frame.close(normal)
        )
      )
      yield* peer.end
      yield* connection.closed
      assert.strictEqual(yield* connection.receive, "before")
      assert.strictEqual((yield* Effect.flip(connection.receive))._tag, "ConnectionClosed")
    })
  )

  it.scoped("a violation behind our Close ends it at once", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* Effect.fork(connection.close())
      yield* settle
      yield* peer.write(Uint8Array.from([0xff, 0xff]))
      yield* peer.end
      const { message } = yield* connection.closed
      assert.strictEqual(
        message,
        "we closed with 1000; peer sent no close frame; the peer broke the protocol: reserved opcode 15"
      )
    })
  )
})

describe("L4: the peer's Close", () => {
  it.scoped.each([
    [{ code: 1000, reason: "done" }, "880203e8", true],
    [{ code: 1001, reason: "" }, "880203e9", true],
    [{ code: 1005, reason: "" }, "8800", true],
    [{ code: 1011, reason: "" }, "880203f3", false],
    [{ code: 4000, reason: "" }, "88020fa0", false]
  ] as const)("%o is answered with the same code", ([close, expected, isClean]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* peer.write(masked(Frame.close(close)))
      assert.strictEqual(hex(yield* peer.read), expected)
      yield* peer.end
      const closed = yield* connection.closed
      assert.deepStrictEqual(closed.closure.received, close)
      assert.strictEqual(ConnectionClosed.isClean(closed), isClean)
      assert.strictEqual(ConnectionClosed.code(closed), close.code)
    })
  )

  it.scoped("the server ends the stream first", () =>
    Effect.gen(function* () {
      const server = yield* open("server")
      yield* server.peer.write(masked(Frame.close(normal)))
      assert.strictEqual(hex(yield* server.peer.read), "880203e8")
      assert.strictEqual(hex(yield* server.peer.read), "", "the end of the server's stream")
      const client = yield* open("client")
      yield* client.peer.write(plain(Frame.close(normal)))
      assert.strictEqual((yield* client.peer.read).length, 8)
      const end = yield* Effect.fork(client.peer.read)
      yield* settle
      assert.isNull(end.unsafePoll())
      assert.strictEqual((yield* client.connection.state)._tag, "Draining")
      yield* client.peer.end
      assert.strictEqual(hex(yield* Fiber.join(end)), "")
      yield* client.connection.closed
    })
  )
})

describe("L4: closeTimeout", () => {
  it.scoped.each(roles)("cuts a peer that never answers a %s's Close, after 10 seconds and not before", (role) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open(role)
      const closing = yield* Effect.fork(connection.close({ code: 4000, reason: "done" }))
      yield* pass("9999 millis")
      assert.isNull(closing.unsafePoll())
      yield* pass("1 millis")
      const closed = yield* Fiber.join(closing)
      assert.strictEqual(
        closed.message,
        "we closed with 4000 done; peer sent no close frame; the closing handshake took longer than closeTimeout"
      )
      assert.strictEqual(closed.closure.cause?._tag, "CloseTimeout")
      yield* peer.end
      yield* peer.closed
    })
  )

  it.scoped.each(roles)("is the time for all of a %s's closing handshake, the end of the stream included", (role) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open(role, { closeTimeout: "3 seconds" })
      const closing = yield* Effect.fork(connection.close())
      yield* pass("2 seconds")
      yield* peer.write(from(role, Frame.close(normal)))
      yield* pass("999 millis")
      assert.strictEqual((yield* connection.state)._tag, "Draining")
      assert.isNull(closing.unsafePoll())
      yield* pass("1 millis")
      // All was said: that the peer did not end its stream does not make it unclean.
      assert.isTrue(ConnectionClosed.isClean(yield* Fiber.join(closing)))
    })
  )

  it.scoped.each(roles)("holds from the peer's Close too, for a %s", (role) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open(role)
      yield* peer.write(from(role, Frame.close(normal)))
      yield* pass("9999 millis")
      assert.strictEqual((yield* connection.state)._tag, "Draining")
      yield* pass("1 millis")
      assert.strictEqual((yield* connection.state)._tag, "Closed")
    })
  )

  it.scoped("infinite, it waits for ever", () =>
    Effect.gen(function* () {
      const { connection } = yield* open("server", { closeTimeout: Duration.infinity })
      yield* Effect.fork(connection.close())
      yield* pass("10 days")
      assert.strictEqual((yield* connection.state)._tag, "Closing")
    })
  )

  it.scoped("0, it waits for nothing", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server", { closeTimeout: 0 })
      assert.strictEqual((yield* connection.close()).closure.cause?._tag, "CloseTimeout")
      assert.strictEqual(hex(yield* peer.read), "880203e8")
    })
  )
})

describe("L7: what is left of a connection", () => {
  it.scoped("state follows the closing handshake, and every failure is the same value", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const states: Array<string> = []
      const note = Effect.flatMap(settle, () => Effect.map(connection.state, ({ _tag }) => states.push(_tag)))
      yield* note
      yield* Effect.fork(connection.close())
      yield* note
      yield* peer.write(masked(Frame.close(normal)))
      yield* note
      yield* peer.end
      yield* note
      assert.deepStrictEqual(states, ["Open", "Closing", "Draining", "Closed"])
      const closed = yield* connection.closed
      assert.strictEqual(yield* Effect.flip(connection.receive), closed)
      assert.strictEqual(yield* Effect.flip(connection.send("a")), closed)
      assert.strictEqual(yield* Effect.flip(connection.ping), closed)
    })
  )

  it.scoped("closed may be waited for by many, and given up", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const first = yield* Effect.fork(connection.closed)
      const second = yield* Effect.fork(connection.closed)
      yield* settle
      yield* Fiber.interrupt(first)
      yield* peer.end
      assert.strictEqual(yield* Fiber.join(second), yield* connection.closed)
    })
  )
})
