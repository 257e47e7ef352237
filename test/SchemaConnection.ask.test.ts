import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Schema, Stream, TestClock } from "effect"
import { type Connection, Protocol, SchemaConnection } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../src/protocol/Frame.js"
import { masked, open, plain, settle } from "./support.js"

const Double = Schema.TaggedStruct("Double", { id: Schema.Number, n: Schema.Finite })
const Doubled = Schema.TaggedStruct("Doubled", { to: Schema.Number, n: Schema.Number })
const Refused = Schema.TaggedStruct("Refused", { to: Schema.Number })
const Tick = Schema.TaggedStruct("Tick", { n: Schema.Number })

const Doubling = Protocol.make({
  client: Schema.Union(Double, Tick),
  server: Schema.Union(Doubled, Refused, Tick),
  asks: { id: "id", answers: "to" }
})

const double = (n: number) => (id: number) => ({ _tag: "Double", id, n }) as const
const doubled = (to: number, n: number) => Frame.text(JSON.stringify({ _tag: "Doubled", to, n }))
const tick = (n: number) => Frame.text(JSON.stringify({ _tag: "Tick", n }))

/** A client's end, and the server that speaks bytes to it. */
const asking = <P extends SchemaConnection.InvalidPolicy = "fail">(options?: {
  readonly invalid?: P
  readonly maxAsks?: number
  readonly askTimeout?: string & `${number} seconds`
}) =>
  Effect.map(open("client"), (parts) => ({
    ...parts,
    client: SchemaConnection.client(parts.connection, Doubling, options)
  }))

/** Answers each request; with `n` ticks before each. */
const answering =
  (ticks = 0) =>
  (connection: Connection.Connection) => {
    const server = SchemaConnection.server(connection, Doubling)
    return SchemaConnection.runForEach(server, (message) => {
      if (message._tag === "Tick") return Effect.void
      const before = Array.from({ length: ticks }, (_, n) => ({ _tag: "Tick", n }) as const)
      return server.sendAll([...before, { _tag: "Doubled", to: message.id, n: 2 * message.n }])
    })
  }

const connected = (ticks = 0) =>
  Effect.map(Testing.connect(answering(ticks)), (connection) => SchemaConnection.client(connection, Doubling))

