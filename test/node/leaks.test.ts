import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { type Context, Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"
import { Connection, ConnectionRegistry, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import { closeFrame, eventually, frame, handles, rawConnect, rawOpen, requestText, turns } from "./support.js"

/**
 * Connections that end in every way, many of each, and what is left of them: no socket, timer, listener, registry
 * entry or fiber, and no memory that grows with their number.
 */

/** How many of each: more where there is time. */
const count = process.env["REQUIRE_ALL"] === undefined ? 250 : 2_000
const atATime = 25

setFlagsFromString("--expose_gc")
const collect: () => void = runInNewContext("gc")

/** What a connection of each kind does is in the path that it asks for. */
const handler = (connection: Connection.Connection): Effect.Effect<unknown, unknown> => {
  switch (connection.handshake.request.target) {
    case "/return":
      return connection.send("bye")
    case "/fail":
      return Effect.zipRight(connection.receive, Effect.fail("on purpose"))
    case "/die":
      return Effect.zipRight(connection.receive, Effect.dieMessage("on purpose"))
    default:
      return Connection.runForEach(connection, (message) => connection.send(message))
  }
}

const serving = (keepalive: WebSocketServer.ServerOptions = {}) =>
  WebSocketServer.layer(handler, {
    ...keepalive,
    closeTimeout: "1 seconds",
    compression: { threshold: 0 },
    onRequest: ({ url }) =>
      Effect.succeed(url === "/refused" ? HttpServerResponse.text("no", { status: 403 }) : undefined)
  }).pipe(
    Layer.provide(NodeListener.layer({ port: 0, host: "127.0.0.1" })),
    Layer.provide(Logger.remove(Logger.defaultLogger))
  )

const clients = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))

const portOf = ({ address }: Context.Tag.Service<typeof WebSocketServer.WebSocketServer>) =>
  address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")

type Services =
  | WebSocketServer.WebSocketServer
  | ConnectionRegistry.ConnectionRegistry
  | WebSocketClient.WebSocketClient

const port = Effect.map(WebSocketServer.WebSocketServer, portOf)

const open = (path: string, options?: WebSocketClient.ConnectOptions) =>
  Effect.flatMap(port, (port) => WebSocketClient.connect(`ws://127.0.0.1:${port}${path}`, options))

const upgraded = Effect.flatMap(port, (port) => rawOpen(port))

let seed = 1
const random = (below: number) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return seed % below
}

type Way = Effect.Effect<unknown, unknown, Services | Scope.Scope>

/**
 * Each on a server of its own, with the keepalive that there is by default unless it needs another: on a busy machine a
 * short one ends connections that are well.
 */
const ways: ReadonlyArray<readonly [string, Way, keepalive?: WebSocketServer.ServerOptions]> = [
  [
    "a normal close",
    Effect.gen(function* () {
      const connection = yield* open("/echo")
      yield* connection.send("x")
      yield* connection.receive
      yield* connection.close()
    })
  ],
  [
    "compression, and a normal close",
    Effect.gen(function* () {
      const connection = yield* open("/echo", { compression: { threshold: 0 } })
      yield* connection.send("x".repeat(100))
      yield* connection.receive
      yield* connection.close()
    })
  ],
  [
    "compression, and an end while it is at work",
    Effect.gen(function* () {
      const connection = yield* open("/echo", { compression: { threshold: 0 } })
      const fiber = yield* Effect.fork(connection.send("x".repeat(100_000)))
      yield* turns(random(12))
      yield* Fiber.interrupt(fiber)
    })
  ],
  ["a handler that returns", Effect.flatMap(open("/return"), ({ closed }) => closed)],
  ["a handler that fails", Effect.flatMap(open("/fail"), ({ send, closed }) => Effect.zipRight(send("x"), closed))],
  ["a handler that dies", Effect.flatMap(open("/die"), ({ send, closed }) => Effect.zipRight(send("x"), closed))],
  [
    "a client that is interrupted at some moment",
    Effect.gen(function* () {
      const talk = Effect.scoped(
        Effect.flatMap(open("/echo"), ({ send, receive }) => Effect.forever(Effect.zipRight(send("x"), receive)))
      )
      const fiber = yield* Effect.fork(talk)
      yield* turns(random(12))
      yield* Fiber.interrupt(fiber)
    })
  ],
  [
    "a socket that the peer destroys",
    Effect.gen(function* () {
      const peer = yield* upgraded
      yield* peer.write(frame(1, "x").subarray(0, 1 + random(6)))
      yield* peer.reset
    })
  ],
  [
    "a peer that is there no more",
    Effect.flatMap(upgraded, ({ rest }) => rest),
    { pingInterval: "30 millis", pingTimeout: "200 millis" }
  ],
  [
    "a peer that closes and never ends its stream",
    Effect.gen(function* () {
      const peer = yield* upgraded
      yield* peer.write(closeFrame(1000))
      yield* peer.rest
    })
  ],
  [
    "a handshake that fails",
    Effect.gen(function* () {
      const peer = yield* rawConnect(yield* port)
      yield* peer.write(requestText("GET / HTTP/1.1", { "Sec-WebSocket-Key": "short" }))
      yield* peer.rest
    })
  ],
  [
    "a handshake that breaks off",
    Effect.gen(function* () {
      const peer = yield* rawConnect(yield* port)
      yield* peer.write(requestText().slice(0, random(100)))
      yield* peer.reset
    })
  ],
  ["a handshake that is refused", Effect.flip(open("/refused"))],
  [
    "a server that stops",
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const server = yield* Layer.buildWithScope(Layer.fresh(serving()), scope)
      const connection = yield* Effect.provide(open("/echo"), server)
      yield* Scope.close(scope, Exit.void)
      yield* connection.closed
    })
  ]
]

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length

