import {
  type Channel,
  type Chunk,
  Context,
  Effect,
  type Layer,
  Match,
  ParseResult,
  Schema,
  type Scope,
  type Stream
} from "effect"
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
  type Transport,
  type WebSocketClient,
  WebSocketServer
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

  it("messages narrow by their tags, and to nothing where all are dealt with", () => {
    SchemaConnection.runForEach(server, (message) => {
      if (message._tag === "Say") {
        expect(message.at).type.toBe<Date>()
        expect(message).type.not.toHaveProperty("id")
        return server.send({ _tag: "Said", text: message.text })
      }
      expect(message).type.toBe<{ readonly _tag: "Who"; readonly id: number }>()
      return server.send({ _tag: "Names", to: message.id, names: [] })
    })
    const handling = Match.type<Effect.Effect.Success<typeof server.receive>>().pipe(
      Match.tag("Say", ({ text }) => text),
      Match.tag("Who", ({ id }) => id),
      Match.exhaustive
    )
    expect<ReturnType<typeof handling>>().type.toBe<string | number>()
  })

  it("what is written may be another type than what is on the wire, either way", () => {
    const Amount = Schema.Struct({ cents: Schema.NumberFromString, at: Schema.optional(Schema.DateFromNumber) })
    expect<typeof Amount.Encoded>().type.toBe<{ readonly cents: string; readonly at?: number | undefined }>()
    const bank = SchemaConnection.server(connection, Protocol.make({ client: Amount, server: Schema.BigInt }))
    expect(bank.receive).type.toBe<
      Effect.Effect<{ readonly cents: number; readonly at?: Date | undefined }, Receiving | DecodeError>
    >()
    expect(bank.send(1n)).type.toBe<Effect.Effect<void, Sending>>()
    expect(bank.send).type.not.toBeCallableWith("1")
    const customer = SchemaConnection.client(connection, Protocol.make({ client: Amount, server: Schema.BigInt }))
    expect(customer.send).type.toBeCallableWith({ cents: 5 })
    expect(customer.send).type.not.toBeCallableWith({ cents: "5" })
    expect<Effect.Effect.Success<typeof customer.receive>>().type.toBe<bigint>()
  })

  it("is made of any Schema<A, I, R>, also in code that is generic in it", () => {
    const typed = <A, I, R>(schema: Schema.Schema<A, I, R>) =>
      SchemaConnection.client(connection, Protocol.make({ client: Said, server: schema })).receive
    expect(typed(Schema.NumberFromString)).type.toBe<Effect.Effect<number, Receiving | DecodeError>>()
    expect(typed(Name)).type.toBe<Effect.Effect<string, Receiving | DecodeError, Database>>()
    expect(Protocol.make).type.not.toBeCallableWith({ client: Said, server: "a string" })
    expect(Protocol.make).type.not.toBeCallableWith({ client: Said })
  })

  it("is no server's handler without what its Schemas need", () => {
    const handler = (connection: Connection.Connection) =>
      SchemaConnection.runForEach(
        SchemaConnection.server(connection, Protocol.make({ client: Name, server: Said })),
        () => Effect.void
      )
    const layer = WebSocketServer.layer(handler)
    expect<Layer.Layer.Context<typeof layer>>().type.toBe<Transport.Listener | Database>()
    expect(layer).type.not.toBeAssignableTo<Layer.Layer<WebSocketServer.WebSocketServer, unknown, Transport.Listener>>()
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
    expect(client.ask).type.not.toBeCallableWith({ _tag: "Who", id: "1" })
    expect(client.ask).type.not.toBeCallableWith({ _tag: "Who", id: 1 }, { timeout: "soon" })
  })

  it("gives what narrows by its tag, and nothing that answers nobody", () => {
    Effect.map(client.ask({ _tag: "Who", id: 1 }), (answer) => {
      expect(answer).type.not.toBeAssignableFrom<typeof Said.Type>()
      if (answer._tag === "Names") expect(answer.names).type.toBe<ReadonlyArray<string>>()
      else expect(answer).type.toBe<typeof Nobody.Type>()
    })
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
