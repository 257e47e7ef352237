import { assert, describe, it } from "@effect/vitest"
import { Outbox } from "../src/outbox.js"
import * as Frame from "../src/protocol/Frame.js"
import { FrameEncoder } from "../src/protocol/FrameEncoder.js"
import type { ByteStream, WriteResult } from "../src/Transport.js"
import { hex, plain } from "./support.js"

/** A transport that keeps what it is given, and says what a test tells it to. */
class FakeStream implements ByteStream {
  result: WriteResult = "sent"
  readonly writes: Array<string> = []
  /** What it was given without saying that it has sent it. */
  readonly queued: Array<Uint8Array> = []
  attach() {}
  write(bytes: Uint8Array): WriteResult {
    this.writes.push(hex(bytes))
    if (this.result !== "sent") this.queued.push(bytes)
    return this.result
  }
  pause() {}
  resume() {}
  bufferedAmount(): number {
    return this.queued.reduce((sum, { length }) => sum + length, 0)
  }
  end() {}
  destroy() {}
  remoteAddress() {
    return undefined
  }
  localAddress() {
    return undefined
  }
}

const make = (highWaterMark = 1000, role: Frame.Role = "server") => {
  const stream = new FakeStream()
  const outbox = new Outbox(stream, new FrameEncoder({ role, maskingKeys: () => 0 }), highWaterMark)
  /** The transport has sent everything. */
  const drain = () => {
    stream.queued.length = 0
    outbox.drained()
  }
  return { stream, outbox, drain }
}

const text = (message: string) => hex(plain(Frame.text(message)))
const microtask = () => new Promise<void>((resolve) => queueMicrotask(resolve))

describe("D4: what is sent", () => {
  it("leaves in a microtask, together, or at once when it is flushed", async () => {
    const { stream, outbox } = make()
    outbox.message("a")
    outbox.message("b")
    assert.deepStrictEqual(stream.writes, [])
    await microtask()
    assert.deepStrictEqual(stream.writes, [text("a") + text("b")])
    outbox.message("c")
    outbox.flush()
    assert.deepStrictEqual(stream.writes.slice(1), [text("c")])
    await microtask()
    assert.lengthOf(stream.writes, 2)
  })

  it("corked, leaves when that is over and not before", async () => {
    const { stream, outbox } = make()
    outbox.cork()
    outbox.message("a")
    await microtask()
    assert.deepStrictEqual(stream.writes, [])
    outbox.message("b")
    outbox.uncork()
    assert.deepStrictEqual(stream.writes, [text("a") + text("b")])
    outbox.cork()
    outbox.uncork()
    assert.lengthOf(stream.writes, 1)
  })

  it("lies in memory that passes from one outbox to another, and is written before", async () => {
    const one = make()
    const two = make()
    one.outbox.message("a")
    assert.strictEqual(one.outbox.bufferedAmount(), 3)
    two.outbox.message("b")
    assert.deepStrictEqual(one.stream.writes, [text("a")])
    assert.strictEqual(one.outbox.bufferedAmount(), 0)
    one.outbox.message("c")
    assert.deepStrictEqual(two.stream.writes, [text("b")])
    await microtask()
    assert.deepStrictEqual(one.stream.writes, [text("a"), text("c")])
    assert.lengthOf(two.stream.writes, 1)
  })

  it("is given away with its memory where the transport queues it", async () => {
    for (let round = 0; round < 40; round++) {
      const one = make(1_000_000)
      const two = make()
      one.stream.result = "queued"
      const message = String(round).repeat(4000)
      one.outbox.message(message)
      await microtask()
      two.outbox.message("x".repeat(9000))
      await microtask()
      // What others sent meanwhile lies elsewhere.
      assert.strictEqual(hex(one.stream.queued[0]!), text(message))
    }
  })

  it("more than the shared memory holds leaves in parts, in order", async () => {
    const { stream, outbox } = make(Number.POSITIVE_INFINITY)
    const messages = Array.from({ length: 30 }, (_, i) => String.fromCharCode(65 + i).repeat(10_000))
    for (const message of messages) outbox.message(message)
    await microtask()
    assert.isAbove(stream.writes.length, 1)
    assert.strictEqual(stream.writes.join(""), messages.map(text).join(""))
  })

  it("while the transport is congested, waits in memory of its own, which grows", async () => {
    const { stream, outbox, drain } = make(Number.POSITIVE_INFINITY)
    stream.result = "full"
    outbox.message("first")
    outbox.flush()
    const messages = ["a".repeat(4000), "b".repeat(4000), "c".repeat(20_000), "d"]
    for (const message of messages) outbox.message(message)
    await microtask()
    assert.lengthOf(stream.writes, 1)
    assert.strictEqual(outbox.bufferedAmount(), 7 + 4004 + 4004 + 20_004 + 3)
    stream.result = "sent"
    drain()
    assert.deepStrictEqual(stream.writes.slice(1), [messages.map(text).join("")])
    assert.strictEqual(outbox.bufferedAmount(), 0)
    outbox.message("e")
    await microtask()
    assert.deepStrictEqual(stream.writes.slice(2), [text("e")])
  })

  it("says where its memory is the transport's for a while", () => {
    const { stream, outbox } = make(Number.POSITIVE_INFINITY)
    const large = new Uint8Array(65_537)
    assert.isTrue(outbox.message(large))
    stream.result = "queued"
    assert.isTrue(outbox.message(new Uint8Array(65_536)))
    assert.isFalse(outbox.message(large))
    assert.isTrue(outbox.message("a".repeat(65_537)))
    assert.strictEqual(stream.queued.at(-3), large, "it goes out from where it lies")
    const client = make(Number.POSITIVE_INFINITY, "client")
    client.stream.result = "queued"
    assert.isTrue(client.outbox.message(large))
    assert.notStrictEqual(client.stream.queued.at(-1), large)
  })
})

