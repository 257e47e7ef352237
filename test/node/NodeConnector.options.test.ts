import { createServer, type LookupFunction, connect as netConnect } from "node:net"
import { createServer as createTlsServer, type TLSSocket } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer, Redacted } from "effect"
import { type Connection, Reconnecting, WebSocketClient } from "effect-websockets"
import { NodeConnector } from "effect-websockets/node"
import type { SignOptions } from "../support/certificates.js"
import { connect, duplexPair, echo, eventually, failureOf, leavesNothing, listening, serve, signer } from "./support.js"

const echoes = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    yield* connection.send("hello")
    assert.strictEqual(yield* connection.receive, "hello")
  })

/** A server of ours that shows such a certificate, and whom to trust for it. */
const secure = (options: SignOptions) =>
  Effect.gen(function* () {
    const { ca, sign } = yield* signer
    const pair = yield* Effect.promise(() => sign(options))
    const { port } = yield* serve(echo, { listen: { port: 0, host: "127.0.0.1", tls: pair } })
    return { ca, port }
  })

const codeOf = (error: WebSocketClient.ConnectError) =>
  error._tag === "TransportError" ? error.code : assert.fail(`${error}`)

const day = 86_400_000
const daysFromNow = (days: number) => new Date(Date.now() + days * day)

describe("a certificate", () => {
  it.live("C2: of a trusted authority is accepted, for a name and for an address", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ca, port } = yield* secure({ names: ["localhost", "127.0.0.1"] })
        yield* Effect.flatMap(connect(`wss://localhost:${port}`, {}, { tls: { ca } }), echoes)
        yield* Effect.flatMap(connect(`wss://127.0.0.1:${port}`, {}, { tls: { ca } }), echoes)
      })
    )
  )

  it.live.each<readonly [string, SignOptions, boolean, string, string]>([
    [
      "has expired",
      { names: ["localhost"], from: daysFromNow(-9), until: daysFromNow(-1) },
      true,
      "CERT_HAS_EXPIRED",
      "certificate has expired. The server needs a new certificate"
    ],
    [
      "is not valid yet",
      { names: ["localhost"], from: daysFromNow(1), until: daysFromNow(9) },
      true,
      "CERT_NOT_YET_VALID",
      "certificate is not yet valid. The certificate's time has not come"
    ],
    [
      "is for another host",
      { names: ["elsewhere.example"] },
      true,
      "ERR_TLS_CERT_ALTNAME_INVALID",
      "Host: localhost. is not in the cert's altnames: DNS:elsewhere.example. Use a host name that the certificate has"
    ],
    [
      "is of an authority that is not trusted",
      { names: ["localhost"] },
      false,
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "unable to verify the first certificate. To trust it, give its certificate or its authority's as the option tls.ca."
    ]
  ])("C2: that %s is refused, and the error names that", ([_, options, isTrusted, code, problem]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { ca, port } = yield* secure(options)
        const uri = `wss://localhost:${port}`
        const error = yield* failureOf(connect(uri, {}, { tls: isTrusted ? { ca } : {} }))
        assert.strictEqual(codeOf(error), code)
        assert.include(error.message, `cannot agree on TLS with localhost:${port}: `)
        assert.include(error.message, problem)
        const careless = { tls: { dangerouslyAcceptAnyCertificate: true } }
        yield* Effect.flatMap(connect(uri, {}, careless), echoes)
      })
    )
  )
})

describe("another host and port", () => {
  it.live("C2: are connected to, with the URI's Host", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serve((connection) =>
          connection.send(JSON.stringify(connection.handshake.request.headers))
        )
        const connection = yield* connect("ws://one.example/", {}, { host: "127.0.0.1", port: server.port })
        assert.include(yield* connection.receiveText, '["Host","one.example"]')
        const { port } = yield* Effect.scoped(listening(() => createServer()))
        const error = yield* failureOf(connect("ws://one.example/", {}, { host: "127.0.0.1", port }))
        assert.include(error.message, `cannot connect to 127.0.0.1:${port}`)
      })
    )
  )

  it.live("C2: have to show a certificate of the URI's host, name or address", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ca, port } = yield* secure({ names: ["one.example", "127.0.0.2"] })
        const there = { host: "127.0.0.1", port, tls: { ca } }
        yield* Effect.flatMap(connect("wss://one.example", {}, there), echoes)
        yield* Effect.flatMap(connect("wss://127.0.0.2", {}, there), echoes)
        for (const other of ["wss://two.example", "wss://127.0.0.1"]) {
          assert.strictEqual(codeOf(yield* failureOf(connect(other, {}, there))), "ERR_TLS_CERT_ALTNAME_INVALID")
        }
      })
    )
  )

  it.live("C2: of a stream that is given too", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ca, port } = yield* secure({ names: ["127.0.0.2"] })
        const over = () => ({ duplex: netConnect(port, "127.0.0.1"), tls: { ca } })
        yield* Effect.flatMap(connect("wss://127.0.0.2", {}, over()), echoes)
        assert.strictEqual(
          codeOf(yield* failureOf(connect("wss://localhost", {}, over()))),
          "ERR_TLS_CERT_ALTNAME_INVALID"
        )
      })
    )
  )
})

