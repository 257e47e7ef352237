import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, TestClock } from "effect"
import { Resume } from "effect-websockets"
import { exchange } from "./exchange.js"
import { Random } from "./fuzz/random.js"
import { isRunning } from "./reconnecting.js"
import { makeSessions } from "./resuming.js"
import { settle } from "./support.js"

const uri = "ws://memory"

/** Lets seconds pass until a program is done. */
const passUntilDone = <A, E>(program: Fiber.RuntimeFiber<A, E>) =>
  Effect.gen(function* () {
    while (isRunning(program)) {
      yield* settle
      yield* TestClock.adjust("1 second")
    }
    return yield* Fiber.join(program)
  })

describe("C8: a session whose connections break at any byte", () => {
  it.scoped(
    "delivers 10,000 messages each way, once and in order, while the connection breaks 100 times",
    () =>
      Effect.gen(function* () {
        const COUNT = 10_000
        const { client, breaks, dialled, serveSessions } = yield* makeSessions
        const random = new Random(7)
        breaks.push(...Array.from({ length: 100 }, () => random.below(8_000)))
        const server = yield* serveSessions((connection) => exchange(connection, COUNT))
        const program = yield* Effect.fork(
          Effect.scoped(
            Effect.gen(function* () {
              const connection = yield* Resume.connect(uri, { schedule: Schedule.spaced("1 second") })
              yield* exchange(connection, COUNT)
              yield* connection.closed
            })
          ).pipe(Effect.provide(client))
        )
        yield* passUntilDone(program)
        assert.lengthOf(breaks, 0)
        assert.isAtLeast(dialled.length, 101)
        assert.strictEqual(yield* server.size, 0)
      }),
    60_000
  )
})
