import { createServer } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope, Stream } from "effect"
import type { Connection, Deflate } from "effect-websockets"
import WebSocket, { type PerMessageDeflateOptions, WebSocketServer as WsServer } from "ws"
import { leavesNothing, listening } from "../node/support.js"
import { again, bytes, many, megabytes, pieces, repeating, windows } from "./contents.js"
import { agreed, Counts, connectCounting, serveCounting } from "./counting.js"
import type { Content } from "./support.js"
import { WsPeer } from "./wsPeer.js"

/** permessage-deflate with `ws` in both roles, whichever of the ends asks for what. */

interface Both {
  readonly ours: Connection.Connection
  readonly theirs: WsPeer
  readonly counts: Counts
}

interface Options {
  readonly ours?: Deflate.Compression
  readonly theirs?: PerMessageDeflateOptions
  readonly maxMessageSize?: number
}

type Open = (options?: Options) => Effect.Effect<Both, unknown, Scope.Scope>

/** Every message is compressed, however short it is. */
const all = { threshold: 0 }

const ourServer: Open = ({ ours = all, theirs = {}, maxMessageSize } = {}) =>
  Effect.gen(function* () {
    const counts = new Counts()
    let found: ((connection: Connection.Connection) => void) | undefined
    const connection = new Promise<Connection.Connection>((resolve) => {
      found = resolve
    })
    const { port } = yield* serveCounting(
      (accepted) =>
        Effect.zipRight(
          Effect.sync(() => found?.(accepted)),
          accepted.closed
        ),
      counts,
      { compression: ours, maxMessageSize, listen: { port: 0, host: "127.0.0.1" } }
    )
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: { ...all, ...theirs } })
    const peer = yield* WsPeer.scoped(socket)
    yield* peer.opened
    return { ours: yield* Effect.promise(() => connection), theirs: peer, counts }
  })

const theirServer: Open = ({ ours = all, theirs = {}, maxMessageSize } = {}) =>
  Effect.gen(function* () {
    const counts = new Counts()
    const { server, port } = yield* listening(() => createServer())
    const ws = new WsServer({ server, perMessageDeflate: { ...all, ...theirs } })
    const accepted = new Promise<WebSocket>((resolve) => void ws.on("connection", resolve))
    const options = { compression: ours, maxMessageSize }
    const connection = yield* connectCounting(`ws://127.0.0.1:${port}`, counts, options)
    return { ours: connection, theirs: yield* WsPeer.scoped(yield* Effect.promise(() => accepted)), counts }
  })

/** Messages there and back, each of them compressed; an empty one needs no compressor of ours. */
const exchange = ({ ours, theirs, counts }: Both, contents: ReadonlyArray<Content>) =>
  Effect.gen(function* () {
    const before = { ...counts }
    for (const content of contents) yield* theirs.send(content)
    assert.deepStrictEqual(yield* Effect.replicateEffect(ours.receive, contents.length), contents)
    yield* Effect.fork(ours.sendAll(contents))
    assert.deepStrictEqual(yield* Effect.replicateEffect(theirs.receive, contents.length), contents)
    assert.strictEqual(counts.inflated - before.inflated, contents.length)
    assert.strictEqual(counts.deflated - before.deflated, contents.filter(({ length }) => length > 0).length)
  })

const kinds: ReadonlyArray<readonly [name: string, ReadonlyArray<Content>]> = [
  ["texts", ["Hello", "Hello", "x".repeat(126)]],
  ["texts beyond ASCII", ["Grüße, 世界, 👋🏽, \u0000, \u{10ffff}", "é".repeat(20_000)]],
  ["messages without content", ["", new Uint8Array(0), "", new Uint8Array(0)]],
  ["bytes", [bytes(1), bytes(256), bytes(65_536)]],
  ["messages of about a megabyte", megabytes],
  ["500 messages at once, in order", many]
]

const takeovers = [
  {},
  { serverNoContextTakeover: true },
  { clientNoContextTakeover: true },
  { serverNoContextTakeover: true, clientNoContextTakeover: true }
]

