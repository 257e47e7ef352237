import { createServer as createHttpServer } from "node:http"
import { createServer as createHttpsServer } from "node:https"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, type Scope, Stream } from "effect"
import { type Connection, ConnectionClosed, type WebSocketClient, type WebSocketServer } from "effect-websockets"
import WebSocket, { WebSocketServer as WsServer } from "ws"
import { certificate, connect, leavesNothing, listening, serve } from "../node/support.js"
import { WsPeer } from "./wsPeer.js"

/** The same exchanges with `ws` in both roles. */

type Content = string | Uint8Array

const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7) & 255)

const messages: ReadonlyArray<readonly [name: string, Content]> = [
  ["a text", "Hello"],
  ["an empty text", ""],
  ["a text beyond ASCII", "Grüße, 世界, 👋🏽, \u0000, \u{10ffff}"],
  ["bytes", bytes(256)],
  ["no bytes", new Uint8Array(0)],
  ["a text of 125 bytes", "x".repeat(125)],
  ["a text of 126 bytes", "x".repeat(126)],
  ["bytes of a length that needs 16 bits", bytes(65_535)],
  ["bytes of a length that needs 64 bits", bytes(65_536)],
  ["a text of 1 MiB", "é".repeat(524_288)],
  ["bytes of 1 MiB", bytes(1_048_576)]
]

const fragmented: ReadonlyArray<readonly [name: string, ReadonlyArray<Content>]> = [
  ["a text in three", ["one ", "two ", "three"]],
  ["a text cut inside a character", ["Grüße \ud83d", "\udc4b"]],
  ["bytes in three", [bytes(10), bytes(70_000), bytes(3)]],
  ["empty pieces", ["", "", "x", ""]],
  ["one piece", ["whole"]]
]

const closes: ReadonlyArray<readonly [code: number, reason: string]> = [
  [1000, ""],
  [1000, "done"],
  [1001, "going"],
  [1011, "broken"],
  [3000, "ours"],
  [4999, "ü".repeat(61)]
]

const whole = (pieces: ReadonlyArray<Content>): Content =>
  typeof pieces[0] === "string"
    ? pieces.join("")
    : Uint8Array.from(pieces.flatMap((piece) => [...(piece as Uint8Array)]))

interface Both {
  readonly ours: Connection.Connection
  readonly theirs: WsPeer
}

interface Options {
  readonly ours?: WebSocketClient.ConnectOptions & WebSocketServer.ServerSettings
  readonly theirs?: ReadonlyArray<string>
  readonly secure?: boolean
}

/** One connection: the handler of our server hands over its end, and stays until that is closed. */
const ourServer = ({ ours, theirs, secure }: Options = {}): Effect.Effect<Both, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const pair = yield* certificate
    let found: ((connection: Connection.Connection) => void) | undefined
    const connection = new Promise<Connection.Connection>((resolve) => {
      found = resolve
    })
    const { port } = yield* serve(
      (accepted) =>
        Effect.zipRight(
          Effect.sync(() => found?.(accepted)),
          accepted.closed
        ),
      {
        ...ours,
        listen: { port: 0, host: "127.0.0.1", tls: secure === true ? pair : undefined }
      }
    )
    const socket = new WebSocket(`${secure === true ? "wss" : "ws"}://localhost:${port}`, [...(theirs ?? [])], {
      ca: pair.cert,
      perMessageDeflate: false
    })
    const peer = yield* WsPeer.scoped(socket)
    yield* peer.opened
    return { ours: yield* Effect.promise(() => connection), theirs: peer }
  })

const theirServer = ({ ours, theirs, secure }: Options = {}): Effect.Effect<Both, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const pair = yield* certificate
    const { server, port } = yield* listening(() => (secure === true ? createHttpsServer(pair) : createHttpServer()))
    const ws = new WsServer({
      server,
      handleProtocols: (offered) => theirs?.find((name) => offered.has(name)) ?? false
    })
    const accepted = new Promise<WebSocket>((resolve) => void ws.on("connection", resolve))
    const connection = yield* connect(`${secure === true ? "wss" : "ws"}://localhost:${port}`, ours, {
      tls: { ca: pair.cert }
    })
    return { ours: connection, theirs: yield* WsPeer.scoped(yield* Effect.promise(() => accepted)) }
  })

