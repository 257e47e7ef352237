import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Scope } from "effect"
import { WebSocketServer } from "effect-websockets"
import { NodeListener } from "effect-websockets/node"
import {
  certificate,
  echo,
  eventually,
  handles,
  leavesNothing,
  type Peer,
  rawConnect,
  rawTls,
  requestText
} from "./support.js"

/** What a server says on real sockets. */

const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

/** What looks for open ports, balances loads or tries the doors: what it does once it is connected. */
const probes: ReadonlyArray<readonly [string, (peer: Peer) => Effect.Effect<unknown>]> = [
  ["connects and leaves", ({ socket }) => Effect.sync(() => socket.end())],
  ["resets once it is connected", (peer) => peer.reset],
  ["says something that is no HTTP", (peer) => Effect.zipRight(peer.write("SSH-2.0-scan\r\n"), peer.rest)],
  ["says hello in TLS", (peer) => Effect.zipRight(peer.write(hello), peer.rest)],
  ["says NULs", (peer) => Effect.zipRight(peer.write("\0".repeat(1_000)), peer.rest)],
  ["resets in a request", (peer) => Effect.zipRight(peer.write(requestText().slice(0, 40)), peer.reset)],
  ["ends in a request", ({ socket }) => Effect.sync(() => socket.end(requestText().slice(0, 40)))],
  ["resets behind its request", (peer) => Effect.zipRight(peer.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), peer.reset)],
  ["says nothing for openTimeout", (peer) => peer.rest],
  ...[
    "GET / HTTP/1.0\r\n\r\n",
    "GET /.env HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    requestText("POST / HTTP/1.1"),
    requestText(undefined, { Origin: "http://elsewhere.example" }),
    requestText(undefined, { "Sec-WebSocket-Key": "none" }),
    requestText(`GET /${"x".repeat(90_000)} HTTP/1.1`)
  ].map(
    (text) =>
      [`asks ${text.slice(0, 20).trim()}`, (peer: Peer) => Effect.zipRight(peer.write(text), peer.rest)] as const
  )
]

describe("L8: the log of a server on sockets", () => {
  it.live.each(["plain", "secure"])("has no line for what probes and port scanners do (%s)", (kind) =>
    leavesNothing(
      Effect.gen(function* () {
        const lines: Array<string> = []
        const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel.label} ${String(message)}`))
        const tls = kind === "secure" ? yield* certificate : undefined
        const listener = NodeListener.layer({ port: 0, host: "127.0.0.1", tls })
        const before = handles().length
        const scope = yield* Scope.make()
        const context = yield* Layer.build(
          WebSocketServer.layer(echo, { openTimeout: "300 millis" }).pipe(Layer.provide(listener))
        ).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)), Scope.extend(scope))
        const { address } = yield* Effect.provide(WebSocketServer.WebSocketServer, context)
        const port = address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
        for (const [does, act] of probes) {
          yield* Effect.scoped(Effect.flatMap(rawConnect(port), act))
          // Over TLS a socket of node's cannot be reset.
          const isPossible = kind === "secure" && !does.startsWith("resets")
          if (isPossible) yield* Effect.scoped(Effect.flatMap(rawTls({ port }), act))
        }
        // The server has seen the end of each.
        yield* eventually(() => handles().length <= before + 1)
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(lines, [
          `INFO the server is listening on 127.0.0.1:${port}`,
          "INFO the server is stopping",
          "INFO the server has stopped"
        ])
      })
    )
  )
})
