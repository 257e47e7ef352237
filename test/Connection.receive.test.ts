import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Stream } from "effect"
import { ConcurrencyError, Connection, UnexpectedMessageType } from "effect-websockets"
import * as Frame from "../src/protocol/Frame.js"
import { masked, open, plain, settle } from "./support.js"

const bye = { code: 1000, reason: "" }
const oops = { code: 1011, reason: "oops" }
const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

/** A server's connection, whose peer has sent these frames. */
const received = (...frames: ReadonlyArray<Frame.Frame>) =>
  Effect.tap(open("server"), ({ peer }) => Effect.zipRight(peer.write(masked(...frames)), settle))

/** An error's tag, where there is one. */
const tagOf = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), ({ _tag }) => _tag)

describe("D1: receive", () => {
  it.scoped("gives text as a string and binary as bytes, in order", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(
        Frame.text("é😀"),
        Frame.binary(bytes(0, 255)),
        Frame.text(""),
        Frame.binary(bytes())
      )
      assert.strictEqual(yield* connection.receive, "é😀")
      assert.deepStrictEqual(yield* connection.receive, bytes(0, 255))
      assert.strictEqual(yield* connection.receive, "")
      assert.deepStrictEqual(yield* connection.receive, bytes())
    })
  )

  it.scoped("waits for a message that is not there yet", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("client")
      const waiting = yield* Effect.fork(connection.receive)
      yield* settle
      assert.isNull(waiting.unsafePoll())
      yield* peer.write(plain(Frame.text("now")))
      assert.strictEqual(yield* Fiber.join(waiting), "now")
    })
  )

  it.scoped("gives the messages before the end, then fails even though the end is clean", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* received(Frame.text("last"), Frame.close(bye))
      yield* peer.end
      yield* connection.closed
      assert.strictEqual(yield* connection.receive, "last")
      assert.strictEqual(yield* tagOf(connection.receive), "ConnectionClosed")
      assert.strictEqual(yield* tagOf(connection.receive), "ConnectionClosed")
    })
  )

  it.scoped("joins the fragments of a message, and its control frames do not show", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(
        { ...Frame.text("fra"), fin: false },
        Frame.ping(bytes(1)),
        { ...Frame.make(Frame.Opcode.Continuation, bytes()), fin: false },
        Frame.pong(),
        Frame.make(Frame.Opcode.Continuation, new TextEncoder().encode("gments"))
      )
      assert.strictEqual(yield* connection.receive, "fragments")
    })
  )

  it.scoped("may be taken off the connection and run again", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(Frame.text("a"), Frame.text("b"))
      const { receive } = connection
      assert.deepStrictEqual(yield* Effect.all([receive, receive]), ["a", "b"])
    })
  )
})

describe("D1: receiveText and receiveBytes", () => {
  it.scoped("give messages of their type", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(Frame.text("text"), Frame.binary(bytes(1)))
      assert.strictEqual(yield* connection.receiveText, "text")
      assert.deepStrictEqual(yield* connection.receiveBytes, bytes(1))
    })
  )

  it.scoped("take a message of the other type, which the error holds", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(Frame.binary(bytes(1, 2)), Frame.text("text"), Frame.text("next"))
      const first = yield* Effect.flip(connection.receiveText)
      assert.instanceOf(first, UnexpectedMessageType)
      assert.deepStrictEqual(first, new UnexpectedMessageType({ expected: "text", received: bytes(1, 2) }))
      assert.strictEqual(first.message, "expected a text message, got a binary one of 2 bytes")
      const second = yield* Effect.flip(connection.receiveBytes)
      assert.deepStrictEqual(second, new UnexpectedMessageType({ expected: "binary", received: "text" }))
      assert.strictEqual(second.message, "expected a binary message, got a text one of 4 characters")
      assert.strictEqual(yield* connection.receive, "next")
    })
  )

  it.scoped("fail with ConnectionClosed at the end", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* peer.end
      assert.strictEqual(yield* tagOf(connection.receiveText), "ConnectionClosed")
      assert.strictEqual(yield* tagOf(connection.receiveBytes), "ConnectionClosed")
    })
  )
})

describe("D2: receiveAll", () => {
  it.scoped("takes all that is there, and waits for at least one", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* received(Frame.text("a"), Frame.text("b"), Frame.binary(bytes(3)))
      assert.strictEqual(yield* connection.receive, "a")
      assert.deepStrictEqual(yield* connection.receiveAll, ["b", bytes(3)])
      const waiting = yield* Effect.fork(connection.receiveAll)
      yield* settle
      assert.isNull(waiting.unsafePoll())
      yield* peer.write(masked(Frame.text("c"), Frame.text("d")))
      assert.deepStrictEqual(yield* Fiber.join(waiting), ["c", "d"])
      yield* peer.write(masked(Frame.close(bye)))
      assert.strictEqual(yield* tagOf(connection.receiveAll), "ConnectionClosed")
    })
  )
})

