import { createServer as createHttpServer } from "node:http"
import { createServer as createHttpsServer } from "node:https"
import { connect as netConnect } from "node:net"
import { join } from "node:path"
import { createSecureContext, type TLSSocket } from "node:tls"
import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Connection, Reconnecting } from "effect-websockets"
import {
  connect,
  echo,
  failureOf,
  folder,
  leavesNothing,
  listening,
  type Pair,
  rawServer,
  serve,
  signer
} from "./support.js"

const echoes = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    yield* connection.send("hello")
    assert.strictEqual(yield* connection.receive, "hello")
  })

/** A plain HTTP server that sends everybody elsewhere. */
const redirecting = (location: string, body = "") =>
  listening(() =>
    createHttpServer((_, response) => response.writeHead(301, { Location: location }).end(body)).on(
      "upgrade",
      (_, socket) =>
        socket
          .on("error", () => {})
          .end(`HTTP/1.1 301 Moved\r\nLocation: ${location}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    )
  )

describe("a redirect", () => {
  it.live("C4: from a plain HTTP server leads to TLS", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ca, sign } = yield* signer
        const pair = yield* Effect.promise(() => sign({ names: ["localhost"] }))
        const secure = yield* serve(echo, { listen: { port: 0, host: "127.0.0.1", tls: pair } })
        const { port } = yield* redirecting(`https://localhost:${secure.port}/new`, "x".repeat(2_000_000))
        const connection = yield* connect(`ws://127.0.0.1:${port}`, {}, { tls: { ca } })
        assert.strictEqual(connection.handshake.request.target, "/new")
        yield* echoes(connection)
      })
    )
  )

  it.live("C4: leads to another server without the client's certificate and the name expected of the first", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ca, sign } = yield* signer
        const pair = yield* Effect.promise(() => sign({ names: ["one.example"] }))
        const own = yield* Effect.promise(() => sign({ names: ["ada"], isClient: true }))
        const foreign = yield* Effect.promise(() => sign({ names: ["localhost"] }))
        const seen: Array<readonly [name: unknown, shown: number]> = []
        const secure = (pair: Pair, location: () => string) =>
          listening(() =>
            createHttpsServer({ ...pair, ca, requestCert: true, rejectUnauthorized: false }).on(
              "upgrade",
              (_, socket: TLSSocket) => {
                seen.push([
                  "servername" in socket && socket.servername,
                  Object.keys(socket.getPeerCertificate()).length
                ])
                socket.end(`HTTP/1.1 302 Found\r\nLocation: ${location()}\r\nContent-Length: 0\r\n\r\n`)
              }
            )
          )
        const other = yield* secure(foreign, () => "ws://insecure.example")
        const first = yield* secure(pair, () => `wss://localhost:${other.port}`)
        const tls = { ca, ...own, servername: "one.example" }
        const error = yield* failureOf(connect(`wss://127.0.0.1:${first.port}`, {}, { tls }))
        assert.strictEqual(error._tag === "HandshakeError" && error.reason._tag, "InsecureRedirect")
        assert.deepStrictEqual(
          seen.map(([name, shown]) => [name, shown > 0]),
          [
            ["one.example", true],
            ["localhost", false]
          ]
        )
      })
    )
  )

  it.live("C4: leads to another server only if its certificate is right for its host and for checkServerIdentity", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ca, sign } = yield* signer
        const tls = yield* Effect.promise(() => sign({ names: ["one.example"] }))
        const right = yield* Effect.promise(() => sign({ names: ["localhost"] }))
        const elsewhere = (pair: Pair) => serve(echo, { listen: { port: 0, host: "127.0.0.1", tls: pair } })
        const checked: Array<string> = []
        const asking = (pair: Pair, checkServerIdentity: (host: string) => Error | undefined) =>
          Effect.gen(function* () {
            const { port } = yield* elsewhere(pair)
            const onRequest = () => Effect.succeed(HttpServerResponse.redirect(`wss://localhost:${port}/`))
            const first = yield* serve(echo, { listen: { port: 0, host: "127.0.0.1", tls }, onRequest })
            return yield* connect(`wss://127.0.0.1:${first.port}`, {}, { tls: { ca, checkServerIdentity } })
          })
        const lenient = (host: string) => void checked.push(host)
        yield* Effect.flatMap(asking(right, lenient), echoes)
        assert.deepStrictEqual(checked, ["127.0.0.1", "localhost"])
        assert.include((yield* failureOf(asking(tls, lenient))).message, "is not in the cert's altnames")
        const strict = (host: string) => (host === "localhost" ? new Error("not that one") : undefined)
        assert.include((yield* failureOf(asking(right, strict))).message, "not that one")
      })
    )
  )

  it.live("C4: to another server is not followed where a connector is for one", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serve(echo)
        const { port } = yield* redirecting(`ws://localhost:${server.port}`)
        const path = join(yield* folder, "socket")
        const redirect = () => Effect.succeed(HttpServerResponse.redirect("ws://two.example/"))
        yield* serve(echo, { listen: { path }, onRequest: redirect })
        const cases = [
          ["host", { host: "127.0.0.1" }],
          ["port", { port }],
          ["duplex", { duplex: netConnect(port, "127.0.0.1") }],
          ["path", { path }]
        ] as const
        for (const [option, options] of cases) {
          const error = yield* failureOf(connect(`ws://127.0.0.1:${port}`, {}, options))
          assert.strictEqual(error._tag === "TransportError" && error.code, "ERR_CONNECTOR_OPTION")
          assert.isFalse(Reconnecting.isTransient(error))
          assert.include(
            error.message,
            `the server redirects there, and the connector's option ${option} is for one server`
          )
        }
      })
    )
  )

  it.live("C4: to another server over TLS is not followed with a context that may hold our certificate", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ca, sign } = yield* signer
        const pair = yield* Effect.promise(() => sign({ names: ["localhost"] }))
        const own = yield* Effect.promise(() => sign({ names: ["ada"], isClient: true }))
        const other = yield* serve(echo, { listen: { port: 0, host: "127.0.0.1", tls: pair } })
        const { port } = yield* redirecting(`wss://localhost:${other.port}`)
        const secureContext = createSecureContext({ ca, ...own })
        const error = yield* failureOf(connect(`ws://127.0.0.1:${port}`, {}, { tls: { secureContext } }))
        assert.strictEqual(
          error.message,
          `cannot connect to localhost:${other.port}: the server redirects there, and the connector's option tls.secureContext is for one server. Connect there with another connector`
        )
        yield* Effect.flatMap(connect(`wss://localhost:${other.port}`, {}, { tls: { secureContext } }), echoes)
        const plain = yield* serve(echo)
        const unencrypted = yield* redirecting(`ws://localhost:${plain.port}`)
        yield* Effect.flatMap(connect(`ws://127.0.0.1:${unencrypted.port}`, {}, { tls: { secureContext } }), echoes)
      })
    )
  )

  it.live("C4: inside an origin is followed over a Unix socket, and not over a stream that is used up", () =>
    leavesNothing(
      Effect.gen(function* () {
        const onRequest = ({ url }: { readonly url: string }) =>
          Effect.succeed(url === "/" ? HttpServerResponse.redirect("/new") : undefined)
        const path = join(yield* folder, "socket")
        yield* serve(echo, { listen: { path }, onRequest })
        const connection = yield* connect("ws://localhost", {}, { path })
        assert.strictEqual(connection.handshake.request.target, "/new")
        const server = yield* serve(echo, { onRequest })
        const error = yield* failureOf(connect("ws://localhost", {}, { duplex: netConnect(server.port, "127.0.0.1") }))
        assert.include(error.message, "was used before")
      })
    )
  )

  it.live("C6: leads to where openTimeout ends it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const silent = yield* rawServer
        const { port } = yield* redirecting(silent.uri)
        const error = yield* failureOf(connect(`ws://127.0.0.1:${port}`, { openTimeout: "150 millis" }))
        assert.strictEqual(
          error.message,
          `cannot open a WebSocket to ${silent.uri}/ (redirected from ws://127.0.0.1:${port}/): not open after openTimeout (150 ms)`
        )
        const peer = yield* silent.accept
        yield* peer.rest
      })
    )
  )
})
