import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { Connection } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { Deadlines, type Entry, makeEngine } from "../src/deadlines.js"
import { Inbox } from "../src/inbox.js"
import * as Frame from "../src/protocol/Frame.js"
import { masked, settle } from "./support.js"

/** What happens between a fiber's look and its wait, or while it waits, in the transport's own callback. */

const close = (peer: Testing.Peer) =>
  Effect.zipRight(peer.write(masked(Frame.close({ code: 1000, reason: "" }))), peer.end)

describe("D4: sends that wait", () => {
  it.scoped("complete when the transport drains at once, however many large ones there are", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      const connection = yield* Connection.make("server", stream, { sendHighWaterMark: 1000 })
      const sends = yield* Effect.forEach([1, 2, 3, 4], () => Effect.fork(connection.send(new Uint8Array(200_000))))
      yield* Effect.forEach(sends, Fiber.join)
      yield* close(peer)
    })
  )

  it.scoped("in fragments complete as well", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      const connection = yield* Connection.make("server", stream, { sendHighWaterMark: 1000 })
      const pieces = Stream.range(1, 5).pipe(Stream.map(() => new Uint8Array(200_000)))
      yield* Effect.all([connection.sendFragments(pieces), connection.sendFragments(pieces)], { concurrency: 2 })
      yield* close(peer)
    })
  )

  it.scoped("and turn out to be no messages are their sender's defect: the others go on", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      const connection = yield* Connection.make("server", stream, { sendHighWaterMark: 1000 })
      yield* peer.pause
      yield* connection.sendAll(Array.from({ length: 20 }, () => new Uint8Array(10_000)).slice(0, 8))
      const bad = yield* Effect.fork(connection.send(undefined as never))
      const good = yield* Effect.fork(connection.send("good"))
      yield* settle
      assert.isNull(good.unsafePoll())
      yield* peer.resume
      yield* Fiber.join(good)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(bad)))
      yield* connection.send("later")
      yield* close(peer)
    })
  )
})

describe("D4: a reader that is about to wait", () => {
  it.effect("is woken by what comes before it does", () =>
    Effect.gen(function* () {
      const supplier = { idle: () => {}, roomy: () => {}, exit: () => Exit.die("not asked for") }
      const inbox = new Inbox<string>(supplier, 1000)
      const look = (): Effect.Effect<string> => Effect.sync(() => inbox.take())
      const wait = inbox.waitThen(look)
      for (const message of ["first", "second"]) {
        const received = yield* Effect.withFiberRuntime<string, unknown>((fiber, { runtimeFlags }) => {
          const waiting = wait(fiber, runtimeFlags)
          // The transport delivers between the look and the wait.
          inbox.push(message)
          inbox.wakeInline()
          return waiting
        })
        assert.strictEqual(received, message)
      }
    })
  )
})

describe("L3: a deadline that throws", () => {
  it.live("does not keep the others from coming", () =>
    Effect.gen(function* () {
      const { deadlines } = yield* makeEngine
      assert.instanceOf(deadlines, Deadlines)
      yield* Effect.async<void>((resume) => {
        const entry = (fire: () => void): Entry => ({ dueAt: 0, place: -1, fire })
        const now = deadlines.now()
        deadlines.set(
          entry(() => {
            throw new Error("on purpose")
          }),
          now + 1
        )
        deadlines.set(
          entry(() => resume(Effect.void)),
          now + 2
        )
      })
      deadlines.stop()
    })
  )
})