const askers = ["ours", "theirs"] as const

/** Both windows, and who says so; a client has to say that it can be told, which both do. */
const matrix = askers.flatMap((asker) =>
  takeovers.flatMap((takeover) =>
    windows.map((bits) => [asker, bits, { ...takeover, serverMaxWindowBits: bits, clientMaxWindowBits: bits }] as const)
  )
)

const names = {
  serverNoContextTakeover: "server_no_context_takeover",
  clientNoContextTakeover: "client_no_context_takeover"
} as const

describe.each([
  ["a client of ws and our server", ourServer],
  ["a server of ws and our client", theirServer]
] as const)("%s, compressed", (_, open) => {
  it.live.each(kinds)("exchange %s", ([_, contents]) =>
    leavesNothing(
      Effect.gen(function* () {
        for (const takeover of takeovers) yield* exchange(yield* open({ ours: { ...all, ...takeover } }), contents)
      })
    )
  )

  it.live.each(matrix)("agree, as %s says, on %d bits: %j", ([asker, bits, parameters]) =>
    leavesNothing(
      Effect.gen(function* () {
        const both = yield* open({ [asker]: { ...all, ...parameters } })
        const said = agreed(both.ours) ?? assert.fail("nothing is agreed on")
        if (bits < 15) assert.strictEqual(said["server_max_window_bits"], String(bits))
        for (const [option, name] of Object.entries(names)) {
          // What a client says of itself a server need not repeat.
          if (option in parameters && !(option === "clientNoContextTakeover" && both.ours.role === "client"))
            assert.property(said, name)
        }
        yield* exchange(both, again)
      })
    )
  )

  it.live("exchange messages without compression between compressed ones", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs, counts } = yield* open()
        for (const compress of [true, false, true]) {
          yield* theirs.send(repeating(800), { compress })
          yield* ours.send(repeating(800), { compress })
          assert.deepStrictEqual([yield* ours.receive, yield* theirs.receive], [repeating(800), repeating(800)])
        }
        assert.deepInclude(counts, { deflated: 2, inflated: 2 })
      })
    )
  )

  it.live("exchange fragments, theirs compressed, with pings between", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ours, theirs, counts } = yield* open()
        yield* theirs.send("before")
        for (const [i, piece] of pieces.entries()) {
          yield* theirs.send(piece, { fin: i === pieces.length - 1 })
          yield* theirs.ping(String(i))
        }
        yield* theirs.send("after")
        yield* theirs.pongs(pieces.map((_, i) => String(i)))
        const texts = ["before", pieces.join(""), "after"]
        assert.deepStrictEqual(yield* Effect.replicateEffect(ours.receive, 3), texts)
        assert.strictEqual(counts.inflated, 3)
        yield* ours.send("before")
        yield* ours.sendFragments(Stream.fromIterable(pieces))
        yield* ours.send("after")
        assert.deepStrictEqual(yield* Effect.replicateEffect(theirs.receive, 3), texts)
      })
    )
  )

  it.live("refuse with 1009 what is too large once inflated, and nothing that is as large as it may be", () =>
    leavesNothing(
      Effect.gen(function* () {
        // Below and above the size from which inflating takes its time.
        for (const maxMessageSize of [10_000, 100_000, 10_000_000]) {
          const { ours, theirs, counts } = yield* open({ maxMessageSize })
          yield* theirs.send(new Uint8Array(maxMessageSize))
          assert.strictEqual((yield* ours.receive).length, maxMessageSize)
          yield* theirs.send(new Uint8Array(maxMessageSize + 1))
          assert.strictEqual((yield* theirs.closed).code, 1009)
          const { cause } = (yield* ours.closed).closure
          assert.include(cause?._tag === "Violation" ? cause.violation.reason : "", "a compressed message exceeds")
          assert.strictEqual(counts.inflated, 2)
        }
      })
    )
  )
})
