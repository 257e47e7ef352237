import { createServer } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Layer } from "effect"
import type { Connection, ProxyError, Transport, WebSocketClient } from "effect-websockets"
import { NodeProxy } from "effect-websockets/node"
import { connectVia, httpProxy, socks4Proxy } from "./proxies.js"
import {
  certificate,
  echo,
  failureOf,
  foreignCertificate,
  interruptedAtAnyMoment,
  leavesNothing,
  listening,
  type Peer,
  rawServer,
  serve
} from "./support.js"

const echoes = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    const large = "é".repeat(400_000)
    yield* connection.send("hello")
    yield* connection.send(large)
    assert.strictEqual(yield* connection.receive, "hello")
    assert.strictEqual(yield* connection.receive, large)
    const closed = yield* connection.close({ code: 4001, reason: "enough" })
    assert.deepStrictEqual(closed.closure.received, { code: 4001, reason: "" })
  })

/** A proxy by its URI, or by a layer. */
type Proxies = string | Layer.Layer<never, ProxyError>

const failure = (
  proxy: string | Proxies,
  uri: string,
  options?: WebSocketClient.ConnectOptions
): Effect.Effect<WebSocketClient.ConnectError> => failureOf(connectVia(proxy, uri, options))

const proxyError = (error: WebSocketClient.ConnectError): ProxyError =>
  error._tag === "ProxyError" ? error : assert.fail(`${error}`)

const secureServer = Effect.gen(function* () {
  const { key, cert } = yield* certificate
  const { port } = yield* serve(echo, { listen: { port: 0, host: "127.0.0.1", tls: { key, cert } } })
  return { port, cert }
})

