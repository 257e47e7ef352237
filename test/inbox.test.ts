import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, FastCheck, Fiber } from "effect"
import { ConcurrencyError, ConnectionClosed } from "effect-websockets"
import { Inbox, type Message } from "../src/inbox.js"
import { settle } from "./support.js"

const closed = Exit.fail(
  new ConnectionClosed.ConnectionClosed({
    closure: { sent: undefined, received: undefined, initiator: "remote", cause: { _tag: "EndOfStream" } },
    traffic: { duration: Duration.zero, bytesReceived: 0, bytesSent: 0 }
  })
)

const make = (highWaterMark = 1000) => {
  const calls: Array<string> = []
  const inbox = new Inbox<Message>(
    { idle: () => void calls.push("idle"), roomy: () => void calls.push("roomy"), exit: () => closed },
    highWaterMark
  )
  const next = (): Effect.Effect<Message, ConcurrencyError> =>
    inbox.isEmpty() ? (inbox.isEnded ? Effect.succeed("the end") : waiting) : Effect.sync(() => inbox.take())
  const wait = inbox.waitThen(next)
  const waiting = Effect.withFiberRuntime<Message, ConcurrencyError>((fiber, { runtimeFlags }) =>
    wait(fiber, runtimeFlags)
  )
  return { inbox, calls, waiting }
}

describe("D4: the messages of an inbox", () => {
  it("come out as they went in, however they are taken, and of no other inbox", () => {
    const step = FastCheck.oneof(
      FastCheck.record({ _tag: FastCheck.constant("Push" as const), count: FastCheck.nat(1500) }),
      FastCheck.record({ _tag: FastCheck.constant("Take" as const), count: FastCheck.nat(1500) }),
      FastCheck.record({ _tag: FastCheck.constant("TakeAll" as const) }),
      FastCheck.record({ _tag: FastCheck.constant("Drop" as const), below: FastCheck.nat(3000) })
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.array(FastCheck.tuple(FastCheck.nat(2), step), { maxLength: 30 }), (steps) => {
        const ends = Array.from({ length: 3 }, () => ({ inbox: make().inbox, expected: [] as Array<string> }))
        let next = 0
        for (const [at, step] of steps) {
          const { expected, inbox } = ends[at]!
          if (step._tag === "Push") {
            for (let i = 0; i < step.count; i++) {
              inbox.push(String(next))
              expected.push(String(next++))
            }
          } else if (step._tag === "Take") {
            for (let i = 0; i < step.count && expected.length > 0; i++) {
              assert.strictEqual(inbox.take(), expected.shift())
            }
          } else if (step._tag === "TakeAll") {
            if (expected.length > 0) assert.deepStrictEqual(inbox.takeAll(), expected.splice(0) as [string])
          } else {
            inbox.dropWhile((message) => Number(message) < step.below)
            while (expected.length > 0 && Number(expected[0]) < step.below) expected.shift()
          }
          assert.strictEqual(inbox.isEmpty(), expected.length === 0)
          assert.strictEqual(inbox.isReady, expected.length > 0)
        }
      }),
      { numRuns: 300, seed: 1 }
    )
  })

  it("that are not there are another fiber's: to take one is a ConcurrencyError", () => {
    const { inbox } = make()
    assert.throws(() => inbox.take(), ConcurrencyError)
    assert.throws(() => inbox.takeAll(), ConcurrencyError)
  })

  it("are counted with 64 bytes each, text by its length, parts by their data", () => {
    const { inbox } = make(3 * 64 + 6)
    inbox.push("abc")
    inbox.push(new Uint8Array(2))
    assert.isFalse(inbox.isFull())
    inbox.push("")
    assert.isFalse(inbox.isFull())
    inbox.push("")
    assert.isTrue(inbox.isFull())
    const parts = new Inbox<{ readonly data: Message; readonly final: boolean }>(
      { idle: () => {}, roomy: () => {}, exit: () => closed },
      2 * 64 + 5
    )
    parts.push({ data: "abc", final: false })
    parts.push({ data: new Uint8Array(1), final: false })
    assert.isFalse(parts.isFull())
    parts.push({ data: "", final: true })
    assert.isTrue(parts.isFull())
  })

  it("taken down to half of the mark make room, which is told once and only if it was asked for", () => {
    const { inbox, calls } = make(640)
    for (let i = 0; i < 10; i++) inbox.push("")
    inbox.take()
    for (let i = 0; i < 8; i++) inbox.take()
    assert.deepStrictEqual(calls, [])
    for (let i = 0; i < 9; i++) inbox.push("")
    assert.isTrue(inbox.isFull())
    inbox.awaitRoom()
    for (let i = 0; i < 4; i++) inbox.take()
    assert.deepStrictEqual(calls, [])
    inbox.take()
    assert.deepStrictEqual(calls, ["roomy"])
    inbox.takeAll()
    assert.deepStrictEqual(calls, ["roomy"])
    for (let i = 0; i < 10; i++) inbox.push("")
    inbox.awaitRoom()
    inbox.takeAll()
    assert.deepStrictEqual(calls, ["roomy", "roomy"])
  })
})

