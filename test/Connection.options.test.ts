import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Option, Stream } from "effect"
import { Connection, type Transport } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { open, settle } from "./support.js"

/** A stream that is never read: what is wrong is found before anything is said. */
const untouched: Transport.ByteStream = {
  attach: () => assert.fail("attached"),
  write: () => assert.fail("written to"),
  pause: () => {},
  resume: () => {},
  bufferedAmount: () => 0,
  end: () => {},
  destroy: () => {},
  remoteAddress: () => undefined,
  localAddress: () => undefined
}

const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    assert(Exit.isFailure(exit) && Cause.isDie(exit.cause))
    return Cause.pretty(exit.cause)
  })

describe("D4, D5, D13, L1, L3, L4: options", () => {
  const durations = ["closeTimeout", "pingInterval", "pingTimeout", "messageTimeout"] as const
  const counts = [
    "maxMessageSize",
    "maxFrameSize",
    "maxFragments",
    "maxPingsPerSecond",
    "receiveHighWaterMark",
    "sendHighWaterMark"
  ] as const

  const nonsense: ReadonlyArray<readonly [string, Connection.ConnectionOptions, string]> = [
    ...durations.flatMap((name) =>
      (["soon", -5, Number.NaN] as ReadonlyArray<Duration.DurationInput>).map(
        (value) => [name, { [name]: value }, `${name} is ${String(value)}: give a duration as "10 seconds"`] as const
      )
    ),
    ...(["pingInterval", "pingTimeout", "messageTimeout"] as const).map(
      (name) =>
        [name, { [name]: 0 }, `${name} is 0 ms: give a duration above 0, or Duration.infinity to turn it off`] as const
    ),
    ...counts.flatMap((name) =>
      [0, -1, Number.NaN].map(
        (value) =>
          [name, { [name]: value }, `${name} is ${value}: give a number above 0, or Infinity for no limit`] as const
      )
    )
  ]
  it.scoped.each(nonsense)("nonsense as %s is a defect with a sentence: %o", ([, options, sentence]) =>
    Effect.gen(function* () {
      assert.include(yield* defectOf(Connection.make("server", untouched, options)), sentence)
    })
  )

  it.scoped("a server and a client say the same", () =>
    Effect.gen(function* () {
      const handler = () => Effect.void
      const sentence = "pingInterval is 0 ms"
      assert.include(yield* defectOf(Testing.connect(handler, { server: { pingInterval: 0 } })), sentence)
      assert.include(yield* defectOf(Testing.connect(handler, { client: { pingInterval: 0 } })), sentence)
    })
  )

  it.scoped("undefined is the default, infinity is no limit", () =>
    Effect.gen(function* () {
      const names = [...durations, ...counts]
      const infinity = (name: string) =>
        (durations as ReadonlyArray<string>).includes(name) ? Duration.infinity : Number.POSITIVE_INFINITY
      yield* open("server", Object.fromEntries(names.map((name) => [name, undefined])))
      yield* open("server", Object.fromEntries(names.map((name) => [name, infinity(name)])))
    })
  )
})

describe("L7: a connection", () => {
  it.scoped("has an id of its own, its role and its addresses, and is known from other values", () =>
    Effect.gen(function* () {
      const one = yield* open("server")
      const two = yield* open("client")
      assert.notStrictEqual(one.connection.id, two.connection.id)
      assert.strictEqual(one.connection.role, "server")
      assert.strictEqual(two.connection.role, "client")
      assert.strictEqual(Option.getOrUndefined(one.connection.localAddress), one.stream.localAddress())
      assert.strictEqual(Option.getOrUndefined(one.connection.remoteAddress), one.stream.remoteAddress())
      assert.isTrue(Connection.isConnection(one.connection))
      for (const other of [undefined, null, "connection", {}, one.stream]) {
        assert.isFalse(Connection.isConnection(other))
      }
    })
  )

  it.scoped("over a stream of its own knows no handshake", () =>
    Effect.gen(function* () {
      const { connection } = yield* open("server")
      assert.strictEqual(connection.handshake.response.status, 101)
      assert.isTrue(Option.isNone(connection.handshake.subprotocol))
      assert.deepStrictEqual(connection.handshake.extensions, [])
    })
  )

  it.scoped("is closed with 1000 when its scope is left", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect((connection) => Stream.runDrain(connection.messages))
      const { stream, peer } = yield* Testing.makePair
      const scoped = yield* Effect.fork(Effect.scoped(Connection.make("server", stream)))
      yield* settle
      assert.deepStrictEqual(yield* peer.read, Uint8Array.from([0x88, 2, 3, 0xe8]))
      yield* peer.end
      yield* scoped
      yield* connection.close()
    })
  )
})
