import { createServer as createNetServer, type LookupFunction, connect as netConnect } from "node:net"
import { join } from "node:path"
import { createServer as createTlsServer } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Connection, HandshakeError, TransportError, WebSocketClient } from "effect-websockets"
import type { NodeConnector } from "effect-websockets/node"
import {
  certificate,
  connect,
  echo,
  failureOf,
  folder,
  foreignCertificate,
  interruptedAtAnyMoment,
  leavesNothing,
  listening,
  rawServer,
  serve
} from "./support.js"

const failure = (
  uri: string,
  options?: WebSocketClient.ConnectOptions,
  connector?: NodeConnector.ConnectorOptions
): Effect.Effect<WebSocketClient.ConnectError> => failureOf(connect(uri, options, connector))

const transportError = (error: WebSocketClient.ConnectError): TransportError =>
  error._tag === "TransportError" ? error : assert.fail(`${error}`)

const handshakeError = (error: WebSocketClient.ConnectError): HandshakeError["reason"] =>
  error._tag === "HandshakeError" ? error.reason : assert.fail(`${error}`)

const echoes = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    yield* connection.send("hello")
    assert.strictEqual(yield* connection.receive, "hello")
  })

/** A port on which nobody listens. */
const freePort = Effect.map(Effect.scoped(listening(() => createNetServer())), ({ port }) => port)

describe("C1: reaching a server", () => {
  it.live("fails with the system's word and advice where the port is closed", () =>
    leavesNothing(
      Effect.gen(function* () {
        const port = yield* freePort
        for (const host of ["127.0.0.1", "localhost"]) {
          const error = transportError(yield* failure(`ws://${host}:${port}`))
          assert.strictEqual(error.operation, "connect")
          assert.strictEqual(error.code, "ECONNREFUSED")
          assert.match(error.message, new RegExp(`^cannot connect to ${host}:${port}: .*ECONNREFUSED`))
          assert.include(error.message, "Is the server running, and on this port?")
        }
      })
    )
  )

  it.live("says which addresses were tried where a name has several", () =>
    leavesNothing(
      Effect.gen(function* () {
        const port = yield* freePort
        const lookup: LookupFunction = (_, __, done) =>
          done(null, [
            { address: "127.0.0.1", family: 4 },
            { address: "127.0.0.2", family: 4 }
          ])
        const error = transportError(yield* failure(`wss://several.example:${port}`, {}, { tls: { lookup } }))
        assert.strictEqual(error.code, "ECONNREFUSED")
        assert.include(error.message, `ECONNREFUSED 127.0.0.1:${port}`)
        assert.include(error.message, `ECONNREFUSED 127.0.0.2:${port}`)
      })
    )
  )

  it.live("fails where the host name is unknown", () =>
    leavesNothing(
      Effect.gen(function* () {
        const error = transportError(yield* failure("ws://nobody.invalid"))
        assert.strictEqual(error.operation, "connect")
        assert.include(["ENOTFOUND", "EAI_AGAIN"], error.code)
        assert.include(error.message, "nobody.invalid")
      })
    )
  )

  it.live("fails with InvalidUri before anything is opened", () =>
    leavesNothing(
      Effect.gen(function* () {
        for (const uri of ["http://localhost", "localhost", "ws://localhost/#part", "ws://localhost:70000"]) {
          assert.strictEqual((yield* failure(uri))._tag, "InvalidUri")
        }
      })
    )
  )

  it.live("C2: goes over a Unix socket", () =>
    leavesNothing(
      Effect.gen(function* () {
        const path = join(yield* folder, "socket")
        yield* serve(echo, { listen: { path } })
        yield* Effect.flatMap(connect("ws://localhost", {}, { path }), echoes)
        const error = transportError(yield* failure("ws://localhost", {}, { path: `${path}-not` }))
        assert.strictEqual(error.code, "ENOENT")
        assert.include(error.message, path)
      })
    )
  )

  it.live("C2: goes over a stream that is open already, with TLS and without", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { key, cert } = yield* certificate
        const plain = yield* serve(echo)
        const secure = yield* serve(echo, { listen: { port: 0, host: "127.0.0.1", tls: { key, cert } } })
        const duplex = (port: number) => netConnect(port, "127.0.0.1")
        yield* Effect.flatMap(connect("ws://localhost", {}, { duplex: duplex(plain.port) }), echoes)
        yield* Effect.flatMap(
          connect("wss://localhost", {}, { duplex: duplex(secure.port), tls: { ca: cert } }),
          echoes
        )
      })
    )
  )

  it.live("C2: comes from the local address it was told", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serve((connection) => connection.send(JSON.stringify(connection.remoteAddress)))
        const connection = yield* connect(`ws://127.0.0.1:${server.port}`, {}, { localAddress: "127.0.0.9" })
        assert.include(yield* connection.receiveText, '"127.0.0.9"')
      })
    )
  )
})