describe("D4: whoever waits", () => {
  it("for room gets it in turn, and only as long as there is some", () => {
    const { stream, outbox, drain } = make(100)
    stream.result = "full"
    outbox.message("a".repeat(125))
    outbox.flush()
    assert.isTrue(outbox.isFull())
    assert.isFalse(outbox.isOpenForMessages)
    const order: Array<number> = []
    for (const i of [1, 2, 3, 4]) {
      const takeBack = outbox.onTurn(() => {
        order.push(i)
        outbox.message(new Uint8Array(60))
        outbox.flush()
      })
      if (i === 2) takeBack()
    }
    assert.deepStrictEqual(order, [])
    drain()
    // The second that gets its turn fills it again.
    assert.deepStrictEqual(order, [1, 3])
    drain()
    drain()
    assert.deepStrictEqual(order, [1, 3, 4])
  })

  it("for the transport to drain is told when it has, and can give up", () => {
    const { stream, outbox, drain } = make()
    stream.result = "queued"
    outbox.message("a")
    outbox.flush()
    const told: Array<number> = []
    outbox.onDrain(() => told.push(1))
    const takeBack = outbox.onDrain(() => told.push(2))
    takeBack()
    outbox.message("b")
    drain()
    assert.deepStrictEqual(told, [], "what was added meanwhile is on its way now")
    drain()
    assert.deepStrictEqual(told, [1])
    drain()
    assert.deepStrictEqual(told, [1])
  })

  it("behind a lock gets its turn when it is taken off; who has the lock goes on when there is room", () => {
    const { stream, outbox, drain } = make(100)
    const order: Array<string> = []
    outbox.lock()
    assert.isFalse(outbox.isFree)
    outbox.onTurn(() => order.push("message"))
    outbox.onRoom(() => order.push("fragment"))
    stream.result = "full"
    outbox.frame(Frame.Opcode.Text, false, "a".repeat(125))
    outbox.flush()
    drain()
    assert.deepStrictEqual(order, ["fragment"])
    const takeBack = outbox.onRoom(() => order.push("never"))
    takeBack()
    drain()
    outbox.unlock()
    assert.deepStrictEqual(order, ["fragment", "message"])
    assert.isTrue(outbox.isOpenForMessages)
  })

  it("learns of the end, and nothing is kept", () => {
    const { stream, outbox } = make(10)
    stream.result = "full"
    outbox.message("aaaaaaaaaa")
    outbox.flush()
    const told: Array<string> = []
    outbox.onTurn(() => told.push("turn"))
    outbox.onDrain(() => told.push("drain"))
    outbox.lock()
    outbox.onRoom(() => told.push("room"))
    outbox.pong(Uint8Array.from([1]))
    outbox.frames(plain(Frame.text("b")))
    outbox.end()
    assert.sameMembers(told, ["turn", "drain", "room"])
    stream.queued.length = 0
    assert.strictEqual(outbox.bufferedAmount(), 0)
    outbox.drained()
    assert.lengthOf(stream.writes, 1)
  })

  it("the end of an outbox that has something in the shared memory leaves nothing there", async () => {
    const { stream, outbox } = make()
    outbox.message("never sent")
    outbox.end()
    const other = make()
    other.outbox.message("a")
    await microtask()
    assert.deepStrictEqual(stream.writes, [])
    assert.deepStrictEqual(other.stream.writes, [text("a")])
  })
})

