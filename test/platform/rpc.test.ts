import { Socket, SocketServer } from "@effect/platform"
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { Rpc, RpcClient, RpcClientError, RpcGroup, RpcSerialization, RpcServer } from "@effect/rpc"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Queue, Schedule, Schema, Scope, Stream } from "effect"
import { CloseCode, ConnectionRegistry, WebSocketClient } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import { PlatformSocket, PlatformSocketServer } from "effect-websockets/platform"
import { leavesNothing, some } from "../node/support.js"

/** `@effect/rpc` as it is, over our sockets at both ends and at either. */

class TooLong extends Schema.TaggedError<TooLong>()("TooLong", { length: Schema.Int }) {}

class Procedures extends RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String, error: TooLong }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Wait")
) {}

/** What the server sees of calls that never return. */
class Seen extends Context.Tag("Seen")<Seen, Queue.Queue<"begun" | "interrupted">>() {}

const seen = Layer.effect(Seen, Queue.unbounded<"begun" | "interrupted">())

const handlers = Procedures.toLayer(
  Effect.map(Seen, (seen) =>
    Procedures.of({
      Echo: ({ text }) =>
        text.length > 1_000_000 ? Effect.fail(new TooLong({ length: text.length })) : Effect.succeed(text),
      Count: ({ to }) => Stream.range(1, to),
      Wait: () =>
        Effect.zipRight(seen.offer("begun"), Effect.never).pipe(Effect.onInterrupt(() => seen.offer("interrupted")))
    })
  )
)

const serving = <E>(sockets: Layer.Layer<SocketServer.SocketServer, E>) =>
  RpcServer.layer(Procedures).pipe(
    Layer.provide(handlers),
    Layer.provide(RpcServer.layerProtocolSocketServer),
    Layer.provideMerge(sockets)
  )

const calling = <E>(sockets: Layer.Layer<Socket.Socket, E>) =>
  RpcClient.layerProtocolSocket({ retrySchedule: Schedule.spaced("5 millis") }).pipe(Layer.provide(sockets))

const servers = {
  ours: (port: number) =>
    PlatformSocketServer.layer().pipe(Layer.provide(NodeListener.layer({ port, host: "127.0.0.1" }))),
  "the platform's": (port: number) => NodeSocketServer.layerWebSocket({ port, host: "127.0.0.1" })
}

const clients = {
  ours: (uri: string) =>
    PlatformSocket.layer(uri).pipe(Layer.provide(WebSocketClient.layer), Layer.provide(NodeConnector.layer)),
  "the platform's": (uri: string) =>
    Socket.layerWebSocket(uri).pipe(Layer.provide(NodeSocket.layerWebSocketConstructor))
}

const serializations = { JSON: RpcSerialization.layerJson, MessagePack: RpcSerialization.layerMsgPack }

const quiet = Logger.remove(Logger.defaultLogger)

const portOf = Effect.map(SocketServer.SocketServer, ({ address }) =>
  address._tag === "TcpAddress" ? address.port : assert.fail("no TCP port")
)

/** A server, and a client of it. */
const connected = (
  server: keyof typeof servers = "ours",
  client: keyof typeof clients = "ours",
  serialization: keyof typeof serializations = "JSON"
) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(
      serving(servers[server](0)).pipe(
        Layer.provideMerge(seen),
        Layer.provideMerge(serializations[serialization]),
        Layer.provide(quiet)
      )
    )
    const port = yield* Effect.provide(portOf, context)
    const protocol = calling(clients[client](`ws://127.0.0.1:${port}`))
    const calls = yield* Effect.provide(
      RpcClient.make(Procedures),
      yield* Effect.provide(Layer.build(protocol), context)
    )
    return { calls, port, seen: Context.get(context, Seen), context }
  })

const pairs = [
  ["ours", "ours", "JSON"],
  ["ours", "ours", "MessagePack"],
  ["the platform's", "ours", "JSON"],
  ["the platform's", "ours", "MessagePack"],
  ["ours", "the platform's", "JSON"],
  ["ours", "the platform's", "MessagePack"]
] as const

