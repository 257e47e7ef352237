import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it, vi } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Option, Redacted, Ref, Schedule, Scope } from "effect"
import { type Connection, ConnectionClosed, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import { basicAuthServer } from "../../examples/basic-auth.js"
import { both } from "../../examples/both.js"
import { compressingClient, compressingServer } from "../../examples/compression.js"
import { consumer, multipleConsumers } from "../../examples/consumer.js"
import { echoServer } from "../../examples/echo.js"
import { firstMessageServer } from "../../examples/first-message.js"
import * as pipes from "../../examples/hello-pipes.js"
import { producer } from "../../examples/producer.js"
import { reconnectingClient } from "../../examples/reconnecting-client.js"
import { Members, registration } from "../../examples/registration.js"
import { reloadableServer } from "../../examples/reloadable-server.js"
import { resumableClient, resumableServer } from "../../examples/resume.js"
import { SessionServer, sessionsOf } from "../../examples/sessions.js"
import { showTimeServer } from "../../examples/show-time.js"
import { synchronisedTimeServer } from "../../examples/synchronised-time.js"
import { makeSigner } from "../support/certificates.js"
import { launchProgram } from "./child.js"
import { connect, eventually, serve } from "./support.js"

/** The samples on real sockets; how they look in a browser is tested beside. */

const quiet = Logger.remove(Logger.defaultLogger)

/** A sample's own server, on a free port. */
const sample = <A, E>(server: Layer.Layer<A | WebSocketServer.WebSocketServer, E>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const context = yield* Layer.buildWithScope(Layer.provide(server, quiet), scope)
    const { address } = Context.get(context, WebSocketServer.WebSocketServer)
    const port = address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
    return { uri: `ws://localhost:${port}`, http: `http://localhost:${port}`, stop: Scope.close(scope, Exit.void) }
  })

const isTime = (message: Connection.Message) => assert.match(String(message), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)

describe("S5 and S6, time", () => {
  const servers = [
    ["S5", showTimeServer],
    ["S6", synchronisedTimeServer]
  ] as const
  it.scopedLive.each(servers)("%s serves its page and the time on one port, and stops with 1001", ([, server]) =>
    Effect.gen(function* () {
      const { uri, http, stop } = yield* sample<never, unknown>(server({ port: 0 }))
      const page = yield* Effect.promise(() => fetch(http))
      assert.strictEqual(page.headers.get("content-type"), "text/html")
      assert.include(yield* Effect.promise(() => page.text()), "createTextNode")
      const connection = yield* connect(uri)
      isTime(yield* connection.receive)
      yield* stop
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
    })
  )

  it.scopedLive.each(servers)("%s lets its own page in, a file too, and no other", ([, server]) =>
    Effect.gen(function* () {
      const { uri, http } = yield* sample<never, unknown>(server({ port: 0 }))
      for (const origin of [http, "null"]) isTime(yield* (yield* connect(uri, { origin })).receive)
      const error = yield* Effect.flip(connect(uri, { origin: "http://localhost.evil.example" }))
      assert.include(error.message, "status 403")
    })
  )
})

describe("S8 to S11, consumers and producers", () => {
  it.scopedLive("S8 ends quietly when the peer closes", () =>
    Effect.gen(function* () {
      const seen = yield* Ref.make<ReadonlyArray<Connection.Message>>([])
      const ended = yield* Deferred.make<void, unknown>()
      const { port } = yield* serve((connection) =>
        consumer((message) => Ref.update(seen, (all) => [...all, message]))(connection).pipe(
          Effect.onExit((exit) => Deferred.done(ended, exit))
        )
      )
      const connection = yield* connect(`ws://127.0.0.1:${port}`)
      yield* connection.sendAll(["1", "2", "3"])
      yield* connection.close()
      yield* Deferred.await(ended)
      assert.deepStrictEqual(yield* Ref.get(seen), ["1", "2", "3"])
    })
  )

  it.scopedLive("S9 sends as fast as the peer takes it, and ends when that is gone", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
      const { port } = yield* serve((connection) =>
        Effect.onExit(producer(Effect.succeed(new Uint8Array(1000)))(connection), (exit) =>
          Deferred.succeed(ended, exit)
        )
      )
      const connection = yield* connect(`ws://127.0.0.1:${port}`)
      for (let i = 0; i < 1000; i++) yield* connection.receive
      yield* connection.close()
      assert.isTrue(Exit.isSuccess(yield* Deferred.await(ended)))
    })
  )

  it.scopedLive("S10 does both at the same time", () =>
    Effect.gen(function* () {
      const received = yield* Deferred.make<Connection.Message>()
      const { port } = yield* serve(
        both((message) => Deferred.succeed(received, message), Effect.as(Effect.yieldNow(), "produced"))
      )
      const connection = yield* connect(`ws://127.0.0.1:${port}`)
      assert.strictEqual(yield* connection.receive, "produced")
      yield* connection.send("consumed")
      assert.strictEqual(yield* Deferred.await(received), "consumed")
    })
  )

  it.scopedLive("S11 deals with sixteen messages at a time", () =>
    Effect.gen(function* () {
      const arrived = yield* Ref.make(0)
      const gate = yield* Deferred.make<void>()
      const { port } = yield* serve(
        multipleConsumers(() =>
          Effect.zipRight(
            Ref.update(arrived, (n) => n + 1),
            Deferred.await(gate)
          )
        )
      )
      const connection = yield* connect(`ws://127.0.0.1:${port}`)
      yield* connection.sendAll(Array.from({ length: 40 }, () => "x"))
      // A pong tells that all of them have arrived.
      yield* connection.ping
      assert.strictEqual(yield* Ref.get(arrived), 16)
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.repeat(
        Ref.get(arrived),
        Schedule.recurUntil((n) => n === 40)
      )
    })
  )
})

