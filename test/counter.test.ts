import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel, Ref } from "effect"
import { type Connection, Protocol, SchemaConnection, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector } from "effect-websockets/node"
import { Testing } from "effect-websockets/testing"
import { Counter, count, counterServer, State } from "../examples/counter.js"

/** The counter's handler in memory and on sockets; its page is in samples.browser.test.ts. */

type Event = typeof Counter.server.Type

/** One tab: what it knows is what the latest event of each type has said. */
const tab = (connection: Connection.Connection) => {
  const counter = SchemaConnection.client(connection, Counter)
  /** Reads until an event is this one. */
  const until = (expected: Event) =>
    Effect.gen(function* () {
      for (;;) {
        const event = yield* counter.receive
        if (JSON.stringify(event) === JSON.stringify(expected)) return
      }
    })
  return {
    connection,
    press: (...actions: ReadonlyArray<"plus" | "minus">) => counter.sendAll(actions.map((action) => ({ action }))),
    users: (count: number) => until({ type: "users", count }),
    value: (value: number) => until({ type: "value", value }),
    event: counter.receive
  }
}

/** Tabs of a server in memory. */
const counting = Effect.gen(function* () {
  const errors = yield* Ref.make(0)
  const log = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel }) => {
      if (LogLevel.greaterThanEqual(logLevel, LogLevel.Warning)) Effect.runSync(Ref.update(errors, (n) => n + 1))
    })
  )
  const server = Layer.provide(WebSocketServer.layer(count), State.layer)
  const context = yield* Layer.build(
    Layer.merge(server, WebSocketClient.layer).pipe(Layer.provideMerge(Testing.layer), Layer.provide(log))
  )
  return {
    open: Effect.map(Effect.provide(WebSocketClient.connect("ws://memory"), context), tab),
    errors: Ref.get(errors)
  }
})

describe("S7, counter", () => {
  it.scoped("tells who comes how many there are and what the value is, and everybody what changes", () =>
    Effect.gen(function* () {
      const { open } = yield* counting
      const first = yield* open
      yield* first.users(1)
      const second = yield* open
      yield* first.users(2)
      yield* second.users(2)
      yield* first.press("plus", "plus", "minus", "plus")
      for (const tab of [first, second]) yield* tab.value(2)
      yield* second.press("minus", "minus", "minus")
      for (const tab of [first, second]) yield* tab.value(-1)
      const third = yield* open
      const events = [yield* third.event, yield* third.event]
      assert.sameDeepMembers(events, [
        { type: "users", count: 3 },
        { type: "value", value: -1 }
      ])
    })
  )

  it.scoped("tells who sends nonsense, and nobody else; the connection lives", () =>
    Effect.gen(function* () {
      const { errors, open } = yield* counting
      const [first, second] = [yield* open, yield* open]
      for (const tab of [first, second]) yield* tab.users(2)
      const error: Event = { type: "error", message: "an action is plus or minus" }
      for (const nonsense of [`{"action":"times"}`, "plus", Uint8Array.from([1])]) {
        yield* first.connection.send(nonsense)
        // Its first value may come before.
        const event = yield* first.event
        assert.deepStrictEqual(event.type === "value" ? yield* first.event : event, error)
      }
      yield* first.press("plus")
      yield* first.value(1)
      for (;;) {
        const event = yield* second.event
        assert.strictEqual(event.type, "value")
        if (event.type === "value" && event.value === 1) break
      }
      assert.strictEqual(yield* errors, 0)
    })
  )

  it.scoped("tells the others when somebody leaves, for whatever cause", () =>
    Effect.gen(function* () {
      const { errors, open } = yield* counting
      const stays = yield* open
      yield* stays.users(1)
      for (const leave of [
        (connection: Connection.Connection) => connection.close(),
        (connection: Connection.Connection) => connection.close({ code: 4000 }),
        (connection: Connection.Connection) => Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut)
      ]) {
        const { connection } = yield* open
        yield* stays.users(2)
        yield* leave(connection)
        yield* stays.users(1)
      }
      assert.strictEqual(yield* errors, 0)
    })
  )

  it.scopedLive("counts on sockets, and serves its page", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(
        Layer.merge(counterServer({ port: 0 }), WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer)))
      )
      const { address } = Context.get(context, WebSocketServer.WebSocketServer)
      const port = address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
      const open = Effect.map(
        Context.get(context, WebSocketClient.WebSocketClient).connect(`ws://localhost:${port}`),
        tab
      )
      const [first, second] = [yield* open, yield* open]
      for (const tab of [first, second]) yield* tab.users(2)
      yield* first.press("plus")
      for (const tab of [first, second]) yield* tab.value(1)
      yield* second.connection.close()
      yield* first.users(1)
      const page = yield* Effect.promise(async () => (await fetch(`http://localhost:${port}/`)).text())
      assert.match(page, /^<!doctype html>/)
      assert.notMatch(page, /innerHTML|https?:\/\/|src=/)
    })
  )

  it("has a protocol that a page can be checked against", () => {
    const { client, server } = Protocol.jsonSchema(Counter)
    assert.deepInclude(client, { type: "object", required: ["action"] })
    assert.deepInclude(server, { $schema: "http://json-schema.org/draft-07/schema#" })
  })
})
