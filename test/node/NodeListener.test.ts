import { createPrivateKey } from "node:crypto"
import { createServer as createHttpServer, get } from "node:http"
import { createServer as createHttpsServer } from "node:https"
import { createServer as createNetServer } from "node:net"
import { join } from "node:path"
import type { Duplex } from "node:stream"
import { createServer as createTlsServer } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Exit, Layer, Redacted, Scope } from "effect"
import { type Connection, ConnectionClosed, ConnectionRegistry, WebSocketServer } from "effect-websockets"
import { NodeListener } from "effect-websockets/node"
import { launch } from "./child.js"
import {
  certificate,
  connect,
  duplexPair,
  echo,
  folder,
  frame,
  leavesNothing,
  listening,
  Peer,
  rawConnect,
  rawTls,
  requestText,
  serve,
  serveOn,
  some
} from "./support.js"

/** An exchange of one message: the server is there and works. */
const echoes = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    yield* connection.send("are you there?")
    assert.strictEqual(yield* connection.receive, "are you there?")
  })

const echoesAt = (uri: string, ...more: Parameters<typeof connect> extends [string, ...infer Rest] ? Rest : never) =>
  Effect.scoped(Effect.flatMap(connect(uri, ...more), echoes))

describe("H1: a server of our own", () => {
  it.live("reports the real port where 0 was asked for, and can be reached there", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serve(echo)
        assert.isAbove(server.port, 0)
        yield* echoesAt(`ws://127.0.0.1:${server.port}`)
      })
    )
  )

  it.live("L7: tells a handler the two addresses of its connection", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* serve((connection) =>
          connection.send(JSON.stringify([some(connection.remoteAddress), some(connection.localAddress)]))
        )
        const connection = yield* connect(`ws://127.0.0.1:${server.port}`)
        const [remote, local] = JSON.parse(yield* connection.receiveText)
        assert.deepStrictEqual(remote, some(connection.localAddress))
        assert.deepStrictEqual(local, { _tag: "TcpAddress", hostname: "127.0.0.1", port: server.port })
      })
    )
  )

  it.live("L12: takes its options from Config", () =>
    leavesNothing(
      Effect.gen(function* () {
        const listener = NodeListener.layerConfig({ port: Config.integer("PORT"), host: Config.string("HOST") }).pipe(
          Layer.provide(
            Layer.setConfigProvider(
              ConfigProvider.fromMap(
                new Map([
                  ["PORT", "0"],
                  ["HOST", "127.0.0.1"]
                ])
              )
            )
          ),
          Layer.orDie
        )
        const server = yield* serveOn(echo, listener)
        yield* echoesAt(`ws://127.0.0.1:${server.port}`)
      })
    )
  )

  it.live("listens on a Unix socket", () =>
    leavesNothing(
      Effect.gen(function* () {
        const path = join(yield* folder, "socket")
        const server = yield* serve(echo, { listen: { path } })
        assert.deepStrictEqual(server.addresses, [{ _tag: "UnixAddress", path }])
        yield* echoesAt("ws://localhost", {}, { path })
      })
    )
  )

  it.live("listens on a descriptor that listens already, as a process inherits it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { server, port } = yield* listening(() => createNetServer())
        const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle
        const child = yield* launch(JSON.stringify({ fd: 3 }), fd)
        assert.include(yield* child.said, `"port":${port}`)
        // From here on nobody but the child accepts.
        yield* Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
        yield* echoesAt(`ws://127.0.0.1:${port}`)
      })
    )
  )

  it.live("speaks TLS with a key that is Redacted, and no other way", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { key, cert } = yield* certificate
        const server = yield* serve(echo, {
          listen: { port: 0, host: "127.0.0.1", tls: { key: Redacted.make(key), cert } }
        })
        yield* echoesAt(`wss://localhost:${server.port}`, {}, { tls: { ca: cert } })
        const refused = yield* Effect.flip(echoesAt(`ws://127.0.0.1:${server.port}`))
        assert.strictEqual(refused._tag, "TransportError")
      })
    )
  )

  it.live("speaks TLS with a key that is encrypted, by a passphrase that is Redacted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { key, cert } = yield* certificate
        const encrypted = createPrivateKey(key).export({
          type: "pkcs8",
          format: "pem",
          cipher: "aes-256-cbc",
          passphrase: "a secret"
        })
        const listen = (passphrase: string) => ({
          port: 0,
          host: "127.0.0.1",
          tls: { key: String(encrypted), cert, passphrase: Redacted.make(passphrase) }
        })
        const server = yield* serve(echo, { listen: listen("a secret") })
        yield* echoesAt(`wss://localhost:${server.port}`, {}, { tls: { ca: cert } })
        const refused = yield* Effect.flip(serve(echo, { listen: listen("another") }))
        assert.strictEqual(refused._tag, "ListenError")
        assert.notInclude(refused.message, "another")
      })
    )
  )

  it.live("keeps a connection over TLS on a Unix socket beyond openTimeout", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { key, cert } = yield* certificate
        const path = join(yield* folder, "socket")
        yield* serve(echo, { listen: { path, tls: { key, cert } }, openTimeout: "150 millis" })
        const connection = yield* connect("wss://localhost", {}, { path, tls: { ca: cert } })
        // A peer that says nothing is cut after openTimeout: whoever came before it is past that then.
        const silent = yield* rawTls({ path, host: undefined })
        yield* silent.rest
        yield* echoes(connection)
      })
    )
  )

  const listenError = (listen: Parameters<typeof NodeListener.layer>[0]) =>
    Effect.flip(Effect.scoped(serve(echo, { listen })))

  it.live("fails with ListenError where the port is taken, and says what to do", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo)
        const error = yield* listenError({ port, host: "127.0.0.1" })
        assert.strictEqual(error._tag, "ListenError")
        assert.strictEqual(error.code, "EADDRINUSE")
        assert.match(error.message, new RegExp(`^cannot listen on 127.0.0.1, port ${port}: `))
        assert.include(error.message, "stop that one, or choose another port.")
      })
    )
  )

  it.live("fails with ListenError for a port, a path, a host, a descriptor and a certificate that cannot be", () =>
    leavesNothing(
      Effect.gen(function* () {
        const codes = yield* Effect.forEach(
          [
            { port: 70_000 },
            { path: join(yield* folder, "none", "socket") },
            { port: 0, host: "192.0.2.1" },
            { fd: 999_999 },
            { port: 0, tls: { key: "no key", cert: "no certificate" } }
          ],
          (listen) =>
            Effect.map(listenError(listen), (error) => {
              assert.strictEqual(error._tag, "ListenError")
              return error.code
            })
        )
        assert.deepStrictEqual(codes.slice(0, 3), ["ERR_SOCKET_BAD_PORT", "EACCES", "EADDRNOTAVAIL"])
      })
    )
  )

  it.live("frees its port with its scope, at once, and leaves no handle", () =>
    leavesNothing(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { port } = yield* Scope.extend(serve(echo), scope)
        const connection = yield* connect(`ws://127.0.0.1:${port}`)
        yield* echoes(connection)
        const silent = yield* rawConnect(port)
        const page = yield* rawConnect(port)
        yield* page.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield* page.head
        yield* Scope.close(scope, Exit.void)
        yield* serve(echo, { listen: { port, host: "127.0.0.1" } })
        yield* echoesAt(`ws://127.0.0.1:${port}`)
        yield* Effect.all([silent.rest, page.rest])
      })
    )
  )
})

