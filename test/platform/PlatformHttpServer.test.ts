import { createServer } from "node:http"
import { createServer as createSecureServer } from "node:https"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Deferred, Effect, Fiber, Layer, Queue, type Scope, Stream } from "effect"
import { type Connection, ConnectionClosed, ConnectionRegistry, WebSocketServer } from "effect-websockets"
import { PlatformHttpServer } from "effect-websockets/platform"
import {
  ask,
  certificate,
  connect,
  echo,
  eventually,
  failureOf,
  launch,
  leavesNothing,
  portOf,
  rawConnect,
  rawOpen,
  requestText,
  serveApp,
  serveMounted,
  some
} from "./support.js"

const text = (url: string) => Effect.promise(async () => await (await fetch(url)).text())

const hello = (connection: Connection.Connection) => connection.send("hello")

/** A test after which nothing is left. */
const clean = <E>(name: string, run: () => Effect.Effect<unknown, E, Scope.Scope>) =>
  it.live(name, () => leavesNothing(run()))

const codeOf = (connection: Connection.Connection) => Effect.map(connection.closed, ConnectionClosed.code)

const router = HttpRouter.empty.pipe(
  HttpRouter.get("/page", HttpServerResponse.text("a page")),
  HttpRouter.get("/hello", PlatformHttpServer.upgrade(hello)),
  HttpRouter.get("/echo", PlatformHttpServer.upgrade(echo))
)

describe("a server of PlatformHttpServer", () => {
  clean("answers plain requests and opens WebSockets on one port", () =>
    Effect.gen(function* () {
      const { http, ws } = yield* serveApp(router)
      assert.strictEqual(yield* text(`${http}/page`), "a page")
      const connection = yield* connect(`${ws}/echo`)
      yield* connection.send("hello")
      assert.strictEqual(yield* connection.receive, "hello")
      const greeted = yield* connect(`${ws}/hello`)
      assert.strictEqual(yield* greeted.receive, "hello")
      assert.strictEqual(yield* codeOf(greeted), 1000)
    })
  )

  clean("answers a request for a WebSocket that no route has as the router says", () =>
    Effect.gen(function* () {
      const { port } = yield* serveApp(router)
      const { head, ending } = yield* ask(port, requestText("GET /nowhere HTTP/1.1"))
      assert.match(head, /^HTTP\/1.1 404 /)
      assert.strictEqual(ending, "end")
    })
  )

  clean("answers a request for a WebSocket with the page that its route has", () =>
    Effect.gen(function* () {
      const { port } = yield* serveApp(router)
      const { status, body } = yield* ask(port, requestText("GET /page HTTP/1.1"))
      assert.deepStrictEqual([status, body], [200, "a page"])
    })
  )

  clean("sends an answer that is larger than what a socket takes at once", () =>
    Effect.gen(function* () {
      const large = new Uint8Array(3_000_000).fill(120)
      const parts = Stream.repeatValue(large.subarray(0, 30_000)).pipe(Stream.take(100), Stream.rechunk(1))
      for (const answer of [HttpServerResponse.uint8Array(large), HttpServerResponse.stream(parts)]) {
        const { port } = yield* serveApp(Effect.succeed(answer))
        const { status, body } = yield* ask(port, requestText())
        assert.strictEqual(status, 200)
        assert.isAtLeast(body.length, large.length)
      }
    })
  )

  clean("says 503 while it serves nothing", () =>
    Effect.gen(function* () {
      const { http, port } = yield* launch(Layer.empty)
      assert.strictEqual((yield* Effect.promise(() => fetch(http))).status, 503)
      assert.strictEqual((yield* ask(port, requestText())).status, 503)
    })
  )

  clean("speaks TLS where node's server does", () =>
    Effect.gen(function* () {
      const pair = yield* certificate
      const { port } = yield* launch(HttpServer.serve(router), {}, () => createSecureServer(pair))
      const connection = yield* connect(`wss://localhost:${port}/echo`, {}, { tls: { ca: pair.cert } })
      yield* connection.send("hello")
      assert.strictEqual(yield* connection.receive, "hello")
    })
  )

  clean("says when it cannot listen", () =>
    Effect.gen(function* () {
      const { port } = yield* serveApp(router)
      const error = yield* Effect.flip(launch(HttpServer.serve(router), { port }))
      assert.strictEqual(error._tag, "ServeError")
    })
  )

  it("throws at once for options that cannot be", () => {
    assert.throws(() => PlatformHttpServer.upgrade(echo, { maxMessageSize: 0 }), /maxMessageSize is 0/)
    assert.throws(() => PlatformHttpServer.upgrade(echo, { subprotocols: ["a b"] }), /subprotocols/)
    assert.throws(() => PlatformHttpServer.upgrade(echo, { compression: { threshold: -1 } }), /threshold/)
  })
})