describe("D4: whole frames for many", () => {
  const frame = plain(Frame.text("all"))

  it("one alone is written from where it lies, several together", async () => {
    const { stream, outbox } = make()
    stream.result = "queued"
    outbox.frames(frame)
    assert.strictEqual(outbox.bufferedAmount(), frame.length)
    await microtask()
    assert.strictEqual(stream.queued[0], frame)
    const other = make()
    other.outbox.frames(frame)
    other.outbox.frames(frame)
    await microtask()
    assert.deepStrictEqual(other.stream.writes, [text("all").repeat(2)])
  })

  it("are dropped oldest first, down to the mark, while they have not left", () => {
    const { stream, outbox, drain } = make(20)
    stream.result = "full"
    assert.isFalse(outbox.dropOldest())
    outbox.frames(plain(Frame.text("0123456789")))
    outbox.flush()
    for (const message of ["a", "bb", "ccc"]) outbox.frames(plain(Frame.text(message)))
    assert.strictEqual(outbox.bufferedAmount(), 12 + 3 + 4 + 5)
    assert.isTrue(outbox.dropOldest())
    assert.isTrue(outbox.isFull() === false)
    // 24 without the 3 are still above 20, without the next 4 no more.
    assert.strictEqual(outbox.bufferedAmount(), 12 + 5)
    stream.result = "sent"
    drain()
    assert.deepStrictEqual(stream.writes.slice(1), [text("ccc")])
  })

  it("large ones keep their place among small ones and messages", async () => {
    const { stream, outbox, drain } = make(Number.POSITIVE_INFINITY)
    const large = plain(Frame.binary(new Uint8Array(70_000)))
    stream.result = "queued"
    outbox.message("1")
    outbox.frames(large)
    outbox.frames(frame)
    outbox.message("2")
    outbox.frames(frame)
    await microtask()
    drain()
    drain()
    const expected = text("1") + hex(large) + text("all") + text("2") + text("all")
    assert.isTrue(stream.writes.join("") === expected)
  })
})

describe("L1: a pong above the mark", () => {
  it("is kept back, the newest only, until there is room", () => {
    const { stream, outbox, drain } = make(5)
    outbox.pong(Uint8Array.from([0]))
    outbox.flush()
    assert.deepStrictEqual(stream.writes, ["8a0100"])
    stream.result = "full"
    outbox.message("aaaaa")
    outbox.flush()
    for (const i of [1, 2, 3]) outbox.pong(Uint8Array.from([i]))
    assert.strictEqual(outbox.bufferedAmount(), 7)
    stream.result = "sent"
    drain()
    assert.deepStrictEqual(stream.writes.slice(2), ["8a0103"])
  })
})
