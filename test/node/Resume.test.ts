import { createServer } from "node:http"
import type { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"
import { ConnectionClosed, Resume, WebSocketClient } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import { exchange } from "../exchange.js"
import { leavesNothing, serve, serveOn } from "./support.js"

const client = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))

const options = { subprotocols: [Resume.subprotocol] }

/** Comes back soon enough for a test. */
const schedule = Schedule.spaced("2 millis")

type Handler = (connection: Resume.ResumableConnection) => Effect.Effect<unknown, unknown>

/** What a server runs that keeps sessions as long as the scope is open. */
const keeping = (handle: Handler) =>
  Effect.map(Layer.build(Resume.layer()), (sessions) => {
    const handler = Resume.handler(handle)
    return (connection: Parameters<typeof handler>[0]) => Effect.provide(handler(connection), sessions)
  })

describe("C8: a session over sockets", () => {
  it.live(
    "delivers 10,000 messages each way, once and in order, while its sockets are destroyed 100 times",
    () =>
      leavesNothing(
        Effect.gen(function* () {
          const COUNT = 10_000
          const sockets = new Set<Socket>()
          const http = createServer()
          http.on("connection", (socket) => {
            sockets.add(socket)
            socket.on("close", () => sockets.delete(socket))
          })
          yield* Effect.async<void>((resume) => void http.listen(0, "127.0.0.1", () => resume(Effect.void)))
          yield* Effect.addFinalizer(() => Effect.sync(() => http.close()))
          const address = http.address()
          const port = typeof address === "object" && address !== null ? address.port : assert.fail("it has no port")
          const handler = yield* keeping((connection) => exchange(connection, COUNT))
          yield* serveOn(handler, NodeListener.fromServer(http), options)
          let destroyed = 0
          const connection = yield* Resume.connect(`ws://127.0.0.1:${port}`, { schedule })
          yield* exchange(connection, COUNT, (n) => {
            if (n % 100 !== 50) return
            destroyed++
            // By turns as a reset and as an end.
            for (const socket of sockets) destroyed % 2 === 0 ? socket.resetAndDestroy() : socket.destroy()
          })
          assert.strictEqual(destroyed, 100)
          assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1000)
        }).pipe(Effect.provide(client))
      ),
    60_000
  )

  it.live("has a gap when its server is started anew on the same port", () =>
    leavesNothing(
      Effect.gen(function* () {
        const start = (port: number) =>
          Effect.gen(function* () {
            const scope = yield* Scope.make()
            yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
            const handler = yield* Scope.extend(
              keeping(({ send, closed }) => Effect.zipRight(send("hello"), closed)),
              scope
            )
            const server = yield* Scope.extend(
              serve(handler, { ...options, listen: { port, host: "127.0.0.1" } }),
              scope
            )
            return { port: server.port, stop: Scope.close(scope, Exit.void) }
          })
        const first = yield* start(0)
        const connection = yield* Resume.connect(`ws://127.0.0.1:${first.port}`, { schedule })
        assert.strictEqual(yield* connection.receive, "hello")
        yield* first.stop
        const second = yield* start(first.port)
        assert.isTrue(Resume.isGap(yield* Effect.flip(connection.receive)))
        const anew = yield* Resume.connect(`ws://127.0.0.1:${second.port}`, { schedule })
        assert.strictEqual(yield* anew.receive, "hello")
        yield* anew.close()
        yield* second.stop
      }).pipe(Effect.provide(client))
    )
  )

  it.live("leaves nothing when its client is interrupted while it is away", () =>
    leavesNothing(
      Effect.gen(function* () {
        const handed = yield* Deferred.make<Resume.ResumableConnection>()
        const scope = yield* Scope.make()
        const handler = yield* Scope.extend(
          keeping((connection) => Effect.zipRight(Deferred.succeed(handed, connection), connection.closed)),
          scope
        )
        const { port } = yield* Scope.extend(serve(handler, options), scope)
        const program = yield* Effect.fork(
          Effect.scoped(
            Effect.flatMap(
              Resume.connect(`ws://127.0.0.1:${port}`, { schedule: Schedule.spaced("1 hour") }),
              ({ closed }) => closed
            )
          )
        )
        yield* Deferred.await(handed)
        yield* Scope.close(scope, Exit.void)
        yield* Fiber.interrupt(program)
      }).pipe(Effect.provide(client))
    )
  )
})