describe("an HTTP proxy", () => {
  it.live("C5: is asked for host and port, and sees nothing of the request", () =>
    leavesNothing(
      Effect.gen(function* () {
        const requests: Array<Transport.RequestHead> = []
        const server = yield* serve((connection) => {
          requests.push(connection.handshake.request)
          return echo(connection)
        })
        const proxy = yield* httpProxy()
        const uri = `ws://ada:secret@one.example:${server.port}/path?query`
        yield* Effect.flatMap(connectVia(proxy.uri.replace("://", "://bob:word@"), uri), echoes)
        const authority = `one.example:${server.port}`
        assert.deepStrictEqual(proxy.asked, [
          { url: authority, rawHeaders: ["Host", authority, "Proxy-Authorization", `Basic ${btoa("bob:word")}`] }
        ])
        const names = requests.flatMap(({ headers }) => headers.map(([name]) => name.toLowerCase()))
        assert.include(names, "authorization")
        assert.notInclude(names, "proxy-authorization")
        assert.strictEqual(requests[0]?.target, "/path?query")
      })
    )
  )

  it.live("C5: carries TLS to the server, which it cannot read", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port, cert } = yield* secureServer
        const proxy = yield* httpProxy()
        const uri = `wss://localhost:${port}`
        yield* Effect.flatMap(connectVia(proxy.uri, uri, {}, { tls: { ca: cert } }), echoes)
        const untrusted = yield* failure(proxy.uri, uri)
        if (untrusted._tag !== "TransportError") return assert.fail(`${untrusted}`)
        assert.strictEqual(untrusted.operation, "tls")
        assert.include(untrusted.message, `localhost:${port} through the proxy ${proxy.uri}: self-signed certificate`)
        const misnamed = yield* Effect.flip(
          Effect.scoped(connectVia(proxy.uri, `wss://one.example:${port}`, {}, { tls: { ca: cert } }))
        )
        assert.strictEqual(misnamed._tag === "TransportError" && misnamed.code, "ERR_TLS_CERT_ALTNAME_INVALID")
      })
    )
  )

  it.live("C5: is itself reached over TLS with https, under plain and under secure connections", () =>
    leavesNothing(
      Effect.gen(function* () {
        const pair = yield* certificate
        const proxy = yield* httpProxy({ pair })
        const trusting = NodeProxy.layer(proxy.uri, { tls: { ca: pair.cert } })
        const plain = yield* serve(echo)
        yield* Effect.flatMap(connectVia(trusting, `ws://one.example:${plain.port}`), echoes)
        const { port } = yield* secureServer
        yield* Effect.flatMap(connectVia(trusting, `wss://localhost:${port}`, {}, { tls: { ca: pair.cert } }), echoes)
        assert.lengthOf(proxy.asked, 2)
      })
    )
  )

  it.live("C5: that shows a certificate which is not to be trusted learns nothing", () =>
    leavesNothing(
      Effect.gen(function* () {
        const pair = yield* foreignCertificate
        const proxy = yield* httpProxy({ pair })
        for (const [ca, code] of [
          [undefined, "DEPTH_ZERO_SELF_SIGNED_CERT"],
          [pair.cert, "ERR_TLS_CERT_ALTNAME_INVALID"]
        ] as const) {
          const error = proxyError(yield* failure(NodeProxy.layer(proxy.uri, { tls: { ca } }), "ws://one.example"))
          if (error.reason._tag !== "Unreachable") return assert.fail(error.reason._tag)
          assert.deepInclude(error.reason, { operation: "tls", code })
          assert.include(error.message, "no agreement on TLS with it")
        }
        assert.isEmpty(proxy.asked)
      })
    )
  )

  it.live("C5: that wants a user is told one, or is a ProxyError with 407", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serve(echo)
        const proxy = yield* httpProxy({ authorization: `Basic ${Buffer.from("ada:hünter2").toString("base64")}` })
        const at = (user: string) => proxy.uri.replace("://", `://${user}`)
        const uri = `ws://one.example:${server.port}`
        yield* Effect.flatMap(connectVia(at("ada:h%C3%BCnter2@"), uri), echoes)
        for (const user of ["", "ada:hunter2@"]) {
          const error = proxyError(yield* failure(at(user), uri))
          if (error.reason._tag !== "Rejected") return assert.fail(error.reason._tag)
          assert.strictEqual(error.reason.response.status, 407)
          assert.deepInclude(error.reason.response.headers, ["Proxy-Authenticate", 'Basic realm="here"'])
          assert.strictEqual(
            error.message,
            `cannot connect to one.example:${server.port} through the proxy ${proxy.uri}: it answered with status 407. Give a user and password that it knows in its URI.`
          )
          assert.notInclude(JSON.stringify(error), "hunter2")
        }
      })
    )
  )

  /** What a client makes of a proxy that says this to its first request. */
  const told = (say: (peer: Peer) => Effect.Effect<unknown>) =>
    Effect.gen(function* () {
      const server = yield* rawServer
      const connecting = yield* Effect.fork(failure(server.uri.replace("ws:", "http:"), "ws://one.example"))
      const peer = yield* server.accept
      yield* peer.head
      yield* say(peer)
      return proxyError(yield* Fiber.join(connecting))
    })

  it.live.each<readonly [number, string]>([
    [100, "status 100"],
    [101, "status 101"],
    [301, "status 301"],
    [403, "status 403. It does not allow"],
    [502, "status 502. It could not reach"],
    [504, "status 504. It could not reach"]
  ])("C5: with the status %i opens nothing, and the error says what it means", ([status, problem]) =>
    leavesNothing(
      Effect.gen(function* () {
        const error = yield* told((peer) =>
          Effect.zipRight(
            peer.write(`HTTP/1.1 ${status} Status\r\nLocation: http://two.example\r\nContent-Length: 0\r\n\r\n`),
            Effect.sync(() => peer.socket.end())
          )
        )
        assert.include(error.message, problem)
        assert.include(error.message, "one.example:80 through the proxy http://127.0.0.1:")
      })
    )
  )

  it.live.each<readonly [string, (peer: Peer) => Effect.Effect<unknown>]>([
    ["is reset", (peer) => peer.reset],
    ["ends", (peer) => Effect.sync(() => peer.socket.end())],
    ["ends in its head", (peer) => Effect.sync(() => peer.socket.end("HTTP/1.1 200 OK\r\nX: y"))],
    ["speaks another language", (peer) => peer.write("SSH-2.0-OpenSSH_9.6\r\n")],
    ["has a head without end", (peer) => peer.write(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(100_000)}`)]
  ])("C5: that %s is a ProxyError", ([_, say]) =>
    leavesNothing(
      Effect.gen(function* () {
        const error = yield* told(say)
        assert.strictEqual(error.reason._tag, "Broken")
        assert.match(error.message, /it gave no answer that opens a tunnel: \S.*\. Is it a proxy of that kind/)
      })
    )
  )

  it.live("C5: may send what the server said first right behind its head", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* rawServer
        const connecting = yield* Effect.fork(failure(server.uri.replace("ws:", "http:"), "ws://one.example"))
        const peer = yield* server.accept
        yield* peer.head
        yield* peer.write("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nLate")
        const error = yield* Fiber.join(connecting)
        assert.include(error.message, "the server answered with status 403: Late")
      })
    )
  )

  it.live("C5: that is not there is a ProxyError, and so is one whose name is unknown", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* Effect.scoped(listening(() => createServer()))
        const error = proxyError(yield* failure(`http://127.0.0.1:${port}`, "ws://one.example"))
        if (error.reason._tag !== "Unreachable") return assert.fail(error.reason._tag)
        assert.deepInclude(error.reason, { operation: "connect", code: "ECONNREFUSED" })
        assert.include(error.message, "Is the proxy running, and on this port?")
        const unknown = proxyError(yield* failure("http://proxy.invalid", "ws://one.example"))
        assert.strictEqual(unknown.reason._tag, "Unreachable")
      })
    )
  )

  it.live("C5: with TLS options that make no socket is a ProxyError", () =>
    leavesNothing(
      Effect.gen(function* () {
        const layer = NodeProxy.layer("https://127.0.0.1:1", { tls: { cert: "none", key: "none" } })
        assert.strictEqual(proxyError(yield* failure(layer, "ws://one.example")).reason._tag, "Unreachable")
      })
    )
  )
})

