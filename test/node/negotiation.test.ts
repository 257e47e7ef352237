import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import type { WebSocketServer } from "effect-websockets"
import {
  ask,
  closeFrame,
  connect,
  echo,
  failureOf,
  leavesNothing,
  rawConnect,
  rawOpen,
  requestText,
  serve
} from "./support.js"

/** What depends on single headers of a request, on the wire. */

type Fields = Parameters<typeof requestText>[1]

/** The status of a server's answer, and its head. */
const answered = (settings: WebSocketServer.ServerOptions, fields: Fields) =>
  Effect.gen(function* () {
    const { port } = yield* serve(echo, settings)
    const peer = yield* rawConnect(port)
    yield* peer.write(requestText(undefined, fields))
    const head = yield* peer.head
    return { status: Number(head.slice(9, 12)), head }
  })

describe("H4: a page's origin", () => {
  const listed = { origins: ["https://a.example", /https:\/\/\w+\.b\.example/] }
  const cases: ReadonlyArray<readonly [string, Fields, WebSocketServer.ServerSettings, number]> = [
    ["none", {}, {}, 101],
    ["the server's own", { Host: "a.example:8765", Origin: "http://a.example:8765" }, {}, 101],
    ["its own, with another scheme", { Host: "a.example:8765", Origin: "https://a.example:8765" }, {}, 101],
    ["its own, in capitals", { Host: "A.example", Origin: "http://a.EXAMPLE" }, {}, 101],
    ["its own, with the port that http has anyway", { Host: "a.example:80", Origin: "http://a.example" }, {}, 101],
    ["its own, with the port that https has anyway", { Host: "a.example", Origin: "https://a.example:443" }, {}, 101],
    ["its own, with a port that is none", { Host: "a.example:443", Origin: "https://a.example:80" }, {}, 101],
    ["another host", { Host: "a.example", Origin: "http://b.example" }, {}, 403],
    ["another host that begins like it", { Host: "a.example", Origin: "http://a.example.net" }, {}, 403],
    ["another port", { Host: "a.example:8765", Origin: "http://a.example:8766" }, {}, 403],
    ["no port instead of one", { Host: "a.example:8765", Origin: "http://a.example" }, {}, 403],
    ["null, as a file's", { Origin: "null" }, {}, 403],
    ["null, where it is listed", { Origin: "null" }, { origins: [null] }, 101],
    ["one of the list", { Origin: "https://a.example" }, listed, 101],
    ["one of the list with another scheme", { Origin: "http://a.example" }, listed, 403],
    ["one that a pattern matches", { Origin: "https://www.b.example" }, listed, 101],
    ["one of which a pattern matches a part", { Origin: "https://www.b.example.net" }, listed, 403],
    ["the server's own, where others are listed", { Host: "c.example", Origin: "http://c.example" }, listed, 403],
    ["its own twice", { Host: "a.example", Origin: ["http://a.example", "http://a.example"] }, {}, 403],
    ["any, where that is asked for", { Origin: "https://b.example" }, { dangerouslyAcceptAnyOrigin: true }, 101]
  ]
  it.live.each(cases)("that is %s: %o, %o: %s", ([_, fields, settings, status]) =>
    leavesNothing(
      Effect.gen(function* () {
        assert.strictEqual((yield* answered(settings, fields)).status, status)
      })
    )
  )
})

describe("H5: the subprotocol", () => {
  const list = { subprotocols: ["c", "b", "a"] }
  const optional = { ...list, subprotocolOptional: true }
  const last = { selectSubprotocol: (offered: ReadonlyArray<string>) => offered.at(-1) }
  const cases: ReadonlyArray<
    readonly [string, WebSocketServer.ServerOptions, string | ReadonlyArray<string> | undefined, string | number]
  > = [
    ["the first of the server's list that is offered", list, "a, b", "b"],
    ["the same where the offer has several lines", list, ["a", "b"], "b"],
    ["none, which is 400, where none is in common", list, "x", 400],
    ["none, which is 400, where none is offered", list, undefined, 400],
    ["none where none is in common and it is optional", optional, "x", "none"],
    ["none where none is offered and it is optional", optional, undefined, "none"],
    ["one where one is in common and it is optional", optional, "x, a", "a"],
    ["what a function says", last, "a, b", "b"],
    ["none where a function says so", last, undefined, "none"],
    ["none where the server speaks none", {}, "a", "none"]
  ]
  it.live.each(cases)("is %s", ([_, options, offered, expected]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { status, head } = yield* answered(options, { "Sec-WebSocket-Protocol": offered })
        const chosen = /^sec-websocket-protocol: (.*)\r$/im.exec(head)?.[1] ?? "none"
        assert.strictEqual(status === 101 ? chosen : status, expected)
      })
    )
  )

  it.live("is needed by a client that offers some: it fails without, though the server goes on", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, optional)
        const error = yield* failureOf(connect(`ws://127.0.0.1:${port}`, { subprotocols: ["x", "y"] }))
        assert.strictEqual(error._tag, "HandshakeError")
        assert.include(error.message, "Sec-WebSocket-Protocol is missing: the server speaks none of x, y")
      })
    )
  )
})

describe("H2: a request to a server that stops", () => {
  it.live("is answered with 503, and when to try again", () =>
    leavesNothing(
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const scope = yield* Scope.make()
        const { port } = yield* serve(() => Effect.uninterruptible(Deferred.await(gate))).pipe(Scope.extend(scope))
        const open = yield* rawOpen(port)
        const stopping = yield* Effect.fork(Scope.close(scope, Exit.void))
        // It says so to those that are open first.
        yield* open.take(4)
        const { body, head, status } = yield* ask(port, requestText())
        assert.deepStrictEqual([status, body], [503, "The server is stopping. Try again later.\n"])
        assert.match(head, /^retry-after: 5\r$/im)
        yield* Deferred.succeed(gate, undefined)
        yield* open.write(closeFrame(1001))
        yield* Fiber.join(stopping)
      })
    )
  )
})
