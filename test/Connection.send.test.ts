import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { Connection, Framing, type Transport } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { handlerScheduler } from "../src/handlerScheduler.js"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, plain, readBytes, replacing, settle } from "./support.js"

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

/** Bytes that differ from place to place. */
const patterned = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >>> 8)) & 0xff)

const sameKey = Framing.layer({ maskingKeys: () => 1 })

/** A stream that counts its writes. */
const counted = (stream: Transport.ByteStream) => {
  const writes: Array<string> = []
  const counting = replacing(stream, {
    write: (data) => {
      writes.push(hex(data))
      return stream.write(data)
    }
  })
  return { counting, writes }
}

const openCounted = Effect.gen(function* () {
  const { stream, peer, wire } = yield* Testing.makePair
  const { counting, writes } = counted(stream)
  const connection = yield* Connection.make("server", counting)
  yield* Effect.addFinalizer(() => wire.cut)
  return { connection, peer, writes }
})

describe("D1: send, on the wire", () => {
  const messages: ReadonlyArray<readonly [string, Connection.Message, Connection.SendOptions | undefined, string]> = [
    ["text", "Hello", undefined, "810548656c6c6f"],
    ["bytes", bytes(0, 255), undefined, "820200ff"],
    ["an empty text", "", undefined, "8100"],
    ["no bytes", bytes(), undefined, "8200"],
    ["text beyond ASCII", "é€😀", undefined, "8109c3a9e282acf09f9880"],
    ["text with lone surrogates, as U+FFFD", "\ud800a\udc00", undefined, "8107efbfbd61efbfbd"],
    ["text as text", "a", { type: "text" }, "810161"],
    ["bytes as binary", bytes(97), { type: "binary" }, "820161"],
    ["text as binary", "é", { type: "binary" }, "8202c3a9"],
    ["bytes as text", bytes(0xc3, 0xa9), { type: "text" }, "8102c3a9"],
    ["bytes as text, with their BOM", bytes(0xef, 0xbb, 0xbf), { type: "text" }, "8103efbbbf"],
    ["text with no type told", "a", { type: undefined }, "810161"]
  ]
  it.scoped.each(messages)("%s", ([, message, options, expected]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* connection.send(message, options)
      assert.strictEqual(hex(yield* peer.read), expected)
    })
  )

  it.scoped("a client masks, each frame with a key of its own", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("client")
      yield* connection.sendAll(["Hello", "", bytes(0, 0, 0, 0, 0)])
      assert.strictEqual(
        hex(yield* peer.read),
        // Keys 1, 2 and 3, the last byte of each being all of it.
        `8185000000014865 6c6d6f 818000000002 828500000003 0000000300`.replaceAll(" ", "")
      )
    }).pipe(Effect.provide(Testing.layerKeys))
  )

  it.scoped("bytes that are not UTF-8 are a defect as text, and the connection stays open", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const exit = yield* Effect.exit(connection.send(bytes(0xff), { type: "text" }))
      assert(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.include(Cause.pretty(exit.cause), "these bytes are not UTF-8 and cannot be sent as text")
      yield* connection.send("still open")
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.text("still open"))))
    })
  )

  it.scoped("sendAll keeps the order, and takes any iterable", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* connection.sendAll(new Set(["a", bytes(1), "b"]))
      yield* connection.sendAll([])
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.text("a"), Frame.binary(bytes(1)), Frame.text("b"))))
    })
  )

  it.scoped("functions may be taken off the connection", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const { send, sendAll, pong } = connection
      yield* Effect.forEach(["a", "b"], (message) => send(message))
      yield* sendAll(["c"])
      yield* pong()
      assert.strictEqual(hex(yield* peer.read), "810161810162810163" + "8a00")
    })
  )

  it.scoped("fails with ConnectionClosed once the connection is over", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* peer.end
      const closed = yield* connection.closed
      assert.strictEqual(yield* Effect.flip(connection.send("late")), closed)
      assert.strictEqual(yield* Effect.flip(connection.sendAll(["late"])), closed)
      assert.strictEqual(yield* Effect.flip(connection.pong()), closed)
      assert.strictEqual(yield* Effect.flip(connection.ping), closed)
    })
  )

  it.scoped("waits for the result while the closing handshake runs", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      yield* Effect.fork(connection.close())
      yield* settle
      const late = yield* Effect.fork(Effect.flip(connection.send("late")))
      yield* settle
      assert.isNull(late.unsafePoll())
      yield* peer.write(masked(Frame.close({ code: 1000, reason: "" })))
      yield* peer.end
      assert.strictEqual((yield* Fiber.join(late)).message, "we closed with 1000; peer closed with 1000")
    })
  )
})

