import { Context, Effect, Layer, type Scope } from "effect"
import {
  type ConcurrencyError,
  Connection,
  type ConnectionClosed,
  type ConnectionRegistry,
  type HandshakeError,
  type InvalidUri,
  type ListenError,
  type ProxyError,
  Resume,
  type Transport,
  type TransportError,
  type WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { describe, expect, it } from "tstyche"

class Principal extends Context.Tag("Principal")<Principal, { readonly name: string }>() {}
class Database extends Context.Tag("Database")<Database, { readonly find: Effect.Effect<string> }>() {}

type Server = WebSocketServer.WebSocketServer | ConnectionRegistry.ConnectionRegistry

const handler = Resume.handler((connection) =>
  Effect.gen(function* () {
    const { name } = yield* Principal
    yield* Effect.addFinalizer(() => Effect.void)
    yield* connection.send(`${name} ${yield* Effect.flatMap(Database, ({ find }) => find)}`)
  })
)

describe("C8: a session's handler", () => {
  it("is a connection's, which needs sessions", () => {
    expect(handler).type.toBe<
      (
        connection: Connection.Connection
      ) => Effect.Effect<void, ConnectionClosed.ConnectionClosed, Resume.Sessions | Principal | Database>
    >()
  })

  it("needs what tells its owner, which has no error", () => {
    const owner = Effect.map(Principal, ({ name }) => name)
    const owned = Resume.handler((connection) => connection.closed, { owner })
    expect(owned).type.toBe<
      (
        connection: Connection.Connection
      ) => Effect.Effect<void, ConnectionClosed.ConnectionClosed, Resume.Sessions | Principal>
    >()
    expect(Resume.handler).type.not.toBeCallableWith(() => Effect.void, { owner: Effect.fail("nobody") })
  })

  it("has a scope, and what the request hook gives", () => {
    const layer = WebSocketServer.layer(handler, {
      subprotocols: [Resume.subprotocol],
      onRequest: () => Effect.succeed(Context.make(Principal, { name: "Ada" }))
    })
    expect(layer.pipe(Layer.provide(Resume.layer()))).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Database>
    >()
  })

  it("reads as from a connection, and so can one for connections that asks for no more", () => {
    const echo = (connection: Pick<Connection.Connection, typeof Connection.TypeId | "send">) =>
      Connection.runForEach(connection, (message) => connection.send(message))
    expect(Resume.handler).type.toBeCallableWith(echo)
    expect(WebSocketServer.layer).type.toBeCallableWith(echo)
    expect(WebSocketServer.layer).type.not.toBeCallableWith(
      (connection: Resume.ResumableConnection) => connection.receive
    )
  })
})

describe("C8: a client's session", () => {
  it("fails as connecting does, and then as a connection does", () => {
    const connecting = Resume.connect("ws://localhost")
    expect(connecting).type.toBe<
      Effect.Effect<
        Resume.ResumableConnection,
        InvalidUri | HandshakeError | TransportError | ProxyError | ConnectionClosed.ConnectionClosed,
        WebSocketClient.WebSocketClient | Scope.Scope
      >
    >()
    expect(Effect.flatMap(connecting, ({ receive }) => receive)).type.toBe<
      Effect.Effect<
        Connection.Message,
        | InvalidUri
        | HandshakeError
        | TransportError
        | ProxyError
        | ConnectionClosed.ConnectionClosed
        | ConcurrencyError,
        WebSocketClient.WebSocketClient | Scope.Scope
      >
    >()
  })

  it("has the subprotocol of sessions, and no other", () => {
    expect(Resume.connect).type.not.toBeCallableWith("ws://localhost", { subprotocols: ["chat"] })
  })
})
