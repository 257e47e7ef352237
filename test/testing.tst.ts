import { Context, Effect, type Layer, type Scope } from "effect"
import {
  type Connection,
  type ConnectionRegistry,
  type ListenError,
  Router,
  type Transport,
  type WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { type Frame, Testing } from "effect-websockets/testing"
import { describe, expect, it } from "tstyche"

class Principal extends Context.Tag("Principal")<Principal, { readonly name: string }>() {}
class Database extends Context.Tag("Database")<Database, { readonly find: Effect.Effect<string> }>() {}
class Sessions extends Context.Tag("Sessions")<Sessions, { readonly check: Effect.Effect<string> }>() {}

const plain = (connection: Connection.Connection) => connection.send("a")
const greet = ({ send }: Connection.Connection) => Effect.flatMap(Principal, ({ name }) => send(name))
const look = ({ send }: Connection.Connection) => Effect.flatMap(Database, ({ find }) => Effect.flatMap(find, send))
const onRequest = () =>
  Effect.map(
    Effect.flatMap(Sessions, ({ check }) => check),
    (name) => Context.make(Principal, { name })
  )

type Failure = WebSocketClient.ConnectError | ListenError
type Network = Testing.Network | Transport.Listener | Transport.Connector
type Server = WebSocketServer.WebSocketServer | ConnectionRegistry.ConnectionRegistry

describe("L11: connect and connectPeer", () => {
  it("need a scope, and nothing else for a plain handler", () => {
    expect(Testing.connect(plain)).type.toBe<Effect.Effect<Connection.Connection, Failure, Scope.Scope>>()
    expect(Testing.connectPeer(plain)).type.toBe<Effect.Effect<Testing.Peer, Failure, Scope.Scope>>()
  })

  it("need what the handler needs, unless a hook gives it; and what the hook needs", () => {
    expect(Testing.connect(look)).type.toBe<Effect.Effect<Connection.Connection, Failure, Scope.Scope | Database>>()
    expect(Testing.connectPeer(look)).type.toBe<Effect.Effect<Testing.Peer, Failure, Scope.Scope | Database>>()
    expect(Testing.connectPeer(greet)).type.toBe<Effect.Effect<Testing.Peer, Failure, Scope.Scope | Principal>>()
    expect(Testing.connectPeer(greet, { server: { onRequest } })).type.toBe<
      Effect.Effect<Testing.Peer, Failure, Scope.Scope | Sessions>
    >()
  })

  it("take each end's options, and none that a peer of frames could not heed", () => {
    expect(Testing.connect).type.toBeCallableWith(plain, { client: { pingInterval: "1 second" }, target: "/a" })
    expect(Testing.connectPeer).type.toBeCallableWith(plain, { client: { subprotocols: ["a"] } })
    expect(Testing.connectPeer).type.not.toBeCallableWith(plain, { client: { pingInterval: "1 second" } })
    expect(Testing.connect).type.not.toBeCallableWith(plain, { faults: { delayed: 1 } })
    expect(Testing.connect).type.toBeCallableWith(plain, { faults: { delay: "1 second", toClient: { split: 1 } } })
  })
})

describe("L11: layerServer", () => {
  it("gives the server's services, a client and the network, and needs what the server needs beside them", () => {
    expect(Testing.layerServer(WebSocketServer.layer(look))).type.toBe<
      Layer.Layer<Server | WebSocketClient.WebSocketClient | Network, ListenError, Database>
    >()
    expect(Testing.layerServer(WebSocketServer.layer(greet, { onRequest }))).type.toBe<
      Layer.Layer<Server | WebSocketClient.WebSocketClient | Network, ListenError, Sessions>
    >()
    expect(Testing.layerServer(Router.layer(Router.make(Router.websocket("/", look))))).type.toBe<
      Layer.Layer<Server | WebSocketClient.WebSocketClient | Network, ListenError, Database>
    >()
  })

  it("takes a script, whose services are needed and whose scope is its own", () => {
    const script = (peer: Testing.Peer) =>
      Effect.zipRight(
        Effect.addFinalizer(() => peer.destroy),
        Effect.flatMap(Database, () => peer.receive)
      )
    expect(Testing.layerPeer(script)).type.toBe<Layer.Layer<never, ListenError, Transport.Listener | Database>>()
    expect(Testing.layerServer(Testing.layerPeer(script))).type.toBe<
      Layer.Layer<WebSocketClient.WebSocketClient | Network, ListenError, Database>
    >()
  })
})

describe("L11: a peer and its wire", () => {
  it("have nothing else than what a test needs, and fail where they say so", () => {
    expect(Testing.dial()).type.toBe<
      Effect.Effect<Testing.Peer, WebSocketClient.ConnectError, Transport.Connector | Scope.Scope>
    >()
    expect<Testing.Peer["receive"]>().type.toBe<Effect.Effect<Frame.Frame, Testing.EndOfStream>>()
    expect(Testing.request("/")).type.toBe<
      Effect.Effect<Testing.Page, WebSocketClient.ConnectError, Transport.Connector>
    >()
    expect(Testing.settle).type.toBe<Effect.Effect<void>>()
    expect(Testing.pass("1 second")).type.toBe<Effect.Effect<void>>()
  })

  it("a recording tells what it is by its tag", () => {
    const each = (recorded: Testing.Recorded) => (recorded._tag === "Frame" ? recorded.frame : undefined)
    expect(each).type.toBe<(recorded: Testing.Recorded) => Frame.Frame | undefined>()
  })

  it("atEveryByte fails and needs as its test does", () => {
    const test = () => Effect.flatMap(Database, () => Effect.fail("no" as const))
    expect(Testing.atEveryByte((splitAt) => ({ splitAt }), test)).type.toBe<Effect.Effect<number, "no", Database>>()
  })
})
