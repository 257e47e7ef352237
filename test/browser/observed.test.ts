import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Metric, Option } from "effect"
import { WebSocketClient, WebSocketMetrics } from "effect-websockets"
import { recording } from "../tracing.js"
import { begun, makeFakes, openFake } from "./fake.js"

/** Metrics and spans of a browser's client, which counts what it sees. */

const count = (metric: Metric.Metric.Counter<number>) => Effect.map(Metric.value(metric), ({ count }) => count)

describe("L9: a browser's client", () => {
  it.scoped("counts messages, their contents, and how handshakes and connections end", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* openFake()
      socket.receives("three", [1, 2])
      yield* connection.send("four")
      const flow = Effect.forEach(["received", "sent"] as const, (direction) =>
        Effect.all([
          count(WebSocketMetrics.messages("client", direction)),
          count(WebSocketMetrics.bytes("client", direction))
        ])
      )
      const all = [
        [2, 7],
        [1, 4]
      ]
      assert.deepStrictEqual(yield* flow, all)
      const { value: unread } = yield* Metric.value(WebSocketMetrics.unreadMessages("client"))
      const { value: unsent } = yield* Metric.value(WebSocketMetrics.unsentBytes("client"))
      assert.deepStrictEqual([unread, unsent], [2, 4])
      socket.closed(4_000)
      assert.deepStrictEqual(yield* flow, all)
      const ends = Effect.all([
        count(WebSocketMetrics.handshakes("client", "accepted", 101)),
        count(WebSocketMetrics.closeCodes("client", "received", 4_000)),
        Effect.map(Metric.value(WebSocketMetrics.connections("client")), ({ value }) => value)
      ])
      assert.deepStrictEqual(yield* ends, [1, 1, 0])
      const { layer, sockets } = makeFakes()
      const failing = yield* begun(
        WebSocketClient.connect("ws://server").pipe(Effect.scoped, Effect.provide(layer), Effect.flip)
      )
      sockets[0]?.fails()
      yield* Fiber.join(failing)
      assert.strictEqual(yield* count(WebSocketMetrics.handshakes("client", "failed")), 1)
    }).pipe(Effect.tagMetrics("test", "browser"))
  )
})

describe("L10: a browser's client", () => {
  it.scoped("has spans, below which nothing of the server's can be, as it can send no traceparent", () =>
    Effect.gen(function* () {
      const { layer, spans } = yield* recording
      const { connection, socket } = yield* Effect.provide(openFake(), layer)
      socket.closed(1_000)
      yield* connection.closed
      const [connect, own] = spans
      assert.deepStrictEqual(
        spans.map(({ kind, name, status }) => [name, kind, status._tag]),
        [
          ["WebSocketClient.connect", "client", "Ended"],
          ["WebSocketClient.connection", "internal", "Ended"]
        ]
      )
      assert.strictEqual(Option.getOrUndefined(own?.parent ?? Option.none())?.spanId, connect?.spanId)
      assert.deepInclude(Object.fromEntries(connect?.attributes ?? []), {
        "url.path": "/path",
        "server.address": "server",
        "http.response.status_code": 101
      })
    })
  )
})