describe("a SOCKS proxy", () => {
  it.live("C5: of version 4 is told an address, with 4a a name, and the user in both", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serve(echo)
        const proxy = yield* socks4Proxy("ada")
        const { port } = server
        yield* Effect.flatMap(connectVia(`socks4://ada@127.0.0.1:${proxy.port}`, `ws://localhost:${port}`), echoes)
        yield* Effect.flatMap(connectVia(`socks4a://ada@127.0.0.1:${proxy.port}`, `ws://one.example:${port}`), echoes)
        assert.deepStrictEqual(proxy.asked, [
          { port, host: "127.0.0.1", user: "ada" },
          { port, host: "one.example", user: "ada" }
        ])
        const error = proxyError(yield* failure(`socks4a://eve@127.0.0.1:${proxy.port}`, `ws://one.example:${port}`))
        assert.deepStrictEqual(error.reason, { _tag: "SocksRejected", answer: "Failed" })
      })
    )
  )

  it.live("C5: of version 4 cannot be told an address of IPv6", () =>
    leavesNothing(
      Effect.gen(function* () {
        const proxy = yield* socks4Proxy()
        const error = proxyError(yield* failure(`socks4a://127.0.0.1:${proxy.port}`, "ws://[::1]:81"))
        assert.include(error.message, "connect to [::1]:81 through the proxy socks4a://127.0.0.1")
        assert.include(error.message, "socks4a knows no addresses of IPv6")
        assert.isEmpty(proxy.asked)
      })
    )
  )

  it.live("C5: carries TLS to the server", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port, cert } = yield* secureServer
        const proxy = yield* socks4Proxy()
        const uri = `wss://localhost:${port}`
        yield* Effect.flatMap(connectVia(`socks4a://127.0.0.1:${proxy.port}`, uri, {}, { tls: { ca: cert } }), echoes)
      })
    )
  )

  /** A client that goes through a proxy of version 5, spoken by hand. */
  const speaking = (proxy: string, uri: string, say: (peer: Peer) => Effect.Effect<unknown>) =>
    Effect.gen(function* () {
      const server = yield* rawServer
      const connecting = yield* Effect.fork(failure(`${proxy}127.0.0.1:${server.uri.slice(15)}`, uri))
      const peer = yield* server.accept
      yield* say(peer)
      return yield* Fiber.join(connecting)
    })

  const hears = (peer: Peer, hex: string) =>
    Effect.map(peer.take(hex.length / 2), (bytes) => assert.strictEqual(bytes.toString("hex"), hex))
  const says = (peer: Peer, hex: string) => peer.write(Buffer.from(hex, "hex"))
  const text = (string: string) => Buffer.from(string).toString("hex")

  it.live.each<readonly [string, string, string]>([
    ["socks5://", "ws://localhost:258", "05010001" + "7f000001" + "0102"],
    ["socks5h://", "ws://localhost:258", `05010003${"09"}${text("localhost")}0102`],
    ["socks5://", "ws://127.0.0.2:258", "05010001" + "7f000002" + "0102"],
    ["socks5h://", "ws://[::1]:258", "05010004" + "00000000000000000000000000000001" + "0102"]
  ])("C5: of version 5 is told what to connect to: %s %s", ([proxy, uri, request]) =>
    leavesNothing(
      Effect.gen(function* () {
        const error = yield* speaking(proxy, uri, (peer) =>
          Effect.gen(function* () {
            yield* hears(peer, "050100")
            yield* says(peer, "0500")
            yield* hears(peer, request)
            yield* says(peer, "05050001000000000000")
          })
        )
        assert.deepStrictEqual(proxyError(error).reason, { _tag: "SocksRejected", answer: "ConnectionRefused" })
        assert.include(error.message, "it answered: ConnectionRefused. Check")
      })
    )
  )

  it.live("C5: of version 5 is told user and password, which no error tells", () =>
    leavesNothing(
      Effect.gen(function* () {
        const error = yield* speaking("socks5h://ada:hunter2@", "ws://one.example", (peer) =>
          Effect.gen(function* () {
            yield* hears(peer, "05020002")
            yield* says(peer, "0502")
            yield* hears(peer, `0103${text("ada")}07${text("hunter2")}`)
            yield* says(peer, "0101")
          })
        )
        const { reason, message } = proxyError(error)
        assert.deepStrictEqual(reason, { _tag: "SocksRejected", answer: "Socks5 Authentication failed" })
        const { inspect } = yield* Effect.promise(() => import("node:util"))
        assert.notInclude(message + inspect(error, { depth: 10, showHidden: true }), "hunter2")
      })
    )
  )

  it.live.each<readonly [string, string, string]>([
    ["wants a user", "05ff", "SocksRejected"],
    ["speaks another version", "0400", "Broken"],
    ["speaks HTTP", text("HTTP/1.1 400 Bad Request\r\n\r\n"), "Broken"],
    ["answers with what no one knows", "050005ff000100000000", "Broken"]
  ])("C5: of version 5 that %s is a ProxyError", ([_, answer, tag]) =>
    leavesNothing(
      Effect.gen(function* () {
        const error = yield* speaking("socks5h://", "ws://one.example", (peer) => says(peer, answer))
        assert.strictEqual(proxyError(error).reason._tag, tag)
      })
    )
  )

  it.live("C5: that leaves is a ProxyError", () =>
    leavesNothing(
      Effect.gen(function* () {
        for (const say of [(peer: Peer) => peer.reset, (peer: Peer) => Effect.sync(() => peer.socket.end())]) {
          const error = yield* speaking("socks5h://", "ws://one.example", (peer) =>
            Effect.zipRight(hears(peer, "050100"), say(peer))
          )
          assert.strictEqual(proxyError(error).reason._tag, "Broken")
        }
      })
    )
  )

  it.live("C5: is not asked for a host whose name is unknown, and which it should not look up", () =>
    leavesNothing(
      Effect.gen(function* () {
        const proxy = yield* socks4Proxy()
        for (const kind of ["socks4", "socks5"]) {
          const error = yield* failure(`${kind}://127.0.0.1:${proxy.port}`, "ws://nobody.invalid")
          if (error._tag !== "TransportError") return assert.fail(`${error}`)
          assert.include(["ENOTFOUND", "EAI_AGAIN"], error.code)
          assert.include(error.message, "cannot connect to nobody.invalid:80")
        }
        assert.isEmpty(proxy.asked)
      })
    )
  )
})

