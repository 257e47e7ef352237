import { assert } from "@effect/vitest"
import { Effect, Option, type Scope, Stream } from "effect"
import { ConnectionClosed } from "effect-websockets"
import { bothWays, compressed } from "./compressed.js"
import { bytes, byteTexts, cutPieces, joined, many, pieces } from "./contents.js"
import type { Content, OpenOptions, Role, Running } from "./support.js"

/** What is tried with each peer in each role: the rows of the table, and its tests. */

export interface Feature {
  readonly name: string
  /** The roles of the peer in which there is something to try: both unless told otherwise. */
  readonly roles?: ReadonlyArray<Role>
  readonly test: (peer: Running) => Effect.Effect<unknown, unknown, Scope.Scope>
}

/** A message goes there and comes back. */
const exchange =
  (content: Content, options?: OpenOptions): Feature["test"] =>
  (peer) =>
    Effect.gen(function* () {
      const { ours, theirs } = yield* peer.open(options)
      yield* ours.send(content)
      assert.deepStrictEqual(yield* theirs.receive(1), [content])
      yield* theirs.send(content)
      assert.deepStrictEqual(yield* ours.receive, content)
      const { closure } = yield* ours.close()
      assert.deepInclude(closure, { received: { code: 1000, reason: "" }, cause: undefined })
    })

type Closes = ReadonlyArray<readonly [code: number, reason: string]>

const closes: Closes = [
  [1000, "done"],
  [3000, "library"],
  [4999, "ü".repeat(61)]
]

const weClose =
  (closes: Closes): Feature["test"] =>
  (peer) =>
    Effect.forEach(closes, ([code, reason]) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        const { closure } = yield* ours.close({ code, reason })
        assert.deepInclude(closure, { initiator: "local", sent: { code, reason }, cause: undefined })
        assert.strictEqual(closure.received?.code, code)
        assert.deepStrictEqual(yield* theirs.closed, { code, reason })
      })
    )

const theyClose =
  (closes: Closes): Feature["test"] =>
  (peer) =>
    Effect.forEach(closes, ([code, reason]) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        yield* theirs.close(code, reason)
        const { closure } = yield* ours.closed
        assert.deepInclude(closure, { initiator: "remote", received: { code, reason }, cause: undefined })
        assert.strictEqual(closure.sent?.code, code)
        assert.strictEqual((yield* theirs.closed).code, code)
      })
    )