describe("an upgrade", () => {
  const asking = (options: PlatformHttpServer.UpgradeOptions, fields: Record<string, string | undefined> = {}) =>
    Effect.gen(function* () {
      const { port } = yield* serveApp(PlatformHttpServer.upgrade(echo, options))
      return yield* ask(port, requestText("GET / HTTP/1.1", fields))
    })

  it.live.each([
    ["a version that is not 13", {}, { "Sec-WebSocket-Version": "8" }, 426],
    ["a key that is none", {}, { "Sec-WebSocket-Key": "short" }, 400],
    ["the page of another origin", {}, { Origin: "https://elsewhere.example" }, 403],
    ["a client without a subprotocol", { subprotocols: ["chat"] }, {}, 400],
    ["a body", {}, { "Content-Length": "3" }, 400]
  ] as const)("refuses %s", ([, options, fields, expected]) =>
    Effect.gen(function* () {
      const { status, ending } = yield* asking(options, fields)
      assert.strictEqual(status, expected)
      assert.strictEqual(ending, "end")
    }).pipe(leavesNothing)
  )

  clean("answers a plain request with 426 and what a WebSocket needs", () =>
    Effect.gen(function* () {
      const { port } = yield* serveApp(router)
      const { head } = yield* ask(port, "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
      assert.match(head, /^HTTP\/1.1 426 Upgrade Required\r\n/)
      assert.match(head, /\r\nupgrade: websocket\r\n/i)
      assert.match(head, /\r\nconnection: Upgrade, close\r\n/i)
    })
  )

  clean("agrees on a subprotocol and on compression", () =>
    Effect.gen(function* () {
      const { ws } = yield* serveApp(
        PlatformHttpServer.upgrade(echo, {
          subprotocols: ["b", "a"],
          compression: true,
          origins: ["https://a.example"]
        })
      )
      const connection = yield* connect(ws, {
        subprotocols: ["a", "b"],
        compression: true,
        origin: "https://a.example"
      })
      const { subprotocol, extensions } = connection.handshake
      assert.strictEqual(some(subprotocol), "b")
      assert.deepStrictEqual(
        extensions.map(({ name }) => name),
        ["permessage-deflate"]
      )
    })
  )

  clean("keeps to its limits, which the server may give to all routes", () =>
    Effect.gen(function* () {
      const routes = HttpRouter.empty.pipe(
        HttpRouter.get("/small", PlatformHttpServer.upgrade(echo)),
        HttpRouter.get("/large", PlatformHttpServer.upgrade(echo, { maxMessageSize: 100 }))
      )
      const { ws } = yield* serveApp(routes, { upgrades: { maxMessageSize: 10 } })
      const small = yield* connect(`${ws}/small`)
      yield* small.send("01234567890")
      assert.strictEqual(yield* codeOf(small), 1009)
      const large = yield* connect(`${ws}/large`)
      yield* large.send("01234567890")
      assert.strictEqual(yield* large.receive, "01234567890")
    })
  )

  clean("counts connections by its options, wherever in a route it is made", () =>
    Effect.gen(function* () {
      const options = { maxConnections: 2 }
      const { ws, registry } = yield* serveApp(Effect.suspend(() => PlatformHttpServer.upgrade(echo, options)))
      const first = yield* connect(ws)
      yield* connect(ws)
      assert.include((yield* failureOf(connect(ws))).message, "status 503")
      yield* first.close()
      yield* eventually(() => Effect.runSync(registry.size) === 1)
      yield* connect(ws)
      assert.include((yield* failureOf(connect(ws))).message, "status 503")
    })
  )

  clean("notices a peer that is silent", () =>
    Effect.gen(function* () {
      const ends = yield* Queue.unbounded<ConnectionClosed.ConnectionClosed>()
      const { port } = yield* serveApp(
        PlatformHttpServer.upgrade((connection) => Effect.flatMap(connection.closed, (end) => Queue.offer(ends, end)), {
          pingInterval: "20 millis",
          pingTimeout: "20 millis"
        })
      )
      yield* rawOpen(port)
      const { closure } = yield* Queue.take(ends)
      assert.strictEqual(closure.cause?._tag, "KeepaliveTimeout")
    })
  )

  clean("counts its connections in the server's registry, which handlers find", () =>
    Effect.gen(function* () {
      const broadcasting = (connection: Connection.Connection) =>
        Effect.gen(function* () {
          const registry = yield* ConnectionRegistry.ConnectionRegistry
          yield* registry.broadcast(yield* connection.receive)
        })
      const routes = HttpRouter.empty.pipe(
        HttpRouter.get("/echo", PlatformHttpServer.upgrade(echo)),
        HttpRouter.get("/all", PlatformHttpServer.upgrade(broadcasting))
      )
      const { ws, registry } = yield* serveApp(routes)
      const listening = yield* connect(`${ws}/echo`)
      const speaking = yield* connect(`${ws}/all`)
      assert.strictEqual(yield* registry.size, 2)
      yield* speaking.send("to all")
      assert.strictEqual(yield* listening.receive, "to all")
      assert.strictEqual(yield* codeOf(speaking), 1000)
    })
  )
})

class User extends Context.Tag("User")<User, { readonly name: string }>() {}

describe("the handler of an upgrade", () => {
  clean("has the services of its route", () =>
    Effect.gen(function* () {
      const greet = (connection: Connection.Connection) =>
        Effect.gen(function* () {
          const { name } = yield* User
          const { room } = yield* HttpRouter.params
          const { url } = yield* HttpServerRequest.HttpServerRequest
          yield* connection.send(`${name} in ${room} at ${url}`)
        })
      const routes = HttpRouter.empty.pipe(
        HttpRouter.get("/rooms/:room", PlatformHttpServer.upgrade(greet)),
        HttpRouter.use((route) =>
          Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
            Effect.provideService(route, User, { name: headers["x-user"] ?? "nobody" })
          )
        )
      )
      const { ws } = yield* serveApp(routes)
      const connection = yield* connect(`${ws}/rooms/blue`, { headers: { "X-User": "Ada" } })
      assert.strictEqual(yield* connection.receive, "Ada in blue at /rooms/blue")
    })
  )

  clean("runs where routers and middleware have made another request of it", () =>
    Effect.gen(function* () {
      const { ws } = yield* serveMounted(PlatformHttpServer.upgrade(echo))
      const connection = yield* connect(`${ws}/api/route`, { headers: { "X-Forwarded-For": "192.0.2.1" } })
      yield* connection.send("hello")
      assert.strictEqual(yield* connection.receive, "hello")
    })
  )

  clean("has a scope that ends with the connection, and before that of the route", () =>
    Effect.gen(function* () {
      const ends = yield* Queue.unbounded<string>()
      const ending = (what: string) => Effect.addFinalizer(() => Queue.offer(ends, what))
      const route = Effect.zipRight(
        ending("route"),
        PlatformHttpServer.upgrade((connection) => Effect.zipRight(ending("connection"), connection.receive))
      )
      const { ws } = yield* serveApp(route)
      const connection = yield* connect(ws)
      yield* connection.send("go")
      assert.strictEqual(yield* Queue.take(ends), "connection")
      assert.strictEqual(yield* codeOf(connection), 1000)
      assert.strictEqual(yield* Queue.take(ends), "route")
    })
  )

  it.live.each([
    ["returns", Effect.void, 1000],
    ["fails", Effect.fail("no"), 1011],
    ["dies", Effect.die("no"), 1011],
    ["is interrupted", Effect.interrupt, 1001]
  ] as const)("that %s closes with the code for it", ([, handler, code]) =>
    Effect.gen(function* () {
      const { ws } = yield* serveApp(PlatformHttpServer.upgrade((): Effect.Effect<void, string> => handler))
      assert.strictEqual(yield* codeOf(yield* connect(ws)), code)
    }).pipe(leavesNothing)
  )

  clean("is interrupted with its route, where that can be", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const handler = () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
      const route = PlatformHttpServer.upgrade(handler).pipe(
        Effect.interruptible,
        Effect.timeoutTo({
          duration: "30 millis",
          onTimeout: () => HttpServerResponse.text("late"),
          onSuccess: (response) => response
        })
      )
      const { ws } = yield* serveApp(route)
      const connection = yield* connect(ws)
      assert.strictEqual(yield* codeOf(connection), 1001)
      yield* Deferred.await(interrupted)
    })
  )

  clean("answers each request once", () =>
    Effect.gen(function* () {
      const statuses = yield* Queue.unbounded<number>()
      const again = Effect.flatMap(PlatformHttpServer.upgrade(hello), ({ status }) => Queue.offer(statuses, status))
      const { ws } = yield* serveApp(Effect.zipRight(again, Effect.zipRight(again, HttpServerResponse.empty())))
      assert.strictEqual(yield* codeOf(yield* connect(ws)), 1000)
      assert.deepStrictEqual([yield* Queue.take(statuses), yield* Queue.take(statuses)], [101, 500])
    })
  )

  clean("is a defect on the server of somebody else", () =>
    Effect.gen(function* () {
      const server = NodeHttpServer.layerServer(createServer, { port: 0, host: "127.0.0.1" })
      const context = yield* Layer.build(Layer.provideMerge(HttpServer.serve(router), server))
      const port = portOf(Context.get(context, HttpServer.HttpServer).address)
      assert.strictEqual((yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/echo`))).status, 500)
    })
  )
})

describe("a server of PlatformHttpServer that stops", () => {
  clean("leaves node's server to another one, as also does one that could not listen", () =>
    Effect.gen(function* () {
      const server = createServer()
      const listeners = () => server.eventNames().map((event) => [event, server.listeners(event)])
      const before = listeners()
      const taken = yield* serveApp(HttpServerResponse.text("taken"))
      yield* Effect.flip(launch(Layer.empty, { port: taken.port }, () => server))
      for (const text of ["one", "two"]) {
        const { http, stop } = yield* launch(HttpServer.serve(HttpServerResponse.text(text)), {}, () => server)
        const answer = yield* Effect.promise(() => fetch(http).then((response) => response.text()))
        assert.strictEqual(answer, text)
        yield* stop
      }
      assert.deepStrictEqual(listeners(), before)
    })
  )

  clean("closes its connections with 1001 and interrupts their handlers", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const routes = HttpRouter.empty.pipe(
        HttpRouter.get("/echo", PlatformHttpServer.upgrade(echo)),
        HttpRouter.get(
          "/never",
          PlatformHttpServer.upgrade(() =>
            Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
          )
        )
      )
      const { ws, stop } = yield* serveApp(routes)
      const connections = [yield* connect(`${ws}/echo`), yield* connect(`${ws}/never`)]
      yield* stop
      yield* Deferred.await(interrupted)
      for (const connection of connections) assert.strictEqual(yield* codeOf(connection), 1001)
    })
  )

  clean("does so also where the scope of what it serves is still open", () =>
    Effect.gen(function* () {
      const ends = yield* Queue.unbounded<ConnectionClosed.ConnectionClosed>()
      const handler = ({ closed }: Connection.Connection) =>
        Effect.onInterrupt(Effect.never, () => Effect.flatMap(closed, (end) => Queue.offer(ends, end)))
      const { server, ws, stop } = yield* launch(Layer.empty)
      yield* server.serve(PlatformHttpServer.upgrade(handler))
      yield* connect(ws)
      yield* stop
      assert.isTrue(ConnectionClosed.isClean(yield* Queue.take(ends)))
    })
  )

  clean("lets handlers come to their end where it is drained", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<string>()
      const handler = (connection: Connection.Connection) =>
        Effect.gen(function* () {
          yield* Effect.flatMap(WebSocketServer.Stopping, (stopping) => stopping)
          yield* connection.closed
          yield* Deferred.succeed(ended, "by itself")
        })
      const { ws, stop } = yield* serveApp(PlatformHttpServer.upgrade(handler), { drain: { code: 1012 } })
      const connection = yield* connect(ws)
      yield* stop
      assert.strictEqual(yield* codeOf(connection), 1012)
      assert.strictEqual(yield* Deferred.await(ended), "by itself")
    })
  )

  clean("waits for an answer that is on its way, and refuses what is asked meanwhile", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const proceed = yield* Deferred.make<void>()
      const route = Effect.gen(function* () {
        yield* Deferred.succeed(asked, undefined)
        yield* Deferred.await(proceed)
        return HttpServerResponse.text("done")
      })
      const { port, stop } = yield* serveApp(route)
      const answer = yield* Effect.fork(ask(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
      yield* Deferred.await(asked)
      const stopping = yield* Effect.fork(stop)
      yield* Effect.yieldNow()
      assert.strictEqual((yield* ask(port, requestText())).status, 503)
      assert.isNull(stopping.unsafePoll())
      yield* Deferred.succeed(proceed, undefined)
      assert.strictEqual((yield* Fiber.join(answer)).body, "done")
      yield* Fiber.join(stopping)
    })
  )

  clean("cuts what has not been answered within answerTimeout", () =>
    Effect.gen(function* () {
      const asked = yield* Queue.unbounded<void>()
      const route = Effect.zipRight(Queue.offer(asked, undefined), Effect.never)
      const { port, stop } = yield* serveApp(route, { answerTimeout: "30 millis" })
      const plain = yield* Effect.fork(Effect.exit(ask(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")))
      const upgrading = yield* Effect.fork(Effect.exit(ask(port, requestText())))
      yield* Queue.takeN(asked, 2)
      yield* stop
      assert.strictEqual((yield* Fiber.join(plain))._tag, "Failure")
      assert.strictEqual((yield* Fiber.join(upgrading))._tag, "Failure")
    })
  )

  clean("ends what its routes use only behind them", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const note = (what: string) => Effect.sync(() => void order.push(what))
      const resource = Layer.scoped(
        User,
        Effect.as(
          Effect.addFinalizer(() => note("service")),
          { name: "Ada" }
        )
      )
      const handler = () =>
        Effect.zipRight(
          User,
          Effect.onInterrupt(Effect.never, () => note("handler"))
        )
      const app = HttpServer.serve(
        Effect.zipRight(
          Effect.addFinalizer(() => note("route")),
          PlatformHttpServer.upgrade(handler)
        )
      )
      const { ws, registry, stop } = yield* launch(Layer.provide(app, resource))
      yield* connect(ws)
      assert.strictEqual(yield* registry.size, 1)
      yield* stop
      assert.deepStrictEqual(order, ["handler", "route", "service"])
    })
  )
})

describe("a request for a WebSocket that is not answered yet", () => {
  clean("interrupts its route when the peer leaves, with an end or with a reset", () =>
    Effect.gen(function* () {
      const starts = yield* Queue.unbounded<void>()
      const ends = yield* Queue.unbounded<void>()
      const route = Effect.zipRight(Queue.offer(starts, undefined), Effect.interruptible(Effect.never)).pipe(
        Effect.onInterrupt(() => Queue.offer(ends, undefined))
      )
      const { port } = yield* serveApp(route)
      for (const leave of ["end", "reset"] as const) {
        const peer = yield* rawAsking(port)
        yield* Queue.take(starts)
        yield* leave === "end" ? Effect.sync(() => peer.socket.end()) : peer.reset
        yield* Queue.take(ends)
      }
    })
  )

  const rawAsking = (port: number) => Effect.tap(rawConnect(port), (peer) => peer.write(requestText()))
})

describe("an answer to a request for a WebSocket", () => {
  clean("is cut when it does not leave within answerTimeout", () =>
    Effect.gen(function* () {
      const over = yield* Deferred.make<void>()
      const large = HttpServerResponse.uint8Array(new Uint8Array(30_000_000))
      const route = Effect.addFinalizer(() => Deferred.succeed(over, undefined))
      const { port } = yield* serveApp(Effect.as(route, large), { answerTimeout: "50 millis" })
      const peer = yield* rawConnect(port)
      peer.socket.pause()
      yield* peer.write(requestText())
      yield* Deferred.await(over)
      peer.socket.resume()
      assert.isBelow((yield* peer.rest).bytes.length, 30_000_000)
    })
  )
})

describe("layerConfig", () => {
  // Behind all others: what platform has beside the server opens standard input, and that stays.
  it.scopedLive("takes its options from the configuration", () =>
    Effect.gen(function* () {
      const server = PlatformHttpServer.layerConfig(createServer, {
        host: Config.succeed("127.0.0.1"),
        port: Config.number("PORT")
      })
      const context = yield* Layer.build(Layer.provideMerge(HttpServer.serve(router), server)).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["PORT", "0"]])))
      )
      const port = portOf(Context.get(context, HttpServer.HttpServer).address)
      assert.strictEqual(yield* text(`http://127.0.0.1:${port}/page`), "a page")
    })
  )
})
