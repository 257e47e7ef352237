import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { acceptOf, closeFrame, connect, leavesNothing, rawOpen, rawServer, serve, turns } from "./support.js"

/** How connections end on sockets. */

describe("L4: the closing handshake", () => {
  it.live("ends the server's side of TCP first, whoever began", () =>
    leavesNothing(
      Effect.gen(function* () {
        const starts = [
          yield* serve(({ close }) => close({ code: 4000, reason: "" })),
          yield* serve(({ closed }) => closed)
        ]
        for (const [i, { port }] of starts.entries()) {
          const peer = yield* rawOpen(port)
          if (i === 0) yield* peer.take(4)
          yield* peer.write(closeFrame(4000))
          // The peer ends nothing by itself: the end that it sees is the server's.
          const { bytes, ending } = yield* peer.rest
          assert.strictEqual(ending, "end")
          assert.strictEqual(bytes.toString("hex"), i === 0 ? "" : closeFrame(4000, false).toString("hex"))
        }
      })
    )
  )

  it.live("has a client wait for the server's end of TCP", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* rawServer
        const connecting = yield* Effect.fork(connect(server.uri))
        const peer = yield* server.accept
        const key = /sec-websocket-key: (.*)\r/i.exec(yield* peer.head)?.[1] ?? assert.fail("no key")
        const fields = ["Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Accept: ${acceptOf(key)}`]
        yield* peer.write(`HTTP/1.1 101 Switching Protocols\r\n${fields.join("\r\n")}\r\n\r\n`)
        const connection = yield* Fiber.join(connecting)
        const closing = yield* Effect.fork(connection.close({ code: 4000, reason: "" }))
        yield* peer.take(8)
        yield* peer.write(closeFrame(4000, false))
        yield* turns(200)
        assert.isUndefined(peer.ending)
        assert.isNull(closing.unsafePoll())
        peer.socket.end()
        const close = { code: 4000, reason: "" }
        const { closure } = yield* Fiber.join(closing)
        assert.deepStrictEqual(closure, { sent: close, received: close, initiator: "local", cause: undefined })
        assert.strictEqual((yield* peer.rest).ending, "end")
      })
    )
  )
})
