import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Config,
  ConfigProvider,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  FiberRef,
  Layer,
  Logger,
  LogLevel,
  Option,
  Ref,
  Scope,
  TestClock
} from "effect"
import {
  Connection,
  ConnectionClosed,
  ConnectionRegistry,
  type HandshakeError,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { accepting, settle } from "./support.js"

const echo = (connection: Connection.Connection) => Connection.runForEach(connection, connection.send)

class User extends Context.Tag("test/User")<User, { readonly name: string }>() {}

/** What the server logs of its own or its user's faults, as text. */
const logged = Effect.gen(function* () {
  const lines = yield* Ref.make<ReadonlyArray<string>>([])
  const logger = Logger.make(({ logLevel, message }) => {
    if (LogLevel.greaterThan(logLevel, LogLevel.Info)) {
      Effect.runSync(Ref.update(lines, (all) => [...all, String(message)]))
    }
  })
  return { lines: Ref.get(lines), layer: Logger.replace(Logger.defaultLogger, logger) }
})

describe("L5: a handler's end", () => {
  const ends: ReadonlyArray<readonly [string, number, Effect.Effect<unknown, unknown>, number]> = [
    ["returns", 1000, Effect.void, 0],
    ["is interrupted", 1001, Effect.interrupt, 0],
    ["fails", 1011, Effect.fail("broken"), 1],
    ["dies", 1011, Effect.die(new Error("bug")), 1]
  ]
  it.scoped.each(ends)("that %s closes the connection with %s", ([, code, end, lines]) =>
    Effect.gen(function* () {
      const log = yield* logged
      const connection = yield* Testing.connect(() => end).pipe(Effect.provide(log.layer))
      const closed = yield* connection.closed
      assert.deepStrictEqual(closed.closure.received, { code, reason: "" })
      assert.strictEqual((yield* log.lines).length, lines)
    })
  )

  it.scoped("that throws outside of its Effect is a defect", () =>
    Effect.gen(function* () {
      const log = yield* logged
      const connection = yield* Testing.connect((): Effect.Effect<void> => {
        throw new Error("no Effect")
      }).pipe(Effect.provide(log.layer))
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1011)
    })
  )

  it.scoped("by its connection's ConnectionClosed is a normal one and logs nothing", () =>
    Effect.gen(function* () {
      const log = yield* logged
      const connection = yield* Testing.connect(({ receive }) => Effect.forever(receive)).pipe(
        Effect.provide(log.layer)
      )
      yield* connection.close()
      yield* settle
      assert.deepStrictEqual(yield* log.lines, [])
    })
  )

  it.scoped("releases what it acquired, also before the connection's end is known to the peer", () =>
    Effect.gen(function* () {
      const events = yield* Ref.make<ReadonlyArray<string>>([])
      const note = (event: string) => Ref.update(events, (all) => [...all, event])
      const connection = yield* Testing.connect((connection) =>
        Effect.gen(function* () {
          yield* Effect.acquireRelease(note("acquired"), () => note("released"))
          yield* connection.receive
        })
      )
      yield* connection.send("go")
      yield* connection.closed
      assert.deepStrictEqual(yield* Ref.get(events), ["acquired", "released"])
    })
  )

  it.scoped("with a finalizer that dies is a fault of ours: 1011", () =>
    Effect.gen(function* () {
      const log = yield* logged
      const connection = yield* Testing.connect(() => Effect.addFinalizer(() => Effect.die("finalizer"))).pipe(
        Effect.provide(log.layer)
      )
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1011)
    })
  )

  it.scoped("does not come when the peer leaves: the handler finishes what it does", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const finished = yield* Deferred.make<string>()
      const connection = yield* Testing.connect((connection) =>
        Effect.gen(function* () {
          const order = yield* connection.receiveText
          yield* Deferred.await(gate)
          yield* Deferred.succeed(finished, `done: ${order}`)
        })
      )
      yield* connection.send("order")
      yield* settle
      yield* Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut)
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Deferred.await(finished), "done: order")
    })
  )
})