const list = [
  { name: "text", test: exchange("Hello") },
  { name: "text beyond ASCII", test: exchange("Grüße, 世界, 👋🏽, \u0000, \u{10ffff}") },
  { name: "empty text", test: exchange("") },
  { name: "bytes", test: exchange(bytes(256)) },
  { name: "no bytes", test: exchange(new Uint8Array(0)) },
  { name: "text of 1 MiB", test: exchange("é".repeat(524_288)) },
  { name: "bytes of 1 MiB", test: exchange(bytes(1_048_576)) },
  {
    name: "500 messages at once, in order",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        const sending = yield* Effect.fork(ours.sendAll(many))
        assert.deepStrictEqual(yield* theirs.receive(many.length), many)
        yield* sending.await
        yield* Effect.fork(theirs.send(...many))
        assert.deepStrictEqual(yield* Effect.replicateEffect(ours.receive, many.length), many)
      })
  },
  {
    name: "5 MB both ways at the same time",
    test: (peer) => Effect.flatMap(peer.open(), bothWays)
  },
  {
    name: "a message right behind the handshake",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open({ greeting: "welcome" })
        const first = ours.role === "server" ? theirs.receive(1) : Effect.map(ours.receive, (message) => [message])
        assert.deepStrictEqual(yield* first, ["welcome"])
      })
  },
  {
    name: "fragments from us",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        for (const fragments of [pieces, cutPieces, byteTexts]) {
          yield* ours.sendFragments(Stream.fromIterable<Content>(fragments))
        }
        assert.deepStrictEqual(yield* theirs.receive(3), [pieces.join(""), pieces.join(""), joined])
      })
  },
  {
    name: "fragments from them",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        yield* theirs.sendFragments(...pieces)
        assert.strictEqual(yield* ours.receive, pieces.join(""))
        yield* theirs.sendFragments(...byteTexts)
        assert.deepStrictEqual(yield* ours.receive, joined)
      })
  },
  {
    name: "ping from us",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours } = yield* peer.open()
        yield* ours.ping
        assert.isTrue(Option.isSome(yield* ours.latency))
      })
  },
  {
    name: "ping from us between fragments",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        const pinging = Stream.fromIterable(pieces).pipe(Stream.tap(() => ours.ping))
        yield* ours.sendFragments(pinging)
        assert.deepStrictEqual(yield* theirs.receive(1), [pieces.join("")])
      })
  },
  {
    name: "pong from us that nobody asked for",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        yield* ours.pong(bytes(125))
        yield* ours.send("still here")
        assert.deepStrictEqual(yield* theirs.receive(1), ["still here"])
      })
  },
  {
    name: "ping from them",
    test: (peer) =>
      Effect.gen(function* () {
        const { theirs } = yield* peer.open()
        yield* theirs.ping
      })
  },
  { name: "we close with 1000, 3000, 4999 and a reason", test: weClose(closes) },
  { name: "we close with 1001", test: weClose([[1001, ""]]) },
  { name: "they close with 1000, 3000, 4999 and a reason", test: theyClose(closes) },
  {
    name: "they close with 1001",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        yield* theirs.close(1001, "")
        const closed = yield* ours.closed
        assert.deepStrictEqual([ConnectionClosed.code(closed), ConnectionClosed.isClean(closed)], [1001, true])
      })
  },
  {
    name: "they close without a code",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        yield* theirs.close()
        const closed = yield* ours.closed
        assert.deepStrictEqual([ConnectionClosed.code(closed), ConnectionClosed.isClean(closed)], [1005, true])
        assert.strictEqual((yield* theirs.closed).code, 1005)
      })
  },
  {
    name: "both close at the same time",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        const [closed, end] = yield* Effect.all([ours.close(), theirs.closed, theirs.close(1000, "")], {
          concurrency: "unbounded"
        })
        assert.isTrue(ConnectionClosed.isClean(closed), closed.message)
        assert.strictEqual(end.code, 1000)
      })
  },
  {
    name: "we leave our scope: 1001 from a server, 1000 from a client",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs, leave } = yield* peer.open()
        const [end] = yield* Effect.all([theirs.closed, leave], { concurrency: "unbounded" })
        assert.deepStrictEqual(end, { code: ours.role === "server" ? 1001 : 1000, reason: "" })
        assert.isTrue(ConnectionClosed.isClean(yield* ours.closed))
      })
  },
  {
    name: "they are gone without a close frame: 1006 and its cause",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        yield* theirs.cut
        const closed = yield* ours.closed
        assert.strictEqual(ConnectionClosed.code(closed), 1006)
        assert.oneOf(closed.closure.cause?._tag, ["EndOfStream", "TransportError"])
      })
  },
  {
    name: "a message that is too large for us is refused with 1009",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* peer.open()
        // The peer may see the end before it has sent everything.
        yield* Effect.fork(theirs.send(bytes(1_048_577)))
        assert.strictEqual((yield* ours.closed).closure.sent?.code, 1009)
        assert.strictEqual((yield* theirs.closed).code, 1009)
      })
  },
  {
    name: "subprotocol",
    test: (peer) =>
      Effect.gen(function* () {
        const subprotocols = { offered: ["soap", "chat"], spoken: ["superchat", "chat"] }
        const { ours, theirs } = yield* peer.open({ subprotocols })
        assert.strictEqual(Option.getOrUndefined(ours.handshake.subprotocol), "chat")
        assert.strictEqual(theirs.subprotocol, "chat")
      })
  },
  { name: "TLS with an authority of one's own", test: exchange("é".repeat(100_000), { secure: true }) },
  { name: "a page of the same origin is let in", roles: ["client"], test: exchange("Hello", { asPage: true }) },
  {
    name: "a page of another origin is refused with 403",
    roles: ["client"],
    test: (peer) => Effect.map(peer.refused, (status) => assert.oneOf(status, [403, undefined]))
  },
  {
    name: "their refusal is a HandshakeError",
    roles: ["server"],
    test: (peer) => Effect.map(peer.refused, (status) => assert.strictEqual(status, 403))
  },
  ...compressed
] as const satisfies ReadonlyArray<Feature>

export type FeatureName = (typeof list)[number]["name"]

export const features: ReadonlyArray<Feature> = list
