import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Connection } from "effect-websockets"
import type { Testing } from "effect-websockets/testing"
import * as Registry from "../src/ConnectionRegistry.js"
import { LiveConnection } from "../src/liveConnection.js"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, settle } from "./support.js"

const kilobytes = (count: number) => new Uint8Array(count * 1000)

/** A registry by itself, and connections for it. */
const make = Effect.sync(() => {
  const registry = Registry.unsafeMake()
  const join = (role: Connection.Role = "server", options?: Connection.ConnectionOptions) =>
    Effect.map(open(role, options), (opened) => {
      assert(opened.connection instanceof LiveConnection)
      registry.add(opened.connection)
      return { ...opened, live: opened.connection }
    })
  return { ...registry, join }
})

describe("D4: a broadcast to a peer that does not read", () => {
  /** A connection whose wire holds 70 kB, and with 40 kB of broadcasts more than its mark of 100 kB. */
  const slow = (registry: Effect.Effect.Success<typeof make>) =>
    Effect.gen(function* () {
      const member = yield* registry.join("server", { sendHighWaterMark: 100_000 })
      yield* member.wire.stall
      for (const size of [70, 20, 20]) {
        assert.deepStrictEqual(yield* registry.service.broadcast(kilobytes(size)), { sent: 1, missed: [] })
        yield* settle
      }
      return member
    })

  /** The sizes of the messages that arrive once it reads again. */
  const sizesOf = ({ peer, wire }: { readonly peer: Testing.Peer; readonly wire: Testing.Wire }) =>
    Effect.gen(function* () {
      yield* wire.flow
      yield* settle
      const bytes = yield* peer.read
      const sizes: Array<number> = []
      for (let at = 0; at < bytes.length; ) {
        const short = bytes[at + 1]!
        const view = new DataView(bytes.buffer, bytes.byteOffset + at)
        const length = short < 126 ? short : short === 126 ? view.getUint16(2) : view.getUint32(6)
        sizes.push(length)
        at += Frame.headerSize(length) + length
      }
      return sizes
    })

  it.scoped("closes it with 1013 unless told otherwise", () =>
    Effect.gen(function* () {
      const registry = yield* make
      const member = yield* slow(registry)
      const other = yield* registry.join()
      assert.deepStrictEqual(yield* registry.service.broadcast("a"), { sent: 1, missed: [member.live] })
      assert.strictEqual((yield* member.connection.state)._tag, "Closing")
      assert.strictEqual(hex(yield* other.peer.read), "810161")
      const closing = yield* Effect.fork(member.connection.closed)
      yield* member.peer.write(masked(Frame.close({ code: 1013, reason: "" })))
      yield* member.wire.flow
      yield* member.peer.end
      assert.strictEqual(
        (yield* Fiber.join(closing)).message,
        "we closed with 1013 too slow for what is broadcast; peer closed with 1013"
      )
    })
  )

  it.scoped("waits for it with suspend, while everybody else has it", () =>
    Effect.gen(function* () {
      const registry = yield* make
      const member = yield* slow(registry)
      const other = yield* registry.join()
      const broadcast = yield* Effect.fork(registry.service.broadcast(kilobytes(1), { slowPeers: "suspend" }))
      yield* settle
      assert.strictEqual((yield* other.peer.read).length, 1004)
      assert.isNull(broadcast.unsafePoll())
      assert.deepStrictEqual(yield* sizesOf(member), [70_000, 20_000, 20_000, 1000])
      assert.deepStrictEqual(yield* Fiber.join(broadcast), { sent: 2, missed: [] })
    })
  )

  it.scoped("with suspend, one that ends meanwhile has missed it", () =>
    Effect.gen(function* () {
      const registry = yield* make
      const member = yield* slow(registry)
      const broadcast = yield* Effect.fork(registry.service.broadcast("a", { slowPeers: "suspend" }))
      yield* settle
      yield* member.wire.cut
      assert.deepStrictEqual(yield* Fiber.join(broadcast), { sent: 0, missed: [member.live] })
    })
  )

  it.scoped("with suspend, an interruption takes the message back where it waits", () =>
    Effect.gen(function* () {
      const registry = yield* make
      const member = yield* slow(registry)
      const broadcast = yield* Effect.fork(registry.service.broadcast(kilobytes(1), { slowPeers: "suspend" }))
      yield* settle
      yield* Fiber.interrupt(broadcast)
      assert.deepStrictEqual(yield* sizesOf(member), [70_000, 20_000, 20_000])
    })
  )

  it.scoped("leaves this message out with dropNewest", () =>
    Effect.gen(function* () {
      const registry = yield* make
      const member = yield* slow(registry)
      const report = yield* registry.service.broadcast(kilobytes(1), { slowPeers: "dropNewest" })
      assert.deepStrictEqual(report, { sent: 0, missed: [member.live] })
      assert.strictEqual((yield* member.connection.state)._tag, "Open")
      assert.deepStrictEqual(yield* sizesOf(member), [70_000, 20_000, 20_000])
    })
  )

  it.scoped("leaves the oldest out with dropOldest", () =>
    Effect.gen(function* () {
      const registry = yield* make
      const member = yield* slow(registry)
      const report = yield* registry.service.broadcast(kilobytes(21), { slowPeers: "dropOldest" })
      assert.deepStrictEqual(report, { sent: 1, missed: [] })
      assert.deepStrictEqual(yield* sizesOf(member), [70_000, 20_000, 21_000])
    })
  )

  it.scoped("leaves out as many as it takes to be below the mark, so that what waits does not grow", () =>
    Effect.gen(function* () {
      const registry = yield* make
      const member = yield* registry.join("server", { sendHighWaterMark: 100_000 })
      yield* member.wire.stall
      yield* registry.service.broadcast(kilobytes(70))
      yield* settle
      for (let i = 0; i < 40; i++) yield* registry.service.broadcast(kilobytes(1), { slowPeers: "dropOldest" })
      for (let i = 0; i < 40; i++) {
        const report = yield* registry.service.broadcast(kilobytes(50), { slowPeers: "dropOldest" })
        assert.deepStrictEqual(report, { sent: 1, missed: [] })
      }
      assert.isAtMost(yield* member.connection.bufferedAmount, 100_000 + 50_004)
    })
  )

  it.scoped("is noticed also where all broadcasts are made in one tick", () =>
    Effect.gen(function* () {
      const registry = yield* make
      const member = yield* registry.join("server", { sendHighWaterMark: 100_000 })
      yield* member.wire.stall
      let sent = 0
      for (let i = 0; i < 100; i++) {
        sent += (yield* registry.service.broadcast(kilobytes(50), { slowPeers: "dropNewest" })).sent
      }
      assert.strictEqual(sent, 3)
      assert.deepStrictEqual(yield* sizesOf(member), [50_000, 50_000, 50_000])
    })
  )

  it.scoped("with dropOldest, has missed this one where there is nothing to leave out", () =>
    Effect.gen(function* () {
      const registry = yield* make
      const member = yield* registry.join("server", { sendHighWaterMark: 100_000 })
      yield* member.wire.stall
      yield* Effect.fork(member.connection.send(kilobytes(120)))
      yield* settle
      const report = yield* registry.service.broadcast(kilobytes(1), { slowPeers: "dropOldest" })
      assert.deepStrictEqual(report, { sent: 0, missed: [member.live] })
      assert.deepStrictEqual(yield* sizesOf(member), [120_000])
    })
  )

  it.scoped("with dropOldest, takes nothing of what the connection has sent itself", () =>
    Effect.gen(function* () {
      const registry = yield* make
      const member = yield* slow(registry)
      const pong = member.connection.pong(Uint8Array.from([1]))
      // Above the mark it waits; what it makes of the broadcasts is seen when the wire flows.
      yield* Effect.fork(pong)
      yield* registry.service.broadcast(kilobytes(22), { slowPeers: "dropOldest" })
      assert.deepStrictEqual(yield* sizesOf(member), [70_000, 20_000, 22_000, 1])
    })
  )
})