describe.each(pairs)("a server that is %s and a client that is %s, in %s", (server, client, serialization) => {
  it.live("call and answer, many at a time", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { calls } = yield* connected(server, client, serialization)
        const texts = Array.from({ length: 500 }, (_, n) => `text ${n} ✓`)
        const answers = yield* Effect.forEach(texts, (text) => calls.Echo({ text }), { concurrency: "unbounded" })
        assert.deepStrictEqual(answers, texts)
      })
    )
  )

  it.live("stream 10,000 elements in order", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { calls } = yield* connected(server, client, serialization)
        const counted = yield* Stream.runCollect(calls.Count({ to: 10_000 }))
        assert.deepStrictEqual(
          [...counted],
          Array.from({ length: 10_000 }, (_, n) => n + 1)
        )
      })
    )
  )

  it.live("interrupt at the server what is interrupted at the client", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { calls, seen } = yield* connected(server, client, serialization)
        const call = yield* Effect.fork(calls.Wait())
        assert.strictEqual(yield* seen.take, "begun")
        yield* Fiber.interrupt(call)
        assert.strictEqual(yield* seen.take, "interrupted")
      })
    )
  )
})

describe("RPC over our sockets", () => {
  it.live("fails with errors of its schema", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { calls } = yield* connected()
        const error = yield* Effect.flip(calls.Echo({ text: "x".repeat(1_000_001) }))
        assert.strictEqual(error._tag, "TooLong")
      })
    )
  )

  it.live("interrupts a client's calls at the server when the client leaves", () =>
    leavesNothing(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { port, seen } = yield* connected()
        const protocol = calling(clients.ours(`ws://127.0.0.1:${port}`)).pipe(Layer.provide(serializations.JSON))
        const context = yield* Layer.buildWithScope(protocol, scope)
        const other = yield* RpcClient.make(Procedures).pipe(Effect.provide(context), Scope.extend(scope))
        yield* Effect.forkIn(other.Wait(), scope)
        assert.strictEqual(yield* seen.take, "begun")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* seen.take, "interrupted")
      })
    )
  )

  it.live("lets slow streams wait without holding up calls", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { calls } = yield* connected()
        const held = yield* Deferred.make<void>()
        const slow = yield* Effect.forEach(
          Array.from({ length: 40 }, (_, n) => n),
          () => Effect.fork(Stream.runCount(Stream.tap(calls.Count({ to: 1_000 }), () => Deferred.await(held))))
        )
        assert.strictEqual(yield* calls.Echo({ text: "still here" }), "still here")
        yield* Deferred.succeed(held, undefined)
        for (const fiber of slow) assert.strictEqual(yield* Fiber.join(fiber), 1_000)
      })
    )
  )

  it.live("fails calls whose connection is lost, and connects again", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { calls, context, seen } = yield* connected()
        const lost = yield* Effect.fork(calls.Wait())
        assert.strictEqual(yield* seen.take, "begun")
        const registry = some(Context.getOption(context, ConnectionRegistry.ConnectionRegistry))
        yield* registry.closeAll({ code: CloseCode.ServiceRestart })
        assert.instanceOf(yield* Effect.flip(Fiber.join(lost)), RpcClientError.RpcClientError)
        assert.strictEqual(yield* seen.take, "interrupted")
        const again = Effect.retry(calls.Echo({ text: "again" }), Schedule.spaced("5 millis"))
        assert.strictEqual(yield* Effect.timeout(again, "5 seconds"), "again")
      })
    )
  )

  it.live("goes on after the server has been restarted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const context = yield* Layer.build(Layer.merge(seen, serializations.JSON))
        const start = (port: number) =>
          Effect.gen(function* () {
            const scope = yield* Scope.make()
            const server = yield* Layer.buildWithScope(serving(servers.ours(port)).pipe(Layer.provide(quiet)), scope)
            return { port: yield* Effect.provide(portOf, server), stop: Scope.close(scope, Exit.void) }
          }).pipe(Effect.provide(context))
        const first = yield* start(0)
        const protocol = yield* Layer.build(calling(clients.ours(`ws://127.0.0.1:${first.port}`))).pipe(
          Effect.provide(context)
        )
        const calls = yield* Effect.provide(RpcClient.make(Procedures), protocol)
        assert.strictEqual(yield* calls.Echo({ text: "before" }), "before")
        const lost = yield* Effect.fork(calls.Wait())
        yield* Context.get(context, Seen).take

        yield* first.stop
        // The server says that it has interrupted the call, if it still can.
        assert.isTrue(Exit.isFailure(yield* Fiber.await(lost)))
        assert.instanceOf(yield* Effect.flip(calls.Echo({ text: "meanwhile" })), RpcClientError.RpcClientError)

        const second = yield* start(first.port)
        const answer = calls.Echo({ text: "after" }).pipe(Effect.retry(Schedule.spaced("5 millis")))
        assert.strictEqual(yield* Effect.timeout(answer, "5 seconds"), "after")
        yield* second.stop
      })
    )
  )
})
