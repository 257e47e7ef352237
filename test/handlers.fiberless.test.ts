import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, FiberRef, Layer, Logger, Ref, Runtime, Scope, Supervisor, TestClock } from "effect"
import { Connection, ConnectionClosed, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { settle } from "./support.js"

/** A handler that is `runForEach` and nothing else: it has no fiber before something has to be waited for. */

const quiet = Logger.remove(Logger.defaultLogger)

const receiveAll = (connection: Connection.Connection, count: number) =>
  Effect.gen(function* () {
    const all: Array<Connection.Message> = []
    while (all.length < count) all.push(...(yield* connection.receiveAll))
    return all
  })

type Handle<R = never> = (
  connection: Connection.Connection,
  message: Connection.Message
) => Effect.Effect<unknown, unknown, R>

/** The fibers that handlers have while a program runs. */
const supervised = <A, E, R>(program: (fibers: Effect.Effect<number>) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(Supervisor.track, (supervisor) =>
    program(Effect.map(supervisor.value, (all) => all.length)).pipe(Effect.supervised(supervisor))
  )

/** One that needs no fiber. */
const forEach =
  <R>(handle: Handle<R>) =>
  (connection: Connection.Connection) =>
    Connection.runForEach(connection, (message) => handle(connection, message))

describe("D2: a handler that is runForEach", () => {
  it.scoped("has no fiber before something is waited for, where other handlers have one", () =>
    supervised((fibers) =>
      Effect.gen(function* () {
        const before = yield* fibers
        const lean = yield* Testing.connect((connection) => Connection.runForEach(connection, connection.send))
        yield* lean.send("x")
        assert.strictEqual(yield* lean.receive, "x")
        const between = yield* fibers
        const other = yield* Testing.connect((connection) =>
          Effect.asVoid(Connection.runForEach(connection, connection.send))
        )
        yield* other.send("x")
        assert.strictEqual(yield* other.receive, "x")
        assert.strictEqual((yield* fibers) - between, between - before + 1)
      })
    )
  )

  it.scoped("has one from then on, and takes one message at a time", () =>
    supervised((fibers) =>
      Effect.gen(function* () {
        const log = yield* Ref.make<ReadonlyArray<string>>([])
        const note = (line: string) => Ref.update(log, (lines) => [...lines, line])
        const connection = yield* Testing.connect(
          forEach((_, message) =>
            Effect.zipRight(note(`begin ${message}`), Effect.zipRight(Effect.sleep("1 second"), note(`end ${message}`)))
          )
        )
        yield* settle
        const idle = yield* fibers
        yield* connection.sendAll(["a", "b"])
        yield* settle
        assert.strictEqual(yield* fibers, idle + 1)
        assert.deepStrictEqual(yield* Ref.get(log), ["begin a"])
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.deepStrictEqual(yield* Ref.get(log), ["begin a", "end a", "begin b"])
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.deepStrictEqual(yield* Ref.get(log), ["begin a", "end a", "begin b", "end b"])
        assert.strictEqual(yield* fibers, idle + 1)
      })
    )
  )

  it.scoped("keeps what its effects set, as one fiber does", () =>
    Effect.gen(function* () {
      const count = FiberRef.unsafeMake(0)
      const connection = yield* Testing.connect(
        forEach(({ send }) =>
          Effect.flatMap(
            FiberRef.updateAndGet(count, (n) => n + 1),
            (n) => send(String(n))
          )
        )
      )
      for (const expected of ["1", "2", "3"]) {
        yield* connection.send("x")
        assert.strictEqual(yield* connection.receive, expected)
      }
    })
  )

  it.scoped("may receive messages itself", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(
        forEach((connection, message) =>
          Effect.flatMap(connection.receive, (next) => connection.send(`${message}${next}`))
        )
      )
      yield* connection.send("a")
      yield* settle
      yield* connection.sendAll(["b", "c", "d"])
      assert.deepStrictEqual(yield* receiveAll(connection, 2), ["ab", "cd"])
    })
  )

  it.scoped("lets nobody else read while it waits, and fails when somebody does as it would", () =>
    Effect.gen(function* () {
      const served = yield* Deferred.make<Connection.Connection>()
      const connection = yield* Testing.connect(
        forEach((connection, message) =>
          message === "fork"
            ? Effect.zipRight(Effect.forkDaemon(connection.receive), settle)
            : Effect.zipRight(Deferred.succeed(served, connection), connection.send(message))
        )
      ).pipe(Effect.provide(quiet))
      yield* connection.send("hello")
      assert.strictEqual(yield* connection.receive, "hello")
      const refused = yield* Effect.flip((yield* Deferred.await(served)).receive)
      assert.strictEqual(refused._tag, "ConcurrencyError")
      yield* connection.send("still")
      assert.strictEqual(yield* connection.receive, "still")
      yield* connection.send("fork")
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1011)
    })
  )

  it.scoped("ends with the connection, and nothing is logged above info", () =>
    Effect.gen(function* () {
      const levels: Array<string> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ logLevel }) => void levels.push(logLevel._tag))
      )
      const ended = yield* Deferred.make<void>()
      const connection = yield* Testing.connect(
        forEach((_, message) =>
          message === "scope"
            ? Effect.flatMap(Effect.scope, (scope) => Scope.addFinalizer(scope, Deferred.succeed(ended, undefined)))
            : Effect.void
        )
      ).pipe(Effect.provide(logger))
      yield* connection.send("scope")
      yield* settle
      assert.isFalse(yield* Deferred.isDone(ended))
      yield* connection.close()
      yield* Deferred.await(ended)
      for (const cut of [true, false]) {
        const other = yield* Testing.connect(forEach(() => Effect.void)).pipe(Effect.provide(logger))
        if (cut) yield* Effect.flatMap(Testing.wireOf(other), (wire) => wire.cut)
        else yield* other.close({ code: 4000 })
        yield* other.closed
      }
      yield* settle
      assert.isTrue(
        levels.every((level) => level === "Info"),
        levels.join()
      )
    })
  )

  it.scoped("is over when its server stops: at once where nothing is waited for, interrupted where something is", () =>
    Effect.gen(function* () {
      const interrupted = yield* Ref.make(0)
      const network = yield* Layer.build(Testing.layer)
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        WebSocketServer.layer(
          forEach((_, message) =>
            message === "wait"
              ? Effect.onInterrupt(Effect.never, () => Ref.update(interrupted, (n) => n + 1))
              : Effect.void
          )
        ).pipe(Layer.provide(Layer.succeedContext(network)), Layer.provide(quiet)),
        scope
      )
      const client = yield* Layer.build(WebSocketClient.layer.pipe(Layer.provide(Layer.succeedContext(network))))
      const connect = Effect.provide(WebSocketClient.connect("ws://memory"), client)
      const [idle, busy, used] = [yield* connect, yield* connect, yield* connect]
      yield* busy.send("wait")
      yield* used.send("x")
      yield* settle
      yield* Scope.close(scope, Exit.void)
      for (const connection of [idle, busy, used]) {
        assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
      }
      assert.strictEqual(yield* Ref.get(interrupted), 1)
    })
  )

  it.scoped("may stop its own server, in the first step too", () =>
    Effect.gen(function* () {
      const network = yield* Layer.build(Testing.layer)
      const scope = yield* Scope.make()
      const runtime = yield* Effect.runtime()
      const stopped = yield* Deferred.make<void>()
      yield* Layer.buildWithScope(
        WebSocketServer.layer(
          forEach(() => {
            Runtime.runFork(runtime)(
              Effect.zipRight(Scope.close(scope, Exit.void), Deferred.succeed(stopped, undefined))
            )
            return Effect.never
          })
        ).pipe(Layer.provide(Layer.succeedContext(network)), Layer.provide(quiet)),
        scope
      )
      const client = yield* Layer.build(WebSocketClient.layer.pipe(Layer.provide(Layer.succeedContext(network))))
      const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory"), client)
      yield* connection.sendAll(["stop", "never taken"])
      yield* Deferred.await(stopped)
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
    })
  )
})
