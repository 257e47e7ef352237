import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { Fiberless } from "../src/fiberless.js"
import { Inbox } from "../src/inbox.js"
import { isForEach, Reading } from "../src/reading.js"
import { settle } from "./support.js"

type Left = Effect.Effect<unknown, unknown>

const supplier = { idle: () => {}, roomy: () => {}, exit: () => Exit.die("not asked for") }

/** A loop over an inbox with some messages, what it has taken, and how it has ended. */
const makeLoop = (messages: ReadonlyArray<string>, handle: (message: unknown, interrupt: () => void) => Left) => {
  const inbox = new Inbox(supplier, 1_000)
  for (const message of messages) inbox.push(message)
  const taken: Array<unknown> = []
  const ends: Array<Exit.Exit<unknown, unknown>> = []
  const rests: Array<Left> = []
  const reading = new Reading(inbox, { isClean: true, exit: supplier.exit })
  const take = (message: unknown): Left => {
    taken.push(message)
    return handle(message, interrupt)
  }
  const loop = reading.forEach(take)
  const owner = {
    isInterrupted: false,
    goOnWith: (rest: Left) => void rests.push(rest),
    hasEnded: (exit: Exit.Exit<unknown, unknown>) => void ends.push(exit)
  }
  const fiberless: Fiberless = new Fiberless(owner, isForEach(loop) ? loop : assert.fail("it is no loop"))
  const receive = (message: string) => {
    inbox.push(message)
    inbox.wakeInline()
  }
  const interrupt = () => {
    owner.isInterrupted = true
    fiberless.interrupt()
  }
  return { inbox, fiberless, interrupt, taken, ends, rests, receive }
}

const isInterruption = (exit: Exit.Exit<unknown, unknown> | undefined) =>
  exit !== undefined && Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)

describe("a handler's loop without a fiber", () => {
  it.each([
    ["and nothing of it is left", Exit.void],
    ["and it has to wait", Effect.never]
  ] as const)("interrupted while it deals with a message, %s, ends once and takes no other", (_, left) => {
    const { ends, fiberless, inbox, interrupt, receive, rests, taken } = makeLoop(["a", "b"], (_, interrupt) => {
      interrupt()
      return left
    })
    fiberless.start()
    receive("c")
    interrupt()
    assert.deepStrictEqual(taken, ["a"])
    assert.deepStrictEqual(rests, [])
    assert.strictEqual(ends.length, 1)
    assert.isTrue(isInterruption(ends[0]))
    assert.isTrue(inbox.claim(), "it reads no more")
  })

  it("interrupted before it begins takes nothing", () => {
    const { ends, fiberless, interrupt, taken } = makeLoop(["a"], () => Exit.void)
    interrupt()
    fiberless.start()
    assert.deepStrictEqual(taken, [])
    assert.strictEqual(ends.length, 1)
    assert.isTrue(isInterruption(ends[0]))
  })

  it("interrupted while it waits ends at once, and takes nothing that comes then", () => {
    const { ends, fiberless, interrupt, receive, taken } = makeLoop([], () => Exit.void)
    fiberless.start()
    receive("a")
    interrupt()
    receive("b")
    assert.deepStrictEqual(taken, ["a"])
    assert.strictEqual(ends.length, 1)
    assert.isTrue(isInterruption(ends[0]))
  })

  it.effect("goes on in a fiber from the first effect that waits, where it stopped", () =>
    Effect.gen(function* () {
      const { ends, fiberless, inbox, receive, rests, taken } = makeLoop(["a", "b", "c"], (message) =>
        message === "b" ? Effect.yieldNow() : Exit.void
      )
      fiberless.start()
      assert.deepStrictEqual(taken, ["a", "b"])
      assert.strictEqual(rests.length, 1)
      const fiber = yield* Effect.fork(rests[0] ?? assert.fail("there is a rest"))
      yield* settle
      receive("d")
      yield* settle
      inbox.end()
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(taken, ["a", "b", "c", "d"])
      assert.deepStrictEqual(ends, [], "that is told by the fiber")
    })
  )

  it("fails where somebody else has claimed the inbox, and leaves the messages there", () => {
    const { ends, fiberless, inbox, taken } = makeLoop(["a", "b"], () => {
      assert.isTrue(inbox.claim())
      return Exit.void
    })
    fiberless.start()
    assert.deepStrictEqual(taken, ["a"])
    assert.strictEqual(ends.length, 1)
    const [exit] = ends
    assert.include(String(exit !== undefined && Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit), "Concurrency")
  })

  it("ends with its inbox, once everything has been taken", () => {
    const { ends, fiberless, inbox, receive, taken } = makeLoop(["a"], () => Exit.void)
    fiberless.start()
    receive("b")
    assert.deepStrictEqual(ends, [])
    inbox.push("c")
    inbox.end()
    assert.deepStrictEqual(taken, ["a", "b", "c"])
    assert.deepStrictEqual(ends, [Exit.void])
  })
})
