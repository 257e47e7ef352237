import { createServer as createHttpServer } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { HandshakeError, WebSocketClient } from "effect-websockets"
import { acceptOf, connect, failureOf, frame, leavesNothing, listening, type Peer, rawServer } from "./support.js"

const failure = (uri: string, options?: WebSocketClient.ConnectOptions) => failureOf(connect(uri, options))

const handshakeError = (error: WebSocketClient.ConnectError): HandshakeError["reason"] =>
  error._tag === "HandshakeError" ? error.reason : assert.fail(`${error}`)

describe("an answer that refuses", () => {
  it.live("C3: is HandshakeError with status, headers and body", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* listening(() =>
          createHttpServer((message, response) => {
            const status = Number(message.url?.slice(1))
            response.writeHead(status, { "X-Reason": "none" }).end("Go away.\nNow.")
          })
        )
        for (const status of [200, 300, 401, 404, 503]) {
          const error = yield* failure(`ws://127.0.0.1:${port}/${status}`)
          const reason = handshakeError(error)
          if (reason._tag !== "Rejected") return assert.fail(reason._tag)
          assert.strictEqual(reason.response.status, status)
          assert.deepInclude(reason.response.headers, ["X-Reason", "none"])
          assert.strictEqual(new TextDecoder().decode(reason.body), "Go away.\nNow.")
          assert.include(error.message, `status ${status}: Go away.`)
        }
      })
    )
  )

  it.live("C3: keeps the first 1 MiB of a body that goes on", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* listening(() =>
          createHttpServer((_, response) => {
            const more = () => {
              while (!response.destroyed && response.write(Buffer.alloc(100_000, 0x61)));
            }
            response.writeHead(500).on("drain", more)
            more()
          })
        )
        const reason = handshakeError(yield* failure(`ws://127.0.0.1:${port}/`))
        assert.strictEqual(reason._tag === "Rejected" && reason.body.length, 1_048_576)
      })
    )
  )
})

/** A right answer, with some of its lines left out or put in. */
const answer = (key: string, { without, plus = "" }: { readonly without?: string; readonly plus?: string } = {}) => {
  const lines = ["Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Accept: ${acceptOf(key)}`]
  const kept = lines.filter((line) => without === undefined || !line.startsWith(without))
  return `HTTP/1.1 101 Switching Protocols\r\n${kept.map((line) => `${line}\r\n`).join("")}${plus}\r\n`
}

/** What a client of ours makes of what a raw server says. */
const connectTo = (say: (peer: Peer, key: string) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const server = yield* rawServer
    const connecting = yield* Effect.fork(Effect.either(Effect.scoped(connect(server.uri, { closeTimeout: 0 }))))
    const peer = yield* server.accept
    const key = /sec-websocket-key: (.*)\r/i.exec(yield* peer.head)?.[1] ?? assert.fail("no key")
    yield* say(peer, key)
    return yield* Fiber.join(connecting)
  })

describe("C3: a 101 that is wrong", () => {
  it.live.each<readonly [string, string, string, Parameters<typeof answer>[1]]>([
    ["does not say Upgrade", "Upgrade", "does not say websocket", { without: "Upgrade" }],
    ["does not say Connection", "Connection", "does not say Upgrade", { without: "Connection" }],
    [
      "upgrades to something else",
      "Upgrade",
      "does not say websocket",
      { without: "Upgrade", plus: "Upgrade: tea\r\n" }
    ],
    ["has no accept value", "Sec-WebSocket-Accept", "is not there exactly once", { without: "Sec" }],
    [
      "has the accept value of another key",
      "Sec-WebSocket-Accept",
      "does not answer our key",
      { without: "Sec", plus: `Sec-WebSocket-Accept: ${acceptOf("other")}\r\n` }
    ],
    [
      "has a subprotocol that nobody asked for",
      "Sec-WebSocket-Protocol",
      "was not offered",
      { plus: "Sec-WebSocket-Protocol: chat\r\n" }
    ],
    [
      "has an extension that nobody asked for",
      "Sec-WebSocket-Extensions",
      "has permessage-deflate, which was not offered",
      { plus: "Sec-WebSocket-Extensions: permessage-deflate\r\n" }
    ]
  ])("because it %s is HandshakeError, and names the header", ([_, header, problem, change]) =>
    leavesNothing(
      Effect.gen(function* () {
        const result = yield* connectTo((peer, key) => peer.write(answer(key, change)))
        if (result._tag === "Right") return assert.fail("it connected")
        const reason = handshakeError(result.left)
        if (reason._tag !== "InvalidHeader") return assert.fail(reason._tag)
        assert.deepStrictEqual([reason.header, reason.problem], [header, problem])
        assert.strictEqual(reason.response.status, 101)
      })
    )
  )

  it.live.each<readonly [string, (peer: Peer, key: string) => Effect.Effect<void>]>([
    ["is reset before it", (peer) => peer.reset],
    ["is reset in the middle of it", (peer, key) => Effect.zipRight(peer.write(answer(key).slice(0, 40)), peer.reset)],
    ["ends before it", (peer) => Effect.sync(() => peer.socket.end())],
    ["ends in the middle of it", (peer, key) => Effect.sync(() => peer.socket.end(answer(key).slice(0, 40)))],
    ["is no HTTP", (peer) => peer.write("SSH-2.0-OpenSSH_9.6\r\n")],
    ["has a head without end", (peer) => peer.write(`HTTP/1.1 101 Switching\r\nX: ${"x".repeat(100_000)}`)]
  ])("because the connection %s is TransportError", ([_, say]) =>
    leavesNothing(
      Effect.gen(function* () {
        const result = yield* connectTo(say)
        if (result._tag === "Right" || result.left._tag !== "TransportError") return assert.fail(`${result}`)
        assert.strictEqual(result.left.operation, "handshake")
        assert.match(result.left.message, /^no HTTP answer from 127\.0\.0\.1:\d+: \S/)
      })
    )
  )
})

describe("C3: a 101 that is right", () => {
  it.live("may follow other information", () =>
    leavesNothing(
      Effect.gen(function* () {
        const early = "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"
        const result = yield* connectTo((peer, key) => peer.write(early + answer(key)))
        assert.strictEqual(result._tag, "Right")
      })
    )
  )

  it.live("may come byte by byte, with the first messages glued to it at any place", () =>
    leavesNothing(
      Effect.gen(function* () {
        const server = yield* rawServer
        const frames = [frame(1, "first", { masked: false }), frame(1, "second", { masked: false })]
        const length = answer("x".repeat(24)).length + 7 + 8
        for (let cut = 1; cut < length; cut++) {
          const connecting = yield* Effect.fork(connect(server.uri))
          const peer = yield* server.accept
          const key = /sec-websocket-key: (.*)\r/i.exec(yield* peer.head)?.[1] ?? assert.fail("no key")
          const all = Buffer.concat([Buffer.from(answer(key)), ...frames])
          assert.strictEqual(all.length, length)
          yield* peer.write(all.subarray(0, cut))
          // Three turns of the event loop: the first part has been read for sure when the second is written.
          for (let turn = 0; turn < 3; turn++) yield* Effect.promise(() => new Promise(setImmediate))
          yield* peer.write(all.subarray(cut))
          const connection = yield* Fiber.join(connecting)
          assert.strictEqual(yield* connection.receive, "first")
          assert.strictEqual(yield* connection.receive, "second")
          peer.socket.destroy()
        }
      })
    )
  )
})