describe("D4: the reader of an inbox", () => {
  it.effect("is asked for what it has done before it waits, and woken once for all that has come", () =>
    Effect.gen(function* () {
      const { inbox, calls, waiting } = make()
      assert.isFalse(inbox.isAwaited())
      const reader = yield* Effect.fork(waiting)
      yield* settle
      assert.deepStrictEqual(calls, ["idle"])
      assert.isTrue(inbox.isAwaited())
      inbox.wake()
      yield* settle
      assert.isTrue(inbox.isAwaited(), "nothing has come, so it was not woken")
      inbox.push("a")
      inbox.push("b")
      assert.isNull(reader.unsafePoll())
      inbox.wake()
      inbox.wake()
      assert.isFalse(inbox.isAwaited())
      assert.isFalse(inbox.isReady, "what is there is the woken fiber's")
      assert.strictEqual(yield* Fiber.join(reader), "a")
      assert.isTrue(inbox.isReady)
      assert.strictEqual(yield* waiting, "b")
    })
  )

  it.effect("does not wait where there is something, or nothing comes any more", () =>
    Effect.gen(function* () {
      const { inbox, waiting } = make()
      inbox.push("a")
      inbox.end()
      assert.isFalse(inbox.isEnded)
      assert.strictEqual(yield* waiting, "a")
      assert.isTrue(inbox.isEnded)
      assert.strictEqual(yield* waiting, "the end")
    })
  )

  it.effect("is woken by the end", () =>
    Effect.gen(function* () {
      const { inbox, waiting } = make()
      const reader = yield* Effect.fork(waiting)
      yield* settle
      inbox.end()
      assert.strictEqual(yield* Fiber.join(reader), "the end")
    })
  )

  it.effect("finds what comes while it is asked what it has done", () =>
    Effect.gen(function* () {
      const inbox: Inbox = new Inbox<Message>(
        { idle: () => inbox.push("meanwhile"), roomy: () => {}, exit: () => closed },
        1000
      )
      const wait = inbox.waitThen(() => Effect.sync(() => inbox.take()))
      const message = yield* Effect.withFiberRuntime<Message, ConcurrencyError>((fiber, { runtimeFlags }) =>
        wait(fiber, runtimeFlags)
      )
      assert.strictEqual(message, "meanwhile")
    })
  )

  it.effect("is not one that was interrupted, before or after it was woken", () =>
    Effect.gen(function* () {
      for (const isWoken of [false, true]) {
        const { inbox, waiting } = make()
        const first = yield* Effect.fork(waiting)
        yield* settle
        inbox.push("a")
        if (isWoken) inbox.wake()
        yield* Fiber.interrupt(first)
        if (!isWoken) assert.isFalse(inbox.isAwaited())
        assert.strictEqual(yield* waiting, "a")
      }
    })
  )

  it.effect("stays the one that waits uninterruptibly, though it is interrupted", () =>
    Effect.gen(function* () {
      const { inbox, waiting } = make()
      const first = yield* Effect.fork(Effect.uninterruptible(waiting))
      yield* settle
      yield* Effect.fork(Fiber.interrupt(first))
      yield* settle
      assert.isTrue(inbox.isAwaited())
      assert.instanceOf(yield* Effect.flip(waiting), ConcurrencyError)
      inbox.push("a")
      inbox.wake()
      yield* settle
      assert.isTrue(inbox.isEmpty())
    })
  )

  it.effect("with a claim is the only one", () =>
    Effect.gen(function* () {
      const { inbox, waiting } = make()
      const first = yield* Effect.fork(waiting)
      yield* settle
      assert.isFalse(inbox.claim(), "a fiber waits")
      yield* Fiber.interrupt(first)
      assert.isTrue(inbox.claim())
      assert.isFalse(inbox.claim())
      inbox.push("a")
      assert.isFalse(inbox.isReady)
      assert.instanceOf(yield* Effect.flip(waiting), ConcurrencyError)
      inbox.release()
      assert.strictEqual(yield* waiting, "a")
    })
  )
})
