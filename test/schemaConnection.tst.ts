import { type Channel, type Chunk, Context, Effect, ParseResult, Schema, type Scope, type Stream } from "effect"
import {
  type AskTimeout,
  type ConcurrencyError,
  type Connection,
  type ConnectionClosed,
  type DecodeError,
  type EncodeError,
  Protocol,
  Resume,
  SchemaConnection,
  type WebSocketClient
} from "effect-websockets"
import { describe, expect, it } from "tstyche"

const Say = Schema.TaggedStruct("Say", { text: Schema.String, at: Schema.Date })
const Who = Schema.TaggedStruct("Who", { id: Schema.Number })
const Said = Schema.TaggedStruct("Said", { text: Schema.String })
const Names = Schema.TaggedStruct("Names", { to: Schema.Number, names: Schema.Array(Schema.String) })
const Nobody = Schema.TaggedStruct("Nobody", { to: Schema.Number })

const Chat = Protocol.make({
  client: Schema.Union(Say, Who),
  server: Schema.Union(Said, Names, Nobody),
  asks: { id: "id", answers: "to" }
})

type Receiving = ConnectionClosed.ConnectionClosed | ConcurrencyError
type Sending = ConnectionClosed.ConnectionClosed | EncodeError

declare const connection: Connection.Connection
const server = SchemaConnection.server(connection, Chat)
const client = SchemaConnection.client(connection, Chat)

class Database extends Context.Tag("Database")<Database, { readonly find: (id: number) => Effect.Effect<string> }>() {}
class Counter extends Context.Tag("Counter")<Counter, { readonly add: Effect.Effect<void> }>() {}

const Name = Schema.transformOrFail(Schema.Number, Schema.String, {
  decode: (id) => Effect.flatMap(Database, ({ find }) => find(id)),
  encode: () => ParseResult.succeed(0)
})

describe("D11: a protocol gives each end its types", () => {
  it("the server receives what clients send, the client what servers do", () => {
    expect(server.receive).type.toBe<
      Effect.Effect<
        | { readonly _tag: "Say"; readonly text: string; readonly at: Date }
        | { readonly _tag: "Who"; readonly id: number },
        Receiving | DecodeError
      >
    >()
    expect(client.messages).type.toBe<
      Stream.Stream<typeof Said.Type | typeof Names.Type | typeof Nobody.Type, Receiving | DecodeError>
    >()
  })

  it("each sends what is its own, and nothing else", () => {
    expect(server.send({ _tag: "Said", text: "a" })).type.toBe<Effect.Effect<void, Sending>>()
    expect(server.send).type.not.toBeCallableWith({ _tag: "Say", text: "a", at: new Date() })
    expect(client.send).type.toBeCallableWith({ _tag: "Say", text: "a", at: new Date() })
    expect(client.send).type.not.toBeCallableWith({ _tag: "Say", text: "a", at: "2026-01-01" })
    expect(client.sendAll).type.toBeCallableWith([{ _tag: "Who", id: 1 }])
  })

  it("runForEach infers the message and what is needed", () => {
    const run = SchemaConnection.runForEach(server, (message) => {
      expect(message).type.toBe<typeof Say.Type | typeof Who.Type>()
      return Effect.zipRight(Counter, Effect.fail("no" as const))
    })
    expect(run).type.toBe<Effect.Effect<void, Receiving | DecodeError | "no", Counter>>()
  })

  it("is a channel of what it receives and of what it sends", () => {
    expect(SchemaConnection.toChannel(server)).type.toBe<
      Channel.Channel<
        Chunk.Chunk<typeof Say.Type | typeof Who.Type>,
        Chunk.Chunk<typeof Said.Type | typeof Names.Type | typeof Nobody.Type>,
        Receiving | Sending | DecodeError,
        never,
        void,
        unknown
      >
    >()
  })

  it("is for sessions as well", () => {
    const session = Effect.map(Resume.connect("ws://localhost"), (session) => SchemaConnection.client(session, Chat))
    expect<Effect.Effect.Context<typeof session>>().type.toBe<WebSocketClient.WebSocketClient | Scope.Scope>()
    expect<Effect.Effect.Success<typeof session>>().type.toBe<typeof client>()
  })

  it("needs what its Schemas need, to receive and to send", () => {
    const named = SchemaConnection.server(connection, Protocol.make({ client: Name, server: Said }))
    expect(named.receive).type.toBe<Effect.Effect<string, Receiving | DecodeError, Database>>()
    expect(named.send({ _tag: "Said", text: "a" })).type.toBe<Effect.Effect<void, Sending, Database>>()
  })
})

describe("D11: ask", () => {
  it("takes what has an identifier, and gives what answers", () => {
    const asked = client.ask((id) => {
      expect(id).type.toBe<number>()
      return { _tag: "Who", id }
    })
    expect(asked).type.toBe<
      Effect.Effect<typeof Names.Type | typeof Nobody.Type, AskTimeout | Sending | Receiving | DecodeError>
    >()
    expect(client.ask).type.toBeCallableWith({ _tag: "Who", id: 1 }, { timeout: "1 second" })
    expect(client.ask).type.not.toBeCallableWith({ _tag: "Say", text: "a", at: new Date() })
  })

  it("is for nobody where nothing can be asked", () => {
    expect(server.ask).type.not.toBeCallableWith({ _tag: "Said", text: "a" })
    const silent = SchemaConnection.client(connection, Protocol.make({ client: Who, server: Names }))
    expect(silent.ask).type.not.toBeCallableWith({ _tag: "Who", id: 1 })
  })
})

describe("D11: what becomes of messages that are none", () => {
  it("only `fail` is a DecodeError for who receives", () => {
    const skipping = SchemaConnection.server(connection, Chat, { invalid: "skip" })
    expect<Effect.Effect.Error<typeof skipping.receive>>().type.toBe<Receiving>()
    const closing = SchemaConnection.server(connection, Chat, { invalid: "close", invalidCode: 4000 })
    expect<Effect.Effect.Error<typeof closing.receive>>().type.toBe<Receiving>()
    const failing = SchemaConnection.server(connection, Chat, { invalid: "fail" })
    expect<Effect.Effect.Error<typeof failing.receive>>().type.toBe<Receiving | DecodeError>()
    expect(SchemaConnection.server).type.not.toBeCallableWith(connection, Chat, { invalid: "ignore" })
  })

  it("a hook may answer, fail and need something", () => {
    const hooked = SchemaConnection.server(connection, Chat, {
      invalid: "skip",
      onInvalid: (error, peer) => {
        expect(error).type.toBe<DecodeError>()
        expect(peer.send).type.toBeCallableWith({ _tag: "Said", text: error.message })
        return Effect.zipRight(Counter, Effect.fail("enough" as const))
      }
    })
    expect(hooked.receive).type.toBe<Effect.Effect<typeof Say.Type | typeof Who.Type, Receiving | "enough", Counter>>()
  })
})