describe("D12: messages", () => {
  it.scoped("ends when the connection ends cleanly", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(Frame.text("a"), Frame.text("b"), Frame.close(bye))
      assert.deepStrictEqual([...(yield* Stream.runCollect(connection.messages))], ["a", "b"])
    })
  )

  it.scoped("fails with ConnectionClosed when it does not, behind the messages", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(Frame.text("a"), Frame.close(oops))
      const seen: Array<Connection.Message> = []
      const run = Stream.runForEach(connection.messages, (message) => Effect.sync(() => seen.push(message)))
      const error = yield* Effect.flip(run)
      assert.strictEqual(error.message, "peer closed with 1011 oops; we closed with 1011")
      assert.deepStrictEqual(seen, ["a"])
    })
  )

  it.scoped("takes what is there as one chunk, and that chunk is its own", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* received(Frame.text("a"), Frame.text("b"), Frame.text("c"))
      const sizes: Array<number> = []
      const first = yield* Stream.mapChunks(connection.messages, (chunk) => {
        sizes.push(chunk.length)
        return chunk
      }).pipe(Stream.take(1), Stream.runHead)
      assert.strictEqual(Option.getOrUndefined(first), "a")
      assert.deepStrictEqual(sizes, [3])
      yield* peer.write(masked(Frame.text("d")))
      assert.strictEqual(yield* connection.receive, "d")
    })
  )
})

describe("D2: runForEach", () => {
  it.scoped("runs for each message, one after the other, and completes when the end is clean", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(Frame.text("a"), Frame.text("b"), Frame.close(bye))
      const seen: Array<string> = []
      yield* Connection.runForEach(connection, (message) =>
        Effect.sync(() => seen.push(`begin ${message}`)).pipe(
          Effect.zipLeft(settle),
          Effect.zipRight(Effect.sync(() => seen.push(`end ${message}`)))
        )
      )
      assert.deepStrictEqual(seen, ["begin a", "end a", "begin b", "end b"])
    })
  )

  it.scoped("fails when the end is not clean", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(Frame.text("a"), Frame.close(oops))
      const seen: Array<Connection.Message> = []
      const run = Connection.runForEach((message) => Effect.sync(() => seen.push(message)))(connection)
      assert.strictEqual(yield* tagOf(run), "ConnectionClosed")
      assert.deepStrictEqual(seen, ["a"])
    })
  )

  it.scoped("fails with the first failure of the effect, and leaves the other messages where they are", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(Frame.text("a"), Frame.text("b"), Frame.text("c"))
      const run = Connection.runForEach(connection, (message) =>
        message === "b" ? Effect.fail("no b" as const) : Effect.void
      )
      assert.strictEqual(yield* Effect.flip(run), "no b")
      assert.strictEqual(yield* connection.receive, "c")
    })
  )

  it.scoped("dies of what a handler throws outside of its Effect", () =>
    Effect.gen(function* () {
      const { connection } = yield* received(Frame.text("a"))
      const exit = yield* Effect.exit(
        Connection.runForEach(connection, (): Effect.Effect<void> => {
          throw new Error("no Effect")
        })
      )
      assert.include(Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty), "no Effect")
    })
  )

  it.scoped("in chunks: gets all that is there at a time", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* received(Frame.text("a"), Frame.text("b"))
      const seen: Array<ReadonlyArray<Connection.Message>> = []
      const run = yield* Effect.fork(
        Connection.runForEachChunk((messages) => Effect.sync(() => seen.push(messages)))(connection)
      )
      yield* settle
      yield* peer.write(masked(Frame.text("c"), Frame.close(bye)))
      yield* Fiber.join(run)
      assert.deepStrictEqual(seen, [["a", "b"], ["c"]])
    })
  )

  it.scoped("in chunks: fails with the effect's failure and with an end that is not clean", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* received(Frame.text("a"))
      const failing = Connection.runForEachChunk(connection, () => Effect.fail("no" as const))
      assert.strictEqual(yield* Effect.flip(failing), "no")
      yield* peer.write(masked(Frame.close(oops)))
      assert.strictEqual(yield* tagOf(Connection.runForEachChunk(connection, () => Effect.void)), "ConnectionClosed")
    })
  )
})

describe("D1: one reader at a time", () => {
  const readers: ReadonlyArray<
    readonly [string, (connection: Connection.Connection) => Effect.Effect<unknown, unknown>]
  > = [
    ["receive", ({ receive }) => receive],
    ["receiveText", ({ receiveText }) => receiveText],
    ["receiveBytes", ({ receiveBytes }) => receiveBytes],
    ["receiveAll", ({ receiveAll }) => receiveAll],
    ["messages", ({ messages }) => Stream.runDrain(messages)],
    ["receiveFragments", ({ receiveFragments }) => Stream.runDrain(receiveFragments)],
    ["runForEach", Connection.runForEach(() => Effect.void)],
    ["runForEachChunk", Connection.runForEachChunk(() => Effect.void)]
  ]

  it.scoped.each(readers)("%s fails with ConcurrencyError while another fiber waits, and takes nothing", ([, read]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const first = yield* Effect.fork(connection.receive)
      yield* settle
      const error = yield* Effect.flip(read(connection))
      assert.instanceOf(error, ConcurrencyError)
      assert.include(String(error), "another fiber is already waiting for messages")
      // Also with a message there for a fiber that has been woken and has not run yet.
      yield* peer.write(masked(Frame.text("a"), Frame.text("b")))
      assert.strictEqual(yield* Fiber.join(first), "a")
      assert.strictEqual(yield* connection.receive, "b")
    })
  )

  it.scoped.each(readers)("%s that was interrupted leaves its place to the next", ([, read]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const first = yield* Effect.fork(read(connection))
      yield* settle
      yield* Fiber.interrupt(first)
      const second = yield* Effect.fork(connection.receive)
      yield* settle
      yield* peer.write(masked(Frame.text("a")))
      assert.strictEqual(yield* Fiber.join(second), "a")
    })
  )
})
