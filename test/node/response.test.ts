import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { vi } from "vitest"
import { answerTime } from "../../src/node/exchange.js"
import {
  ask,
  echo,
  eventually,
  frame,
  handles,
  leavesNothing,
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

describe("an answer to a request for a WebSocket", () => {
  /** Timers are the test's, sockets are real. */
  const timers = Effect.acquireRelease(
    Effect.sync(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })),
    () => Effect.sync(() => vi.useRealTimers())
  )
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
