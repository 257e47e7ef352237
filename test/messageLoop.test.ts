import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { Inbox } from "../src/inbox.js"
import { MessageLoop } from "../src/messageLoop.js"
import { settle } from "./support.js"

type Left = Effect.Effect<unknown, unknown>

const supplier = { idle: () => {}, roomy: () => {}, exit: () => Exit.die("not asked for") }

/** A loop over an inbox with some messages, what it has taken, and how it has ended. */
const makeLoop = (messages: ReadonlyArray<string>, handle: (message: unknown, loop: MessageLoop) => Left) => {
  const inbox = new Inbox(supplier, 1_000)
  for (const message of messages) inbox.push(message)
  const taken: Array<unknown> = []
  const ends: Array<Exit.Exit<unknown, unknown>> = []
  const loop: MessageLoop = new MessageLoop(
    { inbox, end: () => Exit.void },
    (inbox) => {
      const message = inbox.take()
      taken.push(message)
      return handle(message, loop)
    },
    (effect) => Effect.runFork(effect),
    (exit) => ends.push(exit)
  )
  const receive = (message: string) => {
    inbox.push(message)
    inbox.wakeInline()
  }
  return { inbox, loop, taken, ends, receive }
}

const isInterruption = (exit: Exit.Exit<unknown, unknown> | undefined) =>
  exit !== undefined && Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)

describe("the loop of a handler without a fiber", () => {
  it.effect.each([
    ["and nothing of it is left", Exit.void],
    ["and it has to wait", Effect.never]
  ] as const)("interrupted while it deals with a message, %s, ends once and takes no other", ([, left]) =>
    Effect.gen(function* () {
      const { ends, inbox, loop, taken, receive } = makeLoop(["a", "b"], (_, loop) => {
        loop.interrupt()
        return left
      })
      loop.start()
      yield* settle
      receive("c")
      loop.interrupt()
      assert.deepStrictEqual(taken, ["a"])
      assert.strictEqual(ends.length, 1)
      assert.isTrue(isInterruption(ends[0]))
      assert.isTrue(inbox.claim(), "it reads no more")
    })
  )

  it.effect("interrupted in the first step of its fiber interrupts that", () =>
    Effect.gen(function* () {
      const { ends, loop, taken } = makeLoop(["a", "b"], (_, loop) =>
        Effect.zipRight(
          Effect.sync(() => loop.interrupt()),
          Effect.never
        )
      )
      loop.start()
      yield* settle
      assert.deepStrictEqual(taken, ["a"])
      assert.strictEqual(ends.length, 1)
      assert.isTrue(isInterruption(ends[0]))
    })
  )

  it.effect("interrupted while it waits ends at once, and takes nothing that comes then", () =>
    Effect.gen(function* () {
      const { ends, loop, taken, receive } = makeLoop([], () => Exit.void)
      loop.start()
      receive("a")
      loop.interrupt()
      receive("b")
      yield* settle
      assert.deepStrictEqual(taken, ["a"])
      assert.strictEqual(ends.length, 1)
      assert.isTrue(isInterruption(ends[0]))
    })
  )

  it.effect("fails where somebody else has claimed the inbox, and leaves the messages there", () =>
    Effect.gen(function* () {
      const { ends, inbox, loop, taken } = makeLoop(["a", "b"], () => {
        assert.isTrue(inbox.claim())
        return Exit.void
      })
      loop.start()
      yield* settle
      assert.deepStrictEqual(taken, ["a"])
      assert.strictEqual(ends.length, 1)
      const [exit] = ends
      assert.include(
        String(exit !== undefined && Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit),
        "Concurrency"
      )
    })
  )

  it.effect("ends with its inbox, once everything has been taken", () =>
    Effect.gen(function* () {
      const { ends, inbox, loop, taken } = makeLoop(["a"], () => Effect.yieldNow())
      loop.start()
      inbox.push("b")
      inbox.end()
      assert.strictEqual(ends.length, 0)
      yield* settle
      assert.deepStrictEqual(taken, ["a", "b"])
      assert.deepStrictEqual(ends, [Exit.void])
    })
  )
})