describe("a way that was given", () => {
  it.live("C5: by the environment leads through its proxy, and to this machine directly", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serve(echo)
        const proxy = yield* httpProxy()
        const variables = new Map([["http_proxy", proxy.uri]])
        const layer = NodeProxy.layerEnvironment.pipe(
          Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(variables)))
        )
        yield* Effect.flatMap(connectVia(layer, `ws://127.0.0.1:${server.port}`), echoes)
        assert.isEmpty(proxy.asked)
        yield* Effect.flatMap(connectVia(layer, `ws://one.example:${server.port}`), echoes)
        assert.lengthOf(proxy.asked, 1)
      })
    )
  )

  it.live(
    "C2: to another host and port is the proxy's to find; to a Unix socket or over a stream goes without it",
    () =>
      leavesNothing(
        Effect.gen(function* () {
          const server = yield* serve((connection) =>
            connection.send(JSON.stringify(connection.handshake.request.headers))
          )
          const proxy = yield* httpProxy()
          const route = { host: "two.example", port: server.port }
          const connection = yield* connectVia(proxy.uri, "ws://one.example/", {}, route)
          assert.include(yield* connection.receiveText, '["Host","one.example"]')
          assert.strictEqual(proxy.asked[0]?.url, `two.example:${server.port}`)
          const error = yield* Effect.flip(
            Effect.scoped(connectVia(proxy.uri, "ws://one.example", {}, { path: "/nowhere/at/all" }))
          )
          assert.include(error.message, "cannot connect to /nowhere/at/all: ")
          assert.lengthOf(proxy.asked, 1)
        })
      )
  )

  it.live("C5: the proxy is reached from the local address", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* rawServer
        const connecting = yield* Effect.fork(
          Effect.scoped(
            connectVia(server.uri.replace("ws:", "http:"), "ws://one.example", {}, { localAddress: "127.0.0.9" })
          )
        )
        const { socket } = yield* server.accept
        assert.strictEqual("remoteAddress" in socket && socket.remoteAddress, "127.0.0.9")
        yield* Fiber.interrupt(connecting)
      })
    )
  )
})

