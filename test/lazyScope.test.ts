import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { type Connection, ConnectionRegistry } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as LazyScope from "../src/lazyScope.js"

describe("the scope of a handler", () => {
  it.effect("is not made before it is used", () =>
    Effect.gen(function* () {
      const scope = LazyScope.make()
      assert.isFalse(scope.isUsed)
      yield* Scope.addFinalizer(scope, Effect.void)
      assert.isTrue(scope.isUsed)
    })
  )

  it.effect("runs what was added to it, the last first", () =>
    Effect.gen(function* () {
      const scope = LazyScope.make()
      const order: Array<string> = []
      const add = (name: string) =>
        Scope.addFinalizer(
          scope,
          Effect.sync(() => void order.push(name))
        )
      yield* add("first")
      yield* add("second")
      yield* Effect.addFinalizer(() => Effect.sync(() => void order.push("forked"))).pipe(
        Scope.extend(yield* Scope.fork(scope, scope.strategy))
      )
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(order, ["forked", "second", "first"])
    })
  )

  it.effect("interrupts the fibers that were forked in it", () =>
    Effect.gen(function* () {
      const scope = LazyScope.make()
      const fiber = yield* Effect.forkIn(Effect.never, scope)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
    })
  )

  it.effect("is closed for whoever comes after it has ended unused", () =>
    Effect.gen(function* () {
      const scope = LazyScope.make()
      scope.endUnused(Exit.void)
      const released = yield* Deferred.make<void>()
      yield* Scope.addFinalizer(scope, Deferred.succeed(released, undefined))
      assert.isTrue(yield* Deferred.isDone(released))
      const fiber = yield* Effect.forkIn(Effect.never, scope)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
    })
  )

  it.scoped("takes fibers by forkScoped, which end with their connection", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<void>()
      const connection = yield* Testing.connect((connection: Connection.Connection) =>
        Effect.gen(function* () {
          yield* Effect.forkScoped(
            Effect.onInterrupt(Effect.zipRight(connection.send("forked"), Effect.never), () =>
              Deferred.succeed(ended, undefined)
            )
          )
          yield* connection.receive
          assert.strictEqual(yield* Effect.flatMap(ConnectionRegistry.ConnectionRegistry, ({ size }) => size), 1)
        })
      )
      assert.strictEqual(yield* connection.receiveText, "forked")
      assert.isFalse(yield* Deferred.isDone(ended))
      yield* connection.send("end")
      yield* Deferred.await(ended)
      assert.strictEqual((yield* connection.closed).closure.received?.code, 1000)
    })
  )
})