describe.each([
  ["a client of ws and our server", ourServer],
  ["a server of ws and our client", theirServer]
] as const)("%s", (_, open) => {
  it.live.each(messages)("exchange %s", ([_, content]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs } = yield* open()
        yield* theirs.send(content)
        assert.deepStrictEqual(yield* ours.receive, content)
        yield* ours.send(content)
        assert.deepStrictEqual(yield* theirs.receive, content)
      })
    )
  )

  it.live.each(fragmented)("exchange %s", ([_, pieces]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs } = yield* open()
        // What `ws` sends as text it encodes piece by piece: a character cut in two would be two broken ones.
        if (!pieces.some((piece) => typeof piece === "string" && /[\ud800-\udbff]$/.test(piece))) {
          for (const [i, piece] of pieces.entries()) yield* theirs.send(piece, { fin: i === pieces.length - 1 })
          assert.deepStrictEqual(yield* ours.receive, whole(pieces))
        }
        yield* ours.sendFragments(Stream.fromIterable(pieces))
        assert.deepStrictEqual(yield* theirs.receive, whole(pieces))
      })
    )
  )

  it.live("exchange a message in fragments that are received as they come", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs } = yield* open()
        for (const [i, piece] of ["a", "b", "c"].entries()) yield* theirs.send(piece, { fin: i === 2 })
        assert.strictEqual(yield* Stream.mkString(Stream.map(ours.receiveFragments, String)), "abc")
      })
    )
  )

  it.live("ping each other, between the fragments of a message too", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs } = yield* open()
        yield* ours.ping
        yield* theirs.ping("1")
        yield* theirs.send("a", { fin: false })
        yield* theirs.ping("2")
        yield* theirs.send("b", { fin: true })
        yield* theirs.pongs(["1", "2"])
        assert.strictEqual(yield* ours.receive, "ab")
        assert.isTrue(Option.isSome(yield* ours.latency))
      })
    )
  )

  it.live("exchange 1,000 messages in order that are sent without waiting", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs } = yield* open()
        const all = Array.from({ length: 1_000 }, (_, i) => `${i} ${"x".repeat(i)}`)
        for (const text of all) yield* theirs.send(text)
        assert.deepStrictEqual(yield* Effect.replicateEffect(ours.receive, 1_000), all)
        yield* Effect.forEach(all, (text) => ours.send(text))
        assert.deepStrictEqual(yield* Effect.replicateEffect(theirs.receive, 1_000), all)
      })
    )
  )

  it.live.each(closes)("close with %d %s from either side", ([code, reason]) =>
    leavesNothing(
      Effect.gen(function* () {
        const first = yield* open()
        yield* first.theirs.close(code, reason)
        const theirsFirst = (yield* first.ours.closed).closure
        assert.deepInclude(theirsFirst, { initiator: "remote", received: { code, reason }, cause: undefined })
        assert.strictEqual((yield* first.theirs.closed).code, code)

        const second = yield* open()
        const oursFirst = (yield* second.ours.close({ code, reason })).closure
        assert.deepInclude(oursFirst, { initiator: "local", sent: { code, reason }, cause: undefined })
        assert.strictEqual(oursFirst.received?.code, code)
        assert.deepStrictEqual(yield* second.theirs.closed, { code, reason })
      })
    )
  )

  it.live("close without a code as 1005, which is clean", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs } = yield* open()
        yield* theirs.close()
        const closed = yield* ours.closed
        assert.deepStrictEqual([ConnectionClosed.code(closed), ConnectionClosed.isClean(closed)], [1005, true])
        assert.strictEqual((yield* theirs.closed).code, 1005)
      })
    )
  )

  it.live("are cut without a close frame as 1006, which is not", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs } = yield* open()
        yield* theirs.terminate
        const closed = yield* ours.closed
        assert.deepStrictEqual([ConnectionClosed.code(closed), ConnectionClosed.isClean(closed)], [1006, false])
        assert.notStrictEqual(closed.closure.cause, undefined)
      })
    )
  )

  it.live("agree on a subprotocol", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs } = yield* open({ ours: { subprotocols: ["b", "c"] }, theirs: ["c", "d"] })
        assert.strictEqual(Option.getOrUndefined(ours.handshake.subprotocol), "c")
        assert.strictEqual(theirs.subprotocol, "c")
      })
    )
  )

  it.live("speak over TLS with a certificate that is trusted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs } = yield* open({ secure: true })
        for (const [, content] of messages) {
          yield* theirs.send(content)
          assert.deepStrictEqual(yield* ours.receive, content)
          yield* ours.send(content)
          assert.deepStrictEqual(yield* theirs.receive, content)
        }
      })
    )
  )

  it.live("refuse a message that is larger than maxMessageSize with 1009", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs } = yield* open({ ours: { maxMessageSize: 100 } })
        yield* theirs.send(bytes(101))
        assert.strictEqual((yield* theirs.closed).code, 1009)
        const { closure } = yield* ours.closed
        assert.strictEqual(closure.cause?._tag, "Violation")
      })
    )
  )
})
