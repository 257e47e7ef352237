/**
 * A chat with typed messages, as somebody writes it who knows the README and
 * the declarations and nothing else: it is here to keep that possible.
 *
 * Everybody in a room hears who joins, speaks and leaves, for whatever cause.
 * A name is one client's, who has 10 seconds to choose it.
 *
 * `package.test.ts` compiles and runs it with the packed package alone.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { CloseCode, type Connection, ConnectionRegistry, Protocol, Router, SchemaConnection } from "effect-websockets"

/** What clients and the server say to each other. */
export const Chat = Protocol.make({
  client: Schema.Union(
    Schema.Struct({ type: Schema.Literal("join"), name: Schema.NonEmptyString }),
    Schema.Struct({ type: Schema.Literal("say"), text: Schema.String })
  ),
  server: Schema.Union(
    Schema.Struct({ type: Schema.Literal("joined"), name: Schema.String }),
    Schema.Struct({ type: Schema.Literal("said"), name: Schema.String, text: Schema.String }),
    Schema.Struct({ type: Schema.Literal("left"), name: Schema.String }),
    Schema.Struct({ type: Schema.Literal("refused"), reason: Schema.String })
  )
})

type FromServer = typeof Chat.server.Type

/** Who is where: for each room the connections by the names that they have taken. */
export class Rooms extends Context.Tag("Rooms")<Rooms, Map<string, Map<string, Connection.Connection>>>() {
  static readonly layer = Layer.sync(Rooms, () => new Map())
}

/** Tells everybody in a room. */
const tell = (room: string, message: FromServer) =>
  Effect.gen(function* () {
    const members = new Set((yield* Rooms).get(room)?.values())
    const registry = yield* ConnectionRegistry.ConnectionRegistry
    const encoded = yield* Effect.orDie(Protocol.encodeServer(Chat, message))
    yield* registry.broadcast(encoded, { to: (connection) => members.has(connection) })
  })

/** Takes a name in a room and tells everybody there, unless somebody else has it. */
const enter = (connection: Connection.Connection, room: string, name: string) =>
  Effect.gen(function* () {
    const rooms = yield* Rooms
    const members = rooms.get(room) ?? new Map<string, Connection.Connection>()
    if (members.has(name)) return false
    rooms.set(room, members.set(name, connection))
    yield* tell(room, { type: "joined", name })
    return true
  })

/** Gives it back, and tells those who stay. */
const leave = (room: string, name: string) =>
  Effect.gen(function* () {
    const rooms = yield* Rooms
    const members = rooms.get(room)
    members?.delete(name)
    if (members?.size === 0) rooms.delete(room)
    yield* tell(room, { type: "left", name })
  })

const chat = Effect.fn("chat")(function* (connection: Connection.Connection, { room }: { readonly room: string }) {
  const peer = SchemaConnection.server(connection, Chat, {
    invalid: "skip",
    onInvalid: (error, { send }) => send({ type: "refused", reason: error.message })
  })

  const join = Effect.gen(function* () {
    for (;;) {
      const message = yield* peer.receive
      if (message.type === "join") {
        const { name } = message
        const entered = yield* Effect.acquireRelease(enter(connection, room, name), (entered) =>
          Effect.when(leave(room, name), () => entered)
        )
        if (entered) return name
      }
      const reason = message.type === "join" ? `somebody else is ${message.name}` : "join first"
      yield* peer.send({ type: "refused", reason })
    }
  })

  const name = yield* Effect.timeoutOption(join, "10 seconds")
  if (Option.isNone(name)) {
    yield* connection.close({ code: CloseCode.PolicyViolation, reason: "join within 10 seconds" })
    return
  }
  yield* SchemaConnection.runForEach(peer, (message) =>
    message.type === "say"
      ? tell(room, { type: "said", name: name.value, text: message.text })
      : peer.send({ type: "refused", reason: "you have joined already" })
  )
})

/** The chat, wherever it listens. */
export const ChatServer = Router.layer(Router.make(Router.websocket("/rooms/:room", chat))).pipe(
  Layer.provide(Rooms.layer)
)
