import { createServer } from "node:net"
import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { NodeListener } from "effect-websockets/node"
import {
  ask,
  certificate,
  connect,
  cut,
  echo,
  frame,
  leavesNothing,
  listening,
  type Peer,
  rawConnect,
  rawDripping,
  rawTls,
  requestText,
  serve,
  serveOn
} from "./support.js"

const headers = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`X-${i}`, "v"]))

/** A request with so many headers, those of the handshake included. */
const ofHeaders = (count: number) => requestText(undefined, headers(count - 5))

/** A request with a header line of so many bytes: name, colon, blank, value and line break. */
const ofLine = (size: number) => requestText(undefined, { "X-Long": "x".repeat(size - 10) })

/** A request whose target has so many bytes. */
const ofTarget = (size: number) => requestText(`GET /${"x".repeat(size - 1)} HTTP/1.1`)

/** A request whose head has so many bytes before the empty line at its end. */
const ofHead = (size: number) => {
  const fields = (rest: number) => ({ "X-A": "x".repeat(8_000), "X-B": "x".repeat(7_000), "X-C": "x".repeat(rest) })
  return requestText(undefined, fields(size - requestText(undefined, fields(0)).length + 2))
}

/** What is asked, and the answer: FEATURES' list of bad requests, on the wire. */
const refusals: ReadonlyArray<readonly [asked: string, text: string, status: number, header?: RegExp]> = [
  ["no upgrade", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 426, /^upgrade: websocket\r$/im],
  [
    "no upgrade, on a connection that could be kept",
    requestText(undefined, { Upgrade: undefined, Connection: undefined }),
    426,
    /^connection: Upgrade, close\r$/im
  ],
  ["no Host, and no upgrade", "GET / HTTP/1.1\r\n\r\n", 400],
  ["another upgrade", requestText(undefined, { Upgrade: "h2c" }), 426, /^upgrade: websocket\r$/im],
  ["no Connection: upgrade", requestText(undefined, { Connection: "close" }), 426],
  [
    "no version",
    requestText(undefined, { "Sec-WebSocket-Version": undefined }),
    426,
    /^sec-websocket-version: 13\r$/im
  ],
  ["version 8", requestText(undefined, { "Sec-WebSocket-Version": "8" }), 426, /^sec-websocket-version: 13\r$/im],
  ["HTTP/1.0", requestText("GET / HTTP/1.0"), 505],
  ["POST", requestText("POST / HTTP/1.1"), 405, /^allow: GET\r$/im],
  ["no Host", requestText(undefined, { Host: undefined }), 400],
  ["two Hosts", requestText(undefined, { Host: ["a", "b"] }), 400],
  ["a Host with a path", requestText(undefined, { Host: "a/b" }), 400],
  ["no key", requestText(undefined, { "Sec-WebSocket-Key": undefined }), 400],
  ["two keys", requestText(undefined, { "Sec-WebSocket-Key": Array(2).fill("dGhlIHNhbXBsZSBub25jZQ==") }), 400],
  ["a short key", requestText(undefined, { "Sec-WebSocket-Key": "c2hvcnQ=" }), 400],
  ["a key that is not base64", requestText(undefined, { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j_Q==" }), 400],
  ["a body", `${requestText(undefined, { "Content-Length": "5" })}hello`, 400],
  [
    "a body that looks like a frame",
    `${requestText(undefined, { "Content-Length": "6" })}\x81\x80\x00\x00\x00\x00`,
    400
  ],
  ["a body in chunks", `${requestText(undefined, { "Transfer-Encoding": "chunked" })}0\r\n\r\n`, 400],
  ["the same subprotocol twice", requestText(undefined, { "Sec-WebSocket-Protocol": "a, a" }), 400],
  ["a subprotocol that is no token", requestText(undefined, { "Sec-WebSocket-Protocol": "a, b c" }), 400],
  ["a subprotocol twice, in two lines", requestText(undefined, { "Sec-WebSocket-Protocol": ["a", "a"] }), 400],
  ["an origin elsewhere", requestText(undefined, { Origin: "https://elsewhere.example" }), 403],
  ["a target of 8,191 bytes", ofTarget(8_191), 414],
  ["a target of 90,000 bytes", ofTarget(90_000), 414],
  ["a header line of 8,191 bytes", ofLine(8_191), 431],
  ["a header line of 90,000 bytes", ofLine(90_000), 431],
  ["129 headers", ofHeaders(129), 431],
  ["5,000 headers", ofHeaders(5_000), 431],
  ["a head of 16,385 bytes", ofHead(16_385), 431],
  ["no HTTP", "hello\r\n\r\n", 400],
  ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  ["a header without a name", "GET / HTTP/1.1\r\n: x\r\n\r\n", 400],
  ["a NUL in a header", requestText(undefined, { "X-Nul": "\0" }), 400],
  ["a bare LF in a header", requestText(undefined, { "X-Lf": "a\nb" }), 400]
]

describe("H2: a request that is wrong", () => {
  it.live.each(refusals)("because it has %s is refused, with a sentence, and cut", ([_, text, status, header]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(() => Effect.die("a handler ran"))
        const answer = yield* ask(port, text)
        assert.strictEqual(answer.status, status, answer.head)
        if (header !== undefined) assert.match(answer.head, header)
        if (status === 426) assert.match(answer.head, /^upgrade: websocket\r$/im)
        assert.match(answer.body, /^[A-Z].*\.\n$/)
        assert.strictEqual(answer.ending, "end")
      })
    )
  )

  const allowed: ReadonlyArray<readonly [string, string]> = [
    ["a target of 8,190 bytes", ofTarget(8_190)],
    ["a header line of 8,190 bytes", ofLine(8_190)],
    ["128 headers", ofHeaders(128)],
    ["a head of 16,384 bytes", ofHead(16_384)],
    ["a length of no body", requestText(undefined, { "Content-Length": "0" })]
  ]
  it.live.each(allowed)("is none because of %s, which is let in", ([_, text]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo)
        const peer = yield* rawConnect(port)
        yield* peer.write(text)
        assert.match(yield* peer.head, /^HTTP\/1\.1 101 /)
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

describe("H5: the choice of a subprotocol", () => {
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

describe("H3: a peer that is slow to ask", () => {
  const place = { port: 0, host: "127.0.0.1" }

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

  it.live("holds its slot for openTimeout, and no longer for sending its headers byte by byte", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, { openTimeout: "600 millis", maxHandshakes: 1 })
        const begun = performance.now()
        const { slow, dripping } = yield* rawDripping(port)
        // Nobody else gets in meanwhile.
        yield* Effect.flatMap(rawConnect(port), cut)
        assert.isUndefined(slow.ending)
        yield* cut(slow)
        assert.isAtLeast(performance.now() - begun, 595)
        yield* Fiber.join(dripping)
        yield* Effect.flatMap(connect(`ws://127.0.0.1:${port}`), (connection) => connection.send("in"))
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

  const places = ["plain", "secure", "on a server of the user's"]
  it.live.each(places)("is cut after openTimeout behind an answer too, but not before (%s)", (kind) =>
    leavesNothing(
      Effect.gen(function* () {
        const { server, port: theirs } = yield* listening(() => createServer())
        const listener =
          kind === "plain"
            ? NodeListener.layer(place)
            : kind === "secure"
              ? NodeListener.layer({ ...place, tls: yield* certificate })
              : NodeListener.fromServer(server)
        const text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        const ours = yield* serveOn(echo, listener, {
          openTimeout: "600 millis",
          // Who has been answered takes no place from others.
          maxHandshakes: 1,
          onRequest: ({ headers }) => Effect.succeed("upgrade" in headers ? undefined : HttpServerResponse.text("page"))
        })
        const port = kind === "plain" || kind === "secure" ? ours.port : theirs
        const peer = kind === "secure" ? rawTls({ port }) : rawConnect(port)
        const asking = Effect.gen(function* () {
          const one = yield* peer
          for (let page = 0; page < 2; page++) {
            yield* one.write(text)
            yield* one.head
            assert.strictEqual((yield* one.take(4)).toString(), "page")
          }
          return one
        })
        // Two pages asked for at once, and then a WebSocket, which is not cut.
        const open = yield* asking
        yield* open.write(text.repeat(2))
        for (let i = 0; i < 2; i++) yield* Effect.zipRight(open.head, open.take(4))
        yield* open.write(requestText())
        assert.match(yield* open.head, /^HTTP\/1\.1 101 /)
        // Who asks for nothing more, and who begins to.
        const begun = performance.now()
        const peers = [yield* asking, yield* asking]
        yield* peers[1]!.write("GET /second HTTP/1.1\r\nX: ")
        for (const one of peers) yield* cut(one)
        assert.isBelow(performance.now() - begun, 4_000)
        yield* open.write(frame(1, "still there?"))
        assert.strictEqual((yield* open.take(14)).toString("latin1", 2), "still there?")
      })
    )
  )

  it.live.each(["plain", "secure"])("that leaves, in whatever way, leaves its place to others (%s)", (kind) =>
    leavesNothing(
      Effect.gen(function* () {
        const listen = { port: 0, host: "127.0.0.1", ...(kind === "secure" ? { tls: yield* certificate } : {}) }
        const { port } = yield* serve(echo, { listen, maxHandshakes: 1, openTimeout: "1 hour" })
        const peer = kind === "secure" ? rawTls({ port }) : rawConnect(port)
        const answered = Effect.gen(function* () {
          const other = yield* peer
          yield* other.write(requestText())
          yield* other.head
        })
        // Over TLS a socket of node's cannot be reset.
        const ways: ReadonlyArray<(peer: Peer) => Effect.Effect<unknown>> = [
          ({ socket }) => Effect.sync(() => socket.end()),
          (peer) => Effect.zipRight(peer.write("G"), kind === "plain" ? peer.reset : Effect.void)
        ]
        for (const leave of ways) {
          yield* Effect.scoped(Effect.flatMap(peer, leave))
          // That it has left has to arrive first.
          yield* Effect.scoped(answered).pipe(Effect.sandbox, Effect.retry({ while: () => true }))
        }
      })
    )
  )
})
