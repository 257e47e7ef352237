import { createServer } from "node:http"
import type { Socket } from "node:net"
import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Transport } from "effect-websockets"
import { vi } from "vitest"
import { answerTime, plain } from "../../src/node/exchange.js"
import {
  ask,
  echo,
  eventually,
  frame,
  handles,
  leavesNothing,
  listening,
  rawConnect,
  requestText,
  serve,
  turns
} from "./support.js"

/** How a server's answers look on the wire. */

describe("a 101", () => {
  it.live("H7, H10: has the hook's headers and cookies and the server's own behind those of the handshake", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, {
          serverHeader: "ours",
          onUpgrade: (response) =>
            Effect.succeed(
              HttpServerResponse.setHeader(response, "X-A", "b").pipe(
                HttpServerResponse.unsafeSetCookie("a", "1"),
                HttpServerResponse.unsafeSetCookie("b", "2", { path: "/" })
              )
            )
        })
        const peer = yield* rawConnect(port)
        yield* peer.write(requestText())
        const head = yield* peer.head
        const [status, ...lines] = head.trimEnd().split("\r\n")
        assert.strictEqual(status, "HTTP/1.1 101 Switching Protocols")
        assert.deepStrictEqual(
          lines.map((line) => line.replace(/^(sec-websocket-accept): .*/i, "$1")),
          [
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept",
            "x-a: b",
            "set-cookie: a=1",
            "set-cookie: b=2; Path=/",
            "Server: ours"
          ]
        )
        yield* peer.write(frame(1, "echo"))
        assert.strictEqual((yield* peer.take(6)).toString("latin1", 2), "echo")
      })
    )
  )

  it.live("H7: takes nothing into the head that was not meant as a header", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, {
          onUpgrade: (response) => Effect.succeed(HttpServerResponse.setHeader(response, "x-a", "b\r\nx-c: d"))
        })
        const { status, head } = yield* ask(port, requestText())
        assert.strictEqual(status, 500)
        assert.notMatch(head, /x-[ac]/)
      })
    )
  )
})

describe("the header Server", () => {
  it.live("H10: is in refusals and in answers to plain requests too", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, { serverHeader: "ours" })
        const plain = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        for (const text of [plain, requestText(undefined, { Origin: "http://elsewhere.example" })]) {
          assert.match((yield* ask(port, text)).head, /\r\nServer: ours\r\n/)
        }
      })
    )
  )
})

/** Timers are the test's, sockets are real. */
const timers = Effect.acquireRelease(
  Effect.sync(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })),
  () => Effect.sync(() => vi.useRealTimers())
)

describe("an answer to a request for a WebSocket", () => {
  const refusing = serve(echo, {
    onRequest: () => Effect.succeed(HttpServerResponse.uint8Array(new Uint8Array(8_000_000), { status: 403 }))
  })

  it.live("has ten seconds to leave, and then its connection ends, read or not", () =>
    leavesNothing(
      Effect.gen(function* () {
        yield* timers
        const { port } = yield* refusing
        const peer = yield* rawConnect(port)
        yield* peer.write(requestText())
        yield* peer.head
        peer.socket.pause()
        const open = handles()
        vi.advanceTimersByTime(answerTime - 1)
        yield* turns(50)
        assert.deepStrictEqual(handles(), open)
        vi.advanceTimersByTime(1)
        peer.socket.resume()
        assert.isBelow((yield* peer.rest).bytes.length, 8_000_000)
      })
    )
  )

  it.live("leaves no timer behind where it is read", () =>
    leavesNothing(
      Effect.gen(function* () {
        yield* timers
        const { port } = yield* refusing
        const asked = Effect.scoped(ask(port, requestText()))
        yield* asked
        yield* turns(50)
        const before = vi.getTimerCount()
        yield* asked
        yield* eventually(() => vi.getTimerCount() === before)
      })
    )
  )
})

describe("an answer to a plain request", () => {
  const plainText = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

  /** Answers each request with this, and gives the sockets that they came by. */
  const answering = (body: Transport.Response["body"]) =>
    Effect.gen(function* () {
      const sockets: Array<Socket> = []
      const { port } = yield* listening(() =>
        createServer((message, response) => {
          sockets.push(message.socket)
          plain(message, response).respond({ status: 200, headers: [], body })
        })
      )
      const peer = yield* rawConnect(port)
      yield* peer.write(plainText)
      yield* peer.head
      return { peer, socket: sockets[0]! }
    })

  // The time is node's own, which tells when nothing has left for so long; here it is told at once.
  it.live("H2: of which nothing leaves for ten seconds ends its connection", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { peer, socket } = yield* answering(new Uint8Array(8_000_000))
        peer.socket.pause()
        assert.strictEqual(socket.timeout, answerTime)
        socket.emit("timeout")
        peer.socket.resume()
        assert.isBelow((yield* peer.rest).bytes.length, 8_000_000)
      })
    )
  )

  it.live("H2: that is still to come is not cut by the time of the one before it on the same connection", () =>
    leavesNothing(
      Effect.gen(function* () {
        const exchanges: Array<ReturnType<typeof plain>> = []
        const sockets: Array<Socket> = []
        const { port } = yield* listening(() =>
          createServer((message, response) => {
            sockets.push(message.socket)
            exchanges.push(plain(message, response))
          })
        )
        const peer = yield* rawConnect(port)
        yield* peer.write(plainText + plainText)
        yield* eventually(() => exchanges.length === 2)
        exchanges[0]?.respond({ status: 200, headers: [], body: "first" })
        yield* peer.take((yield* peer.head).length > 0 ? 5 : 0)
        yield* eventually(() => sockets[0]?.writableLength === 0)
        sockets[0]?.emit("timeout")
        exchanges[1]?.respond({ status: 201, headers: [], body: "second" })
        assert.match(yield* peer.head, /^HTTP\/1.1 201 /)
      })
    )
  )

  it.live("H2: may be silent for as long as its source is", () =>
    leavesNothing(
      Effect.gen(function* () {
        let say = (_: string): void => {}
        const body = new ReadableStream<Uint8Array>({
          start: (controller) => {
            say = (text) => controller.enqueue(Buffer.from(text))
          }
        })
        say("first")
        const { peer, socket } = yield* answering(body)
        yield* eventually(() => socket.writableLength === 0)
        socket.emit("timeout")
        say("second")
        yield* eventually(() => socket.bytesWritten > 0 && socket.writableLength === 0)
        assert.isFalse(socket.destroyed)
        yield* peer.reset
      })
    )
  )
})
