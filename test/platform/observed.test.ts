import { get } from "node:http"
import { HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, LogLevel, Metric, Scope } from "effect"
import { ConnectionRegistry, WebSocketClient, WebSocketMetrics, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import { PlatformHttpServer } from "effect-websockets/platform"
import { observedServer, telemetry } from "../../examples/observed.js"
import { collector } from "../collector.js"
import { connect, eventually, portOf, serveApp } from "./support.js"

/** The example with Prometheus and OTLP, and a client and a server that export to a receiver over the network. */

const client = Layer.provide(WebSocketClient.layer, NodeConnector.layer)

const quiet = Logger.remove(Logger.defaultLogger)

const launched = (url: string) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const context = yield* Layer.buildWithScope(
      Layer.provide(observedServer({ port: 0, collector: url }), quiet),
      scope
    )
    return {
      port: portOf(Context.get(context, HttpServer.HttpServer).address),
      registry: Context.get(context, ConnectionRegistry.ConnectionRegistry),
      stop: Scope.close(scope, Exit.void)
    }
  })

/** What a scraper makes of the text: each sample by its name with labels, and the type of each family. */
const scrape = (port: number) =>
  Effect.gen(function* () {
    const response = yield* Effect.promise(() => fetch(`http://localhost:${port}/metrics`))
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/)
    const samples = new Map<string, number>()
    const types = new Map<string, string>()
    let family = ""
    for (const line of (yield* Effect.promise(() => response.text())).trimEnd().split("\n")) {
      const [, name, type] = /^# TYPE (\w+) (counter|gauge|histogram|summary)$/.exec(line) ?? []
      if (name !== undefined && type !== undefined) {
        assert.isFalse(types.has(name), `${name} stands in one place`)
        types.set(name, type)
        family = name
      } else if (!line.startsWith("# HELP ")) {
        const [, sample, value] = /^(\w+(?:\{(?:\w+="(?:[^"\\]|\\.)*",?)+\})?) (\S+)$/.exec(line) ?? []
        if (sample === undefined) return assert.fail(`no sample: ${line}`)
        assert.isTrue(sample.startsWith(family), `${sample} is one of ${family}`)
        samples.set(sample, Number(value))
      }
    }
    return { samples, types }
  })

describe("L9: the example", () => {
  it.scopedLive("has /metrics for Prometheus beside its sockets", () =>
    Effect.gen(function* () {
      const { url } = yield* collector
      const { port, registry } = yield* launched(url)
      const before = (yield* scrape(port)).samples
      const grown = (after: ReadonlyMap<string, number>, name: string) =>
        (after.get(name) ?? 0) - (before.get(name) ?? 0)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const echoing = yield* connect(`ws://localhost:${port}/echo`)
          for (const message of ["one", "two"]) {
            yield* echoing.send(message)
            yield* echoing.receive
          }
          const { samples, types } = yield* scrape(port)
          assert.strictEqual(types.get("websocket_connections"), "gauge")
          assert.strictEqual(types.get("websocket_messages_total"), "counter")
          assert.strictEqual(types.get("websocket_ping_seconds"), "histogram")
          assert.strictEqual(grown(samples, 'websocket_connections{role="server"}'), 1)
          assert.strictEqual(grown(samples, 'websocket_messages_total{role="server",direction="received"}'), 2)
          assert.strictEqual(grown(samples, 'websocket_bytes_total{role="server",direction="sent"}'), 10)
          assert.strictEqual(
            grown(samples, 'websocket_handshakes_total{role="server",outcome="accepted",status="101"}'),
            1
          )
          assert.isTrue(samples.has('websocket_ping_seconds_bucket{role="server",le="+Inf"}'))
        })
      )
      yield* eventually(() => Effect.runSync(registry.size) === 0)
      // Routes that there are not, and one that answers instead of upgrading.
      yield* Effect.flip(Effect.scoped(connect(`ws://localhost:${port}/nowhere`)))
      yield* Effect.flip(Effect.scoped(connect(`ws://localhost:${port}/metrics`)))
      const { samples } = yield* scrape(port)
      assert.strictEqual(grown(samples, 'websocket_connections{role="server"}'), 0)
      assert.strictEqual(
        grown(samples, 'websocket_close_codes_total{role="server",direction="received",code="1000"}'),
        1
      )
      const rejected = (status: number) =>
        `websocket_handshakes_total{role="server",outcome="rejected",status="${status}"}`
      assert.strictEqual(grown(samples, rejected(404)), 1)
      assert.strictEqual(grown(samples, rejected(200)), 1)
      yield* Effect.flip(Effect.scoped(connect(`ws://localhost:${port}/echo`, { origin: "http://elsewhere.example" })))
      assert.strictEqual(grown((yield* scrape(port)).samples, rejected(403)), 1)
    })
  )

  it.scopedLive("a peer that leaves before a route has answered counts as such", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const { ws } = yield* serveApp(Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never), {
        answerTimeout: "100 millis"
      })
      const leaving = yield* Effect.fork(Effect.scoped(connect(ws)))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(leaving)
      const aborted = Metric.value(WebSocketMetrics.handshakes("server", "aborted"))
      const labelled = Effect.tagMetrics(aborted, "test", "leaving")
      yield* eventually(() => Effect.runSync(labelled).count === 1)
    }).pipe(Effect.tagMetrics("test", "leaving"))
  )

  it.scopedLive("a page that is asked for with an upgrade to HTTP/2 is no handshake, whatever answers", () =>
    Effect.gen(function* () {
      const page = HttpRouter.empty.pipe(
        HttpRouter.get("/", HttpServerResponse.text("page")),
        HttpRouter.get(
          "/socket",
          PlatformHttpServer.upgrade(({ closed }) => closed)
        )
      )
      const { http } = yield* serveApp(page)
      const statusOf = (path: string) =>
        Effect.async<number | undefined>((resume) => {
          const headers = { Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "AAMAAABk" }
          get(`${http}${path}`, { headers }, (response) => {
            response.resume().on("close", () => resume(Effect.succeed(response.statusCode)))
          })
        })
      assert.deepStrictEqual([yield* statusOf("/"), yield* statusOf("/socket")], [200, 426])
      for (const status of [200, 426]) {
        const rejected = yield* Metric.value(WebSocketMetrics.handshakes("server", "rejected", status))
        assert.strictEqual(rejected.count, 0)
      }
    }).pipe(Effect.tagMetrics("test", "another upgrade"))
  )

  it.scopedLive("exports its routes' connections below their requests, and metrics and logs beside", () =>
    Effect.gen(function* () {
      const { logs, metric, spans, url } = yield* collector
      const { port, stop } = yield* launched(url)
      yield* Effect.scoped(connect(`ws://localhost:${port}/echo?token=sesame`))
      yield* stop
      const all = spans()
      const named = (name: string) => all.find((span) => span.name === name) ?? assert.fail(`no span ${name}`)
      const route = named("http.server GET")
      assert.strictEqual(named("WebSocketServer.accept").parentSpanId, route.spanId)
      assert.strictEqual(named("WebSocketServer.connection").parentSpanId, named("WebSocketServer.accept").spanId)
      assert.isNotEmpty(metric("websocket_connections"))
      assert.include(logs(), "is open: GET /echo")
    })
  )
})