describe("H6: onRequest", () => {
  it.scoped("gives the connection's handler its own services", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(
        (connection) => Effect.flatMap(User, ({ name }) => connection.send(`Hello ${name}!`)),
        {
          server: {
            onRequest: (request) =>
              Effect.succeed(Context.make(User, { name: new URL(request.url, "http://x").searchParams.get("name")! }))
          },
          target: "/?name=Ada"
        }
      )
      assert.strictEqual(yield* connection.receive, "Hello Ada!")
    })
  )

  const answers: ReadonlyArray<
    readonly [
      string,
      () => Effect.Effect<HttpServerResponse.HttpServerResponse, HttpServerResponse.HttpServerResponse>,
      number,
      string
    ]
  > = [
    ["a response as value", () => Effect.succeed(HttpServerResponse.text("no", { status: 403 })), 403, "no"],
    ["a response as failure", () => Effect.fail(HttpServerResponse.text("who?", { status: 401 })), 401, "who?"],
    ["a defect", () => Effect.die(new Error("hook")), 500, "The server could not handle this request.\n"]
  ]
  it.scoped.each(answers)("answers with %s", ([, onRequest, status, body]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Testing.connect(echo, { server: { onRequest } }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
      )
      assert.strictEqual(error._tag, "HandshakeError")
      const { reason } = error as HandshakeError
      assert.strictEqual(reason._tag, "Rejected")
      if (reason._tag !== "Rejected") return
      assert.strictEqual(reason.response.status, status)
      assert.strictEqual(new TextDecoder().decode(reason.body), body)
    })
  )

  it.scoped("holds what it acquires until the connection is over", () =>
    Effect.gen(function* () {
      const held = yield* Ref.make(0)
      const connection = yield* Testing.connect(echo, {
        server: {
          onRequest: () =>
            Effect.asVoid(
              Effect.acquireRelease(
                Ref.update(held, (n) => n + 1),
                () => Ref.update(held, (n) => n - 1)
              )
            )
        }
      })
      yield* connection.send("x")
      yield* connection.receive
      assert.strictEqual(yield* Ref.get(held), 1)
      yield* connection.close()
      yield* settle
      assert.strictEqual(yield* Ref.get(held), 0)
    })
  )

  it.scoped("has openTimeout for a WebSocket, and is interrupted then", () =>
    Effect.gen(function* () {
      const interrupted = yield* Ref.make(false)
      const connecting = yield* Effect.fork(
        Effect.flip(
          Testing.connect(echo, {
            server: {
              openTimeout: "2 seconds",
              onRequest: () => Effect.onInterrupt(Effect.never, () => Ref.set(interrupted, true))
            }
          })
        )
      )
      yield* settle
      yield* TestClock.adjust("1999 millis")
      assert.isFalse(yield* Ref.get(interrupted))
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(connecting)
      assert.include(error.message, "status 503")
      assert.isTrue(yield* Ref.get(interrupted))
    })
  )

  it.scoped("is interrupted when the peer goes away", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const connecting = yield* Effect.fork(
        Testing.connect(echo, {
          server: { onRequest: () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined)) }
        })
      )
      yield* settle
      yield* Fiber.interruptFork(connecting)
      yield* Deferred.await(interrupted)
    })
  )
})

describe("H5: subprotocols", () => {
  it.scoped("the server's order decides", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(echo, {
        server: { subprotocols: ["b", "a"] },
        client: { subprotocols: ["a", "b"] }
      })
      assert.strictEqual(Option.getOrUndefined(connection.handshake.subprotocol), "b")
    })
  )

  it.scoped("selectSubprotocol chooses instead", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(echo, {
        server: { selectSubprotocol: (offered) => offered.at(-1) },
        client: { subprotocols: ["a", "b"] }
      })
      assert.strictEqual(Option.getOrUndefined(connection.handshake.subprotocol), "b")
    })
  )

  it.scoped("none in common is refused with 400", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Testing.connect(echo, { server: { subprotocols: ["a"] }, client: { subprotocols: ["b"] } })
      )
      assert.include(error.message, "status 400")
    })
  )
})

