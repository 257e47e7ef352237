import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, Ref, Scope, TestClock } from "effect"
import { Connection, ConnectionClosed, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { settle } from "./support.js"

/** The loop of a server's handler, which deals with what needs no fiber inside the transport's callback. */

type Loop = Effect.Effect<void, unknown>

const numbers = (length: number) => Array.from({ length }, (_, i) => String(i))

const receiveAll = (connection: Connection.Connection, count: number) =>
  Effect.gen(function* () {
    const all: Array<Connection.Message> = []
    while (all.length < count) all.push(...(yield* connection.receiveAll))
    return all
  })

/** Where it is all that a handler does, it begins without a fiber; behind something else it has one from the start. */
const forms = [
  ["that is all that it does", (loop: () => Loop) => loop()],
  ["behind something else", (loop: () => Loop) => Effect.zipRight(Effect.void, Effect.suspend(loop))]
] as const

describe.each(forms)("D2: a handler's runForEach %s", (_, formed) => {
  const effects: ReadonlyArray<
    readonly [
      string,
      (connection: Connection.Connection, message: Connection.Message) => Effect.Effect<unknown, unknown>
    ]
  > = [
    ["sends", ({ send }, message) => send(message)],
    ["sends behind a yield", ({ send }, message) => Effect.zipRight(Effect.yieldNow(), send(message))],
    [
      "sends one message at once and another one later",
      ({ send }, message) =>
        Number(message) % 3 === 0 ? Effect.zipRight(Effect.yieldNow(), send(message)) : send(message)
    ],
    ["sends a chosen type", ({ send }, message) => send(message, { type: "text" })],
    ["sends all of one", ({ sendAll }, message) => sendAll([message])]
  ]
  it.scoped.each(effects)("that %s answers in order", ([, effect]) =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect((connection) =>
        formed(() => Connection.runForEach(connection, (message) => effect(connection, message)))
      )
      for (const split of [Number.POSITIVE_INFINITY, 7]) {
        yield* Effect.flatMap(Testing.wireOf(connection), (wire) => wire.split(split))
        yield* connection.sendAll(numbers(500))
        assert.deepStrictEqual(yield* receiveAll(connection, 500), numbers(500))
      }
    })
  )

  it.scoped("answers a chunk of messages in one write", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect((connection) =>
        formed(() => Connection.runForEach(connection, connection.send))
      )
      yield* connection.sendAll(numbers(100))
      const first = yield* connection.receiveAll
      assert.strictEqual(first.length, 100)
    })
  )

  it.scoped("waits with what it sends while the peer does not read", () =>
    Effect.gen(function* () {
      const handled = yield* Ref.make(0)
      const connection = yield* Testing.connect(
        (connection) =>
          formed(() =>
            Connection.runForEach(connection, () => {
              Effect.runSync(Ref.update(handled, (n) => n + 1))
              return connection.send(new Uint8Array(10_000))
            })
          ),
        { server: { sendHighWaterMark: 50_000 }, client: { receiveHighWaterMark: 10_000 } }
      )
      yield* connection.sendAll(numbers(100))
      yield* settle
      // The marks, what a wire holds, and what the client has read: a third of all.
      assert.isBelow(yield* Ref.get(handled), 60)
      assert.strictEqual((yield* receiveAll(connection, 100)).length, 100)
    })
  )

  const ends: ReadonlyArray<readonly [string, () => Effect.Effect<unknown, unknown>]> = [
    ["fails", () => Effect.fail("on purpose")],
    ["fails later", () => Effect.zipRight(Effect.yieldNow(), Effect.fail("on purpose"))],
    ["dies", () => Effect.die("on purpose")],
    [
      "throws",
      () => {
        throw new Error("on purpose")
      }
    ]
  ]
  it.scoped.each(ends)("that %s at a message has answered those before it, says so and ends with 1011", ([, end]) =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const logger = Logger.make(({ cause, message }) => void logged.push(`${message} ${Cause.pretty(cause)}`))
      const connection = yield* Testing.connect((connection) =>
        formed(() =>
          Connection.runForEach(connection, (message) => (message === "5" ? end() : connection.send(message)))
        )
      ).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      yield* connection.sendAll(numbers(10))
      assert.deepStrictEqual(yield* receiveAll(connection, 5), numbers(5))
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1011)
      assert.isTrue(logged.some((line) => line.startsWith("a connection's handler failed") && /on purpose/.test(line)))
    })
  )

  it.scoped("is interrupted at a message whose effect waits, and takes no other", () =>
    Effect.gen(function* () {
      const handled = yield* Ref.make<ReadonlyArray<Connection.Message>>([])
      const connection = yield* Testing.connect((connection) =>
        Effect.gen(function* () {
          const loop = yield* Effect.fork(
            Connection.runForEach(connection, (message) => {
              Effect.runSync(Ref.update(handled, (all) => [...all, message]))
              return message === "2" ? Effect.never : connection.send(message)
            })
          )
          yield* Effect.sleep("1 second")
          yield* Fiber.interrupt(loop)
          yield* connection.send(`left: ${(yield* connection.receiveAll).join()}`)
        })
      )
      yield* connection.sendAll(numbers(5))
      assert.deepStrictEqual(yield* receiveAll(connection, 2), ["0", "1"])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* connection.receive, "left: 3,4")
      assert.deepStrictEqual(yield* Ref.get(handled), ["0", "1", "2"])
    })
  )

  it.scoped("completes when the peer closes behind its messages", () =>
    Effect.gen(function* () {
      const seen = yield* Ref.make("")
      const connection = yield* Testing.connect((connection) =>
        Effect.zipRight(Connection.runForEach(connection, connection.send), Ref.set(seen, "completed"))
      )
      yield* connection.sendAll(numbers(10))
      yield* connection.close()
      yield* settle
      assert.strictEqual(yield* Ref.get(seen), "completed")
    })
  )
})

describe("L5: a handler", () => {
  it.scoped("that stops its own server in its first step is interrupted by that", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const interrupted = yield* Deferred.make<void>()
      const handler = () =>
        Effect.suspend(() => {
          Effect.runFork(Scope.close(scope, Exit.void))
          return Effect.never
        }).pipe(Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined)))
      const network = Layer.succeedContext(yield* Layer.build(Testing.layer))
      yield* Layer.buildWithScope(Layer.provide(WebSocketServer.layer(handler), network), scope)
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, network))
      const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory"), client)
      yield* Deferred.await(interrupted)
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
    })
  )
})
