import { connect, createServer } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Queue, Schedule, Scope, Stream } from "effect"
import { type Connection, ConnectionClosed, Reconnecting, WebSocketClient } from "effect-websockets"
import { NodeConnector } from "effect-websockets/node"
import { leavesNothing, serve } from "./support.js"

const client = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))

/** Soon enough for a test, and never more often than a server can be started. */
const schedule = Schedule.spaced("10 millis")

/** A server on a port of 127.0.0.1 that says who it is, and how to stop it. */
const greeter = (name: string, port: number) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const greet = ({ send, closed }: Connection.Connection) => Effect.zipRight(send(name), closed)
    const server = yield* Scope.extend(serve(greet, { listen: { port, host: "127.0.0.1" } }), scope)
    return { port: server.port, stop: Scope.close(scope, Exit.void) }
  })

/** A port on which nobody listens. */
const freePort = Effect.async<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" ? (address?.port ?? 0) : 0)))
  })
})

describe("C7: a server that is started again on its port", () => {
  it.live("is met again, by the handler and by the stream", () =>
    leavesNothing(
      Effect.gen(function* () {
        const heard = yield* Queue.unbounded<Connection.Message>()
        const first = yield* greeter("first", 0)
        const uri = `ws://127.0.0.1:${first.port}`
        const handler = ({ messages }: Connection.Connection) =>
          Stream.runForEach(messages, (message) => Queue.offer(heard, message))
        const programs = [
          yield* Effect.fork(Reconnecting.run(uri, handler, { schedule })),
          yield* Effect.fork(
            Stream.runForEach(Reconnecting.messages(uri, { schedule }), (message) => Queue.offer(heard, message))
          )
        ]
        assert.deepStrictEqual([...(yield* Queue.takeN(heard, 2))], ["first", "first"])
        yield* first.stop
        const second = yield* greeter("second", first.port)
        assert.deepStrictEqual([...(yield* Queue.takeN(heard, 2))], ["second", "second"])
        yield* Fiber.interruptAll(programs)
        yield* second.stop
      }).pipe(Effect.provide(client))
    )
  )
})

describe("C7: a server that does not listen yet", () => {
  it.live("is met as soon as it does", () =>
    leavesNothing(
      Effect.gen(function* () {
        const port = yield* freePort
        const state = yield* Reconnecting.makeState
        const refused = yield* Deferred.make<Reconnecting.State>()
        yield* Effect.fork(
          Stream.runForEach(state.changes, (now) =>
            now._tag === "Waiting" && now.attempt === 3 ? Deferred.succeed(refused, now) : Effect.void
          )
        )
        const receive = ({ receive }: Connection.Connection) => receive
        const program = yield* Effect.fork(Reconnecting.run(`ws://127.0.0.1:${port}`, receive, { schedule, state }))
        const waiting = yield* Deferred.await(refused)
        assert.ok(waiting._tag === "Waiting")
        assert.include(String(waiting.because), "ECONNREFUSED")
        const { stop } = yield* greeter("here", port)
        yield* Fiber.join(program)
        yield* stop
      }).pipe(Effect.provide(client))
    )
  )

  it.live("is not waited for any more by who is interrupted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const port = yield* freePort
        const program = yield* Effect.fork(
          Stream.runDrain(Reconnecting.connections(`ws://127.0.0.1:${port}`, { schedule: Schedule.spaced("1 hour") }))
        )
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(program)
      }).pipe(Effect.provide(client))
    )
  )
})

describe("C7: a connection over a socket", () => {
  it.live("is closed with 1000 when its client is interrupted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const ended = yield* Deferred.make<ConnectionClosed.ConnectionClosed>()
        const { port } = yield* serve((connection) =>
          Effect.zipRight(
            connection.send("x"),
            Effect.flatMap(connection.closed, (closed) => Deferred.succeed(ended, closed))
          )
        )
        const met = yield* Deferred.make<void>()
        const program = yield* Effect.fork(
          Reconnecting.run(`ws://127.0.0.1:${port}`, ({ receive, closed }) =>
            receive.pipe(Effect.zipRight(Deferred.succeed(met, undefined)), Effect.zipRight(closed))
          )
        )
        yield* Deferred.await(met)
        yield* Fiber.interrupt(program)
        assert.strictEqual(ConnectionClosed.code(yield* Deferred.await(ended)), 1000)
      }).pipe(Effect.provide(client))
    )
  )
})

describe("C7: a stream that is given to a connector", () => {
  it.live("carries one connection, and the attempt at a second is the last", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(({ close }) => close({ code: 1012 }))
        const once = NodeConnector.layerWith({ duplex: connect(port, "127.0.0.1") })
        const error = yield* Effect.flip(
          Reconnecting.run("ws://localhost", ({ closed }) => closed, { schedule }).pipe(
            Effect.provide(WebSocketClient.layer.pipe(Layer.provide(once)))
          )
        )
        assert.include(error.message, "the stream given as the option duplex was used before")
      })
    )
  )
})
