import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option, Stream, TestClock } from "effect"
import type { Connection } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, plain, readBytes, settle } from "./support.js"

/** A server's connection with the same ping payloads in every run: 1, 2, 3 … */
const keyed = (options?: Connection.ConnectionOptions) => Effect.provide(open("server", options), Testing.layerKeys)

const payload = (number: number) => Uint8Array.from([0, 0, 0, number])
const sentPings = (...numbers: ReadonlyArray<number>) =>
  hex(plain(...numbers.map((number) => Frame.ping(payload(number)))))
const dead = plain(Frame.close({ code: 1011, reason: "keepalive ping timeout" }))

/** The latest measured round-trip time in milliseconds, if there is one. */
const latencyOf = ({ latency }: Connection.Connection) =>
  Effect.map(latency, (measured) => Option.getOrUndefined(Option.map(measured, Duration.toMillis)))

/** Lets time pass, and then whatever it causes. */
const pass = (duration: Duration.DurationInput) =>
  Effect.zipRight(settle, Effect.zipRight(TestClock.adjust(duration), settle))

describe("L3: keepalive", () => {
  it.scoped("pings after exactly pingInterval of silence, 20 seconds, and not before", () =>
    Effect.gen(function* () {
      const { wire } = yield* keyed()
      yield* pass("19999 millis")
      assert.strictEqual(hex(yield* wire.sentByServer), "")
      yield* pass("1 millis")
      assert.strictEqual(hex(yield* wire.sentByServer), sentPings(1))
    })
  )

  it.scoped(
    "ends the connection with 1011 when pingTimeout, 20 seconds, has passed without a byte, and not before",
    () =>
      Effect.gen(function* () {
        const { connection, peer, wire } = yield* keyed()
        yield* pass("39999 millis")
        assert.strictEqual((yield* connection.state)._tag, "Open")
        yield* pass("1 millis")
        const { closure, message } = yield* connection.closed
        assert.deepStrictEqual(closure, {
          sent: { code: 1011, reason: "keepalive ping timeout" },
          received: undefined,
          initiator: "local",
          cause: { _tag: "KeepaliveTimeout" }
        })
        assert.strictEqual(
          message,
          "we closed with 1011 keepalive ping timeout; peer sent no close frame; the peer did not answer a ping in time"
        )
        assert.strictEqual(hex(yield* wire.sentByServer), sentPings(1) + hex(dead))
        yield* peer.end
        yield* peer.closed
      })
  )

  it.scoped("any byte shows that the peer is there, be it half a frame", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* keyed()
      yield* pass("39999 millis")
      yield* peer.write(masked(Frame.text("a")).subarray(0, 1))
      yield* pass("19999 millis")
      assert.strictEqual(hex(yield* wire.sentByServer), sentPings(1))
      yield* pass("1 millis")
      assert.strictEqual(hex(yield* wire.sentByServer), sentPings(1, 2))
      assert.strictEqual((yield* connection.state)._tag, "Open")
    })
  )

  it.scoped("pings again pingInterval after the answer, also where pingTimeout is longer", () =>
    Effect.gen(function* () {
      const { peer, wire } = yield* keyed({ pingInterval: "5 seconds", pingTimeout: "1 minutes" })
      yield* pass("5 seconds")
      yield* peer.write(masked(Frame.pong(payload(1))))
      yield* pass("4999 millis")
      assert.strictEqual(hex(yield* wire.sentByServer), sentPings(1))
      yield* pass("1 millis")
      assert.strictEqual(hex(yield* wire.sentByServer), sentPings(1, 2))
    })
  )

  it.scoped("keeps a connection of two healthy ends open for as long as they like", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect((connection) => connection.receive)
      const wire = yield* Testing.wireOf(connection)
      for (let i = 0; i < 10; i++) yield* pass("20 seconds")
      assert.strictEqual((yield* connection.state)._tag, "Open")
      assert.isAtLeast((yield* wire.sentByServer).length, 10 * 6)
      assert.strictEqual(yield* latencyOf(connection), 0)
    })
  )

  it.scoped("a deadline runs only while we read, and anew when reading starts again", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* keyed({ receiveHighWaterMark: 1, pingTimeout: "1 seconds" })
      yield* pass("20 seconds")
      yield* peer.write(masked(Frame.text("a")))
      yield* pass("10 minutes")
      assert.strictEqual(hex(yield* wire.sentByServer), sentPings(1))
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* connection.receive
      yield* pass("19999 millis")
      assert.strictEqual(hex(yield* wire.sentByServer), sentPings(1))
      yield* pass("1 millis")
      assert.strictEqual(hex(yield* wire.sentByServer), sentPings(1, 2))
      yield* pass("999 millis")
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* pass("1 millis")
      assert.strictEqual((yield* connection.closed).closure.cause?._tag, "KeepaliveTimeout")
    })
  )

  it.scoped("with pingInterval infinite there are no pings, and silence is allowed", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* keyed({ pingInterval: Duration.infinity })
      yield* pass("10 days")
      assert.strictEqual(hex(yield* wire.sentByServer), "")
      assert.strictEqual((yield* connection.state)._tag, "Open")
    })
  )

  it.scoped("with pingTimeout infinite there are pings, and no answer is needed", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* keyed({ pingTimeout: Duration.infinity })
      for (let i = 0; i < 3; i++) yield* pass("20 seconds")
      assert.strictEqual(hex(yield* wire.sentByServer), sentPings(1, 2, 3))
      assert.strictEqual((yield* connection.state)._tag, "Open")
    })
  )

  it.scoped("says nothing more once the closing handshake has begun", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* keyed({ closeTimeout: "1 hours" })
      yield* Effect.fork(connection.close())
      yield* pass("30 minutes")
      assert.strictEqual(hex(yield* wire.sentByServer), hex(plain(Frame.close({ code: 1000, reason: "" }))))
    })
  )
})

