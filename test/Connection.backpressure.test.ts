import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Connection } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, plain, readBytes, settle } from "./support.js"

const kilobyte = new Uint8Array(1000)

/** A connection whose peer reads nothing, and which has sent as much as it may. */
const full = (options: Connection.ConnectionOptions = { sendHighWaterMark: 100_000 }) =>
  Effect.gen(function* () {
    const opened = yield* open("server", options)
    const { connection, wire } = opened
    yield* wire.stall
    let accepted = 0
    const filling = yield* Effect.fork(
      Effect.forever(Effect.tap(connection.send(kilobyte), () => Effect.sync(() => accepted++)))
    )
    yield* settle
    yield* Fiber.interrupt(filling)
    return { ...opened, accepted }
  })

/** Sends short texts, each in a fiber of its own, and notes in which order they are accepted. */
const sendEach = (connection: Connection.Connection, texts: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const accepted: Array<string> = []
    const fibers = yield* Effect.forEach(texts, (text) =>
      Effect.zipLeft(
        Effect.fork(Effect.tap(connection.send(text), () => Effect.sync(() => accepted.push(text)))),
        Effect.yieldNow()
      )
    )
    yield* settle
    return { accepted, fibers }
  })

describe("D4: sending to a peer that does not read", () => {
  it.scoped("suspends at sendHighWaterMark, and not before", () =>
    Effect.gen(function* () {
      const { connection, accepted } = yield* full()
      const buffered = yield* connection.bufferedAmount
      assert.isAtLeast(buffered, 100_000)
      // One message may exceed the mark; frames of 1,004 bytes each, and one write before the wire was seen to be full.
      assert.isBelow(buffered, 100_000 + 1004)
      assert.strictEqual(accepted, Math.ceil(100_000 / 1004))
    })
  )

  it.scoped("suspends at 262,144 bytes unless told otherwise", () =>
    Effect.gen(function* () {
      const { accepted } = yield* full({})
      assert.strictEqual(accepted, Math.ceil(262_144 / 1004))
    })
  )

  it.scoped("goes on in the order of the sends when the peer reads", () =>
    Effect.gen(function* () {
      const { connection, peer, wire, accepted: before } = yield* full()
      const { accepted } = yield* sendEach(connection, ["1", "2", "3"])
      assert.deepStrictEqual(accepted, [])
      yield* wire.flow
      const bytes = yield* readBytes(peer, before * 1004 + 9)
      assert.strictEqual(hex(bytes.subarray(-9)), hex(plain(Frame.text("1"), Frame.text("2"), Frame.text("3"))))
      yield* settle
      assert.deepStrictEqual(accepted, ["1", "2", "3"])
      assert.strictEqual(yield* connection.bufferedAmount, 0)
    })
  )

  it.scoped("a send that is interrupted while it waits is not sent", () =>
    Effect.gen(function* () {
      const { connection, peer, wire, accepted: before } = yield* full()
      const { accepted, fibers } = yield* sendEach(connection, ["1", "2", "3"])
      yield* Fiber.interrupt(fibers[1]!)
      yield* wire.flow
      const bytes = yield* readBytes(peer, before * 1004 + 6)
      assert.strictEqual(hex(bytes.subarray(-6)), hex(plain(Frame.text("1"), Frame.text("3"))))
      yield* settle
      assert.deepStrictEqual(accepted, ["1", "3"])
    })
  )

  it.scoped("all sends that wait fail with ConnectionClosed when the connection is cut", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* full()
      const { accepted, fibers } = yield* sendEach(connection, ["1", "2"])
      const large = yield* Effect.fork(connection.send(new Uint8Array(70_000)))
      const all = yield* Effect.fork(connection.sendAll(["3", "4"]))
      const pong = yield* Effect.fork(connection.pong())
      yield* settle
      assert.isNull(pong.unsafePoll())
      yield* wire.cut
      for (const fiber of [...fibers, large, all, pong]) {
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.strictEqual(error, yield* connection.closed)
      }
      assert.deepStrictEqual(accepted, [])
      assert.strictEqual(yield* connection.bufferedAmount, 0)
    })
  )

  it.scoped("sendAll waits at the mark too, and loses nothing on the way", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* open("server", { sendHighWaterMark: 10_000 })
      yield* wire.stall
      let taken = 0
      const texts = function* () {
        for (; taken < 1000; taken++) yield String(taken).padStart(500, ".")
      }
      const sending = yield* Effect.fork(connection.sendAll(texts()))
      yield* settle
      assert.isNull(sending.unsafePoll())
      assert.isAtMost(taken, 2 * Math.ceil(131_072 / 504))
      yield* wire.flow
      const bytes = yield* readBytes(peer, 1000 * 504)
      yield* Fiber.join(sending)
      for (let i = 0; i < 1000; i++) {
        const text = new TextDecoder().decode(bytes.subarray(i * 504 + 4, (i + 1) * 504))
        assert.strictEqual(text, String(i).padStart(500, "."))
      }
    })
  )

  it.scoped("one message may exceed the mark", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server", { sendHighWaterMark: 1 })
      const sending = yield* Effect.fork(connection.send(new Uint8Array(1_000_000)))
      assert.strictEqual((yield* readBytes(peer, 1_000_010)).length, 1_000_010)
      yield* Fiber.join(sending)
      yield* connection.send("a")
      yield* connection.send("b")
      assert.strictEqual(hex(yield* readBytes(peer, 6)), "810161810162")
    })
  )

  it.scoped("a Close still leaves, behind what was accepted", () =>
    Effect.gen(function* () {
      const { connection, peer, wire, accepted } = yield* full()
      const { fibers } = yield* sendEach(connection, ["never"])
      yield* Effect.fork(connection.close({ code: 4000, reason: "" }))
      yield* settle
      yield* wire.flow
      const bytes = yield* readBytes(peer, accepted * 1004 + 4)
      assert.strictEqual(hex(bytes.subarray(-4)), "88020fa0")
      yield* peer.write(masked(Frame.close({ code: 4000, reason: "" })))
      yield* peer.end
      assert.strictEqual((yield* Effect.flip(Fiber.join(fibers[0]!)))._tag, "ConnectionClosed")
    })
  )

  it.scoped("L1: above the mark only the newest ping is answered, when there is room", () =>
    Effect.gen(function* () {
      const { connection, peer, wire, accepted } = yield* full()
      // A stalled wire is stalled both ways: it flows again with a peer that does not read.
      for (let i = 0; i < 50; i++) yield* peer.write(masked(Frame.ping(Uint8Array.from([i]))))
      yield* peer.pause
      yield* wire.flow
      yield* settle
      const before = yield* connection.bufferedAmount
      assert.isAtLeast(before, 100_000)
      yield* peer.resume
      const bytes = yield* readBytes(peer, accepted * 1004 + 3)
      assert.strictEqual(hex(bytes.subarray(-3)), "8a0131")
      yield* settle
      assert.strictEqual(yield* connection.bufferedAmount, 0)
    })
  )
})

