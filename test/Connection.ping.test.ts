import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option, TestClock } from "effect"
import type { Connection } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, plain, readBytes, settle } from "./support.js"

/** A server's connection with the same ping payloads in every run: 1, 2, 3 … */
const keyed = (options?: Connection.ConnectionOptions) => Effect.provide(open("server", options), Testing.layerKeys)

const payload = (number: number) => Uint8Array.from([0, 0, 0, number])

/** The latest measured round-trip time in milliseconds, if there is one. */
const latencyOf = ({ latency }: Connection.Connection) =>
  Effect.map(latency, (measured) => Option.getOrUndefined(Option.map(measured, Duration.toMillis)))

/** Lets time pass, and then whatever it causes. */
const pass = (duration: Duration.DurationInput) =>
  Effect.zipRight(settle, Effect.zipRight(TestClock.adjust(duration), settle))

describe("L1, L2: ping and pong", () => {
  it.scoped("ping gives the round-trip time, to the millisecond", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect((connection) => connection.receive)
      assert.isUndefined(yield* latencyOf(connection))
      yield* Effect.flatMap(Testing.wireOf(connection), ({ delay }) => delay("123 millis"))
      const ping = yield* Effect.fork(connection.ping)
      yield* pass("123 millis")
      yield* pass("122 millis")
      assert.isNull(ping.unsafePoll())
      yield* pass("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(ping), Duration.millis(246))
      assert.strictEqual(yield* latencyOf(connection), 246)
      yield* Effect.flatMap(Testing.wireOf(connection), ({ delay }) => delay(0))
    })
  )

  it.scoped("a ping has 4 bytes that nobody can foresee", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const sent: Array<string> = []
      for (let i = 0; i < 100; i++) {
        yield* Effect.fork(connection.ping)
        sent.push(hex(yield* peer.read))
      }
      for (const ping of sent) assert.match(ping, /^8904[0-9a-f]{8}$/)
      // That two of a hundred are the same happens once in a million runs.
      assert.strictEqual(new Set(sent).size, 100)
      const payloads = sent.map((ping) => Number.parseInt(ping.slice(4), 16))
      const ascending = payloads.filter((payload, i) => payload > (payloads[i - 1] ?? 0))
      assert.isBelow(ascending.length, 90)
    })
  )

  it.scoped("a pong of another payload means nothing", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed()
      const ping = yield* Effect.fork(connection.ping)
      yield* settle
      yield* peer.write(
        masked(Frame.pong(), Frame.pong(payload(2)), Frame.pong(Uint8Array.from([0, 0, 0, 1, 0])), Frame.text("a"))
      )
      assert.strictEqual(yield* connection.receive, "a")
      assert.isNull(ping.unsafePoll())
      assert.isUndefined(yield* latencyOf(connection))
      yield* peer.write(masked(Frame.pong(payload(1))))
      yield* Fiber.join(ping)
    })
  )

  it.scoped("a pong answers the pings before its own too", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed()
      const first = yield* Effect.fork(connection.ping)
      yield* pass("1 seconds")
      const second = yield* Effect.fork(connection.ping)
      yield* pass("1 seconds")
      const third = yield* Effect.fork(connection.ping)
      yield* pass("1 seconds")
      yield* peer.write(masked(Frame.pong(payload(2))))
      assert.deepStrictEqual(yield* Fiber.join(first), Duration.seconds(3))
      assert.deepStrictEqual(yield* Fiber.join(second), Duration.seconds(2))
      assert.strictEqual(yield* latencyOf(connection), 2_000)
      assert.isNull(third.unsafePoll())
    })
  )

  it.scoped("ping fails with ConnectionClosed when the connection ends before its pong", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* keyed()
      const ping = yield* Effect.fork(connection.ping)
      yield* settle
      yield* wire.cut
      assert.strictEqual((yield* Effect.flip(Fiber.join(ping)))._tag, "ConnectionClosed")
    })
  )

  it.scoped("keepalive's pings are measured too", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed()
      yield* pass("20 seconds")
      yield* pass("5 seconds")
      yield* peer.write(masked(Frame.pong(payload(1))))
      yield* settle
      assert.strictEqual(yield* latencyOf(connection), 5_000)
    })
  )

  it.scoped("a ping that was given up leaves nothing behind", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed()
      for (let i = 0; i < 3; i++) {
        const ping = yield* Effect.fork(connection.ping)
        yield* settle
        yield* Fiber.interrupt(ping)
      }
      yield* peer.write(masked(Frame.pong(payload(3))))
      yield* settle
      assert.isUndefined(yield* latencyOf(connection))
    })
  )

  it.scoped("pongs answer pings with their payload, in order", () =>
    Effect.gen(function* () {
      const { peer } = yield* keyed()
      yield* peer.write(masked(Frame.ping(payload(1)), Frame.ping(), Frame.ping(new Uint8Array(125))))
      const expected = plain(Frame.pong(payload(1)), Frame.pong(), Frame.pong(new Uint8Array(125)))
      assert.strictEqual(hex(yield* readBytes(peer, expected.length)), hex(expected))
    })
  )

  it.scoped("a pong holds at most 125 bytes: more are a defect, and the connection stays open", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* keyed()
      const exit = yield* Effect.exit(connection.pong(new Uint8Array(126)))
      assert.include(String(Exit.isFailure(exit) && exit.cause), "a pong holds at most 125 bytes, not 126")
      yield* connection.pong(new Uint8Array(125))
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.pong(new Uint8Array(125)))))
    })
  )

  it.scoped("more than maxPingsPerSecond, 100, end the connection with 1008", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* keyed()
      const pings = (count: number) => masked(...Array.from({ length: count }, () => Frame.ping()))
      yield* peer.write(pings(100))
      yield* pass("1 seconds")
      yield* peer.write(pings(60))
      yield* settle
      yield* peer.write(pings(40))
      yield* pass("999 millis")
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* peer.write(pings(5))
      yield* settle
      const reason = "more than maxPingsPerSecond (100) pings in a second"
      assert.strictEqual(
        hex(yield* wire.sentByServer),
        "8a00".repeat(200) + hex(plain(Frame.close({ code: 1008, reason })))
      )
      yield* peer.end
      assert.deepStrictEqual((yield* connection.closed).closure.sent, { code: 1008, reason })
    })
  )
})