describe("H1: several listeners", () => {
  const tcp = NodeListener.layer({ port: 0, host: "127.0.0.1" })

  it.live("serve one server, whose addresses are the real ones of all, and end with it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { key, cert } = yield* certificate
        const path = join(yield* folder, "socket")
        const { server, port: theirs } = yield* listening(() => createHttpServer())
        const scope = yield* Scope.make()
        const { addresses } = yield* Scope.extend(
          serveOn(
            (connection) =>
              Effect.flatMap(ConnectionRegistry.ConnectionRegistry, ({ size }) =>
                Effect.flatMap(size, (n) => Effect.zipRight(connection.send(String(n)), connection.closed))
              ),
            NodeListener.merge(
              tcp,
              NodeListener.layer({ port: 0, host: "127.0.0.1", tls: { key, cert } }),
              NodeListener.layer({ path }),
              NodeListener.fromServer(server)
            )
          ),
          scope
        )
        const ports = addresses.map((address) => (address._tag === "TcpAddress" ? address.port : address.path))
        const [plain, secure] = ports
        assert.deepStrictEqual(ports.slice(2), [path, theirs])
        assert.isTrue(Number(plain) > 0 && Number(secure) > 0 && plain !== secure)
        const connections = [
          yield* connect(`ws://127.0.0.1:${plain}`),
          yield* connect(`wss://localhost:${secure}`, {}, { tls: { ca: cert } }),
          yield* connect("ws://localhost", {}, { path }),
          yield* connect(`ws://127.0.0.1:${theirs}`)
        ]
        // They share one registry.
        const counts = yield* Effect.forEach(connections, ({ receiveText }) => receiveText)
        assert.deepStrictEqual(counts, ["1", "2", "3", "4"])
        yield* Scope.close(scope, Exit.void)
        for (const { closed } of connections) assert.strictEqual(ConnectionClosed.code(yield* closed), 1001)
        for (const port of [plain, secure]) {
          const error = yield* Effect.flip(echoesAt(`ws://127.0.0.1:${port}`))
          assert.strictEqual(error._tag === "TransportError" ? error.code : "", "ECONNREFUSED")
        }
      })
    )
  )

  it.live("of which one cannot listen fail together, and free what the others have", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo)
        const taken = NodeListener.layer({ port, host: "127.0.0.1" })
        const error = yield* Effect.flip(Effect.scoped(serveOn(echo, NodeListener.merge(tcp, taken, tcp))))
        assert.strictEqual(error._tag, "ListenError")
        assert.include(error.message, `port ${port}`)
      })
    )
  )
})