describe("D11: ask", () => {
  it.scoped("gives the answer to a request, though nobody receives", () =>
    Effect.gen(function* () {
      const client = yield* connected()
      assert.deepStrictEqual(yield* client.ask(double(21)), { _tag: "Doubled", to: 1, n: 42 })
      assert.deepStrictEqual(yield* client.ask(double(4)), { _tag: "Doubled", to: 2, n: 8 })
      assert.deepStrictEqual(yield* client.ask({ _tag: "Double", id: 7, n: 1 }), { _tag: "Doubled", to: 7, n: 2 })
    })
  )

  it.scoped("finds each answer's request, in whatever order they come", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* asking()
      const asked = yield* Effect.fork(
        Effect.all([client.ask(double(1)), client.ask(double(2)), client.ask(double(3))], { concurrency: "unbounded" })
      )
      yield* settle
      yield* peer.write(plain(doubled(3, 30), doubled(1, 10)))
      yield* settle
      yield* peer.write(plain(doubled(2, 20)))
      assert.deepStrictEqual(
        (yield* Fiber.join(asked)).map(({ to, ...rest }) => [to, "n" in rest ? rest.n : 0]),
        [
          [1, 10],
          [2, 20],
          [3, 30]
        ]
      )
    })
  )

  it.scoped("a thousand at once are all answered", () =>
    Effect.gen(function* () {
      const client = yield* connected()
      const all = Array.from({ length: 1_000 }, (_, n) => Effect.map(client.ask(double(n)), (answer) => [n, answer]))
      for (const [n, answer] of yield* Effect.all(all, { concurrency: "unbounded" })) {
        assert.strictEqual(typeof answer === "object" && "n" in answer && answer.n, 2 * Number(n))
      }
    })
  )

  it.scoped("leaves other messages for who receives, later", () =>
    Effect.gen(function* () {
      const client = yield* connected(3)
      yield* client.ask(double(1))
      const ticks = yield* Stream.runCollect(Stream.take(client.messages, 3))
      assert.deepStrictEqual(
        [...ticks],
        [0, 1, 2].map((n) => ({ _tag: "Tick", n }) as const)
      )
    })
  )

  it.scoped("leaves other messages for who receives, at the same time, whoever began", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* asking()
      const first = yield* Effect.fork(client.ask(double(1)))
      yield* settle
      const receiving = yield* Effect.fork(client.receive)
      yield* settle
      const second = yield* Effect.fork(client.ask(double(2)))
      yield* settle
      yield* peer.write(plain(tick(1)))
      assert.deepStrictEqual(yield* Fiber.join(receiving), { _tag: "Tick", n: 1 })
      yield* peer.write(plain(doubled(2, 4)))
      yield* Fiber.join(second)
      const again = yield* Effect.fork(client.receive)
      yield* settle
      yield* peer.write(plain(doubled(1, 2)))
      yield* Fiber.join(first)
      yield* peer.write(plain(tick(2)))
      assert.deepStrictEqual(yield* Fiber.join(again), { _tag: "Tick", n: 2 })
    })
  )

  it.scoped("works inside runForEach, whose other messages come behind", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* asking()
      const seen: Array<unknown> = []
      const running = yield* Effect.fork(
        SchemaConnection.runForEach(client, (message) =>
          message._tag === "Tick" && message.n === 1
            ? Effect.map(client.ask(double(1)), (answer) => seen.push(answer))
            : Effect.sync(() => seen.push(message))
        )
      )
      yield* peer.write(plain(tick(1), tick(2), doubled(1, 2), tick(3), Frame.close({ code: 1000, reason: "" })))
      yield* Fiber.join(running)
      assert.deepStrictEqual(seen, [
        { _tag: "Doubled", to: 1, n: 2 },
        { _tag: "Tick", n: 2 },
        { _tag: "Tick", n: 3 }
      ])
    })
  )

  it.scoped("is answered once: what answers it again is a message like any other", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* asking()
      const receiving = yield* Effect.fork(client.receive)
      yield* settle
      const asked = yield* Effect.fork(client.ask(double(1)))
      yield* settle
      yield* peer.write(plain(doubled(1, 2), doubled(1, 99)))
      assert.deepStrictEqual(yield* Fiber.join(asked), { _tag: "Doubled", to: 1, n: 2 })
      assert.deepStrictEqual(yield* Fiber.join(receiving), { _tag: "Doubled", to: 1, n: 99 })
    })
  )

  it.scoped("receiving by two fibers at a time is a ConcurrencyError, asking is not", () =>
    Effect.gen(function* () {
      const { client } = yield* asking()
      yield* Effect.fork(client.ask(double(1)))
      yield* settle
      yield* Effect.fork(client.receive)
      yield* settle
      assert.strictEqual((yield* Effect.flip(client.receive))._tag, "ConcurrencyError")
    })
  )

  it.scoped("both ends may ask each other at the same time", () =>
    Effect.gen(function* () {
      const Mutual = Protocol.make({
        client: Schema.Union(Double, Doubled),
        server: Schema.Union(Double, Doubled),
        asks: { id: "id", answers: "to" }
      })
      const serve = (connection: Connection.Connection) => {
        const server = SchemaConnection.server(connection, Mutual)
        return SchemaConnection.runForEach(server, (message) =>
          message._tag === "Doubled"
            ? Effect.void
            : Effect.flatMap(server.ask(double(message.n + 1)), ({ n }) =>
                server.send({ _tag: "Doubled", to: message.id, n })
              )
        )
      }
      const client = SchemaConnection.client(yield* Testing.connect(serve), Mutual)
      yield* Effect.fork(
        SchemaConnection.runForEach(client, (message) =>
          message._tag === "Doubled" ? Effect.void : client.send({ _tag: "Doubled", to: message.id, n: 2 * message.n })
        )
      )
      assert.strictEqual((yield* client.ask(double(1))).n, 4)
    })
  )

  it.scoped("fails with AskTimeout after 10 seconds, and what comes later is a message like any other", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* asking()
      const asked = yield* Effect.fork(client.ask(double(1)))
      yield* settle
      yield* TestClock.adjust("9999 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(asked)))
      yield* TestClock.adjust("1 millis")
      const error = yield* Effect.flip(Fiber.join(asked))
      assert.strictEqual(error._tag, "AskTimeout")
      assert.strictEqual(
        error.message,
        "the peer has not answered within 10s: ask again, or give it more time with `timeout`"
      )
      yield* peer.write(plain(doubled(1, 2)))
      assert.deepStrictEqual(yield* client.receive, { _tag: "Doubled", to: 1, n: 2 })
    })
  )

  it.scoped("takes as long as the connection says, or the question", () =>
    Effect.gen(function* () {
      const { client } = yield* asking({ askTimeout: "3 seconds" })
      const [usual, patient] = [
        yield* Effect.fork(client.ask(double(1))),
        yield* Effect.fork(client.ask(double(2), { timeout: "5 seconds" }))
      ]
      yield* settle
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Effect.flip(Fiber.join(usual)))._tag, "AskTimeout")
      yield* TestClock.adjust("1999 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(patient)))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Effect.flip(Fiber.join(patient)))._tag, "AskTimeout")
    })
  )

  it.scoped("interrupted, forgets the question, and another one reads on", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* asking()
      const first = yield* Effect.fork(client.ask(double(1)))
      yield* settle
      const second = yield* Effect.fork(client.ask(double(2)))
      yield* settle
      yield* Fiber.interrupt(first)
      yield* peer.write(plain(doubled(1, 2), doubled(2, 4)))
      assert.deepStrictEqual(yield* Fiber.join(second), { _tag: "Doubled", to: 2, n: 4 })
      assert.deepStrictEqual(yield* client.receive, { _tag: "Doubled", to: 1, n: 2 })
    })
  )

  it.scoped("fails with ConnectionClosed for all who wait, when the connection ends", () =>
    Effect.gen(function* () {
      const { client, wire } = yield* asking()
      const asked = yield* Effect.forEach([1, 2, 3], (n) => Effect.fork(client.ask(double(n))))
      yield* settle
      yield* wire.cut
      for (const fiber of asked) {
        assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "ConnectionClosed")
      }
      assert.strictEqual((yield* Effect.flip(client.ask(double(4))))._tag, "ConnectionClosed")
    })
  )

  it.scoped("more than maxAsks at a time wait for each other", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* asking({ maxAsks: 2 })
      const asked = yield* Effect.forEach([1, 2, 3], (n) => Effect.fork(client.ask(double(n))))
      yield* settle
      const bytes = yield* peer.read
      // Two masked frames of the same size: the third has not been sent.
      assert.strictEqual(bytes.length, 2 * (6 + JSON.stringify(double(1)(1)).length))
      yield* peer.write(plain(doubled(1, 2)))
      yield* Fiber.join(asked[0]!)
      yield* settle
      assert.strictEqual((yield* peer.read).length, bytes.length / 2)
      yield* peer.write(plain(doubled(2, 4), doubled(3, 6)))
      assert.deepStrictEqual(yield* Fiber.join(asked[2]!), { _tag: "Doubled", to: 3, n: 6 })
    })
  )

  it.scoped("an identifier that another one has who waits is a defect, and so is none", () =>
    Effect.gen(function* () {
      const { client } = yield* asking()
      yield* Effect.fork(client.ask({ _tag: "Double", id: 5, n: 1 }))
      yield* settle
      const same = yield* Effect.exit(client.ask({ _tag: "Double", id: 5, n: 2 }))
      assert.isTrue(Exit.isFailure(same) && same.cause._tag === "Die")
    })
  )

  it.scoped("what cannot be sent is an EncodeError, and its identifier is free again", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* asking()
      const error = yield* Effect.flip(client.ask({ _tag: "Double", id: 1, n: Number.NaN }))
      assert.strictEqual(error._tag, "EncodeError")
      const asked = yield* Effect.fork(client.ask({ _tag: "Double", id: 1, n: 1 }))
      yield* settle
      yield* peer.write(plain(doubled(1, 2)))
      assert.deepStrictEqual(yield* Fiber.join(asked), { _tag: "Doubled", to: 1, n: 2 })
    })
  )

  it.scoped(
    "a message that does not decode fails who asks and who receives, as does any other failure of reading",
    () =>
      Effect.gen(function* () {
        const { client, peer } = yield* asking()
        const asked = yield* Effect.forEach([1, 2], (n) => Effect.fork(client.ask(double(n))))
        yield* settle
        yield* peer.write(plain(Frame.text("?"), tick(1)))
        for (const fiber of asked) assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "DecodeError")
        assert.strictEqual((yield* Effect.flip(client.receive))._tag, "DecodeError")
        assert.deepStrictEqual(yield* client.receive, { _tag: "Tick", n: 1 })
      })
  )

  it.scoped("a message that does not decode is passed over where that is the policy", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* asking({ invalid: "skip" })
      const asked = yield* Effect.fork(client.ask(double(1)))
      yield* settle
      yield* peer.write(plain(Frame.text("?"), doubled(1, 2)))
      assert.deepStrictEqual(yield* Fiber.join(asked), { _tag: "Doubled", to: 1, n: 2 })
    })
  )

  it.scoped("a hook may ask, since the message at fault has been taken", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("client")
      const answers: Array<unknown> = []
      const client: SchemaConnection.SchemaConnection<
        typeof Doubling.client.Type,
        typeof Doubling.server.Type,
        unknown,
        never,
        typeof Double.Type,
        typeof Doubled.Type | typeof Refused.Type
      > = SchemaConnection.client(connection, Doubling, {
        invalid: "skip",
        onInvalid: () => Effect.map(client.ask(double(1)), (answer) => answers.push(answer))
      })
      yield* peer.write(plain(Frame.text("?"), tick(1), doubled(1, 2)))
      assert.deepStrictEqual(yield* client.receive, { _tag: "Tick", n: 1 })
      assert.deepStrictEqual(answers, [{ _tag: "Doubled", to: 1, n: 2 }])
    })
  )

  it.scoped("reads no further than the mark on the way to an answer, and on once that is received", () =>
    Effect.gen(function* () {
      const { client, peer } = yield* asking()
      const long = Frame.text(JSON.stringify({ _tag: "Tick", n: 1, rest: "x".repeat(60_000) }))
      const asked = yield* Effect.fork(client.ask(double(1), { timeout: "1 hour" }))
      yield* settle
      yield* Effect.fork(peer.write(plain(long, long, long, long, long, long, doubled(1, 2))))
      yield* settle
      assert.isTrue(Option.isNone(yield* Fiber.poll(asked)))
      assert.strictEqual((yield* client.receive)._tag, "Tick")
      yield* settle
      assert.isTrue(Option.isNone(yield* Fiber.poll(asked)))
      assert.strictEqual((yield* client.receive)._tag, "Tick")
      assert.deepStrictEqual(yield* Fiber.join(asked), { _tag: "Doubled", to: 1, n: 2 })
      for (let i = 0; i < 4; i++) assert.strictEqual((yield* client.receive)._tag, "Tick")
    })
  )

  it.scoped("sees the end also while it reads no further", () =>
    Effect.gen(function* () {
      const { client, peer, wire } = yield* asking()
      const long = Frame.text(JSON.stringify({ _tag: "Tick", n: 1, rest: "x".repeat(60_000) }))
      const asked = yield* Effect.fork(client.ask(double(1), { timeout: "1 hour" }))
      yield* settle
      yield* Effect.fork(peer.write(plain(long, long, long, long, long)))
      yield* settle
      yield* wire.cut
      assert.strictEqual((yield* Effect.flip(Fiber.join(asked)))._tag, "ConnectionClosed")
    })
  )

  it.scoped("a protocol without `asks` has none", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const server = SchemaConnection.server(connection, Protocol.make({ client: Double, server: Doubled }))
      // @ts-expect-error it asks for a request that there is not
      const exit = yield* Effect.exit(server.ask({ _tag: "Doubled", to: 1, n: 2 }))
      assert.isTrue(Exit.isFailure(exit) && exit.cause._tag === "Die")
      yield* peer.write(masked(Frame.close({ code: 1000, reason: "" })))
    })
  )
})

describe("D11: what waits", () => {
  /** The same, so many steps later, where a fiber yields each hundred. */
  const later = <A, E, R>(steps: number, effect: Effect.Effect<A, E, R>) => {
    let padded = effect
    for (let i = 0; i < steps; i++) {
      const inner = padded
      padded = Effect.suspend(() => inner)
    }
    return Effect.withMaxOpsBeforeYield(100)(padded)
  }

  it.scoped("leaves nothing behind, in whatever step it is interrupted", () =>
    Effect.gen(function* () {
      const stuck: Array<number> = []
      for (let steps = 60; steps < 100; steps++) {
        const { client, peer } = yield* asking()
        const first = yield* Effect.fork(later(steps, client.receive))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(first)
        const again = yield* Effect.fork(Effect.exit(client.receive))
        yield* settle
        yield* peer.write(plain(tick(1)))
        yield* settle
        const polled = again.unsafePoll()
        const isReceived = polled !== null && Exit.isSuccess(polled) && Exit.isSuccess(polled.value)
        if (!isReceived) stuck.push(steps)
        yield* Fiber.interrupt(again)
      }
      assert.deepStrictEqual(stuck, [])
    })
  )
})