describe("TLS", () => {
  const secure = Effect.gen(function* () {
    const { key, cert } = yield* certificate
    const { port } = yield* serve(echo, { listen: { port: 0, host: "127.0.0.1", tls: { key, cert } } })
    return { port, cert }
  })

  it.live("C2: refuses a certificate that nobody vouches for, and says how to trust it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* secure
        const error = transportError(yield* failure(`wss://localhost:${port}`))
        assert.strictEqual(error.operation, "tls")
        assert.strictEqual(error.code, "DEPTH_ZERO_SELF_SIGNED_CERT")
        assert.match(error.message, /^cannot agree on TLS with localhost:\d+: .*the option tls\.ca\.$/)
      })
    )
  )

  it.live("C2: accepts the certificates it was told to trust, for a name and for an address", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port, cert } = yield* secure
        yield* Effect.flatMap(connect(`wss://localhost:${port}`, {}, { tls: { ca: cert } }), echoes)
        yield* Effect.flatMap(connect(`wss://127.0.0.1:${port}`, {}, { tls: { ca: cert } }), echoes)
      })
    )
  )

  it.live("C2: refuses a trusted certificate for another name, unless that name is expected", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { key, cert } = yield* foreignCertificate
        const { port } = yield* serve(echo, { listen: { port: 0, host: "127.0.0.1", tls: { key, cert } } })
        const error = transportError(yield* failure(`wss://localhost:${port}`, {}, { tls: { ca: cert } }))
        assert.strictEqual(error.operation, "tls")
        assert.strictEqual(error.code, "ERR_TLS_CERT_ALTNAME_INVALID")
        yield* Effect.flatMap(
          connect(`wss://localhost:${port}`, {}, { tls: { ca: cert, servername: "elsewhere.example" } }),
          echoes
        )
      })
    )
  )

  it.live("C2: accepts any certificate by an option that is called dangerous", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* secure
        yield* Effect.flatMap(
          connect(`wss://localhost:${port}`, {}, { tls: { dangerouslyAcceptAnyCertificate: true } }),
          echoes
        )
      })
    )
  )

  it.live("C2: is missed by ws:// to a TLS port, which the error says", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* secure
        const error = transportError(yield* failure(`ws://localhost:${port}`))
        assert.strictEqual(error.operation, "handshake")
        assert.include(error.message, "use wss:// for it")
      })
    )
  )

  it.live("C2: is not found by wss:// on a plain port, which the error says", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo)
        const error = transportError(yield* failure(`wss://localhost:${port}`))
        assert.strictEqual(error.operation, "tls")
        assert.include(error.message, "use ws:// for it")
      })
    )
  )

  it.live("C2: that is done is not blamed for what comes after it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const pair = yield* certificate
        const { port } = yield* listening(() => createTlsServer(pair, (socket) => socket.end()))
        const error = transportError(yield* failure(`wss://localhost:${port}`, {}, { tls: { ca: pair.cert } }))
        assert.strictEqual(error.operation, "handshake")
      })
    )
  )

  it.live("C2: with a certificate of our own that is no PEM is a typed error", () =>
    leavesNothing(
      Effect.gen(function* () {
        const error = transportError(yield* failure("wss://localhost", {}, { tls: { cert: "none", key: "none" } }))
        assert.strictEqual(error.operation, "tls")
        assert.match(error.code ?? "", /^ERR_OSSL_PEM/)
      })
    )
  )
})

describe("connecting", () => {
  it.live("C6: takes no longer than openTimeout where the server says nothing", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* rawServer
        const error = yield* failure(server.uri, { openTimeout: "100 millis" })
        assert.deepStrictEqual(handshakeError(error), { _tag: "Timeout", milliseconds: 100 })
        const peer = yield* server.accept
        yield* peer.rest
      })
    )
  )

  it.live("C6: takes no longer than openTimeout where TLS never comes", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* rawServer
        const error = yield* failure(server.uri.replace("ws:", "wss:"), { openTimeout: "100 millis" })
        assert.strictEqual(handshakeError(error)._tag, "Timeout")
      })
    )
  )

  it.live("C6: takes no longer than openTimeout inside a region that cannot be interrupted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* rawServer
        const error = yield* Effect.uninterruptible(failure(server.uri, { openTimeout: "100 millis" }))
        assert.strictEqual(handshakeError(error)._tag, "Timeout")
      })
    )
  )

  it.live("C1: leaves nothing behind when it is interrupted, however far it has come", () =>
    Effect.gen(function* () {
      const { key, cert } = yield* certificate
      yield* leavesNothing(
        Effect.gen(function* () {
          const plain = yield* serve(echo)
          const secure = yield* serve(echo, { listen: { port: 0, host: "127.0.0.1", tls: { key, cert } } })
          const mute = yield* listening(() =>
            createTlsServer({ key, cert }, (socket) => socket.on("error", () => {}).resume())
          )
          for (const uri of [plain, secure, mute].map(
            ({ port }, i) => `${i === 0 ? "ws" : "wss"}://localhost:${port}`
          )) {
            yield* interruptedAtAnyMoment(connect(uri, {}, { tls: { ca: cert } }), 25)
          }
        })
      )
    })
  )
})
