import { assert, describe, it } from "@effect/vitest"
import { Effect, Equal, Exit, Fiber, Queue, Stream } from "effect"
import { type Connection, ConnectionClosed } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, plain, readBytes, settle } from "./support.js"

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)
const utf8 = (text: string) => new TextEncoder().encode(text)
const first = (text: string): Frame.Frame => ({ ...Frame.text(text), fin: false })
const more = (text: string): Frame.Frame => ({ ...Frame.make(Frame.Opcode.Continuation, utf8(text)), fin: false })
const last = (text = ""): Frame.Frame => Frame.make(Frame.Opcode.Continuation, utf8(text))

/** A stream that a test feeds, and which is being sent. */
const sending = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    const source = yield* Queue.unbounded<Connection.Message>()
    const fiber = yield* Effect.fork(connection.sendFragments(Stream.fromQueue(source, { shutdown: true })))
    yield* settle
    const feed = (piece: Connection.Message) => Effect.zipRight(Queue.offer(source, piece), settle)
    return { feed, fiber, finish: Effect.zipRight(Queue.shutdown(source), Fiber.await(fiber)) }
  })

describe("D3: sendFragments", () => {
  it.scoped("sends each piece as a fragment as it comes, and the end as one more", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const pieces = Stream.make("one", "", "two")
      yield* connection.sendFragments(pieces)
      yield* settle
      assert.strictEqual(hex(yield* peer.read), hex(plain(first("one"), more(""), more("two"), last())))
      yield* connection.sendFragments(Stream.make(bytes(1), bytes(2)))
      yield* settle
      assert.strictEqual(hex(yield* peer.read), "0201010001028000")
    })
  )

  it.scoped("a client masks each fragment", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("client")
      yield* connection.sendFragments(Stream.make(bytes(0), bytes(0, 0, 0, 0)))
      yield* settle
      assert.strictEqual(hex(yield* peer.read), "0281000000010000840000000200000002808000000003")
    }).pipe(Effect.provide(Testing.layerKeys))
  )

  it.scoped("sends nothing where there is no piece", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* connection.sendFragments(Stream.empty)
      yield* connection.send("a")
      assert.strictEqual(hex(yield* peer.read), "810161")
    })
  )

  it.scoped("joins a character whose halves are in two pieces, and replaces a half that is alone", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* connection.sendFragments(Stream.make("a\ud83d", "\ude00b", "\ud83d"))
      yield* settle
      assert.strictEqual(hex(yield* peer.read), hex(plain(first("a"), more("😀b"), more(""), last("�"))))
    })
  )

  it.scoped("other messages wait until it is complete, pings and pongs go in between", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const fragments = yield* sending(connection)
      yield* fragments.feed("one")
      const other = yield* Effect.fork(connection.send("other"))
      const all = yield* Effect.fork(connection.sendAll(["x", "y"]))
      yield* settle
      assert.isNull(other.unsafePoll())
      yield* connection.pong(bytes(1))
      yield* peer.write(masked(Frame.ping(bytes(2))))
      yield* settle
      const ping = yield* Effect.fork(connection.ping)
      yield* settle
      yield* fragments.feed("two")
      yield* fragments.finish
      yield* Fiber.join(other)
      yield* Fiber.join(all)
      const expected = plain(
        first("one"),
        Frame.pong(bytes(1)),
        Frame.pong(bytes(2)),
        Frame.ping(bytes(0, 0, 0, 1)),
        more("two"),
        last(),
        Frame.text("other"),
        Frame.text("x"),
        Frame.text("y")
      )
      assert.strictEqual(hex(yield* readBytes(peer, expected.length)), hex(expected))
      yield* Fiber.interrupt(ping)
    }).pipe(Effect.provide(Testing.layerKeys))
  )

  it.scoped("two at a time go one after the other", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const one = yield* sending(connection)
      const two = yield* sending(connection)
      yield* one.feed("1")
      yield* two.feed("2")
      yield* one.feed("1")
      yield* one.finish
      yield* settle
      yield* two.finish
      const expected = plain(first("1"), more("1"), last(), first("2"), last())
      assert.strictEqual(hex(yield* readBytes(peer, expected.length)), hex(expected))
    })
  )

  const ends: ReadonlyArray<readonly [string, Effect.Effect<never, string>, Exit.Exit<never, string>]> = [
    ["fails", Effect.fail("no more"), Exit.fail("no more")],
    ["dies", Effect.die("broken"), Exit.die("broken")]
  ]
  it.scoped.each(ends)("a source that %s inside the message ends the connection with 1011", ([, end, expected]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const waiting = yield* Effect.fork(
        connection.sendFragments(Stream.concat(Stream.make("one"), Stream.fromEffect(Effect.zipRight(settle, end))))
      )
      yield* Effect.yieldNow()
      const other = yield* Effect.fork(Effect.flip(connection.send("other")))
      assert.isTrue(Equal.equals(yield* Fiber.await(waiting), expected))
      const close = Frame.close({ code: 1011, reason: "a fragmented message was not completed" })
      assert.strictEqual(hex(yield* readBytes(peer, 6 + close.payload.length + 1)), hex(plain(first("one"), close)))
      yield* peer.write(masked(Frame.close({ code: 1011, reason: "" })))
      yield* peer.end
      assert.strictEqual((yield* Fiber.join(other))._tag, "ConnectionClosed")
      assert.deepStrictEqual((yield* connection.closed).closure.sent?.code, 1011)
    })
  )

  it.scoped("a source that fails before the first piece leaves the connection open", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      assert.strictEqual(yield* Effect.flip(connection.sendFragments(Stream.fail("nothing"))), "nothing")
      yield* connection.send("a")
      assert.strictEqual(hex(yield* peer.read), "810161")
    })
  )

  it.scoped("interrupted inside the message, ends the connection with 1011", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const { feed, fiber } = yield* sending(connection)
      yield* feed("one")
      yield* Fiber.interrupt(fiber)
      yield* peer.write(masked(Frame.close({ code: 1011, reason: "" })))
      yield* peer.end
      assert.strictEqual(
        (yield* connection.closed).message,
        "we closed with 1011 a fragmented message was not completed; peer closed with 1011"
      )
    })
  )

  it.scoped("interrupted while it waits for its turn, leaves no trace", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const one = yield* sending(connection)
      yield* one.feed("1")
      const two = yield* sending(connection)
      yield* two.feed("2")
      yield* Fiber.interrupt(two.fiber)
      yield* one.finish
      yield* connection.send("a")
      const expected = plain(first("1"), last(), Frame.text("a"))
      assert.strictEqual(hex(yield* readBytes(peer, expected.length)), hex(expected))
    })
  )

  it.scoped("pieces of strings and of bytes in one message are a defect, and end the connection with 1011", () =>
    Effect.gen(function* () {
      const { connection } = yield* open("server")
      const exit = yield* Effect.exit(connection.sendFragments(Stream.make<Array<Connection.Message>>("a", bytes(1))))
      assert.include(String(Exit.isFailure(exit) && exit.cause), "do not mix them")
      assert.strictEqual((yield* connection.state)._tag, "Closing")
    })
  )

  it.scoped("fails with ConnectionClosed when the connection ends inside the message, and says nothing more", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* open("server")
      const { feed, fiber } = yield* sending(connection)
      yield* feed("one")
      yield* peer.write(masked(Frame.close({ code: 1000, reason: "" })))
      yield* settle
      yield* feed("two")
      assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "ConnectionClosed")
      assert.strictEqual(
        hex(yield* wire.sentByServer),
        hex(plain(first("one"), Frame.close({ code: 1000, reason: "" })))
      )
    })
  )

  it.scoped("waits above sendHighWaterMark, and the connection's end ends the wait", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* open("server", { sendHighWaterMark: 100_000 })
      yield* wire.stall
      let taken = 0
      const pieces = Stream.repeatEffect(
        Effect.sync(() => {
          taken++
          return new Uint8Array(10_000)
        })
      )
      const fiber = yield* Effect.fork(connection.sendFragments(pieces))
      yield* settle
      assert.isAtMost(taken, 30)
      const stuck = taken
      yield* wire.flow
      yield* readBytes(peer, 1_000_000)
      assert.isAbove(taken, stuck + 50)
      yield* wire.stall
      yield* settle
      yield* wire.cut
      assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "ConnectionClosed")
    })
  )

  it.scoped("pieces of any size make one message at the other end", () =>
    Effect.gen(function* () {
      const size = 3_000_000
      const message = Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >>> 10)) & 0xff)
      const cuts = [0, 0, 1, 126, 70_000, 65_536 + 70_000, 300_000, 1_300_000, size]
      const pieces = cuts.slice(1).map((to, i) => message.subarray(cuts[i], to))
      const connection = yield* Testing.connect((connection) => connection.receive, {
        server: { maxMessageSize: size }
      })
      const ours = yield* Testing.connect((connection) => connection.sendFragments(Stream.fromIterable(pieces)), {
        client: { maxMessageSize: size }
      })
      assert.isTrue(hex(yield* ours.receiveBytes) === hex(message))
      yield* connection.sendFragments(Stream.fromIterable(pieces))
      // The handler takes it and returns; one byte more would have been too much.
      assert.isTrue(ConnectionClosed.isClean(yield* connection.closed))
    })
  )
})