/** Fibers that no other fiber waits for: handlers, and whatever was started and forgotten. */
const roots = () => Effect.runSync(Fiber.roots).length

const listeners = () => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0)

/** Waits until nothing is left, and says what is where that takes longer than a busy machine can be the reason of. */
const nothingLeft = (left: () => Readonly<Record<string, number>>) =>
  eventually(() => Object.values(left()).every((number) => number === 0)).pipe(
    Effect.timeoutFail({ duration: "30 seconds", onTimeout: () => new Error(`left: ${JSON.stringify(left())}`) })
  )

const idle = handles().length

/** A case that has failed leaves what is about to end, which is no business of the next one. */
const alone = Effect.timeoutOption(
  eventually(() => handles().length <= idle),
  "10 seconds"
)

/** What is in use when everything that is about to end has ended. */
const heap = Effect.gen(function* () {
  for (let i = 0; i < 4; i++) {
    yield* turns(20)
    collect()
  }
  const { external, heapUsed } = process.memoryUsage()
  // Compressors are outside of the heap: one that is left would be some 250 kB.
  return heapUsed + external
})

/** Runs so many, some at a time, and waits until none of them holds anything. */
const run = (way: Way, times: number) =>
  Effect.gen(function* () {
    const registry = yield* ConnectionRegistry.ConnectionRegistry
    const sockets = handles().length
    const fibers = roots()
    yield* Effect.forEach(Array.from({ length: times }), () => Effect.scoped(way), {
      concurrency: atATime,
      discard: true
    })
    yield* nothingLeft(() => ({
      connections: Effect.runSync(registry.size),
      sockets: Math.max(0, handles().length - sockets),
      // The fiber that watches deadlines sleeps on until the earliest that there was; another is this timeout's.
      fibers: Math.max(0, roots() - fibers - 2)
    }))
  })

/** Bytes for each connection: a fiber that is left would be 3,750, a socket more. */
const LIMIT = 2_000

describe("leaves nothing behind", () => {
  it.live.each(ways)(
    "%s",
    ([name, way, keepalive]) =>
      Effect.gen(function* () {
        yield* run(way, Math.ceil(count / 2)) // for what is made once, and for the optimiser
        const before = { timers: timers(), listeners: listeners() }
        // What the runtime learns about the code is memory too, for some time; what is left behind grows every time.
        let growth = Number.POSITIVE_INFINITY
        for (let attempt = 0; attempt < 8 && growth > LIMIT; attempt++) {
          const start = yield* heap
          yield* run(way, count)
          growth = ((yield* heap) - start) / count
        }
        console.log(`${name}: ${Math.round(growth)} bytes for each of ${count}`)
        // One more is this timeout's, and another may come and go.
        yield* nothingLeft(() => ({ timers: Math.max(0, timers() - before.timers - 2) }))
        assert.strictEqual(listeners(), before.listeners)
        assert.isBelow(growth, LIMIT)
      }).pipe(Effect.provide(Layer.merge(serving(keepalive), clients)), Effect.scoped, (test) =>
        Effect.zipRight(alone, test)
      ),
    120_000
  )
})