describe("H1: a server of the user's", () => {
  const body = (port: number) =>
    Effect.async<string>((resume) => {
      get({ port, host: "127.0.0.1", agent: false }, (response) => {
        response.setEncoding("utf8").once("data", (text: string) => resume(Effect.succeed(text)))
      })
    })

  it.live("of HTTP gives its upgrades, and keeps its other requests", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { server, port } = yield* listening(() => createHttpServer((_, response) => response.end("theirs")))
        const scope = yield* Scope.make()
        const ours = yield* Scope.extend(serveOn(echo, NodeListener.fromServer(server)), scope)
        assert.strictEqual(ours.port, port)
        yield* echoesAt(`ws://127.0.0.1:${port}`)
        assert.strictEqual(yield* body(port), "theirs")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(server.listenerCount("upgrade"), 0)
        assert.strictEqual(yield* body(port), "theirs")
      })
    )
  )

  it.live("of HTTPS gives its upgrades", () =>
    leavesNothing(
      Effect.gen(function* () {
        const pair = yield* certificate
        const { server, port } = yield* listening(() => createHttpsServer(pair))
        yield* serveOn(echo, NodeListener.fromServer(server))
        yield* echoesAt(`wss://localhost:${port}`, {}, { tls: { ca: pair.cert } })
      })
    )
  )

  it.live("of TCP gives all its connections", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { server, port } = yield* listening(() => createNetServer())
        yield* serveOn(echo, NodeListener.fromServer(server))
        yield* echoesAt(`ws://127.0.0.1:${port}`)
      })
    )
  )

  it.live("of TLS gives all its connections", () =>
    leavesNothing(
      Effect.gen(function* () {
        const pair = yield* certificate
        const { server, port } = yield* listening(() => createTlsServer(pair))
        yield* serveOn(echo, NodeListener.fromServer(server))
        yield* echoesAt(`wss://localhost:${port}`, {}, { tls: { ca: pair.cert } })
      })
    )
  )

  it.live("of TCP goes on listening when ours stops, which cuts what is left of our connections", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { server, port } = yield* listening(() => createNetServer())
        const scope = yield* Scope.make()
        yield* Scope.extend(serveOn(echo, NodeListener.fromServer(server)), scope)
        const silent = yield* rawConnect(port)
        const page = yield* rawConnect(port)
        yield* page.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert.match(yield* page.head, /^HTTP\/1.1 426 /)
        yield* Scope.close(scope, Exit.void)
        yield* Effect.all([silent.rest, page.rest])
        assert.isTrue(server.listening)
        assert.strictEqual(server.listenerCount("connection"), 1)
      })
    )
  )

  it.live("that does not listen yet has no address, which is said", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const layer = WebSocketServer.layer(echo).pipe(Layer.provide(NodeListener.fromServer(createHttpServer())))
        const exit = yield* Effect.exit(
          Effect.provide(
            Effect.map(WebSocketServer.WebSocketServer, ({ address }) => address),
            layer
          )
        )
        assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), "does not listen yet")
      })
    )
  )
})

describe("H1: a stream that is open already", () => {
  const peerAt = (far: Duplex) =>
    Effect.acquireRelease(
      Effect.sync(() => new Peer(far)),
      () => Effect.sync(() => far.destroy())
    )

  it.live("is served to the one peer at its other end", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [near, far] = duplexPair()
        yield* serveOn(echo, NodeListener.fromDuplex(near))
        yield* echoesAt("ws://localhost", {}, { duplex: far })
      })
    )
  )

  it.live("H2: gets answers that open no WebSocket too", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [near, far] = duplexPair()
        yield* serveOn(echo, NodeListener.fromDuplex(near))
        const peer = yield* peerAt(far)
        yield* peer.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert.match(yield* peer.head, /^HTTP\/1.1 426 /)
      })
    )
  )

  it.live("gets what was sent even where it keeps the bytes for a while", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [near, far] = duplexPair()
        yield* serveOn(echo, NodeListener.fromDuplex(near))
        const peer = yield* peerAt(far)
        yield* peer.write(requestText())
        yield* peer.head
        for (const word of ["first", "other", "third"]) yield* peer.write(frame(1, word))
        const expected = ["first", "other", "third"].map((word) => frame(1, word, { masked: false }).toString("hex"))
        assert.strictEqual((yield* peer.take(21)).toString("hex"), expected.join(""))
      })
    )
  )

  it.live("is cut with the layer's scope when its peer has said nothing", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [near, far] = duplexPair()
        yield* Effect.scoped(serveOn(echo, NodeListener.fromDuplex(near)))
        assert.isTrue(near.destroyed)
        far.destroy()
      })
    )
  )
})
