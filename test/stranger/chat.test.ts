import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Connection, SchemaConnection, WebSocketClient } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { Chat, ChatServer } from "./chat.js"

const Server = Testing.layerServer(ChatServer)

const dial = (room: string) => WebSocketClient.connect(`ws://memory/rooms/${room}`)

/** Joins, and hears that. */
const enter = (connection: Connection.Connection, name: string) =>
  Effect.gen(function* () {
    const client = SchemaConnection.client(connection, Chat)
    yield* client.send({ type: "join", name })
    assert.deepStrictEqual(yield* client.receive, { type: "joined", name })
    return client
  })

const join = (name: string, room = "lobby") => Effect.flatMap(dial(room), (connection) => enter(connection, name))

it.scoped("two clients talk, and a third in another room hears nothing of it", () =>
  Effect.gen(function* () {
    const ada = yield* join("Ada")
    const eve = yield* join("Eve", "cellar")
    const bob = yield* join("Bob")
    assert.deepStrictEqual(yield* ada.receive, { type: "joined", name: "Bob" })
    yield* ada.send({ type: "say", text: "Hello" })
    for (const client of [ada, bob]) {
      assert.deepStrictEqual(yield* client.receive, { type: "said", name: "Ada", text: "Hello" })
    }
    yield* eve.send({ type: "say", text: "Anybody?" })
    assert.deepStrictEqual(yield* eve.receive, { type: "said", name: "Eve", text: "Anybody?" })
  }).pipe(Effect.provide(Server))
)

it.scoped("a name is one client's, and free again when that has left", () =>
  Effect.gen(function* () {
    const ada = yield* join("Ada")
    const second = SchemaConnection.client(yield* dial("lobby"), Chat)
    yield* second.send({ type: "join", name: "Ada" })
    assert.deepStrictEqual(yield* second.receive, { type: "refused", reason: "somebody else is Ada" })
    yield* ada.raw.close()
    yield* Testing.settle
    yield* second.send({ type: "join", name: "Ada" })
    assert.deepStrictEqual(yield* second.receive, { type: "joined", name: "Ada" })
  }).pipe(Effect.provide(Server))
)

it.scoped("a peer whose wire is cut leaves", () =>
  Effect.gen(function* () {
    const ada = yield* join("Ada")
    const connection = yield* dial("lobby")
    yield* enter(connection, "Bob")
    assert.deepStrictEqual(yield* ada.receive, { type: "joined", name: "Bob" })
    const wire = yield* Testing.wireOf(connection)
    yield* wire.cut
    assert.deepStrictEqual(yield* ada.receive, { type: "left", name: "Bob" })
  }).pipe(Effect.provide(Server))
)

it.scoped("a client that has not joined after 10 seconds is closed with 1008, and not before", () =>
  Effect.gen(function* () {
    const connection = yield* dial("lobby")
    yield* Testing.pass("9999 millis")
    assert.strictEqual((yield* connection.state)._tag, "Open")
    yield* Testing.pass("1 millis")
    const { closure } = yield* connection.closed
    assert.deepStrictEqual(closure.received, { code: 1008, reason: "join within 10 seconds" })
  }).pipe(Effect.provide(Server))
)

it.scoped("a client that joins at the last moment stays", () =>
  Effect.gen(function* () {
    const connection = yield* dial("lobby")
    const client = SchemaConnection.client(connection, Chat)
    yield* Testing.pass("9999 millis")
    yield* client.send({ type: "join", name: "Ada" })
    yield* Testing.pass("1 minute")
    assert.deepStrictEqual(yield* client.receive, { type: "joined", name: "Ada" })
    assert.strictEqual((yield* connection.state)._tag, "Open")
  }).pipe(Effect.provide(Server))
)

it.scoped("an invalid message is refused, and the connection lives", () =>
  Effect.gen(function* () {
    const ada = yield* join("Ada")
    yield* ada.raw.send(`{ "type": "shout" }`)
    assert.strictEqual((yield* ada.receive).type, "refused")
    yield* ada.send({ type: "say", text: "sorry" })
    assert.deepStrictEqual(yield* ada.receive, { type: "said", name: "Ada", text: "sorry" })
  }).pipe(Effect.provide(Server))
)