describe("S12, registration", () => {
  it.scopedLive("tells everybody and forgets who leaves", () =>
    Effect.gen(function* () {
      const members = yield* Layer.build(Members.layer)
      const { port } = yield* serve((connection) => Effect.provide(registration(connection), members))
      const join = (name: string) => Effect.tap(connect(`ws://127.0.0.1:${port}`), ({ send }) => send(name))
      const ada = yield* join("Ada")
      yield* ada.receive
      const grace = yield* join("Grace")
      assert.strictEqual(yield* ada.receive, "Hello Grace!")
      assert.strictEqual(yield* grace.receive, "Hello Grace!")
      yield* ada.close()
      const names = Effect.map(Ref.get(Context.get(members, Members)), (all) => [...all.values()].join())
      yield* Effect.repeat(
        names,
        Schedule.recurUntil((all) => all === "Grace")
      )
    })
  )
})

describe("S14, without generators", () => {
  it.scopedLive("greets by name", () =>
    Effect.gen(function* () {
      const { uri } = yield* sample(pipes.helloServer({ port: 0 }))
      const connection = yield* connect(uri)
      yield* connection.send("World")
      assert.strictEqual(yield* connection.receive, "Hello World!")
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1000)
    })
  )
})

describe("S15, echo", () => {
  it.scopedLive("is healthy, and echoes on the same port", () =>
    Effect.gen(function* () {
      const { uri, http } = yield* sample(echoServer({ port: 0 }))
      const health = yield* Effect.promise(() => fetch(`${http}/healthz`))
      assert.strictEqual(yield* Effect.promise(() => health.text()), "OK\n")
      const elsewhere = yield* Effect.promise(() => fetch(`${http}/elsewhere`))
      assert.strictEqual(elsewhere.status, 426)
      const connection = yield* connect(uri)
      yield* connection.send("echo")
      assert.strictEqual(yield* connection.receive, "echo")
    })
  )

  it.scopedLive("is stopped by SIGTERM: its peers get 1001, and it exits with 0", () =>
    Effect.gen(function* () {
      const file = fileURLToPath(new URL("../../examples/echo.ts", import.meta.url))
      const { process, said, exit } = yield* launchProgram(file, { env: { PORT: "0" } })
      const port = /listening on \S+:(\d+)/.exec(yield* said)?.[1]
      const connection = yield* connect(`ws://127.0.0.1:${port}`)
      process.kill("SIGTERM")
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
      assert.strictEqual((yield* exit).code, 0)
    })
  )
})

describe("S15, who may connect", () => {
  const listener = NodeListener.layer({ host: "localhost", port: 0 })

  it.scopedLive("H8, basic auth: greets by name, is healthy for everybody, and asks browsers for a password", () =>
    Effect.gen(function* () {
      const { uri, http } = yield* sample(basicAuthServer(Redacted.make("s3cret")).pipe(Layer.provide(listener)))
      const connection = yield* connect(uri.replace("//", "//ada:s3cret@"))
      assert.strictEqual(yield* connection.receive, "Hello ada!")
      assert.strictEqual((yield* Effect.promise(() => fetch(`${http}/healthz`))).status, 200)
      const page = yield* Effect.promise(() => fetch(http))
      assert.strictEqual(page.status, 401)
      assert.strictEqual(page.headers.get("www-authenticate"), 'Basic realm="greetings", charset="UTF-8"')
      assert.include((yield* Effect.flip(connect(uri.replace("//", "//ada:wrong@")))).message, "status 401")
    })
  )

  it.scopedLive("H8, sessions: lets in a token as Bearer or as cookie, and nobody else", () =>
    Effect.gen(function* () {
      const sessions = sessionsOf(new Map([["t0ken", "Ada"]]))
      const { uri } = yield* sample(SessionServer.pipe(Layer.provide(sessions), Layer.provide(listener)))
      for (const headers of [{ Authorization: "Bearer t0ken" }, { Cookie: "session=t0ken" }]) {
        assert.strictEqual(yield* (yield* connect(uri, { headers })).receive, "Hello Ada!")
      }
      assert.include((yield* Effect.flip(connect(uri))).message, "status 401: Log in first.")
    })
  )

  it.scopedLive("H8, first message: knows who sends a token, and closes with 1008 who does not", () =>
    Effect.gen(function* () {
      const userOf = (token: string) => Effect.succeed(token === "t0ken" ? Option.some("Ada") : Option.none())
      const { uri } = yield* sample(firstMessageServer({ port: 0, userOf }))
      const connection = yield* connect(uri)
      yield* connection.send("t0ken")
      assert.strictEqual(yield* connection.receive, "Hello Ada!")
      const stranger = yield* connect(uri)
      yield* stranger.send("guess")
      assert.strictEqual(ConnectionClosed.code(yield* stranger.closed), 1008)
    })
  )
})

