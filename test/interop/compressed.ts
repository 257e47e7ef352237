import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { again, bytes, byteTexts, joined, many, megabytes, pieces, repeating, windows } from "./contents.js"
import { agreed } from "./counting.js"
import type { Feature } from "./features.js"
import type { Both, Content, OpenOptions, Running } from "./support.js"

/** What is tried with each peer on connections that have agreed on permessage-deflate. */

/** Every message is compressed, however short it is. */
const all = { threshold: 0 }

const open = (peer: Running, options?: OpenOptions) =>
  Effect.tap(peer.open({ compression: all, ...options }), ({ ours }) =>
    Effect.sync(() => assert.isDefined(agreed(ours), "nothing is agreed on"))
  )

/** Messages go there, compressed, and come back, as the peer likes. */
const exchange = ({ ours, theirs, counts }: Both, contents: ReadonlyArray<Content>) =>
  Effect.gen(function* () {
    const before = counts.deflated
    yield* Effect.fork(ours.sendAll(contents))
    assert.deepStrictEqual(yield* theirs.receive(contents.length), contents)
    // An empty message needs no compressor.
    assert.strictEqual(counts.deflated - before, contents.filter(({ length }) => length > 0).length)
    yield* Effect.fork(theirs.send(...contents))
    assert.deepStrictEqual(yield* Effect.replicateEffect(ours.receive, contents.length), contents)
  })

/** The same on a connection of its own, which then ends as agreed. */
const round =
  (contents: ReadonlyArray<Content>, options?: OpenOptions): Feature["test"] =>
  (peer) =>
    Effect.gen(function* () {
      const both = yield* open(peer, options)
      yield* exchange(both, contents)
      const { closure } = yield* both.ours.close()
      assert.deepInclude(closure, { received: { code: 1000, reason: "" }, cause: undefined })
    })

const kinds: ReadonlyArray<Content> = [
  "Hello",
  "Grüße, 世界, 👋🏽, \u0000, \u{10ffff}",
  "",
  bytes(256),
  new Uint8Array(0),
  bytes(70_000),
  repeating(6400)
]

const takeovers = [
  { serverNoContextTakeover: true },
  { clientNoContextTakeover: true },
  { serverNoContextTakeover: true, clientNoContextTakeover: true }
]

/** As we ask; the peer may not agree to more than that. */
const asWeAsk =
  (windows: ReadonlyArray<number>): Feature["test"] =>
  (peer) =>
    Effect.forEach(windows, (bits) =>
      Effect.gen(function* () {
        const compression = { ...all, serverMaxWindowBits: bits, clientMaxWindowBits: bits }
        const both = yield* open(peer, { compression })
        assert.isAtMost(Number(agreed(both.ours)?.["server_max_window_bits"] ?? 15), bits)
        yield* exchange(both, again)
      })
    )

/** More than the buffers between hold, both ways at the same time. */
export const bothWays = ({ ours, theirs }: Both) =>
  Effect.gen(function* () {
    const [there, back] = yield* Effect.all(
      [
        theirs.receive(megabytes.length),
        Effect.replicateEffect(ours.receive, megabytes.length),
        ours.sendAll(megabytes),
        theirs.send(...megabytes)
      ],
      { concurrency: "unbounded" }
    )
    assert.deepStrictEqual([there, back], [megabytes, megabytes])
  })

export const compressed = [
  { name: "compressed messages of every kind", test: round(kinds) },
  {
    name: "what they send is compressed",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs, counts } = yield* open(peer)
        yield* theirs.send("é".repeat(5000), bytes(5000))
        assert.deepStrictEqual(yield* Effect.replicateEffect(ours.receive, 2), ["é".repeat(5000), bytes(5000)])
        assert.strictEqual(counts.inflated, 2)
      })
  },
  { name: "compressed messages of 1 MiB", test: round(["é".repeat(524_288), bytes(1_048_576)]) },
  { name: "500 compressed messages at once, in order", test: round(many) },
  {
    name: "5 MB both ways at the same time, compressed",
    test: (peer) => Effect.flatMap(open(peer), bothWays)
  },
  {
    name: "compressed without context takeover: server, client, both",
    test: (peer) =>
      Effect.forEach(takeovers, (takeover) =>
        Effect.gen(function* () {
          const both = yield* open(peer, { compression: { ...all, ...takeover } })
          const { serverNoContextTakeover } = takeover as { readonly serverNoContextTakeover?: true }
          if (serverNoContextTakeover) assert.property(agreed(both.ours), "server_no_context_takeover")
          yield* exchange(both, again)
        })
      )
  },
  { name: "compressed with windows of 9 to 15 bits", test: asWeAsk(windows.slice(1)) },
  { name: "compressed with windows of 8 bits", test: asWeAsk([8]) },
  {
    name: "compressed with windows and takeover as they ask",
    test: (peer) =>
      Effect.forEach(windows.slice(1), (bits) =>
        Effect.forEach([true, false], (isForgetful) =>
          Effect.gen(function* () {
            const both = yield* open(peer, {
              deflating: {
                server_max_window_bits: bits,
                client_max_window_bits: bits,
                server_no_context_takeover: isForgetful,
                client_no_context_takeover: isForgetful
              }
            })
            const { server_max_window_bits: server, server_no_context_takeover: forgets } = agreed(both.ours) ?? {}
            assert.deepStrictEqual([server, forgets], [String(bits), isForgetful ? "" : undefined])
            yield* exchange(both, again)
          })
        )
      )
  },
  {
    name: "uncompressed messages between compressed ones",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs, counts } = yield* open(peer)
        for (const compress of [true, false, true]) yield* ours.send(repeating(800), { compress })
        assert.deepStrictEqual(yield* theirs.receive(3), [repeating(800), repeating(800), repeating(800)])
        assert.strictEqual(counts.deflated, 2)
      })
  },
  {
    name: "fragments from us between compressed messages",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs } = yield* open(peer)
        yield* ours.send("before")
        yield* ours.sendFragments(Stream.fromIterable(pieces))
        yield* ours.send("after")
        assert.deepStrictEqual(yield* theirs.receive(3), ["before", pieces.join(""), "after"])
      })
  },
  {
    name: "compressed fragments from them, with pings between",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs, counts } = yield* open(peer)
        yield* theirs.sendFragmentsAndPings(...pieces)
        assert.strictEqual(yield* ours.receive, pieces.join(""))
        yield* theirs.sendFragmentsAndPings(...byteTexts)
        assert.deepStrictEqual(yield* ours.receive, joined)
        assert.strictEqual(counts.inflated, 2)
        yield* theirs.ping
      })
  },
  {
    name: "a message that is too large once inflated is refused with 1009",
    test: (peer) =>
      Effect.gen(function* () {
        const { ours, theirs, counts } = yield* open(peer)
        yield* Effect.fork(theirs.send(bytes(1_048_577)))
        const { closure } = yield* ours.closed
        assert.strictEqual(closure.sent?.code, 1009)
        assert.include(
          closure.cause?._tag === "Violation" ? closure.cause.violation.reason : "",
          "a compressed message"
        )
        assert.strictEqual((yield* theirs.closed).code, 1009)
        assert.strictEqual(counts.inflated, 1)
      })
  }
] as const satisfies ReadonlyArray<Feature>