describe("H4: origins", () => {
  const cases: ReadonlyArray<readonly [string, string | undefined, WebSocketServer.ServerSettings, boolean]> = [
    ["of no page", undefined, {}, true],
    ["of its own host", "http://memory", {}, true],
    ["of another host", "http://evil.example", {}, false],
    ["of a file", "null", {}, false],
    ["of a file, where that is listed", "null", { origins: [null] }, true],
    ["that is listed", "https://app.example", { origins: ["https://app.example"] }, true],
    ["that only begins like a listed one", "https://app.example.evil", { origins: ["https://app.example"] }, false],
    ["of any page, if told so dangerously", "http://evil.example", { dangerouslyAcceptAnyOrigin: true }, true]
  ]
  it.scoped.each(cases)("a request %s", ([, origin, server, accepted]) =>
    Effect.gen(function* () {
      const result = yield* Effect.either(Testing.connect(echo, { server, client: { origin } }))
      assert.strictEqual(result._tag === "Right", accepted)
      if (result._tag === "Left") assert.include(result.left.message, "status 403")
    })
  )
})

describe("a stopping server", () => {
  const serving = <R>(
    layer: Layer.Layer<WebSocketServer.WebSocketServer | ConnectionRegistry.ConnectionRegistry, unknown, R>
  ) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const network = yield* Layer.build(Testing.layer)
      const services = Layer.succeedContext(network)
      const server = yield* Layer.buildWithScope(Layer.provide(layer, services), scope)
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, services))
      const connect = Effect.provide(WebSocketClient.connect("ws://memory"), client)
      return { scope, server, connect, network }
    })

  it.scoped("L5: closes all connections with 1001 and interrupts their handlers, whose finalizers run", () =>
    Effect.gen(function* () {
      const finalized = yield* Ref.make(0)
      const { scope, server, connect } = yield* serving(
        WebSocketServer.layer(() =>
          Effect.ensuring(
            Effect.never,
            Ref.update(finalized, (n) => n + 1)
          )
        )
      )
      const connections = yield* Effect.forEach([1, 2, 3], () => connect)
      const registry = Context.get(server, ConnectionRegistry.ConnectionRegistry)
      assert.strictEqual(yield* registry.size, 3)
      yield* Scope.close(scope, Exit.void)
      for (const connection of connections) {
        assert.strictEqual((yield* connection.closed).closure.received?.code, 1001)
      }
      assert.strictEqual(yield* Ref.get(finalized), 3)
      assert.strictEqual(yield* registry.size, 0)
    })
  )

  it.scoped("H2: refuses whoever comes while it waits", () =>
    Effect.gen(function* () {
      const { scope, connect } = yield* serving(
        WebSocketServer.layer(() => Effect.uninterruptible(Effect.sleep("5 seconds")))
      )
      yield* connect
      const stopping = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      const error = yield* Effect.flip(connect)
      assert.include(error.message, "status 503: The server is stopping.")
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(stopping)
      const refused = yield* Effect.flip(connect)
      assert.include(refused.message, "Is the server running")
    })
  )

  it.scoped("H1: says where it listens", () =>
    Effect.gen(function* () {
      const { server } = yield* serving(WebSocketServer.layer(echo))
      const { address, addresses } = Context.get(server, WebSocketServer.WebSocketServer)
      assert.deepStrictEqual(address, { _tag: "TcpAddress", hostname: "memory", port: 80 })
      assert.deepStrictEqual(addresses, [address])
    })
  )

  it.scoped("H1: cannot listen where another one does", () =>
    Effect.gen(function* () {
      const { network } = yield* serving(WebSocketServer.layer(echo))
      const error = yield* Effect.flip(
        Layer.build(Layer.provide(WebSocketServer.layer(echo), Layer.succeedContext(network)))
      )
      assert.strictEqual(error._tag, "ListenError")
      assert.include(error.message, "choose another port")
    })
  )
})