describe("D13: messageTimeout", () => {
  const reason = "a message was not complete within messageTimeout (60000 ms)"

  it.scoped("ends the connection with 1008 when a message has taken 60 seconds, and not before", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed()
      const frame = masked(Frame.binary(new Uint8Array(100)))
      for (let i = 0; i < 6; i++) {
        yield* peer.write(frame.subarray(i, i + 1))
        yield* pass(i < 5 ? "10 seconds" : "9999 millis")
      }
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* pass("1 millis")
      assert.strictEqual(hex(yield* readBytes(peer, 65)), hex(plain(Frame.close({ code: 1008, reason }))))
      yield* peer.end
      assert.strictEqual(
        (yield* connection.closed).message,
        `we closed with 1008 ${reason}; peer sent no close frame; the peer broke the protocol: ${reason}`
      )
    })
  )

  it.scoped("counts from the first byte of a fragmented message, whatever its fragments do", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed()
      yield* peer.write(masked({ ...Frame.text("a"), fin: false }))
      for (let i = 0; i < 5; i++) {
        yield* pass("10 seconds")
        yield* peer.write(masked({ ...Frame.make(Frame.Opcode.Continuation, new Uint8Array(1)), fin: false }))
      }
      yield* pass("9999 millis")
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* pass("1 millis")
      assert.strictEqual((yield* connection.state)._tag, "Draining")
    })
  )

  it.scoped("a series of messages may go on for ever, with each chunk ending inside one of them", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed()
      const frame = masked(Frame.text("abc"))
      yield* peer.write(frame.subarray(0, 5))
      for (let i = 0; i < 20; i++) {
        yield* pass("15 seconds")
        yield* peer.write(Uint8Array.from([...frame.subarray(5), ...frame.subarray(0, 5)]))
      }
      yield* settle
      assert.strictEqual((yield* connection.state)._tag, "Open")
      assert.strictEqual((yield* connection.receiveAll).length, 20)
      yield* peer.write(frame.subarray(5))
    })
  )

  it.scoped("a message that is received in fragments may take as long as its pieces keep coming", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed()
      const { Continuation } = Frame.Opcode
      yield* Effect.fork(Stream.runDrain(connection.receiveFragments))
      yield* settle
      yield* peer.write(masked({ ...Frame.text("a"), fin: false }))
      for (let i = 0; i < 10; i++) {
        yield* pass("15 seconds")
        yield* peer.write(masked({ ...Frame.make(Continuation, Uint8Array.from([97])), fin: false }))
      }
      yield* settle
      assert.strictEqual((yield* connection.state)._tag, "Open")
    })
  )

  it.scoped("does not run while nobody reads", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed({ receiveHighWaterMark: 1, pingInterval: Duration.infinity })
      yield* peer.write(Uint8Array.from([...masked(Frame.text("a")), ...masked(Frame.text("b")).subarray(0, 3)]))
      yield* pass("10 minutes")
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* connection.receive
      yield* pass("59999 millis")
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* pass("1 millis")
      assert.strictEqual((yield* connection.state)._tag, "Draining")
    })
  )

  it.scoped("infinite, it allows a message to take for ever", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed({ messageTimeout: Duration.infinity, pingInterval: Duration.infinity })
      yield* peer.write(masked(Frame.text("a")).subarray(0, 3))
      yield* pass("10 days")
      assert.strictEqual((yield* connection.state)._tag, "Open")
    })
  )
})
