import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Scope, Stream } from "effect"
import type { WebSocketServer } from "effect-websockets"
import {
  certificate,
  connect,
  echo,
  frame,
  leavesNothing,
  type Peer,
  rawConnect,
  rawTls,
  requestText,
  serve
} from "./support.js"

/** What a raw peer gets for a text: status and headers, then everything until the end. */
const ask = (port: number, text: string) =>
  Effect.gen(function* () {
    const peer = yield* rawConnect(port)
    yield* peer.write(text)
    const head = yield* peer.head
    const { bytes, ending } = yield* peer.rest
    return { head, status: Number(head.slice(9, 12)), body: bytes.toString(), ending }
  })

const headers = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`X-${i}`, "v"]))

/** What is asked, and the answer: FEATURES' list of bad requests, on the wire. */
const refusals: ReadonlyArray<readonly [asked: string, text: string, status: number, header?: RegExp]> = [
  ["no upgrade", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 426, /^upgrade: websocket\r$/im],
  ["another upgrade", requestText(undefined, { Upgrade: "h2c" }), 426, /^upgrade: websocket\r$/im],
  ["no Connection: upgrade", requestText(undefined, { Connection: "close" }), 426],
  ["version 8", requestText(undefined, { "Sec-WebSocket-Version": "8" }), 426, /^sec-websocket-version: 13\r$/im],
  ["HTTP/1.0", requestText("GET / HTTP/1.0"), 505],
  ["POST", requestText("POST / HTTP/1.1"), 405, /^allow: GET\r$/im],
  ["no Host", requestText(undefined, { Host: undefined }), 400],
  ["two Hosts", requestText(undefined, { Host: ["a", "b"] }), 400],
  ["a Host with a path", requestText(undefined, { Host: "a/b" }), 400],
  ["no key", requestText(undefined, { "Sec-WebSocket-Key": undefined }), 400],
  ["two keys", requestText(undefined, { "Sec-WebSocket-Key": Array(2).fill("dGhlIHNhbXBsZSBub25jZQ==") }), 400],
  ["a short key", requestText(undefined, { "Sec-WebSocket-Key": "c2hvcnQ=" }), 400],
  ["a body", `${requestText(undefined, { "Content-Length": "5" })}hello`, 400],
  [
    "a body that looks like a frame",
    `${requestText(undefined, { "Content-Length": "6" })}\x81\x80\x00\x00\x00\x00`,
    400
  ],
  ["a body in chunks", `${requestText(undefined, { "Transfer-Encoding": "chunked" })}0\r\n\r\n`, 400],
  ["the same subprotocol twice", requestText(undefined, { "Sec-WebSocket-Protocol": "a, a" }), 400],
  ["an origin elsewhere", requestText(undefined, { Origin: "https://elsewhere.example" }), 403],
  ["a target of 9,000 bytes", requestText(`GET /${"x".repeat(9_000)} HTTP/1.1`), 414],
  ["a target of 90,000 bytes", requestText(`GET /${"x".repeat(90_000)} HTTP/1.1`), 414],
  ["a header of 9,000 bytes", requestText(undefined, { "X-Long": "x".repeat(9_000) }), 431],
  ["a header of 90,000 bytes", requestText(undefined, { "X-Long": "x".repeat(90_000) }), 431],
  ["129 headers", requestText(undefined, headers(129)), 431],
  ["5,000 headers", requestText(undefined, headers(5_000)), 431],
  ["no HTTP", "hello\r\n\r\n", 400],
  ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  ["a header without a name", "GET / HTTP/1.1\r\n: x\r\n\r\n", 400],
  ["a NUL in a header", requestText(undefined, { "X-Nul": "\0" }), 400],
  ["a bare LF in a header", requestText(undefined, { "X-Lf": "a\nb" }), 400]
]

describe("a request that is wrong", () => {
  it.live.each(refusals)("because it has %s is refused, with a sentence, and cut", ([_, text, status, header]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(() => Effect.die("a handler ran"))
        const answer = yield* ask(port, text)
        assert.strictEqual(answer.status, status, answer.head)
        if (header !== undefined) assert.match(answer.head, header)
        assert.match(answer.body, /^[A-Z].*\.\n$/)
        assert.strictEqual(answer.ending, "end")
      })
    )
  )

  it.live("gets its answer also while it goes on talking", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo)
        for (const text of [requestText("POST / HTTP/1.1", { "Content-Length": "2000000" }), "hello\r\n\r\n"]) {
          const peer = yield* rawConnect(port)
          yield* peer.write(text + "x".repeat(2_000_000))
          assert.match(yield* peer.head, /^HTTP\/1\.1 4/)
        }
      })
    )
  )
})

