import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Option, Queue, Stream } from "effect"
import { Connection, ConnectionRegistry, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Registry from "../src/ConnectionRegistry.js"
import { LiveConnection } from "../src/liveConnection.js"
import * as Frame from "../src/protocol/Frame.js"
import { hex, open, plain, readBytes, replacing, settle } from "./support.js"

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

describe("D9: the registry of a server", () => {
  it.scoped("has a connection from before its handler begins until nothing is left of it", () =>
    Effect.gen(function* () {
      const network = yield* Layer.build(Testing.layer)
      const atWork = yield* Queue.unbounded<readonly [number, boolean]>()
      const handler = (connection: Connection.Connection) =>
        Effect.gen(function* () {
          const registry = yield* ConnectionRegistry.ConnectionRegistry
          const found = yield* registry.get(connection.id)
          yield* Queue.offer(atWork, [yield* registry.size, Option.contains(found, connection)])
          yield* Effect.ignore(connection.receive)
        })
      const server = yield* Layer.build(Layer.provide(WebSocketServer.layer(handler), Layer.succeedContext(network)))
      const registry = Context.get(server, ConnectionRegistry.ConnectionRegistry)
      const changes = yield* Queue.unbounded<string>()
      yield* Effect.fork(
        Stream.runForEach(registry.changes, ({ _tag, connection }) => Queue.offer(changes, `${_tag} ${connection.id}`))
      )
      yield* settle
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, Layer.succeedContext(network)))
      const connect = Effect.provide(WebSocketClient.connect("ws://memory"), client)
      const first = yield* connect
      const second = yield* connect
      assert.deepStrictEqual(yield* Queue.takeN(atWork, 2).pipe(Effect.map((all) => [...all])), [
        [1, true],
        [2, true]
      ])
      const ids = (yield* registry.connections).map(({ id }) => id)
      assert.deepStrictEqual([...(yield* Queue.takeAll(changes))], [`Joined ${ids[0]}`, `Joined ${ids[1]}`])
      yield* first.close()
      yield* settle
      assert.deepStrictEqual([...(yield* Queue.takeAll(changes))], [`Left ${ids[0]}`])
      assert.isTrue(Option.isNone(yield* registry.get(ids[0]!)))
      assert.deepStrictEqual(
        (yield* registry.connections).map(({ id }) => id),
        [ids[1]]
      )
      yield* registry.closeAll({ code: 4000, reason: "enough" })
      assert.strictEqual(yield* registry.size, 0)
      assert.deepStrictEqual((yield* second.closed).closure.received, { code: 4000, reason: "enough" })
    })
  )

  it.scoped("tells each subscriber what changes from then on, and forgets who leaves", () =>
    Effect.gen(function* () {
      const { service, join, remove } = yield* make
      const subscribe = Effect.gen(function* () {
        const seen: Array<string> = []
        const fiber = yield* Effect.fork(
          Stream.runForEach(service.changes, ({ _tag }) => Effect.sync(() => seen.push(_tag)))
        )
        yield* settle
        return { seen, fiber }
      })
      const early = yield* subscribe
      const { live } = yield* join()
      yield* settle
      const late = yield* subscribe
      remove(live)
      remove(live)
      yield* settle
      yield* Fiber.interrupt(early.fiber)
      yield* join()
      yield* settle
      assert.deepStrictEqual(early.seen, ["Joined", "Left"])
      assert.deepStrictEqual(late.seen, ["Left", "Joined"])
    })
  )

  it.scoped("a subscriber that is more than 4,096 changes behind loses the oldest", () =>
    Effect.gen(function* () {
      const { service, join, add, remove } = yield* make
      const { live } = yield* join()
      remove(live)
      const begun = yield* Deferred.make<void>()
      const gate = yield* Effect.makeLatch()
      let seen = 0
      yield* Effect.fork(
        Stream.runForEach(service.changes, () => {
          seen++
          return Effect.zipRight(Deferred.succeed(begun, undefined), gate.await)
        })
      )
      yield* settle
      add(live)
      yield* Deferred.await(begun)
      for (let i = 0; i < 5000; i++) {
        remove(live)
        add(live)
      }
      yield* gate.open
      yield* settle
      assert.isAtLeast(seen, 4096)
      assert.isAtMost(seen, 4098)
    })
  )
})

