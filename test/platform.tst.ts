import { createServer } from "node:http"
import {
  type Etag,
  type HttpPlatform,
  HttpRouter,
  HttpServer,
  type HttpServerError,
  type HttpServerRequest,
  type HttpServerResponse,
  Socket,
  type SocketServer
} from "@effect/platform"
import type { NodeContext } from "@effect/platform-node"
import { Config, type ConfigError, Context, Data, Effect, Layer, type Scope } from "effect"
import type {
  Connection,
  ConnectionRegistry,
  Transport,
  TransportError,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { PlatformHttpServer, PlatformSocket, PlatformSocketServer, PlatformWebSocket } from "effect-websockets/platform"
import { describe, expect, it } from "tstyche"

class Database extends Context.Tag("Database")<Database, { readonly find: Effect.Effect<string> }>() {}
class Principal extends Context.Tag("Principal")<Principal, { readonly name: string }>() {}
class Bored extends Data.TaggedError("Bored") {}

declare const socket: Socket.Socket
declare const connection: Connection.Connection

const ask = (connection: Connection.Connection) =>
  Effect.flatMap(Database, ({ find }) => Effect.flatMap(find, connection.send))

describe("D12: a connection and platform's Socket", () => {
  it("toConnection needs a scope and fails with TransportError", () => {
    expect(PlatformSocket.toConnection(socket)).type.toBe<
      Effect.Effect<Connection.Connection, TransportError, Scope.Scope>
    >()
    expect(PlatformSocket.toConnection).type.toBeCallableWith(socket, { role: "server", successCode: 1000 })
    expect(PlatformSocket.toConnection).type.not.toBeCallableWith(connection)
    // Nothing of a socket can be pinged or compressed, and no option says that it could.
    expect(PlatformSocket.toConnection).type.not.toBeCallableWith(socket, { pingInterval: "1 second" })
    expect(PlatformSocket.toConnection).type.not.toBeCallableWith(socket, { compression: {} })
  })

  it("fromConnection is the other way round, and needs nothing", () => {
    expect(PlatformSocket.fromConnection(connection)).type.toBe<Socket.Socket>()
    expect(PlatformSocket.toConnection).type.toBeCallableWith(PlatformSocket.fromConnection(connection))
    expect(PlatformSocket.fromConnection).type.not.toBeCallableWith(socket)
  })

  it("a socket that dials needs a client, and one that is made of anything what that needs, but the scope", () => {
    expect(PlatformSocket.make("ws://localhost")).type.toBe<
      Effect.Effect<Socket.Socket, never, WebSocketClient.WebSocketClient>
    >()
    expect(PlatformSocket.layer("ws://localhost")).type.toBe<
      Layer.Layer<Socket.Socket, never, WebSocketClient.WebSocketClient>
    >()
    const acquire = Effect.zipRight(
      Effect.addFinalizer(() => Effect.asVoid(Database)),
      Effect.as(Effect.fail(new Bored()), connection)
    )
    expect(PlatformSocket.fromConnect(acquire)).type.toBe<Effect.Effect<Socket.Socket, never, Database>>()
    expect(PlatformSocket.make).type.not.toBeCallableWith(Effect.fail(new Bored()))
  })

  it("handlers of a socket bring their errors and needs to its run", () => {
    const run = PlatformSocket.fromConnection(connection).runRaw((message) => {
      expect(message).type.toBe<string | Uint8Array>()
      return Effect.zipRight(Database, Effect.fail(new Bored()))
    })
    expect(run).type.toBe<Effect.Effect<void, Socket.SocketError | Bored, Database>>()
  })

  it("a constructor of WebSockets needs a client, and takes no subprotocols: whoever calls it gives them", () => {
    expect(PlatformWebSocket.layerConstructor()).type.toBe<
      Layer.Layer<Socket.WebSocketConstructor, never, WebSocketClient.WebSocketClient>
    >()
    expect(PlatformWebSocket.layerConstructor).type.not.toBeCallableWith({ subprotocols: ["chat"] })
    expect(Socket.makeWebSocket("ws://localhost").pipe(Effect.provide(PlatformWebSocket.layerConstructor()))).type.toBe<
      Effect.Effect<Socket.Socket, never, WebSocketClient.WebSocketClient>
    >()
  })
})

describe("D12: a server as platform's SocketServer", () => {
  type Given = SocketServer.SocketServer | WebSocketServer.WebSocketServer | ConnectionRegistry.ConnectionRegistry

  it("needs a listener, and fails as platform's", () => {
    expect(PlatformSocketServer.layer()).type.toBe<
      Layer.Layer<Given, SocketServer.SocketServerError, Transport.Listener>
    >()
  })

  it("needs what its request hook needs", () => {
    const onRequest = () => Effect.as(Database, Context.make(Principal, { name: "Ada" }))
    expect(PlatformSocketServer.layer({ onRequest })).type.toBe<
      Layer.Layer<Given, SocketServer.SocketServerError, Transport.Listener | Database>
    >()
    expect(PlatformSocketServer.layer).type.not.toBeCallableWith({ onRequest: () => Effect.fail(new Bored()) })
  })
})

describe("a server with routes", () => {
  type Served = HttpServer.HttpServer | ConnectionRegistry.ConnectionRegistry
  type All = Served | HttpPlatform.HttpPlatform | Etag.Generator | NodeContext.NodeContext

  it("gives an HttpServer and the registry, and fails where it cannot listen", () => {
    expect(PlatformHttpServer.layerServer(createServer, { port: 0 })).type.toBe<
      Layer.Layer<Served, HttpServerError.ServeError>
    >()
    expect(PlatformHttpServer.layer(createServer, { port: 0, openTimeout: "5 seconds", maxHandshakes: 10 })).type.toBe<
      Layer.Layer<All, HttpServerError.ServeError>
    >()
    expect(PlatformHttpServer.layer).type.not.toBeCallableWith(createServer(), { port: 0 })
  })

  it("L12: is configured, and fails with what is wrong about that", () => {
    expect(
      PlatformHttpServer.layerConfig(createServer, {
        port: Config.port("PORT"),
        openTimeout: Config.duration("OPEN"),
        upgrades: { maxMessageSize: Config.integer("MAX") }
      })
    ).type.toBe<Layer.Layer<All, HttpServerError.ServeError | ConfigError.ConfigError>>()
    expect(PlatformHttpServer.layerConfig).type.not.toBeCallableWith(createServer, { port: 8080 })
    expect(PlatformHttpServer.layerConfig).type.not.toBeCallableWith(createServer, { port: Config.string("PORT") })
  })

  it("is no program while a handler in one of its routes misses a service", () => {
    const app = HttpRouter.empty.pipe(HttpRouter.get("/ask", PlatformHttpServer.upgrade(ask)), HttpServer.serve())
    const listen = Layer.provide(PlatformHttpServer.layer(createServer, { port: 0 }))
    expect(app.pipe(listen)).type.toBe<Layer.Layer<never, HttpServerError.ServeError, Database>>()
    expect(app.pipe(listen)).type.not.toBeAssignableTo<Layer.Layer<never, HttpServerError.ServeError>>()
    const database = Layer.succeed(Database, { find: Effect.succeed("Ada") })
    expect(app.pipe(listen, Layer.provide(database))).type.toBe<Layer.Layer<never, HttpServerError.ServeError>>()
  })

  it("has a route that is as any other: what is provided to it is the handler's", () => {
    const route = PlatformHttpServer.upgrade(ask).pipe(Effect.provideService(Database, { find: Effect.succeed("Ada") }))
    expect(route).type.toBe<
      Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>
    >()
    expect(PlatformHttpServer.upgrade).type.not.toBeCallableWith((_: Connection.Connection) => "no effect")
    expect(PlatformHttpServer.upgrade).type.not.toBeCallableWith(ask, { onRequest: () => Effect.void })
  })
})
