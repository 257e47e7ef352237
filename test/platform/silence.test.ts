import { createServer, type Server, type ServerResponse } from "node:http"
import { createSecureServer as createHttp2Server } from "node:http2"
import { createServer as createSecureServer } from "node:https"
import { HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { PlatformHttpServer } from "effect-websockets/platform"
import {
  certificate,
  connect,
  cut,
  echo,
  eventually,
  frame,
  launch,
  leavesNothing,
  type Peer,
  rawConnect,
  rawDripping,
  rawTls,
  requestText
} from "./support.js"

/** Peers of a server with routes that connect and are slow to ask. */

const app = HttpRouter.empty.pipe(
  HttpRouter.get("/page", HttpServerResponse.text("page")),
  HttpRouter.get("/", PlatformHttpServer.upgrade(echo))
)

const page = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n"

/** Asks for the page, and goes on. */
const read = (peer: Peer) => Effect.zipRight(Effect.zipRight(peer.write(page), peer.head), peer.take(4))

describe("H3: a peer of a server with routes", () => {
  it.live.each(["plain", "secure"])("is cut after openTimeout, however much of its request it has sent (%s)", (kind) =>
    leavesNothing(
      Effect.gen(function* () {
        const pair = yield* certificate
        const make = () => (kind === "secure" ? createSecureServer(pair) : createServer())
        const { port } = yield* launch(HttpServer.serve(app), { openTimeout: "300 millis" }, make)
        const dial = kind === "secure" ? rawTls({ port }) : rawConnect(port)
        const open = yield* dial
        yield* Effect.zipRight(open.write(requestText()), open.head)
        // Below TLS as well, which has not begun here.
        yield* Effect.flatMap(rawConnect(port), cut)
        for (const text of ["G", requestText().slice(0, -2)]) {
          const peer = yield* dial
          yield* peer.write(text)
          yield* cut(peer)
        }
        yield* open.write(frame(1, "still there?"))
        assert.strictEqual((yield* open.take(14)).toString("latin1", 2), "still there?")
      })
    )
  )

  it.live("holds a slot no longer for sending its headers byte by byte, and others come in then", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port, ws } = yield* launch(HttpServer.serve(app), { openTimeout: "600 millis", maxHandshakes: 1 })
        const begun = performance.now()
        const { slow, dripping } = yield* rawDripping(port)
        yield* Effect.flatMap(rawConnect(port), cut)
        assert.isUndefined(slow.ending)
        yield* cut(slow)
        assert.isAtLeast(performance.now() - begun, 595)
        yield* Fiber.join(dripping)
        const connection = yield* connect(ws)
        yield* connection.send("in")
        assert.strictEqual(yield* connection.receive, "in")
      })
    )
  )

  it.live("that was answered holds no slot, and is node's to end: a proxy may count on keepAliveTimeout", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* launch(HttpServer.serve(app), { openTimeout: "200 millis", maxHandshakes: 1 }, () =>
          createServer({ keepAliveTimeout: 60_000 })
        )
        const kept = yield* rawConnect(port)
        yield* read(kept)
        // Who is silent from now on is cut behind openTimeout, and by then that of the other would be over, too.
        for (let time = 0; time < 2; time++) yield* Effect.flatMap(rawConnect(port), cut)
        yield* read(kept)
      })
    )
  )

  it.live("that takes its time for its route is not cut", () =>
    leavesNothing(
      Effect.gen(function* () {
        const gate = yield* Effect.makeLatch(false)
        const slow = HttpRouter.empty.pipe(
          HttpRouter.get("/page", Effect.as(gate.await, HttpServerResponse.text("page")))
        )
        const { port } = yield* launch(HttpServer.serve(slow), { openTimeout: "100 millis" })
        const peer = yield* rawConnect(port)
        const reading = yield* Effect.fork(read(peer))
        for (let time = 0; time < 2; time++) yield* Effect.flatMap(rawConnect(port), cut)
        yield* gate.open
        assert.strictEqual((yield* Fiber.join(reading)).toString(), "page")
      })
    )
  )

  it.live("is heard where its request goes to a listener of another event", () =>
    leavesNothing(
      Effect.gen(function* () {
        const waiting: Array<ServerResponse> = []
        const { port } = yield* launch(HttpServer.serve(app), { openTimeout: "100 millis" }, () =>
          createServer().on("checkContinue", (_, response) => waiting.push(response))
        )
        const peer = yield* rawConnect(port)
        yield* peer.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        for (let time = 0; time < 2; time++) yield* Effect.flatMap(rawConnect(port), cut)
        yield* eventually(() => waiting.length === 1)
        for (const response of waiting) response.end("mine")
        assert.match(yield* peer.head, /^HTTP\/1\.1 200 /)
      })
    )
  )

  it.live("is heard on a server of HTTP/2 that speaks HTTP/1.1 too", () =>
    leavesNothing(
      Effect.gen(function* () {
        const pair = yield* certificate
        const make = () => createHttp2Server({ ...pair, allowHTTP1: true }) as unknown as Server
        const { port } = yield* launch(HttpServer.serve(app), { openTimeout: "300 millis" }, make)
        const open = yield* rawTls({ port })
        yield* Effect.zipRight(open.write(requestText()), open.head)
        yield* Effect.flatMap(rawTls({ port }), cut)
        yield* open.write(frame(1, "still there?"))
        assert.strictEqual((yield* open.take(14)).toString("latin1", 2), "still there?")
      })
    )
  )

  it.live("is told of by options that make sense", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.scoped(launch(HttpServer.serve(app), { maxHandshakes: 0 })))
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "maxHandshakes is 0")
    })
  )
})