describe("D4: a handler that does not read", () => {
  it.scoped(
    "stops the reading at receiveHighWaterMark, each message charged 64 bytes, and taking starts it again",
    () =>
      Effect.gen(function* () {
        const { connection, peer, wire } = yield* open("server", { receiveHighWaterMark: 10_000 })
        // One write each, so that each may be the last that is read.
        for (let i = 0; i < 300; i++) yield* peer.write(masked(Frame.text("")))
        yield* peer.write(masked(Frame.ping()))
        yield* settle
        assert.strictEqual(hex(yield* wire.sentByServer), "")
        assert.strictEqual((yield* connection.receiveAll).length, Math.ceil(10_000 / 64))
        yield* settle
        assert.strictEqual(hex(yield* wire.sentByServer), "8a00")
        assert.strictEqual((yield* connection.receiveAll).length, 300 - Math.ceil(10_000 / 64))
      })
  )

  it.scoped("stops the reading at 262,144 bytes unless told otherwise", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      for (let i = 0; i < 5_000; i++) yield* peer.write(masked(Frame.text("")))
      yield* settle
      assert.strictEqual((yield* connection.receiveAll).length, 262_144 / 64)
    })
  )

  it.scoped("reading goes on when half of it has been taken", () =>
    Effect.gen(function* () {
      const { connection, peer, wire } = yield* open("server", { receiveHighWaterMark: 640 })
      for (let i = 0; i < 10; i++) yield* peer.write(masked(Frame.text("")))
      yield* peer.write(masked(Frame.ping()))
      yield* settle
      for (let i = 0; i < 4; i++) yield* connection.receive
      yield* settle
      assert.strictEqual(hex(yield* wire.sentByServer), "")
      yield* connection.receive
      yield* settle
      assert.strictEqual(hex(yield* wire.sentByServer), "8a00")
    })
  )

  it.scoped("is noticed by the sender at the other end, which waits in turn", () =>
    Effect.gen(function* () {
      const gate = yield* Effect.makeLatch()
      let received = 0
      const connection = yield* Testing.connect(
        (connection) => gate.whenOpen(Connection.runForEach(connection, () => Effect.sync(() => received++))),
        { server: { receiveHighWaterMark: 10_000 }, client: { sendHighWaterMark: 100_000 } }
      )
      let accepted = 0
      const sending = yield* Effect.fork(
        Effect.forever(Effect.tap(connection.send(kilobyte), () => Effect.sync(() => accepted++)))
      )
      yield* settle
      const stuck = accepted
      // What the two marks allow, and a write that was on its way.
      assert.isAtMost(stuck, 110 + 131)
      // Frames of 1,008 bytes: the mark was reached, though some may have left since, for which nobody is let in.
      assert.isAtLeast(stuck * 1008, 100_000)
      yield* gate.open
      // It goes on as long as the other end does.
      while (accepted < 10 * stuck) yield* settle
      yield* Fiber.interrupt(sending)
      yield* connection.close()
      assert.isAtMost(accepted - received, 1)
    })
  )

  it.scoped("one message may exceed the mark", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server", { receiveHighWaterMark: 1000 })
      yield* peer.write(masked(Frame.binary(new Uint8Array(100_000)), Frame.text("behind")))
      yield* settle
      assert.strictEqual((yield* connection.receiveBytes).length, 100_000)
      assert.strictEqual(yield* connection.receive, "behind")
    })
  )
})
