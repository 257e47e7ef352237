import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option, TestClock, type Tracer } from "effect"
import { type Connection, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { settle } from "./support.js"
import { recording } from "./tracing.js"

/** L10: who traces sees handshakes and connections, and whom nobody traces pays nothing. */

type Handler = (connection: Connection.Connection) => Effect.Effect<unknown, unknown>

/** A client of a server in memory, both below a layer. */
const served = (handler: Handler, options?: WebSocketServer.ServerOptions, below: Layer.Layer<never> = Layer.empty) =>
  Effect.map(
    Layer.build(
      Layer.merge(WebSocketServer.layer(handler, options), WebSocketClient.layer).pipe(
        Layer.provideMerge(Testing.layer),
        Layer.provide(below)
      )
    ),
    (context) =>
      (target = "/", options?: WebSocketClient.ConnectOptions) =>
        WebSocketClient.connect(`ws://${target.startsWith("/") ? "memory" : ""}${target}`, options).pipe(
          Effect.provide(context),
          Effect.provide(below)
        )
  )

/** The same with a tracer that keeps its spans. */
const traced = (handler: Handler, options?: WebSocketServer.ServerOptions) =>
  Effect.gen(function* () {
    const { layer, spans } = yield* recording
    const connect = yield* served(handler, options, layer)
    const named = (name: string) => {
      const found = spans.filter((span) => span.name === name)
      assert.strictEqual(found.length, 1, `one span ${name} of ${spans.map(({ name }) => name).join(", ")}`)
      return found[0]!
    }
    return { spans, connect, named }
  })

const parentOf = ({ parent }: Tracer.Span) => Option.getOrUndefined(parent)?.spanId

const attributesOf = ({ attributes }: Tracer.Span) => Object.fromEntries(attributes)

const exitOf = ({ status }: Tracer.Span) => (status._tag === "Ended" ? status.exit._tag : "Started")

const until = ({ closed }: Connection.Connection) => closed

describe("L10: whom nobody traces", () => {
  it.scoped("has no span above its handler, and sends no traceparent", () =>
    Effect.gen(function* () {
      const above: Array<unknown> = []
      const connect = yield* served((connection) =>
        Effect.flatMap(Effect.option(Effect.currentSpan), (span) => {
          above.push(
            Option.getOrUndefined(span),
            connection.handshake.request.headers.map(([name]) => name)
          )
          return connection.closed
        })
      )
      const connection = yield* Effect.withSpan(connect(), "a program's own")
      const names = connection.handshake.request.headers.map(([name]) => name.toLowerCase())
      assert.notInclude(names, "traceparent")
      assert.isUndefined(above[0])
    })
  )

  it.scoped("is also who turns tracing off, whatever tracer there is", () =>
    Effect.gen(function* () {
      const { layer, spans } = yield* recording
      const off = Layer.setTracerEnabled(false)
      const connect = yield* served(until, {}, Layer.merge(layer, off))
      const connection = yield* connect()
      assert.notInclude(
        connection.handshake.request.headers.map(([name]) => name),
        "traceparent"
      )
      assert.deepStrictEqual(spans, [])
    })
  )
})

describe("L10: spans", () => {
  it.effect("are one trace: the client's handshake, the server's below it, the connections, the handler's own", () =>
    Effect.gen(function* () {
      const { connect, named, spans } = yield* traced((connection) =>
        Effect.zipRight(connection.receive, connection.closed).pipe(Effect.withSpan("a handler's own"))
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* connect("/chat?token=secret")
          yield* connection.send("hello")
          yield* settle
          assert.deepStrictEqual(
            [exitOf(named("WebSocketClient.connect")), exitOf(named("WebSocketServer.accept"))],
            ["Success", "Success"]
          )
          assert.strictEqual(exitOf(named("WebSocketServer.connection")), "Started")
          yield* TestClock.adjust("3 seconds")
        })
      )
      yield* settle
      const client = named("WebSocketClient.connect")
      const server = named("WebSocketServer.accept")
      const connection = named("WebSocketServer.connection")
      assert.deepStrictEqual([client.kind, server.kind, connection.kind], ["client", "server", "internal"])
      assert.deepStrictEqual([parentOf(client), parentOf(server)], [undefined, client.spanId])
      assert.strictEqual(parentOf(connection), server.spanId)
      assert.strictEqual(parentOf(named("WebSocketClient.connection")), client.spanId)
      assert.strictEqual(parentOf(named("a handler's own")), connection.spanId)
      assert.deepStrictEqual([...new Set(spans.map(({ traceId }) => traceId))], [client.traceId])
      assert.deepStrictEqual(
        spans.map(exitOf),
        spans.map(() => "Success")
      )
      const { status } = connection
      assert.strictEqual(status._tag === "Ended" ? status.endTime - status.startTime : 0n, 3_000_000_000n)
    }).pipe(Effect.scoped)
  )

  it.effect("say what OpenTelemetry calls it, and neither query nor user", () =>
    Effect.gen(function* () {
      const { connect, named, spans } = yield* traced(until)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* connect("ada:hunter2@memory:8080/chat?token=sesame", { userAgent: "tests" })
          yield* connection.sendAll(["a", "bc"])
          yield* connection.close({ code: 1000 })
        })
      )
      yield* settle
      const request = {
        "http.request.method": "GET",
        "http.response.status_code": 101,
        "url.scheme": "ws",
        "url.path": "/chat",
        "server.address": "memory",
        "server.port": 8080,
        "network.protocol.name": "websocket"
      }
      assert.deepStrictEqual(attributesOf(named("WebSocketClient.connect")), request)
      const { "client.address": address, ...accepted } = attributesOf(named("WebSocketServer.accept"))
      assert.isString(address)
      assert.deepStrictEqual(accepted, { ...request, "user_agent.original": "tests" })
      const { "websocket.connection.id": id, ...ended } = attributesOf(named("WebSocketServer.connection"))
      assert.isNumber(id)
      assert.deepStrictEqual(ended, {
        "network.protocol.name": "websocket",
        "websocket.close.initiator": "remote",
        "websocket.close.received": 1000,
        "websocket.close.sent": 1000,
        "websocket.messages.received": 2,
        "websocket.messages.sent": 0,
        "websocket.bytes.received": 23,
        "websocket.bytes.sent": 4
      })
      const all = JSON.stringify(spans.map((span) => [span.name, attributesOf(span)]))
      for (const secret of ["sesame", "token", "hunter2", "ada"]) assert.notInclude(all, secret)
    }).pipe(Effect.scoped)
  )

  it.effect("have what the layer's spans are annotated with", () =>
    Effect.gen(function* () {
      const { layer, spans } = yield* recording
      const connect = yield* Effect.annotateSpans(served(until, {}, layer), "deployment", "blue")
      yield* Effect.scoped(connect())
      const servers = spans.filter(({ name }) => name.startsWith("WebSocketServer."))
      assert.deepStrictEqual(
        servers.map(({ attributes }) => attributes.get("deployment")),
        ["blue", "blue"]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("of a connection that ended badly say why", () =>
    Effect.gen(function* () {
      const { connect, named } = yield* traced(until)
      const cut = Effect.gen(function* () {
        const connection = yield* connect()
        yield* Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut)
        yield* connection.closed
      })
      yield* Effect.scoped(cut)
      yield* settle
      const span = named("WebSocketServer.connection")
      assert.deepStrictEqual([exitOf(span), span.attributes.get("error.type")], ["Failure", "TransportError"])
    }).pipe(Effect.scoped)
  )
})

describe("L10: traceparent", () => {
  const trace = "0af7651916cd43dd8448eb211c80319c"
  const span = "b7ad6b7169203331"

  /** The trace and the parent of what a server does with these headers. */
  const parentWith = (headers: Readonly<Record<string, string>>) =>
    Effect.gen(function* () {
      const { connect, named } = yield* traced(until)
      yield* Effect.scoped(connect("/", { headers }))
      const { parent } = named("WebSocketServer.accept")
      return Option.getOrUndefined(Option.map(parent, ({ spanId, traceId }) => `${traceId} ${spanId}`))
    }).pipe(Effect.scoped)

  it.effect("the user's own wins, and so does a B3 header of one or of several", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* parentWith({ Traceparent: `00-${trace}-${span}-01` }), `${trace} ${span}`)
      // Neither b3 nor its several headers are read where there is a traceparent, which a client of ours sends itself.
      const none = { traceparent: "none" }
      assert.strictEqual(yield* parentWith({ ...none, b3: `${trace}-${span}-1` }), `${trace} ${span}`)
      const several = { "X-B3-TraceId": trace.slice(16), "X-B3-SpanId": span, "X-B3-Sampled": "0" }
      assert.strictEqual(yield* parentWith({ ...none, ...several }), `0000000000000000${trace.slice(16)} ${span}`)
    })
  )

  it.effect("one that is malformed begins a new trace, whatever stands in it", () =>
    Effect.gen(function* () {
      const malformed = [
        `00-${"0".repeat(32)}-${span}-01`,
        `00-${trace}-${"0".repeat(16)}-01`,
        `00-${trace}-${span.slice(1)}-01`,
        `ff-${trace}-${span}-01`,
        ""
      ]
      for (const traceparent of malformed) assert.isUndefined(yield* parentWith({ traceparent }), traceparent)
      assert.isUndefined(yield* parentWith({ traceparent: "", b3: `${"a".repeat(4_000)}-${span}` }))
      assert.isUndefined(yield* parentWith({ traceparent: "", b3: `${trace}-<script>` }))
    })
  )

  it.scoped("stands in the client's request, and names its span", () =>
    Effect.gen(function* () {
      const { connect, named } = yield* traced(until)
      const connection = yield* connect()
      const { spanId, traceId } = named("WebSocketClient.connect")
      const sent = new Map(connection.handshake.request.headers).get("traceparent")
      assert.strictEqual(sent, `00-${traceId}-${spanId}-01`)
    })
  )
})

