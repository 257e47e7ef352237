import { Context, Data, Effect, Schedule, type Scope, type Stream } from "effect"
import {
  type ConcurrencyError,
  type Connection,
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

  it("asks isTransient about the target's failures too, which adds no error", () => {
    const program = Reconnecting.run(target, ({ closed }) => closed, {
      isTransient: (error) => error._tag === "NoToken" || Reconnecting.isTransient(error)
    })
    expect(program).type.toBe<Effect.Effect<void, Lost | NoToken, Client | Tokens>>()
  })

  it("takes a schedule for any error, and needs what that needs", () => {
    const program = Reconnecting.run(uri, ({ closed }) => closed, { schedule: Schedule.spaced("1 second") })
    expect(program).type.toBe<Effect.Effect<void, Lost, Client>>()
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