describe("D2: what is sent in one tick leaves in one write", () => {
  it.scoped("many sends of one fiber", () =>
    Effect.gen(function* () {
      const { connection, writes } = yield* openCounted
      for (let i = 0; i < 100; i++) yield* connection.send("a")
      yield* connection.pong()
      yield* settle
      assert.deepStrictEqual(writes, [`${"810161".repeat(100)}8a00`])
    })
  )

  it.scoped("sends of several connections: one write each", () =>
    Effect.gen(function* () {
      const one = yield* openCounted
      const two = yield* openCounted
      yield* one.connection.send("a")
      yield* one.connection.send("b")
      yield* two.connection.send("c")
      yield* settle
      assert.deepStrictEqual(one.writes, ["810161810162"])
      assert.deepStrictEqual(two.writes, ["810163"])
    })
  )

  it.scoped("the answers of a server's handler to one chunk, pongs included", () =>
    Effect.gen(function* () {
      const { connection, peer, writes } = yield* openCounted
      const echo = Connection.runForEach(connection, connection.send)
      yield* Effect.fork(Effect.withScheduler(echo, handlerScheduler))
      yield* settle
      yield* peer.write(masked(Frame.text("a"), Frame.ping(bytes(7)), Frame.text("b")))
      yield* settle
      assert.deepStrictEqual(writes, ["8a0107" + "810161810162"])
    })
  )
})

describe("D1, D4: sizes", () => {
  const sizes = [125, 126, 65_521, 65_522, 65_535, 65_536, 65_537, 131_057, 131_058, 131_072, 131_073, 1_048_576]
  const roles = ["server", "client"] as const
  const cases = sizes.flatMap((size) => roles.map((role) => [role, size] as const))

  it.scoped.each(cases)("a %s's %s bytes arrive as they were, and stay so where they came from", ([role, size]) =>
    Effect.gen(function* () {
      const near = yield* Testing.makePair
      const sender = yield* open(role)
      const payload = patterned(size)
      const sending = yield* Effect.fork(
        Effect.zipRight(sender.connection.send(payload), sender.connection.send("behind"))
      )
      // What the sender's peer reads is given to a connection of the other role.
      const receiver = yield* Connection.make(role === "server" ? "client" : "server", near.stream)
      yield* Effect.addFinalizer(() => near.wire.cut)
      const overhead = Frame.headerSize(size) + 2 + "behind".length + (role === "client" ? 8 : 0)
      yield* near.peer.write(yield* readBytes(sender.peer, size + overhead))
      assert.isTrue(hex(yield* receiver.receiveBytes) === hex(payload))
      assert.strictEqual(yield* receiver.receive, "behind")
      yield* Fiber.join(sending)
      assert.isTrue(hex(payload) === hex(patterned(size)))
    })
  )

  const texts = [21_845, 43_686, 43_687, 65_536, 131_072, 349_525].flatMap((size) =>
    (["a", "é", "€"] as const).map((character) => [size, character] as const)
  )
  it.scoped.each(texts)("a text of %s times %s arrives as it was", ([size, character]) =>
    Effect.gen(function* () {
      const text = character.repeat(size)
      const connection = yield* Testing.connect((connection) => Connection.runForEach(connection, connection.send), {
        client: { maxMessageSize: 2_000_000 },
        server: { maxMessageSize: 2_000_000 }
      })
      yield* connection.send(text)
      assert.isTrue((yield* connection.receive) === text)
    })
  )

  it.scoped.each(roles)("a %s's payload up to 64 KiB may be changed as soon as send has completed", (role) =>
    Effect.gen(function* () {
      for (const size of [1, 1000, 65_536]) {
        const { connection, peer } = yield* open(role)
        const payload = patterned(size)
        yield* connection.send(payload)
        payload.fill(0)
        const expected =
          role === "server"
            ? Frame.serialize(Frame.binary(patterned(size)))
            : Frame.serialize(Frame.binary(patterned(size)), 1)
        assert.isTrue(hex(yield* readBytes(peer, expected.length)) === hex(expected))
      }
    }).pipe(Effect.provide(sameKey))
  )

  it.scoped("a server's larger payload too, and a client's, when send has completed", () =>
    Effect.gen(function* () {
      for (const role of roles) {
        const { connection, peer, wire } = yield* open(role)
        yield* wire.stall
        const payload = patterned(70_000)
        const sending = yield* Effect.fork(connection.send(payload))
        yield* settle
        // A client has copied it; a server sends from where it lies, and waits until that is done.
        assert.strictEqual(sending.unsafePoll() === null, role === "server")
        yield* wire.flow
        yield* Fiber.join(sending)
        payload.fill(0)
        const expected = Frame.serialize(Frame.binary(patterned(70_000)), role === "server" ? undefined : 1)
        assert.isTrue(hex(yield* readBytes(peer, expected.length)) === hex(expected))
      }
    }).pipe(Effect.provide(sameKey))
  )
})