describe("L10: handshakes that fail", () => {
  it.effect("have their status, and are errors of the server's only from 500 on", () =>
    Effect.gen(function* () {
      const statuses = [401, 503]
      const { connect, spans } = yield* traced(until, {
        onRequest: () =>
          Effect.sync(() => HttpServerResponse.empty({ status: statuses.shift() ?? 500 })).pipe(Effect.withSpan("hook"))
      })
      yield* Effect.scoped(Effect.flip(connect()))
      yield* Effect.scoped(Effect.flip(connect()))
      const seen = (name: string) =>
        spans
          .filter((span) => span.name === name)
          .map((span) => {
            const { "error.type": type, "http.response.status_code": status } = attributesOf(span)
            return [status, type, exitOf(span)]
          })
      assert.deepStrictEqual(seen("WebSocketServer.accept"), [
        [401, "401", "Success"],
        [503, "503", "Failure"]
      ])
      assert.deepStrictEqual(seen("WebSocketClient.connect"), [
        [401, "Rejected", "Failure"],
        [503, "Rejected", "Failure"]
      ])
      const [accept] = spans.filter(({ name }) => name === "WebSocketServer.accept")
      const [hook] = spans.filter(({ name }) => name === "hook")
      assert.strictEqual(hook === undefined ? undefined : parentOf(hook), accept?.spanId)
    }).pipe(Effect.scoped)
  )

  it.effect("for want of time or of a peer say that", () =>
    Effect.gen(function* () {
      const { connect, spans } = yield* traced(until, { openTimeout: "2 seconds", onRequest: () => Effect.never })
      const late = yield* Effect.fork(Effect.scoped(Effect.flip(connect())))
      const gone = yield* Effect.fork(Effect.scoped(connect()))
      yield* settle
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(late)
      yield* settle
      const types = spans
        .filter(({ name }) => name === "WebSocketServer.accept")
        .map((span) => [attributesOf(span)["error.type"], exitOf(span)])
      assert.deepStrictEqual(types, [
        ["timeout", "Failure"],
        ["aborted", "Failure"]
      ])
    }).pipe(Effect.scoped)
  )
})

describe("L10: a connection's context", () => {
  it.scoped("is what the hook gave it, and no more", () =>
    Effect.gen(function* () {
      const { layer } = yield* recording
      let size = -1
      const connect = yield* served(
        (connection) => {
          size = connection.context.unsafeMap.size
          return connection.closed
        },
        { onRequest: () => Effect.succeed(Context.empty()) },
        layer
      )
      yield* connect()
      yield* settle
      assert.strictEqual(size, 0)
    })
  )
})
