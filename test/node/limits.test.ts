import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { ConnectionClosed, ConnectionRegistry, WebSocketServer } from "effect-websockets"
import { NodeListener } from "effect-websockets/node"
import { ask, connect, echo, eventually, frame, leavesNothing, rawOpen, requestText, serve } from "./support.js"

/** Limits on a real port. */

describe("a server with limits", () => {
  const refusals: ReadonlyArray<readonly [string, WebSocketServer.ServerSettings, number]> = [
    ["503 where it is full", { maxConnections: 2 }, 503],
    ["429 where an address has as many as it may", { maxConnectionsPerKey: 2 }, 429]
  ]
  it.live.each(refusals)(
    "H11: refuses with %s, says when to come again, and takes who comes then",
    ([, options, status]) =>
      leavesNothing(
        Effect.gen(function* () {
          const { port } = yield* serve(echo, options)
          const peers = [yield* rawOpen(port), yield* rawOpen(port)]
          const refused = yield* ask(port, requestText())
          assert.strictEqual(refused.status, status)
          assert.match(refused.head, /^Retry-After: 5\r$/im)
          assert.strictEqual(refused.ending, "end")
          for (const { reset } of peers) yield* reset
          // The reset has to arrive first.
          yield* Effect.retry(Effect.scoped(connect(`ws://127.0.0.1:${port}`)), { while: () => true })
        })
      )
  )

  it.live("H11: ends a connection that sends too much with 1008, and no other", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, { maxMessagesPerSecond: 50 })
        const good = yield* connect(`ws://127.0.0.1:${port}`)
        const bad = yield* rawOpen(port)
        yield* bad.write(Buffer.concat(Array.from({ length: 200 }, () => frame(1, "x"))))
        const { bytes } = yield* bad.rest
        assert.strictEqual(bytes.toString("hex", 0, 150), "810178".repeat(50))
        assert.strictEqual(bytes.readUInt16BE(152), 1008)
        assert.strictEqual(bytes.toString("latin1", 154), "more than maxMessagesPerSecond (50) messages in a second")
        yield* good.send("still here")
        assert.strictEqual(yield* good.receive, "still here")
      })
    )
  )

  it.live("H11: ends a connection with 1001 when its time is up", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, { maxLifetime: "50 millis" })
        const connection = yield* connect(`ws://127.0.0.1:${port}`)
        assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
      })
    )
  )

  it.live("H11: forgets whoever has left in whatever way, and has no place less for it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const layer = WebSocketServer.layer(echo, {
          maxConnections: 20,
          maxConnectionsPerKey: 20,
          maxLifetime: "1 hour"
        })
        const context = yield* Layer.build(Layer.provide(layer, NodeListener.layer({ port: 0, host: "127.0.0.1" })))
        const { address } = Context.get(context, WebSocketServer.WebSocketServer)
        const port = address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
        const { size } = Context.get(context, ConnectionRegistry.ConnectionRegistry)
        for (let round = 0; round < 5; round++) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const peers = yield* Effect.all(
                Array.from({ length: 20 }, () => rawOpen(port)),
                { concurrency: 5 }
              )
              for (const [i, peer] of peers.entries()) {
                if (i % 2 === 0) yield* peer.reset
                else yield* peer.write(frame(8, Buffer.of(3, 0xe8)))
              }
            })
          )
          yield* eventually(() => Effect.runSync(size) === 0)
        }
      })
    )
  )
})