describe("L10: a client and a server that export over OTLP", () => {
  it.scopedLive("are one trace, without secrets, and with metrics", () =>
    Effect.gen(function* () {
      const { metric, spans, text, url } = yield* collector
      const server = WebSocketServer.layer((connection) =>
        Effect.zipRight(connection.receive, connection.closed).pipe(Effect.withSpan("chat.join"))
      ).pipe(
        Layer.provide(NodeListener.layer({ port: 0, host: "localhost" })),
        Layer.provide(telemetry({ collector: url, serviceName: "server" }))
      )
      yield* Effect.gen(function* () {
        const context = yield* Layer.build(server)
        const { address } = Context.get(context, WebSocketServer.WebSocketServer)
        yield* Effect.gen(function* () {
          const uri = `ws://ada:hunter2@localhost:${portOf(address)}/chat?token=sesame`
          const connection = yield* WebSocketClient.connect(uri)
          yield* connection.send("hello")
        }).pipe(
          Effect.scoped,
          Effect.withSpan("a program's own"),
          Effect.provide(client),
          Effect.provide(telemetry({ collector: url, serviceName: "client" }))
        )
      }).pipe(Effect.scoped, Effect.provide(Layer.merge(quiet, Logger.minimumLogLevel(LogLevel.Debug))))
      const all = spans()
      const named = (name: string) => {
        const found = all.filter((span) => span.name === name)
        assert.strictEqual(found.length, 1, `one span ${name} of ${all.map(({ name }) => name).join(", ")}`)
        return found[0]!
      }
      const own = named("a program's own")
      const asked = named("WebSocketClient.connect")
      const accepted = named("WebSocketServer.accept")
      const connection = named("WebSocketServer.connection")
      assert.strictEqual(new Set(all.map(({ traceId }) => traceId)).size, 1)
      assert.strictEqual(asked.parentSpanId, own.spanId)
      assert.strictEqual(accepted.parentSpanId, asked.spanId)
      assert.strictEqual(connection.parentSpanId, accepted.spanId)
      assert.strictEqual(named("chat.join").parentSpanId, connection.spanId)
      assert.strictEqual(named("WebSocketClient.connection").parentSpanId, asked.spanId)
      // Of OpenTelemetry's kinds 1 is internal, 2 server, 3 client; of its states 1 is good.
      assert.deepStrictEqual([asked.kind, accepted.kind, connection.kind], [3, 2, 1])
      assert.deepStrictEqual(
        all.map(({ status }) => status.code),
        all.map(() => 1)
      )
      assert.deepStrictEqual([asked.service, accepted.service], ["client", "server"])
      for (const { attributes } of [asked, accepted]) {
        assert.strictEqual(attributes["url.path"], "/chat")
        assert.strictEqual(attributes["http.response.status_code"], 101)
        assert.strictEqual(attributes["server.address"], "localhost")
      }
      assert.strictEqual(connection.attributes["websocket.messages.received"], 1)
      assert.strictEqual(connection.attributes["websocket.close.received"], 1000)
      const accepting = metric("websocket_handshakes_total").filter(({ value }) => value !== 0)
      assert.isNotEmpty(accepting)
      for (const secret of ["sesame", "hunter2", Buffer.from("ada:hunter2").toString("base64")]) {
        assert.notInclude(text(), secret)
      }
    })
  )
})