describe("on the way through a proxy", () => {
  /** A proxy, and the server behind it, that stop at some point. */
  const silent = (uri: string, proxy: (port: number) => string | Proxies) =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* rawServer
        const port = Number(server.uri.slice(15))
        const error = yield* failure(proxy(port), uri, { openTimeout: "150 millis" })
        if (error._tag !== "HandshakeError") return assert.fail(`${error}`)
        assert.deepStrictEqual(error.reason, { _tag: "Timeout", milliseconds: 150 })
        const peer = yield* server.accept
        yield* peer.rest
      })
    )

  for (const kind of ["http", "https", "socks4", "socks4a", "socks5", "socks5h"]) {
    it.live(`C6: openTimeout ends the wait for a proxy that says nothing: ${kind}`, () =>
      silent("ws://localhost", (port) => `${kind}://127.0.0.1:${port}`)
    )
  }

  it.live.each(["ws", "wss"])("C6: openTimeout ends the wait for a server behind it that says nothing: %s", (scheme) =>
    leavesNothing(
      Effect.gen(function* () {
        const proxy = yield* httpProxy()
        const server = yield* rawServer
        const uri = `${scheme}://one.example:${server.uri.slice(15)}`
        const error = yield* failure(proxy.uri, uri, { openTimeout: "150 millis" })
        assert.strictEqual(error._tag === "HandshakeError" && error.reason._tag, "Timeout")
        const peer = yield* server.accept
        yield* peer.rest
      })
    )
  )

  it.live("C6: openTimeout ends the wait for a name that is looked up for ever", () =>
    leavesNothing(
      Effect.gen(function* () {
        const proxy = yield* socks4Proxy()
        const error = yield* Effect.flip(
          Effect.scoped(
            connectVia(
              `socks4://127.0.0.1:${proxy.port}`,
              "ws://one.example",
              { openTimeout: "50 millis" },
              { lookup: () => {} }
            )
          )
        )
        assert.strictEqual(error._tag === "HandshakeError" && error.reason._tag, "Timeout")
      })
    )
  )

  it.live("C5: an interruption at any moment leaves no socket", () =>
    Effect.gen(function* () {
      const pair = yield* certificate
      yield* leavesNothing(
        Effect.gen(function* () {
          const plain = yield* serve(echo)
          const secure = yield* secureServer
          const over = yield* httpProxy()
          const overTls = yield* httpProxy({ pair })
          const socks = yield* socks4Proxy()
          const ways = [
            over.uri,
            NodeProxy.layer(overTls.uri, { tls: { ca: pair.cert } }),
            `socks4a://127.0.0.1:${socks.port}`
          ]
          for (const uri of [`ws://localhost:${plain.port}`, `wss://localhost:${secure.port}`]) {
            for (const way of ways) {
              yield* interruptedAtAnyMoment(connectVia(way, uri, {}, { tls: { ca: secure.cert } }), 30)
            }
          }
        })
      )
    })
  )
})