describe("H3: peers that have not asked yet", () => {
  it.scoped("are cut when openTimeout is up, and not before", () =>
    Effect.gen(function* () {
      const acceptor = yield* accepting(echo, { openTimeout: "3 seconds" })
      let cut = 0
      acceptor.arrived(() => cut++)
      yield* TestClock.adjust("2999 millis")
      assert.strictEqual(cut, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(cut, 1)
    })
  )

  it.scoped("are let be once they have asked", () =>
    Effect.gen(function* () {
      const acceptor = yield* accepting(echo, { openTimeout: "3 seconds" })
      let cut = 0
      const settle = acceptor.arrived(() => cut++)
      settle()
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(cut, 0)
    })
  )

  it.scoped("are cut at once when there are more than maxHandshakes", () =>
    Effect.gen(function* () {
      const acceptor = yield* accepting(echo, { maxHandshakes: 2 })
      const cut: Array<number> = []
      const settle = [0, 1, 2].map((i) => acceptor.arrived(() => cut.push(i)))
      assert.deepStrictEqual(cut, [2])
      settle[0]!()
      acceptor.arrived(() => cut.push(3))
      assert.deepStrictEqual(cut, [2])
    })
  )
})

describe("L12: layerConfig", () => {
  it.scoped("reads settings from the configuration, and takes hooks as they are", () =>
    Effect.gen(function* () {
      const layer = WebSocketServer.layerConfig(
        echo,
        { maxMessageSize: Config.number("MAX_MESSAGE"), closeTimeout: Config.succeed("1 second") },
        { onRequest: () => Effect.void }
      )
      const provider = ConfigProvider.fromMap(new Map([["MAX_MESSAGE", "10"]]))
      const network = yield* Layer.build(Testing.layer)
      const services = Layer.succeedContext(network)
      yield* Layer.build(Layer.provide(layer, services)).pipe(Effect.withConfigProvider(provider))
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, services))
      const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory"), client)
      yield* connection.send("12345678901")
      assert.strictEqual((yield* connection.closed).closure.received?.code, 1009)
    })
  )

  it.scoped("says which setting is missing", () =>
    Effect.gen(function* () {
      const layer = WebSocketServer.layerConfig(echo, { maxFragments: Config.integer("MAX_FRAGMENTS") })
      const error = yield* Effect.flip(Layer.build(Layer.provide(layer, Testing.layer))).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
      )
      assert.include(String(error), "MAX_FRAGMENTS")
    })
  )

  it.scoped("a setting that makes no sense is a defect that names it", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Testing.connect(echo, { server: { maxMessageSize: -1 } }))
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "maxMessageSize is -1")
    })
  )
})

describe("handlers", () => {
  it.scoped("run with the fiber references that the layer was built with", () =>
    Effect.gen(function* () {
      const reference = FiberRef.unsafeMake("default")
      const connection = yield* Testing.connect((connection) =>
        Effect.flatMap(FiberRef.get(reference), (value) => connection.send(value))
      ).pipe(Effect.locally(reference, "of the layer"))
      assert.strictEqual(yield* connection.receive, "of the layer")
    })
  )

  it.scoped("share the server's registry", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect((connection) =>
        Effect.gen(function* () {
          const registry = yield* ConnectionRegistry.ConnectionRegistry
          const found = yield* registry.get(connection.id)
          yield* connection.send(String(Option.isSome(found) && found.value === connection))
          yield* connection.receive
        })
      )
      assert.strictEqual(yield* connection.receive, "true")
    })
  )
})
