import { type HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Config, type ConfigError, Context, Data, Effect, Layer, Option, Redacted, Schema, type Scope } from "effect"
import {
  BasicAuth,
  type ConcurrencyError,
  Connection,
  type ConnectionClosed,
  ConnectionRegistry,
  type HandshakeError,
  type InvalidUri,
  type ListenError,
  type ProxyError,
  Router,
  type Transport,
  type TransportError,
  type Unsupported,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { BrowserWebSocket } from "effect-websockets/browser"
import {
  type CertificateError,
  NodeConnector,
  NodeListener,
  NodeProxy,
  runMain,
  TlsContext
} from "effect-websockets/node"
import { Testing } from "effect-websockets/testing"
import { describe, expect, it } from "tstyche"
import { WebSocket as UndiciWebSocket } from "undici"
import { WebSocket as WsWebSocket } from "ws"

class Principal extends Context.Tag("Principal")<Principal, { readonly name: string }>() {}
class Room extends Context.Tag("Room")<Room, { readonly name: string }>() {}
class Database extends Context.Tag("Database")<
  Database,
  { readonly find: (name: string) => Effect.Effect<string> }
>() {}
class Sessions extends Context.Tag("Sessions")<
  Sessions,
  { readonly check: (token: string) => Effect.Effect<string> }
>() {}
class Bored extends Data.TaggedError("Bored") {}

/** What every server's layer gives. */
type Server = WebSocketServer.WebSocketServer | ConnectionRegistry.ConnectionRegistry
type Receiving = ConnectionClosed.ConnectionClosed | ConcurrencyError

const plain = Effect.fn("plain")(function* (connection: Connection.Connection) {
  yield* connection.send(yield* connection.receive)
})

const greetPrincipal = (connection: Connection.Connection) =>
  Effect.flatMap(Principal, ({ name }) => connection.send(name))

const authenticate = () =>
  Effect.map(
    Effect.flatMap(Sessions, ({ check }) => check("token")),
    (name) => Context.make(Principal, { name })
  )

describe("a server's layer", () => {
  it("needs a listener, and nothing else for a plain handler", () => {
    expect(WebSocketServer.layer(plain)).type.toBe<Layer.Layer<Server, ListenError, Transport.Listener>>()
  })

  it("needs what its handler needs, whatever the handler gives and fails with", () => {
    const handler = (_: Connection.Connection) =>
      Effect.flatMap(Database, ({ find }) => Effect.zipRight(find("Ada"), Effect.fail(new Bored())))
    expect(WebSocketServer.layer(handler)).type.toBe<Layer.Layer<Server, ListenError, Transport.Listener | Database>>()
  })

  it("gives its handlers a scope and the registry", () => {
    const handler = (connection: Connection.Connection) =>
      Effect.gen(function* () {
        const { broadcast } = yield* ConnectionRegistry.ConnectionRegistry
        yield* Effect.addFinalizer(() => broadcast("gone"))
        yield* Effect.forkScoped(connection.send("later"))
      })
    expect(handler).type.toBe<
      (
        connection: Connection.Connection
      ) => Effect.Effect<void, never, ConnectionRegistry.ConnectionRegistry | Scope.Scope>
    >()
    expect(WebSocketServer.layer(handler)).type.toBe<Layer.Layer<Server, ListenError, Transport.Listener>>()
  })

  it("infers a handler and a hook that are written inline", () => {
    const layer = WebSocketServer.layer(
      (connection) => {
        expect(connection).type.toBe<Connection.Connection>()
        return connection.receiveText
      },
      {
        subprotocols: ["chat"],
        onRequest: (request) => {
          expect(request).type.toBe<HttpServerRequest.HttpServerRequest>()
          return Effect.void
        },
        selectSubprotocol: (offered) => {
          expect(offered).type.toBe<ReadonlyArray<string>>()
          return offered[0]
        }
      }
    )
    expect(layer).type.toBe<Layer.Layer<Server, ListenError, Transport.Listener>>()
  })

  it("H6: infers what an inline hook gives to an inline handler", () => {
    const layer = WebSocketServer.layer(
      (connection) => Effect.flatMap(Principal, ({ name }) => connection.send(name)),
      {
        onRequest: (request) =>
          request.headers["authorization"] === undefined
            ? Effect.fail(HttpServerResponse.empty({ status: 401 }))
            : Effect.succeed(Context.make(Principal, { name: "Ada" }))
      }
    )
    expect(layer).type.toBe<Layer.Layer<Server, ListenError, Transport.Listener>>()
  })

  it("H6: takes a hook that goes on, or answers", () => {
    const layer = WebSocketServer.layer(plain, {
      onRequest: ({ url }) =>
        Effect.sync(() =>
          url === "/page" ? HttpServerResponse.text("page") : url === "/" ? undefined : Context.empty()
        )
    })
    expect(layer).type.toBe<Layer.Layer<Server, ListenError, Transport.Listener>>()
  })

  it("H6: takes a hook that goes on with services, or answers", () => {
    const layer = WebSocketServer.layer(greetPrincipal, {
      onRequest: ({ url }) =>
        Effect.gen(function* () {
          if (url === "/page") return HttpServerResponse.text("page")
          return Context.make(Principal, { name: yield* Effect.succeed("Ada") })
        })
    })
    expect(layer).type.toBe<Layer.Layer<Server, ListenError, Transport.Listener>>()
  })

  it("H6: refuses a hook that goes on with services only sometimes: its handler would miss them", () => {
    const principal = Context.make(Principal, { name: "Ada" })
    expect(WebSocketServer.layer).type.not.toBeCallableWith(greetPrincipal, {
      onRequest: ({ url }: HttpServerRequest.HttpServerRequest) =>
        Effect.sync(() => (url === "/" ? principal : undefined))
    })
    const sometimes = () => Effect.sync((): Context.Context<Principal> | Context.Context<never> => principal)
    expect(WebSocketServer.layer(greetPrincipal, { onRequest: sometimes })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Principal>
    >()
  })

  it("H6: takes two services from one hook", () => {
    const handler = () => Effect.all([Principal, Room, Database])
    const layer = WebSocketServer.layer(handler, {
      onRequest: () =>
        Effect.succeed(Context.make(Principal, { name: "Ada" }).pipe(Context.add(Room, { name: "green" })))
    })
    expect(layer).type.toBe<Layer.Layer<Server, ListenError, Transport.Listener | Database>>()
  })

  it("H6: needs what its hook needs, also where the handler is given it", () => {
    expect(WebSocketServer.layer(greetPrincipal, { onRequest: authenticate })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Sessions>
    >()
    const renew = () => Effect.map(Principal, (principal) => Context.make(Principal, principal))
    expect(WebSocketServer.layer(greetPrincipal, { onRequest: renew })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Principal>
    >()
  })

  it("H6: gives its hook a scope and the registry", () => {
    const onRequest = () =>
      Effect.zipRight(
        Effect.addFinalizer(() => Effect.void),
        Effect.asVoid(ConnectionRegistry.ConnectionRegistry)
      )
    expect(WebSocketServer.layer(plain, { onRequest })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener>
    >()
  })

  it("H7: gives its response hook what its request hook gives, and needs the rest of what that needs", () => {
    const onUpgrade = (response: HttpServerResponse.HttpServerResponse) =>
      Effect.map(Effect.all([Principal, Database]), ([{ name }]) => HttpServerResponse.setHeader(response, "x", name))
    expect(WebSocketServer.layer(plain, { onRequest: authenticate, onUpgrade })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Database | Sessions>
    >()
    expect(WebSocketServer.layer(plain, { onUpgrade })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Database | Principal>
    >()
    expect(WebSocketServer.layer).type.not.toBeCallableWith(plain, { onUpgrade: () => Effect.void })
    // The request hook runs first: nobody has given it a principal yet.
    const onRequest = () => Effect.map(Principal, (principal) => Context.make(Principal, principal))
    expect(WebSocketServer.layer(greetPrincipal, { onRequest })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Principal>
    >()
  })

  it("H6: refuses a hook that fails with anything but a response, or gives anything else", () => {
    expect(WebSocketServer.layer).type.not.toBeCallableWith(plain, { onRequest: () => Effect.fail(new Bored()) })
    expect(WebSocketServer.layer).type.not.toBeCallableWith(plain, { onRequest: () => Effect.succeed(401) })
    expect(WebSocketServer.layer).type.not.toBeCallableWith(plain, { onRequests: () => Effect.void })
  })
})

describe("H6: a program that needs a principal", () => {
  const listen = Layer.provide(NodeListener.layer({ port: 0 }))

  it("does not run without a hook that gives one", () => {
    const without = WebSocketServer.layer(greetPrincipal).pipe(listen)
    expect(without).type.toBe<Layer.Layer<Server, ListenError, Principal>>()
    expect(runMain).type.not.toBeCallableWith(Layer.launch(without))
    const other = () => Effect.succeed(Context.make(Room, { name: "green" }))
    expect(runMain).type.not.toBeCallableWith(
      Layer.launch(WebSocketServer.layer(greetPrincipal, { onRequest: other }).pipe(listen))
    )
  })

  it("runs with one", () => {
    const onRequest = () => Effect.succeed(Context.make(Principal, { name: "Ada" }))
    const main = Layer.launch(WebSocketServer.layer(greetPrincipal, { onRequest }).pipe(listen))
    expect(main).type.toBe<Effect.Effect<never, ListenError>>()
    expect(runMain).type.toBeCallableWith(main)
  })

  it("is the same in memory", () => {
    expect(Testing.connect(greetPrincipal)).type.toBe<
      Effect.Effect<Connection.Connection, WebSocketClient.ConnectError | ListenError, Scope.Scope | Principal>
    >()
    expect(Testing.connect(greetPrincipal, { server: { onRequest: authenticate } })).type.toBe<
      Effect.Effect<Connection.Connection, WebSocketClient.ConnectError | ListenError, Scope.Scope | Sessions>
    >()
  })
})

describe("BasicAuth", () => {
  const greet = (connection: Connection.Connection) =>
    Effect.flatMap(BasicAuth.Principal, ({ username }) => connection.send(username))

  it("H8: gives its principal to the handler, which does not compile without", () => {
    expect(WebSocketServer.layer(greet)).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | BasicAuth.Principal>
    >()
    const onRequest = BasicAuth.make({ realm: "r", passwords: { ada: Redacted.make("x") } })
    expect(WebSocketServer.layer(greet, { onRequest })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener>
    >()
    expect(BasicAuth.make).type.not.toBeCallableWith({ realm: "r", passwords: { ada: "x" } })
  })

  it("H8: needs what its look-up needs, and gives the principal of a check of one's own", () => {
    const passwords = (name: string) =>
      Effect.flatMap(Database, ({ find }) => Effect.map(find(name), (text) => Option.some(Redacted.make(text))))
    expect(WebSocketServer.layer(greet, { onRequest: BasicAuth.make({ realm: "r", passwords }) })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Database>
    >()
    const onRequest = BasicAuth.makeWith({
      realm: "r",
      authenticate: ({ username, password }) => {
        expect(password).type.toBe<Redacted.Redacted<string>>()
        return Effect.as(Sessions, Option.some(Context.make(Principal, { name: username })))
      }
    })
    expect(WebSocketServer.layer(greetPrincipal, { onRequest })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Sessions>
    >()
  })
})

describe("Router", () => {
  const listen = Layer.provide(NodeListener.layer({ port: 0 }))

  it("H9: gives a handler the parameters that its path names, as texts", () => {
    Router.websocket("/chat/:room/users/:user", (connection, params) => {
      expect(connection).type.toBe<Connection.Connection>()
      expect(params).type.toBe<{ readonly room: string; readonly user: string }>()
      return Effect.void
    })
    Router.get("/files/:name.:extension/*", (request, params) => {
      expect(request).type.toBe<HttpServerRequest.HttpServerRequest>()
      expect(params).type.toBe<{ readonly name: string; readonly extension: string; readonly "*": string }>()
      return Effect.succeed(HttpServerResponse.empty())
    })
    expect<Router.ParamNames<"/a/:b(^\\d+$)/::c/:d-:e">>().type.toBe<"b" | "d" | "e">()
    expect<Router.Params<"/a/:b?">>().type.toBe<{ readonly b: string | undefined }>()
    expect<Router.ParamNames<"/a">>().type.toBe<never>()
    expect<Router.ParamNames<Router.Path>>().type.toBe<string>()
  })

  it("H9: gives a handler what a schema makes of the parameters", () => {
    const params = Schema.Struct({ room: Schema.String, seat: Schema.NumberFromString })
    Router.websocket("/:room/:seat", { params }, (connection, params) => {
      expect(connection).type.toBe<Connection.Connection>()
      expect(params).type.toBe<{ readonly room: string; readonly seat: number }>()
      return Effect.void
    })
    Router.http("POST")("/:room/:seat", { params }, (_, params) => {
      expect(params).type.toBe<{ readonly room: string; readonly seat: number }>()
      return Effect.succeed(HttpServerResponse.empty())
    })
    const wants = (_: Connection.Connection, __: { readonly seat: Date }) => Effect.void
    expect(Router.websocket).type.not.toBeCallableWith("/:room/:seat", { params }, wants)
  })

  it("H9: refuses a schema of parameters that the path does not have", () => {
    const params = Schema.Struct({ seat: Schema.NumberFromString })
    const handler = () => Effect.void
    expect(Router.websocket).type.toBeCallableWith("/:room/:seat", { params }, handler)
    expect(Router.websocket).type.not.toBeCallableWith("/:room", { params }, handler)
    expect(Router.websocket).type.not.toBeCallableWith("chat", handler)
    const numbers = Schema.Struct({ seat: Schema.Number })
    expect(Router.websocket).type.not.toBeCallableWith("/:seat", { params: numbers }, handler)
  })

  it("H9: needs what handlers, hooks and schemas of its routes need, less what the server and hooks give", () => {
    const Known = Schema.transformOrFail(Schema.String, Schema.String, {
      decode: (name) => Effect.flatMap(Database, ({ find }) => find(name)),
      encode: (name) => Effect.succeed(name)
    })
    const chat = Router.websocket(
      "/chat/:room",
      { params: Schema.Struct({ room: Known }), onRequest: authenticate },
      (connection) =>
        Effect.zipRight(
          Effect.addFinalizer(() => Effect.void),
          greetPrincipal(connection)
        )
    )
    expect(chat).type.toBe<Router.Route<Database | Sessions>>()
    const page = Router.get("/page", () => Effect.as(Room, HttpServerResponse.empty()))
    expect(page).type.toBe<Router.Route<Room>>()
    const router = Router.make(chat, page, Router.redirect("/", "/page"))
    expect(router).type.toBe<Router.Router<Database | Sessions | Room>>()
    expect(Router.layer(router).pipe(listen)).type.toBe<Layer.Layer<Server, ListenError, Database | Sessions | Room>>()
  })

  it("H9: is given services by a hook of the whole server", () => {
    const router = Router.make(Router.websocket("/", greetPrincipal))
    expect(Router.layer(router).pipe(listen)).type.toBe<Layer.Layer<Server, ListenError, Principal>>()
    expect(Router.layer(router, { onRequest: authenticate, caseSensitive: true }).pipe(listen)).type.toBe<
      Layer.Layer<Server, ListenError, Sessions>
    >()
  })

  it("H9: takes no page that fails with anything but a response", () => {
    expect(Router.get).type.not.toBeCallableWith("/", () => Effect.fail(new Bored()))
  })
})

describe("L12: layerConfig", () => {
  it("takes settings as configuration and hooks as functions", () => {
    const layer = WebSocketServer.layerConfig(
      greetPrincipal,
      {
        maxMessageSize: Config.integer("MAX"),
        openTimeout: Config.duration("OPEN"),
        subprotocols: Config.array(Config.string(), "SUBPROTOCOLS"),
        origins: Config.succeed([/^https:/, null])
      },
      { onRequest: authenticate }
    )
    expect(layer).type.toBe<Layer.Layer<Server, ListenError | ConfigError.ConfigError, Transport.Listener | Sessions>>()
    expect(WebSocketServer.layerConfig(plain, Config.all({ maxFrameSize: Config.integer("MAX") }))).type.toBe<
      Layer.Layer<Server, ListenError | ConfigError.ConfigError, Transport.Listener>
    >()
  })

  it("takes no configuration of another type, and no hook among the settings", () => {
    expect(WebSocketServer.layerConfig).type.not.toBeCallableWith(plain, { maxMessageSize: Config.string("MAX") })
    expect(WebSocketServer.layerConfig).type.not.toBeCallableWith(plain, { maxMessageSize: 1024 })
    expect(WebSocketServer.layerConfig).type.not.toBeCallableWith(plain, { onRequest: authenticate })
    expect(WebSocketServer.layerConfig).type.not.toBeCallableWith(
      plain,
      {},
      { onRequest: Config.succeed(authenticate) }
    )
  })

  it("of a listener takes its key as it is configured, redacted", () => {
    const tls = { cert: Config.string("CERT"), key: Config.redacted("KEY") }
    expect(tls.key).type.toBe<Config.Config<Redacted.Redacted<string>>>()
    expect(NodeListener.layerConfig({ port: Config.port("PORT"), tls })).type.toBe<
      Layer.Layer<Transport.Listener, ConfigError.ConfigError>
    >()
  })
})

describe("L12: layerConfig of a connector", () => {
  it("takes its settings as they are configured, and its hooks as functions", () => {
    const settings = { host: Config.string("HOST"), tls: { ca: Config.string("CA"), key: Config.redacted("KEY") } }
    expect(NodeConnector.layerConfig(settings, { lookup: (_, __, done) => done(null, []) })).type.toBe<
      Layer.Layer<Transport.Connector, ConfigError.ConfigError>
    >()
    expect(NodeConnector.layerConfig).type.not.toBeCallableWith({ port: Config.string("PORT") })
  })
})

describe("a listener", () => {
  it("H1: that is several needs and fails with what each of them does", () => {
    const configured = NodeListener.layerConfig({ port: Config.port("PORT") })
    expect(NodeListener.merge(NodeListener.layer({ port: 0 }), NodeListener.layer({ path: "/run/x" }))).type.toBe<
      Layer.Layer<Transport.Listener>
    >()
    expect(NodeListener.merge(configured, NodeListener.layerTls({ port: 0 }))).type.toBe<
      Layer.Layer<Transport.Listener, ConfigError.ConfigError, TlsContext.TlsContext>
    >()
  })

  it("H13: for TLS needs a certificate, whose layer fails and needs what loading it does", () => {
    expect(NodeListener.layerTls({ port: 0 })).type.toBe<
      Layer.Layer<Transport.Listener, never, TlsContext.TlsContext>
    >()
    expect(NodeListener.layerTls).type.not.toBeCallableWith({ port: 0, tls: { key: "x" } })
    const load = Effect.map(Database, () => ({ cert: "", key: Redacted.make("") }))
    expect(TlsContext.layer(load)).type.toBe<Layer.Layer<TlsContext.TlsContext, CertificateError, Database>>()
    expect(TlsContext.layer).type.not.toBeCallableWith(Effect.succeed({ cert: "", key: "" }))
    expect(TlsContext.reload).type.toBe<Effect.Effect<void, CertificateError, TlsContext.TlsContext>>()
  })
})

describe("a server's limits and end", () => {
  it("H11: count connections by what the request hook gives", () => {
    const connectionKey = () => Effect.map(Principal, ({ name }) => name)
    expect(WebSocketServer.layer(plain, { maxConnectionsPerKey: 1, onRequest: authenticate, connectionKey })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Sessions>
    >()
    expect(WebSocketServer.layer(plain, { connectionKey })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Principal>
    >()
    expect(WebSocketServer.layer).type.not.toBeCallableWith(plain, { connectionKey: () => Effect.succeed(1) })
  })

  it("H12: are configured like the rest, and handlers find the signal of its stop", () => {
    const handler = () => Effect.flatten(WebSocketServer.Stopping)
    expect(WebSocketServer.layer(handler, { drain: {} })).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener>
    >()
    expect(WebSocketServer.layerConfig).type.toBeCallableWith(handler, {
      maxConnections: Config.integer("MAX"),
      drain: { timeout: Config.duration("DRAIN"), code: Config.succeed(1012 as const) }
    })
    expect(WebSocketServer.layer).type.not.toBeCallableWith(handler, { drain: { code: 1000 } })
  })
})

describe("a client", () => {
  it("fails to connect with four errors, and asks for a client and a scope", () => {
    expect(WebSocketClient.connect("ws://localhost")).type.toBe<
      Effect.Effect<
        Connection.Connection,
        InvalidUri | HandshakeError | TransportError | ProxyError,
        WebSocketClient.WebSocketClient | Scope.Scope
      >
    >()
    expect(WebSocketClient.connect).type.toBeCallableWith(new URL("ws://localhost"), { openTimeout: "1 second" })
    expect(WebSocketClient.connect).type.not.toBeCallableWith("ws://localhost", { opentimeout: 1 })
  })

  it("is made of a connector", () => {
    expect(WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))).type.toBe<
      Layer.Layer<WebSocketClient.WebSocketClient>
    >()
  })

  it("takes headers with one value or several, redacted or not", () => {
    const redacted = Redacted.make("secret")
    expect(WebSocketClient.connect).type.toBeCallableWith("ws://localhost", {
      headers: { a: "1", b: ["2", redacted], c: redacted },
      maxRedirects: 0
    })
    expect(WebSocketClient.connect).type.not.toBeCallableWith("ws://localhost", { headers: { a: 1 } })
  })

  it("takes for its TLS no option that would connect elsewhere or check nothing", () => {
    expect(NodeConnector.layerWith).type.toBeCallableWith({ tls: { ca: "PEM", key: Redacted.make("PEM") } })
    expect(NodeConnector.layerWith).type.not.toBeCallableWith({ tls: { host: "elsewhere" } })
    expect(NodeConnector.layerWith).type.not.toBeCallableWith({ tls: { rejectUnauthorized: false } })
  })

  it("goes through proxies by a layer below the connector, which may fail", () => {
    const via = <E>(proxy: Layer.Layer<never, E>) =>
      WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer), Layer.provide(proxy))
    expect(via(NodeProxy.layer(Redacted.make("http://user:secret@proxy:3128")))).type.toBe<
      Layer.Layer<WebSocketClient.WebSocketClient, ProxyError>
    >()
    expect(via(NodeProxy.layerEnvironment)).type.toBe<
      Layer.Layer<WebSocketClient.WebSocketClient, ProxyError | ConfigError.ConfigError>
    >()
    const own = Layer.succeed(NodeProxy.Proxy, {
      select: ({ secure }) => (secure ? Effect.succeedNone : Effect.asSome(NodeProxy.make("http://proxy:3128")))
    })
    expect(via(own)).type.toBe<Layer.Layer<WebSocketClient.WebSocketClient>>()
  })
})

describe("a client in a browser", () => {
  it("needs nothing, and takes any WebSocket that is like the standard's", () => {
    expect(BrowserWebSocket.layer()).type.toBe<Layer.Layer<WebSocketClient.WebSocketClient>>()
    expect(BrowserWebSocket.layer).type.toBeCallableWith({ webSocket: WebSocket, maxUnread: 1_048_576 })
    expect(BrowserWebSocket.layer).type.toBeCallableWith({ webSocket: UndiciWebSocket })
    expect(BrowserWebSocket.layer).type.toBeCallableWith({ webSocket: WsWebSocket })
    expect(BrowserWebSocket.layer).type.not.toBeCallableWith({ webSocket: EventTarget })
  })

  it("has a connection whose pings may be unsupported, as its type says", () => {
    expect<Effect.Effect.Error<Connection.Connection["ping"]>>().type.toBe<
      ConnectionClosed.ConnectionClosed | Unsupported
    >()
    expect<Connection.Connection["capabilities"]["ping"]>().type.toBe<boolean>()
  })
})

describe("runForEach", () => {
  const handle = (_: Connection.Message) => Effect.flatMap(Database, () => Effect.fail(new Bored()))

  it("is called with a connection, or piped to", () => {
    const run = (connection: Connection.Connection) => Connection.runForEach(connection, handle)
    const piped = Connection.runForEach(handle)
    expect<ReturnType<typeof run>>().type.toBe<Effect.Effect<void, Bored | Receiving, Database>>()
    expect(piped).type.toBe<(connection: Connection.Readable) => Effect.Effect<void, Bored | Receiving, Database>>()
  })

  it("infers the message in both forms", () => {
    const run = (connection: Connection.Connection) =>
      Connection.runForEach(connection, (message) => {
        expect(message).type.toBe<string | Uint8Array>()
        return connection.send(message)
      })
    expect<ReturnType<typeof run>>().type.toBe<Effect.Effect<void, Receiving>>()
    const piped = Connection.runForEach((message) => {
      expect(message).type.toBe<string | Uint8Array>()
      return Effect.void
    })
    expect(piped).type.toBe<(connection: Connection.Readable) => Effect.Effect<void, Receiving>>()
  })

  it("makes a handler", () => {
    expect(WebSocketServer.layer(Connection.runForEach(handle))).type.toBe<
      Layer.Layer<Server, ListenError, Transport.Listener | Database>
    >()
  })
})
