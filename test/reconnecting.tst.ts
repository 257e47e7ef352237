import { Context, Data, Effect, Schedule, type Scope, type Stream } from "effect"
import {
  type ConcurrencyError,
  Connection,
  type ConnectionClosed,
  type HandshakeError,
  type InvalidUri,
  type ProxyError,
  Reconnecting,
  type TransportError,
  type WebSocketClient
} from "effect-websockets"
import { describe, expect, it } from "tstyche"

class Tokens extends Context.Tag("Tokens")<Tokens, { readonly next: Effect.Effect<string, NoToken> }>() {}
class NoToken extends Data.TaggedError("NoToken") {}
class Bored extends Data.TaggedError("Bored") {}

type Lost = InvalidUri | HandshakeError | TransportError | ProxyError | ConnectionClosed.ConnectionClosed
type Client = WebSocketClient.WebSocketClient

const uri = "ws://localhost"
const target = Effect.flatMap(Tokens, ({ next }) => Effect.map(next, (token) => `${uri}/?token=${token}`))
const bore = (_: Connection.Connection) => Effect.fail(new Bored())

describe("C7: run", () => {
  it("fails as connecting does, and as its handler and its target do", () => {
    expect(Reconnecting.run(uri, ({ closed }) => closed)).type.toBe<Effect.Effect<void, Lost, Client>>()
    expect(Reconnecting.run(target, bore)).type.toBe<Effect.Effect<void, Lost | Bored | NoToken, Client | Tokens>>()
  })

  it("gives its handler a scope", () => {
    const handler = () => Effect.addFinalizer(() => Effect.void)
    expect(handler()).type.toBe<Effect.Effect<void, never, Scope.Scope>>()
    expect(Reconnecting.run(uri, handler)).type.toBe<Effect.Effect<void, Lost, Client>>()
  })

  it("infers the connection of an inline handler, and needs what that needs", () => {
    const program = Reconnecting.run(uri, (connection) => {
      expect(connection).type.toBe<Connection.Connection>()
      return Effect.zipRight(Tokens, Effect.fail(new Bored()))
    })
    expect(program).type.toBe<Effect.Effect<void, Lost | Bored, Client | Tokens>>()
  })

  it("takes a handler that is data-first or piped, as a server does", () => {
    const handle = (_: Connection.Message) => Effect.fail(new Bored())
    expect(Reconnecting.run(uri, Connection.runForEach(handle))).type.toBe<
      Effect.Effect<void, Lost | Bored | ConcurrencyError, Client>
    >()
    expect(Reconnecting.run).type.not.toBeCallableWith(uri, (_: Connection.Connection) => "no effect")
    expect(Reconnecting.run).type.not.toBeCallableWith(uri)
    expect(Reconnecting.run).type.not.toBeCallableWith(uri, (_: string) => Effect.void)
  })

  it("takes a URI, or an Effect of one with options, and nothing else", () => {
    const withOptions = Effect.succeed([uri, { headers: { authorization: "x" } }] as const)
    expect(Reconnecting.run).type.toBeCallableWith(withOptions, bore)
    expect(Reconnecting.run).type.toBeCallableWith(new URL(uri), bore)
    expect(Reconnecting.run).type.not.toBeCallableWith(Effect.succeed(80), bore)
    expect(Reconnecting.run).type.not.toBeCallableWith([uri, {}], bore)
  })

  it("is no program without a client, and without what its target needs", () => {
    const program = Reconnecting.run(target, ({ closed }) => closed)
    expect(program).type.not.toBeAssignableTo<Effect.Effect<void, unknown, Client>>()
    expect(program).type.not.toBeAssignableTo<Effect.Effect<void, unknown, Tokens>>()
  })

  it("asks isTransient about the target's failures too, which adds no error", () => {
    const program = Reconnecting.run(target, ({ closed }) => closed, {
      isTransient: (error) => error._tag === "NoToken" || Reconnecting.isTransient(error)
    })
    expect(program).type.toBe<Effect.Effect<void, Lost | NoToken, Client | Tokens>>()
  })

  it("takes a schedule for any error, and needs what that needs", () => {
    const program = Reconnecting.run(uri, ({ closed }) => closed, { schedule: Schedule.spaced("1 second") })
    expect(program).type.toBe<Effect.Effect<void, Lost, Client>>()
    const schedule = Schedule.tapOutput(Schedule.forever, () => Tokens)
    expect(Reconnecting.run(uri, ({ closed }) => closed, { schedule })).type.toBe<
      Effect.Effect<void, Lost, Client | Tokens>
    >()
    const forNumbers = Schedule.recurWhile((error: number) => error > 1)
    expect(Reconnecting.run).type.not.toBeCallableWith(uri, bore, { schedule: forNumbers })
  })
})

describe("C7: connections and messages", () => {
  it("are streams that fail as connecting does", () => {
    expect(Reconnecting.connections(uri)).type.toBe<Stream.Stream<Connection.Connection, Lost, Client>>()
    expect(Reconnecting.messages(target)).type.toBe<
      Stream.Stream<Connection.Message, Lost | NoToken | ConcurrencyError, Client | Tokens>
    >()
  })
})