describe("compression (D6)", () => {
  it.scopedLive("takes the same text there and back in a hundredth of its bytes", () =>
    Effect.gen(function* () {
      const { uri } = yield* sample<never, unknown>(compressingServer({ port: 0 }))
      const { isSame, traffic } = yield* compressingClient(uri).pipe(
        Effect.provide(Layer.provide(WebSocketClient.layer, NodeConnector.layer)),
        Effect.withConsole({ ...(yield* Effect.console), log: () => Effect.void })
      )
      assert.isTrue(isSame)
      assert.isBelow(traffic.bytesReceived, 300)
      assert.isBelow(traffic.bytesSent, 300)
    })
  )
})

describe("S15, reconnecting client", () => {
  it.scopedLive("prints the time, also of a server that is started again", () =>
    Effect.gen(function* () {
      const printed = vi.spyOn(console, "log").mockReturnValue()
      yield* Effect.addFinalizer(() => Effect.sync(() => printed.mockRestore()))
      const first = yield* sample<never, unknown>(showTimeServer({ port: 0 }))
      const program = yield* Effect.fork(
        reconnectingClient(first.uri, { schedule: Schedule.spaced("10 millis") }).pipe(
          Effect.provide(Layer.merge(WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer)), quiet))
        )
      )
      yield* eventually(() => printed.mock.calls.length > 0)
      yield* first.stop
      printed.mockClear()
      yield* sample<never, unknown>(showTimeServer({ port: Number(new URL(first.uri).port) }))
      yield* eventually(() => printed.mock.calls.length > 0)
      assert.match(String(printed.mock.calls[0]), /^< \d{4}-\d\d-/)
      yield* Fiber.interrupt(program)
    })
  )
})

describe("C8, resume", () => {
  it.scopedLive("echoes through a session", () =>
    Effect.gen(function* () {
      const { uri } = yield* sample<never, unknown>(resumableServer({ port: 0 }))
      const message = yield* resumableClient(uri).pipe(
        Effect.provide(Layer.provide(WebSocketClient.layer, NodeConnector.layer)),
        Effect.withConsole({ ...(yield* Effect.console), log: () => Effect.void })
      )
      assert.include(message, "kept until it is acknowledged")
    })
  )
})

describe("H13, a certificate that is renewed", () => {
  it.scopedLive("is shown to who connects behind SIGHUP, and who is connected goes on", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => mkdtemp(join(tmpdir(), "certificate-"))),
        (path) => Effect.promise(() => rm(path, { recursive: true }))
      )
      const files = { cert: join(directory, "cert.pem"), key: join(directory, "key.pem") }
      const renew = Effect.promise(async () => {
        const { ca, sign } = await makeSigner("an authority")
        const { cert, key } = await sign({ names: ["localhost"] })
        await Promise.all([writeFile(files.cert, cert), writeFile(files.key, key)])
        return ca
      })
      const first = yield* renew
      const { uri } = yield* sample<never, unknown>(reloadableServer(0, files))
      const trusting = (ca: string) =>
        WebSocketClient.connect(uri.replace("ws:", "wss:")).pipe(
          Effect.provide(Layer.provide(WebSocketClient.layer, NodeConnector.layerWith({ tls: { ca } })))
        )
      const before = yield* trusting(first)
      const second = yield* renew
      process.kill(process.pid, "SIGHUP")
      const after = yield* Effect.retry(trusting(second), Schedule.spaced("20 millis"))
      for (const connection of [before, after]) {
        yield* connection.send("World")
        assert.strictEqual(yield* connection.receive, "Hello World!")
      }
    })
  )
})