describe("the choice of a subprotocol", () => {
  const asked = requestText(undefined, { "Sec-WebSocket-Protocol": "a, b" })

  it.live("that throws is a 500, and the server goes on", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, {
          selectSubprotocol: ([first]) => (first === undefined ? undefined : assert.fail("a bug"))
        })
        assert.strictEqual((yield* ask(port, asked)).status, 500)
        yield* connect(`ws://127.0.0.1:${port}`)
      })
    )
  )

  it.live("that was not offered, or would add a header, is a 500", () =>
    leavesNothing(
      Effect.gen(function* () {
        for (const chosen of ["c", "a\r\nX-Injected: b", ""]) {
          const { port } = yield* serve(echo, { selectSubprotocol: () => chosen })
          const { status, head } = yield* ask(port, asked)
          assert.strictEqual(status, 500)
          assert.notInclude(head, "X-Injected")
        }
      })
    )
  )
})

class User extends Context.Tag("User")<User, string>() {}

const greet = Effect.flatMap(User, (name) => Effect.succeed(`Hello ${name}!`))

describe("the request hook", () => {
  const pages: WebSocketServer.ServerOptions<User> = {
    onRequest: (request) => {
      switch (request.url) {
        case "/healthz":
          return Effect.succeed(HttpServerResponse.text("OK\n"))
        case "/page":
          return Effect.succeed(HttpServerResponse.html("<p>page</p>").pipe(HttpServerResponse.setHeader("X-A", "b")))
        case "/stream":
          return Effect.succeed(HttpServerResponse.stream(Stream.make("a", "b").pipe(Stream.encodeText)))
        case "/cookies":
          return Effect.orDie(
            HttpServerResponse.setCookies(HttpServerResponse.empty(), [
              ["a", "1", {}],
              ["b", "2", {}]
            ])
          )
        case "/forbidden":
          return Effect.fail(HttpServerResponse.text("No.\n", { status: 403 }))
        case "/dies":
          return Effect.die("a bug")
        case "/split":
          return Effect.succeed(HttpServerResponse.text("x", { headers: { "x-a": "b\r\nx-c: d" } }))
        case "/latin":
          return Effect.succeed(HttpServerResponse.text("x", { headers: { "x-a": "✓" } }))
        case "/name":
          return Effect.succeed(HttpServerResponse.text("x", { headers: { "x a": "b" } }))
        case "/status":
          return Effect.succeed(HttpServerResponse.text("x", { status: 1_000 }))
        default:
          return Effect.succeed(Context.make(User, request.url.slice(1)))
      }
    }
  }

  const server = serve((connection) => Effect.flatMap(greet, (text) => connection.send(text)), pages)

  const get = (path: string, method = "GET") =>
    Effect.flatMap(server, ({ port }) =>
      ask(port, `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    )

  it.live("answers requests for health and pages", () =>
    leavesNothing(
      Effect.gen(function* () {
        const health = yield* get("/healthz")
        assert.deepStrictEqual([health.status, health.body], [200, "OK\n"])
        const page = yield* get("/page")
        assert.deepStrictEqual([page.status, page.body], [200, "<p>page</p>"])
        assert.match(page.head, /^content-type: text\/html/im)
        assert.match(page.head, /^x-a: b\r$/im)
        assert.strictEqual((yield* get("/stream")).body, "1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
        assert.match((yield* get("/cookies")).head, /set-cookie: a=1\r\nset-cookie: b=2\r\n/i)
      })
    )
  )

  it.live("answers HEAD with the head alone", () =>
    leavesNothing(
      Effect.gen(function* () {
        const page = yield* get("/page", "HEAD")
        assert.deepStrictEqual([page.status, page.body], [200, ""])
        assert.match(page.head, /^content-length: 11\r$/im)
      })
    )
  )

  it.live("answers several requests on one connection", () =>
    leavesNothing(
      Effect.gen(function* () {
        const peer = yield* rawConnect((yield* server).port)
        yield* peer.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2))
        for (let i = 0; i < 2; i++) {
          assert.match(yield* peer.head, /^HTTP\/1\.1 200 /)
          assert.strictEqual((yield* peer.take(3)).toString(), "OK\n")
        }
        yield* peer.write(requestText("GET /World HTTP/1.1"))
        assert.match(yield* peer.head, /^HTTP\/1\.1 101 /)
      })
    )
  )

  it.live("gives the handler what it knows of the connection", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* server
        for (const name of ["one", "two"]) {
          const connection = yield* connect(`ws://127.0.0.1:${port}/${name}`)
          assert.strictEqual(yield* connection.receive, `Hello ${name}!`)
        }
      })
    )
  )

  it.live.each(["upgrade", "page"])("refuses by failing, and is a 500 when it dies, asked for a %s", (what) =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* server
        const text = (path: string) =>
          what === "upgrade"
            ? requestText(`GET ${path} HTTP/1.1`)
            : `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
        const forbidden = yield* ask(port, text("/forbidden"))
        assert.deepStrictEqual([forbidden.status, forbidden.body], [403, "No.\n"])
        const dead = yield* ask(port, text("/dies"))
        assert.deepStrictEqual([dead.status, dead.body], [500, "The server could not handle this request.\n"])
        for (const path of ["/split", "/latin", "/name", "/status"]) {
          const broken = yield* ask(port, text(path))
          assert.strictEqual(broken.status, 500, path)
          assert.notInclude(broken.head, "x-c")
        }
        assert.strictEqual((yield* ask(port, text("/healthz"))).status, 200)
      })
    )
  )

  it.live("is interrupted when its peer leaves, or the server stops, and releases what it has", () =>
    leavesNothing(
      Effect.gen(function* () {
        for (const text of [requestText(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"]) {
          for (const how of ["leave", "stop"]) {
            const begun = yield* Deferred.make<void>()
            const released = yield* Deferred.make<void>()
            const hook = Effect.zipRight(
              Effect.addFinalizer(() => Deferred.succeed(released, undefined)),
              Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
            )
            const scope = yield* Scope.make()
            const { port } = yield* Scope.extend(serve(echo, { onRequest: () => hook }), scope)
            const peer = yield* rawConnect(port)
            yield* peer.write(text)
            yield* Deferred.await(begun)
            if (how === "leave") yield* peer.reset
            else {
              yield* Scope.close(scope, Exit.void)
              assert.match(yield* peer.head, /^HTTP\/1\.1 503 /)
            }
            yield* Deferred.await(released)
            yield* Scope.close(scope, Exit.void)
          }
        }
      })
    )
  )

  it.live("gets no answer of ours mixed into its own when the peer breaks off HTTP", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, {
          onRequest: () =>
            Effect.succeed(
              HttpServerResponse.stream(Stream.encodeText(Stream.concat(Stream.make("begun"), Stream.never)))
            )
        })
        const peer = yield* rawConnect(port)
        yield* peer.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        yield* peer.head
        yield* peer.take(10)
        yield* peer.write("hello\r\n\r\n")
        assert.strictEqual((yield* peer.rest).bytes.toString(), "")
      })
    )
  )

  it.live("that takes longer than openTimeout costs a WebSocket 503", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, { onRequest: () => Effect.never, openTimeout: "50 millis" })
        assert.strictEqual((yield* ask(port, requestText())).status, 503)
      })
    )
  )
})

describe("a peer that is slow to ask", () => {
  const cut = (peer: Peer) =>
    Effect.gen(function* () {
      const { bytes, ending } = yield* peer.rest
      assert.deepStrictEqual([bytes.length, ending === "end" || ending === "ECONNRESET"], [0, true])
    })

  it.live("is cut after openTimeout, however much of the request it has sent", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, { openTimeout: "100 millis" })
        const quick = yield* connect(`ws://127.0.0.1:${port}`)
        for (const text of ["", "G", requestText().slice(0, -2)]) {
          const peer = yield* rawConnect(port)
          yield* peer.write(text)
          yield* cut(peer)
        }
        yield* quick.send("still there?")
        assert.strictEqual(yield* quick.receive, "still there?")
      })
    )
  )

  it.live("is cut after openTimeout in TLS too, and behind it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const tls = yield* certificate
        const listen = { port: 0, host: "127.0.0.1", tls }
        const { port } = yield* serve(echo, { openTimeout: "100 millis", listen })
        yield* Effect.flatMap(rawConnect(port), cut)
        yield* Effect.flatMap(rawTls({ port }), cut)
        const quick = yield* rawTls({ port })
        yield* Effect.zipRight(quick.write(requestText()), quick.head)
        yield* Effect.flatMap(rawConnect(port), cut)
        yield* quick.write(frame(1, "hello"))
        assert.strictEqual((yield* quick.take(7)).toString("latin1", 2), "hello")
      })
    )
  )

  it.live("makes no room for more than maxHandshakes of its kind", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, { maxHandshakes: 2 })
        const first = yield* rawConnect(port)
        yield* rawConnect(port)
        yield* Effect.flatMap(rawConnect(port), cut)
        yield* first.write(requestText())
        assert.match(yield* first.head, /^HTTP\/1\.1 101 /)
        yield* Effect.flatMap(connect(`ws://127.0.0.1:${port}`), (connection) => connection.send("in"))
      })
    )
  )
})