describe("D8: broadcast", () => {
  it.scoped("sends the same bytes to everybody, text and binary, of any size", () =>
    Effect.gen(function* () {
      const { service, join } = yield* make
      const members = [yield* join(), yield* join(), yield* join()]
      const messages = ["all", Uint8Array.from([1]), "", "é".repeat(40_000), kilobytes(70)]
      for (const message of messages) {
        assert.deepStrictEqual(yield* service.broadcast(message), { sent: 3, missed: [] })
      }
      const expected = hex(
        plain(...messages.map((message) => (typeof message === "string" ? Frame.text(message) : Frame.binary(message))))
      )
      for (const { peer } of members) assert.isTrue(hex(yield* readBytes(peer, expected.length / 2)) === expected)
    })
  )

  it.scoped.each(["é".repeat(1_000), kilobytes(70)])("is encoded once: all are given the same memory", (message) =>
    Effect.gen(function* () {
      const { service, add } = yield* make
      const written: Array<Uint8Array> = []
      for (let i = 0; i < 3; i++) {
        const { stream, wire } = yield* Testing.makePair
        const recording = replacing(stream, {
          write: (data) => {
            written.push(data)
            return stream.write(data)
          }
        })
        const connection = yield* Connection.make("server", recording)
        assert(connection instanceof LiveConnection)
        add(connection)
        yield* Effect.addFinalizer(() => wire.cut)
      }
      yield* service.broadcast(message)
      yield* settle
      assert.strictEqual(written.length, 3)
      for (const bytes of written) assert.strictEqual(bytes, written[0])
    })
  )

  it.scoped("keeps its place among what a connection sends itself", () =>
    Effect.gen(function* () {
      const { service, join } = yield* make
      const { connection, peer } = yield* join()
      yield* connection.send("1")
      yield* service.broadcast("2")
      yield* connection.send("3")
      yield* service.broadcast("4")
      yield* service.broadcast("5")
      yield* connection.pong()
      const expected = plain(...["1", "2", "3", "4", "5"].map(Frame.text), Frame.pong())
      assert.strictEqual(hex(yield* peer.read), hex(expected))
    })
  )

  it.scoped("may be followed by a change of the caller's bytes", () =>
    Effect.gen(function* () {
      const { service, join } = yield* make
      const { peer, wire } = yield* join()
      yield* wire.stall
      for (const size of [10, 70_000]) {
        const bytes = new Uint8Array(size).fill(7)
        yield* service.broadcast(bytes)
        bytes.fill(0)
      }
      yield* wire.flow
      const expected = plain(Frame.binary(new Uint8Array(10).fill(7)), Frame.binary(new Uint8Array(70_000).fill(7)))
      assert.isTrue(hex(yield* readBytes(peer, expected.length)) === hex(expected))
    })
  )

  it.scoped("goes to those that `to` chooses", () =>
    Effect.gen(function* () {
      const { service, join } = yield* make
      const one = yield* join()
      const two = yield* join()
      const report = yield* service.broadcast("a", { to: ({ id }) => id === two.live.id })
      assert.deepStrictEqual(report, { sent: 1, missed: [] })
      assert.strictEqual(hex(yield* two.peer.read), "810161")
      assert.strictEqual(hex(yield* one.wire.sentByServer), "")
    })
  )

  it.scoped("skips those that are closing or closed", () =>
    Effect.gen(function* () {
      const { service, join } = yield* make
      const closing = yield* join()
      const closed = yield* join()
      yield* join()
      yield* Effect.fork(closing.connection.close())
      yield* closed.wire.cut
      yield* closed.connection.closed
      assert.deepStrictEqual(yield* service.broadcast("a"), { sent: 1, missed: [] })
      assert.strictEqual(hex(yield* closing.wire.sentByServer), "880203e8")
    })
  )

  it.scoped("is masked for each connection that is a client's, with its own key", () =>
    Effect.gen(function* () {
      const { service, join } = yield* make
      const { peer } = yield* Effect.provide(join("client"), Testing.layerKeys)
      yield* service.broadcast("\0\0\0\0")
      yield* service.broadcast("\0\0\0\0")
      assert.strictEqual(hex(yield* peer.read), "81840000000100000001" + "81840000000200000002")
    })
  )

  it.scoped.each(["server", "client"] as const)("waits behind a %s's message in fragments", (role) =>
    Effect.gen(function* () {
      const { service, join } = yield* make
      const { connection, peer } = yield* join(role)
      const other = yield* join()
      const source = yield* Queue.unbounded<string>()
      const sending = yield* Effect.fork(connection.sendFragments(Stream.fromQueue(source, { shutdown: true })))
      yield* Queue.offer(source, "a")
      yield* settle
      const broadcast = yield* Effect.fork(service.broadcast("b"))
      yield* settle
      assert.isNull(broadcast.unsafePoll())
      assert.strictEqual(hex(yield* other.peer.read), "810162")
      yield* Queue.shutdown(source)
      yield* Fiber.join(sending)
      assert.deepStrictEqual(yield* Fiber.join(broadcast), { sent: 2, missed: [] })
      yield* settle
      const expected = role === "server" ? "010161" + "8000" + "810162" : undefined
      const bytes = yield* peer.read
      if (expected !== undefined) assert.strictEqual(hex(bytes), expected)
      else assert.strictEqual(bytes.length, 7 + 6 + 7)
    })
  )
})

describe("D9: what a connection has of its own", () => {
  class User extends Context.Tag("User")<User, { readonly name: string }>() {}
  const nameOf = (connection: Connection.Connection) =>
    Option.map(Context.getOption(connection.context, User), ({ name }) => name)

  it.scoped("is found by who finds it in the registry, and chooses who gets a broadcast", () =>
    Effect.gen(function* () {
      const server = WebSocketServer.layer(({ closed }) => closed, {
        onRequest: ({ headers }) => Effect.succeed(Context.make(User, { name: headers["x-user"] ?? "nobody" }))
      })
      const context = yield* Layer.build(
        Layer.merge(server, WebSocketClient.layer).pipe(Layer.provideMerge(Testing.layer))
      )
      yield* Effect.gen(function* () {
        const [ada, bob] = yield* Effect.forEach(["Ada", "Bob"], (name) =>
          WebSocketClient.connect("ws://memory", { headers: { "X-User": name } })
        )
        const registry = yield* ConnectionRegistry.ConnectionRegistry
        // Options as such are all alike to the assertion.
        const names = (yield* registry.connections).map((connection) => Option.getOrNull(nameOf(connection)))
        assert.deepStrictEqual(names, ["Ada", "Bob"])
        const to = (connection: Connection.Connection) => Option.contains(nameOf(connection), "Bob")
        assert.strictEqual((yield* registry.broadcast("for Bob", { to })).sent, 1)
        assert.strictEqual(yield* bob!.receive, "for Bob")
        assert.isTrue(Option.isNone(nameOf(ada!)))
      }).pipe(Effect.provide(context))
    })
  )
})