describe("TLS", () => {
  /** What a server sees of clients, which it then leaves. */
  const watching = Effect.gen(function* () {
    const { ca, sign } = yield* signer
    const pair = yield* Effect.promise(() => sign({ names: ["one.example", "127.0.0.1"] }))
    const seen: Array<TLSSocket> = []
    const { port } = yield* listening(() =>
      createTlsServer(
        { ...pair, ca, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ["http/1.1", "other"] },
        (socket) => {
          seen.push(socket)
          socket.on("error", () => {}).end()
        }
      )
    )
    return { ca, sign, port, seen }
  })

  it.live("C2: names the URI's host, unless that is an address, and HTTP/1.1, unless told otherwise", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ca, port, seen } = yield* watching
        const there = { host: "127.0.0.1", port }
        yield* failureOf(connect("wss://one.example", {}, { ...there, tls: { ca } }))
        yield* failureOf(connect("wss://127.0.0.1", {}, { ...there, tls: { ca } }))
        const told = { ca, servername: "one.example", ALPNProtocols: ["other"] }
        yield* failureOf(connect("wss://two.example", {}, { ...there, tls: told }))
        yield* eventually(() => seen.length === 3)
        assert.deepStrictEqual(
          seen.map((socket) => ["servername" in socket && socket.servername, socket.alpnProtocol]),
          [
            ["one.example", "http/1.1"],
            [false, "http/1.1"],
            ["one.example", "other"]
          ]
        )
      })
    )
  )

  it.live("C2: shows a certificate of ours, whose key may be redacted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ca, sign, port, seen } = yield* watching
        const { key, cert } = yield* Effect.promise(() => sign({ names: ["ada"], isClient: true }))
        for (const own of [key, Redacted.make(key)]) {
          yield* failureOf(connect(`wss://127.0.0.1:${port}`, {}, { tls: { ca, cert, key: own } }))
        }
        yield* eventually(() => seen.length === 2)
        for (const socket of seen) assert.isTrue(socket.authorized)
      })
    )
  )
})

describe("other ways", () => {
  it.live("C2: settings may be configured", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serve((connection) => connection.send(JSON.stringify(connection.remoteAddress)))
        const variables = ConfigProvider.fromMap(new Map([["PORT", String(server.port)]]))
        const configured = NodeConnector.layerConfig({
          host: Config.succeed("127.0.0.1"),
          port: Config.port("PORT"),
          localAddress: Config.succeed("127.0.0.9")
        }).pipe(Layer.provide(Layer.setConfigProvider(variables)))
        const client = WebSocketClient.layer.pipe(Layer.provide(configured))
        const connection = yield* Effect.provide(WebSocketClient.connect("ws://one.example"), client)
        assert.include(yield* connection.receiveText, '"127.0.0.9"')
      })
    )
  )

  it.live("C2: names are looked up by a hook", () =>
    leavesNothing(
      Effect.gen(function* () {
        const asked: Array<string> = []
        const lookup: LookupFunction = (name, { all }, done) => {
          asked.push(name)
          if (all === true) done(null, [{ address: "127.0.0.1", family: 4 }])
          else done(null, "127.0.0.1", 4)
        }
        const plain = yield* serve(echo)
        const { ca, port } = yield* secure({ names: ["two.example"] })
        yield* Effect.flatMap(connect(`ws://one.example:${plain.port}`, {}, { lookup }), echoes)
        yield* Effect.flatMap(connect(`wss://two.example:${port}`, {}, { lookup, tls: { ca } }), echoes)
        assert.deepStrictEqual(asked, ["one.example", "two.example"])
      })
    )
  )

  it.live.each(["ws", "wss"])("C6: openTimeout ends the wait for a name that is looked up for ever: %s", (scheme) =>
    leavesNothing(
      Effect.gen(function* () {
        const error = yield* failureOf(
          connect(`${scheme}://one.example`, { openTimeout: "50 millis" }, { lookup: () => {} })
        )
        assert.strictEqual(error._tag === "HandshakeError" && error.reason._tag, "Timeout")
      })
    )
  )

  it.live("C2: a stream that is given is used once, and closed with its connection", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serve(echo)
        const duplex = netConnect(server.port, "127.0.0.1")
        const again = Effect.map(failureOf(connect("ws://localhost", {}, { duplex })), (error) => {
          assert.include(error.message, "the stream given as the option duplex was used before, or is closed")
          assert.strictEqual(codeOf(error), "ERR_CONNECTOR_OPTION")
          assert.isFalse(Reconnecting.isTransient(error))
        })
        yield* Effect.scoped(
          Effect.gen(function* () {
            const connection = yield* connect("ws://localhost", {}, { duplex })
            yield* again
            yield* echoes(connection)
          })
        )
        yield* eventually(() => duplex.destroyed)
        yield* again
        const closed = netConnect(server.port, "127.0.0.1").destroy()
        assert.strictEqual((yield* failureOf(connect("ws://localhost", {}, { duplex: closed })))._tag, "TransportError")
      })
    )
  )

  it.live("C2: a stream that is given is closed when it comes to nothing", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* listening(() => createServer((socket) => socket.on("error", () => {}).resume()))
        for (const [uri, tls] of [
          ["ws://localhost", {}],
          ["wss://localhost", {}],
          ["wss://localhost", { cert: "none", key: "none" }]
        ] as const) {
          for (const duplex of [netConnect(server.port, "127.0.0.1"), duplexPair()[0]]) {
            yield* failureOf(connect(uri, { openTimeout: "50 millis" }, { duplex, tls }))
            yield* eventually(() => duplex.destroyed)
          }
        }
      })
    )
  )
})
